// Constants: the constants of a syntax tree at the places of a text that literals were cut out of. Whether the tree says of
// each literal no more than its value, in one place, is found out here, tree by tree; where it does not (`float(24)` is
// another type than `float(25)`, and no constant), the text is none of its kind. Pure.

import type { RawStatement, Tree } from './engine.ts';
import { hide } from './hidden.ts';
import type { Cut } from './stencil.ts';

const members = { integer: 'ival', decimal: 'fval', string: 'sval' } as const;

/**
 * Hides the value of each literal in the tree; `seen` as in `hide`. False, with some of them hidden, if a literal is not
 * one constant with just its value. `text` as in `stencilOf`.
 */
export function hideConstants(
  tree: RawStatement,
  text: string,
  cuts: readonly Cut[],
  seen: () => void,
): boolean {
  const constants = constantsOf(tree);
  return cuts.every((cut) => {
    const place = constants.has(cut.start) ? cut.start : signBefore(text, cut);
    const constant = constants.get(place);
    const member = members[cut.kind];
    const value = constant?.[member];
    if (typeof value !== 'object' || value === null) return false;
    if (!isValue(value as Tree, member, text, cut)) return false;
    // One constant for one literal.
    constants.delete(place);
    (constant as Record<string, unknown>)[member] = hide(value as Tree, seen);
    return true;
  });
}

/** By their place in the text. A place with two of them is left out. */
function constantsOf(tree: RawStatement): Map<number, Tree> {
  const constants = new Map<number, Tree>();
  const doubles = new Set<number>();
  const pending: unknown[] = [tree];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    for (const [name, value] of Object.entries(next)) {
      if (name === 'A_Const') {
        const constant = value as Tree;
        const place = Number(constant.location ?? 0);
        if (constants.has(place)) doubles.add(place);
        constants.set(place, constant);
      } else pending.push(value);
    }
  }
  for (const place of doubles) constants.delete(place);
  return constants;
}

/** Where the minus stands that the grammar makes a part of the number behind it; -1 if there is none. */
function signBefore(text: string, { kind, start }: Cut): number {
  if (kind === 'string') return -1;
  let at = start - 1;
  while (at > 0 && ' \t\n\r\f\v('.includes(text[at]!)) at -= 1;
  return text[at] === '-' ? at : -1;
}

/** Nothing but the value, and this one. */
function isValue(value: Tree, member: 'ival' | 'fval' | 'sval', text: string, { start, end }: Cut): boolean {
  if (!Object.keys(value).every((name) => name === member)) return false;
  const literal = text.slice(start, end);
  const said = value[member];
  if (member === 'ival') return Math.abs(Number(said ?? 0)) === Number(literal);
  if (member === 'fval') return said === literal || said === `-${literal}`;
  const content = Buffer.from(literal.slice(1, -1).replaceAll("''", "'"), 'latin1').toString('utf8');
  return (said ?? '') === content;
}
