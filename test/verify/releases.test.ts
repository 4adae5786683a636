import { hash } from 'node:crypto';
import { CompactSign } from 'jose';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Decision } from '../../src/approval/decision.ts';
import { freshKey } from '../../src/audit/keyring.ts';
import { OpenWork } from '../../src/audit/openwork.ts';
import type { RecordBody } from '../../src/audit/record.ts';
import { accountOf, keptOf } from '../../verify/src/account.ts';
import { makeBundle } from '../../verify/src/bundle.ts';
import { subjectKid } from '../../verify/src/credentials.ts';
import { canonical } from '../../verify/src/jcs.ts';
import { offenceCodes } from '../../verify/src/offence.ts';
import type { Report } from '../../verify/src/report.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import {
  type MemorySource,
  openTestLog,
  origin,
  snapshot,
  statement,
  temporaryFolder,
} from '../audit/fixture.ts';
import {
  type AssertionClaims,
  type SshSigner,
  softPasskey,
  softwareSshKey,
  TokenMaker,
} from '../support/evidence.ts';

const rid = 'AAAAAAAAAAAAAAAAAAAAAA';
const wire = 'w'.repeat(43);
const aud = 'http://holdpoint.test';
const times = { nbf: Date.now() - 1000, exp: Date.now() + 3_600_000 };
const requestOf = (more: object = {}) =>
  canonical({
    typ: 'holdpoint.request.v1',
    rid,
    aud,
    wire,
    node: origin,
    agent: { id: 'claude', auth: 'scram-sha-256' },
    db: { target: 'shop', environment: 'production' },
    policy: { rule: 'definitions' },
    need: { level: 'key', quorum: 1 },
    exp: times.exp,
    ...more,
  });
const digestOf = (text: string) => hash('sha256', `holdpoint-request-v1\0${text}`, 'base64url');
const request = requestOf();
const rd = digestOf(request);
const alice = await freshKey();
const bob = await freshKey();

function decision(more: object = {}): string {
  return canonical({
    typ: 'holdpoint.decision.v1',
    aud,
    rid,
    rd,
    verdict: 'approve',
    approver: 'alice',
    level: 'key',
    reason: '',
    nonce: 'n',
    ...times,
    ...more,
  });
}

async function evidence(text: string, key = alice, typ = 'holdpoint-decision+jws') {
  const jws = await new CompactSign(Buffer.from(text))
    .setProtectedHeader({ alg: 'Ed25519', typ, kid: key.kid })
    .sign(key.key);
  return { kind: 'jws', jws };
}

const enrolment: RecordBody = {
  kind: 'approver',
  id: 'alice',
  act: 'enrol',
  kid: alice.kid,
  jwk: { ...alice.jwk },
};

/** A log in which a DROP was held, released and ran; `change` may alter its records before they are written. */
async function story(
  change: (records: RecordBody[]) => RecordBody[] | Promise<RecordBody[]> = (same) => same,
  look: (source: MemorySource) => MemorySource = (same) => same,
  laterMs: (kind: string) => number = () => 0,
): Promise<Report> {
  const path = temporaryFolder();
  let step = 0;
  const clock = { now: () => Date.now() + step, mono: () => performance.now() };
  const { log } = await openTestLog(path, { clock });
  const base = log.health.records;
  const [ref, vote] = [base + 1, base + 3];
  const D = decision();
  const records: RecordBody[] = [
    enrolment,
    statement(1, { dec: 'hold', cls: 'destroy', sql: 'drop table customers' }),
    { kind: 'hold', rid, rd, R: request, ref },
    { kind: 'decision', rid, D, ev: await evidence(D) },
    { kind: 'grant_use', rid, ref, by: ['alice'], decisions: [vote] },
    { kind: 'intent', rid, ref, wire },
    { kind: 'outcome', ref, st: 'ok', tags: ['DROP TABLE'], dur_us: 900 },
  ];
  for (const record of await change(records)) {
    step = laterMs(record.kind);
    log.append(record);
  }
  await log.close();
  const source = look(snapshot(path));
  const report = await verifyLog(source, { about: rid });
  await expectSameOfBundle(source, report);
  return report;
}

/** Whoever has only the bundle of the request learns of its releases what the log tells, and is fooled no more. */
async function expectSameOfBundle(source: MemorySource, report: Report): Promise<void> {
  const { records } = await accountOf(source, { request: rid });
  const lines = new Map(records.map(({ seq, line }) => [seq, line]));
  const made = makeBundle(source, { rid, seq: undefined, lines, ...(await keptOf(source, records)) }).then(
    ({ shows }) => ({ releases: shows.releases, uses: shows.story?.uses.length }),
    (error: Error) => error,
  );
  if (report.ok && report.story?.asked !== undefined)
    expect(await made).toEqual({ releases: report.releases, uses: report.story.uses.length });
  if (report.code === offenceCodes.approval) expect(await made).toBeInstanceOf(Error);
}

const replace = (kind: string, more: object) => (records: RecordBody[]) =>
  records.map((record) => (record.kind === kind ? ({ ...record, ...more } as RecordBody) : record));
const hb: RecordBody = { kind: 'hb' };

/** The same story over another request, another decision and other evidence, with `more` enrolled. */
function told(
  asked: object,
  decided: object = {},
  ev: (text: string) => object | Promise<object> = (text) => evidence(text),
  more: RecordBody[] = [],
) {
  return async (records: RecordBody[]): Promise<RecordBody[]> => {
    const R = requestOf(asked);
    const D = decision({ rd: digestOf(R), ...decided });
    const made = (await ev(D)) as Record<string, unknown>;
    const changed = replace('hold', { R, rd: digestOf(R) })(replace('decision', { D, ev: made })(records));
    // Everything that names another record names it by its place.
    return changed.with(0, more[0] ?? enrolment);
  };
}

test('a release with everything in its place is proved', async () => {
  expect(await story()).toMatchObject({ ok: true, releases: { proved: 1, unproved: 0, byLink: 0 } });
});

test('without the key of the approver the release is not called proved', async () => {
  const report = await story((records) => records.with(0, hb));
  expect(report).toMatchObject({ ok: true, releases: { proved: 0, unproved: 1 } });
});

test('a link proves nobody in particular, and releases nothing but where a link is enough', async () => {
  const ev = { kind: 'link', jti: 'x' };
  const link = { need: { level: 'link', quorum: 1 }, db: { target: 'shop', environment: 'development' } };
  const report = await story(told(link, { level: 'link', approver: 'link:x' }, () => ev));
  expect(report).toMatchObject({ ok: true, releases: { proved: 0, byLink: 1 } });
  expect(await story(replace('decision', { ev }))).toMatchObject({ ok: false, code: 21 });
});

test('a Slack button proves nobody to an outsider, and releases nothing in production', async () => {
  const staging = { need: { level: 'slack', quorum: 1 }, db: { target: 'shop', environment: 'staging' } };
  const ev = { kind: 'slack', timestamp: '1', signature: 'v0=x', body: 'x' };
  const report = await story(told(staging, { level: 'slack' }, () => ev));
  expect(report).toMatchObject({ ok: true, releases: { proved: 0, bySlack: 1 } });
  const production = { ...staging, db: { target: 'shop', environment: 'production' } };
  expect(await story(told(production, { level: 'slack' }, () => ev))).toMatchObject({ code: 21 });
});

test.each([
  ['a held statement that ran without an intent', (r: RecordBody[]) => r.with(5, hb)],
  [
    'the use of a request that somebody had rejected',
    (r: RecordBody[]) => r.with(0, { kind: 'reject', rid, by: 'bob', reason: 'no' }),
  ],
  ['an intent without a grant', (r: RecordBody[]) => r.with(4, hb)],
  ['a grant without a decision', (r: RecordBody[]) => r.with(3, hb)],
  ['a grant for another statement', replace('grant_use', { ref: 0 })],
  ['a second use of one grant', (r: RecordBody[]) => r.toSpliced(5, 0, r[4]!)],
  ['other bytes than were shown', replace('intent', { wire: 'x'.repeat(43) })],
  ['a request whose digest is not its own', replace('hold', { rd: 'x'.repeat(43) })],
  ['a request whose text was exchanged', replace('hold', { R: request.replace(wire, 'x'.repeat(43)) })],
  ['a signature over another decision', replace('decision', { D: decision({ approver: 'bob' }) })],
  ['a decision that rejects', replace('decision', { D: decision({ verdict: 'reject' }), ev: {} })],
  ['a decision over another digest', replace('decision', { D: decision({ rd: 'x' }), ev: {} })],
  [
    'a denied statement that ran',
    (r: RecordBody[]) => [...replace('stmt', { dec: 'deny' })(r).slice(0, 2), r[6]!],
  ],
])('%s is found', async (_, change) => {
  expect(await story(change)).toMatchObject({ ok: false, code: 21 });
});

test('a node that releases what another one held sends bytes of its own; where it held it, the bytes that were shown', async () => {
  const sent = async (node: string) => {
    const R = canonical({ ...JSON.parse(request), node });
    const digest = hash('sha256', `holdpoint-request-v1\0${R}`, 'base64url');
    const D = decision({ rd: digest });
    const ev = await evidence(D);
    return story((records) =>
      replace('intent', { wire: 'x'.repeat(43) })(
        replace('decision', { D, ev })(replace('hold', { R, rd: digest })(records)),
      ),
    );
  };
  expect(await sent('elsewhere')).toMatchObject({ ok: true, releases: { proved: 1 } });
  const { origin } = (await openTestLog(temporaryFolder())).log;
  expect(await sent(origin)).toMatchObject({ ok: false, code: 21 });
});

test("a signature by another key than the approver's, or of another type, is found", async () => {
  const D = decision();
  const mallory = await freshKey();
  const forged = await evidence(D, { ...mallory, kid: alice.kid });
  expect(await story(replace('decision', { ev: forged }))).toMatchObject({ code: 21 });
  const link = await evidence(D, alice, 'holdpoint-link+jws');
  expect(await story(replace('decision', { ev: link }))).toMatchObject({ code: 21 });
});

test('one person is no quorum of two', async () => {
  const two = canonical({ ...JSON.parse(request), need: { level: 'key', quorum: 2 } });
  const digest = hash('sha256', `holdpoint-request-v1\0${two}`, 'base64url');
  const D = decision({ rd: digest });
  const ev = await evidence(D);
  const change = (records: RecordBody[]) =>
    replace('hold', { R: two, rd: digest })(replace('decision', { D, ev })(records));
  expect(await story(change)).toMatchObject({ code: 21 });
  // Nor by deciding twice, under another spelling.
  const again = decision({ rd: digest, approver: 'Alice', reason: 'again' });
  const twice = async (records: RecordBody[]) => {
    const [enrol, stmt, hold, vote, grant, ...rest] = change(records) as RecordBody[];
    const own = softwareSshKey();
    const other = { ...sshEnrolmentOf(own), id: 'Alice' } as RecordBody;
    const second = { ...vote!, D: again, ev: { kind: 'sshsig', signature: own.sign(again) } } as RecordBody;
    const [first] = (grant as Extract<RecordBody, { kind: 'grant_use' }>).decisions as [number];
    const use = { ...grant!, decisions: [first, first + 2] } as RecordBody;
    return [enrol!, stmt!, hold!, vote!, other, second, use, ...rest];
  };
  expect(await story(twice)).toMatchObject({
    code: 21,
    findings: [{ message: expect.stringContaining('1 are here') }],
  });
});

test('an approval that was used after its time is found', async () => {
  const hoursMs = (n: number) => n * 3_600_000;
  const late = (kind: string) => (['grant_use', 'intent', 'outcome'].includes(kind) ? hoursMs(2) : 0);
  expect(await story(undefined, undefined, late)).toMatchObject({ ok: false, code: 21 });
});

test('a request that stands under the name of another is found', async () => {
  const other = 'B'.repeat(22);
  const R = requestOf({ rid: other });
  expect(await story(replace('hold', { R, rd: digestOf(R) }))).toMatchObject({
    code: 21,
    findings: [{ message: expect.stringContaining('holds another request') }],
  });
});

test('who was enrolled before a restart and not since is not known any more', async () => {
  const boot: RecordBody = { kind: 'boot', version: '0', pid: 1, host: 'x' };
  const report = await story(([enrol, ...rest]) => [
    enrol!,
    boot,
    ...rest.map((record) => movedBy(record, 1)),
  ]);
  expect(report).toMatchObject({ ok: true, releases: { proved: 0, unproved: 1 } });
});

/** A record that names others by their places, which are so many further. */
function movedBy(record: RecordBody, by: number): RecordBody {
  return {
    ...record,
    ...('ref' in record && { ref: Number(record.ref) + by }),
    ...('decisions' in record && { decisions: record.decisions.map((seq) => seq + by) }),
  } as RecordBody;
}

describe('a bound of rows', () => {
  const D = decision({ rowsMax: 5 });
  const bounded = async (rows: number, use: object = { rowsMax: 5 }, intent: object = use) => {
    const ev = await evidence(D);
    const tags = [`DELETE ${rows}`];
    return story((records) =>
      [
        replace('decision', { D, ev }),
        replace('grant_use', use),
        replace('intent', intent),
        replace('outcome', { tags, rows }),
      ].reduce((changed, change) => change(changed), records),
    );
  };

  test('is kept by what the server counted', async () => {
    expect(await bounded(5)).toMatchObject({ ok: true });
    expect(await bounded(6)).toMatchObject({ ok: false, code: 21 });
  });

  test('that an approver signed for and the release or the intent left out is found', async () => {
    expect(await bounded(5, {})).toMatchObject({ ok: false, code: 21 });
    expect(await bounded(5, { rowsMax: 5 }, {})).toMatchObject({ ok: false, code: 21 });
    expect(await bounded(5, { rowsMax: 6 })).toMatchObject({ ok: false, code: 21 });
  });
});

describe('a grant', () => {
  const grant = { kind: 'fingerprint', until: 4_000_000_000_000, usesMax: 3, rowsMax: 20 };
  /** A log in which statements ran by one approval; each use says what was reserved and what was changed. */
  const passed = async (
    uses: { rowsMax: number; rows: number; use?: number }[],
    scope: object = grant,
  ): Promise<Report> => {
    const path = temporaryFolder();
    const { log } = await openTestLog(path);
    const D = decision({ scope });
    log.append(enrolment);
    const first = log.append(statement(1, { dec: 'hold', cls: 'destroy' }));
    log.append({ kind: 'hold', rid, rd, R: request, ref: first });
    const vote = log.append({ kind: 'decision', rid, D, ev: await evidence(D) });
    for (const [at, { rowsMax, rows, use }] of uses.entries()) {
      const ref = at === 0 ? first : log.append(statement(at + 1, { dec: 'hold', cls: 'destroy' }));
      log.append({ kind: 'grant_use', rid, ref, by: ['alice'], decisions: [vote], rowsMax, use });
      log.append({ kind: 'intent', rid, ref, wire, rowsMax });
      log.append({ kind: 'outcome', ref, st: 'ok', tags: [`DELETE ${rows}`], rows, dur_us: 1 });
    }
    await log.close();
    return verifyLog(snapshot(path));
  };
  const first = { rowsMax: 20, rows: 5 };

  test('used within its limits is proved', async () => {
    const uses = [first, { rowsMax: 15, rows: 5, use: 2 }, { rowsMax: 10, rows: 10, use: 3 }];
    expect(await passed(uses)).toMatchObject({ ok: true, releases: { proved: 3 } });
  });

  test.each<[string, { rowsMax: number; rows: number; use?: number }[], object]>([
    [
      'used once more',
      [
        first,
        { rowsMax: 15, rows: 0, use: 2 },
        { rowsMax: 15, rows: 0, use: 3 },
        { rowsMax: 15, rows: 0, use: 4 },
      ],
      grant,
    ],
    ['used once more on another node', [first, { rowsMax: 15, rows: 0, use: 4 }], grant],
    ['used for more rows in sum', [first, { rowsMax: 16, rows: 0, use: 2 }], grant],
    ['used without a bound of rows', [{ rowsMax: 21, rows: 5 }], grant],
    ['used after its end', [first, { rowsMax: 15, rows: 0, use: 2 }], { ...grant, until: 1 }],
    ['that nobody signed for', [first, { rowsMax: 15, rows: 0, use: 2 }], { kind: 'statement' }],
    ['used twice as if for the first time', [first, first], grant],
  ])('%s is found', async (_, uses, scope) => {
    expect(await passed(uses, scope)).toMatchObject({ ok: false, code: 21 });
  });
});

describe('a release by one person alone', () => {
  const strict = { need: { level: 'passkey', quorum: 2, of: ['bob'] }, created: Date.now() };
  const alone = { scope: { kind: 'break-glass' }, reason: 'the disk is full', exp: Date.now() + 600_000 };
  const eve: RecordBody = { ...enrolment, breakglass: true } as RecordBody;
  const digest = digestOf(requestOf(strict));
  const owed = { rid, rd: digest, target: 'shop', agent: 'claude', by: 'alice', reason: '', due: 1 };
  const reviewed = async (change: object = {}, by = 'bob', key = bob): Promise<RecordBody[]> => {
    const review = {
      typ: 'holdpoint.review.v1',
      aud,
      rid,
      rd: digest,
      approver: by,
      finding: 'justified',
      reason: '',
      at: 1,
    };
    const D = canonical({ ...review, ...change });
    return [
      { kind: 'approver', id: 'bob', act: 'enrol', kid: bob.kid, jwk: { ...bob.jwk } },
      { kind: 'review', rid, by, D, ev: await evidence(D, key, 'holdpoint-review+jws') },
    ];
  };
  /** The story of such a release; `more` comes behind it. */
  const broken = (decided: object = {}, who: RecordBody = eve, record = true, more: RecordBody[] = []) =>
    story(async (records) => {
      const changed = await told(strict, { ...alone, ...decided }, undefined, [who])(records);
      // In front of the statement, so that everything keeps its place: it is shown for the request, wherever it stands.
      const [enrolled, stmt, ...rest] = changed;
      const breakglass: RecordBody = { kind: 'breakglass', ...owed };
      const [hold, vote, ...used] = rest;
      return record
        ? [enrolled!, stmt!, hold!, vote!, breakglass, ...used, ...more]
        : [enrolled!, stmt!, hold!, vote!, ...used, ...more];
    });

  test('who may is proved, whatever the request asks for, and so is its review', async () => {
    expect(await broken()).toMatchObject({ ok: true, releases: { proved: 1 } });
    expect(await broken({}, eve, true, await reviewed())).toMatchObject({ ok: true });
  });

  test.each<[string, object, RecordBody, boolean]>([
    ['who may not', {}, enrolment, true],
    ['without a record that it has to be reviewed', {}, eve, false],
    ['without a reason', { reason: '' }, eve, true],
    ['for somebody else', { for: 'bob' }, eve, true],
    ['long after it was asked for', { exp: Date.now() - 1 - 31_000, nbf: 0 }, eve, true],
  ])('%s is found', async (_, decided, who, record) => {
    expect(await broken(decided, who, record)).toMatchObject({ ok: false, code: 21 });
  });

  test('a review by who released it, by another key, of another digest or of nothing is found', async () => {
    for (const more of [
      await reviewed({}, 'alice', alice),
      await reviewed({}, 'bob', alice),
      await reviewed({ rd: 'x'.repeat(43) }),
      await reviewed({ approver: 'eve' }),
    ])
      expect(await broken({}, eve, true, more)).toMatchObject({ ok: false, code: 21 });
    const none = await reviewed();
    expect(await story((records) => [...records, ...none])).toMatchObject({ ok: false, code: 21 });
  });
});

describe('a plan', () => {
  const plan = { statements: [{ sql: 'begin' }, { sql: 'drop table a' }, { sql: 'commit' }], root: 'r' };
  const R = canonical({ ...JSON.parse(request), plan });
  const digest = hash('sha256', `holdpoint-request-v1\0${R}`, 'base64url');
  /** A log in which a session went through the plan; `steps` are what each release was for. */
  const passed = async (steps: (number[] | undefined)[]): Promise<Report> => {
    const path = temporaryFolder();
    const { log } = await openTestLog(path);
    const D = decision({ rd: digest });
    log.append(enrolment);
    log.append({ kind: 'hold', rid, rd: digest, R });
    const vote = log.append({ kind: 'decision', rid, D, ev: await evidence(D) });
    for (const [at, these] of steps.entries()) {
      const ref = log.append(statement(at + 1, { dec: 'hold', cls: 'destroy' }));
      log.append({ kind: 'grant_use', rid, ref, by: ['alice'], decisions: [vote], steps: these });
      log.append({ kind: 'intent', rid, ref, wire: `${at}`.padEnd(43, 'w') });
      log.append({ kind: 'outcome', ref, st: 'ok', dur_us: 1 });
    }
    await log.close();
    return verifyLog(snapshot(path));
  };

  test('that passed in its order is proved, however its statements were sent', async () => {
    expect(await passed([[1], [2], [3]])).toMatchObject({ ok: true, releases: { proved: 3 } });
    expect(await passed([[1, 2], [3]])).toMatchObject({ ok: true });
    expect(await passed([[1], [2]])).toMatchObject({ ok: true });
  });

  test.each([
    ['out of its order', [[2], [1]]],
    ['with a statement twice', [[1], [1]]],
    ['with a statement left out', [[1], [3]]],
    ['beyond its end', [[1, 2, 3], [4]]],
    ['without saying where', [undefined]],
  ])('%s is found', async (_, steps) => {
    expect(await passed(steps as (number[] | undefined)[])).toMatchObject({ ok: false, code: 21 });
  });
});

test('a released statement without outcome is found once the log has ended', async () => {
  // A writer that forgets to say so.
  vi.spyOn(OpenWork.prototype, 'endings').mockReturnValue([]);
  onTestFinished(() => void vi.restoreAllMocks());
  expect(await story((records) => records.slice(0, -1))).toMatchObject({ ok: false, code: 20 });
});

test.each([
  ['the agent itself', {}, { approver: 'claude' }],
  ['the agent in another spelling', {}, { approver: ' CLAUDE' }],
  ['the person behind the agent', { agent: { id: 'claude', obo: ['Alice'] } }, {}],
  ['somebody who does not decide on it', { need: { level: 'key', quorum: 1, of: ['bob'] } }, {}],
  ['evidence that is too weak', { need: { level: 'passkey', quorum: 1 } }, {}],
  ['evidence that claims more than it is', { need: { level: 'passkey', quorum: 1 } }, { level: 'passkey' }],
  ['a decision that was over', {}, { exp: Date.now() - 60_000 }],
  ['a decision that was not in force yet', {}, { nbf: Date.now() + 600_000 }],
  ['a request that was over', { exp: Date.now() - 60_000 }, {}],
  ['a decision for another Holdpoint', { aud: 'http://other.test' }, {}],
  ['somebody else without a delegation', {}, { for: 'carla' }],
  ['a key of another person', {}, { approver: 'bob' }],
])('a release by %s is found', async (_, asked, decided) => {
  expect(await story(told(asked, decided))).toMatchObject({ ok: false, code: 21 });
});

test('a credential that was retired before the decision is not taken for proof', async () => {
  const retire: RecordBody = { kind: 'approver', id: 'alice', act: 'retire', kid: alice.kid };
  const report = await story((records) => {
    const [first, stmt, hold] = records as [RecordBody, RecordBody, RecordBody];
    const moved = records.slice(3).map((record) => {
      if (record.kind !== 'grant_use') return record;
      return { ...record, decisions: record.decisions.map((seq) => seq + 1) };
    });
    return [first, stmt, hold, retire, ...moved];
  });
  expect(report).toMatchObject({ ok: true, releases: { proved: 0, unproved: 1 } });
});

const ssh = softwareSshKey();
const sshEnrolmentOf = ({ fingerprint: kid, line }: SshSigner): RecordBody => ({
  kind: 'approver',
  id: 'alice',
  act: 'enrol',
  kid,
  form: 'ssh',
  line,
});
const sshEnrolment = sshEnrolmentOf(ssh);
const sshsig = (text: string) => ({ kind: 'sshsig', signature: ssh.sign(text) });

test('an SSH signature is proved by a key that the log enrols, or by one that the verifier brings', async () => {
  const report = await story(told({}, {}, sshsig, [sshEnrolment]));
  expect(report).toMatchObject({ ok: true, releases: { proved: 1 } });
  expect(report.story?.ballots[0]).toMatchObject({ approver: 'alice', credential: { given: false } });
  expect(await story(told({}, {}, sshsig, [hb]))).toMatchObject({ ok: true, releases: { unproved: 1 } });
  const forged = (text: string) => ({ kind: 'sshsig', signature: ssh.sign(`${text} `) });
  expect(await story(told({}, {}, forged, [sshEnrolment]))).toMatchObject({ code: 21 });
  expect(await story(told({}, {}, forged, [hb]))).toMatchObject({ code: 21 });
  const access = (text: string) => ({ kind: 'sshsig', signature: ssh.sign(text, 'holdpoint-access@v1') });
  expect(await story(told({}, {}, access, [sshEnrolment]))).toMatchObject({ code: 21 });
  const foreign = { ...sshEnrolment, id: 'bob' } as RecordBody;
  expect(await story(told({}, {}, sshsig, [foreign]))).toMatchObject({ code: 21 });
});

const passkeyNeed = { need: { level: 'passkey', quorum: 1 } };

test.each(['P-256', 'Ed25519', 'RSA'] as const)(
  'a passkey (%s) is proved; any wrong claim in it is found',
  async (kind) => {
    const soft = softPasskey(kind);
    const { id: kid, jwk } = soft.passkey;
    const enrolled: RecordBody = {
      kind: 'approver',
      id: 'alice',
      act: 'enrol',
      kid,
      form: 'passkey',
      jwk: { ...jwk },
    };
    const seen = (change: Partial<AssertionClaims> = {}, enrol: RecordBody = enrolled) =>
      story(told(passkeyNeed, { level: 'passkey' }, (text) => soft.evidence(text, change), [enrol]));
    expect(await seen()).toMatchObject({ ok: true, releases: { proved: 1 } });
    expect(await seen({}, hb)).toMatchObject({ ok: true, releases: { unproved: 1 } });
    const other = softPasskey(kind);
    const swapped = { ...enrolled, jwk: { ...other.passkey.jwk } } as RecordBody;
    expect(await seen({}, swapped)).toMatchObject({ code: 21 });
    for (const change of [
      { flags: 0x01 },
      { flags: 0x04 },
      { origin: 'http://evil.test' },
      { rpId: 'evil.test' },
      { challenge: 'AAAA' },
      { type: 'webauthn.create' },
      { client: { crossOrigin: true } },
    ]) {
      expect(await seen(change), JSON.stringify(change)).toMatchObject({ code: 21 });
      // Also where the key is not known: what it says is not about this.
      expect(await seen(change, hb), JSON.stringify(change)).toMatchObject({ code: 21 });
    }
  },
);

test('an ID token is proved while it is kept beside the log; without it, or changed, it is not', async () => {
  const maker = await TokenMaker.make();
  let token = '';
  const oidc = async (text: string) => {
    token = await maker.token(JSON.parse(text) as Decision, '42', Date.now());
    const { issuer, clientId } = maker;
    return { kind: 'oidc', sha256: hash('sha256', token, 'hex'), issuer, clientId, jwk: maker.keys.keys[0] };
  };
  const enrol = (subject: string): RecordBody => ({
    kind: 'approver',
    id: 'alice',
    act: 'enrol',
    kid: subjectKid(maker.issuer, subject),
    form: 'oidc',
  });
  const kept = (text?: string) => (source: MemorySource) =>
    source.with(`evidence/${hash('sha256', token, 'hex')}.jwt`, Buffer.from(text ?? token));
  const seen = (look: (source: MemorySource) => MemorySource, subject = '42') =>
    story(told({}, {}, oidc, [enrol(subject)]), look);
  expect(await seen(kept())).toMatchObject({ ok: true, releases: { proved: 1 } });
  expect(await seen((same) => same)).toMatchObject({ ok: true, releases: { unproved: 1 } });
  expect(await seen(kept(), '43')).toMatchObject({ ok: true, releases: { unproved: 1 } });
  expect(await seen(kept('x'))).toMatchObject({ ok: false, code: 21 });
  // A second token of the same sign-in is as good, and is not the one that the chain names.
  let second = '';
  const twice = async (text: string) => {
    second = await maker.token(JSON.parse(text) as Decision, '42', Date.now(), { jti: 'second' });
    return oidc(text);
  };
  const report = await story(told({}, {}, twice, [enrol('42')]), (source) => kept(second)(source));
  expect(report).toMatchObject({ ok: false, code: 21 });
});

test('a decision for somebody is proved with the delegation that both signatures stand for', async () => {
  const D = canonical({
    typ: 'holdpoint.delegation.v1',
    aud,
    from: 'bob',
    to: 'alice',
    nonce: 'n',
    ...times,
  });
  const signed = await evidence(D, bob, 'holdpoint-delegation+jws');
  const lent = (text: string, ev: object): RecordBody => ({
    kind: 'delegation',
    id: 'x',
    from: 'bob',
    to: 'alice',
    D: text,
    ev: ev as Record<string, unknown>,
  });
  const enrolBob: RecordBody = {
    kind: 'approver',
    id: 'bob',
    act: 'enrol',
    kid: bob.kid,
    jwk: { ...bob.jwk },
  };
  const ofBob = { need: { level: 'key', quorum: 1, of: ['bob'] } };
  const seen = (delegation: RecordBody, enrol: RecordBody = enrolBob) =>
    story(async (records) => {
      const [first, ...rest] = await told(ofBob, { for: 'bob' })(records);
      return [first!, enrol, delegation, ...rest.map((record) => movedBy(record, 2))];
    });
  expect(await seen(lent(D, signed))).toMatchObject({ ok: true, releases: { proved: 1 } });
  expect(await seen(lent(D, signed), hb)).toMatchObject({ ok: true, releases: { unproved: 1 } });
  expect(await seen(hb)).toMatchObject({ code: 21 });
  for (const change of [
    { to: 'carla' },
    { targets: ['bank'] },
    { rules: ['other'] },
    { exp: Date.now() - 60_000 },
    { nbf: Date.now() + 60_000 },
    { aud: 'http://other.test' },
  ]) {
    const text = canonical({ ...(JSON.parse(D) as object), ...change });
    const ev = await evidence(text, bob, 'holdpoint-delegation+jws');
    const delegation = { ...lent(text, ev), to: 'to' in change ? 'carla' : 'alice' } as RecordBody;
    expect(await seen(delegation), JSON.stringify(change)).toMatchObject({ code: 21 });
  }
  expect(await seen(lent(D, await evidence(D, alice, 'holdpoint-delegation+jws')))).toMatchObject({
    code: 21,
  });
  expect(await seen(lent(D, await evidence(D, bob)))).toMatchObject({ code: 21 });
});

test('a vote that takes a passkey is not lent with a key in software', async () => {
  const D = canonical({
    typ: 'holdpoint.delegation.v1',
    aud,
    from: 'bob',
    to: 'alice',
    nonce: 'n',
    ...times,
  });
  const soft = softPasskey();
  const { id: kid, jwk } = soft.passkey;
  const mine: RecordBody = {
    kind: 'approver',
    id: 'alice',
    act: 'enrol',
    kid,
    form: 'passkey',
    jwk: { ...jwk },
  };
  const theirs: RecordBody = { kind: 'approver', id: 'bob', act: 'enrol', kid: bob.kid, jwk: { ...bob.jwk } };
  const lent: RecordBody = {
    kind: 'delegation',
    id: 'x',
    from: 'bob',
    to: 'alice',
    D,
    ev: await evidence(D, bob, 'holdpoint-delegation+jws'),
  };
  const report = await story(async (records) => {
    const asked = { need: { level: 'passkey', quorum: 1, of: ['bob'] } };
    const change = told(asked, { for: 'bob', level: 'passkey' }, (text) => soft.evidence(text), [mine]);
    const [first, ...rest] = await change(records);
    return [first!, theirs, lent, ...rest.map((record) => movedBy(record, 2))];
  });
  expect(report).toMatchObject({
    code: 21,
    findings: [{ message: expect.stringContaining('without a delegation') }],
  });
});

test('a retry that sends another text than was approved is found', async () => {
  const retry = (sha: string) => (records: RecordBody[]) => {
    const [enrol, stmt, hold, vote, grant, intent, outcome] = records as RecordBody[];
    const ref = 8;
    const shifted: RecordBody = { ...(grant as Extract<RecordBody, { kind: 'grant_use' }>), ref };
    return [
      enrol!,
      { ...stmt!, sha: 'one' } as RecordBody,
      hold!,
      vote!,
      { ...outcome!, st: 'refused' } as RecordBody,
      { ...stmt!, n: 2, sha } as RecordBody,
      shifted,
      { ...intent!, ref, wire: 'y'.repeat(43) } as RecordBody,
      { ...outcome!, ref } as RecordBody,
    ];
  };
  const fits = await story((records) => placed(retry('one')(records)));
  expect(fits).toMatchObject({ ok: true, releases: { proved: 1 } });
  expect(fits.story?.uses).toMatchObject([{ sameBytes: false, outcome: { st: 'ok' } }]);
  expect(await story((records) => placed(retry('two')(records)))).toMatchObject({ code: 21 });
});

/** The sixth record's own seq, which a log that has just been opened gives it, in the records that name it. */
function placed(records: RecordBody[]): RecordBody[] {
  const base = (records[2] as { ref: number }).ref - 1;
  return records.map((record) =>
    'ref' in record && record.ref === 8 ? ({ ...record, ref: base + 5 } as RecordBody) : record,
  );
}

test('a decision of which a member stands twice is found', async () => {
  const twice = (text: string) => text.replace('"verdict":', '"verdict":"reject","verdict":');
  expect(
    await story(async (records) => {
      const D = twice(decision());
      return replace('decision', { D, ev: await evidence(D) })(records);
    }),
  ).toMatchObject({ code: 21 });
});
