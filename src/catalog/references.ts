// References of a stored expression or query: the OIDs that its tree (pg_node_tree) names, read from the tree's text.
// The server has resolved every name when it stored the tree, so nothing is guessed. Knows the fields that hold OIDs, of
// servers from 13 to 18; refuses to know what the expression computes.
// Source: nodes/primnodes.h and nodes/parsenodes.h; outfuncs.c for the text. A name in a tree has its spaces escaped, so
// no name can look like a field with its number.

import { firstUserOid, type References } from './snapshot.ts';

const kinds = {
  functions:
    'funcid|aggfnoid|winfnoid|opfuncid|hashfuncid|negfuncid|startInRangeFunc|endInRangeFunc|tsmhandler',
  operators: 'opno|opnos|eqop|sortop|cycle_mark_neop',
  relations: 'relid|seqid',
  types: '\\w*[tT]ypes?|\\w*[tT]ype[iI]d|typid|typeOid',
} as const;

type Kind = keyof typeof kinds;

const field = new RegExp(
  `:(?:${Object.entries(kinds)
    .map(([kind, fields]) => `(?<${kind}>${fields})`)
    .join('|')}) (?:\\(o )?([1-9][0-9]*(?: [0-9]+)*)`,
  'g',
);

const nothing: readonly number[] = [];

/** No reference at all. */
export const noReferences: References = {
  functions: nothing,
  operators: nothing,
  types: nothing,
  relations: nothing,
};

/**
 * What the trees name together; null where there is none. The server's own types, operators and relations are left
 * out, its functions are not.
 */
export function referencesIn(...trees: (string | null | undefined)[]): References {
  const found = {
    functions: new Set<number>(),
    operators: new Set<number>(),
    types: new Set<number>(),
    relations: new Set<number>(),
  };
  for (const tree of trees) {
    if (tree === null || tree === undefined) continue;
    for (const match of tree.matchAll(field)) {
      const kind: Kind =
        match[1] !== undefined
          ? 'functions'
          : match[2] !== undefined
            ? 'operators'
            : match[3] !== undefined
              ? 'relations'
              : 'types';
      for (const word of match[5]!.split(' ')) {
        const oid = Number(word);
        if (oid >= firstUserOid || (kind === 'functions' && oid !== 0)) found[kind].add(oid);
      }
    }
  }
  return frozen(found);
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
