// Round: what a client sends to run a statement once: Bind to the unnamed portal, Describe of it or not, Execute of all its
// rows, Sync; in front of that the Parse of the unnamed statement, where it is that. Parts it into what is the same each
// time and the parameters. Pure; refuses to judge anything. Source: the manual, "Message Formats".

import { frontendType } from './messages/frontend.ts';

/** Views of the bytes that were given. */
export interface Round {
  /** The Parse, or nothing. */
  readonly lead: Buffer;
  /** Behind the length of the Bind, up to the first parameter. */
  readonly prefix: Buffer;
  /** Behind the last one, to the end. */
  readonly suffix: Buffer;
  /** So many bytes of `suffix` are the Bind's. */
  readonly bindBytes: number;
  readonly parameters: number;
  readonly isDescribed: boolean;
}

/**
 * Undefined for whatever is not exactly one whole round of a named statement, or of the unnamed one behind its Parse: by itself
 * it is whatever was parsed last. Of a Parse nothing is read but its name: a session has let the rest of it pass, or refused it.
 */
export function readRound(bytes: Buffer): Round | undefined {
  const begin = behindParse(bytes);
  if (begin === undefined || bytes.length < begin + 7 || bytes[begin] !== frontendType.bind) return undefined;
  const end = begin + 1 + bytes.readInt32BE(begin + 1);
  if (bytes[begin + 5] !== 0 || end > bytes.length) return undefined;
  const name = bytes.indexOf(0, begin + 6);
  if (name < 0 || begin > 0 !== (name === begin + 6)) return undefined;
  const formats = short(bytes, name + 1, end);
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
  return {
    lead: bytes.subarray(0, begin),
    prefix: bytes.subarray(begin + 5, from),
    suffix: bytes.subarray(to),
    bindBytes: end - to,
    parameters,
    isDescribed,
  };
}

/** Where what follows a Parse of the unnamed statement begins; 0 where there is none; undefined where it is another's. */
function behindParse(bytes: Buffer): number | undefined {
  if (bytes[0] !== frontendType.parse) return 0;
  if (bytes.length < 6 || bytes[5] !== 0) return undefined;
  const end = 1 + bytes.readInt32BE(1);
  return end < 6 || end > bytes.length ? undefined : end;
}

function short(bytes: Buffer, at: number, end: number): number | undefined {
  return at + 2 > end ? undefined : bytes.readUInt16BE(at);
}

/** The text of what is exactly one Query; undefined for whatever is not. */
export function readOneQuery(bytes: Buffer): Buffer | undefined {
  const { length } = bytes;
  if (length < 6 || bytes[0] !== frontendType.query || 1 + bytes.readInt32BE(1) !== length) return undefined;
  return bytes.indexOf(0, 5) === length - 1 ? bytes.subarray(5, length - 1) : undefined;
}

/** Execute of the unnamed portal without a limit, Sync. */
const executed = Buffer.from('450000000900000000005300000004', 'hex');
/** Describe of the unnamed portal in front of it. */
const described = Buffer.concat([Buffer.from('44000000065000', 'hex'), executed]);
