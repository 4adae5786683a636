// Fingerprint: the shape of one INSERT, UPDATE, DELETE or MERGE: everything that its syntax tree says but the values of
// its literals. Two texts of one shape differ in blanks, comments and those values, and in nothing else: the types of
// the literals, their number, NULL, true and false, parameters, casts, WITH queries and names all belong to it. Pure;
// refuses to know what names mean, which is the catalog's to say, and whether a shape may be trusted with anything.

import { createHash } from 'node:crypto';
import type { RawStatement, Tree } from './engine.ts';

/** Deeper trees have no shape. */
const depthMax = 200;

const shaped: ReadonlySet<string> = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']);

/**
 * base64url(SHA-256) over the shape of the only statement of a text; undefined for several, for other commands and for
 * a tree that is not understood.
 */
export function fingerprint(statements: readonly RawStatement[]): string | undefined {
  const [only, ...more] = statements;
  const [type] = Object.keys(only?.stmt ?? {});
  if (only?.stmt === undefined || more.length > 0 || type === undefined || !shaped.has(type))
    return undefined;
  try {
    const text = `holdpoint-shape-v1\0${shapeOf(only.stmt, 0)}`;
    return createHash('sha256').update(text, 'utf8').digest('base64url');
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Where something stands in the text, which is no part of what it says. */
const places: ReadonlySet<string> = new Set([
  'location',
  'stmt_location',
  'stmt_len',
  'list_start',
  'list_end',
  'rexpr_list_start',
  'rexpr_list_end',
]);

/** Constants that are no values: the length of a type, the number of a column. */
const verbatim: ReadonlySet<string> = new Set(['typmods', 'sortClause', 'groupClause']);

/** One form for one shape: members in order of their names. Throws RangeError beyond `depthMax`. */
function shapeOf(value: unknown, depth: number, exact = false): string {
  if (depth > depthMax) throw new RangeError('the tree is too deep');
  if (Array.isArray(value)) return `[${value.map((item) => shapeOf(item, depth + 1, exact)).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null);
  const members = Object.entries(value as Tree)
    .filter(([name]) => !places.has(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => {
      const literal = name === 'A_Const' && !exact;
      const shape = literal
        ? constantShape(member as Tree, depth)
        : shapeOf(member, depth + 1, exact || verbatim.has(name));
      return `${JSON.stringify(name)}:${shape}`;
    });
  return `{${members.join(',')}}`;
}

/** A literal by the type that the server's grammar gives it. NULL, true and false are kept as they are. */
function constantShape(constant: Tree, depth: number): string {
  const { location: _, ...kinds } = constant;
  const [kind, ...more] = Object.keys(kinds);
  if (more.length > 0) return shapeOf(kinds, depth + 1);
  switch (kind) {
    case 'ival':
      return '"integer"';
    case 'fval':
      return `"${numberType(constant.fval as Tree)}"`;
    case 'sval':
      return '"string"';
    case 'bsval':
      return `"bits ${String((constant.bsval as Tree).bsval ?? '').slice(0, 1)}"`;
    default:
      return shapeOf(kinds, depth + 1);
  }
}

const bigintMax = 9223372036854775807n;

/** A number that is no integer of four bytes: bigint where it fits, else numeric (make_const in parse_node.c). */
function numberType({ fval }: Tree): 'bigint' | 'numeric' {
  const text = String(fval ?? '');
  if (!/^-?\d{1,19}$/.test(text)) return 'numeric';
  const value = BigInt(text);
  return value <= bigintMax && value >= -bigintMax - 1n ? 'bigint' : 'numeric';
}
