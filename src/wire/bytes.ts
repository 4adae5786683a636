// A cursor over the body of one frame and a builder for one frame: the field types of the manual's chapter
// "Message Data Types" (Int16, Int32, String, Byte[n]) and nothing of any message. The cursor reads as the server's
// pqformat.c does and fails with its sentences, so that a client sees the same words from us as from PostgreSQL.

import { isUtf8 } from 'node:buffer';
import { HoldpointError } from '../errors.ts';
import { type FrameView, headerBytes } from './framer.ts';

/** Reads the fields of one frame in order. Buffers it returns are views of the frame and live as long as it does. */
export class BodyCursor {
  readonly #buffer: Buffer;
  readonly #end: number;
  #position: number;

  constructor(frame: FrameView) {
    this.#buffer = frame.buffer;
    this.#end = frame.end;
    this.#position = frame.start + headerBytes;
  }

  get remainingBytes(): number {
    return this.#end - this.#position;
  }

  byte(): number {
    if (this.remainingBytes < 1) throw new HoldpointError('protocol-violation', 'no data left in message');
    return this.#buffer[this.#position++]!;
  }

  /** An Int16 of the protocol where it is a count or a format code: 0 to 65535, as the server reads it. */
  uint16(): number {
    const at = this.#take(2);
    return this.#buffer.readUInt16BE(at);
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#take(4));
  }

  /** An Int32 that is an OID. */
  uint32(): number {
    return this.#buffer.readUInt32BE(this.#take(4));
  }

  /** The next `count` bytes as a view. A negative count is refused like one that is too large. */
  bytes(count: number): Buffer {
    const at = this.#take(count);
    return this.#buffer.subarray(at, at + count);
  }

  rest(): Buffer {
    return this.bytes(this.remainingBytes);
  }

  /** A String without its terminating NUL, as a view; its encoding is not checked. */
  cstring(): Buffer {
    const nul = this.#buffer.indexOf(0, this.#position);
    if (nul < 0 || nul >= this.#end) {
      throw new HoldpointError('protocol-violation', 'invalid string in message');
    }
    const view = this.#buffer.subarray(this.#position, nul);
    this.#position = nul + 1;
    return view;
  }

  /** A String that is a name. Names compare by bytes, so one that is not valid UTF-8 is refused, never repaired. */
  name(): string {
    return this.#plain() ?? decodeUtf8(this.cstring());
  }

  /** A String that is ASCII, such as a command tag; anything else byte by byte (latin1). */
  ascii(): string {
    return this.#plain() ?? this.cstring().toString('latin1');
  }

  /** A short String of ASCII, which most are: to find its end here takes less than to ask for a view of it. */
  #plain(): string | undefined {
    const buffer = this.#buffer;
    const start = this.#position;
    const end = Math.min(this.#end, start + plainBytesMax);
    for (let at = start; at < end; at += 1) {
      const byte = buffer[at]!;
      if (byte >= 0x80) return undefined;
      if (byte > 0) continue;
      this.#position = at + 1;
      return at === start ? '' : buffer.toString('latin1', start, at);
    }
    return undefined;
  }

  /** Every field must be consumed exactly, or two readers of the same bytes could disagree about the last one. */
  finish(): void {
    if (this.remainingBytes !== 0) throw new HoldpointError('protocol-violation', 'invalid message format');
  }

  #take(count: number): number {
    if (count < 0 || count > this.remainingBytes) {
      throw new HoldpointError('protocol-violation', 'insufficient data left in message');
    }
    const at = this.#position;
    this.#position += count;
    return at;
  }
}

/** Longer Strings are looked through by native code. */
const plainBytesMax = 64;

/** Text of bytes that must be valid UTF-8; `bad-encoding` with the server's sentence otherwise. */
export function decodeUtf8(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  throw new HoldpointError(
    'bad-encoding',
    `invalid byte sequence for encoding "UTF8": ${invalidSequence(bytes)}`,
  );
}

/** The first bytes that are not UTF-8, in the server's notation: as many as the lead byte promises, at most what is left. */
function invalidSequence(bytes: Buffer): string {
  let at = 0;
  while (at < bytes.length) {
    const lead = bytes[at]!;
    const promised = sequenceBytes(lead);
    const sequence = bytes.subarray(at, at + promised);
    if (sequence.length < promised || !isUtf8(sequence)) {
      return Array.from(sequence, (byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(' ');
    }
    at += promised;
  }
  return '';
}

function sequenceBytes(lead: number): number {
  if ((lead & 0xe0) === 0xc0) return 2;
  if ((lead & 0xf0) === 0xe0) return 3;
  return (lead & 0xf8) === 0xf0 ? 4 : 1;
}

const builderFirstBytes = 64;

/** Builds one frame, or one untagged packet of the startup phase, in a buffer of its own. */
export class FrameBuilder {
  #buffer = Buffer.allocUnsafe(builderFirstBytes);
  #position: number;
  /** Where the length field stands: behind the type byte, or at 0 in an untagged packet. */
  readonly #lengthAt: number;

  /** `type` is the letter of the message; without one the packet begins with its length. */
  constructor(type?: string) {
    this.#lengthAt = type === undefined ? 0 : 1;
    if (type !== undefined) this.#buffer[0] = type.charCodeAt(0);
    this.#position = this.#lengthAt + 4;
  }

  byte(value: number): this {
    this.#reserve(1);
    this.#buffer[this.#position++] = value;
    return this;
  }

  uint16(value: number): this {
    this.#reserve(2);
    this.#position = this.#buffer.writeUInt16BE(value, this.#position);
    return this;
  }

  int32(value: number): this {
    this.#reserve(4);
    this.#position = this.#buffer.writeInt32BE(value, this.#position);
    return this;
  }

  uint32(value: number): this {
    this.#reserve(4);
    this.#position = this.#buffer.writeUInt32BE(value, this.#position);
    return this;
  }

  bytes(value: Buffer): this {
    this.#reserve(value.length);
    this.#position += value.copy(this.#buffer, this.#position);
    return this;
  }

  /** A String with its terminating NUL. One with a NUL inside would end early and turn its rest into fields. */
  string(value: string | Buffer): this {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
    if (bytes.includes(0)) {
      throw new HoldpointError('bad-parameter', 'a string in a protocol message holds a NUL byte; remove it');
    }
    return this.bytes(bytes).byte(0);
  }

  /** The frame with its length filled in; the builder must not be used again. */
  finish(): Buffer {
    this.#buffer.writeInt32BE(this.#position - this.#lengthAt, this.#lengthAt);
    return this.#buffer.subarray(0, this.#position);
  }

  #reserve(bytes: number): void {
    const neededBytes = this.#position + bytes;
    if (neededBytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(neededBytes, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#position);
    this.#buffer = grown;
  }
}
