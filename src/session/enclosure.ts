// Enclosure: one attempt to run a statement within a transaction or savepoint of ours, which the client does not see.
// Its frames are kept from the Bind to where the client asks for answers; then they are sent between commands of ours,
// and what the server says decides whether the attempt is kept or undone. It refuses to know rules, sockets and
// people: an undone attempt is offered again by the relay, and held by the session.
// Source: wire.md §3.6 "Use", §2.2; the manual, "Message Flow" (pipelining), SAVEPOINT, SET TRANSACTION.

import type { Enclosure as Kind, Verdict } from '../policy/verdict.ts';
import type { FrameView } from '../wire/framer.ts';
import { frontendType, readQuery } from '../wire/messages/frontend.ts';
import type { Gate } from './gate.ts';
import type { Packet } from './injected.ts';
import { expected } from './replies.ts';
import type { Position, Segment } from './segment.ts';

/** A frame of the client's, in memory of its own. */
export interface KeptFrame {
  readonly type: number;
  readonly bytes: Buffer;
}

/** Frames behind the first one that are kept; more make it run as a Flush would. */
const framesMax = 64;
const framesBytesMax = 64 << 10;

/**
 * What the relay does when the server has answered. `more`: `bytes` go to the server, and it is asked again. `kept`:
 * what was withheld is the client's. `undone`: nothing of it happened; `frames` are offered again, and held.
 */
export type EnclosureStep =
  | { readonly kind: 'more'; readonly bytes: Buffer }
  | { readonly kind: 'kept'; readonly bytes: Buffer | undefined }
  | { readonly kind: 'undone'; readonly frames: Buffer; readonly verdict: Verdict }
  /** Our own commands were not carried out as they must be: the session cannot go on. */
  | { readonly kind: 'broken' };

/** Where the frames of a text end: a Query by itself, others by what the client sent behind them. */
type Ending = 'query' | 'sync' | 'flush';

function viewOf({ type, bytes }: KeptFrame): FrameView {
  return { type, buffer: bytes, start: 0, end: bytes.length };
}

export class Enclosure {
  readonly gate: Gate;
  readonly kind: Kind;
  /** The mirror's key of the portal; undefined for a Query. */
  readonly portal: string | undefined;
  /** It begins with the Bind or the Query. Else with an Execute of a portal that was bound before. */
  readonly opens: boolean;
  /** Its SQL. */
  readonly text: Buffer;
  readonly #frames: KeptFrame[];
  #framesBytes = 0;
  #phase: 'collecting' | 'running' | 'ending' | 'undoing' = 'collecting';
  #ending: Ending = 'flush';
  #position: Position = 'idle';
  /** It is a transaction of its own; else a savepoint within another. */
  #whole = false;
  /** The end was sent with the beginning. */
  #blind = false;
  #savepoint = '';
  #undo: Verdict | undefined;
  /** An error is the client's answer. */
  #failed = false;
  /** Part of the output is the client's already. */
  #streamed = false;
  /** Transaction status of the last ReadyForQuery that was ours. */
  #status = '';

  constructor(gate: Gate, portal: string | undefined, first: KeptFrame) {
    this.gate = gate;
    this.kind = gate.verdict.enclosure!;
    this.portal = portal;
    this.opens = first.type !== frontendType.execute;
    this.text = gate.proto === 'simple' ? readQuery(viewOf(first)).sql : gate.sql;
    this.#frames = [first];
  }

  /** Frames are still being kept; nothing is sent yet. */
  get collecting(): boolean {
    return this.#phase === 'collecting';
  }

  get undoing(): boolean {
    return this.#undo !== undefined;
  }

  /** The text is one Query, whose last CommandComplete comes only when its transaction has ended. */
  get simple(): boolean {
    return this.#ending === 'query';
  }

  /** Nothing of it could outlive the connection as yet. */
  get revocable(): boolean {
    return this.#phase !== 'ending' && !(this.#blind && this.#phase === 'running');
  }

  /** Nothing is undone yet, and our COMMIT, which came with the beginning, ends a READ ONLY transaction of its own. */
  get confinesAtEnd(): boolean {
    return this.#blind && this.#whole && this.#undo === undefined && !this.#failed;
  }

  /** Keeps a frame. False where there is no room for another. */
  keep(frame: KeptFrame): boolean {
    this.#frames.push(frame);
    this.#framesBytes += frame.bytes.length;
    return this.#frames.length < framesMax && this.#framesBytes < framesBytesMax;
  }

  /** Sends it all. `savepoint`: a name that was never used before. */
  run(packet: Packet, position: Position, segment: Segment, savepoint: string): void {
    const last = this.#frames.at(-1)!.type;
    this.#phase = 'running';
    this.#position = position;
    this.#ending = last === frontendType.query ? 'query' : last === frontendType.sync ? 'sync' : 'flush';
    this.#whole = position === 'idle' && this.#ending !== 'flush';
    this.#savepoint = savepoint;
    const readOnly = this.kind.kind === 'read-only';
    // Where more statements may depend on it, or its count must be judged, the end waits for the answer.
    const alone = this.#whole || (position === 'block' && !segment.begun);
    this.#blind = readOnly && this.#ending !== 'flush' && alone;
    if (this.#whole) packet.command(readOnly ? 'BEGIN READ ONLY' : 'BEGIN');
    else {
      if (position !== 'block' && !segment.ours) {
        packet.command('BEGIN');
        segment.ours = true;
      }
      packet.command(`SAVEPOINT ${savepoint}`);
      if (readOnly) packet.command('SET LOCAL transaction_read_only = on');
    }
    for (const { type, bytes } of this.#frames) {
      if (type === frontendType.sync || type === frontendType.flush) continue;
      const attributed = type !== frontendType.describe && type !== frontendType.close;
      packet.enclosed(bytes, expected(type, attributed ? this.gate : undefined, undefined, 'enclosed'));
    }
    if (this.#blind) this.#close(packet, segment);
    else if (this.#ending !== 'query') packet.flush();
  }

  /** The rest of the transaction: at the client's Sync or the end of its Query, and in our block at once. */
  #close(packet: Packet, segment: Segment): void {
    if (this.#whole) {
      // A COMMIT in a failed block is a ROLLBACK, so it need not be known which it is. An error in the extended
      // protocol discards all up to a Sync.
      if (this.#ending === 'sync') packet.sync('injected');
      packet.command('COMMIT').sync('end');
    } else {
      packet.command(`RELEASE ${this.#savepoint}`);
      if (this.#ending === 'sync' && segment.ours) packet.sync('injected').command('COMMIT');
      if (this.#ending !== 'flush') packet.sync('end');
    }
    if (this.#ending === 'sync') segment.ends();
  }

  /** The attempt must not stand. `verdict`: what holds it. */
  undo(verdict: Verdict): void {
    this.#undo ??= verdict;
  }

  /** The client is told of an error. */
  fails(): void {
    this.#failed = true;
  }

  /** A command of ours failed. True if that is the client's answer, and does not just follow from another error. */
  commandFails(): boolean {
    const shown = this.#undo === undefined && !this.#failed;
    if (this.#undo === undefined || this.#phase === 'undoing') this.#failed = true;
    return shown;
  }

  /** A ReadyForQuery between the frames. */
  ready(status: string): void {
    this.#status = status;
  }

  /** Part of the output goes to the client before it is certain that it stands. */
  streams(): void {
    this.#streamed = true;
  }

  get streamed(): boolean {
    return this.#streamed;
  }

  /** True if the server refuses something here that it would not refuse outside: by its SQLSTATE. */
  refusedFor(sqlstate: string): boolean {
    const own = this.#position !== 'block';
    if (
      this.kind.kind === 'read-only' &&
      (sqlstate === readOnlyTransaction || sqlstate === activeTransaction)
    )
      return true;
    return own && (sqlstate === activeTransaction || sqlstate === invalidTermination);
  }

  /** The server owes nothing any more. */
  next(packet: () => Packet, segment: Segment): EnclosureStep {
    if (this.#phase === 'undoing') return this.#undone();
    if (this.#undo !== undefined) {
      if (this.#whole && this.#blind) return this.#undone();
      this.#phase = 'undoing';
      const undo = packet().sync('injected');
      if (this.#whole) undo.command('ROLLBACK');
      else undo.command(`ROLLBACK TO ${this.#savepoint}`).command(`RELEASE ${this.#savepoint}`);
      return { kind: 'more', bytes: undo.sync('injected').bytes };
    }
    if (this.#blind || this.#phase === 'ending') return { kind: 'kept', bytes: undefined };
    const closing = packet();
    if (this.#ending === 'flush') {
      if (this.#failed) return { kind: 'kept', bytes: undefined };
      // It cannot fail but by a cancel request, which then ends the segment in its place: nobody waits for it.
      return { kind: 'kept', bytes: closing.command(`RELEASE ${this.#savepoint}`).flush().bytes };
    }
    this.#phase = 'ending';
    this.#close(closing, segment);
    return { kind: 'more', bytes: closing.bytes };
  }

  #undone(): EnclosureStep {
    if (this.#failed || this.#status !== (this.#whole ? 'I' : 'T')) return { kind: 'broken' };
    return {
      kind: 'undone',
      frames: Buffer.concat(this.#frames.map(({ bytes }) => bytes)),
      verdict: this.#undo!,
    };
  }
}

const readOnlyTransaction = '25006';
const activeTransaction = '25001';
const invalidTermination = '2D000';
