// Gate: one frame that needed a verdict (a Query, or a Bind with its parameters), from the moment it arrives to the
// moment its outcome is certain. The unit that is recorded: one `stmt` record and one `outcome` record a gate.
// Pure data; refuses to know sockets, the log and the clock.

import type { Reacher } from '../catalog/names.ts';
import type { Reservation } from '../policy/budget.ts';
import type { Verdict } from '../policy/verdict.ts';
import type { Statement } from '../sql/statement.ts';
import type { Prepared, StagedPrepare } from './prepared.ts';

/** How a gate ended. `unknown`: bytes went to the server and its answer never came. */
export type OutcomeState = 'ok' | 'error' | 'canceled' | 'skipped' | 'unknown' | 'refused';

/**
 * What a gate's record is before the gate goes. `kill`: passed to write(2). `output`: so, and what the server answers goes
 * to the client when it is on disk. `disk`: on disk. `seal`: sealed, and that is on disk.
 */
export type Durability = 'kill' | 'output' | 'disk' | 'seal';

/** One parameter of a Bind. `value` is a view of the frame until the gate is held, then a copy. */
export interface Parameter {
  /** Type OID as declared in Parse; 0 when the client left it to the server. */
  readonly oid: number;
  /** 0 text, 1 binary. */
  readonly format: number;
  readonly value: Buffer | null;
}

export interface Gate {
  /** Ordinal in the session, from 1. */
  readonly n: number;
  readonly proto: 'simple' | 'extended';
  /**
   * The text's bytes, without terminator. For Bind shared with the prepared statement; for a Query a view of the frame
   * unless the gate is held or uses names, and empty once it is on its way.
   */
  sql: Buffer;
  /** The statements of the text itself: the array that belongs to it in the parser's cache. */
  readonly own: readonly Statement[];
  /** `own`, with the prepared names in it resolved; what the catalog is asked about. */
  readonly resolved: readonly Statement[];
  /** What the verdict rests on: `resolved`, as the catalog explains it. */
  readonly statements: readonly Statement[];
  /** Type OIDs that its Parse declared; 0 where the client left one to the server. */
  readonly parameterTypes: readonly number[];
  /** What explained them; undefined where the catalog could not be read. */
  readonly explainedBy: Reacher | undefined;
  /** Changes once: what was held goes, by a bounded approval, within an enclosure. */
  verdict: Verdict;
  /** Emptied once it is on its way, so that the chunks they lie in can be let go. */
  parameters: readonly Parameter[];
  /** The prepared statements behind every EXECUTE in it, as the verdict took them. */
  readonly behind: readonly Prepared[];
  /** The names that its PREPAREs may define until it ends. */
  defines: readonly StagedPrepare[];
  /** Sequence number of its `stmt` record; -1 until recorded. */
  ref: number;
  /** What that record needs before the gate goes; set when it is to go. */
  durability: Durability;
  /** Monotonic milliseconds when it was forwarded; -1 until then. */
  forwardedAt: number;
  /** Monotonic milliseconds of its last CommandComplete or error; -1 until then. */
  answeredAt: number;
  /** Command tags in order, at most `tagsMax`. */
  tags: string[];
  /** Rows held back for it on the budgets of rules, until it ends. */
  reserved: Reservation | undefined;
  /** Sum of the counts in its tags. */
  rows: number;
  sqlstate: string | undefined;
  /** Why it was undone by us, in words that go on after `it `; undefined if it was not. */
  undone: string | undefined;
  /** It was released before and did not run, so that only a person releases it now. */
  again: boolean;
  /** Forwarded frames of this gate that the server has not answered yet. */
  owed: number;
  /** A COMMIT of the same pipeline made its effects permanent. */
  final: boolean;
  state: 'waiting' | 'suspended' | OutcomeState;
}

/** Tags kept of one gate; a text of more statements keeps the first ones and counts the rows of all. */
export const tagsMax = 32;

export function createGate(
  fields: Pick<
    Gate,
    | 'n'
    | 'proto'
    | 'sql'
    | 'own'
    | 'resolved'
    | 'statements'
    | 'parameterTypes'
    | 'explainedBy'
    | 'verdict'
    | 'parameters'
    | 'behind'
  >,
): Gate {
  return {
    ...fields,
    defines: [],
    ref: -1,
    durability: 'disk',
    forwardedAt: -1,
    answeredAt: -1,
    tags: [],
    reserved: undefined,
    rows: 0,
    sqlstate: undefined,
    undone: undefined,
    again: false,
    owed: 0,
    final: false,
    state: 'waiting',
  };
}

/** Notes one command tag: `DELETE 42`, `INSERT 0 7`. */
export function noteTag(gate: Gate, tag: string): void {
  if (gate.tags.length < tagsMax) gate.tags.push(tag);
  gate.rows += countAtEnd(tag);
}

/** The number that a tag ends with, 0 where it ends with none. */
function countAtEnd(tag: string): number {
  let at = tag.length;
  while (at > 0 && tag.charCodeAt(at - 1) >= 0x30 && tag.charCodeAt(at - 1) <= 0x39) at -= 1;
  return Number(tag.slice(at));
}

/**
 * Rows that count against a budget once the gate has ended; undefined where nobody can tell. What a transaction rolls
 * back later counts all the same.
 */
export function rowsSpent({ state, rows }: Gate): number | undefined {
  if (state === 'ok') return rows;
  return state === 'unknown' ? undefined : 0;
}

export function copyParameter(parameter: Parameter): Parameter {
  return parameter.value === null ? parameter : { ...parameter, value: Buffer.from(parameter.value) };
}

/** True if it is, among others, a statement that a failed transaction accepts. */
export function endsTransaction(gate: Gate): boolean {
  return gate.statements.some((statement) => statement.effects.includes('transaction'));
}

/** True if the text looks the name of a prepared statement up when it runs: EXECUTE, in whatever it is wrapped. */
export function executesName(gate: Gate): boolean {
  return gate.own.some(({ names }) => names.some(({ kind }) => kind === 'execute'));
}
