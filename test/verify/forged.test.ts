// Proofs and bundles by somebody who has keys of his own and signs what he likes: whatever does not belong together is
// refused, however well each part of it is signed.

import { hash } from 'node:crypto';
import { CompactSign } from 'jose';
import { beforeAll, expect, test } from 'vitest';
import { certify, type FreshKey, freshKey } from '../../src/audit/keyring.ts';
import { noteSigner } from '../../src/audit/note-signer.ts';
import { signToken } from '../../src/audit/seal.ts';
import { type Bundle, bundleText, checkBundle } from '../../verify/src/bundle.ts';
import { canonical } from '../../verify/src/jcs.ts';
import { inclusionProof, rootOf } from '../../verify/src/merkle.ts';
import { checkpointText, noteOf, noteType } from '../../verify/src/note.ts';
import { checkProof, leafOf, type Proof, proofText } from '../../verify/src/proof.ts';
import { checkTlogProof, tlogProofText } from '../../verify/src/tlogproof.ts';

const origin = 'holdpoint/test';
let root: FreshKey;
let first: FreshKey;
let second: FreshKey;
let certs: string[];

beforeAll(async () => {
  [root, first, second] = await Promise.all([freshKey(), freshKey(), freshKey()]);
  certs = [
    await certify(root, signToken, origin, 0, first.kid),
    await certify(first, signToken, origin, 1, second.kid),
  ];
});

const line = (seq: number, more: object = {}) =>
  canonical({ v: 1, seq, prev: 'x', ts: 1, mono: 1, node: origin, boot: 'b', kind: 'hb', ...more });

async function sealOf(lines: readonly string[], more: object = {}, by = second): Promise<string> {
  const top = rootOf(lines.map(leafOf)).toString('base64url');
  return signToken(
    by,
    'holdpoint-seal+jws',
    canonical({ v: 1, origin, size: lines.length, root: top, epoch: 1, ts: 5, ...more }),
  );
}

const keys = () => [
  { jwk: first.jwk, cert: certs[0]! },
  { jwk: second.jwk, cert: certs[1]! },
];

async function proofOf(lines: readonly string[], index: number, more: Partial<Proof> = {}): Promise<string> {
  return proofText({
    typ: 'holdpoint.proof.v1',
    origin,
    record: lines[index]!,
    index,
    inclusion: inclusionProof(lines.map(leafOf), index).map((hash) => hash.toString('base64url')),
    seal: await sealOf(lines),
    root: root.jwk,
    keys: keys(),
    ...more,
  });
}

const good = [line(0), line(1), line(2)];

test('a proof that belongs together holds', async () => {
  expect(await checkProof(await proofOf(good, 1), root.kid)).toMatchObject({
    seq: 1,
    size: 3,
    rootKid: root.kid,
  });
});

test('a record that says another number or another log than its place is refused', async () => {
  const odd = [line(0), line(7), line(2, { node: 'holdpoint/other' })];
  for (const index of [1, 2])
    await expect(checkProof(await proofOf(odd, index))).rejects.toThrow(
      'not in the tree that the seal signs',
    );
});

test('a seal, a certificate or a key of another log, epoch or purpose is refused', async () => {
  const refused = async (more: Partial<Proof>, why: RegExp) =>
    expect(checkProof(await proofOf(good, 1, more), root.kid)).rejects.toThrow(why);
  await refused({ seal: await sealOf(good, { origin: 'holdpoint/other' }) }, /another log or epoch/);
  await refused({ seal: await sealOf(good, { epoch: 0 }) }, /another log or epoch/);
  await refused({ seal: await sealOf(good, {}, first) }, /signed by key/);
  await refused({ seal: await sealOf(good, { size: 9 }) }, /not in the tree/);
  await refused({ keys: keys().slice(0, 1) }, /signed by key/);
  await refused({ keys: keys().reverse() }, /signed by key/);
  const stranger = await freshKey();
  const [zero, one] = keys();
  for (const cert of [
    await certify(first, signToken, 'holdpoint/other', 1, second.kid),
    await certify(first, signToken, origin, 2, second.kid),
    await certify(first, signToken, origin, 1, stranger.kid),
  ])
    await refused({ keys: [zero!, { ...one!, cert }] }, /certificate of epoch 1 is for another/);
  await refused(
    { keys: [zero!, { ...one!, cert: await certify(stranger, signToken, origin, 1, second.kid) }] },
    /signed by key/,
  );
  await refused({ root: stranger.jwk }, /you trust/);
  const seal = await signToken(second, 'holdpoint-segment+jws', canonical({ origin, epoch: 1, size: 3 }));
  await refused({ seal }, /its type is/);
});

test('a tlog-proof of a record that says another number or another log is refused', async () => {
  const signer = noteSigner(origin, noteType, first.secret);
  const tlogProof = (lines: readonly string[], index: number) => {
    const leaves = lines.map(leafOf);
    const text = checkpointText({ origin, size: lines.length, root: rootOf(leaves), extensions: [] });
    const note = noteOf(text, [signer.sign(text)]);
    return tlogProofText({ record: lines[index]!, index, hashes: inclusionProof(leaves, index), note });
  };
  const check = (text: string) => checkTlogProof(text, { log: [signer.key] });
  expect(check(tlogProof(good, 1))).toMatchObject({ seq: 1, size: 3 });
  const odd = [line(0), line(7), line(2, { node: 'holdpoint/other' })];
  for (const index of [1, 2]) expect(() => check(tlogProof(odd, index))).toThrow('not in the tree');
});

async function bundleOf(
  lines: readonly string[],
  indexes: readonly number[],
  more: Partial<Bundle> = {},
): Promise<string> {
  const leaves = lines.map(leafOf);
  return bundleText({
    typ: 'holdpoint.bundle.v1',
    origin,
    seq: 1,
    records: indexes.map((index) => ({
      index,
      line: lines[index]!,
      inclusion: inclusionProof(leaves, index).map((hash) => hash.toString('base64url')),
    })),
    seal: await sealOf(lines),
    root: root.jwk,
    keys: keys(),
    blobs: {},
    evidence: {},
    ...more,
  });
}

test('a bundle is of records in their order, of one log, each once, and of what it says it is about', async () => {
  expect(await checkBundle(await bundleOf(good, [0, 1]), { rootKid: root.kid })).toMatchObject({
    story: undefined,
  });
  for (const [lines, indexes] of [
    [good, [1, 0]],
    [good, [1, 1]],
    [[line(0), line(1, { node: 'holdpoint/other' }), line(2)], [1]],
    [[line(0), line(3), line(2)], [1]],
  ] as const)
    await expect(checkBundle(await bundleOf(lines, indexes))).rejects.toThrow('out of its order');
  await expect(checkBundle(await bundleOf(good, [0, 2]))).rejects.toThrow('holds no record 1');
  const { seq: _, ...about } = JSON.parse(await bundleOf(good, [0, 1])) as Bundle;
  await expect(checkBundle(bundleText({ ...about, rid: 'R1' }))).rejects.toThrow('holds no request R1');
  await expect(checkBundle(await bundleOf(good, [1]), { rootKid: first.kid })).rejects.toThrow('you trust');
});

test('an enrolment of an earlier start proves nothing, also where the record of the start is left out', async () => {
  const rid = 'A'.repeat(22);
  const R = canonical({ typ: 'holdpoint.request.v1', rid, aud: 'a', need: { level: 'key', quorum: 1 } });
  const rd = hash('sha256', `holdpoint-request-v1\0${R}`, 'base64url');
  const D = canonical({
    typ: 'holdpoint.decision.v1',
    rid,
    rd,
    aud: 'a',
    verdict: 'approve',
    approver: 'alice',
    level: 'key',
    nbf: 0,
    exp: 9,
  });
  const signed = new CompactSign(Buffer.from(D));
  signed.setProtectedHeader({ alg: 'Ed25519', typ: 'holdpoint-decision+jws', kid: first.kid });
  const ev = { kind: 'jws', jws: await signed.sign(first.key) };
  const proofOfBallot = async (boot: string) => {
    const lines = [
      line(0, { kind: 'approver', act: 'enrol', id: 'alice', kid: first.kid, jwk: first.jwk, boot }),
      line(1, { kind: 'hold', rid, R, rd }),
      line(2, { kind: 'decision', rid, D, ev }),
    ];
    const { seq: _, ...about } = JSON.parse(await bundleOf(lines, [0, 1, 2])) as Bundle;
    return (await checkBundle(bundleText({ ...about, rid }))).story?.ballots[0]?.proof;
  };
  expect(await proofOfBallot('b')).toBe('proved');
  expect(await proofOfBallot('a')).toBe('unproved');
});

test('a bundle has nothing in it that nobody looks at', async () => {
  const read = JSON.parse(await bundleOf(good, [0, 1])) as Bundle;
  const changed = 'one form: it was changed';
  for (const other of [
    { ...read, more: 1 },
    { ...read, rid: 'R1' },
    { ...read, root: { ...read.root, kid: 'x' } },
    { ...read, keys: [{ ...read.keys[0]!, more: 1 }, read.keys[1]!] },
    { ...read, keys: [{ ...read.keys[0]!, jwk: { ...read.keys[0]!.jwk, alg: 'x' } }, read.keys[1]!] },
    { ...read, records: [{ ...read.records[0]!, more: 1 }, read.records[1]!] },
    {
      ...read,
      records: [{ ...read.records[0]!, inclusion: read.records[0]!.inclusion.map((step) => `${step}=`) }],
    },
    { ...read, blobs: { ['0'.repeat(64)]: 'text' } },
    { ...read, evidence: { ['0'.repeat(64)]: 'token' } },
    { ...read, checkpoint: { note: '', consistency: [], key: { ...read.keys[0]!, more: 1 } } },
    { ...read, checkpoint: { note: '', consistency: ['='], key: read.keys[0]! } },
  ])
    await expect(checkBundle(bundleText(other as Bundle))).rejects.toThrow(changed);
  await expect(checkBundle(JSON.stringify(read, null, 1))).rejects.toThrow(changed);
  for (const nonsense of ['null', '[]', '{}', '{"typ":"holdpoint.bundle.v1"}'])
    await expect(checkBundle(nonsense)).rejects.toThrow();
});
