// Functions of users and extensions, from the rows of the question `functions`, by OID and by name; and the names of the
// server's own. Refuses to know what a body does. Source: the manual, "pg_proc" and "pg_aggregate".

import { references, type TreeReader, treeReader, union } from './references.ts';
import { flag, Listing, number, numbers, type Row, type Table, text, texts } from './row.ts';
import type { FunctionObject, WriteEvent } from './snapshot.ts';

export interface FunctionTable extends Table {
  readonly byOid: ReadonlyMap<number, FunctionObject>;
  readonly byName: Listing<string, FunctionObject>;
}

export interface BuiltinTable extends Table {
  readonly byOid: ReadonlyMap<number, { readonly schema: string; readonly name: string }>;
}

const kinds = { f: 'function', p: 'procedure', a: 'aggregate', w: 'window' } as const;

export function functionTable(): FunctionTable {
  const byOid = new Map<number, FunctionObject>();
  const byName = new Listing<string, FunctionObject>();
  const read = treeReader();
  return {
    byOid,
    byName,
    add(row) {
      const made = functionOf(row, read);
      byOid.set(made.oid, made);
      byName.add(made.name, made);
    },
  };
}

export function builtinTable(): BuiltinTable {
  const byOid = new Map<number, { schema: string; name: string }>();
  return {
    byOid,
    add([oid, schema, name]) {
      byOid.set(number(oid), { schema: text(schema), name: text(name) });
    },
  };
}

function functionOf(row: Row, read: TreeReader): FunctionObject {
  const [oid, xmin, schema, name, kind, language, source, library, extension, compiled, defaults, support] =
    row;
  const [
    args,
    argDefaults,
    variadic,
    argTypes,
    allTypes,
    modes,
    names,
    resultType,
    returnsSet,
    settings,
    definer,
  ] = row.slice(12);
  const [takesRow, aggregateKind, aggregateParts, sortOperator, stateTypes] = row.slice(23);
  const types = numbers(argTypes);
  const parameters = parametersOf(types, numbers(allTypes), text(modes), texts(names));
  const atMost = argsMaxOf(
    number(args),
    kind ?? 'f',
    number(variadic) !== 0,
    aggregateKind ?? 'n',
    parameters.length,
  );
  const argsMin = aggregateKind === 'o' || aggregateKind === 'h' ? 0 : number(args) - number(argDefaults);
  return {
    oid: number(oid),
    version: text(xmin),
    schema: text(schema),
    name: text(name),
    kind: kinds[kind as keyof typeof kinds] ?? 'function',
    language: text(language),
    body: kind === 'a' ? '' : text(source),
    library: library ?? undefined,
    extension: extension ?? undefined,
    compiled: compiled === null ? undefined : read(compiled),
    compiledWrites: writesIn(compiled),
    parts: union([
      read(defaults),
      references({
        functions: [...numbers(aggregateParts), number(support)],
        operators: [number(sortOperator)],
        types: numbers(stateTypes),
      }),
    ]),
    argsMin,
    argsMax: atMost,
    argTypes: types,
    parameters,
    resultType: number(resultType),
    returnsSet: flag(returnsSet),
    settings: texts(settings),
    definer: flag(definer),
    ofRow: flag(takesRow) && argsMin <= 1 && atMost >= 1,
  };
}

/** CALL names the OUT parameters too; what stands in WITHIN GROUP is counted with the arguments by some and not by others. */
function argsMaxOf(
  args: number,
  kind: string,
  variadic: boolean,
  aggregateKind: string,
  all: number,
): number {
  if (variadic || aggregateKind === 'o' || aggregateKind === 'h') return Number.POSITIVE_INFINITY;
  return kind === 'p' ? Math.max(args, all) : args;
}

function parametersOf(
  types: readonly number[],
  allTypes: readonly number[],
  modes: string,
  names: readonly string[],
): FunctionObject['parameters'] {
  const letters = modes.replace(/[{},]/g, '');
  return (allTypes.length === 0 ? types : allTypes).map((type, at) => ({
    name: names[at] ?? '',
    type,
    mode: letters[at] ?? 'i',
  }));
}

/** CmdType in nodes/nodes.h, of all queries in the tree; a merge may do any of them. A utility command writes all. */
function writesIn(tree: string | null | undefined): readonly WriteEvent[] {
  const found = new Set<WriteEvent>();
  for (const [, command] of (tree ?? '').matchAll(/:commandType (\d+)/g)) {
    for (const event of writesOf[Number(command)] ?? ['insert', 'update', 'delete', 'truncate'])
      found.add(event);
  }
  if (tree?.includes(':onConflict {ONCONFLICTEXPR :action 2')) found.add('update');
  return [...found];
}

const writesOf: readonly (readonly WriteEvent[])[] = [
  [],
  [],
  ['update'],
  ['insert'],
  ['delete'],
  ['insert', 'update', 'delete'],
];
