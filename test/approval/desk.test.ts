import { expect, test } from 'vitest';
import { decisionText } from '../../src/approval/decision.ts';
import { secretText } from '../../src/approval/request.ts';
import {
  decideAs,
  decisionFor,
  gate,
  linkGate,
  newBench,
  newKey,
  signed,
  turn,
  until,
} from '../support/approvals.ts';

async function parked(options: Parameters<typeof newBench>[0] = {}, change = {}) {
  const bench = await newBench(options);
  const { request, values } = gate(change);
  const hold = await bench.desk.open(request, values, 7);
  return { bench, request, hold };
}

test('an approval by a registered key settles the hold and can be claimed exactly once', async () => {
  const { bench, hold } = await parked();
  await decideAs(bench, 'ann', hold.rid);
  expect(await hold.settled).toMatchObject({ state: 'approved', by: ['ann'], decisions: [1] });
  const grants = await Promise.all([hold.claim(), hold.claim(), hold.claim()]);
  expect(grants.filter((grant) => grant !== undefined)).toEqual([
    { rid: hold.rid, by: ['ann'], decisions: [1], seq: 2 },
  ]);
  expect(bench.log.kinds()).toEqual(['hold', 'decision', 'grant_use']);
  expect(bench.log.records[2]).toMatchObject({ ref: 7, decisions: [1], by: ['ann'] });
});

test('the hold is durable before it is open, and the decision before it has an effect', async () => {
  const bench = await newBench();
  bench.log.slow = true;
  const { request, values } = gate();
  let opened = false;
  const opening = bench.desk.open(request, values, 0).then((hold) => {
    opened = true;
    return hold;
  });
  await turn();
  expect(opened).toBe(false);
  expect(bench.opened).toEqual([]);
  bench.log.sync();
  const hold = await opening;
  const deciding = decideAs(bench, 'ann', hold.rid);
  await until(() => bench.log.records.length === 2);
  expect(bench.log.kinds()).toEqual(['hold', 'decision']);
  expect((await bench.store.get(hold.rid))?.state).toBe('pending');
  bench.log.sync();
  expect((await deciding).state).toBe('approved');
});

test('a hold that cannot be recorded leaves nothing open', async () => {
  const bench = await newBench();
  bench.log.broken = true;
  const { request, values } = gate();
  await expect(bench.desk.open(request, values, 0)).rejects.toMatchObject({ code: 'log-unwritable' });
  expect((await bench.store.get(request.rid))?.state).toBe('canceled');
});

test('a decision that cannot be recorded has no effect', async () => {
  const { bench, hold } = await parked();
  bench.log.broken = true;
  await expect(decideAs(bench, 'ann', hold.rid)).rejects.toMatchObject({ code: 'log-unwritable' });
  expect((await bench.store.get(hold.rid))?.state).toBe('pending');
});

test('a use that cannot be recorded releases nothing', async () => {
  const { bench, hold } = await parked();
  await decideAs(bench, 'ann', hold.rid);
  bench.log.broken = true;
  await expect(hold.claim()).rejects.toMatchObject({ code: 'log-unwritable' });
  bench.log.broken = false;
  expect(await hold.claim()).toBeUndefined();
});

test('a row that says approved releases nothing', async () => {
  const { bench, hold, request } = await parked();
  const row = await bench.store.get(hold.rid);
  bench.store.get = async () => ({ ...row!, state: 'approved' });
  bench.store.findFree = async () => ({ ...row!, state: 'approved', holder: '' });
  bench.store.consume = async () => true;
  expect(await hold.claim()).toBeUndefined();
  expect(await bench.desk.claimApproved(request.match, 'claude', 1)).toBeUndefined();
  expect(bench.suspicious.length).toBeGreaterThan(0);
  expect(bench.log.kinds()).toEqual(['hold']);
});

test('a vote forged into the store by somebody without an approver key releases nothing', async () => {
  const { bench, hold } = await parked();
  const mallory = await newKey();
  const decision = await decisionFor(bench, hold.rid, 'ann');
  const vote = {
    approver: 'ann',
    verdict: 'approve' as const,
    level: 'key',
    decision: JSON.stringify(decision),
    evidence: JSON.stringify(await signed(decision, mallory)),
    reason: '',
    at: bench.clock.now(),
    node: 'n1',
    seq: 1,
  };
  const row = await bench.store.get(hold.rid);
  expect((await bench.store.vote(hold.rid, row?.rd ?? '', vote)).counted).toBe(true);
  await turn();
  expect((await bench.store.get(hold.rid))?.state).toBe('approved');
  expect(await hold.claim()).toBeUndefined();
  expect(bench.suspicious.length).toBeGreaterThan(0);
});

test('an approver who was retired between decision and release releases nothing', async () => {
  const { bench, hold } = await parked();
  await decideAs(bench, 'ann', hold.rid);
  bench.keys.delete(bench.ann.kid);
  expect(await hold.claim()).toBeUndefined();
});

test('two of two needs two people; a second vote of the first does not count', async () => {
  const { bench, hold } = await parked({}, { need: { level: 'key', quorum: 2 } });
  const second = await newKey();
  bench.keys.set(second.kid, { approver: 'ann', kid: second.kid, jwk: second.jwk });
  expect((await decideAs(bench, 'ann', hold.rid)).state).toBe('pending');
  await expect(decideAs(bench, 'ann', hold.rid)).rejects.toMatchObject({ code: 'conflict' });
  const again = await decisionFor(bench, hold.rid, 'ann', { reason: 'my other key' });
  await expect(bench.desk.decide(hold.rid, again, await signed(again, second))).rejects.toMatchObject({
    code: 'conflict',
  });
  expect(await hold.claim()).toBeUndefined();
  expect((await decideAs(bench, 'bob', hold.rid)).state).toBe('approved');
  expect(await hold.settled).toMatchObject({ by: ['ann', 'bob'] });
  expect(await hold.claim()).toMatchObject({ by: ['ann', 'bob'] });
});

test('of two bounds of rows the smaller one counts, and the use says so', async () => {
  const { bench, hold } = await parked({}, { need: { level: 'key', quorum: 2 }, counts: 'all' });
  await decideAs(bench, 'ann', hold.rid, { rowsMax: 40 });
  await decideAs(bench, 'bob', hold.rid, { rowsMax: 30 });
  expect(await hold.claim()).toMatchObject({ rowsMax: 30 });
  expect(bench.log.records.at(-1)).toMatchObject({ kind: 'grant_use', rowsMax: 30 });
});

test('a bound of rows that cannot be enforced is refused, and a stored vote with one releases nothing', async () => {
  const { bench, hold } = await parked();
  await expect(decideAs(bench, 'ann', hold.rid, { rowsMax: 40 })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('DROP TABLE changes no rows that the server counts'),
  });
  const decision = await decisionFor(bench, hold.rid, 'ann', { rowsMax: 40 });
  const vote = {
    approver: 'ann',
    verdict: 'approve' as const,
    level: 'key',
    decision: decisionText(decision),
    evidence: JSON.stringify(await signed(decision, bench.ann)),
    reason: '',
    at: bench.clock.now(),
    node: 'n1',
    seq: 1,
  };
  const row = await bench.store.get(hold.rid);
  await bench.store.vote(hold.rid, row?.rd ?? '', vote);
  expect(await hold.claim()).toBeUndefined();
});

test('a store that lowers the quorum still needs the quorum that was signed', async () => {
  const bench = await newBench();
  const { request, values } = gate({ need: { level: 'key', quorum: 2 } });
  const create = bench.store.create.bind(bench.store);
  bench.store.create = (row, pendingMax, now) => create({ ...row, quorum: 1 }, pendingMax, now);
  const hold = await bench.desk.open(request, values, 0);
  expect((await decideAs(bench, 'ann', hold.rid)).state).toBe('approved');
  expect(await hold.claim()).toBeUndefined();
});

test('any reject is final, whatever was approved before or comes after', async () => {
  const { bench, hold } = await parked({}, { need: { level: 'key', quorum: 2 } });
  await decideAs(bench, 'ann', hold.rid);
  await decideAs(bench, 'bob', hold.rid, { verdict: 'reject', reason: 'not on a Friday' });
  expect(await hold.settled).toEqual({
    state: 'rejected',
    rid: hold.rid,
    by: 'bob',
    reason: 'not on a Friday',
    until: bench.clock.now() + 600_000,
    expiresAt: bench.clock.now() + 3_600_000,
  });
  expect(bench.log.records.at(-1)).toEqual({
    kind: 'reject',
    rid: hold.rid,
    by: 'bob',
    reason: 'not on a Friday',
  });
  await expect(decideAs(bench, 'ann', hold.rid)).rejects.toMatchObject({ code: 'conflict' });
  expect(await hold.claim()).toBeUndefined();
});

test('approve and reject at the same moment: one counts, the other is told so', async () => {
  const { bench, hold } = await parked();
  bench.log.slow = true;
  const approve = decideAs(bench, 'ann', hold.rid).then(
    (row) => row.state,
    (error) => error.code,
  );
  const reject = decideAs(bench, 'bob', hold.rid, { verdict: 'reject' }).then(
    (row) => row.state,
    (error) => error.code,
  );
  await until(() => bench.log.records.length === 2);
  await turn();
  bench.log.sync();
  // Which of the two is signed first is chance.
  const [approved, rejected] = [await approve, await reject];
  expect([
    ['approved', 'conflict'],
    ['conflict', 'rejected'],
  ]).toContainEqual([approved, rejected]);
  expect(bench.log.kinds()).toEqual(['hold', 'decision', ...(rejected === 'rejected' ? ['reject'] : [])]);
});

test('cancel while the approval is being written: nothing can be claimed', async () => {
  const { bench, hold } = await parked();
  bench.log.slow = true;
  const deciding = decideAs(bench, 'ann', hold.rid);
  await until(() => bench.log.records.length === 2);
  const canceling = hold.cancel('disconnect');
  expect(await hold.settled).toEqual({ state: 'canceled', rid: hold.rid });
  bench.log.sync();
  await deciding;
  await until(() => bench.log.records.length === 3);
  bench.log.sync();
  await canceling;
  expect(await hold.claim()).toBeUndefined();
  expect((await bench.store.get(hold.rid))?.state).toBe('canceled');
  expect(bench.log.kinds()).toEqual(['hold', 'decision', 'cancel']);
});

test('cancel while the claim is verifying: nothing is released', async () => {
  const { bench, hold } = await parked();
  await decideAs(bench, 'ann', hold.rid);
  const claiming = hold.claim();
  await Promise.resolve();
  await hold.cancel('client');
  expect(await claiming).toBeUndefined();
  expect(bench.log.kinds()).not.toContain('grant_use');
});

test('a canceled or disconnected request can no longer be approved', async () => {
  for (const by of ['client', 'disconnect', 'shutdown'] as const) {
    const { bench, hold } = await parked();
    await hold.cancel(by);
    await expect(decideAs(bench, 'ann', hold.rid)).rejects.toMatchObject({ code: 'conflict' });
  }
});

test('an hour on, the request expires: the hold settles, no decision counts, no retry finds it', async () => {
  const { bench, hold, request } = await parked();
  const decision = await decisionFor(bench, hold.rid, 'ann');
  await bench.clock.pass(3_600_000);
  expect(await hold.settled).toEqual({ state: 'expired', rid: hold.rid });
  await expect(
    bench.desk.decide(hold.rid, decision, await signed(decision, bench.ann)),
  ).rejects.toMatchObject({
    code: 'expired',
  });
  expect(await bench.desk.claimApproved(request.match, 'claude', 9)).toBeUndefined();
  expect(bench.log.kinds()).toEqual(['hold', 'expire']);
});

test('a request that nobody waits for expires by the sweep', async () => {
  const { bench, hold } = await parked();
  hold.detach();
  await bench.clock.pass(3_605_000);
  expect((await bench.store.get(hold.rid))?.state).toBe('expired');
});

test('an approval one millisecond before the end releases before it and not at it', async () => {
  for (const [passMs, released] of [
    [0, true],
    [1, false],
  ] as const) {
    const { bench, hold } = await parked();
    bench.clock.ms += 3_599_999;
    await decideAs(bench, 'ann', hold.rid);
    bench.clock.ms += passMs;
    expect((await hold.claim()) !== undefined).toBe(released);
  }
});

test('a decision that reaches the disk after the end does not count', async () => {
  const { bench, hold } = await parked();
  bench.log.onDurable = () => {
    bench.clock.ms += 3_600_000;
  };
  await expect(decideAs(bench, 'ann', hold.rid)).rejects.toMatchObject({ code: 'expired' });
  expect(await hold.claim()).toBeUndefined();
});

test('a wall clock set back does not lengthen the life of a hold', async () => {
  const { bench, hold } = await parked();
  await decideAs(bench, 'ann', hold.rid);
  bench.clock.stepMs = -3_600_000;
  bench.clock.ms += 3_600_000;
  expect(await hold.claim()).toBeUndefined();
});

test('a retry takes up the pending request that its agent no longer waits for', async () => {
  const { bench, hold } = await parked();
  hold.detach();
  const retry = gate();
  const again = await bench.desk.open(retry.request, retry.values, 8);
  expect(again.rid).toBe(hold.rid);
  await decideAs(bench, 'ann', hold.rid);
  expect(await again.settled).toMatchObject({ state: 'approved' });
  expect(await again.claim()).toMatchObject({ by: ['ann'] });
  expect(await hold.claim()).toBeUndefined();
  expect(bench.log.kinds()).toEqual(['hold', 'decision', 'grant_use']);
  expect(bench.log.records[2]).toMatchObject({ ref: 8 });
});

test('an approved retry passes once, from the same agent, for the same match', async () => {
  const { bench, hold, request } = await parked();
  hold.detach();
  await decideAs(bench, 'ann', hold.rid);
  expect(await bench.desk.claimApproved(request.match, 'gpt', 9)).toBeUndefined();
  expect(
    await bench.desk.claimApproved(gate({ sql: 'DROP TABLE customers' }).request.match, 'claude', 9),
  ).toBeUndefined();
  const claims = await Promise.all(
    [1, 2, 3, 4].map((ref) => bench.desk.claimApproved(request.match, 'claude', ref)),
  );
  expect(claims.filter((grant) => grant !== undefined)).toHaveLength(1);
  expect(await bench.desk.claimApproved(request.match, 'claude', 10)).toBeUndefined();
});

test('a retry right behind its own giving up finds the approval', async () => {
  const { bench, hold, request } = await parked();
  await decideAs(bench, 'ann', hold.rid);
  hold.detach();
  expect(await bench.desk.claimApproved(request.match, 'claude', 9)).toBeDefined();
});

test('an approval is not passed on to another statement by a store that changes a match', async () => {
  const bench = await newBench();
  const harmless = gate({ sql: 'DROP TABLE scratch' });
  const hold = await bench.desk.open(harmless.request, harmless.values, 0);
  hold.detach();
  await decideAs(bench, 'ann', hold.rid);
  const drop = gate();
  const row = await bench.store.get(hold.rid);
  bench.store.findFree = async () => ({ ...row!, match: drop.request.match });
  bench.store.get = async () => ({ ...row!, match: drop.request.match });
  expect(await bench.desk.claimApproved(drop.request.match, 'claude', 9)).toBeUndefined();
});

test('a store rolled back to before the use does not release twice on the node that used it', async () => {
  const { bench, hold, request } = await parked();
  hold.detach();
  await decideAs(bench, 'ann', hold.rid);
  await turn();
  const before = await bench.store.get(hold.rid);
  expect(await bench.desk.claimApproved(request.match, 'claude', 9)).toBeDefined();
  bench.store.findFree = async () => before;
  bench.store.get = async () => before;
  bench.store.consume = async () => true;
  expect(await bench.desk.claimApproved(request.match, 'claude', 10)).toBeUndefined();
});

test('an agent may have pendingMax requests open and not one more; a decided one makes room', async () => {
  const { bench, hold } = await parked({ pendingMax: 2 });
  const second = gate({ sql: 'DROP TABLE a' });
  const third = gate({ sql: 'DROP TABLE b' });
  await bench.desk.open(second.request, second.values, 1);
  await expect(bench.desk.open(third.request, third.values, 2)).rejects.toMatchObject({
    code: 'too-many-pending',
  });
  const other = gate({ sql: 'DROP TABLE b', agent: { id: 'gpt', auth: 'scram-sha-256' } });
  await bench.desk.open(other.request, other.values, 3);
  await decideAs(bench, 'ann', hold.rid, { verdict: 'reject' });
  const fourth = gate({ sql: 'DROP TABLE b' });
  await bench.desk.open(fourth.request, fourth.values, 4);
});

test('a decision taken on another node is written into the log of the node that releases', async () => {
  const { bench, hold } = await parked();
  const far = await newBench({ store: bench.store, like: bench, node: 'n2' });
  await decideAs(far, 'ann', hold.rid);
  expect(await hold.settled).toMatchObject({ state: 'approved' });
  const grant = await hold.claim();
  expect(bench.log.kinds()).toEqual(['hold', 'decision', 'grant_use']);
  expect(grant?.decisions).toEqual([1]);
});

test('a link decides on development only, and only with the typed phrase', async () => {
  const bench = await newBench();
  const { request, values } = linkGate();
  const hold = await bench.desk.open(request, values, 0);
  await until(() => bench.notified.length > 0);
  const token = bench.notified[0]!.link.split('#')[1]!;
  const jti = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()).jti;
  const decision = await decisionFor(bench, hold.rid, `link:${jti}`, { level: 'link' });
  await expect(
    bench.desk.decide(hold.rid, decision, { kind: 'link', token, phrase: '' }),
  ).rejects.toMatchObject({ code: 'forbidden' });
  const row = await bench.desk.decide(hold.rid, decision, { kind: 'link', token, phrase: 'orders' });
  expect(row.state).toBe('approved');
  expect(await hold.claim()).toBeDefined();
  expect(JSON.stringify(bench.log.records)).not.toContain(token);
});

test('a store that is silent at the end of its time cannot keep a hold alive', async () => {
  const { bench, hold } = await parked();
  bench.store.get = async () => {
    throw new Error('gone');
  };
  await bench.clock.pass(3_600_000);
  expect(await hold.settled).toEqual({ state: 'expired', rid: hold.rid });
});

test('the values of a secret text stay out of the log', async () => {
  const bench = await newBench();
  const sql = Buffer.from("ALTER ROLE app PASSWORD 'hunter2'");
  const values = { params: [], text: secretText(Buffer.alloc(16, 1).toString('base64url'), sql) };
  const { request } = gate({ sql: "ALTER ROLE app PASSWORD '‹redacted›'" }, values);
  const hold = await bench.desk.open(request, values, 0);
  await decideAs(bench, 'ann', hold.rid);
  expect(await hold.claim()).toBeDefined();
  expect(JSON.stringify(bench.log.records)).not.toContain('hunter2');
  expect(JSON.stringify(bench.log.records)).not.toContain(request.match);
});
