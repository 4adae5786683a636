// A round is what the writers of its four messages write for the unnamed portal, and what their readers read.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import {
  bind,
  close,
  describe as describeMessage,
  execute,
  flush,
  frontendType,
  parse,
  query,
  readBind,
  readDescribe,
  readExecute,
  readParse,
  readQuery,
  sync,
  terminate,
} from '../../src/wire/messages/frontend.ts';
import { readOneQuery, readRound } from '../../src/wire/round.ts';
import { asFrame } from '../support/frames.ts';

/** Whole frames; undefined if it is not exactly that. */
function framesOf(bytes: Buffer): Buffer[] | undefined {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + 5 > bytes.length) return undefined;
    const length = bytes.readInt32BE(at + 1);
    if (length < 4 || at + 1 + length > bytes.length) return undefined;
    frames.push(bytes.subarray(at, at + 1 + length));
    at += 1 + length;
  }
  return frames;
}

/**
 * By the readers: true if it is a round, false if it is not. Undefined where they refuse what only the server would: more
 * formats than values, a name in no encoding; or a Parse whose inside is not one, of which a round takes the name alone. No
 * session lets that pass, so that it is never learned.
 */
function isRound(bytes: Buffer): boolean | undefined {
  const frames = framesOf(bytes);
  const letters = frames?.map((frame) => String.fromCharCode(frame[0]!)).join('');
  if (frames === undefined || letters === undefined || !/^P?BD?ES$/.test(letters)) return false;
  const lead = letters[0] === 'P' ? frames.shift()! : undefined;
  const [first, ...others] = frames as [Buffer, ...Buffer[]];
  try {
    for (const frame of others) {
      if (frame[0] === frontendType.describe) {
        const { kind, name } = readDescribe(asFrame(frame));
        if (kind !== 'P' || name !== '') return false;
      } else if (frame[0] === frontendType.execute) {
        const { portal, maxRows } = readExecute(asFrame(frame));
        if (portal !== '' || maxRows !== 0) return false;
      } else if (frame.length > 5) return false;
    }
  } catch {
    return false;
  }
  const parsed = lead === undefined ? undefined : nameOf(lead);
  try {
    if (parsed !== undefined && parsed !== '') return false;
    const { portal, statement } = readBind(asFrame(first));
    const isOne = portal === '' && (statement === '') === (lead !== undefined);
    return isOne && lead !== undefined && parsed === undefined ? undefined : isOne;
  } catch (error) {
    if (!(error instanceof HoldpointError)) throw error;
    if (/parameter formats but|encoding|UTF-8/.test(`${error.code} ${error.message}`)) return undefined;
    return false;
  }
}

/** Of the statement of a Parse; undefined where the reader refuses it behind its name. */
function nameOf(lead: Buffer): string | undefined {
  try {
    return readParse(asFrame(lead)).name;
  } catch (error) {
    if (!(error instanceof HoldpointError)) throw error;
    return lead[5] === 0 ? undefined : 'another';
  }
}

const format = fc.constantFrom(0, 1);
const values = fc.array(
  fc.option(
    fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
    { nil: null },
  ),
  { maxLength: 12 },
);
const name = fc
  .oneof(fc.constantFrom('', 's', 'S_1'), fc.string({ unit: 'grapheme', maxLength: 20 }))
  .map((text) => text.replaceAll('\0', ''));

const written = fc
  .record({
    name,
    values,
    results: fc.array(format, { maxLength: 4 }),
    isDescribed: fc.boolean(),
    formats: fc.constantFrom<(many: number) => number[]>(
      () => [],
      () => [1],
      (many) => Array.from({ length: many }, (_, at) => at % 2),
    ),
  })
  .map(({ name, values, results, isDescribed, formats }) => ({
    name,
    values,
    isDescribed,
    results,
    formats: formats(values.length),
  }));

type Written = typeof written extends fc.Arbitrary<infer W> ? W : never;

function write({ name, values, formats, results, isDescribed }: Written): Buffer {
  return Buffer.concat([
    ...(name === '' ? [parse('', 'select $1', [23])] : []),
    bind('', name, values, formats, results),
    ...(isDescribed ? [describeMessage('P', '')] : []),
    ...[execute(''), sync()],
  ]);
}

test('what the writers write is read, in its parts', () => {
  fc.assert(
    fc.property(written, (round) => {
      const bytes = write(round);
      const read = readRound(bytes)!;
      expect(read).toMatchObject({ parameters: round.values.length, isDescribed: round.isDescribed });
      const given = round.values.map((value) => {
        const length = Buffer.alloc(4);
        length.writeInt32BE(value?.length ?? -1);
        return Buffer.concat([length, value ?? Buffer.alloc(0)]);
      });
      const { lead, prefix, suffix, bindBytes } = read;
      const begin = lead.length;
      expect(begin > 0).toBe(round.name === '');
      const whole = Buffer.concat([lead, bytes.subarray(begin, begin + 5), prefix, ...given, suffix]);
      expect(whole.equals(bytes)).toBe(true);
      expect(bindBytes).toBe(2 + 2 * round.results.length);
      // The same each time: another with other values has the same parts.
      const other = write({ ...round, values: round.values.map(() => Buffer.from('another')) });
      const { prefix: otherPrefix, suffix: otherSuffix } = readRound(other)!;
      expect([otherPrefix.equals(prefix), otherSuffix.equals(suffix)]).toEqual([true, true]);
    }),
  );
});

test('of two that differ in anything else, a part differs', () => {
  fc.assert(
    fc.property(written, written, (one, two) => {
      const [a, b] = [readRound(write(one))!, readRound(write(two))!];
      const { values: _, ...rest } = one;
      const { values: __, ...otherRest } = two;
      const isSame =
        one.values.length === two.values.length && JSON.stringify(rest) === JSON.stringify(otherRest);
      expect(a.prefix.equals(b.prefix) && a.suffix.equals(b.suffix)).toBe(isSame);
    }),
  );
});

const nasty = [-2147483648, -2, -1, 0, 3, 4, 5, 8, 0x7fffffff, 0x00010000];

const changes = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    how: fc.oneof(
      fc.integer({ min: 1, max: 255 }).map((mask) => (bytes: Buffer, at: number) => {
        const copy = Buffer.from(bytes);
        copy[at]! ^= mask;
        return copy;
      }),
      fc.constantFrom(...nasty).map((value) => (bytes: Buffer, at: number) => {
        if (bytes.length < 4) return bytes;
        const copy = Buffer.from(bytes);
        copy.writeInt32BE(value, Math.min(at, bytes.length - 4));
        return copy;
      }),
      fc.integer({ min: -9, max: 9 }).map((by) => (bytes: Buffer) => {
        if (bytes.length < 5) return bytes;
        const copy = Buffer.from(bytes);
        copy.writeInt32BE((copy.readInt32BE(1) + by) | 0, 1);
        return copy;
      }),
      fc
        .uint8Array({ minLength: 1, maxLength: 6 })
        .map(
          (more) => (bytes: Buffer, at: number) =>
            Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]),
        ),
      fc
        .integer({ min: 1, max: 6 })
        .map(
          (many) => (bytes: Buffer, at: number) =>
            Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + many)]),
        ),
      fc.constant((bytes: Buffer, at: number) => bytes.subarray(0, at)),
      fc.constant((bytes: Buffer) => Buffer.concat([bytes, bytes])),
    ),
  }),
  { minLength: 1, maxLength: 3 },
);

test('whatever is changed of one is read exactly if the readers read a round', () => {
  let read = 0;
  fc.assert(
    fc.property(written, changes, (round, changes) => {
      const bytes = changes.reduce((now, { at, how }) => how(now, Math.floor(at * now.length)), write(round));
      const expected = isRound(bytes);
      const found = readRound(bytes);
      if (found !== undefined) {
        read += 1;
        // Wherever it was cut, all of it is there.
        const { lead, prefix, suffix, bindBytes } = found;
        expect(bytes.subarray(0, lead.length).equals(lead)).toBe(true);
        const from = lead.length + 5;
        expect(bytes.subarray(from, from + prefix.length).equals(prefix)).toBe(true);
        expect(bytes.subarray(bytes.length - suffix.length).equals(suffix)).toBe(true);
        expect(suffix.length - bindBytes).toBe(found.isDescribed ? 22 : 15);
      }
      if (expected !== undefined) expect(found !== undefined).toBe(expected);
    }),
    { numRuns: 5000 },
  );
  expect(read).toBeGreaterThan(10);
});

const b = bind('', 's');
const e = execute('');
const d = describeMessage('P', '');
const s = sync();

test.each<[string, Buffer[]]>([
  ['nothing', []],
  ['without its Sync', [b, d, e]],
  ['with a Flush for it', [b, d, e, flush()]],
  ['with a second Sync', [b, e, s, s]],
  ['executed twice', [b, e, e, s]],
  ['described twice', [b, d, d, e, s]],
  ['described behind it', [b, e, d, s]],
  ['with a description of its statement', [b, describeMessage('S', ''), e, s]],
  ['with a description of another portal', [b, describeMessage('P', 'p'), e, s]],
  ['of a named portal', [bind('p', 's'), execute('p'), s]],
  ['that executes another portal', [b, execute('p'), s]],
  ['of a limited number of rows', [b, execute('', 1), s]],
  ['of a negative number of rows', [b, execute('', -1), s]],
  ['with a Close in it', [b, e, close('P', ''), s]],
  ['not executed', [b, s]],
  ['behind a Parse of a named statement', [parse('s', 'select 1'), b, e, s]],
  ['behind a Parse of the unnamed one', [parse('', 'select 1'), b, e, s]],
  ['of the unnamed statement, whatever that is', [bind('', ''), e, s]],
  ['behind two', [parse('', 'select 1'), parse('', 'select 2'), bind('', ''), e, s]],
  ['with a Query behind it', [b, e, s, query('select 1')]],
  ['with a Terminate behind it', [b, e, s, terminate()]],
  ['twice', [b, e, s, b, e, s]],
])('%s it is none', (_, frames) => {
  expect(readRound(Buffer.concat(frames))).toBeUndefined();
});

test('a Query by itself is read as its text, and nothing else is', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 40 }),
      fc.oneof(fc.constant([]), changes),
      (text, changes) => {
        const sql = text.replaceAll('\0', '');
        const bytes = changes.reduce((now, { at, how }) => how(now, Math.floor(at * now.length)), query(sql));
        const frames = framesOf(bytes);
        const isOne =
          frames?.length === 1 && bytes[0] === frontendType.query && bytes.indexOf(0, 5) === bytes.length - 1;
        expect(readOneQuery(bytes)).toEqual(isOne && bytes.length > 5 ? bytes.subarray(5, -1) : undefined);
        if (isOne && bytes.length > 5)
          expect(readQuery(asFrame(bytes)).sql.equals(bytes.subarray(5, -1))).toBe(true);
      },
    ),
    { numRuns: 2000 },
  );
});
