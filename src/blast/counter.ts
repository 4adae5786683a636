// Counter: how many rows a body has: counted while there is time, else as the planner estimates. The one place where
// words of the text are sent to the database before anybody has approved them, so each SELECT is judged first: by the
// catalog it must be a plain read, and by the rules one that the agent could have run without asking. Refuses to know
// what is counted.

import type { RowCount } from '../approval/effect.ts';
import type { Analysis } from '../sql/statement.ts';
import type { Asker, BoundValue } from './asker.ts';
import { Refused } from './asker.ts';
import { type Body, countText, rowsText } from './bodies.ts';

/** The text that a body quotes, and its values; undefined where nobody knows them, as of an EXECUTE's. */
export interface Values {
  readonly types: readonly number[];
  readonly parameters: readonly BoundValue[] | undefined;
}

/** Why a SELECT of ours may not be sent, in a clause for people; undefined if it may. */
export type Judge = (analysis: Analysis, types: readonly number[], quotes: boolean) => string | undefined;

export interface CounterOptions {
  readonly asker: Asker;
  readonly analyze: (sql: Buffer) => Analysis | Promise<Analysis>;
  readonly judge: Judge;
  /** statement_timeout of one count. */
  readonly countMs: number;
  /** Milliseconds left for everything. */
  readonly leftMs: () => number;
}

/** What came of a count: rows, or why there are none, in a clause; `slow`: counting took too long. */
export interface Counted {
  readonly rows: RowCount | undefined;
  readonly why: string | undefined;
  readonly slow: boolean;
}

const none: Values = { types: [], parameters: [] };
/** Shorter than this nothing is begun. */
const leastMs = 5;

export class Counter {
  readonly #options: CounterOptions;
  #timeoutMs = 0;

  constructor(options: CounterOptions) {
    this.#options = options;
  }

  /** Leaves the transaction usable. `estimate`: do not try to count. Rejects only with what broke the connection. */
  async rows(body: Body, values: Values = none, estimate = false): Promise<Counted> {
    const { asker, judge, analyze, countMs } = this.#options;
    const parameters = parametersOf(body, values);
    if (parameters === undefined)
      return { rows: undefined, why: 'its parameters are not known', slow: false };
    const types = parameters.map(({ oid }) => oid);
    const why = judge(await analyze(Buffer.from(countText(body))), types, body.quotes);
    if (why !== undefined) return { rows: undefined, why, slow: false };
    let slow = estimate;
    try {
      if (!slow) {
        if (!(await this.#limit(countMs))) return late;
        const [[count] = []] = await asker.bind(countText(body), parameters);
        return { rows: { rows: Number(count), how: 'count' }, why: undefined, slow: false };
      }
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      await this.#undo();
      if (error.sqlstate !== queryCanceled) return { rows: undefined, why: refusal(error), slow: false };
      slow = true;
    }
    return { ...(await this.#estimate(body, parameters)), slow };
  }

  async #estimate(body: Body, parameters: readonly BoundValue[]): Promise<Omit<Counted, 'slow'>> {
    const { asker, countMs } = this.#options;
    try {
      if (!(await this.#limit(countMs))) return late;
      const rows = await asker.bind(`EXPLAIN (FORMAT JSON) ${rowsText(body)}`, parameters);
      const [plan] = JSON.parse(rows.map(([line]) => line).join('\n')) as [
        { Plan?: { 'Plan Rows'?: number } }?,
      ];
      // An estimate may be larger than any table, and than what R can hold exactly.
      const estimate = Math.min(Math.round(plan?.Plan?.['Plan Rows'] ?? 0), Number.MAX_SAFE_INTEGER);
      return { rows: { rows: estimate, how: 'estimate' }, why: undefined };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      await this.#undo();
      return { rows: undefined, why: refusal(error) };
    }
  }

  /** False if there is no time left for anything. */
  async #limit(ms: number): Promise<boolean> {
    const { asker, leftMs } = this.#options;
    const limit = Math.floor(Math.min(ms, leftMs()));
    if (limit < leastMs) return false;
    if (limit !== this.#timeoutMs) await asker.ask(`SET LOCAL statement_timeout TO ${limit}`);
    this.#timeoutMs = limit;
    return true;
  }

  async #undo(): Promise<void> {
    await this.#options.asker.ask('ROLLBACK TO SAVEPOINT holdpoint');
    this.#timeoutMs = 0;
  }
}

const late: Counted = { rows: undefined, why: 'there was no time left', slow: true };
const queryCanceled = '57014';

const refusals: Readonly<Record<string, string>> = {
  '55P03': 'somebody else has locked what it reads',
  '57014': 'it took too long',
  '42501': 'the role may not read it',
  '42P01': 'a relation in it was not found by the connection that counts',
};

/** The server's own words may quote data. */
export function refusal({ sqlstate }: Refused): string {
  return refusals[sqlstate] ?? `the server refused with ${sqlstate}`;
}

/**
 * The values for $1 up to the last parameter of the body; undefined if one of them is not known. What the body does not
 * use has a type that nobody looks at.
 */
function parametersOf({ parameters }: Body, values: Values): BoundValue[] | undefined {
  const last = Math.max(0, ...parameters);
  const bound: BoundValue[] = [];
  for (let number = 1; number <= last; number += 1) {
    const value = values.parameters?.[number - 1];
    if (!parameters.includes(number)) bound.push(unused);
    else if (value === undefined) return undefined;
    else bound.push({ ...value, oid: values.types[number - 1] ?? value.oid });
  }
  return bound;
}

/** `text`, NULL. */
const unused: BoundValue = { oid: 25, format: 0, value: null };
