import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonical } from '../../src/approval/canonical.ts';
import { isEnd, mayBecome, readDecision } from '../../src/approval/decision.ts';
import { parameterText } from '../../src/approval/parameter.ts';
import {
  buildRequest,
  type Request,
  requestDigest,
  secretText,
  valuesFit,
  wireDigest,
} from '../../src/approval/request.ts';
import { visible, visibleText } from '../../src/approval/visible.ts';
import { gate } from '../support/approvals.ts';

test('canonical JSON is RFC 8785: sorted by code units, shortest numbers, minimal escapes', () => {
  const value = {
    '\u20ac': 'Euro',
    '\r': 'CR',
    '1': 'One',
    '\ud83d\ude00': 'Smiley',
    '\u00f6': 'o',
    a: [1e21, 0.5, -0],
  };
  expect(() => canonical(value)).toThrow(/not exact/);
  expect(canonical({ ...value, a: [1e-7, 0.5, -0, null, true] })).toBe(
    '{"\\r":"CR","1":"One","a":[1e-7,0.5,0,null,true],"\u00f6":"o","\u20ac":"Euro","\ud83d\ude00":"Smiley"}',
  );
  for (const bad of [Number.NaN, '\ud800', new Date(0), 1n, () => 1, 2 ** 53])
    expect(() => canonical(bad)).toThrow();
});

test('canonical JSON reads back as what it was, whatever the order of its members', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string({ unit: 'binary' }), fc.oneof(fc.string(), fc.integer(), fc.boolean())),
      (value) => {
        const backwards = Object.fromEntries(Object.entries(value).reverse());
        expect(canonical(backwards)).toBe(canonical(value));
        expect(JSON.parse(canonical(value))).toEqual({ ...value });
      },
    ),
  );
});

test('every member of a request but match changes its digest', () => {
  const { request } = gate();
  const digest = requestDigest(request);
  for (const key of Object.keys(request) as (keyof Request)[]) {
    const changed = { ...request, [key]: key === 'reason' ? 'x' : [request[key], 'x'] } as unknown as Request;
    expect(requestDigest(changed) === digest, key).toBe(key === 'match');
  }
  expect(requestDigest({ ...request, role: null })).not.toBe(digest);
});

test('what a retry must equal: who, where, under what, which text and values; not the session nor the names', () => {
  const salt = Buffer.alloc(16, 1).toString('base64url');
  const value = (text: string | null, format = 0, oid = 25) => ({
    params: [{ oid, format, salt, value: text === null ? null : Buffer.from(text) }],
  });
  const { match: base, db } = gate({}, value('a')).request;
  const same = gate(
    { sid: 'other', n: 9, node: 'n2', wire: 'x', tx: { status: 'T', statements: 3 } },
    value('a'),
  );
  expect(same.request.match).toBe(base);
  const resalted = {
    params: [{ ...value('a').params[0]!, salt: Buffer.alloc(16, 2).toString('base64url') }],
  };
  expect(gate({}, resalted).request.match).toBe(base);
  const others = [
    gate({ sql: 'DROP TABLE orders ' }, value('a')),
    gate({ role: 'other' }, value('a')),
    gate({ role: null }, value('a')),
    gate({ user: 'other' }, value('a')),
    gate({ state: { searchPath: 'evil, public', settings: {} } }, value('a')),
    gate({ state: { searchPath: 'public', settings: { row_security: 'off' } } }, value('a')),
    gate({ agent: { id: 'gpt', auth: 'scram-sha-256' } }, value('a')),
    gate({ db: { ...db, systemId: '7711079304989695610' } }, value('a')),
    gate({ db: { ...db, systemId: null } }, value('a')),
    gate({}, value('b')),
    gate({}, value(null)),
    gate({}, value('')),
    gate({}, value('a', 1)),
    gate({}, value('a', 0, 1043)),
    gate({}, { params: [] }),
  ].map(({ request }) => request.match);
  expect(new Set([...others, base]).size).toBe(others.length + 1);
});

test('values that are not the committed ones do not fit: value, NULL, type, format, salt, number', () => {
  const salt = Buffer.alloc(16, 1).toString('base64url');
  const values = { params: [{ oid: 25, format: 0, salt, value: Buffer.from('a') }] };
  const { request } = gate({}, values);
  expect(valuesFit(request, values)).toBe(true);
  const one = values.params[0]!;
  for (const change of [
    { value: Buffer.from('b') },
    { value: null },
    { oid: 23 },
    { format: 1 },
    { salt: 'AAAA' },
  ]) {
    expect(valuesFit(request, { params: [{ ...one, ...change }] }), JSON.stringify(change)).toBe(false);
  }
  expect(valuesFit(request, { params: [one, one] })).toBe(false);
  expect(valuesFit(request, { params: [] })).toBe(false);
});

test('a text with a secret leaves only salted digests in the request', () => {
  const secret = (salt: number) => ({
    params: [],
    text: secretText(Buffer.alloc(16, salt).toString('base64url'), Buffer.from("ALTER ROLE a PASSWORD 'x'")),
  });
  const draft = gate({ sql: "ALTER ROLE a PASSWORD '‹redacted›'" }).request;
  const one = buildRequest(draft, secret(1));
  const two = buildRequest(draft, secret(2));
  expect(one.sha).not.toBe(two.sha);
  expect(one.match).toBe(two.match);
  expect(valuesFit(one, secret(1))).toBe(true);
  expect(valuesFit(one, secret(2))).toBe(false);
  expect(valuesFit(one, { params: [] })).toBe(false);
  const frames = [Buffer.from('Q')];
  expect(wireDigest(frames, secret(1))).not.toBe(wireDigest(frames, { params: [] }));
});

test('a request goes only where its life allows', () => {
  const states = [
    'pending',
    'approved',
    'consumed',
    'executed',
    'failed',
    'unknown',
    'rejected',
    'expired',
    'canceled',
  ] as const;
  const allowed = states.flatMap((from) =>
    states.filter((to) => mayBecome(from, to)).map((to) => `${from} ${to}`),
  );
  expect(allowed).toEqual([
    'pending approved',
    'pending rejected',
    'pending expired',
    'pending canceled',
    'approved consumed',
    'approved expired',
    'approved canceled',
    'consumed executed',
    'consumed failed',
    'consumed unknown',
  ]);
  expect(states.filter(isEnd)).toEqual(['executed', 'failed', 'unknown', 'rejected', 'expired', 'canceled']);
});

test('no JSON whatever crashes the reading of a decision', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(() => readDecision(value)).toThrow(/malformed/);
    }),
  );
});

test('what a screen would hide or reorder is marked, and the marks put back are the text', () => {
  const hiding = [
    '\u0000',
    '\u001b',
    '\r',
    '\u007f',
    '\u0085',
    '\u00a0',
    '\u00ad',
    '\u034f',
    '\u061c',
    '\u115f',
    '\u180e',
  ];
  const more = [
    '\u200b',
    '\u200f',
    '\u2028',
    '\u202e',
    '\u2066',
    '\u2800',
    '\u3000',
    '\u3164',
    '\ufe0f',
    '\ufeff',
    '\u{e0041}',
  ];
  for (const character of [...hiding, ...more]) {
    const { lines, hidden } = visible(`a${character}${character}b`);
    expect(hidden, character.codePointAt(0)?.toString(16)).toBe(2);
    expect(lines[0]?.[1]).toMatchObject({ times: 2 });
    expect(visibleText(`a${character}b`)).toMatch(/^a⟨U\+[0-9A-F]{4,6}⟩b$/);
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const again = visible(text)
        .lines.map((line) =>
          line
            .map((segment) => {
              if (typeof segment === 'string') return segment;
              if ('foreign' in segment) return segment.foreign;
              return String.fromCodePoint(Number.parseInt(segment.hidden.slice(2), 16)).repeat(segment.times);
            })
            .join(''),
        )
        .join('\n');
      expect(again).toBe(text);
    }),
  );
  expect(visible('SELECT 1;\n\tSELECT 2')).toEqual({
    lines: [['SELECT 1;'], ['\tSELECT 2']],
    hidden: 0,
    foreign: 0,
  });
});

test('a text of nothing but marks stays small to draw, and none is lost', () => {
  const { lines, hidden } = visible('\u200b\u200c'.repeat(50_000));
  expect(hidden).toBe(100_000);
  expect(lines[0]?.length).toBeLessThan(5_100);
  expect(String(lines[0]?.at(-1))).toContain('⟨U+200C⟩');
});

test('parameters read as values where their form is fixed, else as bytes', () => {
  const hex = (text: string) => Buffer.from(text, 'hex');
  const read = (oid: number, format: number, value: Buffer | null) =>
    Object.values(parameterText(oid, format, value));
  expect(read(23, 0, Buffer.from('42'))).toEqual(['int4', 'text', '42']);
  expect(read(23, 1, hex('fffffffe'))).toEqual(['int4', 'decoded', '-2']);
  expect(read(20, 1, hex('0000000000000100'))).toEqual(['int8', 'decoded', '256']);
  expect(read(16, 1, hex('01'))).toEqual(['bool', 'decoded', 'true']);
  expect(read(2950, 1, hex('0123456789abcdef0123456789abcdef'))).toEqual([
    'uuid',
    'decoded',
    '01234567-89ab-cdef-0123-456789abcdef',
  ]);
  expect(read(1184, 1, hex('0000000000000000'))).toEqual([
    'timestamptz',
    'decoded',
    '2000-01-01T00:00:00.000Z',
  ]);
  expect(read(23, 1, hex('00'))).toEqual(['int4', 'bytes', '\\x00']);
  expect(read(25, 0, hex('ff'))).toEqual(['text', 'bytes', '\\xff']);
  expect(read(99999, 1, hex('c0de'))).toEqual(['type 99999', 'bytes', '\\xc0de']);
  expect(read(25, 0, null)).toEqual(['text', 'null', '']);
});

test('a retry whose names stand for something else is another statement; so is one of a request that rests on its session', () => {
  const { request } = gate({ sql: 'execute p' });
  const [first] = request.statements;
  const behind = (why: string) => gate({ sql: 'execute p', statements: [{ ...first!, why: [why] }] }).request;
  expect(behind('EXECUTE p runs: delete from a').match).toBe(behind('EXECUTE p runs: delete from a').match);
  expect(behind('EXECUTE p runs: delete from b').match).not.toBe(
    behind('EXECUTE p runs: delete from a').match,
  );
  const once = (rid: string) => gate({ rid, once: true }).request.match;
  expect(once('a'.repeat(22))).toBe(once('b'.repeat(22)));
  expect(once('a'.repeat(22))).not.toBe(gate().request.match);
  expect(gate({ rid: 'a'.repeat(22) }).request.match).toBe(gate({ rid: 'b'.repeat(22) }).request.match);
});
