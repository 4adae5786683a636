// Frequent: the bytes of the two records that every statement makes, spelled out member by member in the order of the
// canonical form. What line.ts does for any kind takes four times as long, and most of what a read costs the log is this.
// Pure; that it says exactly what the general way says is tested.

import { canonicalString } from '../../verify/src/jcs.ts';
import type { RecordBody, Stamp, StatementBody } from './record.ts';
import { growing, integer, opening, saying, sayingList, sayingMany } from './words.ts';

type OutcomeBody = Extract<RecordBody, { kind: 'outcome' }>;

/** The line of a `stmt`, without LF. Throws TypeError on a value that is not of its member's form. */
export function encodeStatement(body: StatementBody, stamp: Stamp): string {
  const said = saidOf(body, stamp);
  return `${said.len}${integer(body.len)}${said.mono}${mono(stamp.mono)},"n":${integer(body.n)}${said.pc}${pc(body.pc)},"prev":"${stamp.prev}"${said.seq}${integer(stamp.seq)}${said.sid}${sid(body.sid)}${said.ts}${ts(stamp.ts)}${said.end}`;
}

/** What a statement says that the next one of its text says too as a rule, in pieces: each stands in front of the member it is named by. */
interface Said {
  readonly body: StatementBody;
  readonly boot: string;
  readonly node: string;
  readonly len: string;
  readonly mono: string;
  readonly pc: string;
  readonly seq: string;
  readonly sid: string;
  readonly ts: string;
  readonly end: string;
}

function saidOf(body: StatementBody, { boot, node }: Stamp): Said {
  const text = body.sql ?? '';
  const before = saids.get(text);
  if (isSaid(before, body, boot, node)) return before;
  const said = say(body, boot, node);
  if (saids.size >= saidsMax) saids.clear();
  saids.set(text, said);
  return said;
}

/** To compare what is the same string or list takes no longer than to compare two numbers. */
function isSaid(before: Said | undefined, body: StatementBody, boot: string, node: string): before is Said {
  if (before === undefined) return false;
  const { body: last } = before;
  return (
    last.sql === body.sql &&
    last.sha === body.sha &&
    last.agent === body.agent &&
    last.cls === body.cls &&
    last.cmd === body.cmd &&
    last.db === body.db &&
    last.dc === body.dc &&
    last.dec === body.dec &&
    last.effects === body.effects &&
    last.lits === body.lits &&
    last.mac === body.mac &&
    last.params === body.params &&
    last.proto === body.proto &&
    last.reason === body.reason &&
    last.rid === body.rid &&
    last.role === body.role &&
    last.rule === body.rule &&
    last.shadow === body.shadow &&
    last.target === body.target &&
    last.tx === body.tx &&
    before.boot === boot &&
    before.node === node
  );
}

function say(body: StatementBody, boot: string, node: string): Said {
  return {
    body,
    boot,
    node,
    len:
      words.agent(body.agent) +
      words.boot(boot) +
      words.cls(body.cls) +
      words.cmd(body.cmd) +
      words.db(body.db) +
      words.dc(body.dc) +
      words.dec(body.dec) +
      words.effects(body.effects) +
      ',"kind":"stmt","len":',
    mono: `${words.lits(body.lits)}${words.mac(body.mac)},"mono":`,
    pc: words.node(node) + words.params(body.params),
    seq:
      words.proto(body.proto) +
      words.reason(body.reason) +
      words.rid(body.rid) +
      words.role(body.role) +
      words.rule(body.rule) +
      ',"seq":',
    sid: words.sha(body.sha) + words.shadow(body.shadow),
    ts: `${words.sql(body.sql)}${words.target(body.target)},"ts":`,
    end: `${words.tx(body.tx)},"v":1}`,
  };
}

/** The line of an `outcome`, without LF. Throws TypeError on a value that is not of its member's form. */
export function encodeOutcome(body: OutcomeBody, stamp: Stamp): string {
  return (
    ended.boot(stamp.boot) +
    `,"dur_us":${integer(Math.round(body.dur_us))},"kind":"outcome","mono":${mono(stamp.mono)}` +
    ended.node(stamp.node) +
    `,"prev":"${stamp.prev}","ref":${integer(body.ref)}` +
    ended.rid(body.rid) +
    (body.rows === undefined ? '' : `,"rows":${integer(body.rows)}`) +
    `,"seq":${integer(stamp.seq)}` +
    ended.sqlstate(body.sqlstate) +
    ended.st(body.st) +
    ended.tags(body.tags) +
    `,"ts":${ts(stamp.ts)},"v":1}`
  );
}

/** What stands between the values of the lines of one statement's records, for whoever makes many of them. */
export interface Spelling {
  /** Of a `stmt`: between `len`, `mono`, `n`, the commitments (with their name, or nothing), `seq` and `ts`. */
  readonly stmt: readonly string[];
  /** Of the `outcome` of one that went well: between `dur_us`, `mono`, `ref`, `rows`, `seq`, the end of its tag and `ts`. */
  readonly outcome: readonly string[];
}

/** With the LF at the end. `tag`: how its command tag begins. `len`, `pc` and `n` of the body, `seq` and the times of the stamp count for nothing. */
export function spelling(body: StatementBody, tag: string, { boot, node, prev }: Stamp): Spelling {
  const said = say(body, boot, node);
  const stmt = [
    said.len,
    said.mono,
    ',"n":',
    said.pc,
    `,"prev":"${prev}"${said.seq}`,
    said.sid + sid(body.sid) + said.ts,
    `${said.end}\n`,
  ];
  const outcome = [
    `${ended.boot(boot)},"dur_us":`,
    ',"kind":"outcome","mono":',
    `${ended.node(node)},"prev":"${prev}","ref":`,
    ',"rows":',
    ',"seq":',
    `${ended.st('ok')},"tags":[${canonicalString(tag).slice(0, -1)}`,
    '"],"ts":',
    ',"v":1}\n',
  ];
  return { stmt, outcome };
}

/**
 * UTF-16 units of the texts that a record says. NaN where making its line may throw, or where nobody can say before it is
 * made: then it is to be made at once.
 */
export function textLength(body: RecordBody): number {
  if (body.kind === 'outcome')
    return (
      length(body.rid) +
      length(body.st) +
      length(body.sqlstate) +
      lengths(body.tags) +
      whole(body.ref) +
      (body.rows === undefined ? 0 : whole(body.rows)) +
      whole(Math.round(body.dur_us))
    );
  if (body.kind !== 'stmt' || 'blobs' in body) return Number.NaN;
  return (
    length(body.sid) +
    (typeof body.agent === 'string' ? body.agent.length : Number.NaN) +
    length(body.target) +
    length(body.db) +
    length(body.role) +
    length(body.tx) +
    length(body.proto) +
    length(body.cls) +
    lengths(body.cmd) +
    lengths(body.effects) +
    length(body.dec) +
    length(body.dc) +
    length(body.rule) +
    length(body.reason) +
    length(body.shadow) +
    length(body.sql) +
    length(body.sha) +
    lengths(body.lits) +
    lengths(body.pc) +
    lengths(body.params) +
    length(body.mac) +
    length(body.rid) +
    whole(body.n) +
    whole(body.len)
  );
}

/** UTF-16 units that a line with so much text cannot exceed. */
export function lineLengthMax(textLength: number): number {
  return frameMax + escapedMax * textLength;
}

/** What a line says beside its texts at most: names of members, marks, numbers, the stamp. An origin has 253 at most. */
const frameMax = 3000;
/** `\u0000`: what one unit may become. */
const escapedMax = 6;

function length(text: string | null | undefined): number {
  if (text === undefined || text === null) return 0;
  return typeof text === 'string' ? text.length : Number.NaN;
}

/** Each with a unit for its quotes and comma. */
function lengths(list: readonly (string | null)[] | undefined): number {
  if (list === undefined) return 0;
  if (!Array.isArray(list)) return Number.NaN;
  let sum = 0;
  for (let at = 0; at < list.length; at += 1) sum += length(list[at]) + 1;
  return sum;
}

function whole(value: number): number {
  return Number.isSafeInteger(value) ? 0 : Number.NaN;
}

const mono = growing();
const ts = growing();

/** Of the last statement of each text. */
const saids = new Map<string, Said>();
/** Texts for which it is remembered; then all are forgotten. */
const saidsMax = 64;
const sid = sayingMany('sid');
const pc = sayingList('pc');

const words = {
  agent: opening('agent'),
  boot: saying('boot'),
  cls: saying('cls'),
  cmd: sayingList('cmd'),
  db: saying('db'),
  dc: saying('dc'),
  dec: saying('dec'),
  effects: sayingList('effects'),
  lits: sayingList('lits'),
  mac: saying('mac'),
  node: saying('node'),
  params: sayingList('params'),
  proto: saying('proto'),
  reason: saying('reason'),
  rid: saying('rid'),
  role: saying('role'),
  rule: saying('rule'),
  sha: saying('sha'),
  shadow: saying('shadow'),
  sql: saying('sql'),
  target: saying('target'),
  tx: saying('tx'),
};

const ended = {
  boot: opening('boot'),
  node: saying('node'),
  rid: saying('rid'),
  sqlstate: saying('sqlstate'),
  st: saying('st'),
  tags: sayingList('tags'),
};
