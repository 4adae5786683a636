// Where: whether a WHERE can leave a row out, as far as the text shows. Knows no data: `id > 0` can, `id = id` cannot.

import type { Tree } from './engine.ts';
import { areSame, childrenOf, listAt, nameParts, nodeAt, textAt, unwrap } from './tree.ts';

const reflexive = new Set(['=', '<=', '>=', '~~', '~~*', '@>', '<@', '&&']);

/** Nodes to look at before the answer is that it cannot be known, which is "no". */
const nodesMax = 1_000_000;

/**
 * False for an absent WHERE and for one that is true of every row or depends on no row. `target` is the name under which
 * the text speaks of the relation that is written to: a column of another one leaves out all of its rows or none.
 */
export function excludesRows(where: unknown, target?: string): boolean {
  const child = where === undefined ? undefined : unwrap(where);
  if (child === undefined) return false;
  return dependsOnRows(child.type, child.node, target) && !alwaysTrue(child.type, child.node, 100);
}

/** True if a column, a subquery over one or a cursor is in it. */
function dependsOnRows(type: string, node: Tree, target?: string): boolean {
  const pending = [{ type, node }];
  for (let count = 0; count < nodesMax; count += 1) {
    const next = pending.pop();
    if (next === undefined) return false;
    if (next.type === 'CurrentOfExpr') return true;
    if (next.type === 'ColumnRef' && mayNameTarget(next.node, target)) return true;
    pending.push(...childrenOf(next.type, next.node));
  }
  return false;
}

/** An unqualified column may be anybody's. */
function mayNameTarget(column: Tree, target: string | undefined): boolean {
  const parts = nameParts(listAt(column, 'fields'));
  return target === undefined || parts.length < 2 || parts.at(-2) === target;
}

function alwaysTrue(type: string, node: Tree, depth: number): boolean {
  if (depth === 0) return false;
  if (type === 'BoolExpr') return booleanIsTrue(node, depth);
  if (type === 'A_Expr') return comparisonIsTrue(node);
  if (type === 'NullTest' || type === 'BooleanTest') return false;
  return !dependsOnRows(type, node);
}

function booleanIsTrue(node: Tree, depth: number): boolean {
  const args = listAt(node, 'args').map((item) => {
    const child = unwrap(item);
    return child !== undefined && alwaysTrue(child.type, child.node, depth - 1);
  });
  if (node.boolop === 'AND_EXPR') return args.every(Boolean);
  if (node.boolop === 'OR_EXPR') return args.some(Boolean);
  // NOT of something that depends on no row counts as true above; NOT of anything else can leave rows out.
  return args.every(Boolean);
}

/** `x = x` and its like with the same words on both sides, `x IN (x, …)`, `x BETWEEN x AND x`. */
function comparisonIsTrue(node: Tree): boolean {
  const { lexpr: left, rexpr: right } = node;
  if (left === undefined) return false;
  const kind = textAt(node, 'kind') ?? '';
  const operator = nameOf(node);
  if (kind === 'AEXPR_OP' || kind === 'AEXPR_LIKE' || kind === 'AEXPR_ILIKE') {
    return reflexive.has(operator) && areSame(left, right);
  }
  if (kind === 'AEXPR_NOT_DISTINCT') return areSame(left, right);
  const list = nodeAt(node, 'rexpr', 'List');
  const items = list === undefined ? [] : listAt(list, 'items');
  if (kind === 'AEXPR_IN') return operator === '=' && items.some((item) => areSame(left, item));
  if (kind === 'AEXPR_BETWEEN' || kind === 'AEXPR_BETWEEN_SYM')
    return items.every((item) => areSame(left, item));
  return false;
}

function nameOf(node: Tree): string {
  const last = listAt(node, 'name').at(-1);
  const child = last === undefined ? undefined : unwrap(last);
  return child === undefined ? '' : (textAt(child.node, 'sval') ?? '');
}
