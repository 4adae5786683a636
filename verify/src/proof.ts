// Proof: one record, and why it is in the log, as one small JSON file. audit-approval §9.
// Holds the record, its RFC 6962 inclusion proof, the seal over that tree, and the certificates from the root to the
// sealing key. Whoever has it needs the root key and nothing else: that the seal's key is certified from the root, that it
// signed this tree and that the record is in it is all there is to prove, so nothing else of the log is looked at. Pure.

import type { JWK } from 'jose';
import { recordAt } from './extents.ts';
import { leafHash } from './leaf.ts';
import { verifyInclusion } from './merkle.ts';
import type { LogSource } from './port.ts';
import { isBase64url } from './proof/base64url.ts';
import { type Aids, provedUnder, sealOver, Unprovable } from './prover.ts';
import { readPublicKey, verifyToken } from './token.ts';
import { checkWitnessed, plainWitnessed, type SeenBy, type Witnessed, type Witnesses } from './witnessed.ts';

export interface Proof {
  readonly typ: 'holdpoint.proof.v1';
  readonly origin: string;
  /** The record's line, exactly. */
  readonly record: string;
  readonly index: number;
  /** Base64url hashes from the leaf upwards. */
  readonly inclusion: readonly string[];
  /** The first seal line that covers the record. */
  readonly seal: string;
  readonly root: JWK;
  /** Epoch keys from 0 to the seal's, each with the certificate by the one before. */
  readonly keys: readonly { readonly jwk: JWK; readonly cert: string }[];
  /** Where the log had one over as much as the seal. */
  readonly checkpoint?: Witnessed | undefined;
}

/** The one text of a proof. */
export function proofText(proof: Proof): string {
  const { typ, origin, record, index, inclusion, seal, root, keys, checkpoint } = proof;
  const ordered = {
    typ,
    origin,
    record,
    index,
    inclusion,
    seal,
    root: plainKey(root),
    keys: keys.map(({ jwk, cert }) => ({ jwk: plainKey(jwk), cert })),
    checkpoint: plainWitnessed(checkpoint),
  };
  return `${JSON.stringify(ordered, null, 2)}\n`;
}

/** Proves record `seq` of a log. Throws Unprovable if no seal covers it, Error if what the log holds proves nothing. */
export async function prove(source: LogSource, seq: number): Promise<Aids & { proof: Proof }> {
  const sealed = await sealOver(source, seq);
  const record = await recordAt(source, seq);
  if (record === undefined) throw new Unprovable(`the log does not hold record ${seq} any more`);
  const { origin, seal, root, keys } = sealed;
  const { made, ...aids } = await provedUnder(source, sealed, [seq], async (paths, checkpoint) => {
    const inclusion = paths.get(seq)!.map((hash) => hash.toString('base64url'));
    const typ = 'holdpoint.proof.v1';
    const proof = {
      typ,
      origin,
      record: record.line,
      index: seq,
      inclusion,
      seal,
      root,
      keys,
      checkpoint,
    } as const;
    await checkProof(proofText(proof));
    return proof;
  });
  return { proof: made, ...aids };
}

/** What a good proof shows. */
export interface Proved {
  readonly origin: string;
  readonly seq: number;
  readonly record: string;
  readonly size: number;
  /** µs since 1970, as the seal says: the record is not younger. */
  readonly sealedAt: number;
  readonly rootKid: string;
  /** Who had seen a log with it, where the proof has its checkpoint. */
  readonly seen: SeenBy | undefined;
}

/**
 * Checks a proof of unknown origin by its exact text. Throws Error that says what is wrong. `rootKid`: the root that the
 * caller trusts; `witnesses`: those who must have seen it.
 */
export async function checkProof(text: string, rootKid?: string, witnesses?: Witnesses): Promise<Proved> {
  const proof = readProof(text);
  const sealed = await sealedBy(proof, rootKid);
  const { seal, rootKid: root } = sealed;
  const record = JSON.parse(proof.record) as { seq: unknown; node: unknown };
  const steps = proof.inclusion.map((hash) => Buffer.from(hash, 'base64url'));
  const top = Buffer.from(String(seal.root), 'base64url');
  if (
    record.seq !== proof.index ||
    record.node !== proof.origin ||
    !verifyInclusion(leafOf(proof.record), proof.index, Number(seal.size), steps, top)
  )
    throw new Error('the record is not in the tree that the seal signs');
  return {
    origin: proof.origin,
    seq: proof.index,
    record: proof.record,
    size: Number(seal.size),
    sealedAt: Number(seal.ts),
    rootKid: root,
    seen: await seenBy(proof, sealed, witnesses),
  };
}

/** Reads a proof in its one spelling, so that nothing in it can be changed that nobody looks at. */
function readProof(text: string): Proof {
  const proof = JSON.parse(text) as Proof;
  if (typeof proof !== 'object' || proof === null || proof.typ !== 'holdpoint.proof.v1')
    throw new Error('this is not a proof: typ must be "holdpoint.proof.v1"');
  const whole =
    Array.isArray(proof.inclusion) && Array.isArray(proof.keys) && proof.inclusion.every(isBase64url);
  if (!whole || proofText(proof) !== text)
    throw new Error('the proof is not in its one form: it was changed');
  return proof;
}

/** A verified seal: what it says, the root that it rests on, and the keys from that to its own. */
export interface SealedTree {
  readonly seal: Readonly<Record<string, unknown>>;
  readonly rootKid: string;
  readonly keys: readonly { readonly kid: string; readonly jwk: JWK }[];
}

/**
 * Follows the certificates from the root to the key of the seal, and verifies that. Throws Error that says what is wrong;
 * returns what the seal says, and the root that it all rests on.
 */
export async function sealedBy(
  given: Pick<Proof, 'origin' | 'root' | 'keys' | 'seal'>,
  rootKid?: string,
): Promise<SealedTree> {
  const root = await readPublicKey(given.root);
  if (rootKid !== undefined && root.kid !== rootKid)
    throw new Error(`the proof begins with root key ${root.kid}; you trust ${rootKid}`);
  let key = root;
  const keys = [root];
  for (const [epoch, next] of [...given.keys].entries()) {
    const claims = await verifyToken(String(next.cert), 'holdpoint-epoch+jws', key);
    key = await readPublicKey(next.jwk);
    if (claims.kid !== key.kid || claims.epoch !== epoch || claims.origin !== given.origin)
      throw new Error(`the certificate of epoch ${epoch} is for another key, epoch or log`);
    keys.push(key);
  }
  const seal = await verifyToken(String(given.seal), 'holdpoint-seal+jws', key);
  if (seal.epoch !== given.keys.length - 1 || seal.origin !== given.origin)
    throw new Error('the seal is of another log or epoch');
  return { seal, rootKid: root.kid, keys };
}

/** What a checkpoint beside a verified seal tells. Throws Error if it is wrong, or missing where witnesses were named. */
export async function seenBy(
  { origin, checkpoint }: Pick<Proof, 'origin' | 'checkpoint'>,
  { seal, keys }: SealedTree,
  witnesses: Witnesses | undefined,
): Promise<SeenBy | undefined> {
  const root = Buffer.from(String(seal.root), 'base64url');
  if (checkpoint !== undefined)
    return checkWitnessed(checkpoint, { origin, size: Number(seal.size), root, keys }, witnesses);
  if ((witnesses?.keys.length ?? 0) > 0)
    throw new Error('it holds no checkpoint that the witnesses whom you named could have cosigned');
  return undefined;
}

export function leafOf(line: string): Buffer {
  return Buffer.from(leafHash(line), 'base64url');
}

function plainKey(jwk: JWK | undefined): object {
  return { crv: jwk?.crv, kty: jwk?.kty, x: jwk?.x };
}
