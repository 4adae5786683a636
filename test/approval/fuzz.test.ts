// A thousand decisions of which one thing is not as it was signed: a member of D, a character of the evidence, or
// something of the row in the store between decision and release. None releases anything, and the same decision without
// the change does. B1 of the invariants.

import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { type Decision, decisionText } from '../../src/approval/decision.ts';
import type { Level } from '../../src/approval/request.ts';
import type { StoredRequest, Vote } from '../../src/store/store.ts';
import { type Bench, decisionFor, gate, newBench, signed, startMs } from '../support/approvals.ts';
import {
  passkeyPerson,
  type SoftPasskey,
  type SshSigner,
  slackEvidence,
  slackSecret,
  sshEvidence,
  sshPerson,
  TokenMaker,
} from '../support/evidence.ts';

const kinds = ['jws', 'sshsig', 'webauthn', 'oidc', 'slack'] as const;
type Kind = (typeof kinds)[number];
const levels: Record<Kind, Level> = {
  jws: 'key',
  sshsig: 'key',
  webauthn: 'passkey',
  oidc: 'key',
  slack: 'slack',
};
const casesPerKind = 200;

let bench: Bench;
let ssh: Pick<SshSigner, 'sign'>;
let passkey: SoftPasskey;
let maker: TokenMaker;

beforeAll(async () => {
  maker = await TokenMaker.make();
  bench = await newBench({ slackSecret, oidc: maker.port(), pendingMax: 10_000 });
  ssh = sshPerson(bench, 'ann');
  passkey = passkeyPerson(bench, 'ann');
  bench.book.accounts.set(`${maker.issuer} 42`, { approver: 'ann' });
  bench.book.accounts.set('T012AB3CD/U012AB3CD', { approver: 'ann' });
});

type Evidence = Record<string, string>;

async function evidenceOf(kind: Kind, decision: Decision): Promise<Evidence> {
  if (kind === 'jws') return signed(decision, bench.ann);
  if (kind === 'sshsig') return sshEvidence(decision, ssh);
  if (kind === 'webauthn') return passkey.evidence(decisionText(decision));
  if (kind === 'slack') return slackEvidence(decision, startMs);
  return { kind: 'oidc', idToken: await maker.token(decision, '42', startMs) };
}

/** The text with one character turned into another. */
function flipped(text: string, at: number, by: number): string {
  if (text === '') return String.fromCharCode(33 + (by % 90));
  const index = at % text.length;
  const code = text.charCodeAt(index);
  const other = 33 + ((code - 33 + 1 + (by % 92) + 94) % 94);
  return text.slice(0, index) + String.fromCharCode(other === code ? 33 : other) + text.slice(index + 1);
}

function changed(value: unknown, at: number, by: number): unknown {
  if (typeof value === 'number') return value + (by % 2 === 0 ? 1 : -1) * (1 + (at % 1000));
  if (value === 'approve') return 'reject';
  if (['link', 'slack', 'key', 'passkey'].includes(String(value)))
    return ['link', 'slack', 'key', 'passkey'].filter((level) => level !== value)[by % 3];
  return flipped(String(value), at, by);
}

const additions: readonly object[] = [
  { rowsMax: 10 },
  { for: 'bob' },
  { scope: { kind: 'statement' } },
  { scope: { kind: 'break-glass' } },
  { scope: { kind: 'fingerprint', until: startMs + 60_000, usesMax: 5, rowsMax: 5 } },
];

/** What a button in Slack does not say: the words are this server's, and its time is the callback's within minutes. */
const unsaid: Record<Kind, readonly string[]> = {
  jws: [],
  sshsig: [],
  webauthn: [],
  oidc: [],
  slack: ['reason', 'nbf', 'exp'],
};

function changedDecision(kind: Kind, decision: Decision, at: number, by: number): object {
  const names = (Object.keys(decision) as (keyof Decision)[]).filter((name) => !unsaid[kind].includes(name));
  const pick = at % (names.length + additions.length);
  if (pick >= names.length) return { ...decision, ...additions[pick - names.length] };
  const name = names[pick]!;
  return { ...decision, [name]: changed(decision[name], by, at) };
}

function changedEvidence(evidence: Evidence, at: number, by: number): Evidence {
  const names = Object.keys(evidence);
  const name = names[by % names.length]!;
  return { ...evidence, [name]: flipped(evidence[name]!, at, by) };
}

/** What a release rests on of a row. The rest of it (times of views, the holder) is not authority. */
function changedRow(row: StoredRequest, at: number, by: number): StoredRequest {
  const [vote] = row.votes as [Vote];
  const other = (text: string) => flipped(text, at, by);
  const changes: (() => StoredRequest)[] = [
    () => ({ ...row, request: other(row.request) }),
    () => ({ ...row, rd: other(row.rd) }),
    () => ({ ...row, nonce: other(row.nonce) }),
    () => ({ ...row, votes: [{ ...vote, decision: other(vote.decision) }] }),
    () => ({ ...row, votes: [{ ...vote, evidence: other(vote.evidence) }] }),
    () => ({ ...row, votes: [{ ...vote, verdict: 'reject' }] }),
    () => ({ ...row, votes: [] }),
    () => ({ ...row, state: 'pending' }),
  ];
  return changes[by % changes.length]!();
}

test.each(kinds)('%s: nothing that differs from what was signed releases anything', async (kind) => {
  let cases = 0;
  const one = async (where: 'D' | 'evidence' | 'row', at: number, by: number) => {
    cases += 1;
    const level = levels[kind];
    const environment = kind === 'slack' ? 'staging' : 'production';
    const made = gate({ sql: `DROP TABLE t_${kind}_${cases}`, need: { level, quorum: 1 } });
    const { request, values } = gate({
      sql: made.request.sql,
      need: { level, quorum: 1 },
      db: { ...made.request.db, environment },
    });
    const hold = await bench.desk.open(request, values, 7);
    hold.detach();
    const decision = await decisionFor(bench, hold.rid, 'ann', { level });
    const evidence = await evidenceOf(kind, decision);
    const claim = () => bench.desk.claimApproved(request.match, 'claude', 8);
    const decide = (D: object, ev: object) =>
      bench.desk.decide(hold.rid, D, ev).then(
        () => 'taken',
        () => 'refused',
      );
    if (where === 'D')
      expect(await decide(changedDecision(kind, decision, at, by), evidence)).toBe('refused');
    if (where === 'evidence')
      expect(await decide(decision, changedEvidence(evidence, at, by))).toBe('refused');
    expect(await claim()).toBeUndefined();
    expect(await decide(decision, evidence)).toBe('taken');
    if (where === 'row') {
      const row = (await bench.store.get(hold.rid))!;
      const { get, findFree } = bench.store;
      bench.store.get = async () => changedRow(row, at, by);
      bench.store.findFree = async () => changedRow(row, at, by);
      expect(await claim()).toBeUndefined();
      bench.store.get = get;
      bench.store.findFree = findFree;
    }
    expect(await claim()).toBeDefined();
  };
  await fc.assert(
    fc.asyncProperty(fc.constantFrom('D', 'evidence', 'row'), fc.nat(1 << 20), fc.nat(1 << 20), one),
    { numRuns: casesPerKind, endOnFailure: true },
  );
  expect(cases).toBeGreaterThanOrEqual(casesPerKind);
});
