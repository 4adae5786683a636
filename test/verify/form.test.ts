// The scanner of records against the judgement it stands for: parse, write canonically, compare.

import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { encodeRecord } from '../../src/audit/line.ts';
import { RecordForm } from '../../verify/src/form.ts';
import { canonical } from '../../verify/src/jcs.ts';
import { statement } from '../audit/fixture.ts';

/** More of it: HOLDPOINT_FUZZ_RUNS=1000000 takes minutes. */
const numRuns = Number(process.env.HOLDPOINT_FUZZ_RUNS ?? 1000);

const stamp = { seq: 7, prev: 'x'.repeat(43), ts: 5, mono: 6, node: 'holdpoint/test', boot: 'b'.repeat(22) };
const line = encodeRecord(statement(1, { sql: 'select "ä€😀", \'\\\' \n\t\u0001\u007f' }), stamp);
const outcome = encodeRecord(
  { kind: 'outcome', ref: 5, st: 'ok', tags: ['SELECT 1'], rows: 1, dur_us: 2 },
  stamp,
);

type Members = Record<string, unknown>;

/** What the scanner has to say, by way of parsing. */
function judged(text: string): Members | undefined {
  let members: Members;
  try {
    members = JSON.parse(text) as Members;
    if (canonical(members) !== text) return undefined;
  } catch {
    return undefined;
  }
  const { v, seq, prev, ts, mono, node, boot, kind, ref, dec } = members;
  const fits =
    v === 1 &&
    [prev, node, boot, kind].every((member) => typeof member === 'string') &&
    [seq, ts, mono].every((member) => typeof member === 'number' && member >= 0);
  if (!fits) return undefined;
  const isRef = typeof ref === 'number' && ref >= 0;
  const flags = { ref: isRef ? ref : -1, passes: dec === 'pass', hasBlobs: Object.hasOwn(members, 'blobs') };
  return { seq, ts, mono, node, boot, kind, prev, ...flags };
}

function scanned(form: RecordForm, text: string): Members | undefined {
  // As in a log: other bytes before it, and behind its LF.
  const bytes = Buffer.from(`\n${text}\n{"v":1}\n`);
  const end = bytes.indexOf(10, 1);
  if (form.read(bytes, 1, end) !== undefined) return undefined;
  const { seq, ts, mono, node, boot, kind, prev, ref, passes, hasBlobs } = form;
  return { seq, ts, mono, node, boot, kind, prev, ref, passes, hasBlobs };
}

/** Both of the same line. A `prev` that no hash can be is only ever compared with one, so its spelling does not matter. */
function compare(form: RecordForm, text: string): void {
  if (text.includes('\n') || !text.startsWith('{') || !text.isWellFormed()) return;
  const [found, expected] = [scanned(form, text), judged(text)];
  if (!/^[\w-]{43}$/.test(String(expected?.prev)) && !/^[\w-]{43}$/.test(String(found?.prev)))
    for (const one of [found, expected]) if (one !== undefined) delete one.prev;
  expect(found, text).toEqual(expected);
}

const snippets = [
  '"',
  '\\',
  '\\"',
  '\\u0000',
  '\\u001f',
  '\\u0008',
  '\\u000A',
  '\\u000b',
  '\\ud800',
  '\\u00e9',
  '\\/',
  '\\b',
  '\\x',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  ' ',
  '\t',
  '\r',
  '\u0000',
  '\u007f',
  '\u2028',
  '\ufeff',
  'ä',
  '😀',
  '\uffff',
  '0',
  '-',
  '-0',
  '1',
  '01',
  '1.0',
  '1e3',
  '9007199254740991',
  '9007199254740992',
  '9007199254740993',
  '99999999999999999999',
  'true',
  'false',
  'null',
  'nul',
  '"__proto__":1,',
  '"a":1,',
  '"ä":1,',
  '"\ue000":1,"😀":2,',
  '"😀":2,"\ue000":1,',
  '"boot":"x",',
  '"dec":"pass",',
  '"ref":-1,',
  '"ref":"1",',
  '"v":1,',
  ',"zz":{"b":1,"a":2}',
  ',"zz":{"a":1,"b":[1,{"c":null}]}',
  ',"":1',
  '"":1,',
  '['.repeat(34),
  ']'.repeat(34),
];

test('a line with anything put in, taken out or changed is judged as parsing judges it', () => {
  const form = new RecordForm();
  const edit = fc.record({
    at: fc.nat(),
    cut: fc.integer({ min: 0, max: 12 }),
    put: fc.oneof(fc.constantFrom(...snippets), fc.constant(''), fc.string({ maxLength: 3, unit: 'binary' })),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(line, outcome),
      fc.array(edit, { minLength: 1, maxLength: 3 }),
      (from, edits) => {
        let text = from;
        for (const { at, cut, put } of edits) {
          const place = at % (text.length + 1);
          text = text.slice(0, place) + put + text.slice(place + cut);
        }
        compare(form, text);
      },
    ),
    { numRuns },
  );
});

test('every place of a line takes every snippet as parsing does', () => {
  const form = new RecordForm();
  for (const put of snippets)
    for (let at = 1; at < outcome.length; at += 1)
      for (const cut of [0, 1]) compare(form, outcome.slice(0, at) + put + outcome.slice(at + cut));
});

test('canonical records of any members are accepted with what they say', () => {
  const form = new RecordForm();
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 6 },
      fc.string({ unit: 'binary' }),
      fc.maxSafeInteger(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(fc.string({ unit: 'binary' }), tie('any'), { maxKeys: 3 }),
    ),
  })).any;
  const common = { v: 1, seq: 1, prev: 'p'.repeat(43), ts: 2, mono: 3, node: 'n', boot: 'b', kind: 'k' };
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'binary' }), value), (more) => {
      compare(form, canonical({ ...more, ...common }));
      // In the order in which they came, and as JavaScript writes them: mostly not canonical.
      compare(form, JSON.stringify({ ...more, ...common }));
    }),
    { numRuns },
  );
});

test('nesting is refused exactly where it has no canonical form', () => {
  const form = new RecordForm();
  for (let depth = 28; depth < 36; depth += 1)
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const)
      for (const core of ['1', '[]', '{}'])
        compare(
          form,
          outcome.replace('"v":1', `"v":1,"z":${open.repeat(depth)}${core}${close.repeat(depth)}`),
        );
});

test('a record as the writer makes it is not parsed', () => {
  const form = new RecordForm();
  expect(scanned(form, line)).toBeDefined();
  const parse = vi.spyOn(JSON, 'parse');
  for (const text of [line, outcome.replace('"kind":"outcome"', '"kind":"stmt"')])
    expect(scanned(form, text), text).toBeDefined();
  expect(parse).not.toHaveBeenCalled();
  parse.mockRestore();
});
