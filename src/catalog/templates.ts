// Templates: SQL that PL/pgSQL builds for EXECUTE, as far as it is certain whatever the values are: constant text, and
// text into which only quote_ident(), quote_literal() and format()'s %I and %L put something. What they put is a whole
// identifier or a whole literal only where the fixed text around lets it be one: the placeholders must come back out of
// the parser as that, each of them. The manual, 41.5.4. Everything else is not known.

import type { RawStatement, Tree } from '../sql/engine.ts';
import { constantText, listAt, qualified, textAt, unwrap } from '../sql/tree.ts';
import { functionsMeant, operatorsMeant, type Path } from './lookup.ts';
import { firstUserOid, type Snapshot } from './snapshot.ts';

/** Stands for any identifier. It needs its quotes, so it cannot come to be from an unquoted piece of text. */
export const anyName = 'holdpoint any';
/** Stands for any value; outside of its quotes it would not parse. */
const anyValue = 'holdpoint; any';

export interface Template {
  readonly text: string;
  /** It is built by functions or operators, and not a constant. */
  readonly built: boolean;
  readonly names: number;
  readonly values: number;
}

const functions = ['format', 'quote_ident', 'quote_literal', 'quote_nullable', 'concat'];

/** True if a user function or operator may be meant where a template takes the server's own. */
export function mayBuildOtherwise(snapshot: Snapshot, path: Path): boolean {
  const meant = functions.some(
    (name) => functionsMeant(snapshot, { schema: undefined, name }, path).length > 0,
  );
  if (meant) return true;
  const joins = operatorsMeant(snapshot, { schema: undefined, name: '||' }, path);
  return joins.some(({ left, right }) => left < firstUserOid && right < firstUserOid);
}

const depthMax = 50;

/** What the expression yields; `expression` is the tree of `SELECT <expression>`. */
export function templateOf(expression: readonly RawStatement[]): Template | undefined {
  const [select, ...more] = expression;
  const child = select?.stmt === undefined ? undefined : unwrap(select.stmt);
  if (child?.type !== 'SelectStmt' || more.length > 0) return undefined;
  const fields = Object.keys(child.node).filter((field) => !/^(targetList|limitOption|op)$/.test(field));
  const [target, ...others] = listAt(child.node, 'targetList');
  const result = unwrap(target);
  if (fields.length > 0 || others.length > 0 || result?.type !== 'ResTarget') return undefined;
  const pieces = piecesOf(result.node.val, depthMax);
  return pieces && joined(pieces, constantText(result.node.val) === undefined);
}

type Piece =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'name' | 'relation' | 'value' };

function piecesOf(value: unknown, depth: number): Piece[] | undefined {
  const text = constantText(value);
  if (text !== undefined) return [{ kind: 'text', text }];
  const child = value === undefined ? undefined : unwrap(value);
  if (child === undefined || depth === 0) return undefined;
  if (child.type === 'TypeCast') return castOf(child.node, depth);
  if (child.type === 'A_Expr') return concatenation(child.node, depth);
  return child.type === 'FuncCall' ? callOf(child.node, depth) : undefined;
}

function castOf(node: Tree, depth: number): Piece[] | undefined {
  const typeName = node.typeName as Tree | undefined;
  const { schema, name } = qualified(typeName === undefined ? [] : listAt(typeName, 'names'));
  if (schema !== undefined && schema !== 'pg_catalog') return undefined;
  // The text of a regclass is a name as it may be written, with its schema and with quotes where they are needed. Where
  // no relation stands, two names would be column notation.
  if (name === 'regclass') return [{ kind: 'relation' }];
  return name === 'text' || name === 'varchar' ? piecesOf(node.arg, depth - 1) : undefined;
}

function concatenation(node: Tree, depth: number): Piece[] | undefined {
  const { schema, name } = qualified(listAt(node, 'name'));
  if (name !== '||' || schema !== undefined || textAt(node, 'kind') !== 'AEXPR_OP') return undefined;
  const left = piecesOf(node.lexpr, depth - 1);
  const right = piecesOf(node.rexpr, depth - 1);
  return left === undefined || right === undefined ? undefined : [...left, ...right];
}

function callOf(node: Tree, depth: number): Piece[] | undefined {
  const { schema, name } = qualified(listAt(node, 'funcname'));
  if (schema !== undefined && schema !== 'pg_catalog') return undefined;
  const plain = Object.keys(node).every((field) => /^(funcname|args|funcformat|location)$/.test(field));
  const args = listAt(node, 'args');
  if (!plain || args.some((arg) => unwrap(arg)?.type === 'NamedArgExpr')) return undefined;
  if (name === 'quote_ident') return [{ kind: 'name' }];
  if (name === 'quote_literal' || name === 'quote_nullable') return [{ kind: 'value' }];
  if (name === 'concat') {
    const pieces = args.map((arg) => piecesOf(arg, depth - 1));
    return pieces.every((piece) => piece !== undefined) ? pieces.flat() : undefined;
  }
  return name === 'format' ? formatOf(args, depth) : undefined;
}

/** format(): `%[position$]type` with the types s, I and L; a width is not understood. */
function formatOf(args: readonly unknown[], depth: number): Piece[] | undefined {
  const format = constantText(args[0]);
  if (format === undefined) return undefined;
  const pieces: Piece[] = [];
  let next = 1;
  let at = 0;
  for (const found of format.matchAll(/%(?:%|(?:(\d+)\$)?([sIL])|)/g)) {
    pieces.push({ kind: 'text', text: format.slice(at, found.index) });
    at = found.index + found[0].length;
    if (found[0] === '%%') {
      pieces.push({ kind: 'text', text: '%' });
      continue;
    }
    const position = found[1] === undefined ? next : Number(found[1]);
    next = position + 1;
    if (found[2] === undefined || args[position] === undefined) return undefined;
    if (found[2] !== 's') pieces.push({ kind: found[2] === 'I' ? 'name' : 'value' });
    else {
      const inner = piecesOf(args[position], depth - 1);
      if (inner === undefined) return undefined;
      pieces.push(...inner);
    }
  }
  return [...pieces, { kind: 'text', text: format.slice(at) }];
}

function joined(pieces: readonly Piece[], built: boolean): Template | undefined {
  let text = '';
  let open = false;
  const count = { name: 0, value: 0 };
  for (const piece of pieces) {
    if (piece.kind === 'text') {
      // `a` followed by an identifier without quotes would be one longer identifier.
      if (open && /^[\w$"'\u0080-\uffff]/.test(piece.text)) return undefined;
      if (piece.text !== '') open = false;
      text += piece.text;
    } else {
      if (/[\w$"'&\u0080-\uffff]$/.test(text)) return undefined;
      const [kind, times] = piece.kind === 'relation' ? (['name', 2] as const) : ([piece.kind, 1] as const);
      count[kind] += times;
      text += kind === 'value' ? `'${anyValue}'` : Array(times).fill(`"${anyName}"`).join('.');
      open = true;
    }
  }
  return { text, built, names: count.name, values: count.value };
}

/** True if every placeholder stands as an identifier or a literal of its own in the tree of the template's text. */
export function isWhole(template: Template, statements: readonly RawStatement[]): boolean {
  const json = JSON.stringify(statements);
  const count = (value: string) => json.split(`:${JSON.stringify(value)}`).length - 1;
  return count(anyName) === template.names && count(anyValue) === template.values;
}
