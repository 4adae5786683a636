// Revocations: keys of which the root says that others may have them, and which records of a log rest on such a key only.
// audit-approval §7. A key that may be in other hands can also certify its successor: so what comes behind it is in doubt
// until a key that the root itself certified. Records that witnesses had seen before the root spoke are not in doubt.
// Pure: takes tokens as texts; the walk over the log tells of its keys in their order.

import type { JWK } from 'jose';
import { Offence, type Place } from './offence.ts';
import { checkToken, readToken } from './token.ts';

/** Records that rest on a revoked key: `from` ≤ seq < `to`. */
export interface Doubt {
  readonly kid: string;
  readonly from: number;
  readonly to: number;
  /** When the root revoked the key, µs since 1970. */
  readonly at: number;
  /** The root certified another key, which took the log up as it was found. */
  readonly isReplaced: boolean;
  /** Where that key is named, or the log ends. */
  readonly place: Place;
}

interface Revoked {
  readonly kid: string;
  readonly from: number;
  readonly at: number;
}

const revocationsMax = 1000;

/** The revocations of one log, and what its keys make of them. */
export class Revocations {
  readonly #tokens: readonly string[];
  #revoked: ReadonlyMap<string, Revoked> | undefined;
  #key: string | undefined;
  /** The revoked key from which on everything is in doubt. */
  #since: Revoked | undefined;
  readonly #doubts: Doubt[] = [];

  /** `texts`: one token a line; of several logs, if need be. Nothing of them is verified yet. */
  constructor(texts: readonly string[]) {
    this.#tokens = texts.flatMap((text) => text.split('\n').filter((line) => line !== ''));
  }

  /** Tells of a log's next key, and who certified it, in record `seq`. Throws Offence for a token that is not the root's. */
  key(
    kid: string,
    certificate: string,
    seq: number,
    root: { readonly kid: string; readonly jwk: JWK } | undefined,
    origin: string,
    place: Place,
  ): void {
    if (this.#tokens.length === 0) return;
    this.#revoked ??= verified(this.#tokens, root, origin);
    // Its last seal ends with the record that names the next.
    this.#look(seq + 1);
    if (this.#since !== undefined && signerOf(certificate) === root?.kid) {
      const { kid: revoked, from, at } = this.#since;
      this.#doubts.push({ kid: revoked, from, to: seq + 1, at, isReplaced: true, place });
      this.#since = undefined;
    }
    this.#key = kid;
  }

  /** The records in doubt of a log of so many sealed records. */
  finish(sealed: number, place: Place): readonly Doubt[] {
    this.#look(sealed);
    if (this.#since === undefined) return this.#doubts;
    const { kid, from, at } = this.#since;
    return [...this.#doubts, { kid, from, to: sealed, at, isReplaced: false, place }];
  }

  /** The present key has sealed up to `size`. */
  #look(size: number): void {
    const revoked = this.#revoked?.get(this.#key ?? '');
    if (this.#since === undefined && revoked !== undefined && size > revoked.from) this.#since = revoked;
  }
}

function verified(
  tokens: readonly string[],
  root: { readonly kid: string; readonly jwk: JWK } | undefined,
  origin: string,
): Map<string, Revoked> {
  const place = { file: 'keys/revoked.jsonl', line: 0 };
  if (tokens.length > revocationsMax) throw new Offence('keys', place, 'there are too many revocations');
  const revoked = new Map<string, Revoked>();
  for (const token of tokens) {
    try {
      if (root === undefined) throw new Error('the log has no root');
      const { v, origin: of, kid, from_size: from, at } = checkToken(token, 'holdpoint-revocation+jws', root);
      if (v !== 1 || typeof kid !== 'string' || !Number.isSafeInteger(from) || !Number.isSafeInteger(at))
        throw new Error('it does not say what is revoked');
      if (of !== origin) throw new Error(`it is of the log ${JSON.stringify(of)}`);
      const known = revoked.get(kid);
      const next = { kid, from: from as number, at: at as number };
      // Of two for one key the stricter counts.
      revoked.set(kid, known === undefined ? next : stricter(known, next));
    } catch (error) {
      throw new Offence('keys', place, `a revocation is not valid: ${(error as Error).message}`);
    }
  }
  return revoked;
}

function stricter(one: Revoked, other: Revoked): Revoked {
  return { kid: one.kid, from: Math.min(one.from, other.from), at: Math.min(one.at, other.at) };
}

function signerOf(certificate: string): string | undefined {
  try {
    return readToken(certificate).kid;
  } catch {
    return undefined;
  }
}
