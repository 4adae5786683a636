// Logs to read: several segments by the real writer, with statements that end at once, late, and never.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import type { StatementBody } from '../../src/audit/record.ts';
import { Trail } from '../../src/trail/trail.ts';
import { logFolder, openTestLog, statement, temporaryFolder } from '../audit/fixture.ts';

export interface WrittenLog {
  readonly path: string;
  readonly trail: Trail;
  /** Of the statements, by their n. */
  readonly seqs: ReadonlyMap<number, number>;
}

/**
 * `count` statements, each with its outcome behind it but for `late` (behind all others) and `never`; `change` says what
 * is special of one. Each segment has about `segmentBytesMax` bytes.
 */
export async function writtenLog(
  count: number,
  options: {
    readonly late?: readonly number[];
    readonly never?: readonly number[];
    readonly change?: (n: number) => Partial<StatementBody>;
    readonly segmentBytesMax?: number;
  } = {},
): Promise<WrittenLog> {
  const { late = [], never = [], change = () => ({}), segmentBytesMax = 16 << 10 } = options;
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax });
  const seqs = new Map<number, number>();
  const end = (n: number) =>
    log.append({
      kind: 'outcome',
      ref: seqs.get(n)!,
      st: 'ok',
      tags: [`SELECT ${n}`],
      rows: n,
      dur_us: 1000 + n,
    });
  for (let n = 0; n < count; n += 1) {
    seqs.set(n, log.append(statement(n, change(n))));
    if (!late.includes(n) && !never.includes(n)) end(n);
    // A segment is closed between groups, so that what is written at once is in one.
    if (n % 10 === 9) await log.durable(seqs.get(n)!);
  }
  for (const n of late) end(n);
  await log.close();
  return { path, trail: new Trail(logFolder(path)), seqs };
}

/** Compresses a closed segment as it is left behind. */
export function compress({ trail }: WrittenLog, n: number): void {
  const { name } = trail.segments().find((each) => each.n === n)!;
  const file = join(trail.path, name);
  writeFileSync(`${file}.zst`, zstdCompressSync(readFileSync(file)));
  rmSync(file);
}
