import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lineLengthMax, textLength } from '../../src/audit/frequent.ts';
import { encodeRecord, moveLongMembers } from '../../src/audit/line.ts';
import type { RecordBody, Stamp, StatementBody } from '../../src/audit/record.ts';
import { growing } from '../../src/audit/words.ts';
import { canonical } from '../../verify/src/jcs.ts';
import { commit, leafHash, lineBytesMax } from '../../verify/src/leaf.ts';
import { statement } from './fixture.ts';

const stamp: Stamp = {
  seq: 7,
  prev: 'p'.repeat(43),
  ts: 1_700_000_000_000_001,
  mono: 12,
  node: 'holdpoint/test',
  boot: 'b',
};

const bodies: RecordBody[] = [
  { kind: 'genesis', origin: 'o', root: 'r', jwk: { x: 'x', kty: 'OKP' } },
  { kind: 'boot', version: '1', pid: 1, host: 'h', config: 'c' },
  { kind: 'bye', reason: 'shutdown' },
  { kind: 'auth', sid: 's', client: '[::1]:5', agent: 'a', target: 't', ok: false, method: 'scram-sha-256' },
  {
    kind: 'auth',
    sid: 's',
    client: '[::1]:5',
    agent: 'a',
    target: 't',
    ok: true,
    method: 'm',
    server: '6.a',
  },
  { kind: 'own', target: 't', server: '692b9b3f.1a2b' },
  statement(1, { pc: ['c'], params: ['1', null], lits: ['x'], shadow: 'hold', rid: 'r', cmd: ['SELECT'] }),
  { kind: 'outcome', ref: 3, st: 'error', sqlstate: '42P01', tags: ['A', 'B'], rows: 0, dur_us: 3.7 },
  { kind: 'hold', rid: 'r', rd: 'd', R: '{"a":"\\u0000"}', ref: 1 },
  { kind: 'decision', rid: 'r', D: '{}', ev: { kind: 'jws', jws: 'x', Z: [1, { b: null, a: true }] } },
  { kind: 'grant_use', rid: 'r', ref: 1, by: ['alice'], decisions: [4, 5] },
  { kind: 'intent', rid: 'r', ref: 1, wire: 'w' },
  { kind: 'reject', rid: 'r', by: 'alice', reason: 'no' },
  { kind: 'policy', target: 't', digest: 'd' },
  { kind: 'approver', id: 'alice', act: 'enrol', kid: 'k', jwk: { x: 'x' } },
  { kind: 'hb' },
  { kind: 'key', epoch: 1, kid: 'k', jwk: { x: 'x' }, cert: 'e' },
  { kind: 'recover', from: 1, to: 2, torn_len: 0 },
  { kind: 'gap', reason: 'r', from: 1, to: 2, count: 1 },
  { kind: 'view', rid: 'r', by: 'alice' },
];

test.each(bodies)('a $kind record is canonical JSON and says what it was given', (body) => {
  const line = encodeRecord(body, stamp);
  const parsed = JSON.parse(line);
  expect(canonical(parsed)).toBe(line);
  const expected = body.kind === 'outcome' ? { ...body, dur_us: 4 } : body;
  expect(parsed).toEqual({ ...expected, ...stamp, v: 1 });
});

test('golden bytes of a record', () => {
  expect(
    encodeRecord({ kind: 'outcome', ref: 3, st: 'ok', tags: ['DELETE 42'], rows: 42, dur_us: 8 }, stamp),
  ).toBe(
    `{"boot":"b","dur_us":8,"kind":"outcome","mono":12,"node":"holdpoint/test","prev":"${stamp.prev}",` +
      '"ref":3,"rows":42,"seq":7,"st":"ok","tags":["DELETE 42"],"ts":1700000000000001,"v":1}',
  );
});

test('no SQL breaks out of its line', () => {
  const attacks = [
    'select 1\n{"kind":"stmt"}',
    'a\r\nb',
    'x\u2028y\u2029z',
    'nul \0 here',
    '"}\n{"',
    '\\',
    'half \ud800 pair',
    '\u202e',
  ];
  for (const sql of attacks) {
    const line = encodeRecord(statement(1, { sql }), stamp);
    expect(line).not.toMatch(/[\n\r\0]/);
    expect(JSON.parse(line).sql).toBe(sql.toWellFormed());
    expect(canonical(JSON.parse(line))).toBe(line);
  }
});

test('any text at all stays in its member', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (sql, agent) => {
      const line = encodeRecord(statement(1, { sql, agent }), stamp);
      expect(line.includes('\n')).toBe(false);
      expect(JSON.parse(line)).toMatchObject({
        sql: sql.toWellFormed(),
        agent: agent.toWellFormed(),
        seq: 7,
      });
      expect(canonical(JSON.parse(line))).toBe(line);
    }),
  );
});

test('a number that is no exact integer is refused', () => {
  for (const ref of [1.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])
    expect(() => encodeRecord({ kind: 'outcome', ref, st: 'ok', dur_us: 1 }, stamp)).toThrow(TypeError);
});

test('an integer that is said with what was kept of the one before is said whole', () => {
  const value = fc.oneof(
    fc.maxSafeInteger(),
    fc.nat(3_000_000),
    fc.integer({ min: 0, max: 3000 }).map((thousands) => 1_700_000_000_000_000 + 1000 * thousands),
  );
  fc.assert(
    fc.property(fc.array(value, { minLength: 1 }), (values) => {
      const said = growing();
      expect(values.map((each) => said(each))).toEqual(values.map(String));
    }),
  );
  for (const wrong of [1.5, 1e6 + 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])
    expect(() => growing()(wrong)).toThrow(TypeError);
});

test('the leaf hash is SHA-256 of a zero byte and the line', () => {
  const line = encodeRecord(statement(1, { sql: 'select ‹ä›' }), stamp);
  const expected = createHash('sha256').update(Buffer.of(0)).update(line, 'utf8').digest('base64url');
  expect(leafHash(line)).toBe(expected);
});

test('long members move to blobs and leave their beginning', () => {
  const sql = `select '${'ä\n'.repeat(60_000)}'`;
  const { body, blobs } = moveLongMembers(statement(1, { sql, params: ['x'.repeat(9000)] }), 4096);
  const line = encodeRecord(body, stamp);
  expect(Buffer.byteLength(line)).toBeLessThan(lineBytesMax);
  expect(canonical(JSON.parse(line))).toBe(line);
  const parsed = JSON.parse(line);
  expect(parsed.sql).toBe(sql.slice(0, 4096));
  expect(parsed.params).toBeUndefined();
  expect(blobs.map(({ bytes }) => bytes.toString('utf8'))).toEqual([sql, JSON.stringify(['x'.repeat(9000)])]);
  expect(parsed.blobs.sql).toEqual({ len: Buffer.byteLength(sql), sha: blobs[0]!.sha });
  expect(blobs[0]!.sha).toBe(createHash('sha256').update(sql).digest('hex'));
});

test('a commitment tells salts, types and values apart, and NULL from every value', () => {
  const salt = Buffer.alloc(16, 1);
  const all = [
    commit(salt, 25, Buffer.from('a')),
    commit(salt, 23, Buffer.from('a')),
    commit(Buffer.alloc(16, 2), 25, Buffer.from('a')),
    commit(salt, 25, Buffer.from('b')),
    commit(salt, 25, undefined),
    commit(salt, 25, Buffer.of(0xff)),
    commit(salt, 0, Buffer.alloc(0)),
  ];
  expect(new Set(all).size).toBe(all.length);
  expect(all[0]).toBe(
    createHash('sha256')
      .update(
        Buffer.concat([Buffer.from('holdpoint-commit-v1\0'), salt, Buffer.of(0, 0, 0, 25), Buffer.from('a')]),
      )
      .digest('base64url'),
  );
});

// The compiler asks for each member there is, also for one that comes.
const word = fc.constantFrom('a', 'b', '"', '\ud800', '');
const list = fc.array(word, { maxLength: 2 });
const integer = fc.maxSafeInteger();

function maybe<Value>(of: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> {
  return fc.option(of, { nil: undefined });
}

const members = [
  'sid',
  'n',
  'agent',
  'role',
  'cmd',
  'effects',
  'sql',
  'len',
  'pc',
  'params',
  'ref',
  'st',
  'tags',
  'rows',
];

const statements: fc.Arbitrary<Required<StatementBody>> = fc.record({
  kind: fc.constant('stmt'),
  sid: word,
  n: integer,
  agent: word,
  target: word,
  db: word,
  role: fc.option(word),
  tx: word,
  proto: fc.constantFrom('Q', 'X'),
  cls: word,
  cmd: maybe(list),
  effects: list,
  dec: fc.constantFrom('pass', 'hold'),
  dc: maybe(fc.constantFrom('kill', 'disk')),
  rule: word,
  reason: maybe(word),
  shadow: maybe(fc.constantFrom('hold', 'deny')),
  sql: maybe(word),
  sha: maybe(word),
  len: integer,
  lits: maybe(list),
  pc: maybe(list),
  params: maybe(fc.array(fc.option(word), { maxLength: 2 })),
  mac: maybe(word),
  rid: maybe(word),
});

const outcomes: fc.Arbitrary<Required<Extract<RecordBody, { kind: 'outcome' }>>> = fc.record({
  kind: fc.constant('outcome'),
  ref: integer,
  rid: maybe(word),
  st: fc.constantFrom('ok', 'error'),
  tags: maybe(list),
  rows: maybe(integer),
  sqlstate: maybe(word),
  dur_us: integer,
});

test('a record that says what the one before said is encoded as if it were alone', () => {
  const records = fc.tuple(fc.oneof(statements, outcomes), word);
  fc.assert(
    fc.property(fc.array(records, { minLength: 2, maxLength: 6 }), (sequence) => {
      for (const [body, boot] of sequence) {
        const wellFormed = JSON.parse(JSON.stringify({ ...body, ...stamp, boot, v: 1 }), (_, value) =>
          typeof value === 'string' ? value.toWellFormed() : value,
        );
        expect(encodeRecord(body as RecordBody, { ...stamp, boot })).toBe(canonical(wellFormed));
      }
    }),
    { numRuns: 1000 },
  );
});

test('a statement that differs from the one before in one member says that member', () => {
  const texts = 'sid agent target db role tx proto cls dec dc rule reason shadow sql sha mac rid'.split(' ');
  const lists = ['cmd', 'effects', 'lits', 'pc', 'params'];
  const whole = {
    kind: 'stmt',
    ...Object.fromEntries(texts.map((name) => [name, `a ${name}`])),
    ...Object.fromEntries(lists.map((name) => [name, [`a ${name}`]])),
    n: 1,
    len: 2,
  };
  for (const member of Object.keys(whole).slice(1)) {
    const other = lists.includes(member) ? ['other'] : texts.includes(member) ? 'other' : 7_777;
    for (const change of [{}, { [member]: other }, { boot: 'other' }, { node: 'other' }, {}]) {
      const { boot = stamp.boot, node = stamp.node, ...changed } = change as Record<string, string>;
      const body = { ...whole, ...changed };
      expect(encodeRecord(body as unknown as RecordBody, { ...stamp, boot, node })).toBe(
        canonical(JSON.parse(JSON.stringify({ ...body, ...stamp, boot, node, v: 1 }))),
      );
    }
  }
});

test('a statement without its agent, which opens the line, is refused', () => {
  const nobody = statement(1, { agent: undefined as unknown as string });
  for (const body of [nobody, statement(1), nobody]) {
    if (body === nobody) expect(() => encodeRecord(body, stamp)).toThrow(TypeError);
    else expect(JSON.parse(encodeRecord(body, stamp)).agent).toBe(statement(1).agent);
  }
});

test('a line that may wait is made without fail, and is no longer than was said', () => {
  const garbage = fc.oneof(
    fc.constant(undefined),
    fc.double(),
    fc.constant(null),
    list,
    fc.string({ unit: 'binary' }),
  );
  const spoilt = fc
    .tuple(
      fc.oneof(statements, outcomes),
      fc.dictionary(fc.constantFrom(...members), garbage, { maxKeys: 2 }),
    )
    .map(([body, change]) => ({ ...body, ...change }) as unknown as RecordBody);
  let waited = 0;
  fc.assert(
    fc.property(spoilt, (body) => {
      const length = textLength(body);
      if (Number.isNaN(length)) return;
      waited += 1;
      const line = encodeRecord(body, stamp);
      expect(line.length).toBeLessThanOrEqual(lineLengthMax(length));
      expect(canonical(JSON.parse(line))).toBe(line);
    }),
    { numRuns: 2000 },
  );
  expect(waited).toBeGreaterThan(100);
});

test.each([
  { kind: 'outcome', ref: 1.5, st: 'ok', dur_us: 1 },
  { kind: 'outcome', ref: 1, st: 'ok', dur_us: Number.NaN },
  { kind: 'outcome', ref: 1, st: 'ok', dur_us: 1, rows: 2 ** 53 },
  { kind: 'outcome', ref: 1, st: 'ok', dur_us: 1, rows: null },
  { kind: 'outcome', ref: 1, st: 7, dur_us: 1 },
  { kind: 'outcome', ref: 1, st: 'ok', dur_us: 1, tags: 'AB' },
  statement(1, { len: -0.5 }),
  statement(1, { sql: 5 as unknown as string }),
  statement(1, { agent: undefined as unknown as string }),
  statement(1, { params: [3 as unknown as string] }),
])('a line of which it is not certain that it can be made does not wait: $kind', (body) => {
  expect(textLength(body as RecordBody)).toBeNaN();
  expect(() => encodeRecord(body as RecordBody, stamp)).toThrow(TypeError);
});
