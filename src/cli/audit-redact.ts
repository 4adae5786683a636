// `holdpoint audit redact`: erases values that were put aside, and has the log say so. The chain commits to them and stays as it
// is, so every proof stays good. Done by the process that holds the log; where none does, by this one, which opens it for that.

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { records } from '../../verify/src/input.ts';
import type { FolderSource } from '../../verify/src/source.ts';
import { erasedMax, eraseRequested, erasureState, requestErasure } from '../audit/erasure.ts';
import { openLog } from '../audit/opening.ts';
import { HoldpointError } from '../errors.ts';
import { entriesOf, finished, numberOf } from './audit-values.ts';
import { onlyLog } from './only-log.ts';
import type { Found } from './outcome.ts';
import { packageVersion } from './version.ts';

export interface RedactFlags {
  readonly seq?: readonly number[];
  readonly request?: string;
  readonly value?: readonly number[];
  readonly basis: string;
  readonly by: string;
  readonly json?: boolean;
}

/** How long the process that holds the log may take. */
const answerMsMax = 30_000;
const pollMs = 100;

/** Adds `audit redact`. */
export function registerRedact(
  audit: Command,
  folder: { name: string; words: string; fallback: string },
): void {
  audit
    .command('redact')
    .description('erase values that were put aside for auditors; every proof stays valid')
    .argument(folder.name, folder.words, folder.fallback)
    .option('--seq <n...>', 'the records, and the requests that they were held as', seqs)
    .option('--request <id>', 'all records of a request')
    .option('--value <i...>', 'only these values of each, from 0; -1 is an ID token', indexes)
    .requiredOption('--basis <text>', 'why they must go, for the log')
    .requiredOption('--by <name>', 'who says so, for the log')
    .addOption(new Option('--json', 'print JSON'))
    .action(async (dir: string, flags: RedactFlags) => {
      process.exitCode = await finished(flags, () => redact(dir, flags));
    });
}

/** Erases and waits until it is done. Throws HoldpointError for whatever is in the way. */
export async function redact(dir: string, flags: RedactFlags): Promise<Found> {
  if ((flags.seq === undefined) === (flags.request === undefined))
    throw new HoldpointError('bad-request', 'name records with --seq N, or a request with --request ID');
  if (flags.basis.trim() === '' || flags.by.trim() === '')
    throw new HoldpointError('bad-request', '--basis and --by stand in the log; say why, and who you are');
  const source = onlyLog(dir);
  const { seqs, evidence } = await meant(source, flags);
  const only = flags.value;
  let values = evidence.length;
  for await (const { entry } of entriesOf(source, seqs))
    if (only === undefined || only.includes(entry[1])) values += 1;
  if (values === 0)
    throw new HoldpointError(
      'not-found',
      'nothing of that is kept: it was erased already, or never put aside (audit.values)',
    );
  if (seqs.size > erasedMax)
    throw new HoldpointError(
      'bad-request',
      `that are ${seqs.size} records; name at most ${erasedMax} at a time`,
    );
  const name = `${Date.now()}-${process.pid}`;
  const all = [...seqs].sort((a, b) => a - b);
  requestErasure(source.path, name, { seqs: all, indexes: only, evidence, basis: flags.basis, by: flags.by });
  if (!(await eraseHere(source))) await answered(source.path, name);
  const state = erasureState(source.path, name);
  if (state !== undefined && state !== 'waiting') throw new HoldpointError('bad-request', state.failed);
  return {
    text: `${values} ${values === 1 ? 'value is' : 'values are'} erased; the log says so, and every proof of it stays valid\n`,
    json: { erased: values, records: all },
  };
}

/** The records that are meant, and the ID tokens of theirs that are kept in clear. */
async function meant(
  source: FolderSource,
  { seq, request }: RedactFlags,
): Promise<{ seqs: Set<number>; evidence: string[] }> {
  const seqs = new Set<number>(seq);
  const seen = new Set<number>();
  const requests = new Set<unknown>(request === undefined ? [] : [request]);
  const evidence: string[] = [];
  for await (const { seq: at, kind, members } of records(source)) {
    // A held statement's values are in its request, too.
    const held = kind === 'hold' && (requests.has(members.rid) || seqs.has(Number(members.ref)));
    if (held) requests.add(members.rid);
    const named = request !== undefined && (held || (kind === 'decision' && requests.has(members.rid)));
    if (held || named) seqs.add(at);
    if (held && request !== undefined && typeof members.ref === 'number') {
      seqs.add(members.ref);
      seen.add(members.ref);
    }
    if (!seqs.has(at)) continue;
    seen.add(at);
    const { sha256 } = (members.ev ?? {}) as { sha256?: unknown };
    if (typeof sha256 === 'string' && existsSync(join(source.path, 'evidence', `${sha256}.jwt`)))
      evidence.push(sha256);
  }
  const missing = [...seqs].find((one) => !seen.has(one));
  if (missing !== undefined || seqs.size === 0)
    throw new HoldpointError(
      'not-found',
      missing === undefined
        ? `the log in ${source.path} has no request ${request}`
        : `the log in ${source.path} has no record ${missing}`,
    );
  return { seqs, evidence };
}

/** Does it in this process if no other holds the log. */
async function eraseHere(source: FolderSource): Promise<boolean> {
  const dataDir = dirname(dirname(source.path));
  const origin = decodeURIComponent(source.name);
  try {
    const { log } = await openLog({
      dir: dirname(source.path),
      keysDir: join(dataDir, 'keys', 'audit'),
      origin,
      version: packageVersion(),
      values: 'none',
      sealMs: 0,
      segmentBytesMax: Number.MAX_SAFE_INTEGER,
      heartbeatMs: 0,
    });
    try {
      await eraseRequested(log);
    } finally {
      await log.close('values erased');
    }
    return true;
  } catch (error) {
    if (error instanceof HoldpointError && error.code === 'conflict') return false;
    throw error;
  }
}

async function answered(path: string, name: string): Promise<void> {
  for (
    const end = performance.now() + answerMsMax;
    erasureState(path, name) === 'waiting';
    await wait(pollMs)
  )
    if (performance.now() > end)
      throw new HoldpointError(
        'log-unwritable',
        `the Holdpoint that holds the log has not erased it within ${answerMsMax / 1000} s; the request stays in ${join(path, 'redactions')} and is done as soon as it can be`,
      );
}

function seqs(given: string, before: number[] | undefined): number[] {
  return [...(before ?? []), numberOf(given)];
}

function indexes(given: string, before: number[] | undefined): number[] {
  return [...(before ?? []), numberOf(given, true)];
}
