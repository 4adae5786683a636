// A log with what keeps it outside, as the proxy composes them, and a witness on a port of its own.

import * as fs from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { AuditLog } from '../../src/audit/log.ts';
import { openLog } from '../../src/audit/opening.ts';
import { Anchoring, auditFolders } from '../../src/cli/anchoring.ts';
import { start } from '../../src/cli/witness.ts';
import type { WitnessConfig } from '../../src/config.ts';
import { asCosigner, readVkey } from '../../verify/src/note.ts';
import { MemorySource, origin, temporaryFolder } from './fixture.ts';

export interface RunningLog {
  readonly log: AuditLog;
  readonly anchoring: Anchoring;
  /** What was reported: level, message and cause. */
  readonly said: readonly string[];
  close(): Promise<void>;
}

/** The log of a data folder, open, with its witnesses. */
export async function runLog(
  dataDir: string,
  witnesses: readonly WitnessConfig[] = [],
  more: { anchorMs?: number; checkpointMs?: number; witnessQuorum?: number; heartbeatMs?: number } = {},
): Promise<RunningLog> {
  const said: string[] = [];
  const { heartbeatMs = 0, ...audit } = more;
  const anchoring = await Anchoring.open({
    config: {
      dataDir,
      node: origin,
      audit: {
        checkpointMs: 20,
        anchorMs: 5_000,
        witnessQuorum: 1,
        ...audit,
        witnesses,
      },
    },
    metrics: { anchor: () => ({ kept: () => undefined, failed: () => undefined }) },
    report: (level, message, { cause }) => void said.push(`${level}: ${message}: ${cause}`),
  });
  const { log } = await openLog({
    ...auditFolders(dataDir),
    origin,
    version: '0.0.0',
    values: 'clear',
    sealMs: 1,
    segmentBytesMax: 1 << 20,
    heartbeatMs,
    compare: () => anchoring.compare(),
  });
  anchoring.begin(log);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= log.close().then(() => anchoring.close());
    return closing;
  };
  onTestFinished(close);
  return { log, anchoring, said, close };
}

export interface RunningWitness {
  readonly config: WitnessConfig;
  readonly dir: string;
  readonly port: number;
  readonly said: readonly string[];
  close(): Promise<void>;
}

/** The public key of a data folder's log, as a witness is given it. */
export function vkeyOf(dataDir: string): string {
  return Anchoring.vkey(dataDir, origin);
}

/** A witness of the log in `dataDir`, which was started once. */
export async function witnessFor(
  dataDir: string,
  given: { dir?: string; port?: number; name?: string } = {},
): Promise<RunningWitness> {
  const dir = given.dir ?? temporaryFolder();
  const said: string[] = [];
  const output = { out: (text: string) => said.push(text), err: (text: string) => said.push(text) };
  const listen = `127.0.0.1:${given.port ?? 0}`;
  const name = given.name ?? 'witness.test/w';
  const { port, close } = await start({ listen, dir, log: [vkeyOf(dataDir)], name }, output);
  onTestFinished(close);
  const key = asCosigner(readVkey(/ key (\S+)\n/.exec(said[0]!)![1]!));
  return { config: { url: `http://127.0.0.1:${port}`, key }, dir, port, said, close };
}

/** A data folder whose log was begun and closed. */
export async function begunLog(): Promise<string> {
  const dataDir = temporaryFolder();
  await (await runLog(dataDir)).close();
  return dataDir;
}

/** A copy of a data folder: a disk image, or a thief's. */
export function copyOf(dataDir: string): string {
  const to = temporaryFolder();
  fs.cpSync(dataDir, to, { recursive: true, filter: (path) => !path.endsWith('LOCK') });
  return to;
}

/** The folder of the log in a data folder. */
export function folderOf(dataDir: string): string {
  return join(dataDir, 'audit', 'holdpoint%2Ftest');
}

/** Its files in memory. */
export function filesOf(dataDir: string): MemorySource {
  const folder = folderOf(dataDir);
  const names = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return new MemorySource(
    new Map(
      names
        .filter((name) => fs.statSync(join(folder, name)).isFile())
        .map((name) => [name, fs.readFileSync(join(folder, name))]),
    ),
  );
}
