// Chain: walks the lines of a log in order and checks that each follows from the one before. audit-approval §3, §6, §12.
// Used by the offline verifier and by recovery, so both believe the same. Every line is hostile until accepted; the
// first that does not fit is an Offence that names its place. Pure: refuses to know files, and nothing of the proxy.

import type { JWK } from 'jose';
import { canonical } from './jcs.ts';
import { leafHash, lineBytesMax, originHash } from './leaf.ts';
import { CompactTree, type Hash } from './merkle.ts';
import { digest, firstSealHash, readPublicKey, verifyToken } from './token.ts';

/** Exit codes of the verifier, by what is wrong. audit-approval §12. */
export const offenceCodes = {
  chain: 10,
  signature: 11,
  root: 12,
  torn: 13,
  unsealed: 14,
  expectation: 16,
  keys: 17,
  form: 18,
  gap: 19,
  outcome: 20,
  approval: 21,
} as const;

export type OffenceKind = keyof typeof offenceCodes;

/** A place in a log: file name and line, from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
}

/** Something in the log that cannot be, and where. */
export class Offence extends Error {
  readonly kind: OffenceKind;
  readonly place: Place;

  constructor(kind: OffenceKind, place: Place, message: string) {
    super(message);
    this.name = 'Offence';
    this.kind = kind;
    this.place = place;
  }
}

/** A record that fits the chain. Its members beyond the common ones are the writer's words, of any shape. */
export interface ChainedRecord {
  readonly seq: number;
  readonly kind: string;
  readonly ts: number;
  readonly boot: string;
  readonly members: Readonly<Record<string, unknown>>;
}

/** A public key of the chain and the epoch it belongs to. */
export interface EpochKey {
  readonly epoch: number;
  readonly kid: string;
  readonly jwk: JWK;
}

/** Where a walk may begin other than at the first line: what a closed segment's manifest line vouches for. */
export interface WalkStart {
  readonly size: number;
  readonly head: string;
  readonly range: readonly Hash[];
  readonly psh: string;
  readonly key: EpochKey;
}

/**
 * Whether the bytes of the line in hand are vouched for by what follows it: a successor that names their hash.
 * Undefined if nothing follows. Asked only to decide which of two lines was changed.
 */
export type Vouch = () => boolean | undefined;

/** The state of a walk. `record` and `seal` take the next line of its kind, or throw Offence. */
export class Walk {
  readonly origin: string;
  /** Records so far; the seq of the next. */
  size: number;
  /** Leaf hash of the last record. */
  head: string;
  /** How many records seals cover. */
  sealed: number;
  /** Hash of the last seal line. */
  psh: string;
  /** Seals whose signature was verified. */
  seals = 0;
  /** Time of the last seal, µs since 1970. */
  sealedAt: number | undefined;
  /** The last seal's root, base64url. */
  sealedRoot: string | undefined;
  /** The key that signs what comes next, and the one that a key record has named but no seal covers yet. */
  key: EpochKey | undefined;
  nextKey: (EpochKey & { readonly seq: number }) | undefined;
  root: { readonly kid: string; readonly jwk: JWK } | undefined;
  /** The keys that may sign checkpoint notes of this log, in the order in which they were certified. */
  readonly checkpointKeys: { readonly kid: string; readonly jwk: JWK }[] = [];
  readonly #tree: CompactTree;
  #pending: { readonly leaf: Hash; readonly place: Place }[] = [];
  #lastPlace: Place | undefined;
  #boot = '';
  #mono = -1;

  constructor(origin: string, start?: WalkStart) {
    this.origin = origin;
    this.size = start?.size ?? 0;
    this.head = start?.head ?? originHash(origin);
    this.sealed = this.size;
    this.psh = start?.psh ?? firstSealHash(origin);
    this.key = start?.key;
    this.#tree = new CompactTree(this.size, start?.range ?? []);
  }

  /** The tree over all records so far, sealed or not. A copy. */
  tree(): CompactTree {
    const tree = new CompactTree(this.#tree.size, this.#tree.range);
    for (const { leaf } of this.#pending) tree.append(leaf);
    return tree;
  }

  /** What a seal over the first `size` records says of them; `size` is not below `sealed`. */
  snapshot(size = this.size): { size: number; root: string; head: string } {
    const tree = new CompactTree(this.#tree.size, this.#tree.range);
    const pending = this.#pending.slice(0, size - this.sealed);
    for (const { leaf } of pending) tree.append(leaf);
    const head = size === this.size ? this.head : pending.at(-1)!.leaf.toString('base64url');
    return { size, root: tree.root().toString('base64url'), head };
  }

  /** Takes a record line. */
  async record(line: string, place: Place, vouch: Vouch): Promise<ChainedRecord> {
    const members = readRecord(line, place);
    const { seq, prev } = members;
    const leaf = leafHash(line);
    if (seq !== this.size)
      throw new Offence('chain', place, this.#outOfOrder(Number(seq), prev === this.head));
    if (prev !== this.head) throw this.#broken(place, vouch);
    if (members.node !== this.origin)
      throw new Offence(
        'chain',
        place,
        `it is of the log ${JSON.stringify(members.node)}, this is ${this.origin}`,
      );
    const mono = members.mono as number;
    if (members.boot === this.#boot && mono < this.#mono)
      throw new Offence('chain', place, 'its monotonic time is before that of the record above');
    if (this.size === 0) await this.#genesis(members, place);
    else if (members.kind === 'genesis') throw new Offence('chain', place, 'a second genesis');
    if (members.kind === 'key') await this.#keyRecord(members, place);
    if (members.kind === 'checkpoint_key') await this.#checkpointKey(members, this.key, place);
    this.#boot = members.boot as string;
    this.#mono = mono;
    this.#pending.push({ leaf: Buffer.from(leaf, 'base64url'), place });
    this.#lastPlace = place;
    this.head = leaf;
    this.size += 1;
    return {
      seq,
      kind: members.kind as string,
      ts: members.ts as number,
      boot: members.boot as string,
      members,
    };
  }

  /** Takes a seal line: verifies its signature and that it says of the records what they are. */
  async seal(line: string, place: Place): Promise<void> {
    const size = await this.#verifySeal(line, place);
    const { key, nextKey } = this;
    if (nextKey !== undefined && size > nextKey.seq) {
      // A new key's seals count only after the old one has sealed the record that names it.
      if (key === undefined || size === nextKey.seq + 1) {
        this.key = nextKey;
        this.nextKey = undefined;
      }
    }
    this.psh = digest(line);
    this.sealed = size;
    this.seals += 1;
  }

  async #verifySeal(line: string, place: Place): Promise<number> {
    const signer = this.key ?? this.nextKey;
    if (signer === undefined) throw new Offence('keys', place, 'a seal before any key record');
    const claims = await verifyToken(line, 'holdpoint-seal+jws', signer).catch((error: Error) => {
      throw new Offence('signature', place, `the seal is not valid: ${error.message}`);
    });
    const { size, root, head } = claims;
    if (claims.origin !== this.origin || claims.epoch !== signer.epoch || claims.v !== 1)
      throw new Offence('signature', place, 'the seal is of another log or epoch');
    if (claims.psh !== this.psh)
      throw new Offence(
        'chain',
        place,
        'it does not follow the seal before it: a seal is missing, repeated or moved',
      );
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size <= this.sealed || size > this.size)
      throw new Offence(
        'root',
        place,
        `the seal covers ${size} records; ${this.sealed} were sealed and ${this.size} are here: records are missing`,
      );
    if (this.nextKey !== undefined && this.key !== undefined && size > this.nextKey.seq + 1)
      throw new Offence('keys', place, `epoch ${signer.epoch} signs beyond its end`);
    const covered = this.#pending.splice(0, size - this.sealed);
    const last = covered.at(-1)!;
    if (head !== last.leaf.toString('base64url'))
      throw new Offence(
        'chain',
        last.place,
        'the record was changed: the seal below names another hash for it',
      );
    for (const { leaf } of covered) this.#tree.append(leaf);
    if (this.#tree.root().toString('base64url') !== root)
      throw new Offence('root', place, 'the root of the records is not the one that the seal names');
    this.sealedAt = Number(claims.ts);
    this.sealedRoot = root as string;
    return size;
  }

  async #genesis(members: Readonly<Record<string, unknown>>, place: Place): Promise<void> {
    if (members.kind !== 'genesis') throw new Offence('chain', place, 'the first record is not a genesis');
    const root = await readPublicKey(members.jwk).catch((error: Error) => {
      throw new Offence('keys', place, `the root key: ${error.message}`);
    });
    if (root.kid !== members.root || members.origin !== this.origin)
      throw new Offence('keys', place, 'the genesis names another origin, or a root that its key is not');
    this.root = root;
    if (members.checkpoint !== undefined)
      await this.#checkpointKey(members.checkpoint as Readonly<Record<string, unknown>>, root, place);
  }

  /** A key of the log's notes, as the genesis names it or a record of its own. */
  async #checkpointKey(
    named: Readonly<Record<string, unknown>> | null,
    by: { kid: string; jwk: JWK } | undefined,
    place: Place,
  ): Promise<void> {
    try {
      const key = await readPublicKey(named?.jwk);
      if (by === undefined) throw new Error('no key is there to certify it');
      const claims = await verifyToken(String(named?.cert), 'holdpoint-checkpoint+jws', by);
      if (canonical(claims) !== canonical({ v: 1, origin: this.origin, kid: key.kid }))
        throw new Error('the certificate is not for this key');
      this.checkpointKeys.push(key);
    } catch (error) {
      throw new Offence('keys', place, `the key of the checkpoints: ${(error as Error).message}`);
    }
  }

  async #keyRecord(members: Readonly<Record<string, unknown>>, place: Place): Promise<void> {
    const by = this.key ?? this.root;
    const epoch = this.key === undefined ? 0 : this.key.epoch + 1;
    if (this.nextKey !== undefined || by === undefined)
      throw new Offence('keys', place, 'a key record before the one above it was sealed');
    try {
      const key = await readPublicKey(members.jwk);
      const claims = await verifyToken(String(members.cert), 'holdpoint-epoch+jws', by);
      const expected = canonical({ v: 1, origin: this.origin, epoch, kid: key.kid });
      if (canonical(claims) !== expected || members.kid !== key.kid || members.epoch !== epoch)
        throw new Error(`the certificate is not for this key as epoch ${epoch}`);
      this.nextKey = { ...key, epoch, seq: this.size };
    } catch (error) {
      throw new Offence('keys', place, `the key chain is broken: ${(error as Error).message}`);
    }
  }

  #outOfOrder(seq: number, follows: boolean): string {
    if (follows) return `its seq is ${seq} where ${this.size} belongs: the line was changed`;
    if (seq < this.size)
      return `record ${seq} stands where ${this.size} belongs: repeated, moved or inserted`;
    const missing = seq - this.size;
    return `record ${seq} stands where ${this.size} belongs: ${missing} removed or moved before this line`;
  }

  /** Of two lines that do not fit, the one that what follows vouches for is the honest one. */
  #broken(place: Place, vouch: Vouch): Offence {
    if (vouch() === true && this.#lastPlace !== undefined)
      return new Offence(
        'chain',
        this.#lastPlace,
        'the record was changed: the line below names another hash for it',
      );
    return new Offence('chain', place, 'the record was changed: it does not name the hash of the line above');
  }
}

/** The `prev` that a record line names; undefined for anything else. */
export function prevOf(line: string): string | undefined {
  return /"prev":"([\w-]{43})","/.exec(line)?.[1];
}

/**
 * Cuts a segment into its lines. `torn`: what stands behind the last LF. Throws Offence for a line that can be neither
 * record nor seal: blank, with CR, too long, not UTF-8.
 */
export function* linesOf(
  bytes: Buffer,
  file: string,
): Generator<{ line: string; place: Place; start: number }> {
  let start = 0;
  for (let number = 1; start < bytes.length; number += 1) {
    const place = { file, line: number };
    const end = bytes.indexOf(10, start);
    if (end < 0) throw new Offence('torn', place, 'the file ends in the middle of this line');
    if (end === start) throw new Offence('form', place, 'a blank line');
    if (end - start > lineBytesMax)
      throw new Offence(
        'form',
        place,
        `a line of ${end - start} bytes; no line is longer than ${lineBytesMax}`,
      );
    const first = bytes[start];
    if (first !== 0x7b && first !== 0x65)
      throw new Offence('form', place, 'the line is neither a record nor a seal');
    let line: string;
    try {
      line = utf8.decode(bytes.subarray(start, end));
    } catch {
      throw new Offence('form', place, 'the line is not UTF-8');
    }
    yield { line, place, start };
    start = end + 1;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A record line as JSON, and the members that all records have in their forms. */
function readRecord(line: string, place: Place): Readonly<Record<string, unknown>> & { seq: number } {
  let members: Readonly<Record<string, unknown>>;
  let again: string;
  try {
    members = JSON.parse(line) as Readonly<Record<string, unknown>>;
    again = canonical(members);
  } catch {
    throw new Offence('form', place, 'the record is not JSON, or not of integers only');
  }
  if (again !== line)
    throw new Offence(
      'form',
      place,
      'the record is not canonical JSON: a repeated or unsorted member, or a loose spelling',
    );
  const { v, seq, prev, ts, mono, node, boot, kind } = members;
  const texts = [prev, node, boot, kind].every((member) => typeof member === 'string');
  const integers = [seq, ts, mono].every((member) => typeof member === 'number' && member >= 0);
  if (v !== 1 || !texts || !integers)
    throw new Offence(
      'form',
      place,
      'the record lacks a member that all records have, or it is of another version',
    );
  return members as Readonly<Record<string, unknown>> & { seq: number };
}
