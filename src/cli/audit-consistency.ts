// `holdpoint audit consistency`: that a log goes on from what somebody remembers of it, as one file for them.
// What it writes it has checked. Reads files, prints; needs no key.

import { consistencyText, continues, Inconsistent, type TreeHead } from '../../verify/src/consistency.ts';
import { readText } from '../../verify/src/input.ts';
import { readCheckpoint, readNote } from '../../verify/src/note.ts';
import { offenceCodes } from '../../verify/src/offence.ts';
import { Unprovable } from '../../verify/src/prover.ts';
import type { FolderSource } from '../../verify/src/source.ts';
import { HoldpointError } from '../errors.ts';
import { write, wrongTiles } from './audit-prove.ts';
import type { Output } from './outcome.ts';

export interface ConsistencyFlags {
  readonly old: string;
  readonly new?: string;
  readonly output?: string;
}

/** `audit consistency`: exit code 16 if the log is not the one that is remembered. */
export async function proveConsistency(
  source: FolderSource,
  flags: ConsistencyFlags,
  output: Output,
): Promise<number> {
  const old = treeHeadOf(flags.old);
  const now = flags.new === undefined ? undefined : treeHeadOf(flags.new);
  try {
    const { shown, tiles } = await continues(source, old, now);
    if (tiles === 'wrong') output.err(`holdpoint audit: ${wrongTiles}\n`);
    write(flags.output, consistencyText(shown), output);
    return 0;
  } catch (error) {
    if (error instanceof Unprovable) throw new HoldpointError('not-found', error.message, { cause: error });
    if (!(error instanceof Inconsistent)) throw error;
    output.err(`holdpoint audit: ${error.message}\n`);
    return offenceCodes.expectation;
  }
}

/** What somebody remembers: SIZE:ROOT as `audit verify` prints it, or the file of a checkpoint note. Throws `bad-request`. */
export function treeHeadOf(given: string): TreeHead {
  const match = /^(\d{1,15}):([\w-]{43})$/.exec(given);
  if (match !== null) return { size: Number(match[1]), root: match[2]! };
  try {
    const { size, root } = readCheckpoint(readNote(readText(given)).text);
    return { size, root: root.toString('base64url') };
  } catch (cause) {
    if (cause instanceof HoldpointError) throw cause;
    throw new HoldpointError(
      'bad-request',
      `${given} is neither SIZE:ROOT nor a checkpoint: ${(cause as Error).message}`,
      { cause },
    );
  }
}
