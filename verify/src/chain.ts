// Chain: walks the lines of a log in order and checks that each follows from the one before. audit-approval §3, §6, §12.
// Used by the offline verifier and by recovery, so both believe the same. Every line is hostile until accepted; the
// first that does not fit is an Offence that names its place. Pure: refuses to know files, and nothing of the proxy.

import { hash } from 'node:crypto';
import type { JWK } from 'jose';
import { RecordForm } from './form.ts';
import { canonical } from './jcs.ts';
import { originHash } from './leaf.ts';
import { CompactTree, type Hash } from './merkle.ts';
import { Offence, type Place } from './offence.ts';
import { checkToken, digest, firstSealHash, publicKeyOf, readToken } from './token.ts';
import { Unsealed, type UnsealedState } from './unsealed.ts';

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

/** Everything that a walk knows between two lines, in a form that another thread can take. */
export interface WalkState {
  readonly origin: string;
  readonly size: number;
  readonly head: string;
  readonly sealed: number;
  readonly psh: string;
  readonly seals: number;
  readonly sealedAt: number | undefined;
  readonly sealedRoot: string | undefined;
  readonly key: EpochKey | undefined;
  readonly nextKey: (EpochKey & { readonly seq: number }) | undefined;
  readonly root: { readonly kid: string; readonly jwk: JWK } | undefined;
  readonly checkpointKeys: readonly { readonly kid: string; readonly jwk: JWK }[];
  readonly bootSince: number;
  readonly boot: string;
  readonly mono: number;
  /** Peaks of the tree over the sealed records, base64url. */
  readonly range: readonly string[];
  readonly unsealed: UnsealedState;
  /** Where the last record stands, if a seal covers it. */
  readonly lastPlace: Place | undefined;
}

/**
 * Whether the bytes of the line in hand are vouched for by what follows it: a successor that names their hash.
 * Undefined if nothing follows. Asked only to decide which of two lines was changed.
 */
export type Vouch = () => boolean | undefined;

/** The state of a walk. `record`, `take` and `seal` take the next line of its kind, or throw Offence. */
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
  checkpointKeys: readonly { readonly kid: string; readonly jwk: JWK }[] = [];
  /** Seq of the first record of the boot that wrote last. */
  bootSince = 0;
  /** The members of the record that was taken last. */
  readonly form = new RecordForm();
  #tree: CompactTree;
  #unsealed: Unsealed;
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
    this.#unsealed = new Unsealed(this.size);
  }

  /** Goes on where another walk stood. */
  static resume(state: WalkState): Walk {
    const { range, unsealed, boot, mono, lastPlace, ...plain } = state;
    const walk = new Walk(state.origin);
    Object.assign(walk, plain);
    walk.#tree = new CompactTree(
      state.sealed,
      range.map((peak) => Buffer.from(peak, 'base64url')),
    );
    walk.#unsealed = new Unsealed(state.sealed, unsealed);
    walk.#boot = boot;
    walk.#mono = mono;
    walk.#lastPlace = lastPlace;
    return walk;
  }

  state(): WalkState {
    const { origin, size, head, sealed, psh, seals, sealedAt, sealedRoot, key, nextKey, root } = this;
    const { checkpointKeys, bootSince } = this;
    const range = this.#tree.range.map((peak) => peak.toString('base64url'));
    const [boot, mono, unsealed] = [this.#boot, this.#mono, this.#unsealed.state()];
    return {
      ...{ origin, size, head, sealed, psh, seals, sealedAt, sealedRoot, key, nextKey, root },
      ...{ checkpointKeys, bootSince, boot, mono, range, unsealed, lastPlace: this.#lastPlace },
    };
  }

  /** The tree over all records so far, sealed or not. A copy. */
  tree(): CompactTree {
    return this.#treeOf(this.#unsealed.count);
  }

  /** What a seal over the first `size` records says of them; `size` is not below `sealed`. */
  snapshot(size = this.size): { size: number; root: string; head: string } {
    const count = size - this.sealed;
    const head = size === this.size ? this.head : this.#unsealed.leaf(count - 1).toString('base64url');
    return { size, root: this.#treeOf(count).root().toString('base64url'), head };
  }

  /** Takes a record line. */
  record(line: string, place: Place, vouch: Vouch): ChainedRecord {
    const bytes = Buffer.from(`\0${line}\n`, 'utf8');
    this.take(bytes, 1, bytes.length - 1, place.file, place.line, vouch);
    const { seq, kind, ts, boot } = this.form;
    return { seq, kind, ts, boot, members: JSON.parse(line) as ChainedRecord['members'] };
  }

  /**
   * Takes a record line from bytes that are known to be UTF-8: it begins at `start` and its LF is at `end`. The byte
   * before it is overwritten. `form` then has its members.
   */
  take(bytes: Buffer, start: number, end: number, file: string, line: number, vouch: Vouch): void {
    const { form } = this;
    const misspelt = form.read(bytes, start, end);
    if (misspelt !== undefined) throw new Offence('form', { file, line }, misspelt);
    // RFC 6962: the hash of a leaf begins with a zero byte.
    bytes[start - 1] = 0;
    const leaf = hash('sha256', bytes.subarray(start - 1, end), 'base64url');
    if (form.seq !== this.size || form.prev !== this.head) throw this.#misplaced({ file, line }, vouch);
    if (form.node !== this.origin)
      throw new Offence(
        'chain',
        { file, line },
        `it is of the log ${JSON.stringify(form.node)}, this is ${this.origin}`,
      );
    if (form.boot === this.#boot && form.mono < this.#mono)
      throw new Offence('chain', { file, line }, 'its monotonic time is before that of the record above');
    if (this.size === 0 || keyKinds.has(form.kind)) {
      const members = JSON.parse(bytes.toString('utf8', start, end)) as ChainedRecord['members'];
      if (this.size === 0) this.#genesis(members, { file, line });
      else if (form.kind === 'genesis') throw new Offence('chain', { file, line }, 'a second genesis');
      if (form.kind === 'key') this.#keyRecord(members, { file, line });
      if (form.kind === 'checkpoint_key') this.#checkpointKey(members, this.key, { file, line });
    }
    if (form.boot !== this.#boot) this.bootSince = this.size;
    this.#unsealed.push(leaf, file, line);
    this.#boot = form.boot;
    this.#mono = form.mono;
    this.head = leaf;
    this.size += 1;
  }

  /** Takes a seal line: verifies its signature and that it says of the records what they are. */
  seal(line: string, place: Place): void {
    const size = this.#verifySeal(line, place);
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

  #verifySeal(line: string, place: Place): number {
    const signer = this.key ?? this.nextKey;
    if (signer === undefined) throw new Offence('keys', place, 'a seal before any key record');
    const claims = checked('signature', place, 'the seal is not valid', () =>
      checkToken(line, 'holdpoint-seal+jws', signer),
    );
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
    const count = size - this.sealed;
    const last = count - 1;
    if (head !== this.#unsealed.leaf(last).toString('base64url'))
      throw new Offence(
        'chain',
        this.#unsealed.place(last),
        'the record was changed: the seal below names another hash for it',
      );
    appendLeaves(this.#tree, this.#unsealed, count);
    if (this.#tree.root().toString('base64url') !== root)
      throw new Offence('root', place, 'the root of the records is not the one that the seal names');
    if (count === this.#unsealed.count) this.#lastPlace = this.#unsealed.place(last);
    this.#unsealed.remove(count);
    this.sealedAt = Number(claims.ts);
    this.sealedRoot = root as string;
    return size;
  }

  #treeOf(count: number): CompactTree {
    const tree = new CompactTree(this.#tree.size, this.#tree.range);
    appendLeaves(tree, this.#unsealed, count);
    return tree;
  }

  #genesis(members: ChainedRecord['members'], place: Place): void {
    if (members.kind !== 'genesis') throw new Offence('chain', place, 'the first record is not a genesis');
    const root = checked('keys', place, 'the root key', () => publicKeyOf(members.jwk));
    if (root.kid !== members.root || members.origin !== this.origin)
      throw new Offence('keys', place, 'the genesis names another origin, or a root that its key is not');
    this.root = root;
    if (members.checkpoint !== undefined)
      this.#checkpointKey(members.checkpoint as ChainedRecord['members'] | null, root, place);
  }

  /** A key of the log's notes, as the genesis names it or a record of its own. */
  #checkpointKey(
    named: ChainedRecord['members'] | null,
    by: { kid: string; jwk: JWK } | undefined,
    place: Place,
  ): void {
    const key = checked('keys', place, 'the key of the checkpoints', () => {
      const given = publicKeyOf(named?.jwk);
      if (by === undefined) throw new Error('no key is there to certify it');
      const claims = checkToken(String(named?.cert), 'holdpoint-checkpoint+jws', by);
      if (canonical(claims) !== canonical({ v: 1, origin: this.origin, kid: given.kid }))
        throw new Error('the certificate is not for this key');
      if (this.checkpointKeys.length >= checkpointKeysMax)
        throw new Error(`there are more than ${checkpointKeysMax}: no log changes it so often`);
      return given;
    });
    this.checkpointKeys = [...this.checkpointKeys, key];
  }

  #keyRecord(members: ChainedRecord['members'], place: Place): void {
    const by = this.key ?? this.root;
    const epoch = this.key === undefined ? 0 : this.key.epoch + 1;
    if (this.nextKey !== undefined || by === undefined)
      throw new Offence('keys', place, 'a key record before the one above it was sealed');
    const key = checked('keys', place, 'the key chain is broken', () => {
      const given = publicKeyOf(members.jwk);
      const cert = String(members.cert);
      refuseForeignKey(cert, certifierOf(cert, by, this.root), this.origin, epoch, given.kid);
      if (members.kid !== given.kid || members.epoch !== epoch)
        throw new Error(`the certificate is not for this key as epoch ${epoch}`);
      return given;
    });
    this.nextKey = { ...key, epoch, seq: this.size };
  }

  #misplaced(place: Place, vouch: Vouch): Offence {
    const { seq, prev } = this.form;
    if (seq !== this.size) return new Offence('chain', place, outOfOrder(seq, this.size, prev === this.head));
    // Of two lines that do not fit, the one that what follows vouches for is the honest one.
    const { count } = this.#unsealed;
    const above = count > 0 ? this.#unsealed.place(count - 1) : this.#lastPlace;
    if (vouch() === true && above !== undefined)
      return new Offence('chain', above, 'the record was changed: the line below names another hash for it');
    return new Offence('chain', place, 'the record was changed: it does not name the hash of the line above');
  }
}

/** Who has to have signed an epoch's certificate: the key before, or the root where it says so: after a revocation. */
export function certifierOf<Key extends { readonly kid: string }>(
  cert: string,
  before: Key,
  root: Key | undefined,
): Key {
  return root !== undefined && readToken(cert).kid === root.kid ? root : before;
}

/**
 * Throws Error unless `cert` is the word of `by` for the key `kid` as that epoch of the log: what a key record carries,
 * and what stands beside the key in keys/.
 */
export function refuseForeignKey(
  cert: string,
  by: { kid: string; jwk: JWK },
  origin: string,
  epoch: number,
  kid: string,
): void {
  const claims = checkToken(cert, 'holdpoint-epoch+jws', by);
  if (canonical(claims) !== canonical({ v: 1, origin, epoch, kid }))
    throw new Error(`the certificate is not for this key as epoch ${epoch}`);
}

/** Of these the walk reads more than the common members. */
const keyKinds = new Set(['genesis', 'key', 'checkpoint_key']);
const checkpointKeysMax = 1000;

/** The tree keeps a leaf as it is only where it begins a pair; the others are hashed away at once. */
function appendLeaves(tree: CompactTree, unsealed: Unsealed, count: number): void {
  for (let i = 0; i < count; i += 1) {
    const leaf = unsealed.leaf(i);
    tree.append(tree.size % 2 === 0 ? Buffer.from(leaf) : leaf);
  }
}

function outOfOrder(seq: number, due: number, follows: boolean): string {
  if (follows) return `its seq is ${seq} where ${due} belongs: the line was changed`;
  if (seq < due) return `record ${seq} stands where ${due} belongs: repeated, moved or inserted`;
  return `record ${seq} stands where ${due} belongs: ${seq - due} removed or moved before this line`;
}

/** What `check` returns; an Offence with its reason where it throws. */
function checked<T>(kind: Offence['kind'], place: Place, what: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw new Offence(kind, place, `${what}: ${(error as Error).message}`);
  }
}

/** The `prev` that a record line names; undefined for anything else. */
export function prevOf(line: string): string | undefined {
  return /"prev":"([\w-]{43})","/.exec(line)?.[1];
}
