// Notice: what people are told of a request, in words that can stand in a message. Text of an agent comes through
// `visible`, so that nothing in it hides or reorders, and is still an agent's text: how it is kept from being markup is
// the channel's. Values of parameters are left out: a message goes further than a page. Pure. audit-approval §17.10.

import type { Cascade, MeasuredEffect, RowCount } from '../approval/effect.ts';
import { type Lookalike, lookalikes } from '../approval/lookalike.ts';
import { matchCode } from '../approval/match-code.ts';
import type { IntactRequest } from '../approval/release.ts';
import type { Level } from '../approval/request.ts';
import { carriesSecret } from '../approval/request.ts';
import { visible, visibleLine } from '../approval/visible.ts';
import type { Environment } from '../policy/verdict.ts';
import type { RequestState, StoredRequest } from '../store/store.ts';

/** A request as a message tells of it. Times are milliseconds since the epoch. */
export interface Notice {
  readonly rid: string;
  readonly rd: string;
  readonly code: string;
  readonly state: RequestState;
  readonly agent: string;
  /** The people on whose behalf the agent works. */
  readonly onBehalfOf: readonly string[];
  readonly target: string;
  readonly environment: Environment;
  readonly database: string;
  /** Statements of the plan that is asked for; undefined for one text. */
  readonly plan: number | undefined;
  readonly commands: readonly string[];
  readonly relations: readonly string[];
  /** One line each: what was counted or estimated of what it touches; empty where nothing was measured. */
  readonly rows: readonly string[];
  readonly rule: string;
  readonly ruleReason: string;
  /** The agent's own words; undefined where it gave none. */
  readonly reason: string | undefined;
  /** The exact text, or the redacted one where it carries a secret. Not yet made visible. */
  readonly sql: string;
  readonly secret: boolean;
  /** Invisible or reordering characters in the first `lookedAtMax` of the text, and drawn ones beyond ASCII. */
  readonly hidden: number;
  readonly foreign: number;
  /** Words in it, or in the names, that are read as other words: a sentence each. */
  readonly lookalikes: readonly string[];
  readonly parameters: number;
  readonly created: number;
  readonly expires: number;
  readonly need: { readonly level: Level; readonly quorum: number };
  readonly approvals: readonly { readonly by: string; readonly level: string }[];
  /** One of them was by one person alone, in an emergency. */
  readonly emergency: boolean;
  /** Who ended it and with which words: a person's, the server's or ours. */
  readonly ending: { readonly by: string; readonly reason: string } | undefined;
  /** Its page, without anything that opens it. */
  readonly page: string;
}

/** Characters of a statement that are looked at: more than a message shows, and never a megabyte of them. */
const lookedAtMax = 4_000;
/** Names of objects told in a message; the rest are counted. */
const namesMax = 12;
const rowLinesMax = 6;
const lookalikesMax = 5;

/** The notice of a stored request whose digest was checked. `publicUrl` is what pages are addressed by. */
export function noticeOf(row: StoredRequest, intact: IntactRequest, publicUrl: string): Notice {
  const { request, rd } = intact;
  const looked = request.sql.slice(0, lookedAtMax);
  const { hidden, foreign } = visible(looked);
  const relations = [...new Set(request.statements.flatMap((statement) => statement.relations))];
  return {
    rid: request.rid,
    rd,
    code: matchCode(rd),
    state: row.state,
    agent: request.agent.id,
    onBehalfOf: request.agent.obo ?? [],
    target: request.db.target,
    environment: request.db.environment,
    database: request.db.name,
    plan: request.plan?.statements.length,
    commands: some([...new Set(request.statements.map((statement) => statement.command))]),
    relations: some(relations),
    rows: request.effect === undefined ? [] : rowLines(request.effect),
    rule: request.policy.rule,
    ruleReason: shortened(request.policy.reason, 500),
    reason: request.reason,
    sql: request.sql,
    secret: carriesSecret(request),
    hidden,
    foreign,
    lookalikes: lookalikes([looked, ...relations.slice(0, namesMax)].join('\n'), lookalikesMax).map(likeness),
    parameters: request.params.length,
    created: request.created,
    expires: request.exp,
    need: { level: request.need.level, quorum: request.need.quorum },
    approvals: row.votes
      .filter((vote) => vote.verdict === 'approve')
      .map(({ approver, level }) => ({ by: approver, level })),
    emergency: row.votes.some((vote) => vote.alone === true),
    ending: row.ending === null ? undefined : { by: row.ending.by, reason: row.ending.reason },
    page: `${publicUrl}/r/${request.rid}`,
  };
}

/** `DROP TABLE`, or `plan of 3 statements: CREATE TABLE, INSERT`. */
export function kindOf({ plan, commands }: Notice): string {
  const kinds = commands.join(', ');
  if (plan === undefined) return kinds;
  return `plan of ${plan} ${plan === 1 ? 'statement' : 'statements'}: ${kinds}`;
}

/** What stands in a list of messages: `claude: DROP TABLE public.orders on shop (production)`. */
export function headline(notice: Notice): string {
  const what = [kindOf(notice), notice.relations.join(', ')].filter((part) => part !== '');
  const text = `${notice.agent}: ${what.join(' ')} on ${notice.target} (${notice.environment})`;
  return text.length <= 200 ? text : `${text.slice(0, 199).toWellFormed()}…`;
}

/** What became of it, as one sentence without a person's or the server's own words; those are in `ending`. */
export function standing(notice: Notice): string {
  const { state, approvals, need, ending } = notice;
  const by = approvals.map((each) => `${visibleLine(each.by)} (${each.level})`).join(', ');
  const so = notice.emergency
    ? `Released by ${by} alone, in an emergency: somebody else has to review it.`
    : `Approved by ${by === '' ? 'nobody' : by}.`;
  switch (state) {
    case 'pending':
      return approvals.length === 0
        ? `Waiting for ${need.quorum === 1 ? 'a decision' : `${need.quorum} approvals`} of level ${need.level}.`
        : `${so} ${need.quorum - approvals.length} more needed, of level ${need.level}.`;
    case 'approved':
      return so;
    case 'consumed':
      return `${so} Released; no result yet.`;
    case 'executed':
      return `${so} Executed.`;
    case 'failed':
      return `${so} Failed.`;
    case 'unknown':
      return `${so} Released, but nobody can say what came of it.`;
    case 'rejected':
      return `Rejected by ${visibleLine(ending?.by ?? 'unknown')}.`;
    case 'expired':
      return 'Expired; nothing was released.';
    case 'canceled':
      return 'Withdrawn; nothing was released.';
  }
}

/** The words behind how it ended: the outcome with its command tag, a person's reason, why it was withdrawn. */
export function endingWords(notice: Notice): string | undefined {
  const { state, ending } = notice;
  if (ending === undefined || ending.reason === '' || state === 'expired') return undefined;
  return visibleLine(ending.reason);
}

function likeness({ word, like, codes }: Lookalike): string {
  const shown = `“${shortened(word, 40)}” (${codes.slice(0, 5).join(', ')})`;
  return like === null ? `${shown} mixes alphabets` : `${shown} is not “${shortened(like, 40)}”`;
}

function some(names: readonly string[]): string[] {
  const shown = names.slice(0, namesMax).map((name) => shortened(name));
  return names.length > namesMax ? [...shown, `and ${names.length - namesMax} more`] : shown;
}

/** On one line, with what it hides made visible, and cut. */
function shortened(name: string, charactersMax = 100): string {
  const line = visibleLine(name.slice(0, charactersMax).toWellFormed());
  if (name.length <= charactersMax && line.length <= charactersMax) return line;
  return `${line.slice(0, charactersMax - 1).toWellFormed()}…`;
}

function rowLines({ relations, cascades, dependents, refused }: MeasuredEffect): string[] {
  const own = relations.flatMap(({ name, does, touched }) =>
    touched === undefined ? [] : [`${does}: ${amount(touched)} of ${shortened(name)}`],
  );
  const along = cascades.flatMap((cascade) => taken(cascade));
  const lines = [...own, ...along];
  if (dependents.length > 0) {
    const what = `${dependents.length} dependent ${dependents.length === 1 ? 'object' : 'objects'}`;
    lines.push(refused === true ? `${what} in its way` : `${what} with it`);
  }
  if (lines.length <= rowLinesMax) return lines;
  return [...lines.slice(0, rowLinesMax - 1), `and ${lines.length - rowLinesMax + 1} more: see the page`];
}

function taken({ relation, action, touched, stops }: Cascade): string[] {
  if (touched === undefined || touched.rows === 0) return [];
  const what = `${amount(touched)} of ${shortened(relation)}`;
  return [stops === true ? `${what} stop it (${action})` : `${what} by ${action}`];
}

function amount({ rows, how }: RowCount): string {
  const number = `${rows.toLocaleString('en-US')} ${rows === 1 ? 'row' : 'rows'}`;
  const words = { count: '', estimate: 'about ', 'at-least': 'at least ', 'at-most': 'at most ' };
  return words[how] + number;
}
