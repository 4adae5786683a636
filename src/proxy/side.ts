// Side: a connection of ours to the target beside those of the sessions, for questions whose answers are many rows. It is
// made as a session's is (upstream.ts: credentials, TLS, the server that is meant), asks one simple query at a time, and
// gives out rows as they arrive, never holding the event loop for long. Refuses to know what is asked.
// Source: PostgreSQL manual, "Simple Query".

import { HoldpointError } from '../errors.ts';
import type { ServerIdentity } from '../server-pins.ts';
import type { Parameter } from '../session/gate.ts';
import { FRAME, Framer, type FrameView, headerBytes } from '../wire/framer.ts';
import { backendKnown, backendType, readErrorFields } from '../wire/messages/backend.ts';
import { bind, execute, parse, query, sync } from '../wire/messages/frontend.ts';
import type { Upstream } from './upstream.ts';

/** The server's answer was an error. `sqlstate` is its own; its message may name objects and is for the operator only. */
export class SideError extends Error {
  readonly sqlstate: string;

  constructor(sqlstate: string, message: string) {
    super(message);
    this.name = 'SideError';
    this.sqlstate = sqlstate;
  }
}

type SideRow = (string | null)[];

interface Question {
  readonly row: (row: SideRow, result: number) => void;
  readonly done: (error?: Error) => void;
}

/** A row may hold the tree of a view or the text of a function. */
const rowBytesMax = 64 << 20;
/** How long rows are taken in before others get their turn. */
const turnMs = 8;

export class Side {
  readonly #upstream: Upstream;
  readonly #answerMs: number;
  readonly #framer = new Framer({
    wanted: backendKnown,
    known: backendKnown,
    frameBytesMax: () => rowBytesMax,
  });
  #question: Question | undefined;
  #result = 0;
  #error: SideError | undefined;
  #failure: Error | undefined;
  #lost = false;
  #paused = false;

  /** Takes the connection over. An answer that takes longer than `answerMs` ends it. */
  constructor(upstream: Upstream, answerMs: number) {
    this.#upstream = upstream;
    this.#answerMs = answerMs;
    const { socket, head } = upstream;
    this.#framer.push(head);
    socket.on('data', (chunk: Buffer) => {
      this.#framer.push(chunk);
      if (!this.#paused) this.#take();
    });
    const lost = (error: Error): void => {
      this.#lost ||= this.open;
      this.#fail(error);
    };
    socket.on('error', lost);
    socket.on('close', () =>
      lost(new HoldpointError('upstream-unreachable', 'the database closed the connection')),
    );
    socket.resume();
  }

  /** False once the connection has ended. */
  get open(): boolean {
    return this.#failure === undefined;
  }

  /** True once the server, or the way to it, has ended the connection: not we, and not because it did not answer. */
  get lost(): boolean {
    return this.#lost;
  }

  get identity(): ServerIdentity {
    return this.#upstream.identity;
  }

  /**
   * Sends `text`, one or several statements, and gives each row with the number of its result, from 0, counting only
   * results with rows. Rejects with SideError after an error of the server, and with what broke the connection. One at
   * a time.
   */
  ask(text: string, row: (row: SideRow, result: number) => void): Promise<void> {
    return this.#send(query(text), row);
  }

  /**
   * As `ask`, for one statement with parameters, of which nobody can make two; cells of the rows as texts. The number of
   * the result is always -1.
   */
  bind(text: string, parameters: readonly Parameter[], row: (row: SideRow) => void): Promise<void> {
    const types = parameters.map(({ oid }) => oid);
    const formats = parameters.map(({ format }) => format);
    const values = parameters.map(({ value }) => value);
    const frames = [parse('', text, types), bind('', '', values, formats), execute(''), sync()];
    return this.#send(Buffer.concat(frames), row);
  }

  async #send(frames: Buffer, row: (row: SideRow, result: number) => void): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#question !== undefined) throw new Error('a question is asked before the last is answered');
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#result = -1;
        this.#error = undefined;
        this.#question = { row, done: (error) => (error === undefined ? resolve() : reject(error)) };
        timer = setTimeout(
          () => this.#fail(new HoldpointError('upstream-unreachable', 'the database did not answer in time')),
          this.#answerMs,
        );
        this.#upstream.socket.write(frames);
      });
    } finally {
      clearTimeout(timer);
      this.#question = undefined;
    }
  }

  close(): void {
    this.#fail(new HoldpointError('upstream-unreachable', 'the connection was closed'));
  }

  /** Frames until there are none, or until the turn is over. */
  #take(): void {
    const end = performance.now() + turnMs;
    try {
      while (this.#framer.next() === FRAME) {
        this.#frame(this.#framer);
        if (performance.now() > end) {
          this.#pause();
          return;
        }
      }
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #pause(): void {
    this.#paused = true;
    this.#upstream.socket.pause();
    setImmediate(() => {
      this.#paused = false;
      if (!this.open) return;
      this.#upstream.socket.resume();
      this.#take();
    });
  }

  #frame(frame: FrameView): void {
    switch (frame.type) {
      case backendType.rowDescription:
        this.#result += 1;
        break;
      case backendType.dataRow:
        this.#question?.row(rowOf(frame), this.#result);
        break;
      case backendType.errorResponse: {
        const fields = readErrorFields(frame);
        this.#error ??= new SideError(fields.get('C') ?? '', fields.get('M') ?? '');
        break;
      }
      case backendType.readyForQuery:
        this.#question?.done(this.#error);
        break;
    }
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#upstream.socket.destroy();
    this.#question?.done(error);
  }
}

/** Every field but its length prefix is text; views of the frame would cost more than the texts themselves. */
function rowOf({ buffer, start, end }: FrameView): SideRow {
  let at = start + headerBytes + 2;
  const row: SideRow = new Array(buffer.readUInt16BE(at - 2));
  for (let field = 0; field < row.length; field += 1) {
    const bytes = buffer.readInt32BE(at);
    at += 4;
    row[field] = bytes < 0 ? null : buffer.toString('utf8', at, at + bytes);
    if (bytes > 0) at += bytes;
  }
  if (at !== end)
    throw new HoldpointError('protocol-violation', 'the database sent a row that cannot be read');
  return row;
}
