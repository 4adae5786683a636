// Release: how a held gate goes to the server: as it came, or, where an approval bounds its rows, within an enclosure that
// counts them. Pure; refuses to know who approved it and what is recorded. Source: DESIGN §4 (9); wire.md §3.6.

import { rowEnclosure } from '../policy/counting.ts';
import type { FrameView } from '../wire/framer.ts';
import { readBind } from '../wire/messages/frontend.ts';
import { boundsOf, cursorConflict, unclearPosition } from './enclosable.ts';
import type { Gate } from './gate.ts';
import type { State } from './state.ts';

/**
 * How a bounded release would go now. `enclose`: within an enclosure. `plain`: as it is, since the server will not run
 * it: it discards it, or refuses it in a failed transaction. `wait`: the server has not said where it stands. Else why
 * it cannot be bounded, in a clause that goes on after `it `.
 */
export type BoundedRelease =
  | { readonly kind: 'enclose' | 'plain' | 'wait' }
  | { readonly kind: 'unbounded'; readonly why: string };

export function boundedRelease(state: State, gate: Gate): BoundedRelease {
  if (state.replies.discarding) return { kind: 'plain' };
  const position = state.enclosures.position(gate.proto === 'simple');
  if (position === 'wait') return { kind: 'wait' };
  if (position === 'failed') return { kind: 'plain' };
  if (boundsOf(gate) === undefined) return { kind: 'unbounded', why: 'changes rows that are not counted' };
  const why = position === 'unclear' ? unclearPosition : cursorConflict(gate, position);
  return why === undefined ? { kind: 'enclose' } : { kind: 'unbounded', why };
}

/** The frame, a Query or Bind that was held, is the first of an enclosure. What was deferred in front of it goes first. */
export function encloseReleased(state: State, gate: Gate, frame: FrameView, rowsMax: number): void {
  state.outbox.flush();
  const { rule, reason, need } = gate.verdict;
  gate.verdict = {
    action: 'pass',
    rule,
    reason,
    enclosure: { ...rowEnclosure(gate.statements, rowsMax), approved: true },
    ...(need !== undefined && { need }),
  };
  const portal = gate.proto === 'simple' ? undefined : readBind(frame).portal;
  // Rows that a FETCH of SQL makes it change would not be counted.
  if (portal !== undefined && portal !== '') state.mirror.noteLatePortal(portal);
  state.classify(gate);
  state.enclosures.begin(gate, portal === undefined ? undefined : state.mirror.key(portal), frame);
}
