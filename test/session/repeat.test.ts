// What may go again without being judged: each of the conditions, taken away by itself, makes it judged again.

import { afterAll, describe, expect, test } from 'vitest';
import type { Gate } from '../../src/session/gate.ts';
import { isRepeatable, isSettled, mayRepeat, type Repetition, repeated } from '../../src/session/repeat.ts';
import type { State } from '../../src/session/state.ts';
import type { Statement } from '../../src/sql/statement.ts';
import { bind, close, execute, flush, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { plainCatalog } from '../support/catalog.ts';
import { copyResponse, portalSuspended } from '../support/frames.ts';
import { analyzer, C, defaultRules, E, ok, parameterStatus, Transcript, Z } from './transcript.ts';

afterAll(() => analyzer.close());

/** As deep as a member is to differ. */
type Differing<Value> = { readonly [M in keyof Value]?: unknown };

function but<Value extends object>(value: Value, differing: Differing<Value>): Value {
  return { ...value, ...differing };
}

/** A session in which a prepared read has gone well, and its gate. */
function ended(
  sql = 'select 1',
  options: ConstructorParameters<typeof Transcript>[0] = {},
): { talk: Transcript; gate: Gate } {
  const talk = new Transcript(options);
  talk.client(parse('s', sql), sync());
  talk.server(ok('1'), Z());
  talk.client(bind('', 's'), execute(''), sync());
  talk.server(ok('2'), C('SELECT 1'), Z());
  return { talk, gate: talk.gates.at(-1)! };
}

function again(gate: Gate, isDescribed = true): Repetition {
  return { gate, from: 'I', to: 'I', isDescribed, prepared: undefined };
}

describe('a gate is repeatable', () => {
  const { gate } = ended();
  const catalog = { ...plainCatalog(), reach: gate.explainedBy };
  const state = {
    judge: { remembers: () => true },
    settings: { pathMoved: false },
    options: { catalog },
  } as unknown as State;
  const [text] = gate.own as [Statement];
  const [statement] = gate.statements as [Statement];
  const { verdict } = gate;

  test('if it was a plain read that passed as it is', () => {
    expect(isRepeatable(gate, state)).toBe(true);
  });

  test.each<[string, Differing<Gate>]>([
    ['one without a tag', { tags: [] }],
    ['one with two tags', { tags: ['SELECT 1', 'SELECT 1'] }],
    ['one with another tag', { tags: ['EXPLAIN'] }],
    ['one that merges', { tags: ['MERGE 1'] }],
    ['one that inserts with an OID', { tags: ['INSERT 7 1'] }],
    ['one whose tag goes on', { tags: ['SELECT 1 '] }],
    ['one that made a table', { tags: ['CREATE TABLE AS'] }],
    ...['waiting', 'suspended', 'error', 'canceled', 'skipped', 'unknown', 'refused'].map(
      (state): [string, Differing<Gate>] => [`one that is ${state}`, { state }],
    ),
    ['one whose answer waits for the disk', { durability: 'output' }],
    ['one that rows are reserved for', { reserved: { settle: () => undefined } }],
    ['one that a person released before', { again: true }],
    ['one with a prepared statement behind it', { behind: [{}] }],
    ['one of no statement', { own: [], statements: [] }],
    ['one of two statements', { own: [text, text], statements: [statement, statement] }],
    ['one text that comes to two statements', { statements: [statement, statement] }],
    ['two texts that come to one', { own: [text, text] }],
    ['one that uses a prepared name', { own: [but(text, { names: [{ kind: 'execute', name: 's' }] })] }],
    ['one that shows what is held', { own: [but(text, { shows: 'requests' })] }],
    ['one with a secret', { own: [but(text, { secret: true })] }],
    ['one that truncates', { statements: [but(statement, { effects: ['truncate'] })] }],
    ['one that sets something', { own: [but(text, { settings: [{ name: 'x' }] })] }],
    [
      'one that begins a transaction in another way',
      { statements: [but(statement, { effects: ['transaction'], command: 'SAVEPOINT' })] },
    ],
    [
      'one that begins a transaction and reads',
      { statements: [but(statement, { effects: ['read', 'transaction'], command: 'BEGIN' })] },
    ],
    ['one that reads and does more', { statements: [but(statement, { effects: ['read', 'unproven'] })] }],
    ['one that does more and reads', { statements: [but(statement, { effects: ['function', 'read'] })] }],
    ['one that was held', { verdict: but(verdict, { action: 'hold' }) }],
    ['one that was denied', { verdict: but(verdict, { action: 'deny' }) }],
    ['one that went in an enclosure', { verdict: but(verdict, { enclosure: { kind: 'read-only' } }) }],
    ['one that only the shadow mode let pass', { verdict: but(verdict, { shadow: 'hold' }) }],
    ['one on a budget', { verdict: but(verdict, { budget: [{ rule: 'r', rows: 1 }] }) }],
    ['one that no catalog explained', { explainedBy: undefined }],
    ['one that another catalog explained', { explainedBy: { ...gate.explainedBy } }],
  ])('not %s', (_, differing) => {
    expect(isRepeatable(but(gate, differing), state)).toBe(false);
  });

  test.each<[string, Differing<Gate>]>([
    [
      'it changes rows',
      { statements: [but(statement, { effects: ['update'] })], tags: ['UPDATE 3'], durability: 'disk' },
    ],
    ['it locks what it reads', { statements: [but(statement, { effects: ['lock-rows', 'read'] })] }],
    [
      'it begins a transaction',
      { statements: [but(statement, { effects: ['transaction'], command: 'BEGIN' })], tags: ['BEGIN'] },
    ],
  ])('if %s', (_, differing) => {
    expect(isRepeatable(but(gate, differing), state)).toBe(true);
  });

  test('not if it begins or ends a transaction once search_path was set', () => {
    const begins = but(gate, {
      statements: [but(statement, { effects: ['transaction'], command: 'COMMIT' })],
      tags: ['COMMIT'],
    });
    expect(isRepeatable(begins, state)).toBe(true);
    expect(isRepeatable(begins, but(state, { settings: { pathMoved: true } }))).toBe(false);
  });

  test.each<[string, Differing<State>]>([
    ['the catalog cannot be read', { options: { catalog: { ...catalog, reach: undefined } } }],
    ['the verdict is not remembered', { judge: { remembers: () => false } }],
  ])('not if %s', (_, differing) => {
    expect(isRepeatable(gate, but(state, differing))).toBe(false);
    // Where neither knows anything, they do not agree.
    if ('options' in differing)
      expect(isRepeatable(but(gate, { explainedBy: undefined }), but(state, differing))).toBe(false);
  });
});

describe('in a session', () => {
  test('a prepared read that went well is repeatable, settled, and may be repeated', () => {
    const { talk, gate } = ended();
    expect(talk.session.settled).toBe(true);
    expect(talk.session.isRepeatable(gate)).toBe(true);
    expect(talk.session.mayRepeat(gate, defaultRules)).toBe(true);
  });

  test.each([
    'delete from t',
    "set search_path = 'x'",
    "select set_config('search_path', 'x', false)",
    'set role other',
    'create temp table t (a int)',
    'discard all',
    'deallocate s',
    'execute s',
    'select f()',
    'declare c cursor for select 1',
    'fetch c',
    'listen x',
    'prepare p as select 1',
    'do $$ begin end $$',
    '',
  ])('%s is not', (sql) => {
    const talk = new Transcript();
    talk.client(parse('s', sql), sync());
    talk.server(ok('1'), Z());
    talk.client(bind('', 's'));
    const { step } = talk;
    const gate = 'gate' in step ? step.gate : undefined;
    if (gate === undefined) return;
    // Whatever became of it: as if it had gone well.
    expect(
      talk.session.isRepeatable(but(gate, { state: 'ok', durability: 'kill', tags: ['SELECT 1'] })),
    ).toBe(false);
  });

  /** What the session knows that a repetition would not meet. */
  test.each<[string, (talk: Transcript) => void]>([
    ['something is owed', (talk) => talk.client(query('select 1'))],
    ['a Sync is owed', (talk) => talk.client(sync())],
    [
      'no Sync has come',
      (talk) => {
        talk.client(bind('', 's'), flush());
        talk.server(ok('2'));
      },
    ],
    [
      'a statement is closed without a Sync',
      (talk) => {
        talk.client(close('S', 's'), flush());
        talk.server(ok('3'));
      },
    ],
    [
      'the server discards',
      (talk) => {
        talk.client(bind('', 's'), flush());
        talk.server(E('42P01'));
      },
    ],
    [
      'a transaction has failed',
      (talk) => {
        talk.client(query('begin'));
        talk.server(C('BEGIN'), Z('T'));
        talk.client(query('select 1'));
        talk.server(E('42P01'), Z('E'));
      },
    ],
    [
      'a portal is open',
      (talk) => {
        talk.client(query('begin'));
        talk.server(C('BEGIN'), Z('T'));
        talk.client(bind('', 's'), execute('', 1), sync());
        talk.server(ok('2'), portalSuspended(), Z('T'));
      },
    ],
    [
      'a Query came between frames that wait for their Sync',
      (talk) => {
        talk.client(bind('', 's'), execute(''), query('select 1'));
        talk.server(ok('2'), C('SELECT 1'), C('SELECT 1'), Z());
      },
    ],
    [
      'a COPY goes on',
      (talk) => {
        talk.client(query('copy t to stdout'));
        talk.server(copyResponse('H', 1));
      },
    ],
    ['a Parse is kept back', (talk) => talk.client(parse('d', 'delete from t where a = 1'))],
  ])('while %s it is not settled', (_, happen) => {
    const { talk } = ended();
    happen(talk);
    expect(talk.session.settled).toBe(false);
  });

  test('it is settled again when all of that is over', () => {
    const { talk } = ended();
    talk.client(query('begin'));
    talk.server(C('BEGIN'), Z('T'));
    talk.client(query('rollback'));
    talk.server(C('ROLLBACK'), Z());
    expect(talk.session.settled).toBe(true);
  });

  test('what the server says by itself is counted, what it answers is not', () => {
    const { talk } = ended();
    const { asides } = talk.session;
    talk.client(bind('', 's'), execute(''), sync());
    talk.server(ok('2'), C('SELECT 1'), Z());
    expect(talk.session.asides).toBe(asides);
    talk.server(parameterStatus('TimeZone', 'UTC'));
    expect(talk.session.asides).toBe(asides + 1);
    talk.client(query('select 1'));
    talk.server(E('42P01'), Z());
    expect(talk.session.asides).toBe(asides + 2);
  });

  test('repetitions count as statements, and the next one has the number behind them', () => {
    const { talk, gate } = ended();
    const before = talk.session.gates;
    talk.session.repeated({ many: 5, parsed: undefined, status: 'I', gates: 0 });
    expect(talk.session.gates).toBe(before + 5);
    expect(talk.session.settled).toBe(true);
    talk.client(bind('', 's'), execute(''), sync());
    expect(talk.gates.at(-1)!.n).toBe(before + 6);
    talk.server(ok('2'), C('SELECT 1'), Z());
    expect(talk.session.isRepeatable(gate)).toBe(true);
  });

  test('what repetitions did in a transaction is known to its COMMIT', () => {
    for (const [status, durability] of [
      ['T', 'kill'],
      ['W', 'disk'],
      ['D', 'seal'],
    ] as const) {
      const { talk } = ended();
      talk.client(query('begin'));
      talk.server(C('BEGIN'), Z('T'));
      expect(talk.session.repeatStatus).toBe('T');
      talk.session.repeated({ many: 1, parsed: undefined, status, gates: 2 });
      expect(talk.session.repeatStatus).toBe(status);
      talk.client(query('commit'));
      expect(talk.gates.at(-1)!.durability).toBe(durability);
      talk.server(C('COMMIT'), Z());
      expect(talk.session.repeatStatus).toBe('I');
    }
  });

  test.each([false, true])(
    'one that is under way is answered like any other (described: %s)',
    (isDescribed) => {
      const { talk, gate } = ended();
      const before = talk.session.gates;
      talk.session.repeats(again(gate, isDescribed), 77, 3);
      expect([talk.session.busy, talk.session.settled]).toEqual([true, false]);
      // It is in order with what comes behind it.
      talk.client(query('select 2'));
      const answer = [ok('2'), ...(isDescribed ? [ok('n')] : []), C('SELECT 4'), Z()];
      talk.server(...answer);
      expect(talk.outcomes.at(-1)).toBe(`${before + 1} ok SELECT 4`);
      talk.server(C('SELECT 1'), Z());
      expect(talk.outcomes.at(-1)).toBe(`${before + 2} ok SELECT 1`);
      expect(talk.session.settled).toBe(true);
      expect(gate.state).toBe('ok');
    },
  );

  test('one under way that fails, or whose server is lost, ends as any other', () => {
    const { talk, gate } = ended();
    talk.session.repeats(again(gate), 77, 3);
    talk.server(ok('2'), ok('n'), E('57014'), Z());
    expect(talk.outcomes.at(-1)).toBe(`${talk.session.gates} canceled 57014`);
    expect(talk.session.settled).toBe(true);
    talk.session.repeats(again(gate), 78, 3);
    talk.session.lost();
    expect(talk.outcomes.at(-1)).toBe(`${talk.session.gates} unknown`);
  });
});

test('the gate of a repetition is its own, and says nothing of how the first one went', () => {
  const { gate } = ended();
  const own = repeated(again(gate), 9, 33);
  expect(own).toMatchObject({ n: 9, ref: 33, state: 'waiting', rows: 0, owed: 0, answeredAt: -1 });
  expect([own.tags, own.parameters]).toEqual([[], []]);
  expect(own.verdict).toBe(gate.verdict);
  expect(gate).toMatchObject({ state: 'ok', tags: ['SELECT 1'] });
});

describe('a state is settled', () => {
  const nothing = {
    replies: { outstanding: false, unsynced: false, unclear: false, discarding: false },
    outcomes: { status: 'I', size: 0 },
    enclosures: { current: undefined, segment: { ours: false } },
    outbox: { deferring: false },
    settings: { defining: false, pathMoved: false },
    code: { unreported: false, open: false },
    portals: new Map(),
    adopting: false,
    options: { escort: { idle: true } },
  };
  const settled = nothing as unknown as State;

  test('if nothing is owed, begun or in doubt, with an escort or without', () => {
    expect(isSettled(settled)).toBe(true);
    expect(isSettled(but(settled, { options: {} }))).toBe(true);
  });

  test('within a transaction as well, if its end brings nothing back and nothing to light', () => {
    const within = but(settled, { outcomes: { ...nothing.outcomes, status: 'T' } });
    expect(isSettled(within)).toBe(true);
    expect(isSettled(but(within, { settings: { ...nothing.settings, pathMoved: true } }))).toBe(false);
    expect(isSettled(but(within, { code: { ...nothing.code, open: true } }))).toBe(false);
    expect(isSettled(but(within, { portals: new Map([['', {}]]) }))).toBe(false);
    // Between transactions none of that is left.
    expect(isSettled(but(settled, { settings: { ...nothing.settings, pathMoved: true } }))).toBe(true);
    expect(isSettled(but(settled, { portals: new Map([['', {}]]) }))).toBe(true);
  });

  test.each<[string, Differing<State>]>([
    ...Object.keys(nothing.replies).map((name): [string, Differing<State>] => [
      `replies.${name}`,
      { replies: { ...nothing.replies, [name]: true } },
    ]),
    ['outcomes.status E', { outcomes: { ...nothing.outcomes, status: 'E' } }],
    ['outcomes.size', { outcomes: { ...nothing.outcomes, size: 1 } }],
    ['enclosures.current', { enclosures: { ...nothing.enclosures, current: {} } }],
    ['enclosures.segment.ours', { enclosures: { ...nothing.enclosures, segment: { ours: true } } }],
    ['outbox.deferring', { outbox: { deferring: true } }],
    ['settings.defining', { settings: { defining: true } }],
    ['code.unreported', { code: { unreported: true } }],
    ['adopting', { adopting: true }],
    ['escort', { options: { escort: { idle: false } } }],
  ])('not with %s', (_, differing) => {
    expect(isSettled(but(settled, differing))).toBe(false);
  });
});

describe('a repeatable gate may be repeated', () => {
  const { gate } = ended();
  const options = {
    catalog: { ...plainCatalog(), reach: gate.explainedBy },
    policy: () => defaultRules,
    escort: { idle: true },
  };
  const state = { options } as unknown as State;

  test('as long as what it was judged by holds', () => {
    expect(mayRepeat(gate, defaultRules, state)).toBe(true);
    expect(
      mayRepeat(gate, defaultRules, { options: { ...options, escort: undefined } } as unknown as State),
    ).toBe(true);
  });

  test.each<[string, object]>([
    ['the catalog is another', { catalog: { ...options.catalog, reach: { ...gate.explainedBy } } }],
    ['the catalog cannot be read', { catalog: { ...options.catalog, reach: undefined } }],
    ['the catalog is being read', { catalog: { ...options.catalog, pending: Promise.resolve() } }],
    ['the rules are others', { policy: () => ({ ...defaultRules }) }],
    ['a plan waits', { escort: { idle: false } }],
  ])('not if %s', (_, differing) => {
    expect(mayRepeat(gate, defaultRules, { options: { ...options, ...differing } } as unknown as State)).toBe(
      false,
    );
  });

  test.each([
    ['read'],
    ['lock-rows', 'read'],
    ['insert'],
    ['update'],
    ['delete', 'read'],
    ['sequence'],
    ['transaction'],
  ])('while nothing may be changed, only if a session that judges it lets it pass: %s', (...effects) => {
    const statements = [but(gate.statements[0]!, { effects })];
    const locked = { options: { ...options, locked: () => 'a review is overdue' } } as unknown as State;
    // What Judge does not deny then.
    const isHarmless = effects.every((effect) => effect === 'read' || effect === 'transaction');
    expect(mayRepeat(but(gate, { statements }), defaultRules, locked)).toBe(isHarmless);
  });
});
