// The untagged packets that open a connection: StartupMessage, SSLRequest, GSSENCRequest and CancelRequest, and the
// first byte of a direct TLS handshake. Nothing a stranger sends is believed: the length is capped before more of the
// packet is kept. Knows the packets and the order they may come in; refuses to know sockets, TLS and what the
// parameters mean (startup-settings.ts).
// Source: PostgreSQL manual, "Message Formats"; ProcessStartupPacket in the server's tcop/backend_startup.c.

import { HoldpointError } from '../errors.ts';
import { decodeUtf8, FrameBuilder } from './bytes.ts';

const cancelRequestCode = 80877102;
const sslRequestCode = 80877103;
const gssencRequestCode = 80877104;

/** Largest first packet in bytes, its length field included (the server's MAX_STARTUP_PACKET_LENGTH). */
export const startupBytesMax = 10_000;
const startupBytesMin = 8;
/** First byte of a TLS record of type handshake. */
const tlsHandshakeByte = 0x16;
/** A CancelRequest is its header, the pid, and a key of 4 bytes (3.0) to 256 (3.2). */
const cancelBytesMin = 16;
const cancelBytesMax = 268;

/** What a client asks for. Nothing in it is verified; Buffers and strings are its own. */
export interface StartupMessage {
  kind: 'startup';
  /** Minor version of protocol 3 as the client wrote it. */
  minor: number;
  /** In the order sent, repetitions included; the last of a name wins. */
  parameters: (readonly [name: string, value: string])[];
}

export type FirstPacket =
  | StartupMessage
  | { kind: 'ssl' }
  | { kind: 'gssenc' }
  | { kind: 'direct-tls' }
  | { kind: 'cancel'; pid: number; key: Buffer }
  /** To be closed without a word, as the server does: what speaks here is not PostgreSQL's protocol. */
  | { kind: 'close'; reason: string };

export interface PacketReaderOptions {
  /** The stream is inside TLS: there is no direct TLS within TLS. */
  encrypted?: boolean;
  /** An SSLRequest was answered already; another one is an unknown protocol version to the server. */
  sslDone?: boolean;
  /** The same for a GSSENCRequest. */
  gssDone?: boolean;
}

/** Reads the packets before authentication from one stream; a new one is made for the stream inside TLS. */
export class PacketReader {
  #bytes: Buffer = Buffer.alloc(0);
  readonly #encrypted: boolean;
  #sslDone: boolean;
  #gssDone: boolean;
  #packets = 0;

  constructor(options: PacketReaderOptions = {}) {
    this.#encrypted = options.encrypted ?? false;
    this.#sslDone = options.sslDone ?? false;
    this.#gssDone = options.gssDone ?? false;
  }

  /** Adds what arrived. The caller stops reading once `next` gave a packet that ends this phase. */
  push(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
  }

  /**
   * The next packet, or undefined if more bytes are needed. Throws what the client is owed as a FATAL error:
   * `not-supported` for another protocol, `protocol-violation` for a broken packet or for plaintext behind a request
   * for encryption (CVE-2021-23214: whoever injects it would speak inside the client's TLS session).
   */
  next(): FirstPacket | undefined {
    const bytes = this.#bytes;
    if (bytes.length > 0 && bytes[0] === tlsHandshakeByte && this.#packets === 0 && !this.#encrypted) {
      return { kind: 'direct-tls' };
    }
    if (bytes.length < 4) return undefined;
    const packetBytes = bytes.readInt32BE(0);
    if (packetBytes < startupBytesMin || packetBytes > startupBytesMax) {
      return { kind: 'close', reason: `invalid length ${packetBytes} of startup packet` };
    }
    if (bytes.length < packetBytes) return undefined;
    this.#packets += 1;
    this.#bytes = bytes.subarray(packetBytes);
    return this.#read(bytes.subarray(0, packetBytes));
  }

  /**
   * Takes the bytes behind the last packet: the client's first messages, or the whole TLS handshake after
   * `direct-tls`, to be put back before TLS begins.
   */
  rest(): Buffer {
    const rest = this.#bytes;
    this.#bytes = Buffer.alloc(0);
    return rest;
  }

  #read(packet: Buffer): FirstPacket {
    const code = packet.readUInt32BE(4);
    if (code === cancelRequestCode) return readCancel(packet);
    if (code === sslRequestCode && !this.#sslDone) {
      this.#sslDone = true;
      return this.#alone(packet, 'ssl');
    }
    if (code === gssencRequestCode && !this.#gssDone) {
      this.#gssDone = true;
      return this.#alone(packet, 'gssenc');
    }
    return readStartup(packet, code);
  }

  #alone(packet: Buffer, kind: 'ssl' | 'gssenc'): FirstPacket {
    if (packet.length !== startupBytesMin) {
      return { kind: 'close', reason: `invalid length ${packet.length} of an encryption request` };
    }
    if (this.#bytes.length > 0) {
      const request = kind === 'ssl' ? 'SSL' : 'GSSAPI encryption';
      throw new HoldpointError('protocol-violation', `received unencrypted data after ${request} request`);
    }
    return { kind };
  }
}

function readCancel(packet: Buffer): FirstPacket {
  if (packet.length < cancelBytesMin || packet.length > cancelBytesMax) {
    return { kind: 'close', reason: `invalid length ${packet.length} of cancel request` };
  }
  return { kind: 'cancel', pid: packet.readInt32BE(8), key: Buffer.from(packet.subarray(12)) };
}

function readStartup(packet: Buffer, code: number): StartupMessage {
  const major = code >>> 16;
  const minor = code & 0xffff;
  if (major !== 3) {
    throw new HoldpointError(
      'not-supported',
      `unsupported frontend protocol ${major}.${minor}: server supports 3.0 to 3.2`,
    );
  }
  return { kind: 'startup', minor, parameters: readParameters(packet) };
}

/** Pairs of C strings up to an empty name, which must be the last byte of the packet. */
function readParameters(packet: Buffer): (readonly [string, string])[] {
  const parameters: (readonly [string, string])[] = [];
  let at = 8;
  while (at < packet.length && packet[at] !== 0) {
    const nameEnd = packet.indexOf(0, at);
    const valueEnd = nameEnd < 0 ? -1 : packet.indexOf(0, nameEnd + 1);
    if (valueEnd < 0) break;
    parameters.push([
      decodeUtf8(packet.subarray(at, nameEnd)),
      decodeUtf8(packet.subarray(nameEnd + 1, valueEnd)),
    ]);
    at = valueEnd + 1;
  }
  if (at !== packet.length - 1) {
    throw new HoldpointError(
      'protocol-violation',
      'invalid startup packet layout: expected terminator as last byte',
    );
  }
  return parameters;
}

/** A StartupMessage of protocol 3.`minor` with the parameters in the order given. */
export function startupMessage(minor: number, parameters: Iterable<readonly [string, string]>): Buffer {
  const packet = new FrameBuilder().int32(0x30000 | minor);
  for (const [name, value] of parameters) packet.string(name).string(value);
  return packet.byte(0).finish();
}

export function sslRequest(): Buffer {
  return new FrameBuilder().int32(sslRequestCode).finish();
}

export function gssencRequest(): Buffer {
  return new FrameBuilder().int32(gssencRequestCode).finish();
}

/** `pid` and `key` as the server's BackendKeyData gave them. */
export function cancelRequest(pid: number, key: Buffer): Buffer {
  return new FrameBuilder().int32(cancelRequestCode).int32(pid).bytes(key).finish();
}
