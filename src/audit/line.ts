// Line: the bytes of a record. audit-approval §3. A record is one line of canonical JSON; its RFC 6962 leaf hash is both its
// place in the Merkle tree and the `prev` of the line after it, so chain and tree cannot disagree. Pure: refuses to know
// files, clocks, keys and where a value came from.

import { hash } from 'node:crypto';
import { canonical, canonicalString } from '../../verify/src/jcs.ts';
import type { Moved } from '../../verify/src/leaf.ts';
import { encodeOutcome, encodeStatement } from './frequent.ts';
import type { RecordBody, RecordKind, Stamp } from './record.ts';
import { integer, texts } from './words.ts';

type Form = 'text' | 'integer' | 'rounded' | 'boolean' | 'texts' | 'integers' | 'json';
type MembersOf<K extends RecordKind> = Exclude<keyof Extract<RecordBody, { kind: K }>, 'kind'>;

// The compiler holds this table and the union of bodies together: a member in one and not in the other is an error.
const forms: { readonly [K in RecordKind]: { readonly [M in MembersOf<K>]-?: Form } } = {
  genesis: { origin: 'text', root: 'text', jwk: 'json', checkpoint: 'json', config: 'text' },
  checkpoint_key: { kid: 'text', jwk: 'json', cert: 'text' },
  boot: { version: 'text', pid: 'integer', host: 'text', config: 'text', policy: 'text' },
  bye: { reason: 'text' },
  auth: {
    sid: 'text',
    client: 'text',
    agent: 'text',
    target: 'text',
    ok: 'boolean',
    method: 'text',
    server: 'text',
    reason: 'text',
  },
  own: { target: 'text', server: 'text' },
  stmt: {
    sid: 'text',
    n: 'integer',
    agent: 'text',
    target: 'text',
    db: 'text',
    role: 'text',
    tx: 'text',
    proto: 'text',
    cls: 'text',
    cmd: 'texts',
    effects: 'texts',
    dec: 'text',
    dc: 'text',
    rule: 'text',
    reason: 'text',
    shadow: 'text',
    sql: 'text',
    sha: 'text',
    len: 'integer',
    lits: 'texts',
    pc: 'texts',
    params: 'texts',
    mac: 'text',
    rid: 'text',
  },
  outcome: {
    ref: 'integer',
    rid: 'text',
    st: 'text',
    tags: 'texts',
    rows: 'integer',
    sqlstate: 'text',
    dur_us: 'rounded',
  },
  hold: { rid: 'text', rd: 'text', R: 'text', ref: 'integer' },
  view: { rid: 'text', by: 'text' },
  decision: { rid: 'text', D: 'text', ev: 'json' },
  grant_use: {
    rid: 'text',
    ref: 'integer',
    by: 'texts',
    decisions: 'integers',
    rowsMax: 'integer',
    steps: 'integers',
    use: 'integer',
  },
  intent: { rid: 'text', ref: 'integer', wire: 'text', rowsMax: 'integer' },
  reject: { rid: 'text', by: 'text', reason: 'text' },
  notify: { rid: 'text', channel: 'text', message: 'text', to: 'texts' },
  grant: {
    rid: 'text',
    fp: 'text',
    until: 'integer',
    uses: 'integer',
    rows: 'integer',
    decisions: 'integers',
  },
  revoke: { rid: 'text', by: 'text', reason: 'text' },
  breakglass: {
    rid: 'text',
    rd: 'text',
    target: 'text',
    agent: 'text',
    by: 'text',
    reason: 'text',
    due: 'integer',
  },
  review: { rid: 'text', by: 'text', D: 'text', ev: 'json' },
  delegation: { id: 'text', from: 'text', to: 'text', D: 'text', ev: 'json' },
  expire: { rid: 'text', by: 'text', reason: 'text' },
  cancel: { rid: 'text', by: 'text', reason: 'text' },
  policy: { target: 'text', digest: 'text', source: 'text' },
  approver: {
    id: 'text',
    act: 'text',
    kid: 'text',
    form: 'text',
    jwk: 'json',
    line: 'text',
    breakglass: 'boolean',
  },
  prune: { first: 'integer', last: 'integer', size: 'integer', reason: 'text' },
  hb: {},
  key: { epoch: 'integer', kid: 'text', jwk: 'json', cert: 'text' },
  recover: { from: 'integer', to: 'integer', torn_len: 'integer', torn_sha: 'text' },
  gap: { reason: 'text', from: 'integer', to: 'integer', count: 'integer' },
  redact: { seqs: 'integers', indexes: 'integers', basis: 'text', by: 'text' },
};

type Member = (body: Readonly<Record<string, unknown>>, stamp: Stamp) => string;

/** The line of a record, without LF: canonical JSON. Throws TypeError on a value that is not of its member's form. */
export function encodeRecord(body: RecordBody, stamp: Stamp): string {
  // Two for every statement there is. What was moved to a blob is said by the general way.
  if (body.kind === 'stmt' && !('blobs' in body)) return encodeStatement(body, stamp);
  if (body.kind === 'outcome' && !('blobs' in body)) return encodeOutcome(body, stamp);
  let line = '';
  const given = body as unknown as Readonly<Record<string, unknown>>;
  for (const member of templates.get(body.kind)!) line += member(given, stamp);
  return `{${line.slice(1)}}`;
}

/** What has to be kept beside the log for a record too long for a line. `sha` is its SHA-256 in hex. */
export interface Blob {
  readonly sha: string;
  readonly bytes: Buffer;
}

/**
 * A body whose members longer than `charactersMax` are replaced by their beginning and a digest, and the blobs that
 * hold them whole. Used when the line would exceed `lineBytesMax`. The record's `blobs` maps name to length and digest.
 */
export function moveLongMembers(
  body: RecordBody,
  charactersMax: number,
): { body: RecordBody; blobs: Blob[] } {
  const blobs: Blob[] = [];
  const moved: Record<string, Moved> = {};
  const copy: Record<string, unknown> = { ...body };
  for (const [name, form] of Object.entries(forms[body.kind] as Readonly<Record<string, Form>>)) {
    const value = copy[name];
    if (
      value === undefined ||
      value === null ||
      form === 'integer' ||
      form === 'rounded' ||
      form === 'boolean'
    )
      continue;
    const text = form === 'text' ? (value as string) : canonical(value);
    if (text.length <= charactersMax) continue;
    const bytes = Buffer.from(text, 'utf8');
    const sha = hash('sha256', bytes, 'hex');
    blobs.push({ sha, bytes });
    moved[name] = { len: bytes.length, sha };
    // A cut between the halves of a surrogate pair would leave half a character.
    copy[name] = form === 'text' ? text.slice(0, charactersMax).toWellFormed() : undefined;
  }
  copy.blobs = moved;
  return { body: copy as unknown as RecordBody, blobs };
}

function template(kind: string, members: Readonly<Record<string, Form>>): Member[] {
  const all: Record<string, Member> = {
    boot: (_, stamp) => `,"boot":${canonicalString(stamp.boot)}`,
    kind: () => `,"kind":"${kind}"`,
    mono: (_, stamp) => `,"mono":${integer(stamp.mono)}`,
    node: (_, stamp) => `,"node":${canonicalString(stamp.node)}`,
    prev: (_, stamp) => `,"prev":"${stamp.prev}"`,
    seq: (_, stamp) => `,"seq":${integer(stamp.seq)}`,
    ts: (_, stamp) => `,"ts":${integer(stamp.ts)}`,
    v: () => ',"v":1',
    blobs: (body) => (body.blobs === undefined ? '' : `,"blobs":${canonical(body.blobs)}`),
  };
  for (const [name, form] of Object.entries(members)) all[name] = member(name, form);
  // Plain sort compares UTF-16 code units, which is JCS order.
  return Object.keys(all)
    .sort()
    .map((name) => all[name]!);
}

function member(name: string, form: Form): Member {
  const prefix = `,"${name}":`;
  const write = writers[form] as (value: unknown) => string;
  return (body) => {
    const value = body[name];
    if (value === undefined) return '';
    return value === null ? `${prefix}null` : prefix + write(value);
  };
}

const writers: Readonly<Record<Form, (value: never) => string>> = {
  text: canonicalString,
  integer,
  rounded: (value: number) => integer(Math.round(value)),
  boolean: (value: boolean) => (value ? 'true' : 'false'),
  texts: (value: readonly (string | null)[]) => `[${texts(value)}]`,
  integers: (value: readonly number[]) => `[${value.map(integer).join(',')}]`,
  json: canonical,
};

const templates = new Map<string, readonly Member[]>(
  Object.entries(forms).map(([kind, members]) => [kind, template(kind, members)]),
);
