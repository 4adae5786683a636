// Replies: what the client is still owed. A queue of forwarded frames, matched by order with what the server answers,
// so that every result finds its gate and every ParseComplete its name. It attributes and never changes a byte; when
// the order does not fit, it says so (`lost`) and the mirror that rests on it becomes stricter.
// Source: the manual, "Message Flow" (pipelining, errors, COPY); postgres.c (ignore_till_sync); wire.md §2.2.

import { typeTable } from '../wire/framer.ts';
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
  /** What it is of an enclosure; undefined for a frame of the client's that is none of it. */
  readonly part?: Part | undefined;
}

/**
 * `injected`: a frame of ours, whose answer is nobody's. `enclosed`: the client's, inside. `end`: the Sync whose
 * ReadyForQuery the client gets.
 */
export type Part = 'injected' | 'enclosed' | 'end';

export function expected(type: number, gate?: Gate, staged?: StagedParse, part?: Part): Expected {
  return { type, gate, staged, closes: undefined, part };
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
  /** It cannot be known whether the server took the Parse, or ran the gate. */
  parseDoubtful(staged: StagedParse): void;
  doubtful(gate: Gate): void;
  /** ReadyForQuery of the segment or query; `status` is I, T or E. */
  ready(status: string): void;
  /** An answer came that the queue cannot explain. */
  lost(): void;
}

const extended = typeTable('PBDEC');
const { query, parse, bind, describe, execute, close, sync, copyDone, copyFail } = frontendType;

/** Frames a client may have unanswered; beyond it the session ends (54000). */
export const expectedFramesMax = 100_000;

export class Replies {
  #queue: Expected[] = [];
  /** Index of the head in #queue; the array is compacted now and then, so that a shift costs nothing. */
  #head = 0;
  /** The head is a Query, and part of its answer has come: ReadyForQuery may follow. */
  #answered = false;
  /**
   * The server discards until Sync, and no Sync is in the queue yet. `perhaps`: or it has found a Sync already, of those
   * that it would have swallowed while COPY IN ran.
   */
  #skipping: 'no' | 'yes' | 'perhaps' = 'no';
  /** The head runs COPY IN. */
  #copying = false;
  /** COPY IN is running and its CopyDone was not sent yet: the server ignores Sync and Flush. */
  #copyIn = false;
  /** Syncs taken for swallowed by COPY IN. A COPY that fails at once may leave them to be answered after all. */
  #swallowed = 0;
  #congested = false;
  /** Queries and Syncs in the queue. */
  #statuses = 0;
  /** Extended frames of the client's went to the server since its last Sync. */
  #unsynced = false;
  /** A Query came between such frames: servers differ in what then becomes of the transaction (wire.md §2.2). */
  #mingled = false;
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

  /** COPY IN is running: the server takes nothing but its data, so there is nothing to wait for. */
  get copying(): boolean {
    return this.#copying;
  }

  /** True if frames of the present segment went to the server and no Sync followed them. */
  get segmentOpen(): boolean {
    const last = this.#queue.at(-1);
    return this.length > 0 && last !== undefined && last.type !== sync && last.type !== query;
  }

  /** What the frame that is answered next is of an enclosure. */
  get part(): Part | undefined {
    return this.#peek()?.part;
  }

  /** True if frames wait for their Sync: an implicit transaction may be open. */
  get unsynced(): boolean {
    return this.#unsynced;
  }

  /** True if the transaction status cannot be told from the last ReadyForQuery. */
  get unclear(): boolean {
    return this.#mingled || this.#skipping === 'perhaps';
  }

  /** True while COPY IN waits for data of the client's: it is not the server that answers next. */
  get feeding(): boolean {
    return this.#copyIn;
  }

  /** True if a ReadyForQuery is still to come that will tell the transaction status. */
  get statusOutstanding(): boolean {
    return this.#statuses > 0;
  }

  /** True while the server is far behind; false again only when it has caught up by half. */
  get congested(): boolean {
    const framesMax = this.#congested ? expectedFramesMax / 4 : expectedFramesMax / 2;
    this.#congested = this.length > framesMax;
    return this.#congested;
  }

  /** True if the server discards whatever comes before the next Sync. */
  get discarding(): boolean {
    return this.#skipping === 'yes';
  }

  /** A frame goes to the server. */
  push(expected: Expected): void {
    const { type, part } = expected;
    if (part !== 'injected') {
      if (type === sync) this.#unsynced = false;
      else if (extended[type] === 1) this.#unsynced = true;
      else if (type === query && part === undefined) this.#mingled ||= this.#unsynced;
    }
    if (type === copyDone || type === copyFail) {
      // Kept only while it is not known whether a COPY IN will start; outside of one the server ignores it.
      if (this.#copyIn) this.#copyIn = false;
      else if (this.length > 0 && this.#skipping === 'no') this.#queue.push(expected);
      return;
    }
    if (this.#copyIn && type === sync) {
      this.#swallowed += 1;
      return;
    }
    if (this.#skipping !== 'no') {
      if (type !== sync) {
        this.#skip(expected, this.#skipping === 'perhaps');
        return;
      }
      this.#skipping = 'no';
    }
    this.#queue.push(expected);
    if (type === sync || type === query) this.#statuses += 1;
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
    if (head.type !== execute && head.type !== query) {
      this.#lose();
      return;
    }
    // A copy that succeeded has read everything in front of its end.
    if (this.#copying) this.#swallowed = 0;
    this.#endCopy();
    if (head.type === execute) this.#shift();
    else this.#answered = true;
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
    this.#copying = true;
    for (let at = this.#head + 1; at < this.#queue.length; ) {
      const type = this.#queue[at]?.type;
      if (type === copyDone || type === copyFail) {
        this.#queue.splice(at, 1);
        return;
      }
      if (type === sync) {
        this.#queue.splice(at, 1);
        this.#statuses -= 1;
        this.#swallowed += 1;
      } else at += 1;
    }
    this.#copyIn = true;
  }

  /** ErrorResponse of severity ERROR. Entries that the server now skips are told so. */
  failed(): void {
    const head = this.#peek();
    // A COPY can fail before it has read a byte (FREEZE on an old table, a statement trigger). Whether the Syncs that
    // were sent by then end the skipping depends on how far the server had read.
    const doubtful = this.#copying && this.#swallowed > 0;
    this.#endCopy();
    if (head === undefined) return;
    if (head.gate !== undefined) this.#events.failed(head.gate);
    if (head.type === query) this.#answered = true;
    if (head.type === query || head.type === sync) return;
    if (head.staged !== undefined) this.#events.parseRefused(head.staged);
    this.#shift();
    // An error in the extended protocol discards everything up to Sync, simple queries included, without an answer.
    for (let next = this.#peek(); ; next = this.#peek()) {
      if (next === undefined) {
        this.#skipping = doubtful ? 'perhaps' : 'yes';
        break;
      }
      if (next.type === sync) break;
      this.#shift();
      this.#skip(next, doubtful);
    }
    this.#compact();
  }

  /** ReadyForQuery: the answer to a Sync, or the last one to a Query. */
  ready(status: string): void {
    const head = this.#peek();
    this.#endCopy();
    if (head !== undefined && (head.type === sync || (head.type === query && this.#answered))) this.#shift();
    else if (this.#swallowed > 0) this.#swallowed -= 1;
    else this.#lose();
    this.#compact();
    if (status === 'I' && this.length === 0 && !this.#unsynced) this.#mingled = false;
    // Between the frames of an enclosure the server is ready for ours, not for the client's.
    if (head?.part !== 'injected' && head?.part !== 'enclosed') this.#events.ready(status);
  }

  #skip({ staged, gate }: Expected, doubtful: boolean): void {
    if (staged !== undefined) {
      if (doubtful) this.#events.parseDoubtful(staged);
      else this.#events.parseSkipped(staged);
    }
    if (gate !== undefined) {
      if (doubtful) this.#events.doubtful(gate);
      else this.#events.skipped(gate);
    }
  }

  #endCopy(): void {
    this.#copying = false;
    this.#copyIn = false;
  }

  #peek(): Expected | undefined {
    return this.#queue[this.#head];
  }

  /** Takes the head, and the ends of copies behind it: no COPY IN asked for them. */
  #shift(): void {
    const head = this.#peek();
    if (head?.gate !== undefined) head.gate.owed -= 1;
    if (head?.type === sync || head?.type === query) this.#statuses -= 1;
    this.#answered = false;
    do this.#head += 1;
    while (this.#peek()?.type === copyDone || this.#peek()?.type === copyFail);
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
