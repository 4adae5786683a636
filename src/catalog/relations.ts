// Relations and what hangs on them, each from the rows of its own question: columns, views, rules, triggers, constraints,
// defaults, indexes, partitions, policies, by the OID of the relation. A RelationObject is put together from these when it
// is asked for (stored.ts). Refuses to know types and functions but by OID.
// Source: the manual, "pg_class", "pg_attribute", "pg_rewrite", "pg_trigger", "pg_constraint", "pg_attrdef", "pg_index".

import { references, referencesIn, union } from './references.ts';
import { append, elements, flag, number, numbers, type Row, type Table, text } from './row.ts';
import {
  type ForeignKey,
  firstUserOid,
  type References,
  type RuleObject,
  type WriteEvent,
} from './snapshot.ts';

/** A table whose rows belong to objects, by the OID of the object. */
export interface TableOf<Value> extends Table {
  readonly of: ReadonlyMap<number, Value>;
}

export interface StoredRelation {
  readonly oid: number;
  readonly kind: string;
  readonly schema: string;
  readonly name: string;
  readonly version: string;
  readonly rowType: number;
  readonly rowSecurity: boolean;
  /** The handler of an access method that is not the server's own, else 0. */
  readonly handler: number;
}

export interface RelationTable extends Table {
  readonly byOid: ReadonlyMap<number, StoredRelation>;
  readonly byName: ReadonlyMap<string, readonly StoredRelation[]>;
  /** Relations by the OID of their row type. */
  readonly byRowType: ReadonlyMap<number, StoredRelation>;
  /** Relations by the OID of the array of their row type, and by its name where that is not `_` and their own. */
  readonly byArrayType: ReadonlyMap<number, StoredRelation>;
  readonly byArrayName: ReadonlyMap<string, readonly StoredRelation[]>;
  readonly arrayTypeOf: ReadonlyMap<number, number>;
}

export function relationTable(): RelationTable {
  const byOid = new Map<number, StoredRelation>();
  const byName = new Map<string, StoredRelation[]>();
  const byRowType = new Map<number, StoredRelation>();
  const byArrayType = new Map<number, StoredRelation>();
  const byArrayName = new Map<string, StoredRelation[]>();
  const arrayTypeOf = new Map<number, number>();
  return {
    byOid,
    byName,
    byRowType,
    byArrayType,
    byArrayName,
    arrayTypeOf,
    add([oid, kind, schema, name, version, rowType, rowSecurity, arrayType, arrayName, handler]) {
      const made: StoredRelation = {
        oid: number(oid),
        kind: text(kind),
        schema: text(schema),
        name: text(name),
        version: text(version),
        rowType: number(rowType),
        rowSecurity: flag(rowSecurity),
        handler: number(handler),
      };
      byOid.set(made.oid, made);
      append(byName, made.name, made);
      if (made.rowType !== 0 && made.kind !== 'c') byRowType.set(made.rowType, made);
      if (number(arrayType) !== 0 && made.kind !== 'c') {
        byArrayType.set(number(arrayType), made);
        arrayTypeOf.set(made.oid, number(arrayType));
        if (arrayName !== null && arrayName !== undefined) append(byArrayName, arrayName, made);
      }
    },
  };
}

/** Whether both tell the same of the same relations. */
export function sameRelations(some: RelationTable, others: RelationTable): boolean {
  if (some.byOid.size !== others.byOid.size) return false;
  for (const [oid, one] of some.byOid) {
    const other = others.byOid.get(oid);
    if (other === undefined || one.version !== other.version || one.name !== other.name) return false;
    if (one.schema !== other.schema || one.kind !== other.kind) return false;
  }
  return true;
}

/** Kept as the texts they came in and read when asked for. */
export interface Columns {
  /** In their order; a dropped one is empty. */
  readonly names: readonly string[];
  /** User types, each once. */
  readonly types: readonly number[];
  /** Numbers of generated columns, by pg_attribute.attgenerated. */
  readonly generated: Readonly<Record<'s' | 'v', readonly number[]>>;
  /** All that is kept of them, as one text. */
  readonly version: string;
}

export function columnTable(): TableOf<Columns> {
  const of = new Map<number, Columns>();
  return {
    of,
    add([relation, names, types, modifiers, stored, virtual]) {
      of.set(number(relation), {
        get names() {
          return elements(names);
        },
        get types() {
          return [...new Set(numbers(types).filter((type) => type >= firstUserOid))];
        },
        get generated() {
          return { s: numbers(stored), v: numbers(virtual) };
        },
        get version() {
          return [names, types, modifiers, stored, virtual].join();
        },
      });
    },
  };
}

/** Something stored with a relation: what it refers to, and a version of it. */
export interface Stored {
  readonly version: string;
  readonly refers: References;
}

export function viewTable(): TableOf<Stored> {
  const of = new Map<number, Stored>();
  return {
    of,
    add([relation, xmin, action, condition]) {
      of.set(number(relation), { version: text(xmin), refers: referencesIn(action, condition) });
    },
  };
}

export function policyTable(): TableOf<readonly Stored[]> {
  const of = new Map<number, Stored[]>();
  return {
    of,
    add([relation, xmin, using, check]) {
      append(of, number(relation), { version: text(xmin), refers: referencesIn(using, check) });
    },
  };
}

export interface DefaultExpression extends Stored {
  /** Number of the column that has it, or is generated by it. */
  readonly column: number;
}

export function defaultTable(): TableOf<readonly DefaultExpression[]> {
  const of = new Map<number, DefaultExpression[]>();
  return {
    of,
    add([relation, xmin, column, tree]) {
      append(of, number(relation), {
        version: text(xmin),
        column: number(column),
        refers: referencesIn(tree),
      });
    },
  };
}

export interface Inheritance extends Table {
  readonly children: ReadonlyMap<number, readonly number[]>;
}

export function inheritanceTable(): Inheritance {
  const children = new Map<number, number[]>();
  return {
    children,
    add([parent, child]) {
      append(children, number(parent), number(child));
    },
  };
}

const ruleEvents: Readonly<Record<string, RuleObject['event']>> = {
  '2': 'update',
  '3': 'insert',
  '4': 'delete',
};

export function ruleTable(): TableOf<readonly RuleObject[]> {
  const of = new Map<number, RuleObject[]>();
  return {
    of,
    add([oid, xmin, schema, name, relation, event, instead, action, condition, definition]) {
      append(of, number(relation), {
        oid: number(oid),
        version: text(xmin),
        schema: text(schema),
        name: text(name),
        event: ruleEvents[event ?? ''] ?? 'update',
        instead: flag(instead),
        definition: text(definition),
        refers: referencesIn(action, condition),
      });
    },
  };
}

export interface StoredTrigger {
  readonly oid: number;
  readonly version: string;
  readonly schema: string;
  readonly name: string;
  readonly function: number;
  readonly events: readonly WriteEvent[];
  /** Column numbers of UPDATE OF. */
  readonly columns: readonly number[];
  readonly when: References;
}

/** Bits of pg_trigger.tgtype (catalog/pg_trigger.h). */
const triggerEvents: readonly (readonly [bit: number, event: WriteEvent])[] = [
  [4, 'insert'],
  [8, 'delete'],
  [16, 'update'],
  [32, 'truncate'],
];

export function triggerTable(): TableOf<readonly StoredTrigger[]> {
  const of = new Map<number, StoredTrigger[]>();
  return {
    of,
    add([oid, xmin, schema, name, relation, func, type, columns, when]) {
      append(of, number(relation), {
        oid: number(oid),
        version: text(xmin),
        schema: text(schema),
        name: text(name),
        function: number(func),
        events: triggerEvents.filter(([bit]) => (number(type) & bit) !== 0).map(([, event]) => event),
        columns: numbers(columns),
        when: referencesIn(when),
      });
    },
  };
}

export interface StoredForeignKey extends Omit<ForeignKey, 'columns'> {
  /** Column numbers of the referenced table. */
  readonly columns: readonly number[];
}

export interface ConstraintTable extends Table {
  /** CHECK and exclusion constraints, and the operators of foreign keys, by relation. */
  readonly ofRelation: ReadonlyMap<number, readonly Stored[]>;
  readonly ofDomain: ReadonlyMap<number, readonly Stored[]>;
  /** By the table referred to. */
  readonly referencing: ReadonlyMap<number, readonly StoredForeignKey[]>;
}

export function constraintTable(): ConstraintTable {
  const ofRelation = new Map<number, Stored[]>();
  const ofDomain = new Map<number, Stored[]>();
  const referencing = new Map<number, StoredForeignKey[]>();
  return {
    ofRelation,
    ofDomain,
    referencing,
    add(row: Row) {
      const [
        oid,
        xmin,
        schema,
        name,
        kind,
        relation,
        domain,
        parent,
        onDelete,
        onUpdate,
        parentColumns,
        tree,
        operators,
      ] = row;
      const version = text(xmin);
      const refers = union([referencesIn(tree), references({ operators: numbers(operators) })]);
      if (number(domain) !== 0) append(ofDomain, number(domain), { version, refers });
      else append(ofRelation, number(relation), { version, refers });
      if (kind !== 'f') return;
      append(referencing, number(parent), {
        oid: number(oid),
        version,
        schema: text(schema),
        name: text(name),
        child: number(relation),
        onDelete: text(onDelete),
        onUpdate: text(onUpdate),
        columns: numbers(parentColumns),
      });
    },
  };
}

export interface StoredIndex extends Stored {
  /** The index's own OID. */
  readonly oid: number;
  /** Column numbers of a unique index that is valid, immediate, whole and of plain columns; else undefined. */
  readonly unique: readonly number[] | undefined;
  readonly operatorClasses: readonly number[];
}

export function indexTable(): TableOf<readonly StoredIndex[]> {
  const of = new Map<number, StoredIndex[]>();
  return {
    of,
    add([relation, oid, xmin, unique, keys, columns, classes, expressions, predicate]) {
      append(of, number(relation), {
        oid: number(oid),
        version: text(xmin),
        unique: flag(unique) ? numbers(columns).slice(0, number(keys)) : undefined,
        operatorClasses: numbers(classes).filter((one) => one >= firstUserOid),
        refers: referencesIn(expressions, predicate),
      });
    },
  };
}

export interface StoredPartitioning extends Stored {
  readonly operatorClasses: readonly number[];
}

export function partitioningTable(): TableOf<StoredPartitioning> {
  const of = new Map<number, StoredPartitioning>();
  return {
    of,
    add([relation, xmin, classes, expressions]) {
      of.set(number(relation), {
        version: text(xmin),
        operatorClasses: numbers(classes).filter((one) => one >= firstUserOid),
        refers: referencesIn(expressions),
      });
    },
  };
}

export interface EventTriggerTable extends Table {
  readonly functions: readonly number[];
}

export function eventTriggerTable(): EventTriggerTable {
  const functions: number[] = [];
  return {
    functions,
    add([func]) {
      functions.push(number(func));
    },
  };
}
