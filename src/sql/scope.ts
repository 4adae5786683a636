// Scope: which names a WITH clause gives to queries, so that they are not taken for relations. The manual, 7.8.

import type { Tree } from './engine.ts';
import { listAt, textAt, unwrap } from './tree.ts';

export interface Scope {
  readonly names: ReadonlySet<string>;
  readonly outer: Scope | undefined;
}

/**
 * `inner` is what the statement with the clause sees. Each query sees the ones before it, or with RECURSIVE all.
 * A clause of another shape gives no names: then a WITH query is listed as a relation, which is only stricter.
 */
export function scopeOf(
  withClause: Tree,
  outer: Scope | undefined,
): { inner: Scope; queries: { node: Tree; scope: Scope }[] } {
  const nodes: Tree[] = [];
  for (const item of listAt(withClause, 'ctes')) {
    const child = unwrap(item);
    nodes.push(child?.type === 'CommonTableExpr' ? child.node : { unreadable: {} });
  }
  const names = nodes.map((node) => textAt(node, 'ctename') ?? '');
  const inner: Scope = { names: new Set(names), outer };
  const recursive = withClause.recursive === true;
  const queries = nodes.map((node, index) => ({
    node,
    scope: recursive ? inner : { names: new Set(names.slice(0, index)), outer },
  }));
  return { inner, queries };
}
