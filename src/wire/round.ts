// Round: what a client sends to run a prepared statement once: Bind to the unnamed portal, Describe of it or not, Execute
// of all its rows, Sync. Parts it into what is the same each time and the parameters. Pure; refuses to judge anything.
// Source: the manual, "Message Formats" (Bind, Describe, Execute, Sync).

import { frontendType } from './messages/frontend.ts';

/** Views of the bytes that were given. */
export interface Round {
  /** Behind the length of the Bind, up to the first parameter. */
  readonly prefix: Buffer;
  /** Behind the last one, to the end. */
  readonly suffix: Buffer;
  /** So many bytes of `suffix` are the Bind's. */
  readonly bindBytes: number;
  readonly parameters: number;
  readonly isDescribed: boolean;
}

/** Undefined for whatever is not exactly one whole round. */
export function readRound(bytes: Buffer): Round | undefined {
  if (bytes.length < 6 || bytes[0] !== frontendType.bind) return undefined;
  const end = 1 + bytes.readInt32BE(1);
  if (bytes[5] !== 0 || end > bytes.length) return undefined;
  const name = bytes.indexOf(0, 6);
  const formats = name < 0 ? undefined : short(bytes, name + 1, end);
  if (formats === undefined) return undefined;
  const counted = name + 3 + 2 * formats;
  const parameters = short(bytes, counted, end);
  if (parameters === undefined) return undefined;
  const from = counted + 2;
  let to = from;
  for (let each = 0; each < parameters; each += 1) {
    if (end - to < 4) return undefined;
    const length = bytes.readInt32BE(to);
    to += 4;
    if (length < -1 || length > end - to) return undefined;
    to += Math.max(0, length);
  }
  const results = short(bytes, to, end);
  if (results === undefined || to + 2 + 2 * results !== end) return undefined;
  const rest = bytes.subarray(end);
  const isDescribed = rest.equals(described);
  if (!isDescribed && !rest.equals(executed)) return undefined;
  const prefix = bytes.subarray(5, from);
  return { prefix, suffix: bytes.subarray(to), bindBytes: end - to, parameters, isDescribed };
}

function short(bytes: Buffer, at: number, end: number): number | undefined {
  return at + 2 > end ? undefined : bytes.readUInt16BE(at);
}

/** Execute of the unnamed portal without a limit, Sync. */
const executed = Buffer.from('450000000900000000005300000004', 'hex');
/** Describe of the unnamed portal in front of it. */
const described = Buffer.concat([Buffer.from('44000000065000', 'hex'), executed]);
