// Walk: every node of one statement, once, whatever its depth: the list of what is still to be visited is on the heap,
// so a long chain of operators costs no stack. A node that no table here knows makes the statement `unknown`.
// Knows expressions and scopes; what a command does to its target stands in commands.ts.

import { commandOf } from './command-names.ts';
import { commands } from './commands.ts';
import { Draft } from './draft.ts';
import type { Tree } from './engine.ts';
import { expressions, transparent } from './expressions.ts';
import type { Scope } from './scope.ts';
import { scopeOf } from './scope.ts';
import type { Access, Statement } from './statement.ts';
import { childrenOf, textAt, unwrap } from './tree.ts';

interface Step {
  readonly type: string;
  readonly node: Tree;
  readonly scope: Scope | undefined;
  /** How the node above uses a relation that stands directly in it. */
  readonly access: Access;
}

/** Walks the node and all below it, adding to the draft. `type` is the node's type, `node` without its wrapper. */
export function walk(draft: Draft, type: string, node: Tree): void {
  const pending: Step[] = [{ type, node, scope: undefined, access: 'read' }];
  for (let step = pending.pop(); step !== undefined; step = pending.pop()) {
    visit(draft, step, pending, step.node === node);
  }
}

function visit(draft: Draft, step: Step, pending: Step[], root: boolean): void {
  const { type, node } = step;
  if (type === 'RangeVar') {
    addRelation(draft, step);
    return;
  }
  const command = commands.get(type);
  const expression = expressions.get(type);
  let skip: readonly string[] = [];
  let access: Access = 'read';
  if (command !== undefined) {
    ({ skip = [], access = 'define' } = command(draft, node, (value) => walkInner(draft, value), root) ?? {});
  } else if (expression !== undefined) {
    skip = expression(draft, node) ?? [];
  } else if (!transparent.has(type)) {
    draft.evaluates('unknown', `contains syntax that is not understood (${type})`);
  }
  const scope = pushCtes(pending, node, step.scope);
  const children = childrenOf(type, node);
  // Last in, first out: this way the facts come in the order of the text, and of two settings the last one wins.
  for (const child of children.reverse()) {
    if (skip.includes(child.field) || child.field === 'withClause') continue;
    pending.push({ type: child.type, node: child.node, scope, access });
  }
}

/** Queues the WITH queries of a node, each with the names it may see, and answers what the node itself may see. */
function pushCtes(pending: Step[], node: Tree, outer: Scope | undefined): Scope | undefined {
  const withClause = node.withClause;
  if (typeof withClause !== 'object' || withClause === null) return outer;
  const { inner, queries } = scopeOf(withClause as Tree, outer);
  for (const query of queries) {
    pending.push({ type: 'CommonTableExpr', node: query.node, scope: query.scope, access: 'read' });
  }
  return inner;
}

function addRelation(draft: Draft, step: Step): void {
  const name = textAt(step.node, 'relname') ?? '';
  const schema = textAt(step.node, 'schemaname');
  for (const child of childrenOf('RangeVar', step.node)) {
    if (child.type !== 'Alias') draft.evaluates('unknown', 'contains a table name that is not understood');
  }
  if (schema === undefined && step.access === 'read' && isVisible(step.scope, name)) return;
  draft.relation(schema, name, step.access);
}

function isVisible(scope: Scope | undefined, name: string): boolean {
  for (let at = scope; at !== undefined; at = at.outer) if (at.names.has(name)) return true;
  return false;
}

/** A statement inside a statement, with facts of its own. An absent one is not understood. */
function walkInner(outer: Draft, value: unknown): { draft: Draft; statement: Statement } {
  const draft = new Draft(outer.start, outer.end);
  if (outer.since !== undefined) draft.needs(outer.since);
  const child = value === undefined ? undefined : unwrap(value);
  if (child !== undefined) walk(draft, child.type, child.node);
  return {
    draft,
    statement: draft.finish(child === undefined ? 'UNKNOWN' : commandOf(child.type, child.node)),
  };
}
