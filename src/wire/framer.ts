// The framer of one direction of one connection: a stream of chunks in, PostgreSQL frames out, on demand.
// A frame is one type byte, an Int32 length that counts itself, and a body (manual, "Message Formats").
// Wanted frames come out whole; all others are streamed on in the pieces they arrive in, whatever their size.
// It refuses to know what any message means: which types exist, which are wanted and how long they may be are
// arguments. It does no I/O, and nobody pulling `next()` is exactly what holds a session.

import { HoldpointError } from '../errors.ts';

/** One whole frame or a piece of one: bytes `start` to `end` (exclusive) of `buffer`. `start` is at the type byte. */
export interface FrameView {
  readonly type: number;
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/** 256 entries indexed by the type byte; non-zero means yes. */
export type TypeTable = Uint8Array;

/** Nothing can be given before the next `push`. */
export const NONE = 0;
/** The framer's view is one whole wanted frame, header included. */
export const FRAME = 1;
/** The framer's view is a piece of the stream that belongs to unwanted frames, all of one type. */
export const PASSAGE = 2;

/** Bytes of the type and the length. */
export const headerBytes = 5;

/** What `next` gave. */
export type Step = typeof NONE | typeof FRAME | typeof PASSAGE;

export interface FramerOptions {
  /** Types that are assembled and given whole. */
  wanted: TypeTable;
  /** Types that exist in this direction; any other ends the connection before its length is looked at. */
  known: TypeTable;
  /** The largest frame of a type in bytes, type byte and length included. */
  frameBytesMax: (type: number) => number;
}

/** Bytes of an assembly buffer that are worth keeping for the next split frame. */
const assemblyKeptBytesMax = 16_384;
const assemblyFirstBytes = 512;
/** Waiting chunks that are together no longer than this are joined. */
const joinedBytesMax = 4096;
const nothing = Buffer.alloc(0);

/** The table of the types whose letters are given: `typeTable('QPB')`. */
export function typeTable(letters: string): TypeTable {
  const table = new Uint8Array(256);
  for (const letter of letters) table[letter.charCodeAt(0)] = 1;
  return table;
}

/**
 * Splits one direction of a stream. The framer itself is the view of what `next` gave last, valid until the
 * following `next`; a frame that lies in one chunk is a view of that chunk, others lie in the framer's own buffer,
 * which is written over: copy what must be kept. A pushed chunk must not be changed until it has been given out.
 */
export class Framer implements FrameView {
  type = 0;
  buffer: Buffer = nothing;
  start = 0;
  end = 0;

  readonly #wanted: TypeTable;
  readonly #known: TypeTable;
  readonly #frameBytesMax: (type: number) => number;
  /** Chunks not yet consumed; `#position` is in the first. */
  readonly #chunks: Buffer[] = [];
  #position = 0;
  #queuedBytes = 0;
  /** A header, or a wanted frame, of which the chunks so far held only a part. */
  #assembly: Buffer = nothing;
  #assembledBytes = 0;
  /** Length of the frame in assembly, header included; 0 until its header is whole. */
  #assemblyBytes = 0;
  /** Bytes of an unwanted frame that are still to be streamed on. */
  #passingBytes = 0;
  #failure: HoldpointError | undefined;

  constructor(options: FramerOptions) {
    this.#wanted = options.wanted;
    this.#known = options.known;
    this.#frameBytesMax = options.frameBytesMax;
  }

  /** Bytes pushed and not yet given out. The caller bounds them: the framer queues whatever it is handed. */
  get pendingBytes(): number {
    return this.#queuedBytes + this.#assembledBytes;
  }

  /** Whether the bytes given out so far end where a frame ends, so that other frames may be put in between. */
  get atBoundary(): boolean {
    return this.#passingBytes === 0;
  }

  /** The type of the unwanted frames that the stream is within, or just behind; 0 if it is not, or something waits here. */
  get passing(): number {
    return this.pendingBytes > 0 || this.#wanted[this.type] !== 0 ? 0 : this.type;
  }

  /** Bytes of the unwanted frame begun that are still to come. */
  get passingBytes(): number {
    return this.#passingBytes;
  }

  /** Such frames went by elsewhere: so many bytes of the last that was begun are still to come. */
  passedBy(bytes: number): void {
    this.#passingBytes = bytes;
  }

  /** Whether the present view lies in the framer's own buffer, which the next frame may be written over. */
  get assembled(): boolean {
    return this.buffer === this.#assembly;
  }

  /** The present view in memory of its own, for the caller to keep. */
  copy(): Buffer {
    return Buffer.from(this.buffer.subarray(this.start, this.end));
  }

  /** Takes the bytes that were not given out, for another reader of the same stream. Only at a boundary. */
  rest(): Buffer {
    const waiting = this.#chunks.map((chunk, at) => (at === 0 ? chunk.subarray(this.#position) : chunk));
    const rest = Buffer.concat([this.#assembly.subarray(0, this.#assembledBytes), ...waiting]);
    this.#chunks.length = 0;
    this.#position = 0;
    this.#queuedBytes = 0;
    this.#assembledBytes = 0;
    this.#assemblyBytes = 0;
    return rest;
  }

  /** Takes the next bytes of the stream; nothing is copied unless many small chunks wait. */
  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#queuedBytes += chunk.length;
    const last = this.#chunks.at(-1);
    // A client that sends single bytes while it is held would otherwise cost a Buffer object a byte.
    if (last !== undefined && last.length + chunk.length <= joinedBytesMax) {
      this.#chunks[this.#chunks.length - 1] = Buffer.concat([last, chunk]);
    } else {
      this.#chunks.push(chunk);
    }
  }

  /**
   * Moves the view to the next wanted frame or passage.
   * Throws `protocol-violation` for an unknown type or an impossible length and `too-large` for a wanted frame over
   * its limit, and the same error ever after: a stream that cannot be framed cannot be continued.
   */
  next(): Step {
    if (this.#failure !== undefined) throw this.#failure;
    for (;;) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) return this.#give(NONE, nothing, 0, 0);
      const step =
        this.#passingBytes > 0
          ? this.#pass(chunk, this.#position)
          : this.#assembledBytes > 0
            ? this.#assemble(chunk)
            : this.#scan(chunk);
      if (step !== NONE) return step;
    }
  }

  /** At a boundary inside a chunk: the common case, in which nothing is copied. */
  #scan(chunk: Buffer): Step {
    const start = this.#position;
    const availableBytes = chunk.length - start;
    const type = chunk[start]!;
    this.#checkType(type);
    if (availableBytes < headerBytes) return this.#stash(chunk, availableBytes);
    const frameBytes = this.#checkLength(type, chunk.readInt32BE(start + 1));
    this.type = type;
    if (this.#wanted[type] === 0) {
      this.#passingBytes = frameBytes;
      return this.#pass(chunk, start);
    }
    if (availableBytes < frameBytes) {
      this.#assemblyBytes = frameBytes;
      return this.#stash(chunk, availableBytes);
    }
    this.#consume(chunk, frameBytes);
    return this.#give(FRAME, chunk, start, start + frameBytes);
  }

  /**
   * Streams on the unwanted frame begun, and with it the frames of the same type behind it in the chunk, so that a
   * chunk full of DataRows is one passage and not hundreds.
   */
  #pass(chunk: Buffer, start: number): Step {
    let end = start + this.#passingBytes;
    while (end + headerBytes <= chunk.length && chunk[end] === this.type) {
      const lengthField = chunk.readInt32BE(end + 1);
      // A bad length is left for `#scan`, so that the whole frames before it are still given out.
      if (lengthField < 4 || lengthField + 1 > this.#frameBytesMax(this.type)) break;
      end += lengthField + 1;
    }
    const givenEnd = Math.min(end, chunk.length);
    this.#passingBytes = end - givenEnd;
    this.#consume(chunk, givenEnd - start);
    return this.#give(PASSAGE, chunk, start, givenEnd);
  }

  /** Goes on with a header or a wanted frame that began in an earlier chunk. */
  #assemble(chunk: Buffer): Step {
    const availableBytes = chunk.length - this.#position;
    if (this.#assemblyBytes === 0) {
      this.#stash(chunk, Math.min(availableBytes, headerBytes - this.#assembledBytes));
      if (this.#assembledBytes < headerBytes) return NONE;
      return this.#headerAssembled();
    }
    this.#stash(chunk, Math.min(availableBytes, this.#assemblyBytes - this.#assembledBytes));
    return this.#assembledBytes === this.#assemblyBytes ? this.#giveAssembled(FRAME) : NONE;
  }

  #headerAssembled(): Step {
    this.type = this.#assembly[0]!;
    const frameBytes = this.#checkLength(this.type, this.#assembly.readInt32BE(1));
    if (this.#wanted[this.type] === 0) {
      this.#passingBytes = frameBytes - headerBytes;
      return this.#giveAssembled(PASSAGE);
    }
    if (frameBytes === headerBytes) return this.#giveAssembled(FRAME);
    this.#assemblyBytes = frameBytes;
    return NONE;
  }

  #giveAssembled(step: Step): Step {
    const assembly = this.#assembly;
    const assembledBytes = this.#assembledBytes;
    this.#assembledBytes = 0;
    this.#assemblyBytes = 0;
    if (assembly.length > assemblyKeptBytesMax) this.#assembly = nothing;
    return this.#give(step, assembly, 0, assembledBytes);
  }

  /** Copies `bytes` of the chunk behind what is assembled, so that the chunk itself can be let go. */
  #stash(chunk: Buffer, bytes: number): Step {
    const neededBytes = this.#assembledBytes + bytes;
    if (neededBytes > this.#assembly.length) this.#growAssembly(neededBytes);
    chunk.copy(this.#assembly, this.#assembledBytes, this.#position, this.#position + bytes);
    this.#assembledBytes = neededBytes;
    this.#consume(chunk, bytes);
    return NONE;
  }

  /** Doubles towards what has arrived, never towards what a length field claims will arrive. */
  #growAssembly(neededBytes: number): void {
    const doubledBytes = Math.max(neededBytes, this.#assembly.length * 2, assemblyFirstBytes);
    const cappedBytes = this.#assemblyBytes > 0 ? Math.min(doubledBytes, this.#assemblyBytes) : doubledBytes;
    const grown = Buffer.allocUnsafeSlow(Math.max(cappedBytes, neededBytes));
    this.#assembly.copy(grown, 0, 0, this.#assembledBytes);
    this.#assembly = grown;
  }

  #consume(chunk: Buffer, bytes: number): void {
    this.#position += bytes;
    this.#queuedBytes -= bytes;
    if (this.#position === chunk.length) {
      // As a rule there is one, and the last goes faster than the first.
      if (this.#chunks.length === 1) this.#chunks.pop();
      else this.#chunks.shift();
      this.#position = 0;
    }
  }

  #give(step: Step, buffer: Buffer, start: number, end: number): Step {
    this.buffer = buffer;
    this.start = start;
    this.end = end;
    return step;
  }

  #checkType(type: number): void {
    if (this.#known[type] === 0) {
      throw this.#fail(new HoldpointError('protocol-violation', `invalid message type ${type}`));
    }
  }

  /** Frame length in bytes for a length field, which counts itself but not the type. */
  #checkLength(type: number, lengthField: number): number {
    const frameBytes = lengthField + 1;
    const letter = String.fromCharCode(type);
    if (lengthField < 4) {
      throw this.#fail(
        new HoldpointError(
          'protocol-violation',
          `invalid message length ${lengthField} in message "${letter}"`,
        ),
      );
    }
    const frameBytesMax = this.#frameBytesMax(type);
    if (frameBytes <= frameBytesMax) return frameBytes;
    const sentence = `message "${letter}" of ${frameBytes} bytes is larger than the ${frameBytesMax} bytes allowed`;
    throw this.#fail(
      new HoldpointError(this.#wanted[type] === 0 ? 'protocol-violation' : 'too-large', sentence),
    );
  }

  #fail(error: HoldpointError): HoldpointError {
    this.#failure = error;
    this.#give(NONE, nothing, 0, 0);
    return error;
  }
}
