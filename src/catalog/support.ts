// Support: casts and operator classes of users, by the type they serve, since a value's type is all that a statement
// shows of them. Refuses to know when the server would use one. Source: the manual, "pg_cast", "pg_opclass", "pg_amproc",
// "pg_amop".

import { references, union } from './references.ts';
import { flag, Listing, number, type Table } from './row.ts';
import { firstUserOid, type OperatorObject, type References } from './snapshot.ts';

interface Cast {
  readonly source: number;
  readonly target: number;
  readonly function: number;
  /** The server uses it unasked, in any expression. */
  readonly implicit: boolean;
}

interface OperatorClass {
  readonly family: number;
  readonly input: number;
  /** Sorting, grouping and joining values of its type use it without being told. */
  readonly implicit: boolean;
}

interface Member {
  readonly family: number;
  readonly types: readonly [number, number];
  /** A function's or an operator's OID. */
  readonly oid: number;
}

export interface CastTable extends Table {
  readonly all: readonly Cast[];
  readonly byType: Listing<number, Cast>;
}

export interface SupportTable extends Table {
  readonly classes: ReadonlyMap<number, OperatorClass>;
  readonly functionsByType: Listing<number, Member>;
  readonly operatorsByType: Listing<number, Member>;
  readonly functionsByFamily: Listing<number, Member>;
  readonly operatorsByFamily: Listing<number, Member>;
}

export function castTable(): CastTable {
  const all: Cast[] = [];
  const byType = new Listing<number, Cast>();
  return {
    all,
    byType,
    add([source, target, func, context]) {
      const cast = {
        source: number(source),
        target: number(target),
        function: number(func),
        implicit: context === 'i',
      };
      all.push(cast);
      byType.add(cast.source, cast);
      if (cast.target !== cast.source) byType.add(cast.target, cast);
    },
  };
}

export function supportTable(): SupportTable {
  const classes = new Map<number, OperatorClass>();
  const byType = { function: new Listing<number, Member>(), operator: new Listing<number, Member>() };
  const byFamily = { function: new Listing<number, Member>(), operator: new Listing<number, Member>() };
  return {
    classes,
    functionsByType: byType.function,
    operatorsByType: byType.operator,
    functionsByFamily: byFamily.function,
    operatorsByFamily: byFamily.operator,
    add([what, first, second, third, fourth, method]) {
      if (what === 'class') {
        const implicit = flag(fourth?.[0]) && (method === 'btree' || method === 'hash');
        classes.set(number(first), { family: number(second), input: number(third), implicit });
        return;
      }
      const kind = what === 'function' ? 'function' : 'operator';
      const member: Member = {
        family: number(first),
        types: [number(second), number(third)],
        oid: number(fourth),
      };
      byFamily[kind].add(member.family, member);
      for (const type of new Set(member.types)) byType[kind].add(type, member);
    },
  };
}

/** What the operator class of that OID runs; nothing for one of the server's own. */
export function classReferences(support: SupportTable, oid: number): References {
  const found = support.classes.get(oid);
  if (found === undefined) return references({});
  return references({
    functions: support.functionsByFamily.get(found.family).map((member) => member.oid),
    operators: support.operatorsByFamily.get(found.family).map((member) => member.oid),
  });
}

/** Casts between the server's own types, and what it uses for them unasked: operator classes, members of its own families. */
export function everywhereOf(casts: CastTable, support: SupportTable): References {
  const servers = (oid: number) => oid < firstUserOid;
  const between = casts.all.filter(({ source, target }) => servers(source) && servers(target));
  // A value of the server's own that is one of a user's type as it stands is sorted and hashed as one.
  const alike = casts.all.filter((cast) => cast.implicit && cast.function === 0 && servers(cast.source));
  const inputs = new Set(alike.map((cast) => cast.target));
  const implicit = [...support.classes].filter(
    ([, found]) => found.implicit && (servers(found.input) || inputs.has(found.input)),
  );
  const membersOf = (listing: Listing<number, Member>) =>
    [...listing.keys()]
      .filter(servers)
      .flatMap((family) => listing.get(family).filter((member) => member.types.every(servers)))
      .map((member) => member.oid);
  return union([
    references({
      functions: [
        ...between.map((cast) => cast.function).filter((func) => func >= firstUserOid),
        ...membersOf(support.functionsByFamily),
      ],
      operators: membersOf(support.operatorsByFamily),
    }),
    ...implicit.map(([oid]) => classReferences(support, oid)),
  ]);
}

/** User functions that casts and operator classes of the type run. */
export function functionsFor(
  type: number,
  casts: CastTable,
  support: SupportTable,
  operator: (oid: number) => OperatorObject | undefined,
): number[] {
  const all = [
    ...casts.byType.get(type).map((cast) => cast.function),
    ...support.functionsByType.get(type).map((member) => member.oid),
    ...support.operatorsByType.get(type).flatMap((member) => operator(member.oid)?.functions ?? []),
  ];
  return [...new Set(all.filter((oid) => oid >= firstUserOid))];
}
