// Stencils against the parser: whatever a text is, what is found out through its stencil is what PostgreSQL's parser says of
// it. HOLDPOINT_FUZZ_TEXTS=3000000 looks at so many; the seed is printed with what failed.

import { beforeAll, describe, expect, test } from 'vitest';
import { analyzeWith } from '../../src/sql/analyze.ts';
import { Engine } from '../../src/sql/engine.ts';
import { refusal } from '../../src/sql/limits.ts';
import { Analyzer } from '../../src/sql/parse.ts';
import type { Analysis, Statement } from '../../src/sql/statement.ts';
import { stencilOf } from '../../src/sql/stencil.ts';
import { attackCorpus } from './corpus/attacks.ts';
import { everydayCorpus } from './corpus/everyday.ts';

const textsMax = Number(process.env.HOLDPOINT_FUZZ_TEXTS ?? 40_000);

/** Texts with literals wherever the grammar takes some, and what looks like one and is none. */
const forms = [
  ...[
    'select 1',
    'select 1 + 2 * 3.5',
    "select 'a'",
    "select 'a', 'b' as c, 1 d",
    'select -1, - 1, -(1), - -1',
  ],
  ...["select float(24) '1'", "select '1'::float(24)", 'select cast(1 as float(24))', "select bit(3) '101'"],
  ...[
    "select interval '1' day",
    "select interval(3) '1'",
    "select interval '1' hour to second(2)",
    "select '1'::varchar(10)",
  ],
  ...[
    "select extract('year' from now())",
    "select extract(year from date '2020-01-01')",
    'select a[1], a[1:2] from t',
  ],
  ...['select * from t tablesample system (10) repeatable (1)', 'select * from t limit 1 offset 2'],
  ...[
    'select * from t fetch first 1 rows only',
    'select * from t order by 1',
    'select a from t group by 1 having 1 < 2',
  ],
  ...["select set_config('search_path', 'a', false)", "select current_setting('a')", "select nextval('s')"],
  ...[
    "select dblink('password=x', 'select 1')",
    "select query_to_xml('delete from t', true, false, '')",
    'select pg_sleep(1)',
  ],
  ...[
    "select pg_read_file('a', 1, 2)",
    'select lo_unlink(1)',
    "select to_regclass('t')",
    "select * from f(1, 'a')",
  ],
  ...[
    "select 'a' like 'b' escape 'c'",
    "select a ~ 'b' from t",
    "select position('a' in 'b')",
    "select 'a' 'b'",
    "select 'a'\n'b'",
  ],
  ...[
    "select x'1f', b'101', e'a', n'b', u&'c' uescape '!'",
    'select u&"d" uescape \'!\'',
    'select "a""1", a1, a$1 from t1',
  ],
  ...[
    'select $1, $2::int, 1',
    'select $a$1$a$, 1',
    'select 1 -- 2',
    'select /* 1 */ 2',
    'select 1;',
    'select 1; select 2',
  ],
  ...[
    "select json_value(a, '$.b' returning int default 1 on error) from t",
    "select * from json_table(a, '$' columns (b int path '$.b')) x",
  ],
  ...[
    'select sum(a) over (order by b rows between 1 preceding and 2 following) from t',
    "select 1 union select 2 union all select 'a'",
  ],
  ...[
    "insert into t values (1, 'a', 1.5), (2, 'b', 2.5)",
    'insert into t (a) values (1) on conflict (a) do update set b = 2 where t.c = 3',
  ],
  ...["insert into t select 1, 'a' from generate_series(1, 10)", 'insert into t values (1) returning a + 1'],
  ...[
    'update t set a = 1 where b = 2',
    "update t set a = a + 1, c = 'x' where b = 2 and d = 'y'",
    'update t set a = 1',
    'update t set a = 1 where 1 = 1',
  ],
  ...[
    'update t set a = 1 where 1 = 2',
    "update t set a = 1 where 'a' = 'a' or b = 1",
    'update t set a = 1 where b in (1, 2, 3)',
  ],
  ...[
    'update t set a = 1 where b between 1 and 2',
    'update t set a = 1 where 1 in (1, 2)',
    'update t set a[1] = 2 where b = 3',
  ],
  ...[
    'delete from t where a = 1',
    'delete from t where true',
    'delete from t where a = 1 or 1 < 2',
    "delete from t using u where t.a = u.a and u.b = 'x'",
  ],
  ...[
    'delete from t where a = -1',
    "delete from t where a = '1'::int",
    'with x as (select 1 a) select * from x where a = 2',
  ],
  ...[
    'with x as (delete from t where a = 1 returning *) select * from x',
    "with x as (update t set a = 'b' returning 1) insert into u values (2)",
  ],
  ...[
    'explain select 1',
    'set a = 1',
    'prepare p as select 1',
    "copy t from 'a'",
    'fetch 1 from c',
    'declare c cursor for select 1',
    'vacuum (parallel 1) t',
  ],
];

const values = {
  number: [
    '0',
    '1',
    '2',
    '5',
    '24',
    '25',
    '53',
    '54',
    '007',
    '10',
    '123456789',
    '1234567890',
    '2147483647',
    '2147483648',
  ].concat([
    '99999999999999999999',
    '1.5',
    '0.0',
    '10.25',
    '.5',
    '1.',
    '1e5',
    '1.5e-3',
    '0x1f',
    '1_000',
    '0b1',
    '0o7',
    '1a',
    '-1',
  ]),
  string: [
    "''",
    "'a'",
    "'b'",
    "'c'",
    "'it''s'",
    "''''",
    "'search_path'",
    "'password=x'",
    "'é€'",
    "'1'",
    "'2020-01-01'",
    "'$.b'",
  ].concat([
    "'role'",
    "'!'",
    "'day'",
    "'101'",
    "'--'",
    "'/*'",
    "'a\\'",
    "'\"'",
    "'session_replication_role'",
    "'host=h'",
  ]),
};

/** What changes how the rest of a text is read. */
const traps = [
  "'",
  '"',
  '\\',
  '--',
  '-- a\n',
  '/*',
  '*/',
  '/* a */',
  '$a$',
  '$$',
  '$1',
  'e',
  'E',
  'U&',
  '&',
  'n',
  'x',
  ';',
  '(',
  ')',
].concat([
  '\n',
  ' ',
  '.',
  '-',
  '+',
  '_',
  '0',
  '1',
  '::int',
  ',',
  '\0',
  '\u00a0',
  'é',
  'float',
  ' or 1=1',
  "''",
  " '",
  "\n'",
]);

/** Chance that is the same again (mulberry32). */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Literals as anybody would find them, who does not know where a string begins. */
const literal = /'(?:[^']|'')*'|(?<![\w$"])\d[\w.]*/g;

function changed(text: string, pick: (below: number) => number): string {
  let out = text.replace(literal, (found) => {
    if (pick(6) === 0) return found;
    const pool = found.startsWith("'") === pick(30) > 0 ? values.string : values.number;
    return pool[pick(pool.length)]!;
  });
  for (let count = pick(4) === 0 ? 1 + pick(2) : 0; count > 0; count -= 1) {
    const at = pick(out.length + 1);
    out = out.slice(0, at) + traps[pick(traps.length)]! + out.slice(at + pick(2));
  }
  return out;
}

let engine: Engine;

beforeAll(async () => {
  engine = await Engine.load();
});

/** What the parser says, and nobody remembers. */
async function parsed(sql: Buffer): Promise<Analysis> {
  const refused = refusal(sql, 1 << 20);
  if (refused !== undefined) return refused;
  const analysis = analyzeWith(engine, sql);
  if (engine.broken) engine = await Engine.load();
  return analysis;
}

test('whatever the text, its stencil says what the parser says', { timeout: 3_600_000 }, async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const pick = chance(seed);
  const analyzer = await Analyzer.load();
  const texts = [...forms, ...attackCorpus.map(({ sql }) => sql), ...everydayCorpus.map(({ sql }) => sql)];
  try {
    for (let count = 0; count < textsMax; count += 1) {
      const sql = changed(pick(3) > 0 ? forms[pick(forms.length)]! : texts[pick(texts.length)]!, pick);
      const bytes = Buffer.from(sql);
      const found = await analyzer.analyze(bytes);
      expect(found, `seed ${seed}, ${JSON.stringify(sql)}`).toEqual(await parsed(bytes));
    }
    // It would be no test if stencils said nothing.
    expect(analyzer.stats.alike).toBeGreaterThan(textsMax / 20);
  } finally {
    await analyzer.close();
  }
});

describe('a text', () => {
  test.each([
    ["select a from t where b = 5 and c = 'x'", 'select a from t where b = \0i and c = \0s'],
    ["insert into t values (1, 2.50, 'it''s')", 'insert into t values (\0i, \0d, \0s)'],
    [
      'update "a1""2" set b = -7 where c1 = $1 and d = 12345678901',
      'update "a1""2" set b = -\0i where c1 = $1 and d = 12345678901',
    ],
    ['  SELECT 1;  ', '  SELECT \0i;  '],
  ])('has the stencil that it has: %s', (text, key) => {
    expect(stencilOf(text)?.key).toBe(key);
  });

  test.each(
    [
      [
        "select e'a', 1",
        'select 1 -- a',
        'select /* a */ 1',
        "select 'a\\'",
        'select $a$b$a$, 1',
        'select 1e5',
        'select .5, 1',
      ],
      [
        "select 'a'\n'b'",
        "select 'a' 'b'",
        "select u&'a'",
        'select u&"a", 1',
        'select 1a',
        'select 1.',
        "select 'a",
        'select 1, "a',
      ],
      [
        'set a = 1',
        'explain select 1',
        'select a from t',
        "select date'2020-01-01'",
        'select $1a, 1',
        'select 0x1f, 1 from t',
      ],
    ].flat(),
  )('has none: %s', (text) => {
    expect(stencilOf(text)).toBeUndefined();
  });
});

/** What the second of two texts is known by. */
async function known(first: string, second: string): Promise<'stencil' | 'parser'> {
  const analyzer = await Analyzer.load();
  try {
    for (const sql of [first, second])
      expect(await analyzer.analyze(Buffer.from(sql))).toEqual(await parsed(Buffer.from(sql)));
    return analyzer.stats.alike === 1 ? 'stencil' : 'parser';
  } finally {
    await analyzer.close();
  }
}

describe('of two texts that differ in values', () => {
  test.each([
    ['select abalance from accounts where aid = 1', 'select abalance from accounts where aid = 99999'],
    [
      "update t set a = 1, b = 'x' where c = 2",
      "update t set a = -0 + 5, b = 'x' where c = 2".replace('-0 + ', ''),
    ],
    ["insert into t values (1, 'a', 1.5)", "insert into t values (22, 'it''s', 20.25)"],
    ['delete from t where a = -1 and b in (1, 2)', 'delete from t where a = -7 and b in (3, 4)'],
    [
      "select '2020-01-01'::date + interval '1 day' limit 10",
      "select '2021-12-31'::date + interval '2 h' limit 1",
    ],
    ['select 1 ;', 'select 22 ;'],
  ])('the second is known by the first: %s', async (first, second) => {
    expect(await known(first, second)).toBe('stencil');
  });

  test.each([
    [
      'a fact rests on one',
      'update t set a = 1 where b = 2 or 3 = 4',
      'update t set a = 1 where b = 2 or 3 = 3',
    ],
    [
      'a setting has its name of it',
      "select set_config('a.b', '1', false)",
      "select set_config('role', '1', false)",
    ],
    ['a type has its name of it', 'select cast(a as float(24)) from t', 'select cast(a as float(53)) from t'],
    ['a name has its letters of it', 'select "a!0062" from t where b = 1', 'select "a!0062" from t'],
  ])('the parser is asked where %s', async (_what, first, second) => {
    expect(await known(first, second)).toBe('parser');
  });
});

test('texts of one length and stencil share a statement, so that what it means is found again, and no list', async () => {
  const analyzer = await Analyzer.load();
  const facts = async (sql: string): Promise<readonly Statement[]> => {
    const analysis = await analyzer.analyze(Buffer.from(sql));
    if (analysis.kind !== 'statements') throw new Error(analysis.kind);
    return analysis.statements;
  };
  await facts('select 1');
  const [one, other, longer] = [await facts('select 2'), await facts('select 3'), await facts('select 44')];
  expect(other[0]).toBe(one[0]);
  expect(longer[0]).toEqual({ ...one[0], end: 9 });
  // What is remembered of a text by its list (description.ts) is of that text alone.
  expect(other).not.toBe(one);
  await analyzer.close();
});
