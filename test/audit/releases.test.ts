import { hash } from 'node:crypto';
import { CompactSign } from 'jose';
import { describe, expect, test } from 'vitest';
import { canonical } from '../../src/audit/jcs.ts';
import { freshKey } from '../../src/audit/keyring.ts';
import type { RecordBody } from '../../src/audit/record.ts';
import { type Report, verifyLog } from '../../src/audit/verify.ts';
import { openTestLog, snapshot, statement, temporaryFolder } from './fixture.ts';

const rid = 'AAAAAAAAAAAAAAAAAAAAAA';
const wire = 'w'.repeat(43);
const request = canonical({ typ: 'holdpoint.request.v1', rid, wire, need: { level: 'key', quorum: 1 } });
const rd = hash('sha256', `holdpoint-request-v1\0${request}`, 'base64url');
const alice = await freshKey();

function decision(more: object = {}): string {
  return canonical({ typ: 'holdpoint.decision.v1', rid, rd, verdict: 'approve', approver: 'alice', ...more });
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
async function story(change: (records: RecordBody[]) => RecordBody[] = (same) => same): Promise<Report> {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
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
  for (const record of change(records)) log.append(record);
  await log.close();
  return verifyLog(snapshot(path));
}

const replace = (kind: string, more: object) => (records: RecordBody[]) =>
  records.map((record) => (record.kind === kind ? ({ ...record, ...more } as RecordBody) : record));
const hb: RecordBody = { kind: 'hb' };

test('a release with everything in its place is proved', async () => {
  expect(await story()).toMatchObject({ ok: true, releases: { proved: 1, unproved: 0, byLink: 0 } });
});

test('without the key of the approver the release is not called proved', async () => {
  const report = await story((records) => records.with(0, hb));
  expect(report).toMatchObject({ ok: true, releases: { proved: 0, unproved: 1 } });
});

test('a link proves nobody in particular', async () => {
  const report = await story(replace('decision', { ev: { kind: 'link', jti: 'x' } }));
  expect(report).toMatchObject({ ok: true, releases: { proved: 0, byLink: 1 } });
});

test.each([
  ['a held statement that ran without an intent', (r: RecordBody[]) => r.with(5, hb)],
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
});

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
  expect(await story((records) => records.slice(0, -1))).toMatchObject({ ok: false, code: 20 });
});
