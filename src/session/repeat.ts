// Repeat: which gates may go again without being judged again, as long as nothing else happens in their session and the
// rules and the catalog are the same objects; and what such repetitions are to the session when it looks at its connection
// again. Pure; refuses to know how they go.

import type { Policy } from '../policy/rules.ts';
import type { Effect, Statement } from '../sql/statement.ts';
import { createGate, type Gate } from './gate.ts';
import { changesNothing } from './judge.ts';
import type { Prepared } from './prepared.ts';
import type { State } from './state.ts';

/** Between transactions, within one of the client's, within one that has written, or in one that has destroyed. */
export type RepeatStatus = 'I' | 'T' | 'W' | 'D';

/** What is repeated, as its frames tell it from others. */
export interface Repetition {
  /** What judged the like of it. */
  readonly gate: Gate;
  /** Where it stands, and where it leads. */
  readonly from: RepeatStatus;
  readonly to: RepeatStatus;
  /** Of a Bind: its portal is described. */
  readonly isDescribed: boolean;
  /** What the unnamed statement is from its Parse on; undefined where there is no Parse in front. */
  readonly prepared: Prepared | undefined;
}

/** What repetitions left behind that their session did not see. */
export interface Repetitions {
  readonly many: number;
  /** What the last Parse among them made the unnamed statement; undefined where there was none. */
  readonly parsed: Prepared | undefined;
  readonly status: RepeatStatus;
  /** Statements so far of the transaction that is open. */
  readonly gates: number;
}

/** Effects that are done with when their statement is, but for what its transaction undoes. */
const plain: ReadonlySet<Effect> = new Set<Effect>([
  'read',
  'lock-rows',
  'insert',
  'update',
  'update-all',
  'delete',
  'sequence',
]);

/** What begins and ends a transaction, by its command, and the tags that a server answers all of it with. */
const transactions: ReadonlySet<string> = new Set(['BEGIN', 'COMMIT', 'ROLLBACK']);
const counted = /^(?:SELECT|UPDATE|DELETE|INSERT 0) (?=\d+$)/;

/**
 * True while nothing is owed, begun or in doubt but a transaction block of the client's: what comes now meets what one met
 * that was judged now.
 */
export function isSettled(state: State): boolean {
  const { replies, outcomes, enclosures, outbox, settings, code, portals, options } = state;
  const isBetween = outcomes.status === 'I';
  return (
    (isBetween || outcomes.status === 'T') &&
    // Its end would bring another search_path back, or run code that waits for it.
    (isBetween || (!settings.pathMoved && !code.open && portals.size === 0)) &&
    !replies.outstanding &&
    !replies.unsynced &&
    !replies.unclear &&
    !replies.discarding &&
    outcomes.size === 0 &&
    enclosures.current === undefined &&
    !enclosures.segment.ours &&
    !outbox.deferring &&
    !settings.defining &&
    !code.unreported &&
    !state.adopting &&
    (options.escort === undefined || options.escort.idle)
  );
}

/**
 * True for a gate that ended well and that the rules let pass as it is, of one statement that reads or changes rows and does
 * nothing besides, or begins or ends a transaction; whose verdict rests on the rules, the statement and the catalog alone.
 */
export function isRepeatable(gate: Gate, { judge, options, settings }: State): boolean {
  const { own, statements, verdict } = gate;
  const [text] = own;
  const [statement] = statements;
  return (
    gate.state === 'ok' &&
    gate.durability !== 'output' &&
    gate.reserved === undefined &&
    !gate.again &&
    tagOf(gate) !== undefined &&
    gate.behind.length === 0 &&
    own.length === 1 &&
    statements.length === 1 &&
    text!.names.length === 0 &&
    text!.settings.length === 0 &&
    text!.shows === undefined &&
    !text!.secret &&
    (statement!.effects.every((effect) => plain.has(effect)) ||
      (isTransaction(statement!) && !settings.pathMoved)) &&
    verdict.action === 'pass' &&
    verdict.enclosure === undefined &&
    verdict.shadow === undefined &&
    verdict.budget === undefined &&
    gate.explainedBy !== undefined &&
    gate.explainedBy === options.catalog.reach &&
    judge.remembers(gate)
  );
}

function isTransaction({ effects, command }: Statement): boolean {
  return effects.length === 1 && effects[0] === 'transaction' && transactions.has(command);
}

/** The tag of a repeatable gate, up to the number that ends it, if one does; undefined where it is none of those. */
export function tagOf({ tags }: Gate): { readonly text: string; readonly isCounted: boolean } | undefined {
  const [tag = ''] = tags;
  if (tags.length !== 1) return undefined;
  const text = counted.exec(tag)?.[0];
  if (text !== undefined) return { text, isCounted: true };
  return transactions.has(tag) ? { text: tag, isCounted: false } : undefined;
}

/** True while what a repeatable gate was judged by still holds, which the session is not told of. `policy`: of then. */
export function mayRepeat(gate: Gate, policy: Policy, { options }: State): boolean {
  return (
    options.catalog.reach === gate.explainedBy &&
    options.catalog.pending === undefined &&
    options.policy() === policy &&
    (options.escort === undefined || options.escort.idle) &&
    (gate.statements.every(changesNothing) || options.locked?.() === undefined)
  );
}

/** Where a settled session stands. */
export function statusOf({ outcomes, barrier }: State): RepeatStatus {
  if (outcomes.status === 'I') return 'I';
  if (barrier.destroyed) return 'D';
  return barrier.wrote ? 'W' : 'T';
}

/** The session takes over what repetitions did meanwhile. */
export function noteRepeated(state: State, repetitions: Repetitions): void {
  const { mirror, judge, outcomes, barrier } = state;
  const { many, parsed, status, gates } = repetitions;
  judge.repeats(many);
  state.segment += many;
  if (parsed !== undefined) mirror.confirm(mirror.stage('', parsed, state.segment));
  outcomes.status = status === 'I' ? 'I' : 'T';
  barrier.note(status === 'W' || status === 'D', status === 'D');
  state.transactionGates = status === 'I' ? 0 : gates;
}

/** The gate of a repetition that is under way. */
export function repeated({ gate }: Repetition, n: number, ref: number): Gate {
  return { ...createGate({ ...gate, n, parameters: [] }), ref };
}
