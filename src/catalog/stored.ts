// The stored snapshot: a Snapshot over the tables of all sections. What a question told is kept as it came, and an object
// that several sections tell of is put together when it is first asked for: of 50,000 relations a session uses a few.
// Tables are shared with the snapshot before and after it and are not changed once they are read. Pure.

import { createHash } from 'node:crypto';
import type { Digests } from './digests.ts';
import { builtinTable, functionTable } from './functions.ts';
import { type HidingTypes, hidingTypes } from './hiding.ts';
import { operatorTable } from './operators.ts';
import type { SectionName } from './queries.ts';
import { noReferences, references, union } from './references.ts';
import {
  columnsOf,
  columnTable,
  constraintTable,
  defaultTable,
  eventTriggerTable,
  indexTable,
  inheritanceTable,
  partitioningTable,
  policyTable,
  relationTable,
  ruleTable,
  type Stored,
  type StoredRelation,
  statisticsTable,
  triggerTable,
  viewTable,
} from './relations.ts';
import type { Table } from './row.ts';
import {
  firstUserOid,
  type References,
  type RelationObject,
  type RoleFacts,
  type Snapshot,
  type TypeObject,
} from './snapshot.ts';
import { castTable, classReferences, everywhereOf, functionsFor, supportTable } from './support.ts';
import { type StoredType, typeTable } from './types.ts';

/** An empty table for each section. */
export const emptyTables = {
  builtins: builtinTable,
  functions: functionTable,
  operators: operatorTable,
  types: typeTable,
  casts: castTable,
  support: supportTable,
  relations: relationTable,
  attributes: columnTable,
  inheritance: inheritanceTable,
  views: viewTable,
  rules: ruleTable,
  triggers: triggerTable,
  constraints: constraintTable,
  defaults: defaultTable,
  indexes: indexTable,
  partitions: partitioningTable,
  policies: policyTable,
  statistics: statisticsTable,
  eventTriggers: eventTriggerTable,
} as const satisfies Record<SectionName, () => Table>;

export type Tables = { readonly [Name in SectionName]: ReturnType<(typeof emptyTables)[Name]> };

/** What is known of the server and the role beside the sections. */
export interface ServerFacts {
  readonly serverVersion: number;
  readonly role: RoleFacts;
  readonly searchPath: readonly string[];
  readonly temporaryNames: ReadonlySet<string>;
}

/** Characters of base64 that are kept of a digest: 132 bits. */
const digestLength = 22;

/** `epoch` as from `epochOf`. */
export function storedSnapshot(tables: Tables, facts: ServerFacts, epoch: string): Snapshot {
  const relations = new Map<number, RelationObject>();
  const types = new Map<number, TypeObject>();
  let hiding: HidingTypes | undefined;
  const hidden = () => {
    hiding ??= hidingTypes(tables, (oid) => type(oid)?.parts ?? []);
    return hiding;
  };
  const relation = (stored: StoredRelation): RelationObject =>
    remembered(relations, stored.oid, () => relationOf(tables, stored, hidden()));
  const type = (oid: number): TypeObject | undefined => {
    const known = types.get(oid);
    if (known !== undefined) return known;
    const made = typeOf(tables, oid);
    if (made !== undefined) types.set(oid, made);
    return made;
  };
  return {
    epoch,
    ...facts,
    everywhere: everywhereOf(tables.casts, tables.support),
    onDefine: references({ functions: tables.eventTriggers.functions }),
    function: (oid) => tables.functions.byOid.get(oid),
    functionsNamed: (name) => tables.functions.byName.get(name),
    builtin: (oid) => tables.builtins.byOid.get(oid),
    relation(oid) {
      const stored = tables.relations.byOid.get(oid);
      return stored === undefined ? undefined : relation(stored);
    },
    relationsNamed: (name) => tables.relations.byName.get(name).map(relation),
    *relations() {
      for (const oid of hidingOids(tables)) {
        const stored = tables.relations.byOid.get(oid);
        if (stored !== undefined) yield relation(stored);
      }
    },
    type,
    typesNamed: (name) => typeOidsNamed(tables, name).map((oid) => type(oid)!),
    *types() {
      for (const oid of hidden().all) {
        const found = type(oid);
        if (found !== undefined) yield found;
      }
    },
    typesOver: (oid) => hidden().over.get(oid) ?? [],
    operator: (oid) => tables.operators.byOid.get(oid),
    operatorsNamed: (symbol) => tables.operators.bySymbol.get(symbol),
  };
}

/** Another text as soon as anything is that a snapshot is made of; short, without names. */
export function epochOf(digests: Digests, facts: ServerFacts): string {
  const hash = createHash('sha256');
  for (const entry of digests) hash.update(entry.join(' '));
  hash.update(JSON.stringify([facts.serverVersion, facts.role, facts.searchPath]));
  return hash.digest('base64url').slice(0, digestLength);
}

function shortened(version: string): string {
  if (version.length <= digestLength) return version;
  return createHash('sha256').update(version).digest('base64url').slice(0, digestLength);
}

function remembered<Value>(known: Map<number, Value>, oid: number, make: () => Value): Value {
  const found = known.get(oid);
  if (found !== undefined) return found;
  const made = make();
  known.set(oid, made);
  return made;
}

function refers(stored: readonly Stored[]): References[] {
  return stored.map((one) => one.refers);
}

/** A row that is written to a partition itself is checked against the keys of what it is a partition of. */
function partitionsAbove(tables: Tables, oid: number): Stored[] {
  const found: Stored[] = [];
  const parents = [...tables.inheritance.parents.get(oid)];
  for (let next = parents.pop(); next !== undefined; next = parents.pop()) {
    const partitioning = tables.partitions.of.get(next.parent);
    if (partitioning === undefined) continue;
    found.push(partitioning);
    parents.push(...tables.inheritance.parents.get(next.parent));
  }
  return found;
}

function relationOf(tables: Tables, stored: StoredRelation, hiding: HidingTypes): RelationObject {
  const { oid, kind, schema, name } = stored;
  const columns = columnsOf(tables.attributes.of.get(oid));
  const named = columns.names;
  const names = (numbers: readonly number[]) => numbers.map((at) => named[at - 1] ?? '');
  const view = tables.views.of.get(oid);
  const defaults = tables.defaults.of.get(oid);
  const checks = tables.constraints.ofRelation.get(oid);
  const indexes = tables.indexes.of.get(oid);
  const partitioning = tables.partitions.of.get(oid);
  const policies = stored.rowSecurity ? tables.policies.of.get(oid) : [];
  const classes = [...indexes, ...(partitioning === undefined ? [] : [partitioning])].flatMap(
    (one) => one.operatorClasses,
  );
  // What the server runs to find rows and to put them in their place.
  const access = [
    ...[...new Set(classes)].map((operatorClass) => classReferences(tables.support, operatorClass)),
    ...(stored.handler === 0 ? [] : [references({ functions: [stored.handler] })]),
    ...refers(partitioning === undefined ? [] : [partitioning]),
  ];
  const { stored: generated, virtual } = columns;
  const ofColumns = (which: (column: number) => boolean) =>
    refers(defaults.filter((one) => which(one.column)));
  const statistics = tables.statistics.of.get(oid);
  const versions = [view, partitioning, ...defaults, ...checks, ...indexes, ...policies, ...statistics].map(
    (one) => one?.version ?? '',
  );
  const onWrite = union([
    ...refers(checks),
    ...ofColumns((at) => generated.has(at)),
    ...refers(indexes),
    ...refers(partitionsAbove(tables, oid)),
    ...access,
  ]);
  const hidesRows = hiding.all.has(stored.rowType) || hiding.over.has(stored.rowType);
  return {
    oid,
    get version() {
      return shortened([stored.version, columns.version, ...versions].join('.'));
    },
    schema,
    name,
    kind,
    columns: named,
    onRead: union([view?.refers ?? noReferences, ...ofColumns((at) => virtual.has(at)), ...access]),
    onWrite,
    onPlan: ofUsers(union([onWrite, ...refers(statistics)])),
    defaults: union(ofColumns((at) => !virtual.has(at) && !generated.has(at))),
    policies: union(refers(policies)),
    generated: names([...generated]),
    types: hidesRows ? [...columns.types, stored.rowType] : columns.types,
    rowType: stored.rowType,
    children: tables.inheritance.of.get(oid).map((one) => one.child),
    partitioned: kind === 'p',
    triggers: tables.triggers.of.get(oid).map((one) => ({ ...one, columns: names(one.columns) })),
    rules: tables.rules.of.get(oid),
    referencedBy: tables.constraints.referencing.get(oid).map((one) => ({
      ...one,
      columns: names(one.columns),
    })),
    uniques: indexes.flatMap((one) => (one.unique === undefined ? [] : [names(one.unique)])),
  };
}

/** Without the server's own functions, of which none that may be computed before a statement runs has an effect. */
function ofUsers(found: References): References {
  const functions = found.functions.filter((oid) => oid >= firstUserOid);
  return functions.length === found.functions.length ? found : { ...found, functions };
}

function hidingOids(tables: Tables): Set<number> {
  const { relations, views, rules, triggers, policies, constraints } = tables;
  const listings = [rules.of, triggers.of, policies.of, constraints.referencing, views.of];
  const planned = [constraints.ofRelation, tables.indexes.of, tables.statistics.of, tables.defaults.of];
  const withCode = planned.flatMap((listing) =>
    [...listing.keys()].filter((oid) => listing.get(oid).some(({ refers: found }) => hasCode(found))),
  );
  return new Set([...relations.foreign, ...listings.flatMap((listing) => [...listing.keys()]), ...withCode]);
}

function hasCode({ functions, operators }: References): boolean {
  return operators.length > 0 || functions.some((oid) => oid >= firstUserOid);
}

function typeOidsNamed(tables: Tables, name: string): number[] {
  const { relations, types } = tables;
  const users = (stored: readonly StoredRelation[]) => stored.filter((one) => one.oid >= firstUserOid);
  const rows = users(relations.byName.get(name)).filter((one) => one.rowType !== 0);
  const arrays = [
    ...users(relations.byArrayName.get(name)),
    ...(name.startsWith('_') ? users(relations.byName.get(name.slice(1))) : []).filter(
      (one) => !relations.byArrayName.get(name).includes(one),
    ),
  ];
  return [
    ...types.byName.get(name).map((one) => one.oid),
    ...rows.map((one) => one.rowType),
    ...arrays.map((one) => one.arrayType).filter((oid) => oid !== 0),
  ];
}

function typeOf(tables: Tables, oid: number): TypeObject | undefined {
  const stored = tables.types.byOid.get(oid) ?? rowTypeOf(tables, oid);
  if (stored === undefined) return undefined;
  const checks = tables.constraints.ofDomain.get(oid);
  const columns = columnsOf(stored.relation === 0 ? undefined : tables.attributes.of.get(stored.relation));
  const operator = (operatorOid: number) => tables.operators.byOid.get(operatorOid);
  const functions = [
    ...stored.functions,
    ...functionsFor(oid, tables.casts, tables.support, operator),
    ...classReferences(tables.support, stored.operatorClass).functions.filter((func) => func >= firstUserOid),
  ];
  return {
    oid,
    version: shortened([stored.version, columns.version, ...checks.map((one) => one.version)].join('.')),
    schema: stored.schema,
    name: stored.name,
    kind: stored.kind,
    parts: [...stored.parts, ...columns.types],
    checks: union(refers(checks)),
    defaults: stored.defaults,
    functions: [...new Set(functions)],
    implicitFrom: tables.casts.byType
      .get(oid)
      .filter((cast) => cast.implicit && cast.target === oid)
      .map((cast) => cast.source),
  };
}

/** The row type of a relation, or the array of one: nobody else tells of them. */
function rowTypeOf(tables: Tables, oid: number): StoredType | undefined {
  const row = tables.relations.byRowType.get(oid);
  const relation = row ?? tables.relations.byArrayType.get(oid);
  if (relation === undefined || relation.oid < firstUserOid) return undefined;
  return {
    oid,
    version: relation.version,
    schema: relation.schema,
    name: row === undefined ? `_${relation.name}` : relation.name,
    kind: row === undefined ? 'b' : 'c',
    parts: row === undefined ? [relation.rowType] : [],
    relation: row === undefined ? 0 : relation.oid,
    functions: [],
    defaults: noReferences,
    operatorClass: 0,
  };
}
