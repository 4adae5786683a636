// Frequent: the bytes of the two records that every statement makes, spelled out member by member in the order of the
// canonical form. What line.ts does for any kind takes four times as long, and most of what a read costs the log is this.
// Pure; that it says exactly what the general way says is tested.

import type { RecordBody, Stamp, StatementBody } from './record.ts';
import { integer, opening, saying, sayingList } from './words.ts';

type OutcomeBody = Extract<RecordBody, { kind: 'outcome' }>;

/** The line of a `stmt`, without LF. Throws TypeError on a value that is not of its member's form. */
export function encodeStatement(body: StatementBody, stamp: Stamp): string {
  return (
    said.agent(body.agent) +
    said.boot(stamp.boot) +
    said.cls(body.cls) +
    said.cmd(body.cmd) +
    said.db(body.db) +
    said.dc(body.dc) +
    said.dec(body.dec) +
    said.effects(body.effects) +
    `,"kind":"stmt","len":${integer(body.len)}` +
    said.lits(body.lits) +
    said.mac(body.mac) +
    `,"mono":${integer(stamp.mono)},"n":${integer(body.n)}` +
    said.node(stamp.node) +
    said.params(body.params) +
    said.pc(body.pc) +
    `,"prev":"${stamp.prev}"` +
    said.proto(body.proto) +
    said.reason(body.reason) +
    said.rid(body.rid) +
    said.role(body.role) +
    said.rule(body.rule) +
    `,"seq":${integer(stamp.seq)}` +
    said.sha(body.sha) +
    said.shadow(body.shadow) +
    said.sid(body.sid) +
    said.sql(body.sql) +
    said.target(body.target) +
    `,"ts":${integer(stamp.ts)}` +
    said.tx(body.tx) +
    ',"v":1}'
  );
}

/** The line of an `outcome`, without LF. Throws TypeError on a value that is not of its member's form. */
export function encodeOutcome(body: OutcomeBody, stamp: Stamp): string {
  return (
    ended.boot(stamp.boot) +
    `,"dur_us":${integer(Math.round(body.dur_us))},"kind":"outcome","mono":${integer(stamp.mono)}` +
    ended.node(stamp.node) +
    `,"prev":"${stamp.prev}","ref":${integer(body.ref)}` +
    ended.rid(body.rid) +
    (body.rows === undefined ? '' : `,"rows":${integer(body.rows)}`) +
    `,"seq":${integer(stamp.seq)}` +
    ended.sqlstate(body.sqlstate) +
    ended.st(body.st) +
    ended.tags(body.tags) +
    `,"ts":${integer(stamp.ts)},"v":1}`
  );
}

const said = {
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
  pc: sayingList('pc'),
  proto: saying('proto'),
  reason: saying('reason'),
  rid: saying('rid'),
  role: saying('role'),
  rule: saying('rule'),
  sha: saying('sha'),
  shadow: saying('shadow'),
  sid: saying('sid'),
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
