// Who never counts: the agent by every spelling, the person behind it, whoever is not named, a second credential of one
// person, a delegate of any of these. And who does: a delegate, once, for the one who delegated. B7 of the invariants.

import { expect, test } from 'vitest';
import { type Decision, decisionText } from '../../src/approval/decision.ts';
import { type Delegation, delegationText } from '../../src/approval/delegation.ts';
import type { RequestDraft } from '../../src/approval/request.ts';
import { type SigningKey, signToken } from '../../src/approval/token.ts';
import {
  type Bench,
  decideAs,
  decisionFor,
  gate,
  newBench,
  newKey,
  publicUrl,
  signed,
  startMs,
} from '../support/approvals.ts';
import { passkeyPerson, slackEvidence, slackSecret, sshEvidence, sshPerson } from '../support/evidence.ts';

async function parked(change: Partial<RequestDraft> = {}) {
  const bench = await newBench({ slackSecret });
  const { request, values } = gate(change);
  const hold = await bench.desk.open(request, values, 7);
  return { bench, hold, request };
}

/** The code of a refusal, or the state after the decision. */
async function tried(bench: Bench, rid: string, decision: Decision, evidence: unknown): Promise<string> {
  return bench.desk.decide(rid, decision, evidence).then(
    (row) => row.state,
    (error: { code: string }) => error.code,
  );
}

test.each(['claude', 'Claude', 'CLAUDE', ' claude ', 'ｃｌａｕｄｅ', 'claude\u00a0'])(
  'the agent as an approver called %j never counts, by whatever credential',
  async (name) => {
    const { bench, hold } = await parked();
    // As if the registry had let it in, and did not know that the agent goes by it.
    bench.agents.clear();
    const key = await newKey();
    bench.keys.set(key.kid, { approver: name, kid: key.kid, jwk: key.jwk });
    bench.book.accounts.set('T012AB3CD/U012AB3CD', { approver: name });
    const [ssh, passkey] = [sshPerson(bench, name), passkeyPerson(bench, name)];
    for (const verdict of ['approve', 'reject'] as const) {
      const decision = await decisionFor(bench, hold.rid, name, { verdict, reason: 'x' });
      const bySlack: Decision = { ...decision, level: 'slack', verdict: 'reject' };
      expect(await tried(bench, hold.rid, decision, await signed(decision, key))).toBe('forbidden');
      expect(await tried(bench, hold.rid, decision, sshEvidence(decision, ssh))).toBe('forbidden');
      expect(await tried(bench, hold.rid, decision, passkey.evidence(decisionText(decision)))).toBe(
        'forbidden',
      );
      expect(await tried(bench, hold.rid, bySlack, slackEvidence(bySlack, startMs))).toBe('forbidden');
    }
    expect(await hold.claim()).toBeUndefined();
    expect(bench.log.kinds()).toEqual(['hold']);
  },
);

test('another agent with an approver key never counts either', async () => {
  const { bench, hold } = await parked();
  const key = await newKey();
  bench.agents.add('GPT');
  bench.keys.set(key.kid, { approver: 'gpt', kid: key.kid, jwk: key.jwk });
  const decision = await decisionFor(bench, hold.rid, 'gpt');
  expect(await tried(bench, hold.rid, decision, await signed(decision, key))).toBe('forbidden');
});

test.each(['ann', 'ANN', ' Ann', 'ａｎｎ'])('the person behind the agent (%j) never counts', async (name) => {
  const { bench, hold } = await parked({ agent: { id: 'claude', auth: 'scram-sha-256', obo: [name] } });
  await expect(decideAs(bench, 'ann', hold.rid)).rejects.toMatchObject({
    code: 'forbidden',
    message: expect.stringContaining('works on behalf of'),
  });
  expect((await decideAs(bench, 'bob', hold.rid)).state).toBe('approved');
  expect(await hold.claim()).toBeDefined();
});

test('somebody who became the person behind the agent after the request does not count', async () => {
  const { bench, hold } = await parked();
  bench.book.obo.set('claude', ['Ann']);
  await expect(decideAs(bench, 'ann', hold.rid)).rejects.toMatchObject({ code: 'forbidden' });
  bench.book.obo.clear();
  await decideAs(bench, 'ann', hold.rid);
  bench.book.obo.set('claude', ['Ann']);
  expect(await hold.claim()).toBeUndefined();
});

test('only those whom the request names decide, however their names are spelled there', async () => {
  const { bench, hold } = await parked({ need: { level: 'key', quorum: 1, of: ['BOB', 'cfo'] } });
  await expect(decideAs(bench, 'ann', hold.rid)).rejects.toMatchObject({
    code: 'forbidden',
    message: expect.stringContaining('not one of those who decide'),
  });
  expect((await decideAs(bench, 'bob', hold.rid)).state).toBe('approved');
  expect(await hold.claim()).toMatchObject({ by: ['bob'] });
  const nobody = await parked({ need: { level: 'key', quorum: 1, of: [] } });
  await expect(decideAs(nobody.bench, 'bob', nobody.hold.rid)).rejects.toMatchObject({ code: 'forbidden' });
});

test('one person with a key, an SSH key and a passkey is one of two, not two', async () => {
  const { bench, hold } = await parked({ need: { level: 'key', quorum: 2 } });
  const [ssh, passkey] = [sshPerson(bench, 'ann'), passkeyPerson(bench, 'ann')];
  expect((await decideAs(bench, 'ann', hold.rid)).state).toBe('pending');
  const again = await decisionFor(bench, hold.rid, 'ann', { reason: 'again' });
  expect(await tried(bench, hold.rid, again, sshEvidence(again, ssh))).toBe('conflict');
  expect(await tried(bench, hold.rid, again, passkey.evidence(decisionText(again)))).toBe('conflict');
  // The same person under another spelling, as a registry that was tampered with might have them.
  const twin = await newKey();
  bench.keys.set(twin.kid, { approver: 'Ann', kid: twin.kid, jwk: twin.jwk });
  const asTwin = await decisionFor(bench, hold.rid, 'Ann');
  expect(await tried(bench, hold.rid, asTwin, await signed(asTwin, twin))).toBe('conflict');
  expect(await hold.claim()).toBeUndefined();
});

const hourMs = 3_600_000;

async function delegated(
  bench: Bench,
  change: Partial<Delegation> = {},
  key: SigningKey = bench.ann,
): Promise<{ code: string } | undefined> {
  const delegation: Delegation = {
    typ: 'holdpoint.delegation.v1',
    aud: publicUrl,
    from: 'ann',
    to: 'bob',
    nbf: startMs,
    exp: startMs + 8 * hourMs,
    nonce: 'n',
    ...change,
  };
  const jws = await signToken('holdpoint-delegation+jws', delegationText(delegation), key);
  return bench.desk.delegate(delegation, { kind: 'jws', jws }).then(
    () => undefined,
    (error: { code: string }) => error,
  );
}

const ofAnn = { need: { level: 'key' as const, quorum: 1, of: ['ann'] } };
const forAnn = { for: 'ann' };

test('a delegate decides for whoever delegated to them, and the log has both signatures', async () => {
  const { bench, hold } = await parked(ofAnn);
  await expect(decideAs(bench, 'bob', hold.rid, forAnn)).rejects.toMatchObject({ code: 'forbidden' });
  expect(await delegated(bench)).toBeUndefined();
  await expect(decideAs(bench, 'bob', hold.rid)).rejects.toMatchObject({ code: 'forbidden' });
  expect((await decideAs(bench, 'bob', hold.rid, forAnn)).state).toBe('approved');
  expect(await hold.claim()).toMatchObject({ by: ['bob'] });
  expect(bench.log.kinds()).toEqual(['hold', 'delegation', 'decision', 'grant_use']);
  expect(bench.log.records[1]).toMatchObject({ from: 'ann', to: 'bob', ev: { kind: 'jws' } });
});

test('a delegation counts where, for what and as long as it says', async () => {
  for (const [change, state] of [
    [{ targets: ['shop'], rules: ['definitions'] }, 'approved'],
    [{ targets: ['bank'] }, 'forbidden'],
    [{ rules: ['row-removal'] }, 'forbidden'],
    [{ nbf: startMs + hourMs }, 'forbidden'],
    [{ exp: startMs + 1000 }, 'forbidden'],
  ] as const) {
    const { bench, hold } = await parked(ofAnn);
    expect(await delegated(bench, change as Partial<Delegation>)).toBeUndefined();
    bench.clock.ms += 1000;
    const decision = await decisionFor(bench, hold.rid, 'bob', forAnn);
    expect(await tried(bench, hold.rid, decision, await signed(decision, bench.bob))).toBe(state);
  }
});

test('a delegation that ends between decision and release releases nothing', async () => {
  const { bench, hold } = await parked(ofAnn);
  await delegated(bench, { exp: startMs + 1000 });
  await decideAs(bench, 'bob', hold.rid, forAnn);
  bench.clock.ms += 1000;
  expect(await hold.claim()).toBeUndefined();
});

test('what is no delegation of the one who signs is refused and recorded nowhere', async () => {
  const { bench } = await parked();
  const cases: [Partial<Delegation>, SigningKey, string][] = [
    [{}, bench.bob, 'unauthorized'],
    [{}, await newKey(), 'unauthorized'],
    [{ to: 'claude' }, bench.ann, 'forbidden'],
    [{ to: 'ann' }, bench.ann, 'bad-request'],
    [{ to: 'ANN' }, bench.ann, 'bad-request'],
    [{ exp: startMs + 15 * 24 * hourMs }, bench.ann, 'bad-request'],
    [{ exp: startMs }, bench.ann, 'bad-request'],
    [{ nbf: startMs - 2, exp: startMs - 1 }, bench.ann, 'expired'],
    [{ aud: 'http://other.test' }, bench.ann, 'conflict'],
    [{ targets: [] }, bench.ann, 'bad-request'],
  ];
  for (const [change, key, code] of cases)
    expect(await delegated(bench, change, key), JSON.stringify(change)).toMatchObject({ code });
  bench.book.retired.add('bob');
  expect(await delegated(bench)).toMatchObject({ code: 'forbidden' });
  expect(bench.log.kinds()).toEqual(['hold']);
  expect(bench.shelf.kept).toEqual([]);
});

test('a decision signature is no delegation, nor the reverse', async () => {
  const { bench, hold } = await parked();
  const decision = await decisionFor(bench, hold.rid, 'ann');
  const jws = await signToken('holdpoint-delegation+jws', decisionText(decision), bench.ann);
  expect(await tried(bench, hold.rid, decision, { kind: 'jws', jws })).toBe('unauthorized');
  const text = delegationText({
    typ: 'holdpoint.delegation.v1',
    aud: publicUrl,
    from: 'ann',
    to: 'bob',
    nbf: startMs,
    exp: startMs + 1000,
    nonce: 'n',
  });
  const asDecision = await signToken('holdpoint-decision+jws', text, bench.ann);
  await expect(bench.desk.delegate(JSON.parse(text), { kind: 'jws', jws: asDecision })).rejects.toMatchObject(
    {
      code: 'unauthorized',
    },
  );
  const ssh = sshPerson(bench, 'ann');
  await expect(
    bench.desk.delegate(JSON.parse(text), { kind: 'sshsig', signature: ssh.sign(text) }),
  ).rejects.toMatchObject({ code: 'unauthorized' });
});

test('both are one vote: whoever delegated cannot vote as well, nor the delegate twice', async () => {
  const two = { need: { level: 'key' as const, quorum: 2 } };
  const first = await parked(two);
  await delegated(first.bench);
  await decideAs(first.bench, 'ann', first.hold.rid);
  await expect(decideAs(first.bench, 'bob', first.hold.rid, forAnn)).rejects.toMatchObject({
    code: 'conflict',
  });
  const second = await parked(two);
  await delegated(second.bench);
  await decideAs(second.bench, 'bob', second.hold.rid, forAnn);
  await expect(decideAs(second.bench, 'ann', second.hold.rid)).rejects.toMatchObject({ code: 'conflict' });
  await expect(decideAs(second.bench, 'bob', second.hold.rid)).rejects.toMatchObject({ code: 'conflict' });
});

test('votes of both that reached the store by two nodes at once are one at the release', async () => {
  const { bench, hold } = await parked({ need: { level: 'key', quorum: 2 } });
  await delegated(bench);
  const row = (await bench.store.get(hold.rid))!;
  for (const [who, change] of [
    ['ann', {}],
    ['bob', forAnn],
  ] as const) {
    const decision = await decisionFor(bench, hold.rid, who, change);
    await bench.store.vote(hold.rid, row.rd, {
      approver: who,
      verdict: 'approve',
      level: 'key',
      decision: decisionText(decision),
      evidence: JSON.stringify(await signed(decision, bench[who])),
      reason: '',
      at: bench.clock.now(),
      node: 'n1',
      seq: 1,
    });
  }
  expect((await bench.store.get(hold.rid))?.state).toBe('approved');
  expect(await hold.claim()).toBeUndefined();
});

test('a delegate gains nothing where the one who delegated, or the delegate, never counts', async () => {
  const agent = (obo: string[]) => ({ agent: { id: 'claude', auth: 'scram-sha-256' as const, obo } });
  for (const obo of [['ann'], ['bob']]) {
    const { bench, hold } = await parked(agent(obo));
    await delegated(bench);
    await expect(decideAs(bench, 'bob', hold.rid, forAnn)).rejects.toMatchObject({ code: 'forbidden' });
  }
  const { bench, hold } = await parked();
  await delegated(bench);
  await expect(decideAs(bench, 'bob', hold.rid, { for: 'claude' })).rejects.toMatchObject({
    code: 'forbidden',
  });
  bench.book.retired.add('ann');
  await expect(decideAs(bench, 'bob', hold.rid, forAnn)).rejects.toMatchObject({ code: 'forbidden' });
});

test('a delegation goes with the decision to the node that releases, and into its log', async () => {
  const { bench, hold } = await parked(ofAnn);
  const far = await newBench({ store: bench.store, like: bench, node: 'n2' });
  await delegated(far);
  await decideAs(far, 'bob', hold.rid, forAnn);
  // The node that holds the session was never told of it.
  bench.shelf.kept.splice(0);
  expect(await hold.claim()).toMatchObject({ by: ['bob'] });
  expect(bench.log.kinds()).toEqual(['hold', 'delegation', 'decision', 'grant_use']);
});

test('a delegation that only stands in the store, and that nobody signed, lends nothing', async () => {
  const { bench, hold } = await parked(ofAnn);
  await delegated(bench);
  await decideAs(bench, 'bob', hold.rid, forAnn);
  bench.shelf.kept.splice(0);
  const row = (await bench.store.get(hold.rid))!;
  const [vote] = row.votes as [(typeof row.votes)[number]];
  const evidence = JSON.parse(vote.evidence) as { delegation: { text: string; evidence: string } };
  const longer = evidence.delegation.text.replace(/"exp":\d+/, `"exp":${startMs + 9 * hourMs}`);
  const forged = { ...evidence, delegation: { ...evidence.delegation, text: longer } };
  const { get } = bench.store;
  bench.store.get = async () => ({ ...row, votes: [{ ...vote, evidence: JSON.stringify(forged) }] });
  expect(await hold.claim()).toBeUndefined();
  bench.store.get = get.bind(bench.store);
  expect(await hold.claim()).toBeDefined();
});

test('a delegation is not passed on', async () => {
  const { bench, hold } = await parked(ofAnn);
  const eve = await newKey();
  bench.keys.set(eve.kid, { approver: 'eve', kid: eve.kid, jwk: eve.jwk });
  await delegated(bench);
  await delegated(bench, { from: 'bob', to: 'eve' }, bench.bob);
  const decision = await decisionFor(bench, hold.rid, 'eve', forAnn);
  expect(await tried(bench, hold.rid, decision, await signed(decision, eve))).toBe('forbidden');
});

test('who delegates with a key in software cannot lend a vote that takes a passkey', async () => {
  const { bench, hold } = await parked({ need: { level: 'passkey', quorum: 1, of: ['ann'] } });
  await delegated(bench);
  const passkey = passkeyPerson(bench, 'bob');
  const decision = await decisionFor(bench, hold.rid, 'bob', { ...forAnn, level: 'passkey' });
  expect(await tried(bench, hold.rid, decision, passkey.evidence(decisionText(decision)))).toBe('forbidden');
});
