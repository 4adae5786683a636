// Repeat: which gates may go again without being judged again, as long as nothing else happens in their session and the
// rules and the catalog are the same objects; and what such repetitions are to the session when it looks at its connection
// again. Pure; refuses to know how they go.

import type { Policy } from '../policy/rules.ts';
import { createGate, type Gate } from './gate.ts';
import type { Prepared } from './prepared.ts';
import type { State } from './state.ts';

/** True while nothing is owed, begun or in doubt: a plain read that comes now meets what one met that was judged now. */
export function isSettled(state: State): boolean {
  const { replies, outcomes, enclosures, outbox, settings, code, options } = state;
  return (
    !replies.outstanding &&
    !replies.unsynced &&
    !replies.unclear &&
    !replies.discarding &&
    outcomes.status === 'I' &&
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
 * True for a gate that ended well and that the rules let pass as it is, of one statement that reads and nothing besides, whose
 * verdict rests on the rules, the statement and the catalog alone.
 */
export function isRepeatable(gate: Gate, { judge, options }: State): boolean {
  const { own, statements, verdict } = gate;
  const [text] = own;
  const [statement] = statements;
  return (
    gate.state === 'ok' &&
    gate.durability === 'kill' &&
    gate.reserved === undefined &&
    !gate.again &&
    gate.tags.length === 1 &&
    gate.tags[0]!.startsWith('SELECT ') &&
    gate.behind.length === 0 &&
    own.length === 1 &&
    statements.length === 1 &&
    text!.names.length === 0 &&
    text!.shows === undefined &&
    !text!.secret &&
    statement!.effects.length === 1 &&
    statement!.effects[0] === 'read' &&
    verdict.action === 'pass' &&
    verdict.enclosure === undefined &&
    verdict.shadow === undefined &&
    verdict.budget === undefined &&
    gate.explainedBy !== undefined &&
    gate.explainedBy === options.catalog.reach &&
    judge.remembers(gate)
  );
}

/** True while what a repeatable gate was judged by still holds, which the session is not told of. `policy`: of then. */
export function mayRepeat(gate: Gate, policy: Policy, { options }: State): boolean {
  return (
    options.catalog.reach === gate.explainedBy &&
    options.catalog.pending === undefined &&
    options.policy() === policy &&
    (options.escort === undefined || options.escort.idle)
  );
}

/** A repetition, as its frames tell it from others. */
export interface Repetition {
  /** What judged the like of it. */
  readonly gate: Gate;
  /** Of a Bind: its portal is described. */
  readonly isDescribed: boolean;
  /** What the unnamed statement is from its Parse on; undefined where there is no Parse in front. */
  readonly prepared: Prepared | undefined;
}

/** The gate of a repetition that is under way. */
export function repeated({ gate }: Repetition, n: number, ref: number): Gate {
  return { ...createGate({ ...gate, n, parameters: [] }), ref };
}

/** The unnamed statement was parsed meanwhile, and is this. */
export function noteParsed({ mirror, segment }: State, prepared: Prepared): void {
  mirror.confirm(mirror.stage('', prepared, segment));
}
