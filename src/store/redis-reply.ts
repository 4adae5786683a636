// Redis reply: a row as the scripts take and give it, and as the port of the store has it. Knows names of fields; refuses
// to trust them: whoever reads a row checks it.

import type { Ending, RequestState, StoredRequest, Vote } from './store.ts';

/** What never changes in a row, as one JSON text. */
type Fixed = Pick<StoredRequest, 'rid' | 'request' | 'nonce' | 'target' | 'created'>;

/** Names and values in turn, votes, 1 if it is stale. */
type WholeRow = readonly [readonly string[], readonly string[], number];

/** What a lookup is filtered by. */
export interface Glance {
  readonly state: RequestState;
  readonly agent: string;
  readonly target: string;
  readonly match: string;
  readonly holder: string;
  readonly exp: number;
  /** Rows are listed by it; milliseconds with a fraction. */
  readonly order: number;
  readonly stale: boolean;
}

/** Names and values of a new row's fields. */
export function fieldsOf(row: StoredRequest, order: string): (string | number)[] {
  const { rid, request, nonce, target, created } = row;
  const fixed: Fixed = { rid, request, nonce, target, created };
  const fields: Readonly<Record<string, string | number>> = {
    fixed: JSON.stringify(fixed),
    rd: row.rd,
    agent: row.agent,
    target,
    match: row.match,
    quorum: row.quorum,
    exp: row.exp,
    order,
    state: row.state,
    holder: row.holder,
    values: row.values,
    ending: '',
    approvals: 0,
  };
  return Object.entries(fields).flat();
}

/** A row as `get` and `vote` give it; undefined for none. */
export function rowOf(found: unknown): StoredRequest | undefined {
  if (found === null) return undefined;
  const [flat, votes, stale] = found as WholeRow;
  // By position: a value may be the same text as the name of a field.
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < flat.length; at += 2) fields.set(flat[at] as string, flat[at + 1] as string);
  const field = (name: string): string => fields.get(name) ?? '';
  const fixed = JSON.parse(field('fixed')) as Fixed;
  const ending = field('ending');
  const until = fields.get('granted');
  return {
    ...fixed,
    rd: field('rd'),
    values: field('values'),
    agent: field('agent'),
    match: field('match'),
    quorum: Number(field('quorum')),
    exp: Number(field('exp')),
    state: field('state') as RequestState,
    holder: field('holder'),
    votes: votes.map((text) => JSON.parse(text) as Vote),
    ending: ending === '' ? null : (JSON.parse(ending) as Ending),
    grant:
      until === undefined
        ? null
        : { until: Number(until), uses: Number(field('uses')), rows: Number(field('rows')) },
    ...(stale === 1 && { stale: true as const }),
  };
}

/** A row as `peek` gives it; undefined for none. */
export function glanceOf(found: unknown): Glance | undefined {
  if (found === null) return undefined;
  const [state, agent, target, match, holder, exp, order, stale] = found as string[];
  return {
    state: state as RequestState,
    agent: agent as string,
    target: target as string,
    match: match as string,
    holder: holder as string,
    exp: Number(exp),
    order: Number(order),
    stale: stale === '1',
  };
}
