// Opening: makes a log, or takes up the one that is there, and says in it what was found. audit-approval §6 and §7.
// The only place that builds an AuditLog. Afterwards the log ends with a sealed `boot`.

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { canonical } from '../../verify/src/jcs.ts';
import type { Recipient } from '../../verify/src/sidefile.ts';
import type { OwedReview, Seal } from '../../verify/src/token.ts';
import { HoldpointError } from '../errors.ts';
import { Ballast } from './ballast.ts';
import { type Beginning, begin, isPrepared, prepare } from './beginning.ts';
import { Folder, type LogFs, systemFs } from './folder.ts';
import { certifyCheckpoints, freshKey, Keyring } from './keyring.ts';
import { Lock } from './lock.ts';
import { AuditLog } from './log.ts';
import { type LogClock, type LogMeter, systemClock } from './logstate.ts';
import { Manifest } from './manifest.ts';
import type { RecordBody } from './record.ts';
import { type Found, recover } from './recovery.ts';
import type { Comparison } from './rollback.ts';
import { type Sign, type SigningKey, signToken } from './seal.ts';
import { Segment } from './segment.ts';
import { SideFile } from './sidefile.ts';
import type { ValuesMode } from './values.ts';

/** How a log is opened. Everything a fault must be able to reach is an option; the defaults are the real things. */
export interface LogOptions {
  /** Holds one folder for each origin: `{dataDir}/audit`. Public: whoever verifies gets a copy. */
  readonly dir: string;
  /** Private keys, apart from the log: `{dataDir}/keys`. */
  readonly keysDir: string;
  /** Names this log for ever, and is `node` in its records: `holdpoint/main`. */
  readonly origin: string;
  /** Of Holdpoint, for the `boot` record. */
  readonly version: string;
  /** Digests of what is in force. */
  readonly config?: string | undefined;
  readonly policy?: string | undefined;
  readonly values: ValuesMode;
  /** Whom values are encrypted to. Needed for `values: 'auditor'`. */
  readonly auditors?: readonly Recipient[] | undefined;
  readonly sealMs: number;
  readonly segmentBytesMax: number;
  /** How long a key signs. 0 keeps it until the segment closes. */
  readonly epochMs?: number;
  /** How long disk or signer may be silent before statements are refused. */
  readonly stallMs?: number;
  /** How often a log that has stopped tries whether it can go on. */
  readonly retryMs?: number;
  /** Room kept on the disk so that a log on a full one can still say so. */
  readonly ballastBytes?: number;
  /** Bytes that the disk has not confirmed, beyond which clients are not read. */
  readonly unconfirmedBytesMax?: number;
  /** How long nothing happens before the log says so. 0 never says so. */
  readonly heartbeatMs?: number;
  readonly clock?: LogClock;
  readonly random?: (bytes: number) => Buffer;
  readonly fs?: LogFs;
  readonly sign?: Sign;
  readonly meter?: LogMeter;
  /**
   * Asked before a log of so many records is taken up: compares with what is remembered of it outside. Throws if the
   * log is not its continuation.
   */
  readonly compare?: (records: number) => Promise<Comparison>;
}

/** What was found when the log was taken up; every number is in the log, too. */
export interface Recovered {
  /** Records that were there. 0: the log is new. */
  readonly records: number;
  /** Bytes of a cut line that were set aside. */
  readonly tornBytes: number;
  /** Records that had no seal and got one now. */
  readonly resealed: number;
  /** Seqs of `stmt` records whose bytes went on, or were about to, and of whose end nothing is known. */
  readonly unknown: readonly number[];
  /** Requests that were neither used nor ended; their store decides what becomes of them. */
  readonly holds: readonly string[];
  /** Releases in an emergency that nobody has reviewed. */
  readonly reviews: readonly OwedReview[];
  /** RFC 7638 thumbprint of the root key: what an outsider pins. */
  readonly root: string;
}

/**
 * Opens the log. Throws `conflict` if another process has it, `log-unwritable` if it cannot be taken up: damaged in
 * the middle, its key missing, its folder not writable.
 */
export async function openLog(options: LogOptions): Promise<{ log: AuditLog; recovered: Recovered }> {
  const fs = options.fs ?? systemFs;
  const folder = new Folder(options.dir, options.origin, fs);
  const boot = (options.random ?? randomBytes)(16).toString('base64url');
  let lock: Lock | undefined;
  try {
    folder.create();
    lock = new Lock(folder.lock, boot);
    return await open({ ...defaults, ...options }, folder, lock, boot);
  } catch (error) {
    lock?.release();
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof HoldpointError || code === undefined) throw error;
    throw new HoldpointError(
      'log-unwritable',
      `the log cannot be opened: ${(error as Error).message}; ${folder.path} and the keys must be this user's, and the disk must have room`,
      { cause: error },
    );
  }
}

const nothingElsewhere: Comparison = { gaps: [], settled: async () => undefined };

const defaults = {
  epochMs: 3_600_000,
  heartbeatMs: 60_000,
  clock: systemClock,
  sign: signToken,
  meter: {},
  compare: async (_records: number): Promise<Comparison> => nothingElsewhere,
  stallMs: 10_000,
  retryMs: 1000,
  ballastBytes: 0,
  unconfirmedBytesMax: 32 << 20,
};

type Filled = LogOptions & typeof defaults;

async function open(
  options: Filled,
  folder: Folder,
  lock: Lock,
  boot: string,
): Promise<{ log: AuditLog; recovered: Recovered }> {
  const { origin, sign, clock } = options;
  const keyring = new Keyring(options.keysDir, origin, folder.fs);
  const found = await recover(folder, origin, async (walk, size) => {
    const { epoch, kid } = (walk.key ?? walk.nextKey)!;
    const seal: Seal = {
      v: 1,
      origin,
      ...walk.snapshot(size),
      psh: walk.psh,
      ts: Math.floor(clock.now() * 1000),
      mono: 0,
      boot,
      epoch,
    };
    return sign(await keyring.load(epoch, kid), 'holdpoint-seal+jws', canonical(seal));
  });
  const { walk } = found;
  const isNew = walk.size === 0;
  if (!isNew && walk.key === undefined)
    throw new HoldpointError(
      'log-unwritable',
      `the log in ${folder.path} was cut off while it was being made and has no key. Move the folder away`,
    );
  const first = isNew ? await beginning(options, folder, keyring) : undefined;
  const { epoch } = first ?? walk.key!;
  const key = first?.key ?? (await keyring.load(epoch, walk.key!.kid));
  // Before anything is written: what others remember of this log decides whether it may go on.
  const { gaps, settled } = isNew ? nothingElsewhere : await options.compare(walk.size);
  const { segment, manifest } = await takeUpSegments(found, folder, options, keyring, key);
  const auditors = options.values === 'auditor' ? (options.auditors ?? []) : [];
  const side = auditors.length === 0 ? undefined : new SideFile(folder, origin, auditors, segment.n);
  await side?.prepare(segment.n);
  // Before anything is appended: what the present key certifies has to stand before the next one's record.
  const notes = await checkpointKey(folder, keyring, origin, key);
  const ballast = new Ballast(folder, options.ballastBytes);
  ballast.make();
  const log = new AuditLog({
    ...options,
    side,
    epochMs: options.epochMs === 0 ? Number.POSITIVE_INFINITY : options.epochMs,
    folder,
    keyring,
    lock,
    boot,
    tree: walk.tree(),
    head: walk.head,
    sealed: walk.sealed,
    psh: walk.psh,
    manifest,
    ballast,
    segment,
    open: found.open,
    epoch,
    key,
  });
  const endings = found.open.endings();
  const holds = [...found.open.holds];
  const reviews = [...found.open.reviews.values()];
  const resealed = walk.size - found.sealed;
  try {
    for (const record of first?.records ?? []) log.append(record);
    for (const record of findings(found)) log.append(record);
    for (const outcome of endings) log.append(outcome);
    for (const gap of gaps) log.append(gap);
    if (notes !== undefined) log.append(notes.record);
    if (!isNew) await log.changeKey();
    const { version, config, policy } = options;
    await log.durable(
      log.append({ kind: 'boot', version, pid: process.pid, host: hostname(), config, policy }),
    );
    await settled();
    // Once the log says so: a crash before makes another.
    if (notes !== undefined) folder.publish('checkpoint', notes.jwk, notes.cert);
  } catch (error) {
    await log.abandon();
    throw error;
  }
  const root = first?.root ?? (await rootOf(folder));
  return {
    log,
    recovered: {
      records: walk.size,
      tornBytes: found.torn.reduce((sum, { bytes }) => sum + bytes, 0),
      resealed,
      unknown: endings.filter(({ st }) => st === 'unknown').map(({ ref }) => ref),
      holds,
      reviews,
      root,
    },
  };
}

/** What was found, in the log's own words: each piece that was set aside, and the records that had no seal. */
function findings({ torn, sealed, walk }: Found): RecordBody[] {
  if (torn.length === 0 && sealed === walk.size) return [];
  const from = sealed;
  const to = walk.size;
  if (torn.length === 0) return [{ kind: 'recover', from, to, torn_len: 0 }];
  return torn.map(({ bytes, sha }) => ({ kind: 'recover', from, to, torn_len: bytes, torn_sha: sha }));
}

/** The keys that the log begins with: those that `audit init` has put in place, or new ones, whose root is forgotten. */
async function beginning(options: Filled, folder: Folder, keyring: Keyring): Promise<Beginning> {
  const { origin, sign, config } = options;
  if (!isPrepared(folder)) await prepare(folder, keyring, sign, origin);
  return begin(folder, keyring, origin, config);
}

/**
 * The key of the log's notes. A log that was made without one, or lost it, gets one that its present epoch certifies;
 * the record says so.
 */
async function checkpointKey(
  folder: Folder,
  keyring: Keyring,
  origin: string,
  by: SigningKey,
): Promise<{ jwk: JWK; cert: string; record: RecordBody } | undefined> {
  const isThere = folder.fs.existsSync(folder.certificate('checkpoint'));
  if (isThere && keyring.checkpointKey() !== undefined) return undefined;
  const { kid, jwk, ...fresh } = await freshKey();
  const cert = await certifyCheckpoints(by, signToken, origin, kid);
  keyring.keepCheckpointKey({ kid, jwk, ...fresh });
  return { jwk, cert, record: { kind: 'checkpoint_key', kid, jwk: { ...jwk }, cert } };
}

/** Gives the closed segments their manifest lines where a crash kept them from it, and opens the last for appending. */
async function takeUpSegments(
  { walk, segments, closed, pmh }: Found,
  folder: Folder,
  { sign, origin }: Filled,
  keyring: Keyring,
  present: SigningKey,
): Promise<{ segment: Segment; manifest: Manifest }> {
  const manifest = new Manifest(folder, origin, pmh);
  for (const { n, start, content, end, key } of segments.slice(0, -1)) {
    const segment = Segment.takeUp(folder, n, start, content, end);
    try {
      // A segment that was broken off may have ended under the key before the present one, which is kept until then.
      const { epoch, kid } = key!;
      const signer = kid === present.kid ? present : await keyring.load(epoch, kid);
      await manifest.add(segment, sign, signer, epoch);
    } finally {
      segment.close();
    }
  }
  const last = segments.at(-1);
  const start = { first: walk.size, head: walk.head, range: walk.tree().range };
  const segment =
    last === undefined
      ? Segment.begin(folder, closed, start)
      : Segment.takeUp(folder, last.n, last.start, last.content, last.end);
  return { segment, manifest };
}

/** The root's thumbprint as the first record says, or, where that was pruned, the key beside the log. */
async function rootOf(folder: Folder): Promise<string> {
  if (folder.segments()[0] !== 0)
    return calculateJwkThumbprint(
      JSON.parse(String(folder.fs.readFileSync(folder.publicKey('root')))) as JWK,
    );
  const content = folder.readSegment(0);
  const genesis = JSON.parse(content.toString('utf8', 0, content.indexOf(10))) as { root: string };
  return genesis.root;
}
