// Explanations: what was worked out of statements by one snapshot, so that it is worked out once: by statement, and by
// facts, because texts that differ in nothing but their literals have the same. Bounded. Knows no way to explain anything.

import type { Statement } from '../sql/statement.ts';
import type { NameContext } from './names.ts';

interface Explained {
  readonly context: NameContext;
  readonly types: readonly number[];
  readonly statement: Statement;
}

/** Contexts for which one statement is remembered; a session has one path as a rule. */
const contextsMax = 8;

/** Facts remembered in one of two generations: a few kilobytes each. What is asked for again moves to the young one. */
const factsMax = 1_000;

export class Explanations {
  readonly #byStatement = new WeakMap<Statement, readonly Explained[]>();
  #young = new Map<string, readonly Explained[]>();
  #old = new Map<string, readonly Explained[]>();

  /** The explanation of the statement, if it or one of the same facts was explained in the same context. */
  find(statement: Statement, context: NameContext, types: readonly number[]): Statement | undefined {
    const own = this.#byStatement.get(statement) ?? [];
    const known = matching(own, context, types);
    if (known !== undefined) return known.statement;
    const key = factsOf(statement);
    const alike = this.#young.get(key) ?? this.#old.get(key);
    const sibling = alike === undefined ? undefined : matching(alike, context, types);
    if (alike === undefined || sibling === undefined) return undefined;
    if (!this.#young.has(key)) this.#keep(key, alike);
    const explained = { ...sibling.statement, start: statement.start, end: statement.end };
    this.#byStatement.set(statement, added(own, { context, types, statement: explained }));
    return explained;
  }

  keep(statement: Statement, context: NameContext, types: readonly number[], explained: Statement): void {
    const entry = { context, types, statement: explained };
    this.#byStatement.set(statement, added(this.#byStatement.get(statement) ?? [], entry));
    const key = factsOf(statement);
    this.#keep(key, added(this.#young.get(key) ?? this.#old.get(key) ?? [], entry));
  }

  #keep(key: string, entries: readonly Explained[]): void {
    if (this.#young.size >= factsMax) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, entries);
  }
}

function added(entries: readonly Explained[], entry: Explained): readonly Explained[] {
  return [entry, ...entries].slice(0, contextsMax);
}

function matching(
  entries: readonly Explained[],
  context: NameContext,
  types: readonly number[],
): Explained | undefined {
  return entries.find((one) => sameContext(one.context, context) && sameList(one.types, types));
}

/** Everything in a statement but its place in the text. */
function factsOf(statement: Statement): string {
  return JSON.stringify({ ...statement, start: 0, end: 0 });
}

function sameContext(a: NameContext, b: NameContext): boolean {
  if (a === b) return true;
  const samePath =
    a.path === undefined || b.path === undefined ? a.path === b.path : sameList(a.path, b.path);
  // Of temporary relations only the map itself tells whether they are the same.
  const temporary = a.temporary === b.temporary || a.temporary.size + b.temporary.size === 0;
  return samePath && temporary && a.shadowed === b.shadowed && a.changed === b.changed;
}

function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((each, at) => each === b[at]);
}
