// A disk that loses what was not synced: the real files as they are written, and beside them what would be there after a
// power cut. A name is kept by an fsync of its folder, bytes by an fsync of their file that began after they were written.
// Slow on request. Refuses to know what the files are.

import * as fs from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { LogFs } from '../../src/audit/folder.ts';

/** Bytes of a file that are on disk. Follows the file through renames. */
interface Node {
  synced: Buffer;
}

const ended = (): Error => Object.assign(new Error('the power is off'), { code: 'EIO' });

export class Disk {
  readonly fs: LogFs;
  /** How long an fdatasync takes, in ms, asked each time. */
  syncMs: () => number = () => 0;
  readonly #root: string;
  readonly #open = new Map<number, { path: string; node: Node | undefined }>();
  /** By path: files and folders as they are named now. */
  readonly #named = new Map<string, Node | 'folder'>();
  /** By path: those whose name is on disk. */
  readonly #kept = new Map<string, Node | 'folder'>();
  #off = false;

  /** `root` exists, and is on disk. */
  constructor(root: string) {
    this.#root = root;
    this.fs = {
      ...fs,
      openSync: (path, flags, mode) => this.#openSync(String(path), flags, mode),
      closeSync: (fd) => {
        this.#open.delete(fd);
        fs.closeSync(fd);
      },
      writeSync: ((fd: number, bytes: Buffer, at: number, length: number) => {
        if (this.#off) throw ended();
        return fs.writeSync(fd, bytes, at, length);
      }) as typeof fs.writeSync,
      fsyncSync: (fd) => {
        if (this.#off) throw ended();
        this.#sync(fd, this.#length(fd));
      },
      fdatasync: ((fd: number, done: (error: Error | null) => void) => {
        // What is written from here on may or may not be on disk when it is done: it is not.
        const length = this.#length(fd);
        setTimeout(() => {
          if (this.#off) return done(ended());
          this.#sync(fd, length);
          done(null);
        }, this.syncMs());
      }) as typeof fs.fdatasync,
      mkdirSync: ((path: string, options: fs.MakeDirectoryOptions) => {
        for (let at = path; at.startsWith(this.#root) && at !== this.#root; at = dirname(at))
          if (!this.#named.has(at)) this.#named.set(at, 'folder');
        return fs.mkdirSync(path, options);
      }) as typeof fs.mkdirSync,
      renameSync: (from, to) => {
        fs.renameSync(from, to);
        const node = this.#named.get(String(from));
        this.#named.delete(String(from));
        if (node !== undefined) this.#named.set(String(to), node);
      },
      unlinkSync: (path) => {
        fs.unlinkSync(path);
        this.#named.delete(String(path));
      },
    };
  }

  /** From now on nothing can be written, and nothing that was not synced is there: writes it to `into`, as it would be. */
  cut(into: string): void {
    this.#off = true;
    for (const [path, node] of [...this.#kept].sort(([a], [b]) => a.length - b.length)) {
      const there = join(into, relative(this.#root, path));
      if (!fs.existsSync(dirname(there))) continue;
      if (node === 'folder') fs.mkdirSync(there, { recursive: true });
      else fs.writeFileSync(there, node.synced);
    }
  }

  #openSync(path: string, flags: fs.OpenMode, mode?: fs.Mode | null): number {
    const fd = fs.openSync(path, flags, mode);
    const folder = fs.fstatSync(fd).isDirectory();
    if (!folder && !this.#named.has(path)) this.#named.set(path, { synced: Buffer.alloc(0) });
    const node = this.#named.get(path);
    this.#open.set(fd, { path, node: node === 'folder' ? undefined : node });
    return fd;
  }

  #length(fd: number): number {
    return fs.fstatSync(fd).size;
  }

  #sync(fd: number, length: number): void {
    const { path, node } = this.#open.get(fd)!;
    if (node !== undefined) {
      const now = [...this.#named].find(([, each]) => each === node)?.[0];
      if (now !== undefined) node.synced = fs.readFileSync(now).subarray(0, length);
      return;
    }
    for (const of of [this.#kept, this.#named])
      for (const name of of.keys()) {
        if (dirname(name) !== path) continue;
        const now = this.#named.get(name);
        if (now === undefined) this.#kept.delete(name);
        else this.#kept.set(name, now);
      }
  }
}
