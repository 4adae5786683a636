// Lookup: which objects of a snapshot a name in a text may stand for, by schema or search_path. Follows the manual, 5.10.3
// and 10: relations and types are found in the first schema that has one, functions and operators compete from all of
// them. Refuses to know what the objects do. Where the path is not known, every schema may be on it.

import type { FunctionUse, NameInSchema } from '../sql/statement.ts';
import type { FunctionObject, OperatorObject, RelationObject, Snapshot, TypeObject } from './snapshot.ts';

export type Path = readonly string[] | undefined;

/** The schemas in the order of the search; pg_catalog comes first unless the path puts it elsewhere. */
function schemasOf(path: Path): readonly string[] | undefined {
  if (path === undefined) return undefined;
  return path.includes('pg_catalog') ? path : ['pg_catalog', ...path];
}

/** Those in the schema of the name, or on the path in its order. */
function visible<T extends { readonly schema: string }>(
  found: readonly T[],
  schema: string | undefined,
  path: Path,
): readonly T[] {
  if (schema !== undefined) return found.filter((object) => object.schema === schema);
  const schemas = schemasOf(path);
  if (schemas === undefined || found.length === 0) return found;
  return found
    .filter((object) => schemas.includes(object.schema))
    .toSorted((a, b) => schemas.indexOf(a.schema) - schemas.indexOf(b.schema));
}

/**
 * The first on the path hides the others. If there is none, those of other schemas: the statement fails, or the path is
 * longer than we know.
 */
function firstVisible<T extends { readonly schema: string }>(
  found: readonly T[],
  schema: string | undefined,
  path: Path,
): readonly T[] {
  const candidates = visible(found, schema, path);
  if (schema !== undefined || path === undefined) return candidates;
  const [first] = candidates;
  return first === undefined ? found : candidates.filter((object) => object.schema === first.schema);
}

export function relationsMeant(snapshot: Snapshot, use: NameInSchema, path: Path): readonly RelationObject[] {
  return firstVisible(snapshot.relationsNamed(use.name), use.schema, path);
}

export function typesMeant(snapshot: Snapshot, use: NameInSchema, path: Path): readonly TypeObject[] {
  return firstVisible(snapshot.typesNamed(use.name), use.schema, path);
}

/** User functions that a call may mean, by name, schema and number of arguments. */
export function functionsMeant(snapshot: Snapshot, use: FunctionUse, path: Path): readonly FunctionObject[] {
  const named = snapshot.functionsNamed(use.name);
  if (named.length === 0) return named;
  const { args } = use;
  const fitting = named.filter((fn) => args === undefined || (fn.argsMin <= args && args <= fn.argsMax));
  const candidates = visible(fitting, use.schema, path);
  if (use.schema !== undefined || path === undefined) return candidates;
  // Of two with the same parameters the first on the path is meant.
  const seen = new Set<string>();
  return candidates.filter((fn) => {
    const key = fn.argTypes.join(' ');
    return !seen.has(key) && seen.add(key);
  });
}

/** User operators that a symbol may mean, by its schema or the path. */
export function operatorsMeant(snapshot: Snapshot, use: NameInSchema, path: Path): readonly OperatorObject[] {
  return visible(snapshot.operatorsNamed(use.name), use.schema, path);
}

/** The schemas of a `search_path=…` as pg_proc.proconfig has it; `"$user"` is the role of the login. */
export function pathOf(value: string, snapshot: Snapshot): readonly string[] {
  const parts = value.match(/"(?:[^"]|"")*"|[^,\s]+/g) ?? [];
  return parts
    .map((part) => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part.toLowerCase()))
    .map((part) => (part === '$user' ? snapshot.role.name : part))
    .filter((part) => part !== '');
}
