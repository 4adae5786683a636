// What every store promises, as tests that any implementation runs. `open` returns an empty store.

import { afterEach, expect, test } from 'vitest';
import type { Store, StoredRequest, Vote } from '../../src/store/store.ts';

const now = 1_800_000_000_000;
let serial = 0;

export function row(change: Partial<StoredRequest> = {}): StoredRequest {
  serial += 1;
  return {
    rid: `${serial}`.padStart(22, 'r'),
    rd: 'd'.repeat(43),
    request: '{"sql":"DROP TABLE \\"ü\\u0000\\""}',
    values: '{"params":[]}',
    nonce: 'n'.repeat(22),
    agent: 'claude',
    target: 'shop',
    match: 'm'.repeat(43),
    quorum: 1,
    created: now,
    exp: now + 1000,
    state: 'pending',
    holder: 'n1/b/s/1',
    votes: [],
    ending: null,
    grant: null,
    ...change,
  };
}

export function vote(approver: string, verdict: Vote['verdict'] = 'approve'): Vote {
  return {
    approver,
    verdict,
    level: 'key',
    decision: '{"a":"é"}',
    evidence: '{"kind":"jws"}',
    reason: 'because',
    at: now + 1,
    node: 'n1',
    seq: 5,
  };
}

export function storeContract(name: string, open: () => Promise<Store>): void {
  let store: Store;
  const fresh = async (): Promise<Store> => {
    store = await open();
    return store;
  };
  afterEach(async () => store?.close());
  const added = async (to: Store, change: Partial<StoredRequest> = {}): Promise<StoredRequest> => {
    const one = row(change);
    expect(await to.create(one, 100, now)).toBe('created');
    return one;
  };

  test(`${name}: a row comes back as it went in`, async () => {
    const s = await fresh();
    const one = await added(s);
    expect(await s.get(one.rid)).toEqual(one);
    expect(await s.get('nothing')).toBeUndefined();
    await expect(s.create(one, 100, now)).rejects.toMatchObject({ code: 'conflict' });
  });

  test(`${name}: pendingMax counts an agent's pending rows that have not expired`, async () => {
    const s = await fresh();
    await added(s, { exp: now });
    const first = await added(s);
    expect(await s.create(row(), 1, now)).toBe('too-many');
    expect(await s.create(row({ agent: 'gpt' }), 1, now)).toBe('created');
    await s.end(first.rid, ['pending'], 'canceled', { by: 'client', reason: '', at: now });
    expect(await s.create(row(), 1, now)).toBe('created');
  });

  test(`${name}: of many creations at once no more than pendingMax succeed`, async () => {
    const s = await fresh();
    const results = await Promise.all(Array.from({ length: 10 }, () => s.create(row(), 3, now)));
    expect(results.filter((result) => result === 'created')).toHaveLength(3);
  });

  test(`${name}: the quorum-th approval approves, and every vote is kept as it was`, async () => {
    const s = await fresh();
    const { rid, rd } = await added(s, { quorum: 2 });
    const first = await s.vote(rid, rd, vote('ann'));
    expect(first).toMatchObject({ counted: true, row: { state: 'pending' } });
    const second = await s.vote(rid, rd, vote('bob'));
    expect(second).toMatchObject({
      counted: true,
      row: { state: 'approved', votes: [vote('ann'), vote('bob')] },
    });
    expect(await s.get(rid)).toEqual(second.counted ? second.row : undefined);
  });

  test(`${name}: a reject ends the row, says by whom, and drops the values`, async () => {
    const s = await fresh();
    const { rid, rd } = await added(s, { quorum: 3 });
    await s.vote(rid, rd, vote('ann'));
    await s.vote(rid, rd, vote('bob', 'reject'));
    expect(await s.get(rid)).toMatchObject({
      state: 'rejected',
      values: '',
      ending: { by: 'bob', reason: 'because', at: now + 1 },
    });
  });

  test(`${name}: a vote on nothing, another digest, a settled row, or the second of a person does not count`, async () => {
    const s = await fresh();
    const { rid, rd } = await added(s, { quorum: 2 });
    expect(await s.vote('nothing', rd, vote('ann'))).toEqual({ counted: false, why: 'missing' });
    expect(await s.vote(rid, 'other', vote('ann'))).toEqual({ counted: false, why: 'digest' });
    await s.vote(rid, rd, vote('ann'));
    expect(await s.vote(rid, rd, vote('ann', 'reject'))).toEqual({ counted: false, why: 'voted' });
    await s.vote(rid, rd, vote('bob'));
    expect(await s.vote(rid, rd, vote('cy'))).toEqual({ counted: false, why: 'settled', state: 'approved' });
  });

  test(`${name}: of many who consume an approved row exactly one does`, async () => {
    const s = await fresh();
    const { rid, rd, holder } = await added(s);
    expect(await s.consume(rid, rd, holder)).toBe(false);
    await s.vote(rid, rd, vote('ann'));
    expect(await s.consume(rid, 'other', holder)).toBe(false);
    expect(await s.consume(rid, rd, 'somebody else')).toBe(false);
    const results = await Promise.all(Array.from({ length: 16 }, () => s.consume(rid, rd, holder)));
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(await s.get(rid)).toMatchObject({ state: 'consumed', values: '' });
  });

  test(`${name}: approve, reject, cancel and expire at once: one of them is the end`, async () => {
    const s = await fresh();
    for (let round = 0; round < 10; round += 1) {
      const { rid, rd } = await added(s);
      const ending = { by: 'x', reason: '', at: now };
      const results = await Promise.all([
        s.vote(rid, rd, vote('ann')).then((result) => result.counted),
        s.vote(rid, rd, vote('bob', 'reject')).then((result) => result.counted),
        s.end(rid, ['pending'], 'canceled', ending),
        s.end(rid, ['pending'], 'expired', ending),
      ]);
      expect(results.filter(Boolean)).toHaveLength(1);
    }
  });

  test(`${name}: a row ends only from the states that were named, and keeps its ending`, async () => {
    const s = await fresh();
    const { rid } = await added(s);
    const ending = { by: 'client', reason: 'gone', at: now + 2 };
    expect(await s.end(rid, ['approved'], 'canceled', ending)).toBe(false);
    expect(await s.end(rid, ['pending', 'approved'], 'canceled', ending)).toBe(true);
    expect(await s.end(rid, ['pending', 'approved'], 'expired', ending)).toBe(false);
    expect(await s.end('nothing', ['pending'], 'expired', ending)).toBe(false);
    expect(await s.get(rid)).toMatchObject({ state: 'canceled', values: '', ending });
  });

  test(`${name}: findFree gives the oldest row of that agent, match and state that nobody holds and that lives`, async () => {
    const s = await fresh();
    const find = () => s.findFree('claude', 'm'.repeat(43), 'pending', now);
    const held = await added(s);
    await added(s, { agent: 'gpt', holder: '' });
    await added(s, { match: 'x'.repeat(43), holder: '' });
    await added(s, { exp: now, holder: '' });
    expect(await find()).toBeUndefined();
    const free = await added(s, { holder: '' });
    await added(s, { holder: '' });
    expect((await find())?.rid).toBe(free.rid);
    expect(await s.hold(held.rid, 'wrong', '')).toBe(false);
    expect(await s.hold(held.rid, held.holder, '')).toBe(true);
    expect((await find())?.rid).toBe(held.rid);
    await s.vote(held.rid, held.rd, vote('ann'));
    expect((await s.findFree('claude', 'm'.repeat(43), 'approved', now))?.rid).toBe(held.rid);
  });

  test(`${name}: of many who take up a free row exactly one holds it; an ended one nobody`, async () => {
    const s = await fresh();
    const { rid } = await added(s, { holder: '' });
    const results = await Promise.all(Array.from({ length: 8 }, (_, index) => s.hold(rid, '', `s${index}`)));
    expect(results.filter(Boolean)).toHaveLength(1);
    await s.end(rid, ['pending'], 'canceled', { by: 'x', reason: '', at: now });
    const holder = (await s.get(rid))?.holder ?? '';
    expect(await s.hold(rid, holder, '')).toBe(false);
  });

  test(`${name}: list is newest first, filtered and bounded; overdue are the open rows past their time`, async () => {
    const s = await fresh();
    const rows = [await added(s), await added(s, { agent: 'gpt' }), await added(s, { exp: now - 1 })];
    const rids = (list: StoredRequest[]) => list.map((one) => one.rid);
    expect(rids(await s.list({ rowsMax: 10 }))).toEqual(rids(rows).reverse());
    expect(rids(await s.list({ rowsMax: 1 }))).toEqual([rows[2]?.rid]);
    expect(rids(await s.list({ agent: 'gpt', rowsMax: 10 }))).toEqual([rows[1]?.rid]);
    await s.end(rows[0]!.rid, ['pending'], 'canceled', { by: 'x', reason: '', at: now });
    expect(rids(await s.list({ states: ['canceled'], rowsMax: 10 }))).toEqual([rows[0]?.rid]);
    expect(rids(await s.overdue(now, 10))).toEqual([rows[2]?.rid]);
    expect(await s.overdue(now + 5000, 1)).toHaveLength(1);
  });

  test(`${name}: every change is announced, until the watcher leaves`, async () => {
    const s = await fresh();
    const seen: string[] = [];
    let heard: () => void = () => {};
    const leave = s.watch((rid) => {
      seen.push(rid);
      heard();
    });
    const told = async (count: number) => {
      while (seen.length < count) await new Promise<void>((done) => (heard = done));
    };
    await s.ping();
    const { rid, rd, holder } = await added(s);
    await s.vote(rid, rd, vote('ann'));
    await s.consume(rid, rd, holder);
    await told(3);
    expect(new Set(seen)).toEqual(new Set([rid]));
    leave();
    await s.end(rid, ['consumed'], 'executed', { by: 'server', reason: '', at: now });
    await s.ping();
    expect(seen).toHaveLength(3);
  });
}
