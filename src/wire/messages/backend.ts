// The messages a server sends once it has begun to answer, in the manual's order: readers over a frame for what we
// attend to, and writers for what we may say in a server's place: errors, notices and the greeting.
// Knows the bytes of each message; refuses to know what state a session is in.
// Source: PostgreSQL manual, "Message Formats" and "Error and Notice Message Fields".
// What the readers return is the server's word, not verified; Buffers are views of the frame and live as long.

import { HoldpointError } from '../../errors.ts';
import { BodyCursor, FrameBuilder } from '../bytes.ts';
import { type FrameView, typeTable } from '../framer.ts';

/** Type bytes of the backend messages. */
export const backendType = {
  authentication: 0x52,
  backendKeyData: 0x4b,
  bindComplete: 0x32,
  closeComplete: 0x33,
  commandComplete: 0x43,
  copyBothResponse: 0x57,
  copyData: 0x64,
  copyDone: 0x63,
  copyInResponse: 0x47,
  copyOutResponse: 0x48,
  dataRow: 0x44,
  emptyQueryResponse: 0x49,
  errorResponse: 0x45,
  functionCallResponse: 0x56,
  negotiateProtocolVersion: 0x76,
  noData: 0x6e,
  noticeResponse: 0x4e,
  notificationResponse: 0x41,
  parameterDescription: 0x74,
  parameterStatus: 0x53,
  parseComplete: 0x31,
  portalSuspended: 0x73,
  readyForQuery: 0x5a,
  rowDescription: 0x54,
} as const;

/** Types a server may send; every other type byte ends the connection. */
export const backendKnown = typeTable('RK23CWdcGHDIEVvnNAtS1sZT');

/** Largest length field a server can produce: Int32 is signed. */
const lengthMax = 0x7fffffff;

/**
 * `frameBytesMax` of the server's direction: rows and COPY data pass in pieces and have no limit but the protocol's;
 * what is assembled has `assembledBytesMax`. Whole frames in bytes.
 */
export function backendFrameBytesMax(assembledBytesMax: number): (type: number) => number {
  const limits = new Float64Array(256).fill(assembledBytesMax);
  for (const letter of 'DdV') limits[letter.charCodeAt(0)] = lengthMax + 1;
  return (type) => limits[type]!;
}

// BackendKeyData (K)

/** Process and secret key to cancel with. The key has 4 bytes in protocol 3.0 and 4 to 256 in 3.2; a view. */
export interface BackendKeyData {
  pid: number;
  key: Buffer;
}

export function readBackendKeyData(frame: FrameView): BackendKeyData {
  const body = new BodyCursor(frame);
  return { pid: body.int32(), key: body.rest() };
}

export function backendKeyData(pid: number, key: Buffer): Buffer {
  return new FrameBuilder('K').int32(pid).bytes(key).finish();
}

// CommandComplete (C)

/** The command tag, such as `DELETE 5`. */
export function readCommandComplete(frame: FrameView): string {
  const body = new BodyCursor(frame);
  const tag = body.ascii();
  body.finish();
  return tag;
}

// ErrorResponse (E) and NoticeResponse (N)

/** Letters of the fields, as in the manual: S severity, V severity untranslated, C SQLSTATE, M message, … */
export type ErrorFieldLetter =
  | 'S'
  | 'V'
  | 'C'
  | 'M'
  | 'D'
  | 'H'
  | 'P'
  | 'p'
  | 'q'
  | 'W'
  | 's'
  | 't'
  | 'c'
  | 'd'
  | 'n'
  | 'F'
  | 'L'
  | 'R';

export type ErrorFieldTexts = Partial<Record<ErrorFieldLetter, string>>;

/** Fields by letter, unknown letters included. Bytes that are not UTF-8 become U+FFFD: before login the server may speak another encoding. */
export function readErrorFields(frame: FrameView): Map<string, string> {
  const fields = new Map<string, string>();
  for (const [letter, value] of rawErrorFields(frame)) fields.set(letter, value.toString('utf8'));
  return fields;
}

function rawErrorFields(frame: FrameView): [letter: string, value: Buffer][] {
  const body = new BodyCursor(frame);
  const fields: [string, Buffer][] = [];
  for (let code = body.byte(); code !== 0; code = body.byte()) {
    fields.push([String.fromCharCode(code), body.cstring()]);
  }
  body.finish();
  return fields;
}

/** An ErrorResponse with the fields in the order given. */
export function errorResponse(fields: ErrorFieldTexts): Buffer {
  return withFields('E', Object.entries(fields));
}

/** A NoticeResponse with the fields in the order given. */
export function noticeResponse(fields: ErrorFieldTexts): Buffer {
  return withFields('N', Object.entries(fields));
}

/** An error of ours as an ErrorResponse. FATAL announces that the connection will be closed. */
export function errorFrom(error: HoldpointError, severity: 'ERROR' | 'FATAL' = 'ERROR'): Buffer {
  const fields: ErrorFieldTexts = { S: severity, V: severity, C: error.sqlstate, M: error.message };
  if (error.detail !== undefined) fields.D = error.detail;
  if (error.hint !== undefined) fields.H = error.hint;
  if (error.position !== undefined) fields.P = String(error.position);
  return errorResponse(fields);
}

/**
 * The same ErrorResponse or NoticeResponse with some fields changed: a text replaces or adds a field, null removes it.
 * All others keep their bytes and their order; added ones come last.
 */
export function rewriteErrorResponse(
  frame: FrameView,
  changes: Partial<Record<ErrorFieldLetter, string | null>>,
): Buffer {
  const open = new Map<string, string | null | undefined>(Object.entries(changes));
  const fields: [string, string | Buffer][] = [];
  for (const [letter, value] of rawErrorFields(frame)) {
    const change = open.get(letter);
    if (change === undefined) fields.push([letter, value]);
    else if (change !== null) fields.push([letter, change]);
    open.delete(letter);
  }
  for (const [letter, change] of open) {
    if (typeof change === 'string') fields.push([letter, change]);
  }
  return withFields(String.fromCharCode(frame.type), fields);
}

function withFields(type: string, fields: [string, string | Buffer][]): Buffer {
  const frame = new FrameBuilder(type);
  for (const [letter, value] of fields) {
    // A text of an agent's may hold a NUL; an error must be sayable whatever it quotes.
    const text = typeof value === 'string' ? value.replaceAll('\0', '\uFFFD') : value;
    frame.byte(letter.charCodeAt(0)).string(text);
  }
  return frame.byte(0).finish();
}

// NegotiateProtocolVersion (v)

export interface NegotiateProtocolVersion {
  /** Newest minor version of protocol 3 that the server will speak. */
  minor: number;
  /** `_pq_.` options it does not know. */
  unknown: string[];
}

export function readNegotiateProtocolVersion(frame: FrameView): NegotiateProtocolVersion {
  const body = new BodyCursor(frame);
  const version = body.uint32();
  const unknown: string[] = [];
  for (let count = body.int32(); count > 0; count--) unknown.push(body.cstring().toString('utf8'));
  body.finish();
  if (version >>> 16 !== 3) {
    throw new HoldpointError(
      'protocol-violation',
      `the server negotiated protocol version ${version >>> 16}.${version & 0xffff} instead of 3.x`,
    );
  }
  return { minor: version & 0xffff, unknown };
}

export function negotiateProtocolVersion(minor: number, unknown: readonly string[]): Buffer {
  const frame = new FrameBuilder('v').uint32(0x30000 | minor).int32(unknown.length);
  for (const name of unknown) frame.string(name);
  return frame.finish();
}

// NotificationResponse (A)

/** Process number of the session that notified. */
export function readNotificationPid(frame: FrameView): number {
  return new BodyCursor(frame).int32();
}

/** The same NotificationResponse from another process number. */
export function withNotificationPid(frame: FrameView, pid: number): Buffer {
  const copy = Buffer.from(frame.buffer.subarray(frame.start, frame.end));
  copy.writeInt32BE(pid, 5);
  return copy;
}

// ParameterStatus (S)

export interface ParameterStatus {
  name: string;
  value: string;
}

export function readParameterStatus(frame: FrameView): ParameterStatus {
  const body = new BodyCursor(frame);
  const name = body.cstring().toString('utf8');
  const value = body.cstring().toString('utf8');
  body.finish();
  return { name, value };
}

export function parameterStatus(name: string, value: string): Buffer {
  return new FrameBuilder('S').string(name).string(value).finish();
}

// ReadyForQuery (Z)

/** Idle, in a transaction block, or in a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E';

export function readReadyForQuery(frame: FrameView): TransactionStatus {
  const body = new BodyCursor(frame);
  const status = String.fromCharCode(body.byte());
  body.finish();
  if (status === 'I' || status === 'T' || status === 'E') return status;
  throw new HoldpointError('protocol-violation', `the server sent transaction status "${status}"`);
}

export function readyForQuery(status: TransactionStatus): Buffer {
  return new FrameBuilder('Z').byte(status.charCodeAt(0)).finish();
}
