// Replies by themselves: which forwarded frame an answer belongs to, as a list of events.

import { describe, expect, test } from 'vitest';
import { createGate, type Gate } from '../../src/session/gate.ts';
import { Replies } from '../../src/session/replies.ts';
import { frontendType } from '../../src/wire/messages/frontend.ts';

const types: Record<string, number> = {
  P: frontendType.parse,
  B: frontendType.bind,
  D: frontendType.describe,
  E: frontendType.execute,
  C: frontendType.close,
  S: frontendType.sync,
  Q: frontendType.query,
  c: frontendType.copyDone,
  f: frontendType.copyFail,
};

function gateOf(n: number): Gate {
  return createGate({
    n,
    proto: 'extended',
    sql: Buffer.alloc(0),
    own: [],
    resolved: [],
    statements: [],
    parameterTypes: [],
    explainedBy: undefined,
    verdict: { action: 'pass', rule: '', reason: '' },
    parameters: [],
    behind: [],
  });
}

/**
 * Feeds a script. Words of the client are its frames (`P1` is a Parse named 1, `E1` the Execute of gate 1), those behind
 * `<` the server's answers; returns what was told.
 */
function told(script: string): { events: string[]; replies: Replies } {
  const events: string[] = [];
  const gates = new Map<string, Gate>();
  const tell = (what: string) => (subject: unknown) => {
    const named = subject as { key?: string; n?: number } | string;
    events.push(`${what} ${typeof named === 'string' ? named : (named.key ?? named.n)}`);
  };
  const replies = new Replies({
    parsed: tell('parsed'),
    parseRefused: tell('refused'),
    parseSkipped: tell('unparsed'),
    parseDoubtful: tell('doubtful'),
    closed: tell('closed'),
    completed: tell('done'),
    suspended: tell('suspended'),
    failed: tell('failed'),
    skipped: tell('skipped'),
    doubtful: tell('doubtful'),
    ready: tell('ready'),
    lost: () => events.push('lost'),
  });
  const answers: Record<string, () => void> = {
    '1': () => replies.acknowledged(types.P as typeof frontendType.parse),
    '2': () => replies.acknowledged(types.B as typeof frontendType.bind),
    '3': () => replies.acknowledged(types.C as typeof frontendType.close),
    T: () => replies.described(),
    C: () => replies.completed('X 1'),
    I: () => replies.completed(undefined),
    s: () => replies.suspended(),
    G: () => replies.copyInStarted(),
    E: () => replies.failed(),
    Z: () => replies.ready('I'),
  };
  for (const word of script.split(' ')) {
    if (word.startsWith('<')) {
      for (const letter of word.slice(1)) answers[letter]?.();
      continue;
    }
    const id = word.slice(1);
    const letter = word[0] ?? '';
    if ('BEQ'.includes(letter) && id !== '' && !gates.has(id)) gates.set(id, gateOf(Number(id)));
    replies.push({
      type: types[letter] ?? 0,
      gate: 'BEQ'.includes(letter) ? gates.get(id) : undefined,
      staged: letter === 'P' ? { key: id, prepared: undefined, segment: 0 } : undefined,
      closes: letter === 'C' && id !== '' ? id : undefined,
    });
  }
  return { events, replies };
}

test.each([
  ['P1 B1 D E1 S <12TCZ', 'parsed 1, done 1, ready I'],
  ['Q1 <CCCZ', 'done 1, done 1, done 1, ready I'],
  ['B1 E1 S <2sZ E1 S <CZ', 'suspended 1, ready I, done 1, ready I'],
  ['C1 C S <33Z', 'closed 1, ready I'],
  ['P1 P2 B2 E2 S <E <Z', 'refused 1, unparsed 2, skipped 2, skipped 2, ready I'],
  ['P1 B1 E1 S P2 S <12EZ1Z', 'parsed 1, failed 1, ready I, parsed 2, ready I'],
  ['B1 E1 Q2 S Q3 <E <Z <CZ', 'failed 1, skipped 1, skipped 2, ready I, done 3, ready I'],
  ['B1 E1 S <2CEZ', 'done 1, ready I'],
  ['Q1 Q2 <EZCZ', 'failed 1, ready I, done 2, ready I'],
  ['Q1 <CEZ', 'done 1, failed 1, ready I'],
  ['P1 <E P2 Q3 S <Z', 'refused 1, unparsed 2, skipped 3, ready I'],
])('%s is told as %s', (script, expected) => {
  const { events, replies } = told(script);
  expect(events.join(', ')).toBe(expected);
  expect(replies.outstanding).toBe(false);
});

describe('an answer that fits nothing is told as lost', () => {
  test.each(['<Z', '<1', 'P1 <2', 'B1 <C', 'Q1 <Z', 'P1 B1 S <Z', '<C', '<G', 'D <3'])('%s', (script) => {
    expect(told(script).events).toContain('lost');
  });
});

describe('COPY IN', () => {
  test.each([
    ['E1 S <G c S <CZ', 'done 1, ready I'],
    ['E1 S c S <GCZ', 'done 1, ready I'],
    ['E1 <G S S c S <CZ', 'done 1, ready I'],
    ['Q1 <G f <EZ', 'failed 1, ready I'],
    ['Q1 c c <GCGCZ', 'done 1, done 1, ready I'],
    ['E1 S c S <EZZ', 'failed 1, ready I, ready I'],
    ['E1 S <GEZ c S <Z', 'failed 1, ready I, ready I'],
    ['E1 S <GE c S <Z', 'failed 1, ready I'],
    ['E1 S P2 Q3 S <GE', 'failed 1, doubtful 2, doubtful 3'],
    ['E1 S <GE P2 B3 S', 'failed 1, doubtful 2, doubtful 3'],
    ['E1 <GE P2 B3 S <Z', 'failed 1, unparsed 2, skipped 3, ready I'],
    ['c f Q1 <CZ', 'done 1, ready I'],
  ])('%s is told as %s', (script, expected) => {
    expect(told(script).events.join(', ')).toBe(expected);
  });

  test('is said to run from its beginning to its end, and its end leaves nothing owed', () => {
    expect(told('Q1 <G').replies.copying).toBe(true);
    const { replies } = told('Q1 <G c <CZ c');
    expect([replies.copying, replies.outstanding, replies.length]).toEqual([false, false, 0]);
  });
});

test('a segment is open while frames without their Sync are unanswered', () => {
  const open = (script: string): boolean => told(script).replies.segmentOpen;
  expect([open('P1'), open('P1 S'), open('P1 <1'), open('Q1'), open('Q1 P1')]).toEqual([
    true,
    false,
    false,
    false,
    true,
  ]);
});

test('discarding is certain only where no Sync can have ended it', () => {
  const discarding = (script: string): boolean => told(script).replies.discarding;
  expect([discarding('P1 <E'), discarding('P1 <E S'), discarding('P1 S <E'), discarding('E1 S <GE')]).toEqual(
    [true, false, false, false],
  );
});

test('a hundred thousand answered frames leave an empty queue', () => {
  const { replies } = told('Q1 <CZ');
  for (let each = 0; each < 50_000; each += 1) {
    replies.push({ type: frontendType.bind, gate: undefined, staged: undefined, closes: undefined });
    replies.push({ type: frontendType.execute, gate: undefined, staged: undefined, closes: undefined });
    replies.acknowledged(frontendType.bind);
    replies.completed('X');
  }
  expect(replies.length).toBe(0);
});
