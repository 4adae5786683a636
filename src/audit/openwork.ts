// OpenWork: what the log has begun and not ended: statements without an outcome, requests without an end, releases in an
// emergency without a review. A restart must answer for all of them. Knows record bodies; refuses to know why.

import type { OwedReview, SegmentSeal } from '../../verify/src/token.ts';
import type { OutcomeState, RecordBody } from './record.ts';
import { SeqTable } from './seqtable.ts';

/**
 * What became of a statement's bytes as far as its records tell. `passed` and `released`: they went, or were about to.
 * `held` and `refused`: they did not.
 */
const ways = ['passed', 'released', 'held', 'refused'] as const;
type Way = (typeof ways)[number];

const wayOf: Readonly<Record<string, Way>> = {
  pass: 'passed',
  hold: 'held',
  deny: 'refused',
  refuse: 'refused',
};

/** What is to be said of a statement of which nobody else will say anything. */
const endings: Readonly<Record<Way, OutcomeState>> = {
  passed: 'unknown',
  released: 'unknown',
  held: 'canceled',
  refused: 'refused',
};

/** What is noted of a record: of an outcome the statement's seq, of a statement a negative number, of others all of it. */
export type Brief = number | RecordBody;

/** Of a statement that passed. */
export const passedBrief = -1;

/** In as little as can be kept of very many. */
export function briefly(body: RecordBody): Brief {
  if (body.kind === 'stmt') return passedBrief - ways.indexOf(wayOf[body.dec] ?? 'passed');
  // A foreign value stays what it is.
  return body.kind === 'outcome' && Number.isSafeInteger(body.ref) && body.ref >= 0 ? body.ref : body;
}

/** The members of a manifest line that tell what was open when its segment closed. */
export type OpenMembers = Pick<SegmentSeal, 'intents' | 'holds' | 'reviews' | 'passes' | 'waits'>;

/** Kept while a log is written, carried over segments in the manifest, rebuilt by recovery. */
export class OpenWork {
  /** Statements without an outcome, by the seq of their `stmt`; of each the number of its way. */
  readonly #statements = new SeqTable();
  /** Statements that the log has ended itself and their session has not. */
  readonly #forgone = new Set<number>();
  /** Requests that were neither used nor ended. */
  readonly holds: Set<string>;
  /** By request. */
  readonly reviews: Map<string, OwedReview>;

  constructor({ intents, passes = [], waits = [], holds, reviews = [] }: OpenMembers = nothing) {
    for (const seq of intents) this.#statements.set(seq, ways.indexOf('released'));
    for (const seq of unfold(passes)) this.#statements.set(seq, ways.indexOf('passed'));
    for (const seq of waits) this.#statements.set(seq, ways.indexOf('held'));
    this.holds = new Set(holds);
    this.reviews = new Map(reviews.map((owed) => [owed.rid, owed]));
  }

  /** As it is now. */
  copy(): OpenWork {
    return new OpenWork(this.members());
  }

  /** For the manifest line of a segment that closes. */
  members(): OpenMembers {
    const statements = this.#statements.entries();
    const passes = runsOf(seqsOf(statements, 'passed')).flat();
    const waits = seqsOf(statements, 'held');
    return {
      intents: seqsOf(statements, 'released'),
      holds: [...this.holds],
      ...(passes.length > 0 && { passes }),
      ...(waits.length > 0 && { waits }),
      ...(this.reviews.size > 0 && { reviews: [...this.reviews.values()] }),
    };
  }

  /** An outcome for every statement that has none, oldest first, that says no more than its records do. */
  endings(): Outcome[] {
    return this.#statements.entries().map(([ref, way]) => outcome(ref, endings[ways[way]!]));
  }

  /**
   * Outcomes for the oldest of those that passed, so many that `runsMax` runs of them are left open: a manifest line must
   * not grow without end. What their sessions will say of them is not recorded any more (`repeats`).
   */
  forgo(runsMax: number): Outcome[] {
    if (this.#statements.size <= runsMax) return [];
    const runs = runsOf(seqsOf(this.#statements.entries(), 'passed'));
    const refs = unfold(runs.slice(0, Math.max(0, runs.length - runsMax)).flat());
    for (const ref of refs) this.#forgone.add(ref);
    return refs.map((ref) => outcome(ref, 'unknown'));
  }

  /** True, once, if the body is the outcome of a statement that the log has ended itself. */
  repeats(body: RecordBody): boolean {
    return body.kind === 'outcome' && this.repeatsOf(body.ref);
  }

  /** As `repeats`, of the outcome of statement `ref`. */
  repeatsOf(ref: number): boolean {
    return this.#forgone.size > 0 && this.#forgone.delete(ref);
  }

  /** The log has ended statements itself, of which it may hear more. */
  get hasForgone(): boolean {
    return this.#forgone.size > 0;
  }

  /** Takes note of record `seq`. Reads only what the kind has; a foreign value is ignored. */
  note(body: RecordBody, seq: number): void {
    this.noteBrief(briefly(body), seq);
  }

  /** As `note`, of what `briefly` said of it. */
  noteBrief(brief: Brief, seq: number): void {
    if (typeof brief !== 'number') this.#noteOther(brief);
    else if (brief < 0) this.#statements.set(seq, passedBrief - brief);
    else this.#statements.delete(brief);
  }

  #noteOther(body: RecordBody): void {
    switch (body.kind) {
      case 'intent':
        // Only what is open: an intent behind an outcome would be open for ever.
        if (this.#statements.get(body.ref) !== undefined)
          this.#statements.set(body.ref, ways.indexOf('released'));
        break;
      case 'hold':
        this.holds.add(body.rid);
        break;
      case 'grant_use':
      case 'reject':
      case 'expire':
      case 'cancel':
        this.holds.delete(body.rid);
        break;
      case 'breakglass': {
        const { rid, rd, target, agent, by, reason, due } = body;
        this.reviews.set(rid, { rid, rd, target, agent, by, reason, due });
        break;
      }
      case 'review':
        this.reviews.delete(body.rid);
        break;
    }
  }
}

/** Of those whose way is that. */
function seqsOf(statements: readonly [seq: number, way: number][], wanted: Way): number[] {
  return statements.filter(([, way]) => ways[way] === wanted).map(([seq]) => seq);
}

type Outcome = Extract<RecordBody, { kind: 'outcome' }>;

function outcome(ref: number, st: OutcomeState): Outcome {
  return { kind: 'outcome', ref, st, dur_us: 0 };
}

/** Ascending seqs as runs: the first of each and how many. */
function runsOf(seqs: readonly number[]): [first: number, many: number][] {
  const runs: [number, number][] = [];
  for (const seq of seqs) {
    const last = runs.at(-1);
    if (last !== undefined && last[0] + last[1] === seq) last[1] += 1;
    else runs.push([seq, 1]);
  }
  return runs;
}

function unfold(runs: readonly number[]): number[] {
  const seqs: number[] = [];
  for (let at = 0; at + 1 < runs.length; at += 2)
    for (let each = 0; each < runs[at + 1]!; each += 1) seqs.push(runs[at]! + each);
  return seqs;
}

const nothing: OpenMembers = { intents: [], holds: [] };
