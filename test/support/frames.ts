// Frames for tests: views over single frames, and the backend messages that only a server writes, so that transcripts
// of both directions can be put together by name.

import { FrameBuilder } from '../../src/wire/bytes.ts';
import type { FrameView } from '../../src/wire/framer.ts';

/** A frame as the framer would give it, in the middle of a larger buffer so that offsets are not forgotten. */
export function asFrame(frame: Buffer): FrameView {
  const buffer = Buffer.concat([Buffer.from('before'), frame, Buffer.from('\0behind\0')]);
  return { type: frame[0]!, buffer, start: 6, end: 6 + frame.length };
}

/** A frame of any type with any body. */
export function rawFrame(letter: string, body: Buffer | string = ''): Buffer {
  return new FrameBuilder(letter).bytes(Buffer.from(body as string, 'latin1')).finish();
}

export const parseComplete = (): Buffer => rawFrame('1');
export const bindComplete = (): Buffer => rawFrame('2');
export const closeComplete = (): Buffer => rawFrame('3');
export const noData = (): Buffer => rawFrame('n');
export const portalSuspended = (): Buffer => rawFrame('s');
export const emptyQueryResponse = (): Buffer => rawFrame('I');
export const copyDone = (): Buffer => rawFrame('c');
export const copyFail = (reason: string): Buffer => new FrameBuilder('f').string(reason).finish();
export const copyData = (data: Buffer | string): Buffer => rawFrame('d', data);
export const commandComplete = (tag: string): Buffer => new FrameBuilder('C').string(tag).finish();

/** Text columns of type text (25). */
export function rowDescription(...names: string[]): Buffer {
  const frame = new FrameBuilder('T').uint16(names.length);
  for (const name of names) {
    frame.string(name).int32(0).uint16(0).uint32(25).uint16(0xffff).int32(-1).uint16(0);
  }
  return frame.finish();
}

export function dataRow(...values: (string | null)[]): Buffer {
  const frame = new FrameBuilder('D').uint16(values.length);
  for (const value of values) {
    if (value === null) frame.int32(-1);
    else frame.int32(Buffer.byteLength(value)).bytes(Buffer.from(value));
  }
  return frame.finish();
}

/** CopyInResponse (G) or CopyOutResponse (H) with text columns. */
export function copyResponse(letter: 'G' | 'H', columns: number): Buffer {
  const frame = new FrameBuilder(letter).byte(0).uint16(columns);
  for (let i = 0; i < columns; i++) frame.uint16(0);
  return frame.finish();
}

export function parameterDescription(...oids: number[]): Buffer {
  const frame = new FrameBuilder('t').uint16(oids.length);
  for (const oid of oids) frame.uint32(oid);
  return frame.finish();
}

export function functionCall(oid: number): Buffer {
  return new FrameBuilder('F').uint32(oid).uint16(0).uint16(0).uint16(0).finish();
}
