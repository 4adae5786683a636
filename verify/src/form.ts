// Form: whether a line is a record in its one spelling, read from its bytes. audit-approval §3.2.
// The spelling is that of jcs.ts. A scanner proves it in one pass over the bytes, without an object for the line; what
// it does not accept is parsed and written again, and that alone decides. Knows the members that all records have and
// the few by which the verifier tells which records concern it. Pure; refuses to know the chain.

import { canonical, depthMax } from './jcs.ts';

/** Where a value cannot go on as it does. */
const refused = -1;
/** A member whose name this scanner does not compare: not ASCII, or with an escape. */
const unsure = -2;

const quote = 0x22;
const backslash = 0x5c;

/** Why a line is no record, in words. */
export type Misspelt = string;

/**
 * The common members of the record that `read` accepted last, and what tells whether a record concerns releases. One
 * object serves a whole log.
 */
export class RecordForm {
  seq = 0;
  ts = 0;
  mono = 0;
  prev = '';
  node = '';
  boot = '';
  kind = '';
  /** `ref` of the record where it is an integer, else −1. */
  ref = -1;
  /** Its `dec` is `"pass"`. */
  passes = false;
  /** It has a member `blobs`. */
  hasBlobs = false;
  // Spellings seen before, so that a record's names cost no new string.
  readonly #names = new Map<string, string>();
  #found = 0;

  /**
   * Reads the line at `start`, up to its LF at `end`; the bytes are UTF-8. Returns why it is no record, or undefined
   * with the members set.
   */
  read(bytes: Buffer, start: number, end: number): Misspelt | undefined {
    if (this.#scan(bytes, start) === end && this.#found === allFound) return undefined;
    return this.#parse(bytes.toString('utf8', start, end));
  }

  /** Returns the offset behind the record, or a negative number. */
  #scan(bytes: Buffer, start: number): number {
    this.ref = -1;
    this.passes = false;
    this.hasBlobs = false;
    this.#found = 0;
    let at = start + 1;
    let nameAt = 0;
    let nameLength = -1;
    for (;;) {
      if (bytes[at] !== quote) return refused;
      const name = at + 1;
      const behind = skipName(bytes, name);
      if (behind < 0) return behind;
      const length = behind - 1 - name;
      if (nameLength >= 0 && !isBefore(bytes, nameAt, nameLength, name, length)) return refused;
      nameAt = name;
      nameLength = length;
      if (bytes[behind] !== 0x3a) return refused;
      at = behind + 1;
      const next = skipValue(bytes, at, 1);
      if (next < 0) return next;
      if (length <= 5) this.#take(bytes, name, length, at, next);
      at = next;
      if (bytes[at] === 0x2c) at += 1;
      else return bytes[at] === 0x7d ? at + 1 : refused;
    }
  }

  #take(bytes: Buffer, name: number, length: number, from: number, to: number): void {
    switch (length) {
      case 1:
        if (bytes[name] === 0x76 && to - from === 1 && bytes[from] === 0x31) this.#found |= 1;
        return;
      case 2:
        // ts
        if (bytes[name] === 0x74 && bytes[name + 1] === 0x73) this.ts = this.#count(bytes, from, to, 2);
        return;
      case 3:
        this.#takeThree(bytes, name, from, to);
        return;
      case 4:
        this.#takeFour(bytes, name, from, to);
        return;
      case 5:
        if (bytes[name] === 0x62 && bytes.toString('latin1', name, name + 5) === 'blobs')
          this.hasBlobs = true;
    }
  }

  #takeThree(bytes: Buffer, name: number, from: number, to: number): void {
    const text = (bytes[name]! << 16) | (bytes[name + 1]! << 8) | bytes[name + 2]!;
    if (text === 0x736571) this.seq = this.#count(bytes, from, to, 4);
    else if (text === 0x726566) this.ref = integerAt(bytes, from, to);
    else if (text === 0x646563) this.passes = bytes.toString('latin1', from, to) === '"pass"';
  }

  #takeFour(bytes: Buffer, name: number, from: number, to: number): void {
    const text = (bytes[name]! << 24) | (bytes[name + 1]! << 16) | (bytes[name + 2]! << 8) | bytes[name + 3]!;
    if (text === 0x6b696e64) this.kind = this.#name(bytes, from, to, 8);
    else if (text === 0x6d6f6e6f) this.mono = this.#count(bytes, from, to, 16);
    else if (text === 0x6e6f6465) this.node = this.#name(bytes, from, to, 32);
    else if (text === 0x626f6f74) this.boot = this.#name(bytes, from, to, 64);
    else if (text === 0x70726576) {
      // Nearly always 43 letters of base64url; anything else is compared as what it says.
      if (bytes[from] === quote) this.#found |= 128;
      const isPlain = to - from === 45;
      this.prev = isPlain ? bytes.toString('latin1', from + 1, to - 1) : bytes.toString('utf8', from, to);
    }
  }

  #count(bytes: Buffer, from: number, to: number, bit: number): number {
    const value = integerAt(bytes, from, to);
    if (value >= 0) this.#found |= bit;
    return value;
  }

  #name(bytes: Buffer, from: number, to: number, bit: number): string {
    if (bytes[from] !== quote) return '';
    this.#found |= bit;
    const spelling = bytes.toString('latin1', from, to);
    const known = this.#names.get(spelling);
    if (known !== undefined) return known;
    const text = JSON.parse(bytes.toString('utf8', from, to)) as string;
    if (this.#names.size >= namesMax) this.#names.clear();
    this.#names.set(spelling, text);
    return text;
  }

  /** The judgement: slower, and the same. */
  #parse(line: string): Misspelt | undefined {
    let members: Readonly<Record<string, unknown>>;
    let again: string;
    try {
      members = JSON.parse(line) as Readonly<Record<string, unknown>>;
      again = canonical(members);
    } catch {
      return 'the record is not JSON, or not of integers only';
    }
    if (again !== line)
      return 'the record is not canonical JSON: a repeated or unsorted member, or a loose spelling';
    const { v, seq, prev, ts, mono, node, boot, kind, ref, dec } = members;
    const texts = [prev, node, boot, kind].every((member) => typeof member === 'string');
    const integers = [seq, ts, mono].every((member) => typeof member === 'number' && member >= 0);
    if (v !== 1 || !texts || !integers)
      return 'the record lacks a member that all records have, or it is of another version';
    Object.assign(this, { seq, prev, ts, mono, node, boot, kind });
    this.ref = typeof ref === 'number' && ref >= 0 ? ref : -1;
    this.passes = dec === 'pass';
    this.hasBlobs = 'blobs' in members;
    return undefined;
  }
}

const allFound = 255;
const namesMax = 1000;

/** The offset behind a member's name, which begins at `at`. */
function skipName(bytes: Buffer, at: number): number {
  for (let i = at; ; i += 1) {
    const byte = bytes[i]!;
    if (byte === quote) return i + 1;
    if (byte < 0x20) return refused;
    // Such names sort by UTF-16 units, which bytes do not.
    if (byte === backslash || byte >= 0x80) return unsure;
  }
}

/** Whether the first of two names sorts before the second. */
function isBefore(bytes: Buffer, a: number, aLength: number, b: number, bLength: number): boolean {
  const shorter = aLength < bLength ? aLength : bLength;
  for (let i = 0; i < shorter; i += 1) {
    const difference = bytes[a + i]! - bytes[b + i]!;
    if (difference !== 0) return difference < 0;
  }
  return aLength < bLength;
}

/** The offset behind the value at `at`. The LF at the line's end is in no value, so nothing reads beyond it. */
function skipValue(bytes: Buffer, at: number, depth: number): number {
  if (depth > depthMax) return refused;
  const byte = bytes[at]!;
  if (byte === quote) return skipString(bytes, at + 1);
  if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) return skipInteger(bytes, at);
  if (byte === 0x7b) return skipObject(bytes, at + 1, depth);
  if (byte === 0x5b) return skipArray(bytes, at + 1, depth);
  if (byte === 0x74) return skipWord(bytes, at, 'true');
  if (byte === 0x66) return skipWord(bytes, at, 'false');
  return byte === 0x6e ? skipWord(bytes, at, 'null') : refused;
}

function skipString(bytes: Buffer, from: number): number {
  for (let at = from; ; at += 1) {
    const byte = bytes[at]!;
    if (byte > backslash) continue;
    if (byte === quote) return at + 1;
    if (byte < 0x20) return refused;
    if (byte !== backslash) continue;
    at += 1;
    const letter = bytes[at]!;
    if (letter === 0x75) {
      if (!isControl(bytes, at + 1)) return refused;
      at += 4;
    } else if (!isShortEscape(letter)) return refused;
  }
}

/** One of " \ b f n r t. */
function isShortEscape(letter: number): boolean {
  return (
    letter === quote ||
    letter === backslash ||
    letter === 0x62 ||
    letter === 0x66 ||
    letter === 0x6e ||
    letter === 0x72 ||
    letter === 0x74
  );
}

/** Four digits of a control character that has no shorter escape. */
function isControl(bytes: Buffer, at: number): boolean {
  if (bytes[at] !== 0x30 || bytes[at + 1] !== 0x30) return false;
  const [high, low] = [bytes[at + 2]!, bytes[at + 3]!];
  const isHex = (low >= 0x30 && low <= 0x39) || (low >= 0x61 && low <= 0x66);
  if (high === 0x31) return isHex;
  // 08 09 0a 0c 0d are \b \t \n \f \r.
  return (
    high === 0x30 && isHex && low !== 0x38 && low !== 0x39 && (low < 0x61 || low === 0x62 || low >= 0x65)
  );
}

function skipInteger(bytes: Buffer, from: number): number {
  const isNegative = bytes[from] === 0x2d;
  let at = isNegative ? from + 1 : from;
  const first = bytes[at]!;
  if (first === 0x30) return isNegative ? refused : at + 1;
  if (first < 0x31 || first > 0x39) return refused;
  let value = 0;
  const digitsEnd = at + 17;
  for (; at < digitsEnd; at += 1) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return value <= Number.MAX_SAFE_INTEGER ? at : refused;
    value = value * 10 + digit;
  }
  return refused;
}

function skipObject(bytes: Buffer, from: number, depth: number): number {
  let at = from;
  if (bytes[at] === 0x7d) return at + 1;
  let nameAt = 0;
  let nameLength = -1;
  for (;;) {
    if (bytes[at] !== quote) return refused;
    const name = at + 1;
    const behind = skipName(bytes, name);
    if (behind < 0) return behind;
    const length = behind - 1 - name;
    if (nameLength >= 0 && !isBefore(bytes, nameAt, nameLength, name, length)) return refused;
    nameAt = name;
    nameLength = length;
    if (bytes[behind] !== 0x3a) return refused;
    at = skipValue(bytes, behind + 1, depth + 1);
    if (at < 0) return at;
    if (bytes[at] === 0x2c) at += 1;
    else return bytes[at] === 0x7d ? at + 1 : refused;
  }
}

function skipArray(bytes: Buffer, from: number, depth: number): number {
  let at = from;
  if (bytes[at] === 0x5d) return at + 1;
  for (;;) {
    at = skipValue(bytes, at, depth + 1);
    if (at < 0) return at;
    if (bytes[at] === 0x2c) at += 1;
    else return bytes[at] === 0x5d ? at + 1 : refused;
  }
}

function skipWord(bytes: Buffer, at: number, word: string): number {
  return bytes.toString('latin1', at, at + word.length) === word ? at + word.length : refused;
}

/** The value of the integer that was scanned there; −1 for anything else, and below 0. */
function integerAt(bytes: Buffer, from: number, to: number): number {
  const first = bytes[from]!;
  if (first < 0x30 || first > 0x39) return -1;
  let value = 0;
  for (let at = from; at < to; at += 1) value = value * 10 + (bytes[at]! - 0x30);
  return value;
}
