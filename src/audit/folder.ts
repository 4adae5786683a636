// Folder: where the parts of one log lie on disk, and the file system calls that a fault may reach. audit-approval §11.
// Knows names and calls; refuses to know what a line means.

import * as nodeFs from 'node:fs';
import { dirname, join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { folderName, packedName, segmentName, sideName, storedNumber } from '../../verify/src/names.ts';

/** The calls the log makes. A test injects one that fails, is slow, or writes short. */
export type LogFs = Pick<
  typeof nodeFs,
  | 'openSync'
  | 'closeSync'
  | 'writeSync'
  | 'fsyncSync'
  | 'fdatasync'
  | 'ftruncateSync'
  | 'readFileSync'
  | 'readdirSync'
  | 'mkdirSync'
  | 'renameSync'
  | 'unlinkSync'
  | 'existsSync'
  | 'statSync'
  | 'fstatSync'
  | 'statfsSync'
>;

/** No segment has more; what unpacks to more is no segment. */
const segmentBytesMax = 2 ** 31;

export const systemFs: LogFs = nodeFs;

/** The paths of one log. */
export class Folder {
  readonly path: string;
  readonly fs: LogFs;

  /** `dir` holds a folder for each origin. */
  constructor(dir: string, origin: string, fs: LogFs) {
    this.path = join(dir, folderName(origin));
    this.fs = fs;
  }

  get manifest(): string {
    return join(this.path, 'manifest.jsonl');
  }

  get lock(): string {
    return join(this.path, 'LOCK');
  }

  /** Room that can be given up. */
  get ballast(): string {
    return join(this.path, 'ballast');
  }

  segment(n: number): string {
    return join(this.path, segmentName(n));
  }

  /** The encrypted values of a segment. */
  side(n: number): string {
    return join(this.path, sideName(n));
  }

  blob(sha: string): string {
    return join(this.path, 'blobs', sha);
  }

  /** Evidence that tells more of a person than the chain should, under its SHA-256 in hex. */
  evidence(sha: string): string {
    return join(this.path, 'evidence', `${sha}.jwt`);
  }

  /** Public keys only: `root` or an epoch number. */
  publicKey(name: string | number): string {
    return join(this.path, 'keys', `${name}.jwk`);
  }

  quarantine(n: number, offset: number): string {
    return join(this.path, 'quarantine', `${segmentName(n)}.${offset}.torn`);
  }

  /** Makes the folder and its parts durably, for the owner only. */
  create(): void {
    for (const part of ['.', 'keys', 'blobs', 'evidence', 'quarantine'])
      makeFolder(this.fs, join(this.path, part));
  }

  /** Numbers of the segments that exist, plain or compressed, ascending. */
  segments(): number[] {
    const numbers = this.fs
      .readdirSync(this.path)
      .map((name) => storedNumber(String(name)))
      .filter((n) => n !== undefined);
    return [...new Set(numbers)].sort((a, b) => a - b);
  }

  /** The whole plain text of a segment, in whichever form it is there. */
  readSegment(n: number): Buffer {
    const packed = join(this.path, packedName(n));
    if (!this.fs.existsSync(this.segment(n)) && this.fs.existsSync(packed))
      return zstdDecompressSync(this.fs.readFileSync(packed) as Buffer, { maxOutputLength: segmentBytesMax });
    return this.fs.readFileSync(this.segment(n)) as Buffer;
  }

  /** Writes a blob, or finds it there. Returns a descriptor that still has to be synced and closed; undefined if found. */
  writeBlob(sha: string, bytes: Buffer): number | undefined {
    // One of another size is what a power cut left of it.
    const found = this.fs.statSync(this.blob(sha), { throwIfNoEntry: false });
    return found?.size === bytes.length ? undefined : this.replaceBlob(sha, bytes);
  }

  /** Writes a blob, whether or not it is there. Returns a descriptor that still has to be synced and closed. */
  replaceBlob(sha: string, bytes: Buffer): number {
    const path = this.blob(sha);
    // Under its name only when whole, so that a crash leaves no blob that is not what its name says.
    const fd = this.fs.openSync(`${path}.new`, 'w', 0o600);
    try {
      writeAll(this.fs, fd, bytes);
      this.fs.renameSync(`${path}.new`, path);
    } catch (error) {
      this.fs.closeSync(fd);
      throw error;
    }
    return fd;
  }

  /** Makes names in the folder `part` durable. */
  syncNames(part = '.'): void {
    syncFolder(this.fs, join(this.path, part));
  }

  syncAndClose(fd: number): void {
    try {
      this.fs.fsyncSync(fd);
    } finally {
      this.fs.closeSync(fd);
    }
  }

  /** A key's certificate, beside it: so that a log without its beginning still has its chain of keys. */
  certificate(name: string | number): string {
    return join(this.path, 'keys', `${name}.cert`);
  }

  /** Puts a public key and what certifies it beside the log, for those who verify it; on disk when it returns. */
  publish(name: string | number, jwk: object, certificate?: string): void {
    if (certificate !== undefined) this.writeWhole(this.certificate(name), `${certificate}\n`, 0o644);
    this.writeWhole(this.publicKey(name), `${JSON.stringify(jwk)}\n`, 0o644);
    this.syncNames('keys');
  }

  /** Writes a whole file durably: under another name, then in place. */
  writeWhole(path: string, text: string, mode = 0o600): void {
    writeWhole(this.fs, path, text, mode);
  }
}

/** Makes the names in a folder durable. */
export function syncFolder(fs: LogFs, path: string): void {
  const fd = fs.openSync(path, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Writes a whole file durably, mode 0600 unless told: a crash leaves the old one or the new one, never half. */
export function writeWhole(fs: LogFs, path: string, text: string, mode = 0o600): void {
  const fresh = `${path}.new`;
  const fd = fs.openSync(fresh, 'w', mode);
  try {
    writeAll(fs, fd, Buffer.from(text, 'utf8'));
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(fresh, path);
  syncFolder(fs, dirname(path));
}

/** Makes a folder and those it lies in, for the owner only, so that a power cut does not take their names. */
export function makeFolder(fs: LogFs, path: string): void {
  const made = fs.mkdirSync(path, { recursive: true, mode: 0o700 });
  if (made === undefined) return;
  for (let at = path; at.length >= made.length; at = dirname(at)) syncFolder(fs, dirname(at));
}

/** write(2) until all of it is written; a short write is not an error, a write of nothing is. */
export function writeAll(fs: LogFs, fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) {
    const written = fs.writeSync(fd, bytes, at, bytes.length - at);
    if (written <= 0) throw new Error('the disk took no bytes');
    at += written;
  }
}
