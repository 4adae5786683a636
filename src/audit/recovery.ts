// Recovery: what a log on disk amounts to when a process takes it up again. audit-approval §6.
// Reads and checks everything behind the last closed segment. A line cut off at the very end is a crash, and what a
// segment holds that the next one repeats is one during a mending (segments.ts): both are set aside in quarantine/.
// Anything else that does not fit means that the file was changed, and the log is not taken up.
// Adds seals only where a crash kept one from being written; log.ts says in the log what was found.

import { createHash } from 'node:crypto';
import { keptBytes, tellsOfBreak } from '../../verify/src/brokenoff.ts';
import { type EpochKey, prevOf, Walk, type WalkStart } from '../../verify/src/chain.ts';
import { leafHash } from '../../verify/src/leaf.ts';
import { linesOf } from '../../verify/src/lines.ts';
import { segmentName } from '../../verify/src/names.ts';
import { Offence } from '../../verify/src/offence.ts';
import { digest, readPublicKey, readToken, type SegmentSeal, verifyToken } from '../../verify/src/token.ts';
import { HoldpointError } from '../errors.ts';
import { type Folder, writeAll } from './folder.ts';
import { firstManifestHash } from './manifest.ts';
import { OpenWork } from './openwork.ts';
import { requirePruned } from './pruned.ts';
import type { RecordBody } from './record.ts';
import type { SegmentEnd, SegmentStart } from './segment.ts';

/** A segment that has no manifest line. */
export interface FoundSegment {
  readonly n: number;
  readonly start: SegmentStart;
  readonly content: Buffer;
  readonly end: SegmentEnd;
  /** The key that signs what comes behind it; undefined in a log that has none yet. */
  readonly key: EpochKey | undefined;
}

/** Bytes that were set aside, and their SHA-256 in hex. */
export interface Aside {
  readonly bytes: number;
  readonly sha: string;
}

/** A log as found. `walk` stands behind its last line. */
export interface Found {
  readonly walk: Walk;
  readonly open: OpenWork;
  /** The last of them is the one to go on with; there is none in a new log. */
  readonly segments: readonly FoundSegment[];
  /** Hash of the last manifest line, and how many lines there are. */
  readonly pmh: string;
  readonly closed: number;
  /** Records from here on were found without a seal. */
  readonly sealed: number;
  /** Half lines, and what a later segment repeats: set aside already. */
  readonly torn: readonly Aside[];
}

/** Makes a seal line over the first `size` records of a walk, by the key whose turn it is. */
export type Reseal = (walk: Walk, size: number) => Promise<string>;

/** Takes up the log in `folder`, which exists and is locked. Throws `log-unwritable` if it cannot be taken up. */
export async function recover(folder: Folder, origin: string, reseal: Reseal): Promise<Found> {
  try {
    return await read(folder, origin, reseal);
  } catch (error) {
    if (!(error instanceof Offence)) throw error;
    throw new HoldpointError(
      'log-unwritable',
      `the log in ${folder.path} was damaged or changed, at ${error.place.file} line ${error.place.line}: ` +
        `${error.message}. Keep the folder as evidence, check it with \`holdpoint audit verify\`, and move it away ` +
        'to begin a new log',
      { cause: error },
    );
  }
}

async function read(folder: Folder, origin: string, reseal: Reseal): Promise<Found> {
  const manifest = await readManifest(folder, origin);
  const { last } = manifest;
  const walk = new Walk(origin, last === undefined ? undefined : await startBehind(folder, last));
  const open = new OpenWork(last);
  const numbers = folder.segments();
  const begin = numbers[0] ?? 0;
  for (const [i, n] of numbers.entries()) {
    if (n !== begin + i)
      throw new Offence(
        'chain',
        { file: segmentName(begin + i), line: 1 },
        'the segment of this number is missing',
      );
  }
  requirePruned(folder, numbers, begin);
  const segments: FoundSegment[] = [];
  const torn: Aside[] = [];
  let sealed = walk.sealed;
  for (const n of numbers.filter((n) => n >= manifest.lines)) {
    const start = { first: walk.size, head: walk.head, range: walk.tree().range };
    const next = n === numbers.at(-1) ? undefined : folder.readSegment(n + 1);
    let content = folder.readSegment(n);
    const whole = content.lastIndexOf(10) + 1;
    const kept = next === undefined ? whole : Math.min(whole, keptBytes(content, next, segmentName(n)));
    // Checked before anything is moved: a damaged log must stay as it is.
    await readLines(walk, open, content.subarray(0, kept), segmentName(n));
    sealed = walk.sealed;
    const covered = walk.nextKey === undefined ? walk.sealed : walk.nextKey.seq + 1;
    if (next !== undefined && covered < walk.size && !tellsOfBreak(next, walk.size))
      throw new Offence(
        'unsealed',
        { file: segmentName(n), line: 1 },
        'the segment was closed and its last records are under no seal',
      );
    if (kept < content.length) torn.push(setAside(folder, n, content, kept));
    content = content.subarray(0, kept);
    // A crash between a key record, with which a segment also closes, and the seal that must follow exactly there.
    if (walk.nextKey !== undefined)
      content = await addSeal(folder, n, content, walk, walk.nextKey.seq + 1, reseal);
    const { size, head, psh, key } = walk;
    const end = { size, head, range: walk.tree().range, psh, open: open.copy() };
    segments.push({ n, start, content, end, key });
  }
  return { walk, open, segments, pmh: manifest.pmh, closed: manifest.lines, sealed, torn };
}

/** Walks the lines of one segment. */
async function readLines(walk: Walk, open: OpenWork, content: Buffer, file: string): Promise<void> {
  const lines = [...linesOf(content, file)];
  for (const [i, { line, place }] of lines.entries()) {
    if (line.startsWith('e')) {
      await walk.seal(line, place);
      continue;
    }
    const record = await walk.record(line, place, () => {
      const next = lines.slice(i + 1).find((after) => after.line.startsWith('{'));
      return next === undefined ? undefined : prevOf(next.line) === leafHash(line);
    });
    open.note(record.members as unknown as RecordBody, record.seq);
  }
}

async function addSeal(
  folder: Folder,
  n: number,
  content: Buffer,
  walk: Walk,
  size: number,
  reseal: Reseal,
): Promise<Buffer> {
  const line = await reseal(walk, size);
  const bytes = Buffer.from(`${line}\n`, 'utf8');
  const fd = folder.fs.openSync(folder.segment(n), 'a');
  try {
    writeAll(folder.fs, fd, bytes);
    folder.fs.fsyncSync(fd);
  } finally {
    folder.fs.closeSync(fd);
  }
  await walk.seal(line, { file: segmentName(n), line: 0 });
  return Buffer.concat([content, bytes]);
}

/** Copies what does not count any more, then cuts it off. A crash in between does the copy again. */
function setAside(folder: Folder, n: number, content: Buffer, whole: number): Aside {
  const bytes = content.subarray(whole);
  writeAndSync(folder, folder.quarantine(n, whole), bytes);
  folder.syncNames('quarantine');
  const fd = folder.fs.openSync(folder.segment(n), 'r+');
  try {
    folder.fs.ftruncateSync(fd, whole);
    folder.fs.fsyncSync(fd);
  } finally {
    folder.fs.closeSync(fd);
  }
  return { bytes: bytes.length, sha: createHash('sha256').update(bytes).digest('hex') };
}

function writeAndSync(folder: Folder, path: string, bytes: Buffer): void {
  const fd = folder.fs.openSync(path, 'w', 0o600);
  try {
    writeAll(folder.fs, fd, bytes);
    folder.fs.fsyncSync(fd);
  } finally {
    folder.fs.closeSync(fd);
  }
}

interface Manifest {
  readonly last: SegmentSeal | undefined;
  readonly lines: number;
  readonly pmh: string;
}

/** The manifest: every line follows the one before, and the last one's signature is good. */
async function readManifest(folder: Folder, origin: string): Promise<Manifest> {
  let found: Manifest = { last: undefined, lines: 0, pmh: firstManifestHash(origin) };
  if (!folder.fs.existsSync(folder.manifest)) return found;
  const content = folder.fs.readFileSync(folder.manifest) as Buffer;
  const whole = content.lastIndexOf(10) + 1;
  let lastLine = '';
  for (const { line, place } of linesOf(content.subarray(0, whole), 'manifest.jsonl')) {
    try {
      const claims = readToken(line).claims as unknown as SegmentSeal;
      if (claims.origin !== origin || claims.n !== found.lines || claims.pmh !== found.pmh)
        throw new Error('it does not follow the line before it');
      found = { last: claims, lines: found.lines + 1, pmh: digest(line) };
    } catch (error) {
      throw new Offence('signature', place, `the manifest line is not valid: ${(error as Error).message}`);
    }
    lastLine = line;
  }
  if (found.last !== undefined) {
    const key = await publicKey(folder, found.last.epoch);
    await verifyToken(lastLine, 'holdpoint-segment+jws', key).catch((error: Error) => {
      throw new Offence('signature', { file: 'manifest.jsonl', line: found.lines }, error.message);
    });
  }
  // A manifest line cut off by a crash is written again: all that it says can be read from its segment.
  if (whole < content.length) folder.writeWhole(folder.manifest, content.subarray(0, whole).toString());
  return found;
}

/** Where the walk begins when `last` is the last closed segment, whose bytes must be those that were signed for. */
async function startBehind(folder: Folder, last: SegmentSeal): Promise<WalkStart> {
  const content = stored(folder, last.n);
  if (createHash('sha256').update(content).digest('hex') !== last.sha256)
    throw new Offence(
      'chain',
      { file: segmentName(last.n), line: 1 },
      'the manifest names another content for this segment',
    );
  return {
    size: last.size,
    head: last.end_head,
    range: last.end_range.map((hash) => Buffer.from(hash, 'base64url')),
    psh: last.psh,
    key: await publicKey(folder, last.epoch),
  };
}

function stored(folder: Folder, n: number): Buffer {
  try {
    return folder.readSegment(n);
  } catch (error) {
    // What the disk refuses is no damage.
    if ((error as NodeJS.ErrnoException).syscall !== undefined) throw error;
    throw new Offence(
      'chain',
      { file: `${segmentName(n)}.zst`, line: 1 },
      `it does not unpack: ${(error as Error).message}`,
    );
  }
}

async function publicKey(folder: Folder, epoch: number): Promise<EpochKey> {
  const text = String(folder.fs.readFileSync(folder.publicKey(epoch)));
  return { ...(await readPublicKey(JSON.parse(text))), epoch };
}
