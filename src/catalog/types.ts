// Types of users and extensions other than the row types of relations, from the rows of the question `types`. A type is
// put together when it is asked for, since it gathers what other sections tell of it. Refuses to know values.
// Source: the manual, "pg_type", "pg_range".

import { type TreeReader, treeReader } from './references.ts';
import { Listing, number, numbers, type Row, type Table, text } from './row.ts';
import { firstUserOid, type References } from './snapshot.ts';

export interface StoredType {
  readonly oid: number;
  readonly version: string;
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  /** Base, element, subtype, array; the server's own and zeros left out. */
  readonly parts: readonly number[];
  /** pg_class.oid of a composite type, else 0. */
  readonly relation: number;
  /** Input, output and the like; user functions only. */
  readonly functions: readonly number[];
  readonly defaults: References;
  /** Operator class of a range's subtype, else 0. */
  readonly operatorClass: number;
}

export interface TypeTable extends Table {
  readonly byOid: ReadonlyMap<number, StoredType>;
  readonly byName: Listing<string, StoredType>;
}

export function typeTable(): TypeTable {
  const byOid = new Map<number, StoredType>();
  const byName = new Listing<string, StoredType>();
  const read = treeReader();
  return {
    byOid,
    byName,
    add(row) {
      const made = typeOf(row, read);
      byOid.set(made.oid, made);
      byName.add(made.name, made);
    },
  };
}

function typeOf(row: Row, read: TreeReader): StoredType {
  const [
    oid,
    xmin,
    schema,
    name,
    kind,
    base,
    element,
    ,
    relation,
    functions,
    defaults,
    subtype,
    range,
    operatorClass,
  ] = row;
  return {
    oid: number(oid),
    version: text(xmin),
    schema: text(schema),
    name: text(name),
    kind: text(kind),
    parts: [base, element, subtype, range].map(number).filter((part) => part >= firstUserOid),
    relation: number(relation),
    functions: numbers(functions).filter((func) => func >= firstUserOid),
    defaults: read(defaults),
    operatorClass: number(operatorClass),
  };
}
