// A lane over real connections of this machine: what it takes and what it leaves, what the log is told before anything
// goes, and how it stands when it is shut. Where the hop is not built there are no lanes.
//
// That something did not come is never seen by waiting for it: something that was sent behind it has come.

import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { encodeRecord } from '../../src/audit/line.ts';
import type { StatementBody } from '../../src/audit/record.ts';
import { hopHere } from '../../src/hop/descriptor.ts';
import { formsMax, roundBytesMax, valuesMax } from '../../src/hop/lane.ts';
import { readyForQuery } from '../../src/wire/messages/backend.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { readRound } from '../../src/wire/round.ts';
import { commit, lineBytesMax } from '../../verify/src/leaf.ts';
import { statement } from '../audit/fixture.ts';
import {
  bindComplete,
  dataRow,
  noData,
  parameterDescription,
  parseComplete,
  rawFrame,
  rowDescription,
} from '../support/frames.ts';
import { type Adopted, answer, FakeLog, formOf, formOfQuery, round, stamp, Way } from './lane.ts';
import { closeAll } from './pair.ts';

const root = join(import.meta.dirname, '../..');
const isBuilt = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

afterEach(closeAll);

/** Changes to bytes, one after the other. Places are taken from the whole by parts, so that short ones are changed too. */
type Change = { readonly at: number; readonly how: (bytes: Buffer, at: number) => Buffer };

const at = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });

function splice(bytes: Buffer, at: number, many: number, more: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at + many)]);
}

function put32(value: number): Change['how'] {
  return (bytes, at) => {
    const more = Buffer.alloc(4);
    more.writeInt32BE(value);
    return splice(bytes, at, 4, more);
  };
}

const nastyLengths = [-2147483648, -2, -1, 0, 1, 3, 4, 5, 0x7fffffff, 0x7ffffffb, 0x10000, 0x00ffffff];

const change: fc.Arbitrary<Change> = fc.record({
  at,
  how: fc.oneof(
    fc.integer({ min: 1, max: 255 }).map((mask): Change['how'] => (bytes, at) => {
      const copy = Buffer.from(bytes);
      copy[at]! ^= mask;
      return copy;
    }),
    fc.constantFrom(...nastyLengths).map(put32),
    // The beginnings of frames and values are where a length matters.
    fc.constant<Change['how']>((bytes, at) => {
      const copy = Buffer.from(bytes);
      copy[at] = at % 2;
      return copy;
    }),
    fc.uint8Array({ minLength: 1, maxLength: 9 }).map(
      (more): Change['how'] =>
        (bytes, at) =>
          splice(bytes, at, 0, Buffer.from(more)),
    ),
    fc.integer({ min: 1, max: 9 }).map(
      (many): Change['how'] =>
        (bytes, at) =>
          splice(bytes, at, many, Buffer.alloc(0)),
    ),
    fc.constant<Change['how']>((bytes, at) => bytes.subarray(0, at)),
    fc.uint8Array({ minLength: 1, maxLength: 40 }).map(
      (more): Change['how'] =>
        (bytes) =>
          Buffer.concat([bytes, more]),
    ),
    fc.constant<Change['how']>((bytes) => Buffer.concat([bytes, bytes])),
    // The length of the first frame says so much more or less.
    fc.integer({ min: -12, max: 12 }).map(
      (by): Change['how'] =>
        (bytes) =>
          bytes.length < 5 ? bytes : put32((bytes.readInt32BE(1) + by) | 0)(bytes, 1),
    ),
  ),
});

/** Mostly none: what is taken is to be seen as well. */
const changes = fc.oneof(fc.constant<Change[]>([]), fc.array(change, { minLength: 1, maxLength: 2 }));

function changed(bytes: Buffer, changes: readonly Change[]): Buffer {
  return changes.reduce((now, { at, how }) => how(now, Math.floor(at * now.length)), bytes);
}

const value = fc.oneof(
  fc.constant(null),
  fc.constant(Buffer.alloc(0)),
  fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
);

interface Kind {
  readonly name: string;
  readonly parameters: number;
  readonly isDescribed: boolean;
  readonly formats: number[];
  readonly results: number[];
  readonly literals: Buffer[];
}

const kind: fc.Arbitrary<Kind> = fc
  .record({
    name: fc.oneof(fc.constantFrom('', 's', 't'), fc.string({ maxLength: 20 })),
    parameters: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: valuesMax })),
    isDescribed: fc.boolean(),
    formats: fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 3 }),
    results: fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 3 }),
    literals: fc.array(
      fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
      { maxLength: 3 },
    ),
  })
  .map((kind) => ({
    ...kind,
    name: kind.name.replaceAll('\0', ''),
    literals: kind.literals.slice(0, valuesMax - kind.parameters),
  }));

function roundOf(kind: Kind, values: readonly (Buffer | null)[]): Buffer {
  return round(
    Array.from({ length: kind.parameters }, (_, at) => values[at % Math.max(1, values.length)] ?? null),
    kind,
  );
}

/** The place of the form that the bytes are a round of. */
function placeOf(bytes: Buffer, forms: readonly ReturnType<typeof formOf>[]): number {
  const read = bytes.length <= roundBytesMax ? readRound(bytes) : undefined;
  if (read === undefined) return -1;
  return forms.findIndex(
    ({ shape: { lead, prefix, suffix, bindBytes } }) =>
      read.lead.equals(lead) &&
      read.prefix.equals(prefix) &&
      read.suffix.equals(suffix) &&
      read.bindBytes === bindBytes,
  );
}

/** The values that a record was told with, and those that it should be. */
function told({ values }: Adopted): unknown {
  return values?.map(({ index, oid, value }) => ({
    index,
    oid,
    value: value === undefined ? null : Buffer.from(value).toString('hex'),
  }));
}

function toTell(bytes: Buffer, { shape: { literals }, oids }: ReturnType<typeof formOf>): unknown {
  const { lead, prefix, suffix } = readRound(bytes)!;
  const parameters: (Buffer | null)[] = [];
  for (let at = lead.length + 5 + prefix.length; at < bytes.length - suffix.length; at += 4) {
    const length = bytes.readInt32BE(at);
    parameters.push(length < 0 ? null : bytes.subarray(at + 4, at + 4 + length));
    at += Math.max(0, length);
  }
  return [...literals, ...parameters].map((value, index) => ({
    index,
    oid: oids[index],
    value: value == null ? null : Buffer.from(value).toString('hex'),
  }));
}

function literally(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

describe.skipIf(!isBuilt)('what a client sends', () => {
  test('is taken exactly if it is a round that the lane knows, and goes on or comes as it was', async () => {
    const way = await Way.make();
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(kind, { minLength: 1, maxLength: formsMax }),
        fc.nat(),
        fc.oneof({ weight: 9, arbitrary: fc.constant<Kind | undefined>(undefined) }, kind),
        fc.array(value, { minLength: 1, maxLength: 5 }),
        changes,
        async (kinds, which, other, values, changes) => {
          const forms = kinds.map((kind) =>
            formOf(roundOf(kind, [null]), { literals: kind.literals, oids: [23, 0, 0xffffffff] }),
          );
          way.lane.forget();
          for (const [place, form] of forms.entries()) expect(way.lane.learn(place, form)).toBe(true);
          const bytes = changed(roundOf(other ?? kinds[which % kinds.length]!, values), changes);
          if (bytes.length === 0) return;
          const place = placeOf(bytes, forms);
          way.lane.open(6, 'I');
          way.user.told.length = way.log.records.length = 0;
          const where = await way.sends(bytes);
          expect(where).toBe(place < 0 ? 'session' : 'server');
          expect(way.atServer.take().equals(place < 0 ? Buffer.alloc(0) : bytes)).toBe(true);
          expect(way.ofClient.take().equals(place < 0 ? bytes : Buffer.alloc(0))).toBe(true);
          const standing = way.lane.shut()!;
          if (place < 0) {
            expect(way.user.told).toEqual([]);
            expect(way.log.records).toEqual([]);
            expect(standing).toMatchObject({ state: 'idle', rounds: 0, bytes: undefined });
            return;
          }
          taken += 1;
          expect(way.user.told).toEqual([`admits ${place}`, 'went']);
          expect(way.log.records).toHaveLength(1);
          const [record] = way.log.records as [Adopted];
          expect(record.brief).toBe('passed');
          expect(JSON.parse(record.line).n).toBe(7);
          expect(told(record)).toEqual(toTell(bytes, forms[place]!));
          expect(standing).toMatchObject({
            state: 'flight',
            rounds: 1,
            place,
            ref: record.seq,
            bytes: undefined,
          });
        },
      ),
      { numRuns: 1000 },
    );
    // The other half of it would not have been seen.
    expect(taken).toBeGreaterThan(200);
  });

  test('as a Query is taken exactly if its text differs from a form in the digits of integers', async () => {
    const way = await Way.make();
    let taken = 0;
    const text = fc.oneof(
      fc.constantFrom('select ', ' from t where a = ', ' limit ', 'é', '.', '-', ' '),
      fc.string({ minLength: 1, maxLength: 9 }).map((text) => text.replaceAll(/[\0]/g, '_')),
    );
    // The digits of an integer end where the text goes on.
    const piece = text.map((text) => text.replace(/^\d/, '_'));
    const digits = fc.oneof(
      { weight: 9, arbitrary: fc.nat({ max: 999_999_999 }).map(String) },
      fc.constantFrom(
        '0',
        '007',
        '000000000',
        '1234567890',
        '0000000000',
        '',
        '-1',
        '1.5',
        '1e3',
        '٣',
        ' 1',
        '1_0',
      ),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            first: text,
            pieces: fc.array(piece, { maxLength: 3 }),
            last: fc.oneof(fc.constant(''), piece),
          }),
          { minLength: 1, maxLength: 3 },
        ),
        fc.nat(),
        fc.array(digits, { minLength: 1, maxLength: 4 }),
        changes,
        async (texts, which, digits, changes) => {
          const all = texts.map(({ first, pieces, last }) => [first, ...pieces, last]);
          way.lane.forget();
          for (const [place, pieces] of all.entries())
            expect(way.lane.learn(place, formOfQuery(pieces))).toBe(true);
          const [first, ...rest] = all[which % all.length]!;
          const sql = rest.reduce((sql, piece, at) => sql + digits[at % digits.length]! + piece, first!);
          const bytes = changed(query(sql), changes);
          if (bytes.length === 0) return;
          const isQuery =
            bytes.length > 5 &&
            bytes.length <= roundBytesMax &&
            bytes[0] === 0x51 &&
            bytes.readInt32BE(1) === bytes.length - 1 &&
            bytes.at(-1) === 0;
          const said = bytes.toString('latin1', 5, bytes.length - 1);
          const place = !isQuery
            ? -1
            : all.findIndex((pieces) => {
                const between = pieces.map((piece) => literally(Buffer.from(piece).toString('latin1')));
                return new RegExp(`^${between.join('([0-9]{1,9})')}$`).test(said);
              });
          way.lane.open(0, 'I');
          way.log.records.length = 0;
          expect(await way.sends(bytes)).toBe(place < 0 ? 'session' : 'server');
          expect(way.atServer.take().equals(place < 0 ? Buffer.alloc(0) : bytes)).toBe(true);
          expect(way.ofClient.take().equals(place < 0 ? bytes : Buffer.alloc(0))).toBe(true);
          expect(way.lane.shut()).toMatchObject({ rounds: place < 0 ? 0 : 1 });
          if (place < 0) return;
          taken += 1;
          const [record] = way.log.records as [Adopted];
          expect(JSON.parse(record.line)).toMatchObject({ kind: 'stmt', n: 1, len: bytes.length - 6 });
          const integers = (told(record) as { value: string }[]).map(({ value }) =>
            String(Buffer.from(value, 'hex')),
          );
          const pieces = all[place]!.map((piece) => Buffer.from(piece).toString('latin1'));
          expect(pieces.slice(1).reduce((sql, piece, at) => sql + integers[at]! + piece, pieces[0]!)).toBe(
            said,
          );
        },
      ),
      { numRuns: 1000 },
    );
    expect(taken).toBeGreaterThan(200);
  });

  test('is taken up to its limits, and not beyond', async () => {
    const way = await Way.make();
    const values = (many: number, bytes: number): Buffer[] =>
      Array.from({ length: many }, (_, at) => Buffer.alloc(bytes, at));
    const empty = round(values(1, 0)).length;
    const literals = values(valuesMax - 1, Math.floor(roundBytesMax / (valuesMax - 1)));
    way.lane.learn(0, formOf(round(values(1, 0)), { literals }));
    for (const [more, where] of [
      [0, 'server'],
      [1, 'session'],
    ] as const) {
      way.lane.open(0, 'I');
      const bytes = round(values(1, roundBytesMax - empty + more));
      expect(await way.sends(bytes)).toBe(where);
      way.lane.shut();
    }
    expect(way.log.records).toHaveLength(1);
    expect(told(way.log.records[0]!)).toHaveLength(valuesMax);
    const many = formOf(round(values(valuesMax, 0)));
    expect(way.lane.learn(0, many)).toBe(true);
    expect(way.lane.learn(0, { ...many, oids: [...many.oids, 25] })).toBe(false);
    expect(way.lane.learn(formsMax, many)).toBe(false);
    expect(way.lane.learn(-1, many)).toBe(false);
    // No form stands behind a place that has none.
    way.lane.forget();
    expect(way.lane.learn(1, many)).toBe(false);
  });

  test('in pieces, or while a round is under way, comes to the session', async () => {
    const way = await Way.make();
    const bytes = round([Buffer.from('x')]);
    way.lane.learn(0, formOf(bytes));
    for (let cut = 1; cut < bytes.length; cut += 7) {
      way.lane.open(0, 'I');
      expect(await way.sends(bytes.subarray(0, cut))).toBe('session');
      expect(await way.sends(bytes.subarray(cut))).toBe('session');
      expect(way.lane.shut()).toMatchObject({ state: 'idle', rounds: 0 });
    }
    way.lane.open(0, 'I');
    expect(await way.sends(bytes)).toBe('server');
    expect(await way.sends(bytes)).toBe('session');
    expect(way.lane.shut()).toMatchObject({ state: 'flight', rounds: 1 });
  });

  test('comes to the session while the lane is shut, or has forgotten it', async () => {
    const way = await Way.make();
    const bytes = round();
    way.lane.learn(0, formOf(bytes));
    expect(await way.sends(bytes)).toBe('session');
    expect(way.lane.shut()).toBeUndefined();
    way.lane.forget();
    way.lane.open(0, 'I');
    expect(await way.sends(bytes)).toBe('session');
  });

  test('is counted up to the last number that there is', async () => {
    const way = await Way.make();
    const bytes = round();
    way.lane.learn(0, formOf(bytes));
    const last = 2 ** 31 - 1;
    for (const n of [last - 1, last, last + 1, 2 ** 32 - 1, 2 ** 40]) {
      way.lane.open(n, 'I');
      const where = await way.sends(bytes);
      expect(where, `${n}`).toBe(n < last ? 'server' : 'session');
      expect(way.lane.shut(), `${n}`).toMatchObject({ rounds: n < last ? 1 : 0 });
    }
    expect(way.log.records.map(({ line }) => JSON.parse(line).n)).toEqual([last]);
  });
});

/** What a round asks for, and so what it is answered with. */
type Asked = 'plain' | 'described' | 'parsed' | 'query';

const wholes: Readonly<Record<Asked, RegExp>> = {
  plain: /^2D*CZ$/,
  described: /^2[Tn]D*CZ$/,
  parsed: /^12[Tn]D*CZ$/,
  // What has no rows is not described.
  query: /^(?:TD*)?CZ$/,
};

/** The rows that an answer tells, if it is the whole answer to a round, by another reading of it; else -1. */
function rowsOf(bytes: Buffer, asked: Asked): number {
  let letters = '';
  let tag = '';
  let status = '';
  for (let at = 0; at < bytes.length; ) {
    if (at + 5 > bytes.length) return -1;
    const end = at + 1 + bytes.readInt32BE(at + 1);
    if (end < at + 5 || end > bytes.length) return -1;
    const letter = String.fromCharCode(bytes[at]!);
    const body = bytes.toString('latin1', at + 5, end);
    if ((letter === '1' || letter === '2') && body !== '') return -1;
    if (letter === 'C') tag = body;
    if (letter === 'Z') status = body;
    letters += letter;
    at = end;
  }
  const rows = /^SELECT (0|[1-9]\d{0,8})\0$/.exec(tag)?.[1];
  return wholes[asked].test(letters) && status === 'I' && rows !== undefined ? Number(rows) : -1;
}

const tag = fc.oneof(
  fc.nat({ max: 999_999_999 }).map((rows) => `SELECT ${rows}`),
  fc.constantFrom(
    ...['SELECT 00', 'SELECT 01', 'SELECT ', 'SELECT', 'SELECT -1', 'SELECT 1 ', 'SELECT 1000000000'],
    ...['SELECT 2147483648', 'SELECT 1\0', 'select 1', 'INSERT 0 1', 'FETCH 1', 'SELECT 1a', ''],
  ),
);

describe.skipIf(!isBuilt)('what a server answers', () => {
  test('is taken exactly if it is whole and what a round is answered with', async () => {
    const way = await Way.make();
    const bytes: Record<Asked, Buffer> = {
      plain: round([], { isDescribed: false }),
      described: round(),
      parsed: round([], { name: '' }),
      query: query('select 1'),
    };
    way.lane.learn(0, formOf(bytes.plain));
    way.lane.learn(1, formOf(bytes.described));
    way.lane.learn(2, formOf(bytes.parsed));
    way.lane.learn(3, formOfQuery(['select ', '']));
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<Asked>('plain', 'described', 'parsed', 'query'),
        fc.constantFrom('T', 'T', 'T', 'n', '', 't', 'TT'),
        fc.array(fc.string({ maxLength: 20 }), { maxLength: 4 }),
        tag,
        fc.constantFrom('I', 'I', 'I', 'I', 'T', 'E'),
        changes,
        async (asked, description, rows, tag, status, changes) => {
          const described = {
            T: [rowDescription('a', 'b')],
            n: [noData()],
            t: [parameterDescription(23)],
            TT: [rowDescription('a'), rowDescription('b')],
            '': [],
          }[description]!;
          const given = changed(
            Buffer.concat([
              ...(asked === 'parsed' ? [parseComplete()] : []),
              ...(asked === 'query' ? [] : [bindComplete()]),
              ...(asked === 'plain' ? [] : described),
              ...rows.map((row) => dataRow(row)),
              rawFrame('C', `${tag}\0`),
              readyForQuery(status as 'I'),
            ]),
            changes,
          );
          if (given.length === 0) return;
          const told = rowsOf(given, asked);
          // As another left it that failed.
          way.lane.shut();
          for (const each of [way.atClient, way.ofServer]) each.take();
          way.lane.open(0, 'I');
          way.log.records.length = 0;
          await way.sends(bytes[asked]);
          const where = await way.answers(given);
          expect(where).toBe(told < 0 ? 'session' : 'client');
          expect(way.atClient.take().equals(told < 0 ? Buffer.alloc(0) : given)).toBe(true);
          expect(way.ofServer.take().equals(told < 0 ? given : Buffer.alloc(0))).toBe(true);
          expect(way.lane.shut()).toMatchObject({ state: told < 0 ? 'flight' : 'idle', rounds: 1 });
          const [sent, ...outcomes] = way.log.records;
          expect(outcomes.map(({ brief }) => brief)).toEqual(told < 0 ? [] : [sent!.seq]);
          if (told < 0) return;
          taken += 1;
          expect(JSON.parse(outcomes[0]!.line)).toMatchObject({
            kind: 'outcome',
            ref: sent!.seq,
            st: 'ok',
            rows: told,
            tags: [`SELECT ${told}`],
          });
        },
      ),
      { numRuns: 1000 },
    );
    expect(taken).toBeGreaterThan(60);
  });

  test('that nobody asked for comes to the session, and so does one in pieces', async () => {
    const way = await Way.make();
    const [asked, given] = [round(), answer(['1', '2'])];
    way.lane.learn(0, formOf(asked));
    way.lane.open(0, 'I');
    expect(await way.answers(given)).toBe('session');
    expect(await way.sends(asked)).toBe('server');
    expect(await way.answers(given.subarray(0, 20))).toBe('session');
    // The rest of it is not an answer of its own either, as long as nobody says what came before.
    expect(await way.answers(given.subarray(20))).toBe('session');
    expect(way.lane.shut()).toMatchObject({ state: 'flight' });
  });

  test('with another transaction status or tag than the form has is for the session, and where it leads the next begins', async () => {
    const way = await Way.make();
    const [begin, insert, commit] = ['b', 'i', 'c'].map((name) =>
      round([], { name, isDescribed: false }),
    ) as [Buffer, Buffer, Buffer];
    way.lane.learn(0, formOf(begin, { to: 'T', tag: 'BEGIN', isCounted: false }));
    way.lane.learn(1, formOf(insert, { from: 'T', to: 'T', tag: 'INSERT 0 ' }));
    way.lane.learn(2, formOf(commit, { from: 'T', tag: 'COMMIT', isCounted: false }));
    const said = (tag: string, status: 'I' | 'T' | 'E'): Buffer =>
      Buffer.concat([bindComplete(), rawFrame('C', `${tag}\0`), readyForQuery(status)]);
    way.lane.open(0, 'I');
    for (let each = 0; each < 3; each += 1) {
      expect(await way.sends(insert)).toBe('session');
      expect(await way.sends(begin)).toBe('server');
      expect(await way.answers(said('BEGIN', 'T'))).toBe('client');
      expect(await way.sends(begin)).toBe('session');
      expect(await way.sends(insert)).toBe('server');
      expect(await way.answers(said('INSERT 0 7', 'T'))).toBe('client');
      expect(await way.sends(commit)).toBe('server');
      expect(await way.answers(said('COMMIT', 'I'))).toBe('client');
    }
    expect(way.lane.shut()).toMatchObject({ state: 'idle', rounds: 9, status: 'I' });
    const outcomes = way.log.records
      .map(({ line }) => JSON.parse(line))
      .filter(({ kind }) => kind === 'outcome');
    expect(outcomes.slice(0, 3).map(({ rows, tags }) => [rows, ...tags])).toEqual([
      [0, 'BEGIN'],
      [7, 'INSERT 0 7'],
      [0, 'COMMIT'],
    ]);
    for (const [bytes, from, given] of [
      [begin, 'I', said('BEGIN', 'I')],
      [begin, 'I', said('BEGIN 1', 'T')],
      [begin, 'I', said('BEGI', 'T')],
      [insert, 'T', said('INSERT 0 7', 'E')],
      [insert, 'T', said('INSERT 0 7', 'I')],
      [insert, 'T', said('INSERT 7 7', 'T')],
      [insert, 'T', said('INSERT 0 ', 'T')],
      // A COMMIT of what has failed.
      [commit, 'T', said('ROLLBACK', 'I')],
      [commit, 'T', said('COMMIT', 'T')],
    ] as const) {
      way.lane.open(0, from);
      expect(await way.sends(bytes)).toBe('server');
      expect(await way.answers(given), String(given)).toBe('session');
      expect(way.lane.shut()).toMatchObject({ state: 'flight', status: from });
    }
  });

  test('ends one round, and the next may begin', async () => {
    const way = await Way.make();
    const [asked, given] = [round([Buffer.from('1')]), answer(['1', '2'])];
    way.lane.learn(0, formOf(asked));
    way.lane.open(10, 'I');
    for (let each = 0; each < 50; each += 1) {
      expect(await way.sends(asked)).toBe('server');
      expect(await way.answers(given)).toBe('client');
      expect(await way.answers(rawFrame('A'))).toBe('session');
    }
    expect(way.lane.shut()).toMatchObject({ state: 'idle', rounds: 50, place: 0 });
    const lines = way.log.records.map(({ line }) => JSON.parse(line));
    const statements = lines.filter(({ kind }) => kind === 'stmt');
    expect(statements.map(({ n }) => n)).toEqual(statements.map((_, at) => 11 + at));
    const refs = lines.filter(({ kind }) => kind === 'outcome').map(({ ref }) => ref);
    expect(refs).toEqual(statements.map(({ seq }) => seq));
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, at) => at));
  });
});

/** Texts that a line has to spell with care. */
const nasty = fc.oneof(
  fc.constantFrom('"', '\\', '\n', '\u2028', 'é', '😀', '\u0000\u001f\u007f', '","n":7,"', 'x'.repeat(5000)),
  fc.string({ unit: 'binary', maxLength: 60 }),
);

const nastyBody: fc.Arbitrary<StatementBody> = fc
  .record({
    sid: nasty,
    agent: nasty,
    db: nasty,
    role: fc.option(nasty),
    cmd: fc.option(fc.array(nasty, { maxLength: 3 }), { nil: undefined }),
    effects: fc.array(nasty, { maxLength: 3 }),
    reason: fc.option(nasty, { nil: undefined }),
    sql: nasty,
    len: fc.nat(),
    n: fc.nat(),
    pc: fc.option(fc.array(nasty), { nil: undefined }),
  })
  .map((more) => statement(1, { ...more, proto: 'X' }));

const biggest = Number.MAX_SAFE_INTEGER;
const number = fc.oneof(
  fc.nat({ max: biggest - 1000 }),
  fc.constantFrom(...[0, 9, 10, 999_999, 1_000_000, biggest - 1000]),
);

describe.skipIf(!isBuilt)('the lines of a round', () => {
  test('are those of its bodies, whatever they say, with commitments to its values', async () => {
    const way = await Way.make();
    await fc.assert(
      fc.asyncProperty(
        kind,
        fc.array(value, { minLength: 1, maxLength: 5 }),
        nastyBody,
        fc.record({ seq: number, ts: number, mono: number, n: fc.nat({ max: 2 ** 31 - 2 }) }),
        fc.nat({ max: 999_999_999 }),
        fc.array(fc.oneof(fc.nat({ max: 2 ** 31 - 1 }), fc.constantFrom(2 ** 31, 2 ** 32 - 1))),
        async (kind, values, body, { seq, ts, mono, n }, rows, oids) => {
          const bytes = roundOf(kind, values);
          const form = formOf(bytes, { literals: kind.literals, oids, body });
          way.lane.forget();
          expect(way.lane.learn(0, form)).toBe(true);
          way.log.times = { seq, ts, mono };
          way.log.records.length = 0;
          way.lane.open(n, 'I');
          expect(await way.sends(bytes)).toBe('server');
          const given = [
            ...(kind.name === '' ? [parseComplete()] : []),
            ...[bindComplete(), ...(kind.isDescribed ? [noData()] : [])],
            ...[rawFrame('C', `SELECT ${rows}\0`), readyForQuery('I')],
          ];
          expect(await way.answers(Buffer.concat(given))).toBe('client');
          way.lane.shut();
          expect(way.log.records).toHaveLength(2);
          const [sent, ended] = way.log.records as [Adopted, Adopted];
          const pc = sent.values!.map(({ salt, oid, value }) => commit(salt, oid, value));
          const said = { ...body, n: n + 1, pc: pc.length === 0 ? undefined : pc };
          expect(sent.line).toBe(encodeRecord(said, { ...stamp, seq, ts, mono }));
          expect(told(sent)).toEqual(toTell(bytes, form));
          const { dur_us } = JSON.parse(ended.line);
          // The lane's own clock says how long it took.
          expect(dur_us).toBeGreaterThanOrEqual(0);
          const tags = [`SELECT ${rows}`];
          expect(ended.line).toBe(
            encodeRecord(
              { kind: 'outcome', ref: seq, st: 'ok', tags, rows, dur_us },
              { ...stamp, seq: seq + 1, ts, mono },
            ),
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  test('commit by salts that nothing else gets', async () => {
    const way = await Way.make();
    const values = Array.from({ length: valuesMax }, () => Buffer.from('the same'));
    const bytes = round(values);
    way.lane.learn(0, formOf(bytes));
    way.lane.open(0, 'I');
    // More than are drawn at a time.
    const rounds = Math.ceil((1 << 14) / 16 / valuesMax) * 3;
    for (let each = 0; each < rounds; each += 1) {
      await way.sends(bytes);
      await way.answers(answer());
    }
    way.lane.shut();
    const told = way.log.records.flatMap(({ values }) => values ?? []);
    const salts = told.map(({ salt }) => Buffer.from(salt).toString('hex'));
    expect(new Set(salts).size).toBe(rounds * valuesMax);
    // Nor are they counted up.
    expect(new Set(salts.map((salt) => salt.slice(0, 16))).size).toBe(rounds * valuesMax);
  });

  test('need no more room than was asked for, and are not written where there is less', async () => {
    const way = await Way.make();
    const bytes = round();
    way.lane.learn(0, formOf(bytes));
    way.lane.open(0, 'I');
    const { adopt } = way.log;
    const thrown: unknown[] = [];
    way.log.adopt = ({ briefs, bytesMax, make }, values) => {
      for (const bytes of [0, 1, 100]) {
        const block = Buffer.alloc(bytes + 8, '!');
        try {
          make(block.subarray(4, 4 + bytes), 0, 1, 2, 3);
        } catch (error) {
          thrown.push(error);
        }
        expect(`${block.subarray(0, 4)}${block.subarray(4 + bytes)}`).toBe('!!!!!!!!');
      }
      return adopt.call(way.log, { briefs, bytesMax, make }, values);
    };
    expect(await way.sends(bytes)).toBe('server');
    expect(thrown).toEqual([1, 2, 3].map(() => expect.any(RangeError)));
    expect(way.log.records).toHaveLength(1);
  });

  test('are of a user who keeps no values told without them', async () => {
    const way = await Way.make();
    const bytes = round([Buffer.from('secret')]);
    way.lane.learn(0, formOf(bytes));
    way.user.keepsValues = false;
    way.lane.open(0, 'I');
    await way.sends(bytes);
    expect(way.log.records.map(({ values }) => values)).toEqual([undefined]);
    expect(JSON.parse(way.log.records[0]!.line).pc).toEqual([expect.stringMatching(/^[\w-]{43}$/)]);
  });

  test('are short enough to be lines', () => {
    // 8192 units of text that somebody else sees to, of three bytes at most, and what the lane adds.
    expect(8192 * 3 + valuesMax * 46 + 8 * 20).toBeLessThan(lineBytesMax);
  });
});

const failure = new Error('the disk is full');

describe.skipIf(!isBuilt)('before the log has it in its file', () => {
  test('nothing is sent; then all of it, of every lane, in the order of the records', async () => {
    const log = new FakeLog();
    log.isQuick = false;
    const ways = [await Way.make(log), await Way.make(log), await Way.make(log)];
    for (const [at, way] of ways.entries()) {
      const bytes = round([Buffer.from(`${at}`)]);
      way.lane.learn(0, formOf(bytes));
      way.lane.open(0, 'I');
      await way.stages(bytes);
    }
    for (const way of ways) expect(String(await way.sentToServer())).toBe('');
    expect(ways.map(({ user }) => user.told)).toEqual(ways.map(() => ['admits 0']));
    while (log.waiting > 0) log.answer();
    for (const [at, way] of ways.entries()) {
      expect((await way.sentToServer()).equals(round([Buffer.from(`${at}`)]))).toBe(true);
      expect(way.user.told).toEqual(['admits 0', 'went']);
    }
    expect(log.records.map(({ seq }) => seq)).toEqual([0, 1, 2]);
    for (const [at, { lane }] of ways.entries())
      expect(lane.shut()).toMatchObject({ state: 'flight', ref: at });
  });

  test('what comes at once is recorded at once, and told in order', async () => {
    const log = new FakeLog();
    const ways: Way[] = [];
    for (let each = 0; each < 12; each += 1) ways.push(await Way.make(log));
    const bytes = round([Buffer.from('x')]);
    for (const { lane } of ways) {
      lane.learn(0, formOf(bytes));
      lane.open(0, 'I');
    }
    for (const { client } of ways) client.write(bytes);
    // All of them are readable before the loop looks at one.
    const until = performance.now() + 50;
    while (performance.now() < until);
    for (const way of ways) await way.until(() => way.atServer.bytes === bytes.length);
    expect(log.calls).toEqual(['adopt 12', 'write']);
    expect(new Set(ways.map(({ lane }) => lane.shut()!.ref)).size).toBe(12);
  });

  test.each([
    ['disk', 'sync'],
    ['seal', 'seal'],
  ] as const)('or as its user asks for: %s, whoever goes meanwhile', async (how, call) => {
    const log = new FakeLog();
    log.isSealing = false;
    const [slow, quick] = [await Way.make(log), await Way.make(log)];
    const bytes = round([Buffer.from('x')]);
    for (const { lane } of [slow, quick]) {
      lane.learn(0, formOf(bytes));
      lane.open(0, 'I');
    }
    slow.user.how = how;
    for (const { client } of [slow, quick]) client.write(bytes);
    // Both are told in one call.
    const until = performance.now() + 50;
    while (performance.now() < until);
    await quick.until(() => quick.atServer.bytes === bytes.length && log.durables.length === 1);
    expect(log.calls).toEqual(['adopt 2', 'write', call]);
    expect(String(await slow.sentToServer())).toBe('');
    // No earlier than all that was recorded with it.
    expect(log.durables[0]!.seq).toBe(1);
    log.durables[0]!.done();
    await slow.until(() => slow.atServer.bytes === bytes.length);
    expect(slow.user.told).toEqual(['admits 0', 'went']);
  });

  test('or never: who asked for the disk is told that it failed', async () => {
    const way = await Way.make();
    way.log.isSealing = false;
    way.user.how = 'disk';
    const bytes = round();
    way.lane.learn(0, formOf(bytes));
    way.lane.open(0, 'I');
    way.client.write(bytes);
    await way.until(() => way.log.durables.length === 1);
    way.log.durables[0]!.done(failure);
    await expect.poll(() => way.user.told).toEqual(['admits 0', `failed ${failure.message}`]);
    expect(String(await way.sentToServer())).toBe('');
    expect(way.lane.shut()).toMatchObject({ state: 'staged', ref: 0 });
  });

  test('a lane that is shut has what was not sent, and it is not sent any more', async () => {
    const way = await Way.make();
    const bytes = round([Buffer.from('x')]);
    way.log.isQuick = false;
    way.lane.learn(0, formOf(bytes));
    way.lane.open(4, 'I');
    await way.stages(bytes);
    const standing = way.lane.shut()!;
    expect(standing).toMatchObject({ state: 'staged', rounds: 1, place: 0, ref: 0 });
    expect(standing.bytes?.equals(bytes)).toBe(true);
    expect(standing.milliseconds).toBeGreaterThanOrEqual(0);
    way.log.answer();
    expect(String(await way.sentToServer())).toBe('');
    expect(way.user.told).toEqual(['admits 0']);
  });

  test('a later round of the lane does not go by the word for an earlier one', async () => {
    const way = await Way.make();
    const [first, second] = [round([Buffer.from('1')]), round([Buffer.from('2')])];
    way.log.isQuick = false;
    way.lane.learn(0, formOf(first));
    way.lane.open(0, 'I');
    await way.stages(first);
    expect(way.lane.shut()!.bytes?.equals(first)).toBe(true);
    way.lane.open(1, 'I');
    await way.stages(second);
    expect(way.log.waiting).toBe(2);
    way.log.answer();
    expect(String(await way.sentToServer())).toBe('');
    way.log.answer();
    expect((await way.sentToServer()).equals(second)).toBe(true);
    expect(way.lane.shut()).toMatchObject({ state: 'flight', rounds: 1, ref: 1 });
  });

  test('if it cannot have it nothing goes, and each of the users is told', async () => {
    const log = new FakeLog();
    log.isQuick = false;
    const ways = [await Way.make(log), await Way.make(log)];
    const bytes = round();
    for (const way of ways) {
      way.lane.learn(0, formOf(bytes));
      way.lane.open(0, 'I');
      await way.stages(bytes);
    }
    log.answer(failure);
    expect(ways.map(({ user }) => user.told)).toEqual([
      ['admits 0', `failed ${failure.message}`],
      ['admits 0'],
    ]);
    log.answer(failure);
    for (const way of ways) {
      expect(way.user.told).toEqual(['admits 0', `failed ${failure.message}`]);
      expect(String(await way.sentToServer())).toBe('');
    }
  });
});

describe.skipIf(!isBuilt)('a round that is not admitted', () => {
  test('comes to the session, and it is as if the lane had not had it', async () => {
    const way = await Way.make();
    const bytes = round([Buffer.from('x')]);
    way.lane.learn(0, formOf(bytes));
    way.lane.open(3, 'I');
    for (const isAdmitting of [false, true, false, false, true]) {
      way.user.isAdmitting = isAdmitting;
      expect(await way.sends(bytes)).toBe(isAdmitting ? 'server' : 'session');
      expect(way.ofClient.take().equals(isAdmitting ? Buffer.alloc(0) : bytes)).toBe(true);
      if (isAdmitting) expect(await way.answers(answer())).toBe('client');
    }
    expect(way.lane.shut()).toMatchObject({ state: 'idle', rounds: 2 });
    const statements = way.log.records.filter(({ brief }) => brief === 'passed');
    expect(statements.map(({ line }) => JSON.parse(line).n)).toEqual([4, 5]);
  });

  test.each([false, true])(
    'neither is one of a log that takes nothing, nor an outcome (closing: %s)',
    async (isClosing) => {
      const way = await Way.make();
      const bytes = round();
      way.lane.learn(0, formOf(bytes));
      way.lane.open(0, 'I');
      expect(await way.sends(bytes)).toBe('server');
      way.log.takes = false;
      way.log.isClosing = isClosing;
      expect(await way.answers(answer())).toBe('client');
      expect(await way.sends(bytes)).toBe('session');
      expect(way.user.told).toEqual(['admits 0', 'went']);
      expect(way.lane.shut()).toMatchObject({ state: 'idle', rounds: 1, ref: 0 });
      // What became of what went before is taken as long as a log is open.
      expect(way.log.records.map(({ brief }) => brief)).toEqual(isClosing ? ['passed'] : ['passed', 0]);
    },
  );

  test('an outcome that the log has told itself is not told again', async () => {
    const way = await Way.make();
    const bytes = round();
    way.lane.learn(0, formOf(bytes));
    way.lane.open(0, 'I');
    way.log.ended.add(0);
    for (let each = 0; each < 2; each += 1) {
      await way.sends(bytes);
      await way.answers(answer());
    }
    way.lane.shut();
    expect(way.log.records.map(({ brief }) => brief)).toEqual(['passed', 'passed', 1]);
  });

  test('with others that are, the lines of those stay in order', async () => {
    const log = new FakeLog();
    const ways: Way[] = [];
    for (let each = 0; each < 9; each += 1) ways.push(await Way.make(log));
    for (const [at, { lane, user, client }] of ways.entries()) {
      const bytes = round([Buffer.from(`${at}`)]);
      lane.learn(0, formOf(bytes));
      lane.open(at, 'I');
      user.isAdmitting = at % 3 !== 0;
      client.write(bytes);
    }
    const until = performance.now() + 50;
    while (performance.now() < until);
    for (const way of ways) await way.until(() => way.atServer.bytes + way.ofClient.bytes > 0);
    expect(log.calls).toEqual(['adopt 6', 'write']);
    for (const [at, { lane, user }] of ways.entries()) {
      const { state, ref } = lane.shut()!;
      expect(state).toBe(user.isAdmitting ? 'flight' : 'idle');
      if (!user.isAdmitting) continue;
      const record = log.records[ref]!;
      expect(JSON.parse(record.line)).toMatchObject({ n: at + 1, seq: ref });
      expect(String(record.values![0]!.value)).toBe(`${at}`);
    }
  });

  test('whoever throws at what comes of it does not keep the others from theirs', async () => {
    const log = new FakeLog();
    const [bad, good] = [await Way.make(log), await Way.make(log)];
    const bytes = round();
    for (const { lane } of [bad, good]) {
      lane.learn(0, formOf(bytes));
      lane.open(0, 'I');
    }
    bad.user.isAdmitting = false;
    bad.nearClient.on('data', () => {
      throw new Error('a defect');
    });
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error));
    try {
      for (const { client } of [bad, good]) client.write(bytes);
      const until = performance.now() + 50;
      while (performance.now() < until);
      await good.until(() => good.atServer.bytes === bytes.length);
      await expect.poll(() => thrown).toEqual([new Error('a defect')]);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });
});

describe.skipIf(!isBuilt)('somebody who does not read', () => {
  test('as a client: all comes in order and once, and while some of it waits no more goes by the lane', async () => {
    const way = await Way.make();
    const bytes = round();
    way.lane.learn(0, formOf(bytes));
    way.lane.open(0, 'I');
    way.client.pause();
    const given: Buffer[] = [];
    let isSession = false;
    for (let each = 0; !isSession; each += 1) {
      if ((await way.sends(bytes)) === 'session') break;
      const rows = [`${each}`.padEnd(20_000, '.')];
      given.push(answer(rows));
      const before = way.log.records.length + way.ofServer.bytes;
      way.server.write(given.at(-1)!);
      // Its outcome is told by itself in a moment, unless it is for the session.
      await expect
        .poll(() => way.log.records.length + way.ofServer.bytes, { interval: 1 })
        .toBeGreaterThan(before);
      isSession = way.ofServer.bytes > 0;
    }
    // The kernel took part of an answer, or nothing of it: then it is the session's.
    if (!isSession) expect(way.nearClient.writableLength).toBeGreaterThan(0);
    expect(way.lane.shut()).toMatchObject({ state: isSession ? 'flight' : 'idle', rounds: given.length });
    const taken = isSession ? given.slice(0, -1) : given;
    const whole = Buffer.concat(taken);
    way.client.resume();
    await way.until(() => way.atClient.bytes >= whole.length);
    expect(way.atClient.all.equals(whole)).toBe(true);
    expect((await way.sentToClient()).equals(whole)).toBe(true);
    expect(way.log.records.filter(({ brief }) => brief !== 'passed')).toHaveLength(taken.length);
    await expect.poll(() => way.nearClient.writableLength).toBe(0);
    // And the lane is as good as before.
    way.ofClient.take();
    way.ofServer.take();
    way.lane.open(0, 'I');
    expect(await way.sends(bytes)).toBe('server');
    expect(await way.answers(answer())).toBe('client');
  });

  test('as a client: what is written to it when an answer was taken in part comes behind all of that', async () => {
    const way = await Way.make();
    const bytes = round();
    way.lane.learn(0, formOf(bytes));
    way.lane.open(0, 'I');
    way.client.pause();
    // As a notice of ours, for something that came while the answer was on its way.
    way.nearClient.on('data', () => way.nearClient.write(Buffer.from('a notice')));
    way.nearServer.on('data', (chunk: Buffer) => way.nearClient.write(chunk));
    const given: Buffer[] = [];
    while (way.nearClient.writableLength === 0) {
      expect(await way.sends(bytes)).toBe('server');
      given.push(answer([`${given.length}`.padEnd(30_000, '.')]));
      const { length } = way.log.records;
      const { bytes: before } = way.ofClient;
      way.client.write('x');
      way.server.write(given.at(-1)!);
      // Both are readable before the loop looks at either, in that order.
      const until = performance.now() + 10;
      while (performance.now() < until);
      await way.until(() => way.ofClient.bytes > before);
      if (way.ofServer.bytes > 0) break;
      await way.until(() => way.log.records.length > length);
    }
    way.client.resume();
    const all = await way.sentToClient();
    for (const [at, each] of given.entries())
      expect(all.includes(each), `${at} of ${given.length}`).toBe(true);
  });

  test('as a server: the lane is stuck, and has what the server does not have', async () => {
    const way = await Way.make();
    const bytes = round([Buffer.alloc(4000, 'x')]);
    way.lane.learn(0, formOf(bytes));
    way.server.pause();
    const written: Buffer[] = [];
    // Past the descriptor, in which nothing waits then: as the relay has it. The kernel makes more room, for a while.
    for (let idle = 0; idle < 5; idle += 1) {
      for (;;) {
        const more = Buffer.alloc(1000, written.length);
        const taken = hopHere()!.write(way.nearServer.fd, more);
        if (taken <= 0) break;
        written.push(more.subarray(0, taken));
        idle = 0;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    way.lane.open(0, 'I');
    way.user.onStuck = () => {
      const standing = way.lane.shut()!;
      expect(standing).toMatchObject({ state: 'stuck', rounds: 1, place: 0, ref: 0 });
      const rest = standing.bytes!;
      expect(rest.equals(bytes.subarray(bytes.length - rest.length))).toBe(true);
      written.push(bytes);
      way.nearServer.write(rest);
    };
    way.client.write(bytes);
    await expect.poll(() => way.user.told).toEqual(['admits 0', 'went', 'stuck']);
    way.server.resume();
    const whole = Buffer.concat(written);
    await way.until(() => way.atServer.bytes >= whole.length);
    expect((await way.sentToServer()).equals(whole)).toBe(true);
  });
});

describe.skipIf(!isBuilt)('a descriptor that is destroyed', () => {
  test.each(['client', 'server'] as const)(
    'the %s, with a round staged: the lane tells how it stood',
    async (which) => {
      const way = await Way.make();
      const bytes = round();
      way.log.isQuick = false;
      way.lane.learn(0, formOf(bytes));
      way.lane.open(0, 'I');
      await way.stages(bytes);
      const other = which === 'client' ? way.nearServer : way.nearClient;
      (which === 'client' ? way.nearClient : way.nearServer).destroy();
      expect(way.lane.isOpen).toBe(true);
      const standing = way.lane.shut()!;
      expect(standing).toMatchObject({ state: 'staged', rounds: 1, place: 0, ref: 0 });
      expect(standing.bytes?.equals(bytes)).toBe(true);
      expect(way.lane.isOpen).toBe(false);
      expect(way.lane.shut()).toBeUndefined();
      way.log.answer();
      if (which === 'client') expect(String(await way.sentToServer())).toBe('');
      // There is nothing to learn, to open and to forget any more.
      expect(way.lane.learn(0, formOf(bytes))).toBe(false);
      way.lane.forget();
      way.lane.open(0, 'I');
      expect(way.lane.isOpen).toBe(false);
      other.destroy();
      expect(way.lane.shut()).toBeUndefined();
    },
  );

  test.each(['client', 'server'] as const)(
    'the %s, with a round in flight, and with an outcome that is not told yet',
    async (which) => {
      for (const isAnswered of [false, true]) {
        const way = await Way.make();
        const bytes = round();
        way.lane.learn(0, formOf(bytes));
        way.lane.open(0, 'I');
        expect(await way.sends(bytes)).toBe('server');
        if (isAnswered) expect(await way.answers(answer())).toBe('client');
        (which === 'client' ? way.nearClient : way.nearServer).destroy();
        const isTold = way.log.records.some(({ brief }) => brief === 0);
        expect(isTold).toBe(isAnswered);
        expect(way.lane.shut()).toMatchObject({ state: isAnswered ? 'idle' : 'flight', rounds: 1, ref: 0 });
      }
    },
  );

  test('does not mix with a later one that has its numbers', async () => {
    const log = new FakeLog();
    log.isQuick = false;
    const [first, second] = [round([Buffer.from('1')]), round([Buffer.from('2')])];
    const one = await Way.make(log);
    one.lane.learn(0, formOf(first));
    one.lane.open(0, 'I');
    await one.stages(first);
    const numbers = [one.nearClient.fd, one.nearServer.fd];
    for (const line of [one.nearClient, one.nearServer]) line.destroy();
    for (const far of [one.client, one.server]) far.destroy();
    // What is closed is closed at once; the numbers of descriptors are given out from the lowest.
    let two = await Way.make(log);
    for (let tries = 0; tries < 20 && !numbers.includes(two.nearClient.fd); tries += 1)
      two = await Way.make(log);
    expect(numbers).toContain(two.nearClient.fd);
    two.lane.learn(0, formOf(second));
    two.lane.open(0, 'I');
    await two.stages(second);
    log.answer();
    expect(String(await two.sentToServer())).toBe('');
    expect(two.user.told).toEqual(['admits 0']);
    log.answer();
    expect((await two.sentToServer()).equals(second)).toBe(true);
    expect(one.lane.shut()).toMatchObject({ state: 'staged', ref: 0 });
    expect(two.lane.shut()).toMatchObject({ state: 'flight', ref: 1 });
  });

  test('leaves the failure of its record to nobody else', async () => {
    const log = new FakeLog();
    log.isQuick = false;
    const one = await Way.make(log);
    const bytes = round();
    one.lane.learn(0, formOf(bytes));
    one.lane.open(0, 'I');
    await one.stages(bytes);
    for (const line of [one.nearClient, one.nearServer]) line.destroy();
    // The numbers of lanes are given out from the lowest, too.
    const other = await Way.make(new FakeLog());
    log.answer(failure);
    expect(other.user.told).toEqual([]);
  });

  test('and many others: each lane is its own', async () => {
    const bytes = (at: number): Buffer => round([Buffer.from(`${at}`)]);
    let open: { way: Way; at: number }[] = [];
    for (let at = 0; at < 60; at += 1) {
      const way = await Way.make();
      way.lane.learn(0, formOf(bytes(at)));
      way.lane.open(at, 'I');
      open.push({ way, at });
      if (at % 3 === 2) {
        const [gone] = open.splice((at * 7) % open.length, 1);
        (at % 2 === 0 ? gone!.way.nearClient : gone!.way.nearServer).destroy();
        expect(gone!.way.lane.shut()).toMatchObject({ state: 'idle' });
      }
      if (at % 20 !== 19) continue;
      for (const { way, at } of open) {
        expect(await way.sends(bytes(at))).toBe('server');
        expect(way.atServer.take().equals(bytes(at))).toBe(true);
        expect(await way.answers(answer([`${at}`]))).toBe('client');
        expect(way.atClient.take().equals(answer([`${at}`]))).toBe(true);
      }
      open = open.filter(({ at }) => at % 2 === 0);
    }
  });

  test('by another in the same turn, with its round on the way: nobody gets it', async () => {
    const log = new FakeLog();
    const [one, two] = [await Way.make(log), await Way.make(log)];
    const bytes = round();
    for (const { lane } of [one, two]) {
      lane.learn(0, formOf(bytes));
      lane.open(0, 'I');
    }
    // What is no round of one ends the other.
    one.nearClient.on('data', () => {
      for (const line of [two.nearClient, two.nearServer]) line.destroy();
    });
    one.client.write('x');
    two.client.write(bytes);
    const until = performance.now() + 50;
    while (performance.now() < until);
    await two.until(() => two.log.records.length === 1);
    await expect.poll(() => two.nearClient.destroyed).toBe(true);
    expect(two.lane.shut()).toMatchObject({ state: 'staged', ref: 0 });
    await expect.poll(() => two.server.destroyed).toBe(true);
    expect(two.atServer.bytes).toBe(0);
  });
});

describe.skipIf(!isBuilt)('an outcome', () => {
  test('that nobody follows up is told by itself, soon', async () => {
    const way = await Way.make();
    const bytes = round();
    way.lane.learn(0, formOf(bytes));
    way.lane.open(0, 'I');
    for (let each = 0; each < 3; each += 1) {
      await way.sends(bytes);
      const since = performance.now();
      await way.answers(answer());
      await way.until(() => way.log.records.length === 2 * each + 2);
      expect(performance.now() - since).toBeLessThan(2_000);
    }
    expect(way.log.calls).toEqual([
      'adopt 1',
      'write',
      'adopt 1',
      'adopt 1',
      'write',
      'adopt 1',
      'adopt 1',
      'write',
      'adopt 1',
    ]);
    expect(way.lane.shut()).toMatchObject({ rounds: 3 });
  });

  test('is told with the round that follows it, and before the lane is shut', async () => {
    const way = await Way.make();
    const bytes = round();
    way.lane.learn(0, formOf(bytes));
    way.lane.open(0, 'I');
    await way.sends(bytes);
    const before = way.log.records.length;
    way.server.write(answer());
    await way.until(() => way.atClient.bytes > 0);
    way.lane.shut();
    expect(way.log.records.length).toBe(before + 1);
  });

  test('of one lane is told when another is shut', async () => {
    const log = new FakeLog();
    const [one, two] = [await Way.make(log), await Way.make(log)];
    const bytes = round();
    one.lane.learn(0, formOf(bytes));
    one.lane.open(0, 'I');
    two.lane.open(0, 'I');
    await one.sends(bytes);
    one.server.write(answer());
    await one.until(() => one.atClient.bytes > 0);
    two.lane.shut();
    expect(log.records.map(({ brief }) => brief)).toEqual(['passed', 0]);
    one.lane.shut();
    expect(log.records).toHaveLength(2);
  });
});

describe.skipIf(!isBuilt)('a thread', () => {
  // What is left behind at its end: nothing, a round that is staged, one in flight, an outcome that nobody was told of.
  test.each(['open', 'staged', 'flight', 'outcome'])('ends with a lane %s', async (state) => {
    const program = `
      const { workerData, parentPort } = require('node:worker_threads');
      (async () => {
        const { Way, round, formOf, answer } = await import(workerData.module);
        const way = await Way.make();
        const bytes = round([Buffer.from('x')]);
        way.lane.learn(0, formOf(bytes));
        way.lane.open(0, 'I');
        const { state } = workerData;
        if (state === 'staged') {
          way.log.isQuick = false;
          await way.stages(bytes);
        } else if (state !== 'open') await way.sends(bytes);
        if (state === 'outcome') {
          way.server.write(answer());
          await way.until(() => way.atClient.bytes > 0);
          // Its end comes before it is due, and after it was noted.
        }
        parentPort.postMessage(way.log.records.length);
        if (state === 'outcome') for (;;);
      })();`;
    const module = join(root, 'test/hop/lane.ts');
    const worker = new Worker(program, { eval: true, workerData: { module, state } });
    expect((await once(worker, 'message'))[0]).toBe(state === 'open' ? 0 : 1);
    const exit = once(worker, 'exit');
    await worker.terminate();
    expect((await exit)[0]).toBe(1);
  });
});
