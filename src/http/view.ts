// View: a request as JSON for the one who reads it. An approver and the holder of a link see all that will run, with its
// parameters; an agent sees its own words and what became of them, and nothing that helps to decide. Pure.

import type { Decision } from '../approval/decision.ts';
import type { MeasuredEffect } from '../approval/effect.ts';
import { linkApprover } from '../approval/evidence.ts';
import { matchCode } from '../approval/match-code.ts';
import { parameterText } from '../approval/parameter.ts';
import type { IntactRequest } from '../approval/release.ts';
import { carriesSecret, type Plan, phraseOf, requestOpening, requestText } from '../approval/request.ts';
import type { VeilOpening } from '../approval/veil.ts';
import { type VisibleText, visible, visibleLine } from '../approval/visible.ts';
import type { StoredRequest } from '../store/store.ts';
import type { Reader } from './access.ts';

/** What everybody who may know of the request may know. Times are ISO 8601. */
export interface Summary {
  id: string;
  state: string;
  created: string;
  expires: string;
  agent: string;
  target: string;
  environment: string;
  commands: string[];
  relations: string[];
  rule: string;
  ruleReason: string;
  need: { level: string; quorum: number };
  approvals: { by: string; at: string; level: string }[];
  ending: { by: string; reason: string; at: string } | null;
}

export interface ParameterView {
  type: string;
  note: string;
  bytes: number;
  value: VisibleText;
}

/** All of it, for somebody who may decide. */
export interface FullView extends Summary {
  /** The server's clock, to count down by. */
  now: string;
  /** R as it is digested, and its digest: whoever signs should compute it again. */
  request: string;
  digest: string;
  /** Six characters that follow from the digest, to compare with the message that asked. */
  code: string;
  /** What it would touch, as it was measured; null where it was not. */
  effect: MeasuredEffect | null;
  sql: VisibleText;
  sqlBytes: number;
  /** The text carries a secret, and `sql` is the text without it. */
  secret: boolean;
  statements: { command: string; effects: string[]; relations: string[]; why: string[] }[];
  /** Set for a plan: the text of each of `statements`, in the order in which they will run, and what names them all. */
  plan: { texts: VisibleText[]; root: string } | null;
  /** What of its rows an approval may bound: `all` that it changes, its `own` without what follows from them, or none. */
  counts: 'all' | 'own' | null;
  /** An approval may cover statements of the same shape as well. */
  similar: boolean;
  /** What an approval that covers such statements was used for so far; null if none does, or it has ended. */
  grant: { until: string; uses: number; rows: number } | null;
  database: string;
  /** Where it is, and its system identifier; null where the server does not tell it. */
  server: { address: string; systemIdentifier: string | null };
  user: string;
  role: string | null;
  searchPath: string | null;
  settings: Record<string, string>;
  transaction: { status: string; statements: number };
  protocol: string;
  /** The agent's own words; untrusted. */
  reason: VisibleText | null;
  /** Undefined once the values are gone. */
  parameters: ParameterView[] | undefined;
  /** What opens the commitment in `request` to the texts that were shown; null where they stand in it, or are gone. */
  opening: VeilOpening | null;
  /** Salts and values behind R's commitments, base64url. */
  values: { salt: string; value: string | null }[] | undefined;
  /** What may be signed by this reader, but for verdict and reason; null when nothing can be decided any more. */
  draft: Omit<Decision, 'verdict' | 'reason'> | null;
  /** Set where this reader's link may decide: what has to be typed. */
  phrase: string | null;
}

const seen = (ms: number): string => new Date(ms).toISOString();

export function summary(row: StoredRequest, intact: IntactRequest): Summary {
  const { request } = intact;
  return {
    id: row.rid,
    state: row.state,
    created: seen(request.created),
    expires: seen(request.exp),
    agent: request.agent.id,
    target: request.db.target,
    environment: request.db.environment,
    commands: request.statements.map((statement) => visibleLine(statement.command)),
    relations: [...new Set(request.statements.flatMap((statement) => statement.relations))].map(visibleLine),
    rule: request.policy.rule,
    ruleReason: visibleLine(request.policy.reason),
    need: { level: request.need.level, quorum: request.need.quorum },
    approvals: row.votes
      .filter((vote) => vote.verdict === 'approve')
      .map((vote) => ({ by: vote.approver, at: seen(vote.at), level: vote.level })),
    ending: row.ending && {
      by: row.ending.by,
      reason: visibleLine(row.ending.reason),
      at: seen(row.ending.at),
    },
  };
}

/** The view of an approver or of a link. `now` is milliseconds since the epoch. */
export function fullView(
  row: StoredRequest,
  intact: IntactRequest,
  reader: Exclude<Reader, { kind: 'agent' }>,
  now: number,
): FullView {
  const { request, values } = intact;
  const byLink = reader.kind === 'link';
  const linkMay = request.db.environment === 'development' && request.need.level === 'link';
  const open = row.state === 'pending' && now < request.exp && (!byLink || linkMay);
  return {
    ...summary(row, intact),
    now: seen(now),
    request: requestText(request),
    digest: intact.rd,
    code: matchCode(intact.rd),
    effect: request.effect ?? null,
    sql: visible(request.sql),
    sqlBytes: Buffer.byteLength(request.sql),
    secret: carriesSecret(request),
    // Names come from the text: a quoted identifier can hold any character.
    statements: request.statements.map((one) => ({
      command: visibleLine(one.command),
      effects: one.effects,
      relations: one.relations.map(visibleLine),
      why: one.why.map(visibleLine),
    })),
    plan: request.plan === undefined ? null : planView(request.plan),
    counts: request.counts ?? null,
    similar: request.shape !== undefined && request.once !== true,
    grant: row.grant && { until: seen(row.grant.until), uses: row.grant.uses, rows: row.grant.rows },
    database: request.db.name,
    server: { address: request.db.addr, systemIdentifier: request.db.systemId },
    user: request.user,
    role: request.role === null ? null : visibleLine(request.role),
    searchPath: request.state.searchPath === null ? null : visibleLine(request.state.searchPath),
    settings: Object.fromEntries(
      Object.entries(request.state.settings).map(([name, value]) => [visibleLine(name), visibleLine(value)]),
    ),
    transaction: request.tx,
    protocol: request.proto,
    reason: request.reason === undefined ? null : visible(request.reason),
    parameters: values?.params.map((param) => {
      const { type, note, text } = parameterText(param.oid, param.format, param.value);
      return { type, note, bytes: param.value?.length ?? -1, value: visible(text) };
    }),
    opening: requestOpening(request) ?? null,
    values: values?.params.map((param) => ({
      salt: param.salt,
      value: param.value === null ? null : param.value.toString('base64url'),
    })),
    draft: open
      ? {
          typ: 'holdpoint.decision.v1',
          aud: request.aud,
          rid: request.rid,
          rd: intact.rd,
          approver: byLink ? linkApprover(reader.jti) : reader.name,
          level: byLink ? 'link' : 'key',
          nonce: intact.nonce,
          nbf: now,
          exp: request.exp,
        }
      : null,
    phrase: open && byLink ? phraseOf(request) : null,
  };
}

function planView({ statements, root }: Plan): NonNullable<FullView['plan']> {
  return { texts: statements.map(({ sql }) => visible(sql)), root };
}

/** What an agent sees of its own request. `plan`: what each statement was taken for. */
export interface AgentView extends Summary {
  sql: string;
  plan: { statements: { command: string; sql: string }[]; root: string } | null;
}

export function agentView(row: StoredRequest, intact: IntactRequest): AgentView {
  const { sql, plan } = intact.request;
  const shown = plan && {
    statements: plan.statements.map((one) => ({ command: one.command, sql: one.sql })),
    root: plan.root,
  };
  return { ...summary(row, intact), sql, plan: shown ?? null };
}
