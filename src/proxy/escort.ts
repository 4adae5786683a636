// Escort: one session on its way through a plan. Takes the plan when its first statement comes, says of each gate whether
// it is the next one, and ends the plan at the first difference, failure or doubt. Refuses to know frames, what stands in
// the store and how a release is proved. audit-approval §16.6; invariants B4, B6.

import type { Grant } from '../approval/hold.ts';
import { PlanRun } from '../approval/plan.ts';
import type { TakenPlan, WaitingPlan } from '../approval/plans.ts';
import type { Plan, PlanStatement, Request } from '../approval/request.ts';
import { HoldpointError } from '../errors.ts';
import type { Actor } from '../policy/verdict.ts';
import type { Gate, OutcomeState } from '../session/gate.ts';
import type { Settings } from '../session/settings.ts';
import type { Escort, Stand } from '../session/step.ts';
import type { Effect } from '../sql/statement.ts';
import type { ParkingEnd } from './parking.ts';

/** What the desk offers of plans. */
export interface EscortPlans {
  waiting(agent: string, target: string): readonly WaitingPlan[];
  take(rid: string): Promise<TakenPlan | undefined>;
  use(plan: TakenPlan, ref: number, steps: readonly number[]): Grant;
  /** Never rejects. */
  over(plan: TakenPlan, end: NonNullable<PlanRun['end']>): Promise<void>;
}

export interface EscortOptions {
  readonly plans: EscortPlans;
  readonly actor: Actor;
  readonly user: string;
  /** The database that the session is in. */
  readonly db: Pick<Request['db'], 'name' | 'systemId'>;
  readonly settings: () => Settings;
  readonly policyDigest: () => string;
  /** Wall clock, milliseconds since the epoch. */
  readonly now: () => number;
}

interface Way {
  readonly plan: TakenPlan;
  readonly run: PlanRun;
  readonly timer: NodeJS.Timeout;
  /** The last gate that was let through. */
  last: Gate | undefined;
  /** A statement of the plan changed definitions: names mean from then on what the plan made of them. */
  defined: boolean;
}

/** After these, names may stand for something else than was shown. */
const defining: ReadonlySet<Effect> = new Set<Effect>([
  'create',
  'alter',
  'drop',
  'grant',
  'code',
  'function',
  'temporary',
  'administer',
  'unknown',
]);

/** Node's timers overflow above this and fire at once. */
const timerMsMax = 2_147_000_000;

export class PlanEscort implements Escort {
  readonly #options: EscortOptions;
  #way: Way | undefined;
  /** Which statements of the plan a gate is, until its outcome is certain. */
  readonly #steps = new Map<Gate, readonly number[]>();
  /** Plans that could not be had: their statements are judged like any others. */
  readonly #missed = new Set<string>();
  #ended = false;

  constructor(options: EscortOptions) {
    this.#options = options;
  }

  get idle(): boolean {
    const { plans, actor } = this.#options;
    return this.#way === undefined && plans.waiting(actor.agent, actor.target).length === 0;
  }

  meets(gate: Gate, stand: Stand): ReturnType<Escort['meets']> {
    if (this.#way !== undefined) return this.#onward(this.#way, gate, stand.mayWait);
    const waiting = this.#waitingFor(gate);
    if (waiting === undefined) return 'other';
    if (stand.position === 'wait') return stand.mayWait ? 'wait' : 'other';
    if (stand.position !== 'idle' || this.#difference(waiting.request) !== undefined) return 'other';
    if (!this.#options.settings().comparable([])) return 'other';
    return { ready: this.#take(waiting.rid) };
  }

  executes(gate: Gate | undefined): void {
    if (gate !== undefined && (this.#steps.has(gate) || readsOnly(gate))) return;
    this.#stop('a portal was executed that is none of its statements');
  }

  refuses(error: HoldpointError): void {
    this.#stop(`a statement was refused: ${error.message}`);
  }

  /** True if the gate is let through as part of a plan. */
  escorts(gate: Gate): boolean {
    return this.#steps.has(gate);
  }

  /** The parked gate is what `meets` called next: it is released at once; undefined if it is none. */
  release(gate: Gate): Escorted | undefined {
    const way = this.#way;
    const steps = way?.run.next(textsOf(gate) ?? []);
    if (way === undefined || steps === undefined || !way.run.answered) return undefined;
    way.run.begin(steps);
    way.last = gate;
    for (const { effects } of gate.statements) way.defined ||= effects.some((effect) => defining.has(effect));
    this.#steps.set(gate, steps);
    return new Escorted(way.plan.rid, () => this.#options.plans.use(way.plan, gate.ref, steps));
  }

  /** The gate's outcome is certain. */
  finished(gate: Gate, st: OutcomeState, why: string): void {
    const steps = this.#steps.get(gate);
    this.#steps.delete(gate);
    const way = this.#way;
    if (steps === undefined || way === undefined) return;
    const undone = gate.tags.includes('ROLLBACK') && !gate.statements.some(rollsBack);
    if (st === 'ok' && !undone) way.run.succeed(steps);
    else way.run.stop(undone ? 'its transaction was rolled back' : `${words[st]}${why}`, steps);
    this.#conclude();
  }

  /** The session is over. */
  ended(): void {
    this.#ended = true;
    this.#stop('its session ended');
  }

  #waitingFor(gate: Gate): WaitingPlan | undefined {
    const { plans, actor } = this.#options;
    const texts = textsOf(gate);
    if (texts === undefined) return undefined;
    return plans
      .waiting(actor.agent, actor.target)
      .find(
        ({ rid, request }) => !this.#missed.has(rid) && new PlanRun(request.plan).next(texts) !== undefined,
      );
  }

  async #take(rid: string): Promise<void> {
    const plan = await this.#options.plans.take(rid).catch(() => undefined);
    // Whatever the store said before, only what was signed counts now.
    const why = plan === undefined ? undefined : this.#difference(plan.request);
    if (plan === undefined) {
      this.#missed.add(rid);
      return;
    }
    const leftMs = Math.max(0, plan.request.exp - this.#options.now());
    const timer = setTimeout(() => this.#stop('its time ran out'), Math.min(leftMs, timerMsMax));
    timer.unref();
    this.#way = { plan, run: new PlanRun(plan.request.plan), timer, last: undefined, defined: false };
    if (this.#ended) this.#stop('its session ended');
    else if (why !== undefined) this.#stop(why);
  }

  #onward(way: Way, gate: Gate, mayWait: boolean): ReturnType<Escort['meets']> {
    const { run, plan } = way;
    const steps = run.next(textsOf(gate) ?? []);
    if (steps === undefined) {
      if (!readsOnly(gate)) this.#stop(`${commandsOf(gate)} came in its place`);
      return 'other';
    }
    if (!run.answered) {
      if (mayWait) return 'wait';
      // All answers are here, and whoever has none did not run.
      if (way.last?.state === 'ok') run.answer();
      else this.#stop('the one before it did not run to its end');
    }
    const shown = steps.map((step) => run.statement(step)!);
    const change =
      (plan.request.exp <= this.#options.now() ? 'its time ran out' : undefined) ??
      this.#difference(plan.request) ??
      (way.defined ? undefined : changeOf(shown, gate));
    if (change !== undefined) this.#stop(change);
    return run.end === undefined ? 'next' : 'other';
  }

  /** In what the session, the database or the rules differ from what was shown, in a clause. */
  #difference(request: Request & { plan: Plan }): string | undefined {
    const { actor, user, db, settings, policyDigest } = this.#options;
    const now = settings();
    if (request.agent.id !== actor.agent || request.db.target !== actor.target)
      return 'it is of another agent';
    if (request.db.name !== db.name || request.db.systemId !== db.systemId) return 'the database is another';
    if (request.policy.digest !== policyDigest()) return 'the rules have changed';
    if (request.user !== user || request.role !== now.role) return 'the role is another';
    if (request.state.searchPath !== now.searchPath) return 'the search_path is another';
    const { meaning } = now;
    const differing = Object.entries(request.state.settings).find(([name, value]) => meaning[name] !== value);
    return differing === undefined ? undefined : `the setting ${differing[0]} is another`;
  }

  #stop(why: string): void {
    this.#way?.run.stop(why);
    this.#conclude();
  }

  #conclude(): void {
    const way = this.#way;
    if (way?.run.end === undefined) return;
    this.#way = undefined;
    clearTimeout(way.timer);
    void this.#options.plans.over(way.plan, way.run.end);
  }
}

/** A gate of a plan, between its record and its bytes. Nobody is asked, so that there is nothing to interrupt. */
export class Escorted {
  readonly #rid: string;
  readonly #use: () => Grant;
  #gone = false;

  /** `use`: records the use of the plan `rid`. */
  constructor(rid: string, use: () => Grant) {
    this.#rid = rid;
    this.#use = use;
  }

  interrupt(): void {
    this.#gone = true;
  }

  async run(): Promise<ParkingEnd> {
    if (this.#gone) return { kind: 'abandon', rid: this.#rid };
    try {
      return { kind: 'release', grant: this.#use() };
    } catch (error) {
      if (!(error instanceof HoldpointError)) throw error;
      return { kind: 'refuse', error, rid: this.#rid };
    }
  }
}

const words: Readonly<Record<OutcomeState, string>> = {
  ok: '',
  error: 'it failed with ',
  canceled: 'it was canceled ',
  skipped: 'it was not executed ',
  unknown: 'its outcome is not known ',
  refused: 'it was not sent: ',
};

/** The texts of a gate's statements, as a plan has them; undefined for one with parameters, or without statements. */
function textsOf({ own, sql, parameters }: Gate): string[] | undefined {
  if (parameters.length > 0 || own.length === 0) return undefined;
  return own.map(({ start, end }) => sql.toString('utf8', start, end));
}

/** Why a gate is not what was shown, in a clause. */
function changeOf(shown: readonly PlanStatement[], { statements }: Gate): string | undefined {
  for (const [at, was] of shown.entries()) {
    const is = statements[at];
    const same =
      is !== undefined && is.identity === was.identity && [...is.effects].join() === was.effects.join();
    if (!same)
      return `${was.relations.join(', ') || 'something that it uses'}, or code behind it, was changed`;
  }
  return undefined;
}

function readsOnly({ statements }: Gate): boolean {
  return statements.every(({ effects }) => effects.every((effect) => effect === 'read'));
}

function rollsBack({ command }: { readonly command: string }): boolean {
  return command.startsWith('ROLLBACK');
}

function commandsOf({ statements }: Gate): string {
  return statements.map(({ command }) => command).join('; ') || 'an empty statement';
}
