// Descriptor: a connected socket without a stream around it (native/hop.c). What it does, and in which order it says so,
// is what a net.Socket without half-open connections does; what it leaves out is what the relay does not use. Refuses to
// know what the bytes are.

import { EventEmitter } from 'node:events';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { type Hop, loadHop, reading, unsent, writable, writing } from './hop.ts';

/** Bytes that wait for the kernel; with more, whoever writes is asked to wait. As net.Socket has it. */
const waitingBytesMax = 64 << 10;
/** Longer pieces get memory of their own, so that a short one that is kept does not keep a long one. */
const pooledBytesMax = 2048;
/** The kernel takes nothing now. */
const again = -constants.errno.EAGAIN;

let hop: Hop | undefined;
let isLooked = false;
/** By their number. */
const open: (Descriptor | undefined)[] = [];
let openCount = 0;

/** What is told of lanes. Set by lanes.ts. */
export interface LanesTold {
  /** Before what is told of descriptors. */
  rounds(rounds: number): void;
  /** Behind it. */
  ended(): void;
  /** What the server answered to a round of the lane of that number, whose client is no descriptor. */
  answered(lane: number, bytes: Buffer): void;
}

let lanes: LanesTold | undefined;

export function onRounds(told: LanesTold): void {
  lanes = told;
}

/** What this thread has; undefined where sockets cannot be taken over. */
export function hopHere(): Hop | undefined {
  return hasHop() ? hop : undefined;
}

/** What was read of a descriptor comes once more, as if it came now. */
export function readOf(fd: number, start: number, count: number): void {
  try {
    open[fd]?.read(start, count);
  } catch (error) {
    throwLater(error);
  }
}

/** True where sockets can be taken over on this thread. */
export function hasHop(): boolean {
  if (!isLooked) {
    isLooked = true;
    try {
      hop = loadHop()?.open(told);
    } catch {
      // It could not be set up: then there is none.
    }
  }
  return hop !== undefined;
}

/** One end of a connection. Paused at first. Emits the events of line.ts. */
export class Descriptor extends EventEmitter {
  readonly #fd: number;
  #watched = 0;
  #isReading = false;
  /** The other side has ended; and whoever reads was told so. */
  #isRead = false;
  #isEndTold = false;
  /** Nothing more is to be written; and it was said so. */
  #isEnding = false;
  #isFinished = false;
  #isClosed = false;
  /** Read, and kept back since it is paused. */
  #held: Buffer[] = [];
  /** Written, and not taken by the kernel. */
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #isFull = false;
  readonly #closing: (() => void)[] = [];

  /**
   * Takes a duplicate of a connected, non-blocking socket's descriptor; the caller closes his own. Throws where it cannot
   * be had, or `hasHop` is false.
   */
  constructor(fd: number) {
    super();
    if (hop === undefined) throw new Error('there is no hop here');
    this.#fd = hop.take(fd);
    if (this.#fd < 0) throw systemError('dup', this.#fd);
    open[this.#fd] = this;
    openCount += 1;
    if (openCount === 1) hop.hold(true);
  }

  /** Its number, until it is destroyed. */
  get fd(): number {
    return this.#fd;
  }

  /** Calls `closing` before its number is given up. */
  onClosing(closing: () => void): void {
    this.#closing.push(closing);
  }

  /** Whatever was read of it was given out, and it is read on. */
  get isFlowing(): boolean {
    return this.#isReading && this.#held.length === 0 && !this.#isRead && !this.#isClosed;
  }

  get destroyed(): boolean {
    return this.#isClosed;
  }

  /** Bytes that the kernel has not taken yet. */
  get writableLength(): number {
    return this.#waitingBytes;
  }

  /** Takes bytes that nobody changes any more. False if `drain` is to be awaited. After `end`, they are dropped. */
  write(bytes: Buffer): boolean {
    if (this.#isClosed || this.#isEnding) return true;
    if (this.#waiting.length > 0) return this.#wait(bytes);
    const written = hop!.write(this.#fd, bytes);
    if (written === bytes.length) return true;
    if (written < 0 && written !== again) {
      this.#fail('write', written);
      return true;
    }
    return this.#wait(bytes.subarray(Math.max(0, written)));
  }

  /** Writes `bytes` and then the end, behind everything written before. */
  end(bytes?: Buffer): this {
    if (bytes !== undefined) this.write(bytes);
    this.#isEnding = true;
    this.#finish();
    return this;
  }

  pause(): this {
    this.#isReading = false;
    this.#watch();
    return this;
  }

  resume(): this {
    if (this.#isReading || this.#isClosed) return this;
    this.#isReading = true;
    if (this.#held.length > 0 || this.#isRead) setImmediate(() => this.#giveHeld());
    this.#watch();
    return this;
  }

  /** Lets go of it at once; what waits is lost. */
  destroy(error?: Error): this {
    if (this.#isClosed) return this;
    this.#isClosed = true;
    this.#held = [];
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const closing of this.#closing) closing();
    open[this.#fd] = undefined;
    hop!.drop(this.#fd);
    openCount -= 1;
    if (openCount === 0) hop!.hold(false);
    process.nextTick(() => {
      if (error !== undefined && this.listenerCount('error') > 0) this.emit('error', error);
      this.emit('close');
    });
    return this;
  }

  /** What the hop has read: `count` bytes at `start` of its input, 0 at the end, or minus an errno. */
  read(start: number, count: number): void {
    if (count < 0) this.#fail('read', count);
    else if (count === 0) this.#readEnd();
    else {
      const bytes = inputOf(start, count);
      // It may have been paused by what was read of another in the same call.
      if (this.#isReading && this.#held.length === 0) this.emit('data', bytes);
      else this.#held.push(bytes);
    }
  }

  /** What a lane wrote to it and the kernel did not take goes before anything else. */
  rest(start: number, count: number): void {
    if (!this.#isClosed) this.#wait(Buffer.from(hop!.input.subarray(start, start + count)));
  }

  /** The kernel takes bytes again. */
  flush(): void {
    while (this.#waiting.length > 0) {
      const first = this.#waiting[0]!;
      const written = hop!.write(this.#fd, first);
      if (written < 0) {
        if (written !== again) this.#fail('write', written);
        return;
      }
      this.#waitingBytes -= written;
      if (written < first.length) {
        this.#waiting[0] = first.subarray(written);
        return;
      }
      this.#waiting.shift();
    }
    this.#watch();
    this.#finish();
    if (!this.#isFull || this.#isClosed) return;
    this.#isFull = false;
    this.emit('drain');
  }

  #wait(bytes: Buffer): boolean {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#watch();
    if (this.#waitingBytes < waitingBytesMax) return !this.#isFull;
    this.#isFull = true;
    return false;
  }

  #giveHeld(): void {
    while (this.#isReading && !this.#isClosed) {
      const bytes = this.#held.shift();
      if (bytes === undefined) break;
      this.emit('data', bytes);
    }
    if (this.#isRead) this.#readEnd();
  }

  #readEnd(): void {
    this.#isRead = true;
    this.#watch();
    if (this.#held.length > 0 || !this.#isReading || this.#isEndTold || this.#isClosed) return;
    this.#isEndTold = true;
    this.emit('end');
    this.end();
  }

  /** Says the end once nothing waits in front of it; both ends said, it is over. */
  #finish(): void {
    if (!this.#isEnding || this.#waiting.length > 0 || this.#isClosed) return;
    if (!this.#isFinished) {
      this.#isFinished = true;
      hop!.finish(this.#fd);
    }
    if (this.#isRead) this.destroy();
  }

  #fail(call: string, number: number): void {
    this.destroy(systemError(call, number));
  }

  #watch(): void {
    if (this.#isClosed) return;
    const wanted =
      (this.#isReading && !this.#isRead ? reading : 0) | (this.#waiting.length > 0 ? writing : 0);
    if (wanted === this.#watched) return;
    const done = hop!.watch(this.#fd, this.#watched, wanted);
    this.#watched = wanted;
    if (done < 0) this.#fail('epoll_ctl', done);
  }
}

/** A copy of what the hop has read. */
function inputOf(start: number, count: number): Buffer {
  const bytes = count > pooledBytesMax ? Buffer.allocUnsafeSlow(count) : Buffer.allocUnsafe(count);
  hop!.input.copy(bytes, 0, start, start + count);
  return bytes;
}

/** Something of one must not keep the others from theirs. */
function told(count: number, rounds: number): void {
  if (rounds > 0) lanes?.rounds(rounds);
  const { events } = hop!;
  let at = 0;
  // They come first, and go before anything else is written to the same descriptors.
  for (; at < count * 3 && events[at + 1]! >= unsent; at += 3) {
    const [to, start, bytes] = [events[at]!, events[at + 1]! - unsent, events[at + 2]!];
    try {
      if (to < 0) lanes?.answered(-1 - to, inputOf(start, bytes));
      else open[to]?.rest(start, bytes);
    } catch (error) {
      throwLater(error);
    }
  }
  for (; at < count * 3; at += 3) {
    const descriptor = open[events[at]!];
    if (descriptor === undefined) continue;
    try {
      const start = events[at + 1]!;
      if (start === writable) descriptor.flush();
      else descriptor.read(start, events[at + 2]!);
    } catch (error) {
      throwLater(error);
    }
  }
  if (rounds > 0) lanes?.ended();
}

function throwLater(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

function systemError(call: string, number: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(number);
  return Object.assign(new Error(`${call} ${code}`), { code, errno: number, syscall: call });
}
