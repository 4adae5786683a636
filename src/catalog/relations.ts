// Relations and what hangs on them, each from the rows of its own question: columns, views, rules, triggers, constraints,
// defaults, indexes, partitions, policies, statistics, by the OID of the relation. A RelationObject is put together from
// these when it is asked for (stored.ts). Refuses to know types and functions but by OID.
// Source: the manual, "pg_class", "pg_attribute", "pg_rewrite", "pg_trigger", "pg_constraint", "pg_attrdef", "pg_index".

import { noReferences, references, treeReader, union } from './references.ts';
import { elements, flag, interning, Listing, number, numbers, type Row, type Table, text } from './row.ts';
import {
  type ForeignKey,
  firstUserOid,
  type References,
  type RuleObject,
  type TriggerObject,
  type WriteEvent,
} from './snapshot.ts';

/** A table with at most one row an object, by the OID of the object. */
export interface TableOf<Value> extends Table {
  readonly of: ReadonlyMap<number, Value>;
}

/** A table with any number of rows an object. */
export interface ListOf<Value extends object> extends Table {
  readonly of: Listing<number, Value>;
}

export interface StoredRelation {
  readonly oid: number;
  readonly kind: string;
  readonly schema: string;
  readonly name: string;
  readonly version: string;
  /** Of a composite type, which is a type of its own, these are 0. */
  readonly rowType: number;
  readonly arrayType: number;
  readonly rowSecurity: boolean;
  /** The handler of an access method that is not the server's own, else 0. */
  readonly handler: number;
}

export interface RelationTable extends Table {
  readonly byOid: ReadonlyMap<number, StoredRelation>;
  readonly byName: Listing<string, StoredRelation>;
  /** Relations by the OID of their row type. */
  readonly byRowType: ReadonlyMap<number, StoredRelation>;
  /** Relations by the OID of the array of their row type, and by its name where that is not `_` and their own. */
  readonly byArrayType: ReadonlyMap<number, StoredRelation>;
  readonly byArrayName: Listing<string, StoredRelation>;
  readonly foreign: ReadonlySet<number>;
}

export function relationTable(): RelationTable {
  const byOid = new Map<number, StoredRelation>();
  const byName = new Listing<string, StoredRelation>();
  const byRowType = new Map<number, StoredRelation>();
  const byArrayType = new Map<number, StoredRelation>();
  const byArrayName = new Listing<string, StoredRelation>();
  const foreign = new Set<number>();
  const common = interning();
  return {
    byOid,
    byName,
    byRowType,
    byArrayType,
    byArrayName,
    foreign,
    add([oid, kind, schema, name, version, rowType, rowSecurity, arrayType, arrayName, handler]) {
      const made: StoredRelation = {
        oid: number(oid),
        kind: common(kind),
        schema: common(schema),
        name: text(name),
        version: text(version),
        rowType: kind === 'c' ? 0 : number(rowType),
        arrayType: kind === 'c' ? 0 : number(arrayType),
        rowSecurity: flag(rowSecurity),
        handler: number(handler),
      };
      byOid.set(made.oid, made);
      byName.add(made.name, made);
      if (kind === 'f') foreign.add(made.oid);
      if (made.rowType !== 0) byRowType.set(made.rowType, made);
      if (made.arrayType !== 0) byArrayType.set(made.arrayType, made);
      if (made.arrayType !== 0 && arrayName !== null && arrayName !== undefined)
        byArrayName.add(arrayName, made);
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

/** All columns of a relation in their order, kept as they came: few are ever read. */
export interface StoredColumns {
  /** Array of names; a dropped one is empty. */
  readonly names: string;
  /** Array of type OIDs. */
  readonly types: string;
  /** Their modifiers, summed up. */
  readonly modifiers: string;
  /** Arrays of column numbers by pg_attribute.attgenerated, or empty. */
  readonly stored: string;
  readonly virtual: string;
}

export interface Columns {
  readonly names: readonly string[];
  /** User types, each once. */
  readonly types: readonly number[];
  /** Numbers of generated columns. */
  readonly stored: ReadonlySet<number>;
  readonly virtual: ReadonlySet<number>;
  /** All that is kept of them, as one text. */
  readonly version: string;
}

export function columnTable(): TableOf<StoredColumns> {
  const of = new Map<number, StoredColumns>();
  return {
    of,
    add([relation, names, types, modifiers, stored, virtual]) {
      of.set(number(relation), {
        names: text(names),
        types: text(types),
        modifiers: text(modifiers),
        stored: text(stored),
        virtual: text(virtual),
      });
    },
  };
}

/** Of a relation without columns there is nothing stored. */
export function columnsOf(stored: StoredColumns | undefined): Columns {
  return {
    names: elements(stored?.names),
    types: [...new Set(numbers(stored?.types).filter((type) => type >= firstUserOid))],
    stored: new Set(numbers(stored?.stored)),
    virtual: new Set(numbers(stored?.virtual)),
    version: stored === undefined ? '' : Object.values(stored).join(),
  };
}

/** Something stored with a relation: what it refers to, and a version of it. */
export interface Stored {
  readonly version: string;
  readonly refers: References;
}

export function viewTable(): TableOf<Stored> {
  const of = new Map<number, Stored>();
  const read = treeReader();
  return {
    of,
    add([relation, xmin, action, condition]) {
      of.set(number(relation), { version: text(xmin), refers: read(action, condition) });
    },
  };
}

export function policyTable(): ListOf<Stored> {
  const of = new Listing<number, Stored>();
  const read = treeReader();
  return {
    of,
    add([relation, xmin, using, check]) {
      of.add(number(relation), { version: text(xmin), refers: read(using, check) });
    },
  };
}

/** Extended statistics over expressions. */
export function statisticsTable(): ListOf<Stored> {
  const of = new Listing<number, Stored>();
  const read = treeReader();
  return {
    of,
    add([relation, xmin, expressions]) {
      of.add(number(relation), { version: text(xmin), refers: read(expressions) });
    },
  };
}

export interface DefaultExpression extends Stored {
  /** Number of the column that has it, or is generated by it. */
  readonly column: number;
}

export function defaultTable(): ListOf<DefaultExpression> {
  const of = new Listing<number, DefaultExpression>();
  const read = treeReader();
  return {
    of,
    add([relation, xmin, column, tree]) {
      of.add(number(relation), {
        version: text(xmin),
        column: number(column),
        refers: read(tree),
      });
    },
  };
}

export interface InheritanceTable extends ListOf<{ readonly child: number }> {
  readonly parents: Listing<number, { readonly parent: number }>;
}

export function inheritanceTable(): InheritanceTable {
  const of = new Listing<number, { child: number }>();
  const parents = new Listing<number, { parent: number }>();
  return {
    of,
    parents,
    add([parent, child]) {
      of.add(number(parent), { child: number(child) });
      parents.add(number(child), { parent: number(parent) });
    },
  };
}

const ruleEvents: Readonly<Record<string, RuleObject['event']>> = {
  '2': 'update',
  '3': 'insert',
  '4': 'delete',
};

export function ruleTable(): ListOf<RuleObject> {
  const of = new Listing<number, RuleObject>();
  const read = treeReader();
  return {
    of,
    add([oid, xmin, schema, name, relation, event, instead, action, condition, definition]) {
      of.add(number(relation), {
        oid: number(oid),
        version: text(xmin),
        schema: text(schema),
        name: text(name),
        event: ruleEvents[event ?? ''] ?? 'update',
        instead: flag(instead),
        definition: text(definition),
        refers: read(action, condition),
      });
    },
  };
}

export interface StoredTrigger extends Omit<TriggerObject, 'columns'> {
  /** Column numbers of UPDATE OF. */
  readonly columns: readonly number[];
}

/** Bits of pg_trigger.tgtype (catalog/pg_trigger.h). */
const triggerBefore = 2;
const triggerEvents: readonly (readonly [bit: number, event: WriteEvent])[] = [
  [4, 'insert'],
  [8, 'delete'],
  [16, 'update'],
  [32, 'truncate'],
];

export function triggerTable(): ListOf<StoredTrigger> {
  const of = new Listing<number, StoredTrigger>();
  const read = treeReader();
  return {
    of,
    add([oid, xmin, schema, name, relation, func, type, columns, when]) {
      of.add(number(relation), {
        oid: number(oid),
        version: text(xmin),
        schema: text(schema),
        name: text(name),
        function: number(func),
        events: triggerEvents.filter(([bit]) => (number(type) & bit) !== 0).map(([, event]) => event),
        before: (number(type) & triggerBefore) !== 0,
        columns: numbers(columns),
        when: read(when),
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
  readonly ofRelation: Listing<number, Stored>;
  readonly ofDomain: Listing<number, Stored>;
  /** By the table referred to. */
  readonly referencing: Listing<number, StoredForeignKey>;
}

export function constraintTable(): ConstraintTable {
  const ofRelation = new Listing<number, Stored>();
  const ofDomain = new Listing<number, Stored>();
  const referencing = new Listing<number, StoredForeignKey>();
  const read = treeReader();
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
      const refers = union([read(tree), references({ operators: numbers(operators) })]);
      if (number(domain) !== 0) ofDomain.add(number(domain), { version, refers });
      else ofRelation.add(number(relation), { version, refers });
      if (kind !== 'f') return;
      // Both sides compare by the operators of the key.
      if (refers !== noReferences) ofRelation.add(number(parent), { version, refers });
      referencing.add(number(parent), {
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

export function indexTable(): ListOf<StoredIndex> {
  const of = new Listing<number, StoredIndex>();
  const read = treeReader();
  return {
    of,
    add([relation, oid, xmin, unique, keys, columns, classes, expressions, predicate]) {
      of.add(number(relation), {
        oid: number(oid),
        version: text(xmin),
        unique: flag(unique) ? numbers(columns).slice(0, number(keys)) : undefined,
        operatorClasses: numbers(classes).filter((one) => one >= firstUserOid),
        refers: read(expressions, predicate),
      });
    },
  };
}

export interface StoredPartitioning extends Stored {
  readonly operatorClasses: readonly number[];
}

export function partitioningTable(): TableOf<StoredPartitioning> {
  const of = new Map<number, StoredPartitioning>();
  const read = treeReader();
  return {
    of,
    add([relation, xmin, classes, expressions]) {
      of.set(number(relation), {
        version: text(xmin),
        operatorClasses: numbers(classes).filter((one) => one >= firstUserOid),
        refers: read(expressions),
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
