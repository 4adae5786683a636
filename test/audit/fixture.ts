// A log for tests: real files in a temporary folder, written by the real writer; copies of it in memory to tamper with.

import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { onTestFinished } from 'vitest';
import type { AuditLog } from '../../src/audit/log.ts';
import { type LogOptions, openLog, type Recovered } from '../../src/audit/opening.ts';
import type { StatementBody } from '../../src/audit/record.ts';
import type { LogSource, Range } from '../../verify/src/port.ts';

export const origin = 'holdpoint/test';

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const path = fs.mkdtempSync(join(tmpdir(), 'holdpoint-audit-'));
  onTestFinished(() => fs.rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Options of a small log under `path`. */
export function optionsFor(path: string, more: Partial<LogOptions> = {}): LogOptions {
  return {
    dir: join(path, 'audit'),
    keysDir: join(path, 'keys'),
    origin,
    version: '0.0.0',
    values: 'clear',
    sealMs: 1,
    segmentBytesMax: 1 << 26,
    heartbeatMs: 0,
    ...more,
  };
}

/** Opens a log that is closed after the test. */
export async function openTestLog(
  path: string,
  more: Partial<LogOptions> = {},
): Promise<{ log: AuditLog; recovered: Recovered }> {
  const opened = await openLog(optionsFor(path, more));
  onTestFinished(() => opened.log.close());
  return opened;
}

/** Where the log of `optionsFor(path)` lies. */
export function logFolder(path: string): string {
  return join(path, 'audit', 'holdpoint%2Ftest');
}

/** A copy of everything under `path` as it is now: what a process leaves behind that is killed at this moment. */
export function afterCrash(path: string): string {
  const copy = temporaryFolder();
  fs.cpSync(path, copy, { recursive: true });
  fs.rmSync(join(logFolder(copy), 'LOCK'), { force: true });
  return copy;
}

/** A statement record's body. */
export function statement(n: number, more: Partial<StatementBody> = {}): StatementBody {
  return {
    kind: 'stmt',
    sid: 's1',
    n,
    agent: 'claude',
    target: 'shop',
    db: 'shop',
    role: null,
    tx: 'I',
    proto: 'Q',
    cls: 'read',
    effects: ['read'],
    dec: 'pass',
    rule: 'reads',
    sql: `select ${n}`,
    len: 9,
    ...more,
  };
}

/** The files of a log in memory. Changing the map changes what the verifier sees. */
export class MemorySource implements LogSource {
  readonly files: Map<string, Buffer>;

  constructor(files: ReadonlyMap<string, Buffer>) {
    this.files = new Map(files);
  }

  async segments(): Promise<readonly string[]> {
    return [...this.files.keys()].filter((name) => name.startsWith('seg-')).sort();
  }

  async read(name: string): Promise<Buffer | undefined> {
    return this.files.get(name);
  }

  async open(name: string, range: Range = {}): Promise<AsyncIterable<Uint8Array> | undefined> {
    const content = this.files.get(name)?.subarray(range.from);
    return content === undefined ? undefined : Readable.from([content], { objectMode: true });
  }

  /** A copy in which one file has these bytes. */
  with(name: string, content: Buffer): MemorySource {
    const copy = new MemorySource(this.files);
    copy.files.set(name, content);
    return copy;
  }

  /** The lines of a file, without LF. */
  lines(name: string): string[] {
    return this.files.get(name)!.toString('utf8').split('\n').slice(0, -1);
  }

  /** A copy in which one file has these lines. */
  withLines(name: string, lines: readonly string[]): MemorySource {
    return this.with(name, Buffer.from(lines.map((line) => `${line}\n`).join(''), 'utf8'));
  }
}

/** Reads the log under `path` into memory. */
export function snapshot(path: string): MemorySource {
  const folder = logFolder(path);
  const files = new Map<string, Buffer>();
  for (const name of fs.readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const whole = join(folder, name);
    if (fs.statSync(whole).isFile()) files.set(name, fs.readFileSync(whole));
  }
  return new MemorySource(files);
}

/** A small finished log: some statements with outcomes, sealed one by one. */
export async function smallLog(more: Partial<LogOptions> = {}, statements = 4): Promise<MemorySource> {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, more);
  for (let n = 0; n < statements; n += 1) {
    const ref = log.append(statement(n));
    await log.durable(
      log.append({ kind: 'outcome', ref, st: 'ok', tags: ['SELECT 1'], rows: 1, dur_us: 250 }),
    );
  }
  await log.close();
  return snapshot(path);
}
