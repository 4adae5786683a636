// References of a stored expression or query: the OIDs that its tree (pg_node_tree) names, read from the tree's text.
// The server has resolved every name when it stored the tree, so nothing is guessed. Knows the fields that hold OIDs, of
// servers from 13 to 18; refuses to know what the expression computes.
// Source: nodes/primnodes.h and nodes/parsenodes.h; outfuncs.c for the text. A name in a tree has its spaces escaped, so
// no name can look like a field with its number. Trees are many and long: see bench/catalog.ts before changing how one is read.

import { firstUserOid, type References } from './snapshot.ts';

type Kind = keyof References;

const functionFields =
  'funcid|aggfnoid|winfnoid|opfuncid|hashfuncid|negfuncid|startInRangeFunc|endInRangeFunc|tsmhandler';
/** A function of anybody's. */
const functionField = new RegExp(`:(?:${functionFields}) ([1-9][0-9]*)`, 'g');
/** Any number as large as a user object's OID; which field it stands in is looked up for the few that there are. */
const largeNumber = / ([1-9][0-9]{4,9})(?![0-9])/g;

const fields: readonly (readonly [RegExp, Kind])[] = [
  [/^(opno|opnos|eqop|sortop|cycle_mark_neop)$/, 'operators'],
  [/^(relid|seqid)$/, 'relations'],
  [/^(\w*[tT]ypes?|\w*[tT]ype[iI]d|typid|typeOid)$/, 'types'],
];

const nothing: readonly number[] = [];

/** No reference at all. */
export const noReferences: References = {
  functions: nothing,
  operators: nothing,
  types: nothing,
  relations: nothing,
};

/** What the trees name together; null where there is none. The server's own types, operators and relations are left out. */
export type TreeReader = (first: string | null | undefined, second?: string | null) => References;

/**
 * Gives one and the same References for trees that name the same, and reads a short tree only once: of 50,000 defaults
 * a few are different.
 */
export function treeReader(): TreeReader {
  const byText = new Map<string, References>();
  const byContent = new Map<string, References>();
  const read = (tree: string | null | undefined): References => {
    if (tree === null || tree === undefined) return noReferences;
    const before = byText.get(tree);
    if (before !== undefined) return before;
    const found = shared(byContent, referencesOf(tree));
    if (tree.length <= keptLengthMax && byText.size < keptMax) byText.set(tree, found);
    return found;
  };
  return (first, second) => {
    if (second === null || second === undefined) return read(first);
    return shared(byContent, union([read(first), read(second)]));
  };
}

const keptMax = 1_000;
const keptLengthMax = 2_000;

function shared(byContent: Map<string, References>, found: References): References {
  if (found === noReferences) return found;
  const key = [found.functions, found.operators, found.types, found.relations].join(';');
  const before = byContent.get(key);
  if (before !== undefined) return before;
  if (byContent.size < keptMax) byContent.set(key, found);
  return found;
}

function referencesOf(tree: string): References {
  const found = {
    functions: new Set<number>(),
    operators: new Set<number>(),
    types: new Set<number>(),
    relations: new Set<number>(),
  };
  for (const [, oid] of tree.matchAll(functionField)) found.functions.add(Number(oid));
  for (const match of tree.matchAll(largeNumber)) {
    const oid = Number(match[1]);
    const kind = oid < firstUserOid ? undefined : kindOf(fieldAt(tree, match.index));
    if (kind !== undefined) found[kind].add(oid);
  }
  return frozen(found);
}

/** The name of the field whose value, or list of values, the text at `at` is in. */
function fieldAt(tree: string, at: number): string {
  const colon = tree.lastIndexOf(':', at);
  return tree.slice(colon + 1, tree.indexOf(' ', colon));
}

function kindOf(field: string): Kind | undefined {
  return fields.find(([pattern]) => pattern.test(field))?.[1];
}

/** References to these alone. Zeros are dropped, and so are the server's own but for functions. */
export function references(oids: Partial<Record<Kind, readonly number[]>>): References {
  const users = (list: readonly number[] | undefined) => new Set(list?.filter((oid) => oid >= firstUserOid));
  return frozen({
    functions: new Set(oids.functions?.filter((oid) => oid !== 0)),
    operators: users(oids.operators),
    types: users(oids.types),
    relations: users(oids.relations),
  });
}

/** All of them, each OID once. */
export function union(all: readonly References[]): References {
  const [first = noReferences, ...others] = all.filter((one) => one !== noReferences);
  if (others.length === 0) return first;
  const gathered = (kind: Kind) => new Set(all.flatMap((one) => one[kind]));
  return frozen({
    functions: gathered('functions'),
    operators: gathered('operators'),
    types: gathered('types'),
    relations: gathered('relations'),
  });
}

function frozen(found: Record<Kind, ReadonlySet<number>>): References {
  const list = (kind: Kind) => (found[kind].size === 0 ? nothing : [...found[kind]]);
  const [functions, operators, types, relations] = [
    list('functions'),
    list('operators'),
    list('types'),
    list('relations'),
  ];
  if (functions === nothing && operators === nothing && types === nothing && relations === nothing)
    return noReferences;
  return { functions, operators, types, relations };
}
