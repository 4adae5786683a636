// A disk that fails when a test says so: the real file system behind calls that throw, write half, or keep quiet.

import * as fs from 'node:fs';
import { type LogFs, systemFs } from '../../src/audit/folder.ts';

export type FsCall = keyof LogFs;

/** What becomes of a call: nothing, an error of this code, or, of a write, an error after half of the bytes. */
export type Fault = string | { readonly code: string; readonly half: true } | undefined;

const messages: Readonly<Record<string, string>> = {
  EIO: 'i/o error',
  ENOSPC: 'no space left on device',
  EROFS: 'read-only file system',
  EDQUOT: 'disk quota exceeded',
};

export class FaultFs {
  /** Asked before each call. */
  fault: (name: FsCall, given: readonly unknown[]) => Fault = () => undefined;
  calls = 0;
  readonly fs: LogFs;
  /** Answers of fdatasync that are kept back while `hangs`. */
  readonly kept: (() => void)[] = [];
  hangs = false;
  /** Descriptors that were used after they had failed. */
  readonly reused: string[] = [];
  readonly #failedFds = new Set<number>();

  constructor() {
    const wrapped: Record<string, unknown> = {};
    for (const name of Object.keys(calls) as FsCall[]) wrapped[name] = this.#wrap(name);
    this.fs = wrapped as unknown as LogFs;
  }

  /** All calls of these names fail with `code` from now on. */
  fail(code: string, ...names: FsCall[]): void {
    this.fault = (name) => (names.includes(name) ? code : undefined);
  }

  heal(): void {
    this.fault = () => undefined;
  }

  answer(): void {
    this.hangs = false;
    for (const go of this.kept.splice(0)) go();
  }

  #wrap(name: FsCall): unknown {
    const call = systemFs[name] as (...given: unknown[]) => unknown;
    if (name === 'fdatasync')
      return (fd: number, done: (error: Error | null) => void) => {
        this.calls += 1;
        const fault = this.#asked(name, [fd]);
        const go = () => (fault === undefined ? fs.fdatasync(fd, done) : setImmediate(done, fault));
        if (this.hangs) this.kept.push(go);
        else go();
      };
    return (...given: unknown[]) => {
      this.calls += 1;
      const asked = this.fault(name, given);
      const fault = this.#asked(name, given, asked);
      if (fault !== undefined) {
        if (typeof asked === 'object' && name === 'writeSync') {
          const [fd, bytes, at, length] = given as [number, Buffer, number, number];
          fs.writeSync(fd, bytes, at, Math.floor(length / 2));
        }
        throw fault;
      }
      const result = call.apply(fs, given);
      if (name === 'openSync') this.#failedFds.delete(result as number);
      return result;
    };
  }

  #asked(name: FsCall, given: readonly unknown[], asked = this.fault(name, given)): Error | undefined {
    const writes = name === 'writeSync' || name === 'fdatasync' || name === 'fsyncSync';
    const fd = given[0] as number;
    if (writes && this.#failedFds.has(fd)) this.reused.push(`${name} ${fd}`);
    if (asked === undefined) return undefined;
    if (writes) this.#failedFds.add(fd);
    const code = typeof asked === 'string' ? asked : asked.code;
    return Object.assign(new Error(`${code}: ${messages[code] ?? 'simulated'}, ${name}`), { code });
  }
}

const calls: Readonly<Record<FsCall, true>> = {
  openSync: true,
  closeSync: true,
  writeSync: true,
  fsyncSync: true,
  fdatasync: true,
  ftruncateSync: true,
  readFileSync: true,
  readdirSync: true,
  mkdirSync: true,
  renameSync: true,
  unlinkSync: true,
  existsSync: true,
  statSync: true,
  fstatSync: true,
  statfsSync: true,
};
