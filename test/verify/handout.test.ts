// What somebody is handed instead of a log: every byte of it counts, and it says no more than it proves.

import { createHash, generateKeyPairSync, sign, verify as verifySignature } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { openLog } from '../../src/audit/opening.ts';
import { checkConsistency, consistencyText, continues, Inconsistent } from '../../verify/src/consistency.ts';
import { checkHandout, isHandout } from '../../verify/src/handout.ts';
import { leafHash } from '../../verify/src/leaf.ts';
import { CompactTree } from '../../verify/src/merkle.ts';
import { checkpointText, noteKey, noteOf, noteType, signatureLine, vkeyText } from '../../verify/src/note.ts';
import { checkProof, proofText, prove } from '../../verify/src/proof.ts';
import { Unprovable } from '../../verify/src/prover.ts';
import { FolderSource, readLines } from '../../verify/src/source.ts';
import { checkTlogProof, proveByCheckpoint } from '../../verify/src/tlogproof.ts';
import { logFolder, optionsFor, origin, statement } from '../audit/fixture.ts';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const raw = Buffer.from(String(publicKey.export({ format: 'jwk' }).x), 'base64url');
const logKey = noteKey(origin, noteType, raw);

let source: FolderSource;
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

function checkpoint(size: number): string {
  const root = Buffer.from(roots[size]!, 'base64url');
  const text = checkpointText({ origin, size, root, extensions: [] });
  return noteOf(text, [signatureLine(logKey, sign(null, Buffer.from(text), privateKey))]);
}

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
  fs.writeFileSync(join(source.path, 'checkpoint'), checkpoint(140));
  const { text } = await proveByCheckpoint(source, 77);
  expect(checkTlogProof(text, { log: [logKey] })).toMatchObject({ origin, seq: 77, size: 140 });

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
  expect(verifySignature(null, Buffer.from(`${name}\n${size}\n${root}\n`), publicKey, bytes)).toBe(true);
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
  fs.writeFileSync(join(source.path, 'checkpoint'), checkpoint(140));
  const { text } = await proveByCheckpoint(source, 77);
  await everyByte(text, async (changed) => checkTlogProof(changed, { log: [logKey] }), 1);
  expect(() => checkTlogProof(text, { log: [] })).toThrow('not signed by the key');
  const witness = noteKey('witness.example', 0x04, raw);
  expect(() => checkTlogProof(text, { log: [logKey], witnesses: [witness] })).toThrow('0 of the witnesses');
  await expect(proveByCheckpoint(source, 141)).rejects.toThrow(Unprovable);
  fs.writeFileSync(join(source.path, 'checkpoint'), checkpoint(140).replace('140', '139'));
  await expect(proveByCheckpoint(source, 77)).rejects.toThrow();
  fs.rmSync(join(source.path, 'checkpoint'));
  await expect(proveByCheckpoint(source, 77)).rejects.toThrow('no checkpoint');
});

test('each file is known by what it says it is', async () => {
  fs.writeFileSync(join(source.path, 'checkpoint'), checkpoint(140));
  const tlog = (await proveByCheckpoint(source, 3)).text;
  const texts = {
    proof: proofText((await prove(source, 3)).proof),
    consistency: consistencyText((await continues(source, head(5))).shown),
    'tlog-proof': tlog,
  };
  for (const [kind, text] of Object.entries(texts)) {
    expect(isHandout(text)).toBe(true);
    expect(await checkHandout(text, { log: [logKey] })).toMatchObject({ kind });
  }
  await expect(checkHandout(tlog)).rejects.toThrow('--log-key');
  for (const text of ['', '{}', '[1]', 'null', '{"typ":"holdpoint.proof.v2"}', vkeyText(logKey)]) {
    expect(isHandout(text)).toBe(false);
    await expect(checkHandout(text)).rejects.toThrow('neither a proof nor a bundle');
  }
});
