// What somebody is handed instead of a log: every byte of it counts, and it says no more than it proves.

import { createHash, generateKeyPairSync, verify as verifySignature } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { JWK } from 'jose';
import { afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type NoteSigner, noteSigner } from '../../src/audit/note-signer.ts';
import { openLog } from '../../src/audit/opening.ts';
import { runVerify } from '../../verify/src/command.ts';
import { checkConsistency, consistencyText, continues, Inconsistent } from '../../verify/src/consistency.ts';
import { checkHandout, isHandout } from '../../verify/src/handout.ts';
import { leafHash } from '../../verify/src/leaf.ts';
import { CompactTree } from '../../verify/src/merkle.ts';
import { folderName } from '../../verify/src/names.ts';
import { checkpointText, cosignatureType, noteOf, noteType, vkeyText } from '../../verify/src/note.ts';
import { checkProof, proofText, prove } from '../../verify/src/proof.ts';
import { Unprovable } from '../../verify/src/prover.ts';
import { FolderSource, readLines } from '../../verify/src/source.ts';
import { checkTlogProof, proveByCheckpoint } from '../../verify/src/tlogproof.ts';
import { logFolder, optionsFor, origin, statement } from '../audit/fixture.ts';

const witness = noteSigner('witness.example/w1', cosignatureType, freshSecret());
const stranger = noteSigner(origin, noteType, freshSecret());

function freshSecret(): JWK {
  return generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }) as JWK;
}

let source: FolderSource;
/** The log's own key for notes. */
let signer: NoteSigner;
/** Roots by size, base64url. */
const roots: string[] = [];

beforeAll(async () => {
  const path = fs.mkdtempSync(join(tmpdir(), 'holdpoint-handout-'));
  const { log } = await openLog(optionsFor(path, { segmentBytesMax: 20_000 }));
  for (let n = 0; n < 150; n += 1) {
    const seq = log.append(statement(n));
    if (n % 10 === 0) await log.durable(seq);
  }
  await log.close();
  const kept = join(path, 'keys', `audit-${folderName(origin)}`, 'checkpoint.jwk');
  signer = noteSigner(origin, noteType, JSON.parse(fs.readFileSync(kept, 'utf8')));
  source = new FolderSource(logFolder(path));
  const tree = new CompactTree();
  roots.push(tree.root().toString('base64url'));
  for await (const line of readLines(source)) {
    if (!('kind' in line)) continue;
    tree.append(Buffer.from(leafHash(line.line), 'base64url'));
    roots.push(tree.root().toString('base64url'));
  }
  return () => fs.rmSync(path, { recursive: true });
});

const head = (size: number) => ({ size, root: roots[size]! });

const seenAt = 1_790_000_000;

/** A checkpoint in the log's folder, signed by the log and, if asked, by the witness. */
function putCheckpoint(
  size: number,
  by = signer,
  root = roots[size]!,
  isCosigned = false,
  name = origin,
): string {
  const text = checkpointText({ origin: name, size, root: Buffer.from(root, 'base64url'), extensions: [] });
  const note = noteOf(text, [by.sign(text), ...(isCosigned ? [witness.sign(text, seenAt)] : [])]);
  fs.writeFileSync(join(source.path, 'checkpoint'), note);
  return note;
}

afterEach(() => fs.rmSync(join(source.path, 'checkpoint'), { force: true }));

/** Throws if any changed byte of the text is not noticed. `step`: how many bytes are passed over. */
async function everyByte(
  text: string,
  check: (text: string) => Promise<unknown>,
  step: number,
): Promise<void> {
  await check(text);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += step) {
    const changed = Buffer.from(bytes);
    changed[at]! ^= 1 << (at % 7);
    const holds = await check(changed.toString('utf8')).then(
      () => true,
      () => false,
    );
    if (holds) throw new Error(`byte ${at} can be changed: ${bytes.subarray(Math.max(0, at - 30), at + 30)}`);
  }
  for (const longer of [` ${text}`, `${text}\n`, text.slice(0, -1)])
    await expect(check(longer)).rejects.toThrow();
}

test('no byte of a proof can be changed, left out or added', { timeout: 120_000 }, async () => {
  const text = proofText((await prove(source, 77)).proof);
  await everyByte(text, (changed) => checkProof(changed), 1);
  const proof = JSON.parse(text);
  for (const other of [
    { ...proof, note: 'more' },
    { ...proof, root: { ...proof.root, alg: 'x' } },
    { ...proof, index: 76 },
    { ...proof, inclusion: [...proof.inclusion, proof.inclusion[0]] },
    { ...proof, inclusion: proof.inclusion.slice(1) },
  ])
    await expect(checkProof(`${JSON.stringify(other, null, 2)}\n`)).rejects.toThrow();
});

test('a proof tells who had seen the record by when, where the log has a cosigned checkpoint', async () => {
  putCheckpoint(140, signer, roots[140]!, true);
  const { proof, checkpoint } = await prove(source, 77);
  expect(checkpoint).toBe('kept');
  const text = proofText(proof);
  expect((await checkProof(text)).seen).toEqual({ size: 140, witnesses: [] });
  const seen = await checkProof(text, undefined, { keys: [witness.key] });
  expect(seen.seen).toEqual({ size: 140, witnesses: [{ name: 'witness.example/w1', seconds: seenAt }] });

  const other = noteSigner('witness.example/w2', cosignatureType, freshSecret());
  const both = { keys: [witness.key, other.key] };
  await expect(checkProof(text, undefined, both)).rejects.toThrow('1 of the witnesses');
  expect((await checkProof(text, undefined, { ...both, need: 1 })).seen?.witnesses).toHaveLength(1);
  const bare = proofText({ ...proof, checkpoint: undefined });
  await expect(checkProof(bare, undefined, { keys: [witness.key] })).rejects.toThrow('no checkpoint');
  expect((await checkProof(bare)).seen).toBeUndefined();

  // The command takes the keys as text, and how many of them are enough.
  const file = join(fs.mkdtempSync(join(tmpdir(), 'holdpoint-proof-')), 'proof.json');
  onTestFinished(() => fs.rmSync(dirname(file), { recursive: true }));
  fs.writeFileSync(file, text);
  const said: string[] = [];
  const output = { out: (more: string) => void said.push(more), err: () => undefined };
  const keys = [witness, other].map(({ key }) => vkeyText(key));
  expect(await runVerify(file, { witness: keys }, output)).not.toBe(0);
  expect(await runVerify(file, { witness: keys, policy: '1of2' }, output)).toBe(0);
  expect(said.join('')).toContain('witness.example/w1');
});

test('no byte of a proof with a checkpoint can be changed', { timeout: 120_000 }, async () => {
  putCheckpoint(140, signer, roots[140]!, true);
  const text = proofText((await prove(source, 77)).proof);
  const from = text.indexOf('"checkpoint"');
  const bytes = Buffer.from(text);
  const changed = (at: number) => {
    const copy = Buffer.from(bytes);
    copy[at]! ^= 1 << (at % 7);
    return copy.toString('utf8');
  };
  const good = await checkProof(text);
  const cosignature = text.indexOf('witness.example');
  for (let at = from; at < bytes.length; at += 1) {
    await expect(checkProof(changed(at), undefined, { keys: [witness.key] })).rejects.toThrow();
    // To whoever names no witness, a cosignature says nothing: changed or not, it means the same.
    if (at < cosignature - 10) continue;
    const said = await checkProof(changed(at)).catch(() => undefined);
    if (said === undefined) continue;
    expect(said).toEqual(good);
    expect(at).toBeGreaterThan(cosignature - 3);
    expect(at).toBeLessThan(cosignature + 140);
  }
});

test('a checkpoint that the log does not continue to, or did not sign, is left out of a proof and refused in one', async () => {
  putCheckpoint(140);
  const { proof } = await prove(source, 77);
  for (const put of [
    () => putCheckpoint(140, signer, roots[139]),
    () => putCheckpoint(140, stranger),
    () => putCheckpoint(140, signer, roots[140], false, 'holdpoint/other'),
    () => fs.writeFileSync(join(source.path, 'checkpoint'), putCheckpoint(140).replace('140', '141')),
  ]) {
    put();
    const note = fs.readFileSync(join(source.path, 'checkpoint'), 'utf8');
    const made = await prove(source, 77);
    expect(made).toMatchObject({ checkpoint: 'wrong', proof: { checkpoint: undefined } });
    await checkProof(proofText(made.proof));
    const bent = { ...proof, checkpoint: { ...proof.checkpoint!, note } };
    await expect(checkProof(proofText(bent))).rejects.toThrow();
  }
  const { key } = proof.checkpoint!;
  const jwk = { crv: 'Ed25519', kty: 'OKP', x: stranger.key.raw.toString('base64url') };
  const foreign = { ...proof, checkpoint: { ...proof.checkpoint!, key: { ...key, jwk } } };
  await expect(checkProof(proofText(foreign))).rejects.toThrow('for another key or log');
  for (const nothing of ['', 'nonsense', putCheckpoint(60)]) {
    fs.writeFileSync(join(source.path, 'checkpoint'), nothing);
    expect(await prove(source, 77)).toMatchObject({ checkpoint: 'none' });
  }
});

test('a log continues every state that it had', async () => {
  const last = roots.length - 1;
  for (let old = 0; old <= last; old += 11) {
    const { shown } = await continues(source, head(old));
    expect(shown.new).toEqual(head(last));
    const read = await checkConsistency(consistencyText(shown), { old: head(old), new: head(last) });
    expect(read).toMatchObject({ origin, old: head(old), new: head(last) });
    expect(read.sealedAt).toBeGreaterThan(0);
  }
  // Between two states of which neither is sealed nor the last.
  const { shown } = await continues(source, head(13), head(97));
  expect(await checkConsistency(consistencyText(shown))).toMatchObject({ old: head(13), new: head(97) });
  await expect(continues(source, head(98), head(97))).rejects.toThrow(Unprovable);
  await expect(continues(source, head(5), { size: 10_000, root: roots[5]! })).rejects.toThrow(Unprovable);
});

test('a log that was written anew does not continue what somebody remembers', async () => {
  const strange = { size: 50, root: roots[51]! };
  await expect(continues(source, strange)).rejects.toThrow(Inconsistent);
  await expect(continues(source, head(50), { size: 97, root: roots[96]! })).rejects.toThrow(Inconsistent);
  const text = consistencyText((await continues(source, head(50))).shown);
  await expect(checkConsistency(text, { old: strange })).rejects.toThrow('not the one that you remember');
  await expect(checkConsistency(text, { new: strange })).rejects.toThrow('not the one that you remember');
  await expect(checkConsistency(text, { rootKid: 'x'.repeat(43) })).rejects.toThrow('you trust');
  const { sealed: _, ...bare } = (await continues(source, head(50))).shown;
  expect(await checkConsistency(consistencyText(bare))).toMatchObject({ rootKid: undefined });
  await expect(checkConsistency(consistencyText(bare), { rootKid: 'x' })).rejects.toThrow('no seal in it');
});

test('no byte of a proof of consistency can be changed', { timeout: 120_000 }, async () => {
  const { shown } = await continues(source, head(50));
  await everyByte(consistencyText(shown), (changed) => checkConsistency(changed), 1);
  // A seal of the log that is over another state.
  const seal = (await prove(source, 60)).proof;
  const other = { ...shown, sealed: { seal: seal.seal, root: seal.root, keys: seal.keys } };
  await expect(checkConsistency(consistencyText(other))).rejects.toThrow('not over the newer state');
});

test('a tlog-proof is what C2SP describes, checked here by hand', async () => {
  putCheckpoint(140);
  const { text } = await proveByCheckpoint(source, 77);
  expect(checkTlogProof(text, { log: [signer.key] })).toMatchObject({ origin, seq: 77, size: 140 });

  const lines = text.split('\n');
  expect(lines[0]).toBe('c2sp.org/tlog-proof@v1');
  const record = Buffer.from(lines[1]!.replace(/^extra /, ''), 'base64').toString();
  expect(JSON.parse(record)).toMatchObject({ seq: 77, kind: 'stmt' });
  expect(lines[2]).toBe('index 77');
  const blank = lines.indexOf('');
  const hashes = lines.slice(3, blank).map((line) => Buffer.from(line, 'base64'));
  const sha = (...parts: (string | Buffer)[]) => {
    const hash = createHash('sha256');
    for (const part of parts) hash.update(part);
    return hash.digest();
  };
  // Leaf 77 of 140: the path by halves, written out from RFC 6962 §2.1.1.
  let node = sha('\0', record);
  const path = pathSides(77, 140);
  expect(path).toHaveLength(hashes.length);
  for (const [i, hash] of hashes.entries())
    node = path[i] === 'left' ? sha('\x01', hash, node) : sha('\x01', node, hash);
  const [name, size, root, , signature] = lines.slice(blank + 1);
  expect([name, size, root]).toEqual([origin, '140', node.toString('base64')]);
  const bytes = Buffer.from(signature!.split(' ')[2]!, 'base64').subarray(4);
  expect(verifySignature(null, Buffer.from(`${name}\n${size}\n${root}\n`), signer.key.key, bytes)).toBe(true);
});

/** On which side each hash of the path stands, from the leaf upwards. */
function pathSides(index: number, size: number): string[] {
  if (size === 1) return [];
  const half = 2 ** Math.floor(Math.log2(size - 1));
  return index < half
    ? [...pathSides(index, half), 'right']
    : [...pathSides(index - half, size - half), 'left'];
}

test('no byte of a tlog-proof can be changed', { timeout: 120_000 }, async () => {
  putCheckpoint(140);
  const { text } = await proveByCheckpoint(source, 77);
  await everyByte(text, async (changed) => checkTlogProof(changed, { log: [signer.key] }), 1);
  expect(() => checkTlogProof(text, { log: [] })).toThrow('not signed by the key');
  expect(() => checkTlogProof(text, { log: [signer.key], witnesses: [witness.key] })).toThrow(
    '0 of the witnesses',
  );
  await expect(proveByCheckpoint(source, 141)).rejects.toThrow(Unprovable);
  fs.writeFileSync(join(source.path, 'checkpoint'), putCheckpoint(140).replace('140', '139'));
  await expect(proveByCheckpoint(source, 77)).rejects.toThrow();
  fs.rmSync(join(source.path, 'checkpoint'));
  await expect(proveByCheckpoint(source, 77)).rejects.toThrow('no checkpoint');
});

test('each file is known by what it says it is', async () => {
  putCheckpoint(140);
  const tlog = (await proveByCheckpoint(source, 3)).text;
  const texts = {
    proof: proofText((await prove(source, 3)).proof),
    consistency: consistencyText((await continues(source, head(5))).shown),
    'tlog-proof': tlog,
  };
  for (const [kind, text] of Object.entries(texts)) {
    expect(isHandout(text)).toBe(true);
    expect(await checkHandout(text, { log: [signer.key] })).toMatchObject({ kind });
  }
  await expect(checkHandout(tlog)).rejects.toThrow('--log-key');
  for (const text of ['', '{}', '[1]', 'null', '{"typ":"holdpoint.proof.v2"}', vkeyText(signer.key)]) {
    expect(isHandout(text)).toBe(false);
    await expect(checkHandout(text)).rejects.toThrow('neither a proof nor a bundle');
  }
});
