// Plpgsql: a function in PL/pgSQL as the SQL that it runs. The tree is libpg-query's, which follows the server's pl_gram.y;
// every node is walked, one that is not known here makes the body opaque. Knows how PL/pgSQL puts its statements and
// expressions to SQL (the manual, 43); what the SQL does is the classifier's to say, what its names mean reach.ts's.

import type { FunctionObject } from './snapshot.ts';
import { firstUserOid } from './snapshot.ts';

/** SQL that a body runs, in its order. `built`: the expression yields the text that is run. */
export interface Fragment {
  readonly kind: 'statement' | 'built';
  readonly text: string;
}

export type Read =
  | {
      readonly kind: 'fragments';
      readonly fragments: readonly Fragment[];
      readonly loops: boolean;
      /** Assignments as they stand: `target := expression`. */
      readonly assigned: readonly string[];
    }
  | { readonly kind: 'opaque'; readonly reason: string };

const known = new Set(
  `function var rec row recfield type alias expr stmt_block stmt_assign stmt_if if_elsif stmt_case case_when stmt_loop
  stmt_while stmt_fori stmt_fors stmt_forc stmt_dynfors stmt_foreach_a stmt_exit stmt_return stmt_return_next
  stmt_return_query stmt_raise raise_option stmt_assert stmt_execsql stmt_dynexecute stmt_getdiag diag_item stmt_open
  stmt_fetch stmt_close stmt_perform stmt_call stmt_commit stmt_rollback exception_block exception condition`
    .split(/\s+/)
    .map((name) => `PLpgSQL_${name}`),
);

const builtBy = new Set([
  'PLpgSQL_stmt_dynexecute.query',
  'PLpgSQL_stmt_dynfors.query',
  'PLpgSQL_stmt_open.dynquery',
  'PLpgSQL_stmt_return_query.dynquery',
]);

const looping = /^PLpgSQL_stmt_(loop|while|fori|fors|forc|dynfors|foreach_a)$/;

const nodesMax = 100_000;

/** Walks libpg-query's answer for one function. */
export function fragmentsOf(functions: readonly unknown[]): Read {
  const fragments: Fragment[] = [];
  const assigned: string[] = [];
  const opened = new Set<unknown>();
  const fetched = new Set<unknown>();
  let loops = false;
  if (functions.length !== 1) return opaque('cannot be read');
  const pending: { value: unknown; place: string }[] = [{ value: functions[0], place: '' }];
  for (let count = 0; pending.length > 0; count += 1) {
    const { value, place } = pending.pop() ?? { value: undefined, place: '' };
    if (count > nodesMax) return opaque('is too long to be read');
    if (Array.isArray(value)) {
      for (const item of value.toReversed()) pending.push({ value: item, place });
      continue;
    }
    if (typeof value !== 'object' || value === null) continue;
    for (const [key, inner] of Object.entries(value).reverse()) {
      if (!key.startsWith('PLpgSQL_')) {
        const owner = place.split('.')[0] ?? '';
        pending.push({ value: inner, place: `${owner}.${key}` });
        continue;
      }
      if (!known.has(key)) return opaque('contains a statement that is not understood');
      if (key === 'PLpgSQL_expr') {
        const texts = fragmentOf(inner, place);
        if (texts === undefined) return opaque('contains an expression that is not understood');
        fragments.push(...texts);
        if (isAssignment(inner)) assigned.push(inner.query);
      } else {
        loops ||= looping.test(key);
        const cursor = (inner as { curvar?: unknown } | null)?.curvar ?? 0;
        if (key === 'PLpgSQL_stmt_open' || key === 'PLpgSQL_stmt_forc') opened.add(cursor);
        if (key === 'PLpgSQL_stmt_fetch') fetched.add(cursor);
        if (key === 'PLpgSQL_stmt_commit') fragments.push({ kind: 'statement', text: 'COMMIT' });
        if (key === 'PLpgSQL_stmt_rollback') fragments.push({ kind: 'statement', text: 'ROLLBACK' });
        pending.push({ value: inner, place: key });
      }
    }
  }
  // What a cursor of somebody else's runs is not in this body.
  if ([...fetched].some((cursor) => !opened.has(cursor)))
    return opaque('fetches from a cursor that it does not open');
  return { kind: 'fragments', fragments, loops, assigned };
}

function isAssignment(value: unknown): value is { query: string } {
  const { query, parseMode } = value as { query?: unknown; parseMode?: unknown };
  return typeof query === 'string' && typeof parseMode === 'number' && parseMode >= 3;
}

function opaque(reason: string): Read {
  return { kind: 'opaque', reason };
}

/** Names of its variables, records and rows, folded as the server does; of a body that `fragmentsOf` has read. */
export function variablesOf(functions: readonly unknown[]): ReadonlySet<string> {
  const names = new Set<string>();
  const pending: unknown[] = [...functions];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    for (const [key, inner] of Object.entries(value)) {
      if (key === 'refname' && typeof inner === 'string') names.add(inner);
      else pending.push(inner ?? false);
    }
  }
  return names;
}

const ofNew = /^\s*(?:new|"new")\s*(?:\.\s*("(?:[^"]|"")*"|[\w$\u0080-\uffff]+)|)/i;
/** Other ways in which a body may give NEW another row, or return another one than NEW or OLD. */
const newOtherwise =
  /\binto\s+(?:strict\s+)?(?:\w+\s*,\s*)*"?new\b|\bdiagnostics\b[^;]*\bnew\b|\breturn\s+(?!"?(?:new|old|null)\b\s*;)/i;

/**
 * Columns of NEW that a trigger's body assigns: those that a row has which the statement did not give it. `any`: it may
 * change others, in a way that is not looked into. `fragments` of the whole body.
 */
export function columnsOfNew(body: string, assigned: readonly string[]): readonly string[] | 'any' {
  if (newOtherwise.test(body)) return 'any';
  const columns: string[] = [];
  for (const text of assigned) {
    const [of, column] = ofNew.exec(text) ?? [];
    if (of === undefined) continue;
    if (column === undefined) return 'any';
    columns.push(column.startsWith('"') ? column.slice(1, -1).replaceAll('""', '"') : column.toLowerCase());
  }
  return columns;
}

/** RawParseMode in parser/parser.h: a statement, an expression, an assignment whose target has one to three names. */
function fragmentOf(value: unknown, place: string): Fragment[] | undefined {
  const { query, parseMode } = value as { query?: unknown; parseMode?: unknown };
  if (typeof query !== 'string') return undefined;
  if (builtBy.has(place)) return [{ kind: 'built', text: query }];
  switch (parseMode) {
    case 0:
      return [{ kind: 'statement', text: query }];
    case 2:
      return [expression(query)];
    case 3:
    case 4:
    case 5:
      return assignment(query);
    default:
      return undefined;
  }
}

function expression(text: string): Fragment {
  // A comment to the end of the line may stand last.
  return { kind: 'statement', text: `SELECT ${text}\n` };
}

const target = /^\s*(?:"(?:[^"]|"")*"|\$\d+|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)/;
const field = /^\s*\.\s*(?:"(?:[^"]|"")*"|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)/;

/** `target[subscript].field := expression`. A comment or a string before the sign is not understood. */
function assignment(text: string): Fragment[] | undefined {
  const fragments: Fragment[] = [];
  let rest = text.slice(target.exec(text)?.[0].length ?? text.length);
  for (;;) {
    const named = field.exec(rest)?.[0];
    if (named !== undefined) {
      rest = rest.slice(named.length);
      continue;
    }
    const sign = /^\s*(?::=|=)/.exec(rest)?.[0];
    if (sign !== undefined) return [...fragments, expression(rest.slice(sign.length))];
    const subscript = /^\s*\[/.test(rest) ? endOfBrackets(rest) : undefined;
    if (subscript === undefined) return undefined;
    // `[a:b]` is two expressions; a cast in one of them has two colons.
    const inner = rest.slice(rest.indexOf('[') + 1, subscript - 1);
    for (const part of inner.split(/(?<!:):(?!:)/)) if (part.trim() !== '') fragments.push(expression(part));
    rest = rest.slice(subscript);
  }
}

function endOfBrackets(text: string): number | undefined {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (/['"$]/.test(character) || /^(--|\/\*)/.test(text.slice(at, at + 2))) return undefined;
    if (character === '[') depth += 1;
    if (character === ']') depth -= 1;
    if (depth === 0 && character === ']') return at + 1;
  }
  return undefined;
}

/** What a parameter or result of a user type is declared as for the parser; the shape is the snapshot's to say. */
export type ShapeOfType = (oid: number) => 'row' | 'scalar';

const names = new Map([
  [2249, 'record'],
  [2278, 'void'],
  [2279, 'trigger'],
  [3838, 'event_trigger'],
  [1790, 'refcursor'],
]);

/** CREATE FUNCTION for the parser alone: parameters by their names, types only as far as the grammar minds them. */
export function definitionOf(fn: FunctionObject, body: string, shapeOf: ShapeOfType): string | undefined {
  const tag = '$holdpoint$';
  if (body.includes(tag)) return undefined;
  const typeOf = (oid: number): string =>
    names.get(oid) ?? (oid >= firstUserOid && shapeOf(oid) === 'row' ? 'record' : 'text');
  const parameters: string[] = [];
  const results: string[] = [];
  for (const { name, type, mode } of fn.parameters) {
    const declared = mode === 'v' ? 'text[]' : typeOf(type);
    const keyword = { o: 'OUT ', t: 'OUT ', b: 'INOUT ', v: 'VARIADIC ' }[mode] ?? '';
    parameters.push(`${keyword}${name === '' ? '' : `"${name.replaceAll('"', '""')}" `}${declared}`);
    if (keyword === 'OUT ' || keyword === 'INOUT ') results.push(declared);
  }
  const head = `(${parameters.join(', ')})`;
  const as = `LANGUAGE plpgsql AS ${tag}${body}${tag}`;
  if (fn.kind === 'procedure') return `CREATE PROCEDURE holdpoint${head} ${as}`;
  const single = results.length === 1 ? results[0] : 'record';
  const result = results.length > 0 ? single : typeOf(fn.resultType);
  return `CREATE FUNCTION holdpoint${head} RETURNS ${fn.returnsSet ? 'SETOF ' : ''}${result} ${as}`;
}
