// Words: the members of a canonical line that most records say as the record before said them: found, not made. To compare
// a string with itself is to look at its address. Pure.

import { canonicalString } from '../../verify/src/jcs.ts';

/** A member with what stands before it: `,"name":"text"`; nothing where it is left out. */
export type Saying<Value> = (value: Value | null | undefined) => string;

/** Says the text that opens a line; TypeError if there is none. */
export function opening(name: string): (text: string) => string {
  return remembering((text) => `{"${name}":${canonicalString(text)}`);
}

/** Says texts under a name. */
export function saying(name: string): Saying<string> {
  const prefix = `,"${name}":`;
  const said = remembering((text) => prefix + canonicalString(text));
  return (text) => {
    if (text === undefined) return '';
    return text === null ? `${prefix}null` : said(text);
  };
}

/** Says texts of which many take turns, each again and again, under a name. */
export function sayingMany(name: string): Saying<string> {
  const prefix = `,"${name}":`;
  const said = new Map<string, string>();
  return (text) => {
    if (text === undefined || text === null) return text === null ? `${prefix}null` : '';
    let words = said.get(text);
    if (words === undefined) {
      if (said.size >= turnsMax) said.clear();
      words = prefix + canonicalString(text);
      said.set(text, words);
    }
    return words;
  };
}

/** Texts that are remembered; then all are forgotten. */
const turnsMax = 1000;

/** Says lists of texts under a name. */
export function sayingList(name: string): Saying<readonly (string | null)[]> {
  const prefix = `,"${name}":[`;
  const said = remembering((text) => `${prefix}${canonicalString(text)}]`);
  return (list) => {
    if (list === undefined || list === null) return list === null ? `,"${name}":null` : '';
    const only = list[0];
    if (list.length === 1 && typeof only === 'string') return said(only);
    return `${prefix}${texts(list)}]`;
  };
}

/** The items of a list of texts. */
export function texts(list: readonly (string | null)[]): string {
  return list.map((item) => (item === null ? 'null' : canonicalString(item))).join(',');
}

/** An integer below 2^53 as it stands in a line. Throws TypeError on any other. */
export function integer(value: number): string {
  if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is not an integer below 2^53`);
  return `${value}`;
}

/** As `integer`, for values that grow little by little: their upper digits are found, not made. */
export function growing(): (value: number) => string {
  let last = 0;
  let digits = '';
  return (value) => {
    if (!(value >= lower && Number.isSafeInteger(value))) return integer(value);
    const upper = Math.floor(value / lower);
    if (upper !== last) {
      digits = `${upper}`;
      last = upper;
    }
    return digits + `${lower + (value - upper * lower)}`.slice(1);
  };
}

/** Where digits are parted: with a one in front, the lower ones keep their zeros. */
const lower = 1e6;

function remembering(make: (text: string) => string): (text: string) => string {
  let last = '';
  let words = make(last);
  return (text) => {
    if (text === last) return words;
    words = make(text);
    last = text;
    return words;
  };
}
