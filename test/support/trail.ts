// The trail: what a guard's log says, read from its files as an auditor reads them, and whether it verifies offline.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { verify } from '../../src/cli/audit.ts';

export type Line = Record<string, unknown> & { kind: string; seq: number };

/** Every record of the one log under `{dataDir}/audit`, in order. */
export function records(auditDir: string): Line[] {
  const folder = join(auditDir, readdirSync(auditDir)[0]!);
  return readdirSync(folder)
    .filter((name) => /^seg-\d+\.jsonl$/.test(name))
    .sort()
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'))
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as Line);
}

/** Kinds of the records that name the request, in order: what the log tells of it. Views left out. */
export function storyOf(auditDir: string, rid: string): string[] {
  return records(auditDir)
    .filter((record) => record.rid === rid && !['view', 'notify'].includes(record.kind))
    .map(({ kind }) => kind);
}

/** The `stmt` records of the text, each with its outcome once it has one. */
export function statements(auditDir: string, sql: string): { stmt: Line; outcome: Line | undefined }[] {
  const all = records(auditDir);
  return all
    .filter((record) => record.kind === 'stmt' && record.sql === sql)
    .map((stmt) => ({
      stmt,
      outcome: all.find((record) => record.kind === 'outcome' && record.ref === stmt.seq),
    }));
}

/** Waits until the log of a guard that runs verifies offline: it is sealed a moment after it is written. */
export async function verifies(auditDir: string): Promise<void> {
  await expect.poll(async () => verified(auditDir, { live: true })).toMatchObject({ code: 0 });
}

/** Exit code and words of the offline verifier. */
export async function verified(
  auditDir: string,
  flags: { live?: boolean } = {},
): Promise<{ code: number; text: string }> {
  let text = '';
  const add = (more: string) => {
    text += more;
  };
  const code = await verify(auditDir, { gaps: true, ...flags } as never, { out: add, err: add } as never);
  return { code, text };
}
