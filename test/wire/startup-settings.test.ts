import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import {
  parseBoolean,
  readOnlySettings,
  type StartupPolicy,
  startupSettings,
} from '../../src/wire/startup-settings.ts';

type Pair = readonly [string, string];

const pins: Pair[] = [
  ['client_encoding', 'UTF8'],
  ['standard_conforming_strings', 'on'],
  ['backslash_quote', 'safe_encoding'],
];

function settingsOf(parameters: Pair[], policy?: StartupPolicy, minor = 0) {
  return startupSettings({ kind: 'startup', minor, parameters: [['user', 'claude'], ...parameters] }, policy);
}

/** What is sent upstream besides the pins, which must always be there and last. */
function passed(parameters: Pair[], policy?: StartupPolicy): Pair[] {
  const { settings } = settingsOf(parameters, policy);
  expect(settings.slice(-pins.length)).toEqual(pins);
  return settings.slice(0, -pins.length);
}

function refusal(parameters: Pair[], policy?: StartupPolicy): HoldpointError {
  try {
    settingsOf(parameters, policy);
  } catch (error) {
    if (error instanceof HoldpointError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

/** One setting in every spelling that reaches the server's settings from a StartupMessage. */
function spellings(name: string, value: string): [string, Pair[]][] {
  const escaped = value.replaceAll('\\', '\\\\').replaceAll(' ', '\\ ');
  const dashed = name.replaceAll('_', '-');
  return [
    ['as a parameter', [[name, value]]],
    ['as a parameter in capitals', [[name.toUpperCase(), value]]],
    ['as a parameter with dashes', [[dashed, value]]],
    ['in options with -c', [['options', `-c ${name}=${escaped}`]]],
    ['in options with -c glued', [['options', `-c${name}=${escaped}`]]],
    ['in options with --', [['options', `--${name}=${escaped}`]]],
    ['in options with dashes', [['options', `--${dashed}=${escaped}`]]],
    ['in options in capitals', [['options', `-c ${name.toUpperCase()}=${escaped}`]]],
    ['in options behind others', [['options', `-c geqo=on  --${name}=${escaped}`]]],
    [
      'repeated',
      [
        [name, value],
        [name, value],
      ],
    ],
  ];
}

describe('settings that are passed on', () => {
  const allowed: Pair[] = [
    ['application_name', 'psql'],
    ['bytea_output', 'escape'],
    ['client_min_messages', 'WARNING'],
    ['datestyle', 'Postgres, MDY'],
    ['default_transaction_isolation', 'repeatable read'],
    ['default_transaction_read_only', 'on'],
    ['extra_float_digits', '3'],
    ['geqo', 'off'],
    ['idle_in_transaction_session_timeout', '10s'],
    ['idle_session_timeout', '0'],
    ['intervalstyle', 'postgres_verbose'],
    ['jit', 'off'],
    ['lock_timeout', '500'],
    ['search_path', '"$user", public'],
    ['search_path', 'pg_catalog, public'],
    ['statement_timeout', '1.5 min'],
    ['timezone', 'America/Argentina/Buenos_Aires'],
    ['transaction_timeout', '1h'],
  ];

  test.each(allowed)('%s with the value %j, in every spelling', (name, value) => {
    for (const [spelling, parameters] of spellings(name, value)) {
      const granted = passed(parameters).filter(([setting]) => setting === name);
      expect(granted, spelling).toEqual([[name, value]]);
    }
  });

  test.each([
    ['timezone', '<+03>-3'],
    ['timezone', 'GMT+01:00'],
    ['datestyle', 'ISO'],
    ['extra_float_digits', '-15'],
    ['statement_timeout', '-1'],
  ])('%s with the value %j', (name, value) => {
    expect(passed([[name, value]])).toEqual([[name, value]]);
  });
});

describe('settings that are refused', () => {
  const refused: Pair[] = [
    ['role', 'postgres'],
    ['session_authorization', 'postgres'],
    ['session_preload_libraries', 'x'],
    ['local_preload_libraries', 'x'],
    ['dynamic_library_path', '/tmp'],
    ['session_replication_role', 'replica'],
    ['event_triggers', 'off'],
    ['backslash_quote', 'on'],
    ['escape_string_warning', 'off'],
    ['row_security', 'off'],
    ['transform_null_equals', 'on'],
    ['array_nulls', 'off'],
    ['quote_all_identifiers', 'on'],
    ['allow_system_table_mods', 'on'],
    ['ignore_system_indexes', 'on'],
    ['default_transaction_read_only', 'off'],
    ['transaction_read_only', 'off'],
    ['log_statement', 'none'],
    ['log_min_duration_statement', '-1'],
    ['lo_compat_privileges', 'on'],
    ['zero_damaged_pages', 'on'],
    ['check_function_bodies', 'off'],
    ['jit_provider', 'x'],
    ['restrict_nonsystem_relation_kind', ''],
    ['plpgsql.extra_errors', 'none'],
    ['app.user_id', '1'],
    ['holdpoint.reason', 'x'],
    ['constructor', 'x'],
    ['__proto__', 'x'],
    ['unheard_of', 'x'],
    ['', 'x'],
  ];

  test.each(refused)('%s, in every spelling', (name, value) => {
    for (const [spelling, parameters] of spellings(name, value)) {
      const error = refusal(parameters);
      expect(['0A000', '22023'], spelling).toContain(error.sqlstate);
    }
    expect(refusal([[name, value]]).message).toBe(
      `startup parameter "${name}" cannot be set through this connection`,
    );
  });

  test('names that only look like user, database, options or replication', () => {
    for (const name of ['User', 'DATABASE', 'Options', 'Replication']) {
      expect(refusal([[name, 'false']]).sqlstate).toBe('0A000');
    }
    expect(refusal([['options', '-c user=postgres']]).sqlstate).toBe('0A000');
    expect(refusal([['options', '-c replication=on']]).sqlstate).toBe('0A000');
  });

  test.each([
    ['statement_timeout', '1; drop'],
    ['statement_timeout', ''],
    ['geqo', 'maybe'],
    ['bytea_output', 'octal'],
    ['default_transaction_isolation', 'none'],
    ['client_min_messages', 'panic'],
    ['datestyle', "ISO'; --"],
    ['intervalstyle', 'x'],
    ['extra_float_digits', '16'],
    ['timezone', "x'y"],
    ['search_path', 'x'.repeat(1025)],
    ['search_path', 'evil, pg_catalog'],
    ['search_path', 'evil,"pg_catalog"'],
  ])('%s with the value %j', (name, value) => {
    const error = refusal([[name, value]]);
    expect(error.sqlstate).toBe('22023');
    expect(error.message).toBe(`invalid value for parameter "${name}": "${value}"`);
  });

  test('switches of options that are not settings', () => {
    expect(refusal([['options', '-O']]).sqlstate).toBe('22023');
  });
});

describe('what the parser rests on', () => {
  test.each(['UTF8', 'utf8', 'UTF-8', 'utf_8', 'unicode', "'utf-8'"])(
    'client_encoding %s is UTF8',
    (value) => {
      for (const [spelling, parameters] of spellings('client_encoding', value)) {
        expect(settingsOf(parameters).settings.slice(-pins.length), spelling).toEqual(pins);
        expect(settingsOf(parameters).settings.filter(([name]) => name === 'client_encoding')).toHaveLength(
          1,
        );
      }
    },
  );

  test.each(['SJIS', 'BIG5', 'GBK', 'SQL_ASCII', 'LATIN1', 'utf16', '', 'auto'])(
    'client_encoding %j is refused',
    (value) => {
      for (const [spelling, parameters] of spellings('client_encoding', value)) {
        expect(refusal(parameters).sqlstate, spelling).toBe('22023');
      }
    },
  );

  test('standard_conforming_strings may be asked to be on and nothing else', () => {
    for (const value of ['on', 'true', 'YES', '1', 't']) {
      expect(passed([['standard_conforming_strings', value]])).toEqual([]);
    }
    for (const value of ['off', 'false', '0', 'of', '', 'x']) {
      for (const [spelling, parameters] of spellings('standard_conforming_strings', value)) {
        expect(refusal(parameters).sqlstate, spelling).toBe('0A000');
      }
    }
  });

  test('a good value cannot hide a bad one of the same name, before or behind it', () => {
    expect(
      refusal([
        ['client_encoding', 'SJIS'],
        ['client_encoding', 'UTF8'],
      ]).sqlstate,
    ).toBe('22023');
    expect(
      refusal([
        ['client_encoding', 'UTF8'],
        ['options', '-c client-encoding=SJIS'],
      ]).sqlstate,
    ).toBe('22023');
  });
});

describe('replication', () => {
  test.each(['false', 'FALSE', 'f', 'fal', 'no', 'n', 'off', 'of', '0'])(
    '%j is false and therefore no replication',
    (value) => {
      expect(settingsOf([['replication', value]]).user).toBe('claude');
    },
  );

  test.each(['true', 't', 'yes', 'on', '1', 'database'])('%j is refused', (value) => {
    expect(refusal([['replication', value]]).sqlstate).toBe('0A000');
  });

  test.each(['', 'o', 'x', 'Database', '2'])('%j is no value', (value) => {
    expect(refusal([['replication', value]]).sqlstate).toBe('22023');
  });

  test('the last of several wins, as with the server', () => {
    expect(
      refusal([
        ['replication', 'false'],
        ['replication', 'true'],
      ]).sqlstate,
    ).toBe('0A000');
    expect(
      settingsOf([
        ['replication', 'true'],
        ['replication', 'false'],
      ]).user,
    ).toBe('claude');
  });
});

describe('names', () => {
  test('without a database the user names it', () => {
    expect(settingsOf([]).database).toBe('claude');
    expect(settingsOf([['database', '']]).database).toBe('claude');
    expect(settingsOf([['database', 'shop']]).database).toBe('shop');
  });

  test('the last of several wins', () => {
    expect(
      settingsOf([
        ['user', 'other'],
        ['database', 'a'],
        ['database', 'b'],
      ]),
    ).toMatchObject({ user: 'other', database: 'b' });
  });

  test('without a user there is no session', () => {
    const error = refusal([['user', '']]);
    expect([error.sqlstate, error.message]).toEqual([
      '28000',
      'no PostgreSQL user name specified in startup packet',
    ]);
  });

  test('are cut to 63 bytes, never inside a character', () => {
    const { user, database } = settingsOf([
      ['user', 'x'.repeat(70)],
      ['database', `${'x'.repeat(62)}ü`],
    ]);
    expect(user).toBe('x'.repeat(63));
    expect(database).toBe('x'.repeat(62));
  });
});

test('the last of several values of a setting wins, and a parameter wins over options', () => {
  expect(
    passed([
      ['geqo', 'on'],
      ['GEQO', 'off'],
    ]),
  ).toEqual([['geqo', 'off']]);
  expect(
    passed([
      ['geqo', 'on'],
      ['options', '-c geqo=off'],
    ]),
  ).toEqual([['geqo', 'on']]);
});

test('application_name is shown as the server would show it', () => {
  expect(passed([['application_name', 'é\n x']])).toEqual([['application_name', '\\xc3\\xa9\\x0a x']]);
});

test('search_path and custom settings follow the policy given', () => {
  const policy = { searchPath: false, customSettings: new Set(['app.user_id']) };
  expect(refusal([['search_path', 'x']], policy).sqlstate).toBe('0A000');
  expect(passed([['App.User_Id', '7']], policy)).toEqual([['app.user_id', '7']]);
  expect(refusal([['app.tenant', '7']], policy).sqlstate).toBe('0A000');
});

test.each([
  [0, [], 0, undefined],
  [2, [], 2, undefined],
  [1, [], 0, { minor: 0, unknown: [] }],
  [3, [], 2, { minor: 2, unknown: [] }],
  [9999, ['_pq_.grease'], 2, { minor: 2, unknown: ['_pq_.grease'] }],
  [0, ['_pq_.a', '_pq_.b'], 0, { minor: 0, unknown: ['_pq_.a', '_pq_.b'] }],
  [2, ['_pq_.a'], 2, { minor: 2, unknown: ['_pq_.a'] }],
])('protocol 3.%i with options %j is spoken as 3.%i', (minor, options, spoken, negotiate) => {
  const settings = settingsOf(
    options.map((name) => [name, 'x'] as const),
    undefined,
    minor,
  );
  expect([settings.minor, settings.negotiate]).toEqual([spoken, negotiate]);
});

test('booleans are read by the rule of the server', () => {
  const read = (values: string[]) => values.map(parseBoolean);
  expect(read(['t', 'TRUE', 'y', 'yes', 'on', '1'])).toEqual(Array(6).fill(true));
  expect(read(['f', 'False', 'n', 'no', 'of', 'off', '0'])).toEqual(Array(7).fill(false));
  expect(read(['', 'o', 'truex', 'offf', '01', ' on', 'yess'])).toEqual(Array(7).fill(undefined));
});

test('whatever is asked for, only known names with our pins go upstream', () => {
  const name = fc.oneof(
    fc.string(),
    fc.constantFrom('options', 'geqo', 'role', 'client_encoding', 'search_path'),
  );
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom('on', 'UTF8', '-c geqo=off', '--role=x', '-c client-encoding=SJIS'),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 5 }), (parameters) => {
      try {
        const names = passed(parameters).map(([setting]) => setting);
        for (const setting of names) expect(['geqo', 'search_path']).toContain(setting);
      } catch (error) {
        expect(error).toBeInstanceOf(HoldpointError);
      }
    }),
    { numRuns: 500 },
  );
});

test('an agent that may only read gets read-only transactions as the last word, whatever it asked for itself', () => {
  for (const [spelling, parameters] of spellings('default_transaction_read_only', 'on')) {
    const { settings } = settingsOf([...parameters, ['geqo', 'off']]);
    const sent = readOnlySettings(settings);
    expect(sent.at(-1), spelling).toEqual(['default_transaction_read_only', 'on']);
    expect(sent.filter(([name]) => name === 'default_transaction_read_only')).toHaveLength(1);
    expect(sent).toContainEqual(['geqo', 'off']);
    for (const pin of pins) expect(sent).toContainEqual(pin);
  }
});
