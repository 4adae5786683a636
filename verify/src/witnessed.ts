// Witnessed: the log's checkpoint beside a seal: a note over a tree that continues the seal's, signed by the log's key for
// notes and cosigned by whoever saw it from outside. It tells what a seal cannot: that the record was there by the time
// when a witness saw the log, whatever the log's own clock said. audit-approval §5, §9.
// Pure given keys. Cosignatures count only by keys that the caller names.

import type { JWK } from 'jose';
import { canonical } from './jcs.ts';
import { type Hash, verifyConsistency } from './merkle.ts';
import { goodSignatures, type NoteKey, noteKey, noteType, readCheckpoint, readNote } from './note.ts';
import type { LogSource } from './port.ts';
import { isBase64url } from './proof/base64url.ts';
import { readPublicKey, readToken, verifyToken } from './token.ts';

/** What stands in a proof or a bundle of it. */
export interface Witnessed {
  /** The checkpoint, verbatim. */
  readonly note: string;
  /** Base64url hashes that show its tree to continue the seal's. */
  readonly consistency: readonly string[];
  /** The log's key for notes, certified by the root or by an epoch's key. */
  readonly key: { readonly jwk: JWK; readonly cert: string };
}

/** Whoever the caller believes to have seen the log, and how many of them it takes; all, if not said. */
export interface Witnesses {
  readonly keys: readonly NoteKey[];
  readonly need?: number | undefined;
}

/** Who saw a log of that size, and when: seconds since 1970. */
export interface SeenBy {
  readonly size: number;
  readonly witnesses: readonly { readonly name: string; readonly seconds: number }[];
}

/** The checkpoint of a log and the key it is signed with, if it has one over at least `size` records. */
export async function checkpointOver(
  source: LogSource,
  size: number,
): Promise<(Omit<Witnessed, 'consistency'> & { readonly size: number }) | undefined> {
  const [note, jwk, cert] = await Promise.all(
    ['checkpoint', 'keys/checkpoint.jwk', 'keys/checkpoint.cert'].map(async (name) =>
      String((await source.read(name)) ?? ''),
    ),
  );
  if (!note || !jwk || !cert) return undefined;
  try {
    const checkpoint = readCheckpoint(readNote(note).text);
    const { x, crv, kty } = JSON.parse(jwk) as JWK;
    const key = { jwk: { crv, kty, x } as JWK, cert: cert.trim() };
    return checkpoint.size < size ? undefined : { note, key, size: checkpoint.size };
  } catch {
    // What is no checkpoint proves nothing, and takes nothing from what the seal proves.
    return undefined;
  }
}

/** Its members in their one order and form; undefined if it is not in it. */
export function plainWitnessed(given: Witnessed | undefined): Witnessed | undefined {
  if (given === undefined) return undefined;
  const { note, consistency, key } = given;
  if (!Array.isArray(consistency) || !consistency.every(isBase64url)) return undefined;
  const { crv, kty, x } = key?.jwk ?? {};
  return { note, consistency, key: { jwk: { crv, kty, x } as JWK, cert: key?.cert } };
}

/**
 * Checks a checkpoint beside a seal whose own signature is verified, with the keys that lead to that. Throws Error that
 * says what is wrong.
 */
export async function checkWitnessed(
  given: Witnessed,
  sealed: {
    readonly origin: string;
    readonly size: number;
    readonly root: Hash;
    readonly keys: readonly { readonly kid: string; readonly jwk: JWK }[];
  },
  witnesses: Witnesses | undefined,
): Promise<SeenBy> {
  const { origin } = sealed;
  const key = await readPublicKey(given.key.jwk);
  const by = sealed.keys.find(({ kid }) => kid === readToken(given.key.cert).kid);
  if (by === undefined) throw new Error('the key of the checkpoint is certified by none of the keys here');
  const claims = await verifyToken(given.key.cert, 'holdpoint-checkpoint+jws', by);
  if (canonical(claims) !== canonical({ v: 1, origin, kid: key.kid }))
    throw new Error('the certificate of the checkpoint’s key is for another key or log');
  const note = readNote(given.note);
  const raw = Buffer.from(String(key.jwk.x), 'base64url');
  if (goodSignatures(note, [noteKey(origin, noteType, raw)]).length === 0)
    throw new Error('the checkpoint is not signed by the log');
  const checkpoint = readCheckpoint(note.text);
  const steps = given.consistency.map((step) => Buffer.from(step, 'base64url'));
  if (
    checkpoint.origin !== origin ||
    !verifyConsistency(sealed.size, sealed.root, checkpoint.size, checkpoint.root, steps)
  )
    throw new Error('the checkpoint is not of a log that continues the one that the seal signs');
  const cosigned = goodSignatures(note, witnesses?.keys ?? []);
  const need = witnesses?.need ?? witnesses?.keys.length ?? 0;
  if (cosigned.length < need)
    throw new Error(
      `${cosigned.length} of the witnesses that you named cosigned the checkpoint, not ${need}`,
    );
  return {
    size: checkpoint.size,
    witnesses: cosigned.map(({ key: { name }, seconds }) => ({ name, seconds: seconds ?? 0 })),
  };
}
