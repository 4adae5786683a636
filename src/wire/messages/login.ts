// The messages of authentication in both directions: what the server asks (R) and what the client answers (p).
// Knows their bytes; refuses to know any mechanism: SCRAM's own texts are in ../scram.ts.
// Source: PostgreSQL manual, "Message Formats" and "SASL Authentication".

import { createHash } from 'node:crypto';
import { HoldpointError } from '../../errors.ts';
import { BodyCursor, FrameBuilder } from '../bytes.ts';
import { type FrameView, headerBytes, typeTable } from '../framer.ts';

/** What a server may ask for, or that it asks for nothing more (`ok`). Buffers are views of the frame. */
export type AuthenticationRequest =
  | { kind: 'ok' }
  | { kind: 'cleartext' }
  | { kind: 'md5'; salt: Buffer }
  | { kind: 'sasl'; mechanisms: string[] }
  | { kind: 'sasl-continue'; data: Buffer }
  | { kind: 'sasl-final'; data: Buffer }
  | { kind: 'unsupported'; code: number };

/** The only message a client may send before it is authenticated. */
export const loginKnown = typeTable('p');

/** Largest message of a client's login in bytes, header included: no SCRAM message is near it. */
export const loginFrameBytesMax = 4096 + headerBytes;

// Authentication… (R)

export function readAuthentication(frame: FrameView): AuthenticationRequest {
  const body = new BodyCursor(frame);
  const code = body.int32();
  const request = readRequest(code, body);
  if (request.kind !== 'unsupported') body.finish();
  return request;
}

function readRequest(code: number, body: BodyCursor): AuthenticationRequest {
  switch (code) {
    case 0:
      return { kind: 'ok' };
    case 3:
      return { kind: 'cleartext' };
    case 5:
      return { kind: 'md5', salt: body.bytes(4) };
    case 10:
      return { kind: 'sasl', mechanisms: readMechanisms(body) };
    case 11:
      return { kind: 'sasl-continue', data: body.rest() };
    case 12:
      return { kind: 'sasl-final', data: body.rest() };
    default:
      return { kind: 'unsupported', code };
  }
}

function readMechanisms(body: BodyCursor): string[] {
  const mechanisms: string[] = [];
  for (let name = body.name(); name !== ''; name = body.name()) mechanisms.push(name);
  return mechanisms;
}

export function authenticationOk(): Buffer {
  return new FrameBuilder('R').int32(0).finish();
}

export function authenticationSasl(mechanisms: readonly string[]): Buffer {
  const frame = new FrameBuilder('R').int32(10);
  for (const mechanism of mechanisms) frame.string(mechanism);
  return frame.byte(0).finish();
}

export function authenticationSaslContinue(data: Buffer): Buffer {
  return new FrameBuilder('R').int32(11).bytes(data).finish();
}

export function authenticationSaslFinal(data: Buffer): Buffer {
  return new FrameBuilder('R').int32(12).bytes(data).finish();
}

// PasswordMessage (p)

/**
 * The answer to AuthenticationMD5Password. `salt` is the request's 4 bytes. MD5 is what old servers ask for; nobody
 * logs in to us this way.
 */
export function md5Password(user: string, password: string, salt: Buffer): string {
  const inner = createHash('md5').update(password).update(user).digest('hex');
  return `md5${createHash('md5').update(inner).update(salt).digest('hex')}`;
}

export function passwordMessage(password: string): Buffer {
  return new FrameBuilder('p').string(password).finish();
}

// SASLInitialResponse (p)

export interface SaslInitialResponse {
  mechanism: string;
  /** null when the client sent none (length -1). A view of the frame. */
  data: Buffer | null;
}

export function readSaslInitialResponse(frame: FrameView): SaslInitialResponse {
  const body = new BodyCursor(frame);
  const mechanism = body.name();
  const length = body.int32();
  const data = length === -1 ? null : body.bytes(length);
  body.finish();
  return { mechanism, data };
}

export function saslInitialResponse(mechanism: string, data: Buffer): Buffer {
  return new FrameBuilder('p').string(mechanism).int32(data.length).bytes(data).finish();
}

// SASLResponse (p)

/** The mechanism's bytes, which are the whole body: a view of the frame. */
export function readSaslResponse(frame: FrameView): Buffer {
  if (frame.end - frame.start === headerBytes) {
    throw new HoldpointError('protocol-violation', 'malformed SASL response: it is empty');
  }
  return new BodyCursor(frame).rest();
}

export function saslResponse(data: Buffer): Buffer {
  return new FrameBuilder('p').bytes(data).finish();
}
