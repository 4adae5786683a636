// Asker: what measuring asks of a connection, and how names and values of others get into a question without becoming part
// of it. The connection has standard_conforming_strings on and client_encoding UTF8. Knows no question; refuses to know
// sockets. Source: the manual, "Lexical Structure".

import type { Row } from '../catalog/row.ts';

/** A parameter as a Bind has it. `oid` 0: its type is left to the server; `format` 0 is text, 1 binary. */
export interface BoundValue {
  readonly oid: number;
  readonly format: number;
  readonly value: Buffer | null;
}

/** One connection to the database. Both reject with Refused, after which it lives on, or with what broke it. */
export interface Asker {
  /** One or several statements of ours; the rows of each result that has any columns. */
  ask(text: string): Promise<Row[][]>;
  /** One statement, prepared, with its parameters in order. */
  bind(text: string, parameters: readonly BoundValue[]): Promise<Row[]>;
}

/** The server's answer was an error. What it says may quote data, so only its SQLSTATE is kept. */
export class Refused extends Error {
  readonly sqlstate: string;

  constructor(sqlstate: string) {
    super(`the server refused with ${sqlstate}`);
    this.name = 'Refused';
    this.sqlstate = sqlstate;
  }
}

/** A string constant. `text` holds no NUL: no text of a client's or of the server's does. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** An identifier, whatever is in it. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function qualified({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${identifier(schema)}.${identifier(name)}`;
}

/** Rows for json_to_recordset: one constant, however many names there are in it. */
export function jsonRows(rows: readonly object[]): string {
  return `${literal(JSON.stringify(rows))}::pg_catalog.json`;
}

/** An oid[] constant. */
export function oids(numbers: Iterable<number>): string {
  return `'{${[...numbers].join(',')}}'::pg_catalog.oid[]`;
}
