// `holdpoint audit prove`: one record and the proof that it is in the log, for somebody who has no log.
// What it writes it has checked, as whoever gets it will; that is all a proof takes, so the rest of the log is not looked
// at unless it proves nothing. Reads files, prints; needs no key but public ones.

import { writeFileSync } from 'node:fs';
import { proofText, prove } from '../../verify/src/proof.ts';
import { type Aids, Unprovable } from '../../verify/src/prover.ts';
import type { FolderSource } from '../../verify/src/source.ts';
import { reportText } from '../../verify/src/text.ts';
import { proveByCheckpoint } from '../../verify/src/tlogproof.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { HoldpointError } from '../errors.ts';
import type { Output } from './outcome.ts';

export const wrongTiles = 'the tiles do not fit the log: `holdpoint audit tiles DIR` makes them anew';

export const wrongCheckpoint =
  'the newest checkpoint in the log’s folder does not fit the log, so it is left out: one of the two was set back or written anew';

export interface ProveFlags {
  readonly seq: number;
  readonly format?: 'json' | 'tlog-proof';
  readonly output?: string;
}

/** `audit prove`: refuses to write a proof that does not hold, and then says what is wrong with the log. */
export async function proveRecord(source: FolderSource, flags: ProveFlags, output: Output): Promise<number> {
  try {
    const { text, tiles, checkpoint } =
      flags.format === 'tlog-proof'
        ? { ...(await proveByCheckpoint(source, flags.seq)), checkpoint: 'kept' }
        : await proveBySeal(source, flags.seq);
    if (tiles === 'wrong') output.err(`holdpoint audit: ${wrongTiles}\n`);
    if (checkpoint === 'wrong') output.err(`holdpoint audit: ${wrongCheckpoint}\n`);
    write(flags.output, text, output);
    return 0;
  } catch (error) {
    if (error instanceof Unprovable) throw new HoldpointError('not-found', error.message, { cause: error });
    return explain(source, error as Error, output);
  }
}

async function proveBySeal(source: FolderSource, seq: number): Promise<Aids & { text: string }> {
  const { proof, ...aids } = await prove(source, seq);
  return { text: proofText(proof), ...aids };
}

/** Says why a log proves nothing. Returns the exit code. */
export async function explain(source: FolderSource, error: Error, output: Output): Promise<number> {
  output.err(`holdpoint audit: what the log holds proves nothing: ${error.message}\n`);
  const report = await verifyLog(source, { live: true });
  output.err(reportText(report));
  return report.ok ? 11 : report.code;
}

export function write(path: string | undefined, text: string, output: Output): void {
  if (path === undefined) output.out(text);
  else writeFileSync(path, text);
}
