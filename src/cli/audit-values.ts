// The side files of a log, for the commands that open and erase values: which of them holds the values of a record, and
// what is in it. Reads only, decrypts nothing. audit-approval §10.

import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { InvalidArgumentError } from 'commander';
import { readAuditorSecret } from '../../verify/src/auditorkey.ts';
import { longMembers } from '../../verify/src/disclosure.ts';
import { readText, records } from '../../verify/src/input.ts';
import {
  contentKeyOf,
  type Opened,
  openEntry,
  readSideLine,
  type SideBlock,
  type SideEntry,
  type SideHeader,
} from '../../verify/src/sidefile.ts';
import type { FolderSource, ReadRecord } from '../../verify/src/source.ts';
import { sidesOf } from '../audit/erasure.ts';
import { HoldpointError } from '../errors.ts';
import { codeOf, type Found, isTold, type Output, terminal } from './outcome.ts';

/** An entry where it stands: still encrypted. */
export interface Placed {
  readonly header: SideHeader;
  readonly block: SideBlock;
  readonly entry: SideEntry;
}

export type Auditor = ReturnType<typeof readAuditorSecret>;

/** An auditor's private key in a file. Throws `bad-request`. */
export function auditorIn(path: string): Auditor {
  const text = readText(path);
  try {
    return readAuditorSecret(JSON.parse(text));
  } catch (cause) {
    throw new HoldpointError(
      'bad-request',
      `${path} is no auditor's private key: ${(cause as Error).message}`,
      { cause },
    );
  }
}

/** The entries of these records that are still there, in the order of their files. */
export async function* entriesOf(source: FolderSource, seqs: ReadonlySet<number>): AsyncGenerator<Placed> {
  for (const name of sidesOf(source.path, seqs)) {
    for await (const placed of entriesIn(join(source.path, name)))
      if (seqs.has(placed.entry[0])) yield placed;
  }
}

/** All entries of a side file. */
export async function* entriesIn(path: string): AsyncGenerator<Placed> {
  if (!existsSync(path)) return;
  let header: SideHeader | undefined;
  const lines = createInterface({
    input: createReadStream(path, 'latin1'),
    crlfDelay: Number.POSITIVE_INFINITY,
  });
  for await (const line of lines) {
    const read = readSideLine(line);
    if (read === undefined) continue;
    if (!('block' in read)) header = read;
    else if (header !== undefined) for (const entry of read.entries) yield { header, block: read, entry };
  }
}

/** Opens one entry. Throws `forbidden` if it was not encrypted to this auditor. */
export async function opened({ header, block, entry }: Placed, auditor: Auditor): Promise<Opened> {
  const contentKey = await contentKeyOf(header, auditor.kid, auditor.secret);
  if (contentKey === undefined)
    throw new HoldpointError(
      'forbidden',
      `the values of record ${entry[0]} were not encrypted to the key ${auditor.kid}; open them with that of another auditor`,
    );
  try {
    return openEntry(contentKey, block.block, entry);
  } finally {
    contentKey.fill(0);
  }
}

/** The record and the whole of its long members. Throws `not-found`. */
export async function recordAt(
  source: FolderSource,
  seq: number,
): Promise<{ record: ReadRecord; long: Record<string, string> }> {
  for await (const record of records(source)) {
    if (record.seq !== seq) continue;
    const long = await longMembers(record.members, async (sha) =>
      (await source.read(`blobs/${sha}`))?.toString('utf8'),
    );
    return { record, long };
  }
  throw new HoldpointError('not-found', `the log in ${source.path} has no record ${seq}`);
}

/** An option's number. -1 means an ID token where `index` is asked for. */
export function numberOf(given: string, index = false): number {
  if (!/^\d{1,15}$/.test(given) && !(index && given === '-1'))
    throw new InvalidArgumentError('It is a whole number.');
  return Number(given);
}

/** Runs a command: exit code 0, 1 for what was refused or does not fit, 2 for wrong usage. */
export async function finished(
  flags: { json?: boolean | undefined },
  command: () => Promise<Found>,
  output: Output = terminal,
): Promise<number> {
  try {
    const { text, json } = await command();
    output.out(
      flags.json !== true ? text : typeof json === 'string' ? json : `${JSON.stringify(json, null, 2)}\n`,
    );
    return 0;
  } catch (error) {
    if (!isTold(error)) throw error;
    if (flags.json === true)
      output.out(
        `${JSON.stringify({ ok: false, error: 'code' in error ? error.code : 'bad-request', detail: error.message })}\n`,
      );
    else output.err(`holdpoint audit: ${error.message}\n`);
    return codeOf(error);
  }
}
