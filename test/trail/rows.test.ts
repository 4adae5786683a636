import { expect, test } from 'vitest';
import type { Entry } from '../../src/trail/entry.ts';
import { Rows } from '../../src/trail/rows.ts';

const entry = (seq: number, kind: string, members: Record<string, unknown> = {}): Entry => ({
  seq,
  kind,
  ts: seq,
  members: { seq, kind, ...members },
  line: '',
});
const stmt = (seq: number, more = {}) => entry(seq, 'stmt', { agent: 'claude', dec: 'pass', ...more });
const outcome = (seq: number, ref: number, st = 'ok') => entry(seq, 'outcome', { ref, st });
const seqs = (rows: readonly { entry: Entry; outcome?: Entry | undefined }[]) =>
  rows.map((row) => [row.entry.seq, row.outcome?.seq]);

test('a statement and its outcome are one row, in the order of the statements', () => {
  const rows = new Rows({});
  expect(rows.push(stmt(0))).toEqual([]);
  expect(rows.push(stmt(1))).toEqual([]);
  expect(rows.push(outcome(2, 1))).toEqual([]);
  expect(seqs(rows.push(outcome(3, 0)))).toEqual([
    [0, 3],
    [1, 2],
  ]);
});

test('a statement waits for its outcome while few rows stand behind it; the outcome then has a row of its own', () => {
  const rows = new Rows({});
  expect(rows.push(stmt(0))).toEqual([]);
  const out = [];
  for (let seq = 1; seq <= 1_001; seq += 1) out.push(...rows.push(entry(seq, 'hb')));
  expect(out).toHaveLength(1_002);
  expect(seqs(out.slice(0, 2))).toEqual([
    [0, undefined],
    [1, undefined],
  ]);
  const [late] = rows.push(outcome(2_000, 0));
  expect(late).toMatchObject({ entry: { seq: 2_000 }, of: { seq: 0 } });
});

test('an outcome that is asked for is waited for, and shown late with its statement', () => {
  const rows = new Rows({ outcomes: ['error'] });
  rows.push(stmt(0));
  rows.push(stmt(1));
  rows.push(outcome(2, 1, 'ok'));
  expect(rows.flush()).toEqual([]);
  expect(rows.push(outcome(3, 0, 'error'))).toMatchObject([{ entry: { seq: 3 }, of: { seq: 0 } }]);
});

test('outcomes of statements that do not fit are not shown', () => {
  const rows = new Rows({ agent: 'claude' });
  rows.push(stmt(0, { agent: 'other' }));
  expect(rows.push(outcome(1, 0))).toEqual([]);
  expect(rows.flush()).toEqual([]);
});

test('each thing that can be asked for leaves out what is not of it', () => {
  const all = [
    stmt(0, { target: 'shop', cls: 'read', dec: 'pass', sql: 'select 1 from Orders' }),
    stmt(1, { target: 'crm', cls: 'destroy', dec: 'hold', sql: 'drop table x', agent: 'other' }),
    entry(2, 'auth', { agent: 'claude', target: 'shop' }),
    entry(3, 'hold', { rid: 'R', ref: 1 }),
  ];
  const shown = (filter: ConstructorParameters<typeof Rows>[0], related: readonly number[] = []) => {
    const rows = new Rows(filter);
    for (const ref of related) rows.related.add(ref);
    return [...all.flatMap((each) => rows.push(each)), ...rows.flush()].map((row) => row.entry.seq);
  };
  expect(shown({})).toEqual([0, 1, 2, 3]);
  expect(shown({ agent: 'claude' })).toEqual([0, 2]);
  expect(shown({ target: 'shop' })).toEqual([0, 2]);
  expect(shown({ classes: ['destroy', 'write'] })).toEqual([1]);
  expect(shown({ verdicts: ['pass'] })).toEqual([0]);
  expect(shown({ kinds: ['auth', 'hold'] })).toEqual([2, 3]);
  expect(shown({ text: 'ORDERS' })).toEqual([0]);
  expect(shown({ request: 'R' }, [1])).toEqual([1, 3]);
  expect(shown({ from: 1, to: 2 })).toEqual([1, 2]);
  expect(shown({ since: 2, until: 3 })).toEqual([2, 3]);
});
