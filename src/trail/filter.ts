// Filter: which records somebody wants to see. Decides by what a record says, and leaves lines out at a glance that
// cannot fit. Pure; refuses to know files and the order of records.

import { type Entry, hasAny, needle } from './entry.ts';

/** What a statement can be of, be judged as, and come to. */
export const classes = 'read write define destroy system code session transaction unknown'.split(' ');
export const verdicts = 'pass hold deny refuse'.split(' ');
export const outcomes = 'ok error canceled skipped unknown refused'.split(' ');

/** What is wanted; what is left out is not asked about. Several of one kind: any of them. */
export interface Filter {
  readonly agent?: string | undefined;
  readonly target?: string | undefined;
  readonly classes?: readonly string[] | undefined;
  readonly verdicts?: readonly string[] | undefined;
  readonly outcomes?: readonly string[] | undefined;
  readonly kinds?: readonly string[] | undefined;
  readonly request?: string | undefined;
  /** Sequence numbers, both included. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  /** µs since 1970 by the log's clock, both included. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** What a statement's text contains; upper and lower case are the same. */
  readonly text?: string | undefined;
}

/** Statements that belong to the request that is asked for, by sequence number, as records that name both are met. */
export type Related = Set<number>;

/** True if it asks for what only a statement has. */
export function asksStatement({ classes, verdicts, outcomes, text }: Filter): boolean {
  return classes !== undefined || verdicts !== undefined || outcomes !== undefined || text !== undefined;
}

/** Whether the record itself fits; of a statement all but its outcome. */
export function fits(entry: Entry, filter: Filter, related: Related): boolean {
  const { seq, kind, ts, members: m } = entry;
  const { agent, target, request } = filter;
  if (seq < (filter.from ?? 0) || seq > (filter.to ?? Number.MAX_SAFE_INTEGER)) return false;
  if (ts < (filter.since ?? 0) || ts > (filter.until ?? Number.MAX_SAFE_INTEGER)) return false;
  if (filter.kinds !== undefined && !filter.kinds.includes(kind)) return false;
  if (agent !== undefined && m.agent !== agent) return false;
  if (target !== undefined && m.target !== target) return false;
  if (request !== undefined && m.rid !== request && !(kind === 'stmt' && related.has(seq))) return false;
  if (!asksStatement(filter)) return true;
  return kind === 'stmt' && statementFits(m, filter);
}

function statementFits(m: Entry['members'], { classes, verdicts, text }: Filter): boolean {
  if (classes !== undefined && !classes.includes(String(m.cls))) return false;
  if (verdicts !== undefined && !verdicts.includes(String(m.dec))) return false;
  return (
    text === undefined ||
    String(m.sql ?? '')
      .toLowerCase()
      .includes(text.toLowerCase())
  );
}

/** Whether an outcome (undefined: none is known) is one that is asked for. */
export function outcomeFits(outcome: Entry | undefined, { outcomes }: Filter): boolean {
  return outcomes === undefined || (outcome !== undefined && outcomes.includes(String(outcome.members.st)));
}

const outcomeNeedle = needle('kind', 'outcome');
const statementNeedle = needle('kind', 'stmt');

/** Decides of a line's bytes, before they are read, whether it could be of use. `related` is looked at each time. */
export function glance(filter: Filter, related: Related): (bytes: Buffer) => boolean {
  const needs: Buffer[][] = [];
  const any = (member: string, values: readonly string[] | undefined) => {
    if (values !== undefined) needs.push(values.map((value) => needle(member, value)));
  };
  if (filter.agent !== undefined) any('agent', [filter.agent]);
  if (filter.target !== undefined) any('target', [filter.target]);
  any('cls', filter.classes);
  any('dec', filter.verdicts);
  any('kind', filter.kinds);
  const rid = filter.request === undefined ? undefined : needle('rid', filter.request);
  const ofRequest = (bytes: Buffer) =>
    rid === undefined || bytes.includes(rid) || (related.size > 0 && bytes.includes(statementNeedle));
  return (bytes) =>
    // An outcome names its statement and nothing else of it.
    bytes.includes(outcomeNeedle) ||
    (ofRequest(bytes) && needs.every((needles) => hasAny(bytes, needles))) ||
    (rid !== undefined && bytes.includes(rid));
}
