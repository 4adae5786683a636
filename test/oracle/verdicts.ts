// Verdicts: what Holdpoint itself recorded of each statement, read from its log as it grows. The record of a statement is
// written before its bytes go on, so after an answer it is there. Believes the log in what was decided, and nothing else.

import { closeSync, existsSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { StatementBody } from '../../src/audit/record.ts';

export type Entry = Pick<StatementBody, 'dec' | 'cls' | 'effects' | 'rule' | 'sql' | 'proto'>;

/**
 * Effects of statements after which nothing that lasts may be different: also of those that the rules let pass only
 * within a READ ONLY transaction.
 */
const quietEffects: ReadonlySet<string> = new Set([
  'read',
  'unproven',
  'lock-rows',
  'advisory-lock',
  'notify',
  'setting',
  'custom-setting',
  'transaction',
  'temporary',
]);

/** True of a statement that passed and must not have changed anything that lasts. */
export function isQuiet({ effects }: Entry): boolean {
  return effects.every((effect) => quietEffects.has(effect));
}

export interface VerdictLog {
  /** The statements recorded since the last call. */
  next(): Entry[];
  close(): void;
}

const chunkBytes = 1 << 20;

/** `auditDir` as of a Guard: the folder with one log in it. */
export function verdictLog(auditDir: string): VerdictLog {
  const folder = join(auditDir, readdirSync(auditDir)[0]!);
  const path = (segment: number) => join(folder, `seg-${String(segment).padStart(8, '0')}.jsonl`);
  const chunk = Buffer.alloc(chunkBytes);
  let segment = 0;
  let file = openSync(path(segment), 'r');
  let at = 0;
  let rest = '';

  const grown = (): string => {
    let text = '';
    for (;;) {
      const length = readSync(file, chunk, 0, chunkBytes, at);
      at += length;
      text += chunk.toString('latin1', 0, length);
      if (length > 0) continue;
      if (!existsSync(path(segment + 1))) return text;
      closeSync(file);
      segment += 1;
      at = 0;
      file = openSync(path(segment), 'r');
    }
  };
  return {
    next() {
      const lines = (rest + grown()).split('\n');
      rest = lines.pop()!;
      return lines
        .filter((line) => line.includes('"kind":"stmt"'))
        .map((line) => JSON.parse(Buffer.from(line, 'latin1').toString('utf8')) as Entry);
    },
    close: () => closeSync(file),
  };
}
