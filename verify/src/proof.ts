// Proof: one record, and why it is in the log, as one small JSON file. audit-approval §9.
// Holds the record, its RFC 6962 inclusion proof, the seal over that tree, and the certificates from the root to the
// sealing key. Whoever has it needs the root key and nothing else. Pure.

import type { JWK } from 'jose';
import { leafHash } from './leaf.ts';
import { inclusionProof, verifyInclusion } from './merkle.ts';
import { readPublicKey, readToken, verifyToken } from './token.ts';

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
}

/** What is needed of a log to prove one of its records: every line's kind in order. */
export interface ProofMaterial {
  readonly origin: string;
  readonly root: JWK;
  readonly keys: readonly { readonly jwk: JWK; readonly cert: string }[];
  /** Record lines from 0 up to the size of `seal`. */
  readonly records: readonly string[];
  readonly seal: string;
}

/** Proves record `index`. Throws RangeError if the seal does not cover it. */
export function prove(material: ProofMaterial, index: number): Proof {
  const { claims } = readToken(material.seal);
  const leaves = material.records.slice(0, Number(claims.size)).map(leafOf);
  return {
    typ: 'holdpoint.proof.v1',
    origin: material.origin,
    record: material.records[index]!,
    index,
    inclusion: inclusionProof(leaves, index).map((hash) => hash.toString('base64url')),
    seal: material.seal,
    root: material.root,
    keys: material.keys.slice(0, Number(claims.epoch) + 1),
  };
}

/** What a good proof shows. */
export interface Proved {
  readonly origin: string;
  readonly seq: number;
  readonly size: number;
  /** µs since 1970, as the seal says: the record is not younger. */
  readonly sealedAt: number;
  readonly rootKid: string;
}

/** Checks a proof of unknown origin. Throws Error that says what is wrong. `rootKid`: the root that the caller trusts. */
export async function checkProof(value: unknown, rootKid?: string): Promise<Proved> {
  const proof = value as Proof;
  if (typeof value !== 'object' || value === null || proof.typ !== 'holdpoint.proof.v1')
    throw new Error('this is not a proof: typ must be "holdpoint.proof.v1"');
  const { seal, rootKid: root } = await sealedBy(proof, rootKid);
  const record = JSON.parse(proof.record) as { seq: unknown; node: unknown };
  const steps = [...proof.inclusion].map((hash) => Buffer.from(hash, 'base64url'));
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
    size: Number(seal.size),
    sealedAt: Number(seal.ts),
    rootKid: root,
  };
}

/**
 * Follows the certificates from the root to the key of the seal, and verifies that. Throws Error that says what is wrong;
 * returns what the seal says, and the root that it all rests on.
 */
export async function sealedBy(
  given: Pick<Proof, 'origin' | 'root' | 'keys' | 'seal'>,
  rootKid?: string,
): Promise<{ seal: Readonly<Record<string, unknown>>; rootKid: string }> {
  const root = await readPublicKey(given.root);
  if (rootKid !== undefined && root.kid !== rootKid)
    throw new Error(`the proof begins with root key ${root.kid}; you trust ${rootKid}`);
  let key = root;
  for (const [epoch, next] of [...given.keys].entries()) {
    const claims = await verifyToken(String(next.cert), 'holdpoint-epoch+jws', key);
    key = await readPublicKey(next.jwk);
    if (claims.kid !== key.kid || claims.epoch !== epoch || claims.origin !== given.origin)
      throw new Error(`the certificate of epoch ${epoch} is for another key, epoch or log`);
  }
  const seal = await verifyToken(String(given.seal), 'holdpoint-seal+jws', key);
  if (seal.epoch !== given.keys.length - 1 || seal.origin !== given.origin)
    throw new Error('the seal is of another log or epoch');
  return { seal, rootKid: root.kid };
}

export function leafOf(line: string): Buffer {
  return Buffer.from(leafHash(line), 'base64url');
}
