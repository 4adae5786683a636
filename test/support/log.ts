// The records of a guard's log as they stand in its files, read as an auditor would: without the process.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Guard } from './holdpoint.ts';

/** A record as JSON. */
export type LogRecord = { kind: string; seq: number; rid?: string; ref?: number } & Record<string, unknown>;

/** All records of the guard's log, oldest first; seals are left out. */
export function recordsOf(guard: Pick<Guard, 'auditDir'>): LogRecord[] {
  // One folder, named after the node.
  const folder = join(guard.auditDir, readdirSync(guard.auditDir)[0]!);
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .sort()
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'))
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as LogRecord);
}
