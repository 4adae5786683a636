// What every store promises, as tests that any implementation runs. `open` returns an empty store.

import { afterEach, expect, test } from 'vitest';
import type { ListFilter, Store, StoredRequest, Vote } from '../../src/store/store.ts';

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

  test(`${name}: a vote that suffices alone approves whatever the quorum, and is kept as it was`, async () => {
    const s = await fresh();
    const { rid, rd } = await added(s, { quorum: 3 });
    const alone = { ...vote('eve'), alone: true as const };
    expect(await s.vote(rid, rd, alone)).toMatchObject({
      counted: true,
      row: { state: 'approved', votes: [alone] },
    });
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

  test(`${name}: list shows only the states, the target and the time before which it was asked for, also page by page`, async () => {
    const s = await fresh();
    const rows: StoredRequest[] = [];
    for (let at = 0; at < 5; at += 1) {
      rows.push(await added(s, { created: now + at, target: at % 2 === 0 ? 'shop' : 'stock' }));
    }
    const [first, second, third, fourth, fifth] = rows.map(({ rid }) => rid);
    const list = async (filter: Partial<ListFilter>) =>
      (await s.list({ rowsMax: 10, ...filter })).map(({ rid }) => rid);
    expect(await list({ target: 'stock' })).toEqual([fourth, second]);
    expect(await list({ before: now + 3 })).toEqual([third, second, first]);
    expect(await list({ before: now + 3, rowsMax: 2 })).toEqual([third, second]);
    expect(await list({ before: now + 1, agent: 'claude', target: 'shop' })).toEqual([first]);
    await s.vote(fifth!, rows[4]!.rd, vote('ann'));
    await s.vote(second!, rows[1]!.rd, vote('ann', 'reject'));
    expect(await list({ states: ['pending', 'approved'] })).toEqual([fifth, fourth, third, first]);
    expect(await list({ states: ['pending', 'approved'], rowsMax: 1, before: now + 4 })).toEqual([fourth]);
    expect(await list({ states: ['rejected', 'approved'] })).toEqual([fifth, second]);
    expect(await list({ states: [] })).toEqual([]);
  });

  test(`${name}: rejected is the newest of that agent and match, not before the moment asked for`, async () => {
    const s = await fresh();
    const match = 'm'.repeat(43);
    const reject = async (change: Partial<StoredRequest>, at: number) => {
      const { rid, rd } = await added(s, change);
      await s.vote(rid, rd, { ...vote('ann', 'reject'), at });
      return rid;
    };
    const first = await reject({}, now + 10);
    await reject({ agent: 'gpt' }, now + 30);
    await reject({ match: 'x'.repeat(43) }, now + 30);
    const { rid: canceled } = await added(s);
    await s.end(canceled, ['pending'], 'canceled', { by: 'x', reason: '', at: now + 40 });
    expect((await s.rejected('claude', match, now))?.rid).toBe(first);
    expect((await s.rejected('claude', match, now + 10))?.rid).toBe(first);
    expect(await s.rejected('claude', match, now + 11)).toBeUndefined();
    const second = await reject({}, now + 20);
    expect(await s.rejected('claude', match, now)).toMatchObject({
      rid: second,
      state: 'rejected',
      ending: { by: 'ann', reason: 'because', at: now + 20 },
    });
  });

  test(`${name}: open are an agent's pending and approved rows in their time, oldest first`, async () => {
    const s = await fresh();
    const open = async () => (await s.open('claude', now)).map(({ rid }) => rid);
    const [one, two, three] = [await added(s), await added(s), await added(s)];
    await added(s, { agent: 'gpt' });
    await added(s, { exp: now });
    expect(await open()).toEqual([one.rid, two.rid, three.rid]);
    await s.vote(one.rid, one.rd, vote('ann'));
    await s.vote(two.rid, two.rd, vote('ann', 'reject'));
    expect(await open()).toEqual([one.rid, three.rid]);
    await s.consume(one.rid, one.rd, one.holder);
    expect(await open()).toEqual([three.rid]);
  });

  test(`${name}: a used row becomes a grant, once, that is found until its end or its revocation`, async () => {
    const s = await fresh();
    const grants = async (at = now) => (await s.grants('claude', at)).map(({ rid }) => rid);
    const { rid, rd, holder } = await added(s);
    expect(await s.grant(rid, rd, now + 500)).toBe(false);
    await s.vote(rid, rd, vote('ann'));
    expect(await s.grant(rid, rd, now + 500)).toBe(false);
    await s.consume(rid, rd, holder);
    expect(await s.grant(rid, 'other', now + 500)).toBe(false);
    expect(await s.grant('nothing', rd, now + 500)).toBe(false);
    expect(await s.grant(rid, rd, now + 500)).toBe(true);
    expect(await s.grant(rid, rd, now + 900)).toBe(false);
    expect((await s.get(rid))?.grant).toEqual({ until: now + 500, uses: 0, rows: 0 });
    await s.end(rid, ['consumed'], 'executed', { by: 'server', reason: '', at: now });
    expect(await grants()).toEqual([rid]);
    expect(await s.grants('gpt', now)).toEqual([]);
    expect(await s.revoke(rid)).toBe(true);
    expect(await s.revoke(rid)).toBe(false);
    expect(await grants()).toEqual([]);
    expect((await s.get(rid))?.grant).toBeNull();
    const other = await added(s);
    await s.vote(other.rid, other.rd, vote('ann'));
    await s.consume(other.rid, other.rd, other.holder);
    await s.grant(other.rid, other.rd, now + 500);
    expect(await grants(now + 499)).toEqual([other.rid]);
    expect(await grants(now + 500)).toEqual([]);
  });

  test(`${name}: of many who spend a grant at once no more than its uses and its rows are spent`, async () => {
    const s = await fresh();
    const { rid, rd, holder } = await added(s);
    const spend = (uses: number, rows: number, at = now) =>
      s.spend(rid, rd, { uses, rows }, { uses: 5, rows: 12 }, at);
    expect(await spend(1, 0)).toBeUndefined();
    await s.vote(rid, rd, vote('ann'));
    await s.consume(rid, rd, holder);
    await s.grant(rid, rd, now + 500);
    const uses = await Promise.all(Array.from({ length: 9 }, () => spend(1, 2)));
    expect(uses.filter((sums) => sums !== undefined)).toHaveLength(5);
    expect((await s.get(rid))?.grant).toEqual({ until: now + 500, uses: 5, rows: 10 });
    expect(await spend(0, 3)).toBeUndefined();
    expect(await spend(0, -4)).toEqual({ uses: 5, rows: 6 });
    expect(await spend(0, -40)).toEqual({ uses: 5, rows: 0 });
    expect(await s.spend(rid, 'other', { uses: 0, rows: 1 }, { uses: 5, rows: 12 }, now)).toBeUndefined();
    expect(await spend(0, 1, now + 500)).toBeUndefined();
    await s.revoke(rid);
    expect(await spend(0, 1)).toBeUndefined();
  });

  test(`${name}: of many who present the same thing exactly one does so first, until its time is over`, async () => {
    const s = await fresh();
    const results = await Promise.all(Array.from({ length: 8 }, () => s.once('jti', now + 60_000, now)));
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(await s.once('other', now + 60_000, now)).toBe(true);
    expect(await s.once('jti', now + 120_000, now + 59_999)).toBe(false);
    expect(await s.once('jti', now + 120_000, now + 60_000)).toBe(true);
  });

  test(`${name}: a lost row is put back as it was; one that is there stays as it is`, async () => {
    const s = await fresh();
    const lost = row();
    expect(await s.restore(lost)).toBe('restored');
    expect(await s.get(lost.rid)).toEqual(lost);
    expect((await s.open('claude', now)).map(({ rid }) => rid)).toEqual([lost.rid]);
    expect(await s.create(row(), 1, now)).toBe('too-many');
    await s.vote(lost.rid, lost.rd, vote('ann'));
    expect(await s.restore(lost)).toBe('present');
    expect((await s.get(lost.rid))?.state).toBe('approved');
    await s.consume(lost.rid, lost.rd, lost.holder);
    expect(await s.restore(lost)).toBe('present');
    expect(await s.open('claude', now)).toEqual([]);
  });

  test(`${name}: a name has one holder at a time, who keeps it by asking again`, async () => {
    const s = await fresh();
    const lease = (holder: string, text = holder) => ({ name: 'node:n1', holder, text });
    const results = await Promise.all(['a', 'b', 'c'].map((holder) => s.lease(lease(holder), 60_000)));
    const holder = results[0]!.holder;
    expect(results).toEqual([lease(holder), lease(holder), lease(holder)]);
    expect(await s.lease(lease(holder, 'again'), 60_000)).toEqual(lease(holder, 'again'));
    expect(await s.lease(lease('d'), 60_000, 'somebody')).toEqual(lease(holder, 'again'));
    expect(await s.leases('node:')).toEqual([lease(holder, 'again')]);
    expect(await s.lease(lease('d'), 60_000, holder)).toEqual(lease('d'));
    await s.release('node:n1', holder);
    expect(await s.leases('node:')).toEqual([lease('d')]);
    await s.lease({ name: 'other', holder: 'x', text: '' }, 60_000);
    expect(await s.leases('node:')).toEqual([lease('d')]);
    await s.release('node:n1', 'd');
    expect(await s.leases('node:')).toEqual([]);
  });

  test(`${name}: every change is announced, until the watcher leaves`, async () => {
    const s = await fresh();
    const changed: string[] = [];
    const used: [string, number][] = [];
    const leave = s.watch({ changed: (rid) => changed.push(rid), used: (rid, exp) => used.push([rid, exp]) });
    await s.ping();
    const { rid, rd, holder, exp } = await added(s);
    // What an earlier test changed may be announced only now.
    const seen = () => changed.filter((each) => each === rid).length;
    const uses = () => used.filter(([each]) => each === rid);
    await s.vote(rid, rd, vote('ann'));
    expect(uses()).toEqual([]);
    await s.consume(rid, rd, holder);
    await expect.poll(seen).toBe(3);
    await expect.poll(uses).toEqual([[rid, exp]]);
    leave();
    await s.end(rid, ['consumed'], 'executed', { by: 'server', reason: '', at: now });
    await s.ping();
    expect(seen()).toBe(3);
  });
}
