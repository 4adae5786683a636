// Operators of users and extensions, from the rows of the question `operators`, by OID and by symbol. Refuses to know
// what they compute. Source: the manual, "pg_operator".

import { Listing, number, numbers, type Table, text } from './row.ts';
import type { OperatorObject } from './snapshot.ts';

export interface OperatorTable extends Table {
  readonly byOid: ReadonlyMap<number, OperatorObject>;
  readonly bySymbol: Listing<string, OperatorObject>;
}

export function operatorTable(): OperatorTable {
  const byOid = new Map<number, OperatorObject>();
  const bySymbol = new Listing<string, OperatorObject>();
  return {
    byOid,
    bySymbol,
    add([oid, xmin, schema, symbol, left, right, result, functions]) {
      const made: OperatorObject = {
        oid: number(oid),
        version: text(xmin),
        schema: text(schema),
        name: text(symbol),
        left: number(left),
        right: number(right),
        result: number(result),
        functions: numbers(functions).filter((func) => func !== 0),
      };
      byOid.set(made.oid, made);
      bySymbol.add(made.name, made);
    },
  };
}
