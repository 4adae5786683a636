// Reader: an agent whose access is read-only. Its sessions are read-only at the server, which stops writes; here is
// denied what the server would let through, and every way to end that mode, whatever the rules say and also in shadow
// mode. Refuses to know how the mode is set. Source: wire.md §0.9 and §3.6.

import type { Effect, SettingUse, Statement } from '../sql/statement.ts';
import { reasonFor } from './reason.ts';
import type { Actor } from './verdict.ts';

/**
 * What rules may still let such an agent do. `temporary` because DISCARD ALL has it, and the server refuses to create.
 * `unknown` waits for a person as everybody's does, `parser-setting` is denied to everybody.
 */
const within: ReadonlySet<Effect> = new Set<Effect>([
  'read',
  'unproven',
  'setting',
  'custom-setting',
  'transaction',
  'advisory-lock',
  'notify',
  'temporary',
  'unknown',
  'parser-setting',
]);

const why = 'this agent is read-only';

/**
 * Why a statement of this agent is denied; undefined if the rules may decide. `vouched`: a pass rule names all that it
 * does; without one, a function that is not known is denied: what it does to others no READ ONLY transaction stops.
 */
export function beyondReading(statement: Statement, actor: Actor, vouched: boolean): string | undefined {
  if (actor.access !== 'read-only') return undefined;
  const beyond = statement.effects.filter(
    (effect) => !within.has(effect) && !(effect === 'function' && vouched),
  );
  if (beyond.length > 0) return reasonFor(statement, beyond, why);
  if (!statement.settings.some(endsMode)) return undefined;
  return `${statement.command} would let the session write: ${why}`;
}

/** The value that a RESET brings back is not in the text. */
function endsMode({ name, value }: SettingUse): boolean {
  if (name !== 'transaction_read_only' && name !== 'default_transaction_read_only') return false;
  return value === undefined || !/^(on|tr?u?e?|ye?s?|1)$/i.test(value.trim());
}
