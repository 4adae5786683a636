// Planner: a plan as an agent hands it in, made into a request: split by PostgreSQL's parser, explained by the target's
// catalog, judged by its rules, before anything of it is sent. Opens one short connection to learn which database it is
// for and what a fresh session there finds. Refuses to know who decides and how a plan comes to run (escort.ts).
// audit-approval §16.6.

import { bareText, planOf, planStatementsMax, planText } from '../approval/plan.ts';
import {
  buildRequest,
  type Request,
  type RequestStatement,
  ridFrom,
  wireDigest,
} from '../approval/request.ts';
import { HoldpointError } from '../errors.ts';
import { decide, strongest } from '../policy/decide.ts';
import type { Actor, Need, Verdict } from '../policy/verdict.ts';
import { unenclosable } from '../session/enclosable.ts';
import { explained } from '../session/meaning.ts';
import { resetsAll, restsOn, Settings } from '../session/settings.ts';
import type { Analyzer } from '../sql/parse.ts';
import type { Analysis, Statement } from '../sql/statement.ts';
import { catalogOf } from './catalog-of.ts';
import { describe, shownStatement } from './description.ts';
import type { Target } from './listener.ts';
import { jointNeed } from './need.ts';
import { type Privacy, veilOf } from './recording.ts';
import { connectUpstream, type Upstream } from './upstream.ts';

export interface PlannerOptions {
  readonly targets: ReadonlyMap<string, Target>;
  readonly analyzer: Pick<Analyzer, 'analyze'>;
  readonly node: string;
  readonly boot: string;
  readonly publicUrl: string;
  /** Wall clock, milliseconds since the epoch. */
  readonly now: () => number;
  readonly random: (bytes: number) => Buffer;
  readonly privacy: Privacy;
}

/** A plan that an agent hands in. `texts` are untrusted; each may hold several statements. */
export interface HandedIn {
  /** Authenticated, and admitted to that target. */
  readonly agent: string;
  /** The people whose work the agent does. */
  readonly obo: readonly string[];
  readonly target: string;
  readonly access: 'read-write' | 'read-only';
  readonly texts: readonly string[];
  /** The agent's own words. */
  readonly reason: string | undefined;
}

interface Part {
  readonly sql: string;
  /** With its values lifted. */
  readonly lifted: string;
  readonly facts: Statement;
}

export class Planner {
  readonly #options: PlannerOptions;

  constructor(options: PlannerOptions) {
    this.#options = options;
  }

  /** The request of a plan. Throws `bad-request`, `syntax`, `denied`, or why the target cannot be reached. */
  async request(plan: HandedIn): Promise<Request> {
    const target = this.#options.targets.get(plan.target);
    if (target === undefined) throw refused('not-found', `there is no target ${plan.target}`);
    const parts = await this.#split(plan.texts);
    for (const [at, { facts }] of parts.entries()) requirePlannable(facts, at + 1);
    const upstream = await connectUpstream(
      target.address,
      [...freshSettings],
      target.admitOwn ?? target.admit,
    );
    upstream.socket.destroy();
    const settings = new Settings(target.address.user, upstream.parameters);
    const statements = await this.#explain(target, upstream, settings, parts);
    const { agent, access } = plan;
    const actor: Actor = {
      agent,
      target: target.name,
      environment: target.environment,
      ...(access === 'read-only' && { access }),
    };
    return this.#request(plan, target, upstream, settings, parts, this.#judged(target, actor, statements));
  }

  async #split(texts: readonly string[]): Promise<Part[]> {
    const parts: Part[] = [];
    for (const [at, text] of texts.entries()) {
      const where = texts.length === 1 ? '' : `text ${at + 1}, `;
      const bytes = Buffer.from(text, 'utf8');
      const analysis = await this.#options.analyzer.analyze(bytes);
      if (analysis.kind !== 'statements') throw unreadable(analysis, text, where);
      for (const facts of analysis.statements) parts.push({ ...this.#texts(bytes, facts), facts });
      if (parts.length > planStatementsMax)
        throw refused('too-large', `a plan has at most ${planStatementsMax} statements`);
    }
    if (parts.length === 0) throw refused('bad-request', 'the plan holds no statement');
    return parts;
  }

  #texts(bytes: Buffer, facts: Statement): Pick<Part, 'sql' | 'lifted'> {
    const own = bytes.subarray(facts.start, facts.end);
    const statement = { ...facts, start: 0, end: own.length };
    const { comments } = this.#options.privacy;
    const { sql } = describe([statement], own, { values: 'lifted', comments });
    return { sql: bareText(own.toString('utf8')), lifted: bareText(sql) };
  }

  /** What the names in it mean in the target's database now, one statement after the other. */
  async #explain(
    target: Target,
    { identity }: Upstream,
    settings: Settings,
    parts: readonly Part[],
  ): Promise<readonly Statement[]> {
    target.catalog.enter(identity);
    try {
      const catalog = catalogOf(target.catalog, identity);
      await catalog.pending;
      await catalog.refresh();
      return explained(
        parts.map(({ facts }) => facts),
        [],
        catalog.reach,
        settings,
      );
    } finally {
      target.catalog.leave();
    }
  }

  /** What the rules say of all of it. A statement that they deny refuses the plan. */
  #judged(target: Target, actor: Actor, statements: readonly Statement[]): Judged {
    const policy = target.policy();
    let need: Need | undefined;
    let held: Verdict | undefined;
    let count = 0;
    for (const [at, statement] of statements.entries()) {
      const verdict = decide(policy, [statement], actor);
      if (verdict.action === 'deny') {
        const { rule, reason } = verdict;
        throw refused(
          'denied',
          `statement ${at + 1} (${statement.command}) is denied by rule "${rule}": ${reason}`,
        );
      }
      need = strongest(need, verdict.need);
      if (verdict.action !== 'hold') continue;
      held ??= verdict;
      count += 1;
    }
    const rule = held?.rule ?? 'plan';
    const words = `a plan of ${statements.length}, of which ${count} would be held one by one`;
    const reason = held === undefined ? words : `${words}; the first: ${held.reason}`;
    return { statements, need, policy: { digest: policy.digest, rule, reason } };
  }

  #request(
    plan: HandedIn,
    target: Target,
    upstream: Upstream,
    settings: Settings,
    parts: readonly Part[],
    { statements, need, policy }: Judged,
  ): Request {
    const { node, boot, publicUrl, now, random, privacy } = this.#options;
    const lifted = parts.map((part) => part.lifted);
    const blind = { params: [], wire: random(16).toString('base64url') };
    const shown: RequestStatement[] = statements.map(shownStatement);
    const made = planOf(shown.map((one, at) => ({ ...one, sql: parts[at]!.sql })));
    const { address } = target;
    const created = now();
    const rid = ridFrom(random(16));
    const request = buildRequest(
      {
        rid,
        aud: publicUrl,
        created,
        exp: created + target.hold.expiresMs,
        node,
        boot,
        sid: '',
        n: 0,
        agent: { id: plan.agent, auth: 'scram-sha-256', ...(plan.obo.length > 0 && { obo: [...plan.obo] }) },
        db: {
          target: target.name,
          environment: target.environment,
          name: address.database,
          addr: `${address.host}:${address.port}`,
          version: upstream.parameters.get('server_version') ?? '',
          systemId: upstream.identity.systemIdentifier ?? null,
        },
        user: address.user,
        role: address.user,
        state: { searchPath: settings.searchPath, settings: settings.meaning },
        tx: { status: 'I', statements: 0 },
        proto: 'simple',
        sql: planText(parts.map(({ sql }) => sql)),
        statements: shown,
        plan: made,
        wire: privacy.values === 'clear' ? made.root : wireDigest([Buffer.from(made.root)], blind),
        policy,
        need: jointNeed(target.approval, need),
        ...(plan.reason === undefined ? {} : { reason: plan.reason }),
        ...(privacy.values !== 'clear' && { veil: veilOf(privacy, planText(lifted), lifted) }),
      },
      { params: [] },
    );
    // No retry of a single text may ever equal it.
    return { ...request, match: rid };
  }
}

interface Judged {
  readonly statements: readonly Statement[];
  readonly need: Need | undefined;
  readonly policy: Request['policy'];
}

/** What every session of ours begins with. */
const freshSettings = [
  ['client_encoding', 'UTF8'],
  ['standard_conforming_strings', 'on'],
] as const;

/** Throws for a statement that only makes sense in one session, or that moves what later ones rest on. */
function requirePlannable(facts: Statement, at: number): void {
  const which = `statement ${at} (${facts.command})`;
  if (facts.secret) throw refused('bad-request', `${which} carries a secret; send it by itself`);
  if (facts.names.length > 0)
    throw refused(
      'bad-request',
      `${which} uses the name of a prepared statement or cursor, which belongs to a session; write out what it runs`,
    );
  if (facts.command === 'COPY' && unenclosable([facts], { kind: 'read-only' }) !== undefined)
    throw refused(
      'bad-request',
      `${which} takes data from the client, which nobody could be shown; use INSERT`,
    );
  const moved = facts.settings.find(({ name }) => restsOn(name))?.name;
  if (moved !== undefined || facts.effects.includes('role') || resetsAll(facts))
    throw refused(
      'bad-request',
      `${which} changes ${moved ?? 'the role or all settings'}, which the statements behind it rest on; qualify their names, or send it by itself`,
    );
}

function unreadable(
  analysis: Exclude<Analysis, { kind: 'statements' }>,
  text: string,
  where: string,
): HoldpointError {
  if (analysis.kind === 'refused') return refused(analysis.code, `${where}${analysis.message}`);
  const { message, position } = analysis;
  if (position === undefined) return refused('syntax', `${where}${message}`);
  const characters = [...text];
  const before = characters.slice(0, position - 1).join('');
  const line = before.split('\n').length;
  if (characters[position - 1] === '\\') {
    const word = /^\\\S*/.exec(characters.slice(position - 1).join(''))?.[0] ?? '\\';
    return refused(
      'bad-request',
      `${where}line ${line}: ${word} is a command of psql, not of the database; a plan holds SQL alone`,
    );
  }
  return refused('syntax', `${where}line ${line}: ${message}`);
}

function refused(code: HoldpointError['code'], message: string): HoldpointError {
  return new HoldpointError(code, message.slice(0, 1000).toWellFormed());
}
