// The messages a client sends once it is authenticated, in the manual's order: readers over a frame and writers.
// Knows the bytes of each message; refuses to know whether it is allowed now or what it will do.
// Source: PostgreSQL manual, "Message Formats"; the server's own reading in tcop/postgres.c.
// Readers check what the server checks and throw `protocol-violation` in its words. What they return is not yet
// verified beyond that; Buffers are views of the frame and live as long as it does.

import { HoldpointError } from '../../errors.ts';
import { BodyCursor, FrameBuilder } from '../bytes.ts';
import { type FrameView, typeTable } from '../framer.ts';

/** Type bytes of the frontend messages. */
export const frontendType = {
  bind: 0x42,
  close: 0x43,
  copyData: 0x64,
  copyDone: 0x63,
  copyFail: 0x66,
  describe: 0x44,
  execute: 0x45,
  flush: 0x48,
  functionCall: 0x46,
  parse: 0x50,
  password: 0x70,
  query: 0x51,
  sync: 0x53,
  terminate: 0x58,
} as const;

/** Types the server reads in any phase; every other type byte ends the connection. */
export const frontendKnown = typeTable('BCdcfDEHFPpQSX');

/** The server's own limit for messages that cannot be long, in bytes of the length field (libpq/libpq.h). */
const smallLengthMax = 10_000;
/** The server's limit for the others: one less than the largest allocation (MaxAllocSize). */
const largeLengthMax = 0x3ffffffe;

/**
 * `frameBytesMax` of the client's direction: the server's limits, `statementBytesMax` for the messages that hold a text,
 * and `bindBytesMax` for a Bind with its parameters. Whole frames in bytes.
 */
export function frontendFrameBytesMax(
  statementBytesMax: number,
  bindBytesMax: number = statementBytesMax,
): (type: number) => number {
  // No table: every session has one of these.
  const textMax = Math.min(statementBytesMax, largeLengthMax) + 1;
  const bindMax = Math.min(bindBytesMax, largeLengthMax) + 1;
  return (type) => {
    switch (type) {
      case frontendType.query:
      case frontendType.parse:
      case frontendType.functionCall:
        return textMax;
      case frontendType.bind:
        return bindMax;
      case frontendType.copyData:
        return largeLengthMax + 1;
      default:
        return smallLengthMax + 1;
    }
  };
}

// Bind (B)

export interface BindMessage {
  portal: string;
  statement: string;
  /** None: all text. One: for all parameters. Otherwise one each. 0 is text, 1 is binary. */
  parameterFormats: number[];
  /** Views of the frame; null is SQL NULL. */
  parameters: (Buffer | null)[];
  resultFormats: number[];
}

export function readBind(frame: FrameView): BindMessage {
  const body = new BodyCursor(frame);
  const portal = body.name();
  const statement = body.name();
  const parameterFormats = readFormats(body);
  const parameterCount = body.uint16();
  if (parameterFormats.length > 1 && parameterFormats.length !== parameterCount) {
    throw new HoldpointError(
      'protocol-violation',
      `bind message has ${parameterFormats.length} parameter formats but ${parameterCount} parameters`,
    );
  }
  const parameters: (Buffer | null)[] = [];
  for (let i = 0; i < parameterCount; i++) {
    const length = body.int32();
    parameters.push(length === -1 ? null : body.bytes(length));
  }
  const resultFormats = readFormats(body);
  body.finish();
  return { portal, statement, parameterFormats, parameters, resultFormats };
}

function readFormats(body: BodyCursor): number[] {
  const formats: number[] = [];
  for (let count = body.uint16(); count > 0; count--) formats.push(body.uint16());
  return formats;
}

/** `portal` and `statement` as the server reads them; formats and values default to none. */
export function bind(
  portal: string,
  statement: string,
  parameters: readonly (Buffer | null)[] = [],
  parameterFormats: readonly number[] = [],
  resultFormats: readonly number[] = [],
): Buffer {
  const frame = new FrameBuilder('B').string(portal).string(statement);
  writeFormats(frame, parameterFormats);
  frame.uint16(parameters.length);
  for (const value of parameters) {
    if (value === null) frame.int32(-1);
    else frame.int32(value.length).bytes(value);
  }
  writeFormats(frame, resultFormats);
  return frame.finish();
}

function writeFormats(frame: FrameBuilder, formats: readonly number[]): void {
  frame.uint16(formats.length);
  for (const format of formats) frame.uint16(format);
}

// Close (C) and Describe (D)

/** A prepared statement (S) or a portal (P) by name. */
export interface NamedObject {
  kind: 'S' | 'P';
  name: string;
}

export function readClose(frame: FrameView): NamedObject {
  return readNamedObject(frame, 'CLOSE');
}

export function readDescribe(frame: FrameView): NamedObject {
  return readNamedObject(frame, 'DESCRIBE');
}

function readNamedObject(frame: FrameView, message: string): NamedObject {
  const body = new BodyCursor(frame);
  const subtype = body.byte();
  const name = body.name();
  body.finish();
  if (subtype === 0x53) return { kind: 'S', name };
  if (subtype === 0x50) return { kind: 'P', name };
  throw new HoldpointError('protocol-violation', `invalid ${message} message subtype ${subtype}`);
}

export function close(kind: 'S' | 'P', name: string): Buffer {
  return new FrameBuilder('C').byte(kind.charCodeAt(0)).string(name).finish();
}

export function describe(kind: 'S' | 'P', name: string): Buffer {
  return new FrameBuilder('D').byte(kind.charCodeAt(0)).string(name).finish();
}

// Execute (E)

export interface ExecuteMessage {
  portal: string;
  /** 0 or less means all rows. */
  maxRows: number;
}

export function readExecute(frame: FrameView): ExecuteMessage {
  const body = new BodyCursor(frame);
  const portal = body.name();
  const maxRows = body.int32();
  body.finish();
  return { portal, maxRows };
}

export function execute(portal: string, maxRows = 0): Buffer {
  return new FrameBuilder('E').string(portal).int32(maxRows).finish();
}

// Flush (H)

export function flush(): Buffer {
  return new FrameBuilder('H').finish();
}

// FunctionCall (F)

/** The OID of the function called. The arguments are not read: the call is allowed or refused by its OID. */
export function readFunctionCall(frame: FrameView): { oid: number } {
  return { oid: new BodyCursor(frame).uint32() };
}

// Parse (P)

export interface ParseMessage {
  name: string;
  /** The text without its NUL: a view of the frame, in an encoding not yet checked. */
  sql: Buffer;
  /** Types the client prescribes, in order; 0 leaves one to the server. May be fewer than the parameters. */
  parameterOids: number[];
}

export function readParse(frame: FrameView): ParseMessage {
  const body = new BodyCursor(frame);
  const name = body.name();
  const sql = body.cstring();
  const parameterOids: number[] = [];
  for (let count = body.uint16(); count > 0; count--) parameterOids.push(body.uint32());
  body.finish();
  return { name, sql, parameterOids };
}

export function parse(name: string, sql: string | Buffer, parameterOids: readonly number[] = []): Buffer {
  const frame = new FrameBuilder('P').string(name).string(sql).uint16(parameterOids.length);
  for (const oid of parameterOids) frame.uint32(oid);
  return frame.finish();
}

// Query (Q)

/** The text without its NUL: a view of the frame, in an encoding not yet checked. */
export function readQuery(frame: FrameView): { sql: Buffer } {
  const body = new BodyCursor(frame);
  const sql = body.cstring();
  body.finish();
  return { sql };
}

export function query(sql: string | Buffer): Buffer {
  return new FrameBuilder('Q').string(sql).finish();
}

// Sync (S) and Terminate (X)

export function sync(): Buffer {
  return new FrameBuilder('S').finish();
}

export function terminate(): Buffer {
  return new FrameBuilder('X').finish();
}
