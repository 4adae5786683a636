// Disclosure: one value of one record with its salt, for somebody who has the log or a proof of the record: whether it is the
// one that the record commits to. audit-approval §10 (partial disclosure). Pure; refuses to know side files and keys.

import { createHash, hash } from 'node:crypto';
import { canonical } from './jcs.ts';
import { commit } from './leaf.ts';
import { type Opened, tokenIndex } from './sidefile.ts';

type Members = Readonly<Record<string, unknown>>;

/** One value, for handing over. `line` is the record, exactly; `members` are its long ones, which are not in the line. */
export interface Disclosure {
  readonly typ: 'holdpoint.disclosure.v1';
  readonly index: number;
  readonly oid: number;
  /** 16 bytes, base64url. */
  readonly salt: string;
  /** base64url; null for NULL. */
  readonly value: string | null;
  readonly line: string;
  readonly members: Readonly<Record<string, string>>;
}

/** Gives the text of a long member that moved to a blob, by the SHA-256 of it in hex; undefined if it is gone. */
export type BlobText = (sha: string) => Promise<string | undefined>;

/** The whole texts of the long members that hold a record's commitments. */
export async function longMembers(members: Members, blob: BlobText): Promise<Record<string, string>> {
  const texts: Record<string, string> = {};
  const moved = (members.blobs ?? {}) as Readonly<Record<string, { sha?: unknown }>>;
  for (const name of ['pc', 'R']) {
    const sha = moved[name]?.sha;
    const text = typeof sha === 'string' ? await blob(sha) : undefined;
    if (text !== undefined) texts[name] = text;
  }
  return texts;
}

/** How many values a record commits to; an ID token is counted apart. `long` as from `longMembers`. */
export function valuesIn(members: Members, long: Readonly<Record<string, string>>): number {
  if (members.kind === 'stmt') return listOf(members, long).length;
  const request = requestIn(members, long);
  if (request === undefined) return 0;
  return 1 + (Array.isArray(request.params) ? request.params.length : 0);
}

/**
 * True if the record commits to this value at this index. A `stmt` has a commitment for each lifted literal and then for
 * each parameter; a `hold` one for what was shown (0) and one for each parameter; a `decision` the digest of its ID token.
 */
export function isCommitted(
  members: Members,
  long: Readonly<Record<string, string>>,
  index: number,
  { oid, salt, value }: Opened,
): boolean {
  if (index === tokenIndex) {
    const { sha256 } = (members.ev ?? {}) as Members;
    return members.kind === 'decision' && value !== undefined && hash('sha256', value, 'hex') === sha256;
  }
  if (salt.length !== 16) return false;
  if (members.kind === 'stmt') return listOf(members, long)[index] === commit(salt, oid, value);
  const request = requestIn(members, long);
  if (request === undefined) return false;
  if (index === 0) return request.open === commit(salt, oid, value);
  const params = Array.isArray(request.params) ? (request.params as Members[]) : [];
  const param = params[index - 1];
  return param !== undefined && param.oid === oid && param.c === parameterCommitment(salt, param, value);
}

/** As approval/request.ts makes it. */
function parameterCommitment(
  salt: Uint8Array,
  { oid, format }: Members,
  value: Uint8Array | undefined,
): string {
  const head = Buffer.alloc(7);
  head.writeUInt32BE(Number(oid) >>> 0, 0);
  head.writeUInt16BE(Number(format) & 0xffff, 4);
  head.writeUInt8(value === undefined ? 0 : 1, 6);
  const digest = createHash('sha256').update('holdpoint-parameter-v1\0').update(salt).update(head);
  return digest.update(value ?? Buffer.alloc(0)).digest('base64url');
}

function listOf(members: Members, long: Readonly<Record<string, string>>): readonly unknown[] {
  const list: unknown = long.pc === undefined ? members.pc : JSON.parse(long.pc);
  return Array.isArray(list) ? list : [];
}

function requestIn(members: Members, long: Readonly<Record<string, string>>): Members | undefined {
  if (members.kind !== 'hold') return undefined;
  try {
    return JSON.parse(long.R ?? String(members.R)) as Members;
  } catch {
    return undefined;
  }
}

/** The one text of a disclosure. */
export function disclosureText(disclosure: Disclosure): string {
  return `${canonical(disclosure)}\n`;
}

/**
 * The value of a disclosure of unknown origin, if its record commits to it. Throws Error that says what is wrong. That the
 * record is in the log, a proof of it or the log has to show.
 */
export function checkDisclosure(text: string): { record: Members; index: number; opened: Opened } {
  const read = JSON.parse(text) as Disclosure;
  if (typeof read !== 'object' || read === null || read.typ !== 'holdpoint.disclosure.v1')
    throw new Error('this is no disclosure: typ must be "holdpoint.disclosure.v1"');
  const record = JSON.parse(read.line) as Members;
  const moved = (record.blobs ?? {}) as Readonly<Record<string, { sha?: unknown }>>;
  for (const [name, whole] of Object.entries(read.members))
    if (moved[name]?.sha !== hash('sha256', whole, 'hex'))
      throw new Error(`its ${name} is not the one that the record names`);
  const opened: Opened = {
    oid: read.oid,
    salt: Buffer.from(read.salt, 'base64url'),
    value: read.value === null ? undefined : Buffer.from(read.value, 'base64url'),
  };
  if (!isCommitted(record, read.members, read.index, opened))
    throw new Error(`record ${record.seq} commits to another value than this at ${read.index}`);
  return { record, index: read.index, opened };
}
