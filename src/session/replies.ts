// Replies: what the client is still owed. A queue of forwarded frames, matched by order with what the server answers,
// so that every result finds its gate and every ParseComplete its name. It attributes and never changes a byte; when
// the order does not fit, it says so (`lost`) and the mirror that rests on it becomes stricter.
// Source: the manual, "Message Flow" (pipelining, errors, COPY); postgres.c (ignore_till_sync); wire.md §2.2.

import { frontendType } from '../wire/messages/frontend.ts';
import type { Gate } from './gate.ts';
import type { StagedParse } from './prepared.ts';

/** A forwarded frame that will be answered, or that ends a stretch of skipping. */
export interface Expected {
  /** Type byte of the frontend frame as the server saw it; a stand-in counts as what it is. */
  readonly type: number;
  readonly gate: Gate | undefined;
  readonly staged: StagedParse | undefined;
  /** The statement that a Close names; undefined for portals. */
  readonly closes: string | undefined;
}

/** What happens to entries; the session acts on it. All calls are synchronous. */
export interface RepliesEvents {
  parsed(staged: StagedParse): void;
  parseRefused(staged: StagedParse): void;
  parseSkipped(staged: StagedParse): void;
  closed(name: string): void;
  completed(gate: Gate, tag: string | undefined): void;
  suspended(gate: Gate): void;
  failed(gate: Gate): void;
  skipped(gate: Gate): void;
  /** ReadyForQuery of the segment or query; `status` is I, T or E. */
  ready(status: string): void;
  /** An answer came that the queue cannot explain. */
  lost(): void;
}

const { query, parse, bind, describe, execute, close, sync, functionCall, copyDone, copyFail } = frontendType;

/** Frames a client may have unanswered; beyond it the session ends (54000). */
export const expectedFramesMax = 100_000;

export class Replies {
  #queue: Expected[] = [];
  /** Index of the head in #queue; the array is compacted now and then, so that a shift costs nothing. */
  #head = 0;
  /** The server discards until Sync, and no Sync is in the queue yet. */
  #skipping = false;
  /** COPY IN is running and its CopyDone was not sent yet: the server ignores Sync and Flush. */
  #copyIn = false;
  readonly #events: RepliesEvents;

  constructor(events: RepliesEvents) {
    this.#events = events;
  }

  get length(): number {
    return this.#queue.length - this.#head;
  }

  /** True while the server still owes an answer, so that a cancel request has something to cancel. */
  get outstanding(): boolean {
    return this.length > 0;
  }

  /** True if frames of the present segment went to the server and no Sync followed them. */
  get segmentOpen(): boolean {
    const last = this.#queue.at(-1);
    return (
      this.length > 0 &&
      last !== undefined &&
      last.type !== sync &&
      last.type !== query &&
      last.type !== functionCall
    );
  }

  /** True if the server discards whatever comes before the next Sync. */
  get discarding(): boolean {
    return this.#skipping;
  }

  /** A frame goes to the server. */
  push(expected: Expected): void {
    const { type } = expected;
    if (this.#copyIn) {
      // During COPY IN the server ignores Sync; CopyDone or CopyFail ends that.
      if (type === sync) return;
      if (type === copyDone || type === copyFail) this.#copyIn = false;
    }
    if (this.#skipping) {
      if (type !== sync) {
        this.#skip(expected);
        return;
      }
      this.#skipping = false;
    }
    this.#queue.push(expected);
    if (expected.gate !== undefined) expected.gate.owed += 1;
  }

  /** ParseComplete, BindComplete, CloseComplete. `type` is the frontend type that it answers. */
  acknowledged(type: typeof parse | typeof bind | typeof close): void {
    const head = this.#take(type);
    if (head === undefined) return;
    if (head.staged !== undefined) this.#events.parsed(head.staged);
    if (head.closes !== undefined) this.#events.closed(head.closes);
  }

  /** RowDescription or NoData: completes a Describe; inside a Query or an Execute it means nothing here. */
  described(): void {
    if (this.#peek()?.type === describe) this.#shift();
  }

  /** CommandComplete (with its tag) or EmptyQueryResponse (without). */
  completed(tag: string | undefined): void {
    const head = this.#peek();
    if (head === undefined) {
      this.#lose();
      return;
    }
    if (head.type === execute) this.#shift();
    else if (head.type !== query) {
      this.#lose();
      return;
    }
    this.#copyIn = false;
    if (head.gate !== undefined) this.#events.completed(head.gate, tag);
  }

  suspended(): void {
    const head = this.#take(execute);
    if (head?.gate !== undefined) this.#events.suspended(head.gate);
  }

  /** CopyInResponse: Syncs that were sent before the copy's end are swallowed by the server. */
  copyInStarted(): void {
    const head = this.#peek();
    if (head === undefined) {
      this.#lose();
      return;
    }
    let at = this.#head + 1;
    while (at < this.#queue.length) {
      const type = this.#queue[at]?.type;
      if (type === copyDone || type === copyFail) return;
      if (type === sync) this.#queue.splice(at, 1);
      else at += 1;
    }
    this.#copyIn = true;
  }

  /** ErrorResponse of severity ERROR. Entries that the server now skips are told so. */
  failed(): void {
    this.#copyIn = false;
    const head = this.#peek();
    if (head === undefined) return;
    if (head.gate !== undefined) this.#events.failed(head.gate);
    if (head.type === query || head.type === functionCall || head.type === sync) return;
    if (head.staged !== undefined) this.#events.parseRefused(head.staged);
    this.#shift();
    // An error in the extended protocol discards everything up to Sync, simple queries included, without an answer.
    for (let next = this.#peek(); ; next = this.#peek()) {
      if (next === undefined) {
        this.#skipping = true;
        break;
      }
      if (next.type === sync) break;
      this.#shift();
      this.#skip(next);
    }
    this.#compact();
  }

  /** ReadyForQuery. */
  ready(status: string): void {
    this.#copyIn = false;
    const head = this.#peek();
    // A Sync that we took for swallowed by a failing COPY IN was answered after all: nothing to match.
    if (head !== undefined && (head.type === query || head.type === sync || head.type === functionCall))
      this.#shift();
    else if (head !== undefined) this.#lose();
    this.#compact();
    this.#events.ready(status);
  }

  #skip(expected: Expected): void {
    if (expected.staged !== undefined) this.#events.parseSkipped(expected.staged);
    if (expected.gate !== undefined) this.#events.skipped(expected.gate);
  }

  /** The head, behind markers that are only of interest to COPY IN. */
  #peek(): Expected | undefined {
    for (;;) {
      const head = this.#queue[this.#head];
      if (head === undefined || (head.type !== copyDone && head.type !== copyFail)) return head;
      this.#head += 1;
    }
  }

  #shift(): void {
    const head = this.#queue[this.#head];
    this.#head += 1;
    if (head?.gate !== undefined) head.gate.owed -= 1;
  }

  #take(type: number): Expected | undefined {
    const head = this.#peek();
    if (head?.type !== type) {
      this.#lose();
      return undefined;
    }
    this.#shift();
    this.#compact();
    return head;
  }

  #lose(): void {
    this.#events.lost();
  }

  #compact(): void {
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }
}
