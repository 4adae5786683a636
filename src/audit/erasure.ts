// Erasure: takes values out of side files, and says so in the log first. Whoever holds the log's lock does it: a command that
// finds the log taken leaves a request in the folder, which the running process takes up. A crash at any step leaves the
// request there, and it is taken up again: the record is written once, the taking out may be repeated.
// Needs no key. Refuses to know who may ask: whoever may write the folder could delete the files as well. audit-approval §10.

import * as fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { segmentNumber, sideName } from '../../verify/src/names.ts';
import { withoutEntries } from '../../verify/src/sidefile.ts';
import { readToken, type SegmentSeal } from '../../verify/src/token.ts';
import { HoldpointError } from '../errors.ts';
import type { RecordBody } from './record.ts';

/** What is to be erased: of the records `seqs`, the values at `indexes`, or all. `evidence`: ID tokens kept in clear. */
export interface ErasureRequest {
  readonly seqs: readonly number[];
  readonly indexes?: readonly number[] | undefined;
  readonly evidence?: readonly string[] | undefined;
  readonly basis: string;
  readonly by: string;
}

/** What an erasure needs of the log that it is done in. */
export interface ErasingLog {
  readonly path: string;
  append(body: RecordBody): number;
  durable(seq: number): Promise<void>;
  /** Lets `rewrite` put another file in the place of a side file; nothing is written to that meanwhile. */
  replaceSide(n: number, rewrite: (path: string) => void): void;
}

const wordsMax = 500;
/** Records of one request, so that its record fits a line. */
export const erasedMax = 4000;

/** The folder of requests in a log's folder. */
function requestsIn(path: string): string {
  return join(path, 'redactions');
}

/** Leaves a request for whoever holds the log. Returns its name, under which `erasureState` knows it. */
export function requestErasure(path: string, name: string, request: ErasureRequest): void {
  fs.mkdirSync(requestsIn(path), { recursive: true, mode: 0o700 });
  const file = join(requestsIn(path), `${name}.json`);
  fs.writeFileSync(`${file}.new`, `${JSON.stringify(request)}\n`, { mode: 0o600, flush: true });
  fs.renameSync(`${file}.new`, file);
}

/** `undefined`: done. A string: why not, and it will not be. */
export function erasureState(
  path: string,
  name: string,
): 'waiting' | undefined | { readonly failed: string } {
  const file = (suffix: string) => join(requestsIn(path), `${name}.${suffix}`);
  if (fs.existsSync(file('failed'))) {
    const failed = fs.readFileSync(file('failed'), 'utf8');
    fs.unlinkSync(file('failed'));
    return { failed };
  }
  return fs.existsSync(file('json')) || fs.existsSync(file('recorded')) ? 'waiting' : undefined;
}

/** Does what is asked for in the log's folder. Throws `log-unwritable`; what is wrong with a request is left beside it. */
export async function eraseRequested(log: ErasingLog): Promise<number> {
  const folder = requestsIn(log.path);
  if (!fs.existsSync(folder)) return 0;
  let done = 0;
  for (const entry of fs.readdirSync(folder).sort()) {
    const [, name = '', suffix] = /^([\w-]{1,64})\.(json|recorded)$/.exec(entry) ?? [];
    if (name === '') continue;
    const file = join(folder, entry);
    try {
      const request = readRequest(fs.readFileSync(file, 'utf8'));
      if (suffix === 'json') await record(log, request);
      const recorded = join(folder, `${name}.recorded`);
      fs.renameSync(file, recorded);
      await eraseValues(log, request);
      fs.unlinkSync(recorded);
      done += 1;
    } catch (error) {
      if (error instanceof HoldpointError && error.code === 'log-unwritable') throw error;
      fs.writeFileSync(join(folder, `${name}.failed`), (error as Error).message, { mode: 0o600 });
      fs.rmSync(file, { force: true });
    }
  }
  return done;
}

async function record(log: ErasingLog, { seqs, indexes, basis, by }: ErasureRequest): Promise<void> {
  await log.durable(log.append({ kind: 'redact', seqs, indexes, basis, by }));
}

async function eraseValues(log: ErasingLog, { seqs, indexes, evidence }: ErasureRequest): Promise<void> {
  const wanted = new Set(seqs);
  const which = indexes === undefined ? undefined : new Set(indexes);
  const isKept = (seq: number, index: number) =>
    !wanted.has(seq) || (which !== undefined && !which.has(index));
  for (const name of sidesOf(log.path, wanted)) {
    const path = join(log.path, name);
    if (fs.existsSync(path)) await rewrite(log, path, sideNumber(name), isKept);
  }
  for (const sha of evidence ?? []) fs.rmSync(join(log.path, 'evidence', `${sha}.jwt`), { force: true });
}

/**
 * Most of the file is copied while it may still grow, and what came since in one step. A crash leaves the old file or the
 * new one.
 */
async function rewrite(
  log: ErasingLog,
  path: string,
  n: number,
  isKept: (seq: number, index: number) => boolean,
): Promise<void> {
  const fresh = `${path}.new`;
  const out = fs.openSync(fresh, 'w', 0o600);
  try {
    // Lines are written whole, so the end is that of a line, or of one that a crash has cut, which says nothing.
    const { size } = fs.statSync(path);
    if (size > 0)
      for await (const line of createInterface({
        input: fs.createReadStream(path, { encoding: 'latin1', end: size - 1 }),
      }))
        writeLine(out, withoutEntries(line, isKept));
    log.replaceSide(n, () => {
      for (const line of readFrom(path, size).split('\n')) writeLine(out, withoutEntries(line, isKept));
      fs.fsyncSync(out);
      fs.renameSync(fresh, path);
    });
  } finally {
    fs.closeSync(out);
  }
}

function readFrom(path: string, offset: number): string {
  const fd = fs.openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(fs.fstatSync(fd).size - offset);
    return bytes.toString('latin1', 0, fs.readSync(fd, bytes, 0, bytes.length, offset));
  } finally {
    fs.closeSync(fd);
  }
}

function writeLine(fd: number, line: string | undefined): void {
  if (line !== undefined) fs.writeSync(fd, `${line}\n`, null, 'latin1');
}

/** The side files that hold values of these records, oldest first. */
export function sidesOf(path: string, seqs: ReadonlySet<number>): string[] {
  const closed = closedSegments(path);
  const open = fs
    .readdirSync(path)
    .map(sideNumber)
    .filter((n) => n >= closed.length);
  const among = closed.flatMap(({ n, first, size }) =>
    // Records of a segment that was broken off stand in the next one; their values stayed where they were.
    [...seqs].some((seq) => seq >= first && seq < size) ? [n - 1, n] : [],
  );
  const last = closed.length > 0 ? [closed.length - 1] : [];
  const numbers = new Set([...among, ...last, ...open].filter((n) => n >= 0));
  return [...numbers].sort((a, b) => a - b).map(sideName);
}

function closedSegments(path: string): SegmentSeal[] {
  const manifest = join(path, 'manifest.jsonl');
  if (!fs.existsSync(manifest)) return [];
  return fs
    .readFileSync(manifest, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => readToken(line).claims as unknown as SegmentSeal);
}

/** -1 for any other name. */
function sideNumber(name: string): number {
  return name.endsWith('.prv') ? (segmentNumber(name.replace(/\.prv$/, '.jsonl')) ?? -1) : -1;
}

function readRequest(text: string): ErasureRequest {
  const read = JSON.parse(text) as Partial<ErasureRequest>;
  const numbers = (list: unknown) => Array.isArray(list) && list.every((one) => Number.isSafeInteger(one));
  const words = (one: unknown) => typeof one === 'string' && one.trim() !== '' && one.length <= wordsMax;
  const fits =
    numbers(read.seqs) &&
    read.seqs!.length > 0 &&
    read.seqs!.length <= erasedMax &&
    (read.indexes === undefined || numbers(read.indexes)) &&
    (read.evidence === undefined || read.evidence.every((sha) => /^[0-9a-f]{64}$/.test(sha))) &&
    words(read.basis) &&
    words(read.by);
  if (!fits)
    throw new HoldpointError(
      'bad-request',
      `the request for an erasure is malformed: it names up to ${erasedMax} records, and a basis and a name of up to ${wordsMax} characters`,
    );
  return read as ErasureRequest;
}
