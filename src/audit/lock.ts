// Lock: one process writes a log. audit-approval §6, step 1. A file made exclusively that names its owner.
// Refuses to trust a process id alone: in a container every process is number 1, so the owner is a process id with its
// start time; where it cannot be looked up (another host, another container) a sign of life each few seconds decides.

import * as fs from 'node:fs';
import { hostname } from 'node:os';
import { HoldpointError } from '../errors.ts';

/** How often the owner touches its lock, and after how long without that it counts as gone. */
const touchMs = 5_000;
const silenceMsMax = 20_000;

interface Owner {
  readonly pid: number;
  /** Start time of the process in kernel ticks and the kernel's boot; empty where /proc is missing. */
  readonly started: string;
  readonly host: string;
  readonly boot: string;
}

/** A held lock. `release` deletes it. */
export class Lock {
  readonly #path: string;
  readonly #text: string;
  readonly #timer: NodeJS.Timeout;
  /** Of the file as made: while it is open no other file has its number. */
  #fd = -1;
  #file: { readonly ino: number; readonly dev: number } | undefined;
  #isLost = false;

  /**
   * Takes the lock file `path` for this boot. Throws `conflict` while another living process has it. A lock whose owner
   * is gone is taken over; of two that try, one wins.
   */
  constructor(path: string, boot: string) {
    this.#path = path;
    const me: Owner = { pid: process.pid, started: startOf(process.pid), host: hostname(), boot };
    this.#text = `${JSON.stringify(me)}\n`;
    for (let tries = 0; !this.#take(); tries += 1) {
      const text = fs.readFileSync(path, 'utf8');
      const held = describe(text, path);
      if (held !== undefined || tries === 3) throw busy(path, held ?? 'taken again and again by others');
      evict(path, text, boot);
    }
    this.#timer = setInterval(() => this.#touch(), touchMs);
    this.#timer.unref();
  }

  /** The file as made, open for reading. */
  get named(): { readonly fd: number; readonly path: string } {
    return { fd: this.#fd, path: this.#path };
  }

  /** True once somebody else was found to have taken the lock, or to have removed it. For ever: they may have written. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Looks whether the lock is still there and this one. */
  check(): boolean {
    if (!this.#isLost && this.#fd >= 0) {
      const there = fs.statSync(this.#path, { throwIfNoEntry: false });
      this.#file ??= fs.fstatSync(this.#fd);
      this.#isLost = there?.ino !== this.#file.ino || there.dev !== this.#file.dev;
    }
    return !this.#isLost;
  }

  release(): void {
    clearInterval(this.#timer);
    if (this.#fd < 0) return;
    const isMine = this.check() && fs.readFileSync(this.#path, 'utf8') === this.#text;
    fs.closeSync(this.#fd);
    this.#fd = -1;
    if (isMine) fs.unlinkSync(this.#path);
  }

  #take(): boolean {
    try {
      fs.writeFileSync(this.#path, this.#text, { flag: 'wx', mode: 0o600 });
      // Open for reading only: a disk can be made read-only under it.
      this.#fd = fs.openSync(this.#path, 'r');
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  }

  #touch(): void {
    try {
      fs.utimesSync(this.#path, new Date(), new Date());
    } catch {
      // A lock that somebody deleted cannot be touched; `check` finds it.
    }
  }
}

/** Who holds the lock, in words; undefined if the owner is gone. */
function describe(text: string, path: string): string | undefined {
  let owner: Partial<Owner>;
  try {
    owner = JSON.parse(text) as Partial<Owner>;
  } catch {
    owner = {};
  }
  const silentMs = Date.now() - fs.statSync(path).mtimeMs;
  const words = `process ${owner.pid} on ${owner.host}, last sign of life ${Math.round(silentMs / 1000)} s ago`;
  if (owner.host === hostname() && owner.started && owner.pid) {
    return startOf(owner.pid) === owner.started ? words : undefined;
  }
  if (owner.host === hostname() && owner.pid && !isRunning(owner.pid)) return undefined;
  return silentMs < silenceMsMax ? words : undefined;
}

/** Moves a dead lock aside; if it was replaced by a living one in between, puts that back. */
function evict(path: string, text: string, boot: string): void {
  const aside = `${path}.${boot}`;
  try {
    fs.renameSync(path, aside);
    if (fs.readFileSync(aside, 'utf8') !== text) fs.linkSync(aside, path);
    fs.unlinkSync(aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Identifies a process beyond its number; empty if there is none, or no /proc. */
function startOf(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    const bootId = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    // Field 22; the name in field 2 may hold spaces and parentheses.
    return `${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}@${bootId}`;
  } catch {
    return '';
  }
}

function busy(path: string, who: string): HoldpointError {
  return new HoldpointError(
    'conflict',
    `the log is in use: ${path} is held by ${who}. Stop that process first; if it is gone, wait ${silenceMsMax / 1000} s`,
  );
}
