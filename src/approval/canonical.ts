// Canonical JSON: one byte form for one value, so that two parties can hash and sign the same thing.
// RFC 8785 (JCS). Knows JSON values; refuses everything that JSON would change or drop silently.

import { HoldpointError } from '../errors.ts';

const depthMax = 32;

/**
 * The JCS text of a JSON value: keys sorted by UTF-16 code units, no spaces, ECMAScript number form. Members that are
 * `undefined` are left out. Throws `bad-request` on what has no canonical form: NaN, lone surrogates, unsafe integers,
 * anything that is not a JSON value, nesting deeper than 32.
 */
export function canonical(value: unknown): string {
  return write(value, 0);
}

function write(value: unknown, depth: number): string {
  if (depth > depthMax) throw refuse(`nested deeper than ${depthMax} levels`);
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return text(value);
  if (typeof value === 'number') return number(value);
  if (Array.isArray(value)) return `[${value.map((item) => write(item, depth + 1)).join(',')}]`;
  if (typeof value !== 'object') throw refuse(`a ${typeof value} is not a JSON value`);
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null)
    throw refuse('only plain objects are JSON values');
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${text(key)}:${write(member, depth + 1)}`);
  return `{${members.join(',')}}`;
}

function text(value: string): string {
  if (!value.isWellFormed()) throw refuse('a string holds half of a surrogate pair');
  return JSON.stringify(value);
}

function number(value: number): string {
  if (!Number.isFinite(value)) throw refuse(`${value} is not a JSON number`);
  if (Number.isInteger(value) && !Number.isSafeInteger(value))
    throw refuse(`${value} is not exact; send a string`);
  return JSON.stringify(value);
}

function refuse(why: string): HoldpointError {
  return new HoldpointError('bad-request', `the value has no canonical JSON form: ${why}`);
}
