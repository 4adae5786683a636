// Hiding: which user types hide code, and which of those are made of a given type. A domain over the rows of a table, a
// cast from an array or an operator class for a composite type is reached by values of the type that it is made of, though
// no text names it. Knows that there is code; refuses to know what it does (routines.ts). Worked out once a snapshot.

import type { ConstraintTable } from './relations.ts';
import { firstUserOid } from './snapshot.ts';
import type { CastTable, SupportTable } from './support.ts';
import type { TypeTable } from './types.ts';

export interface HidingTypes {
  readonly all: ReadonlySet<number>;
  /** By the OID of a type: those of `all` that have values of it in them. */
  readonly over: ReadonlyMap<number, readonly number[]>;
}

interface Tables {
  readonly types: TypeTable;
  readonly constraints: ConstraintTable;
  readonly casts: CastTable;
  readonly support: SupportTable;
}

/** `partsOf`: the types that a type is directly made of. */
export function hidingTypes(tables: Tables, partsOf: (oid: number) => readonly number[]): HidingTypes {
  const { types, constraints, casts, support } = tables;
  const all = new Set<number>();
  const add = (oids: Iterable<number>) => {
    for (const oid of oids) if (oid >= firstUserOid) all.add(oid);
  };
  add(constraints.ofDomain.keys());
  add(casts.byType.keys());
  add(support.functionsByType.keys());
  add(support.operatorsByType.keys());
  for (const [oid, type] of types.byOid) {
    if (type.functions.length > 0 || type.operatorClass >= firstUserOid) all.add(oid);
  }
  const over = new Map<number, number[]>();
  for (const oid of all) {
    for (const part of allParts(oid, partsOf)) {
      const above = over.get(part);
      if (above === undefined) over.set(part, [oid]);
      else above.push(oid);
    }
  }
  return { all, over };
}

function allParts(oid: number, partsOf: (oid: number) => readonly number[]): Set<number> {
  const found = new Set<number>();
  const pending = [...partsOf(oid)];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next === oid || found.has(next)) continue;
    found.add(next);
    pending.push(...partsOf(next));
  }
  return found;
}
