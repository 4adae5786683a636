// Meaning: the statements of a text as the database's catalog explains them, and whether that has changed since a person
// was asked. Pure; refuses to know how the catalog is read. Source: DESIGN §1.8, §4 (5, 9); wire.md §2.8, §3.4.

import type { NameContext, Reacher } from '../catalog/names.ts';
import type { Effect, Statement } from '../sql/statement.ts';
import { mayRunCode } from './code.ts';
import { movesPath, type Settings } from './settings.ts';

/** True if what the statement does rests on names that only the catalog can explain. */
export function usesNames({ relations, functions, types, operators, fields, names }: Statement): boolean {
  // Parsing what a PREPARE prepares may run code already.
  const prepares = names.some(
    ({ kind, inner }) => kind === 'prepare' && inner !== undefined && usesNames(inner),
  );
  return (
    prepares || relations.length + functions.length + types.length + operators.length + fields.length > 0
  );
}

/**
 * The statements with their hidden effects; the same array if nothing is hidden. `reach` undefined: the catalog cannot
 * be read, so that names are unknown.
 */
export function explained(
  statements: readonly Statement[],
  parameterTypes: readonly number[],
  reach: Reacher | undefined,
  settings: Settings,
): readonly Statement[] {
  if (reach === undefined) {
    const named = statements.some(usesNames) || parameterTypes.some((oid) => oid !== 0);
    return named ? statements.map(unread) : statements;
  }
  let context = settings.names(reach.searchPath);
  let moved = settings.pathMoved;
  let changed = false;
  const result = statements.map((statement) => {
    const known = reach.explain(statement, context, parameterTypes);
    changed ||= known !== statement;
    if (statements.length > 1) {
      moved ||= movesPath(known);
      context = behind(known, context, moved);
    }
    return known;
  });
  return changed ? result : statements;
}

/**
 * What names are looked up in by the statements that follow in the same text. `moved`: search_path was set before, so
 * that the end of a transaction or a savepoint may bring another value back.
 */
function behind(statement: Statement, context: NameContext, moved: boolean): NameContext {
  const { effects, relations } = statement;
  if (effects.length === 1 && effects[0] === 'read') return context;
  const code = mayRunCode(statement);
  const back = moved && effects.includes('transaction');
  const lost = code || back || movesPath(statement) || effects.includes('role');
  const made = effects.includes('temporary') ? relations.filter(({ access }) => access === 'define') : [];
  if (!lost && made.length === 0) return context;
  return {
    ...context,
    path: lost ? undefined : context.path,
    shadowed: context.shadowed || code,
    temporary: new Map([...context.temporary, ...made.map(({ name }) => [name, statement] as const)]),
  };
}

function unread(statement: Statement): Statement {
  const effects: Effect[] = [...new Set<Effect>([...statement.effects, 'unknown'])].sort();
  const { unresolved: _, ...rest } = statement;
  const why = 'names objects of this database, whose catalog cannot be read at the moment';
  return { ...rest, effects, why: [...statement.why, why] };
}

/**
 * Why statements do not mean any more what they meant `before`, in a clause for people; undefined if they do. Both are
 * explanations of the same statements, in the same order.
 */
export function changeOf(before: readonly Statement[], now: readonly Statement[]): string | undefined {
  for (const [at, was] of before.entries()) {
    const is = now[at];
    if (is !== undefined && sameMeaning(was, is)) continue;
    const names = was.relations.map(({ schema, name }) =>
      schema === undefined ? name : `${schema}.${name}`,
    );
    const touched =
      names.length === 0 ? 'something that it uses' : [...new Set(names)].slice(0, namesMax).join(', ');
    return `${touched}, or code behind it, was changed or replaced`;
  }
  return undefined;
}

const namesMax = 3;

function sameMeaning(was: Statement, is: Statement): boolean {
  return (
    was === is ||
    (was.identity === is.identity && was.effects.join() === is.effects.join() && sameWords(was, is))
  );
}

function sameWords(was: Statement, is: Statement): boolean {
  return was.why.length === is.why.length && was.why.every((why, at) => why === is.why[at]);
}
