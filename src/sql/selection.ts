// Selection: which rows of its target a DELETE, an UPDATE or a MERGE is about, as pieces of its own text that fit into a
// SELECT of ours. A piece is cut at tokens and then proved: put into a SELECT and parsed again it must be the same tree
// as in the statement, or there is no selection. Refuses to know what the names in it mean and whether counting is safe.
// Source: PostgreSQL 18, src/backend/parser/gram.y (DeleteStmt, UpdateStmt, MergeStmt).

import type { RawStatement, ScanToken, Tree } from './engine.ts';
import { childrenOf, listAt, nodeAt, textAt, unwrap } from './tree.ts';

/** What reads SQL: `Analyzer`. Undefined where it cannot. */
export interface Reader {
  syntax(sql: Buffer): readonly RawStatement[] | undefined;
  scan(sql: Buffer): readonly ScanToken[] | undefined;
}

export interface Selection {
  /** `WITH … ` in front of a SELECT, or empty. */
  readonly with: string;
  /** What the target is joined with, a FROM list; undefined: nothing. */
  readonly using: string | undefined;
  /** Undefined: every row. */
  readonly where: string | undefined;
  /** MERGE … WHEN NOT MATCHED BY SOURCE: the rows for which there is no such other row. */
  readonly unmatched: boolean;
  /** What the text calls the target, where it gives it a name of its own. */
  readonly alias: string | undefined;
  /** Numbers of the parameters in it, each once. */
  readonly parameters: readonly number[];
}

/** One DML node of a text. `names`: of the WITH queries around it, which are no relations. */
export interface Place {
  readonly type: string;
  readonly node: Tree;
  readonly text: Buffer;
  /** Byte offset at which its statement begins. */
  readonly start: number;
  readonly root: boolean;
  readonly names: ReadonlySet<string>;
}

interface Word {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** Parentheses, brackets and CASEs around it, as seen from the target. */
  readonly depth: number;
}

/** Fields of the node that say which rows: the joined relations, and the condition. */
const fieldsOf: Readonly<Record<string, readonly [using: string, where: string]>> = {
  DeleteStmt: ['usingClause', 'whereClause'],
  UpdateStmt: ['fromClause', 'whereClause'],
  MergeStmt: ['sourceRelation', 'joinCondition'],
};

/** The pieces; undefined where they cannot be had for certain. Not for WHERE CURRENT OF. */
export function selectionOf(place: Place, reader: Reader): Selection | undefined {
  const { type, node } = place;
  const fields = fieldsOf[type];
  if (fields === undefined) return undefined;
  const [using, where] = fields.map((field) => node[field]);
  const alias = nodeAt(nodeAt(node, 'relation') ?? {}, 'alias');
  const found = {
    with: '',
    using: undefined,
    where: undefined,
    unmatched: false,
    alias: alias === undefined ? undefined : textAt(alias, 'aliasname'),
    parameters: parametersIn([using, where]),
  };
  if (using === undefined && where === undefined) return found;
  const relations = relationsIn([using, where]);
  if (relations.some((name) => place.names.has(name))) return undefined;
  const own = nodeAt(node, 'withClause');
  const withNeeded = own !== undefined && relations.some((name) => withNames(own).has(name));
  if (withNeeded && !place.root) return undefined;
  const tokens = reader.scan(place.text);
  if (tokens === undefined) return undefined;
  const cut = cutting(place, tokens, { withNeeded, using: using !== undefined, where: where !== undefined });
  if (cut === undefined) return undefined;
  const pieces = { ...found, ...cut, parameters: parametersIn([using, where, withNeeded ? own : undefined]) };
  return proved(pieces, { using, where, with: withNeeded ? own : undefined }, reader) ? pieces : undefined;
}

/** Names that a WITH clause gives. */
export function withNames(clause: Tree): Set<string> {
  const names = new Set<string>();
  for (const item of listAt(clause, 'ctes')) {
    const name = textAt(unwrap(item)?.node ?? {}, 'ctename');
    if (name !== undefined) names.add(name);
  }
  return names;
}

interface Wanted {
  readonly withNeeded: boolean;
  readonly using: boolean;
  readonly where: boolean;
}

function cutting(
  { type, node, text, start }: Place,
  tokens: readonly ScanToken[],
  wanted: Wanted,
): Pick<Selection, 'with' | 'using' | 'where'> | undefined {
  const location = Number(nodeAt(node, 'relation')?.location ?? 0);
  const words = wordsBehind(text, tokens, location);
  const [usingAt, usingEnd, whereAt, whereEnd] = (type === 'MergeStmt' ? mergeMarks : rowMarks)(words, type);
  const piece = (from: number, to: number): string | undefined => {
    const first = words[from + 1];
    const last = words[to - 1];
    if (from < 0 || to <= from + 1 || first === undefined || last === undefined) return undefined;
    return text.toString('utf8', first.start, last.end);
  };
  const using = wanted.using ? piece(usingAt, usingEnd) : undefined;
  const where = wanted.where ? piece(whereAt, whereEnd) : undefined;
  if ((wanted.using && using === undefined) || (wanted.where && where === undefined)) return undefined;
  const clause = wanted.withNeeded ? withText(text, tokens, start, location) : '';
  return clause === undefined ? undefined : { with: clause, using, where };
}

/** The words from the target to the end of its node: of the statement, or of the parentheses that it stands in. */
function wordsBehind(text: Buffer, tokens: readonly ScanToken[], location: number): Word[] {
  const words: Word[] = [];
  const before: string[] = [];
  let depth = 0;
  for (const { start, end } of tokens) {
    const word = text.toString('utf8', start, end).toUpperCase();
    if (isComment(word)) continue;
    if (start < location) {
      before.push(word);
      continue;
    }
    // The parenthesis of `DELETE FROM ONLY (t)` is the target's own.
    if (words.length === 0 && before.at(-1) === '(' && before.at(-2) === 'ONLY') depth = 1;
    const label = /^(\.|AS)$/.test(words.at(-1)?.text ?? '');
    if (word === ')' || word === ']' || (word === 'END' && !label)) depth -= 1;
    if (depth < 0 || word === ';') break;
    words.push({ text: word, start, end, depth });
    if (word === '(' || word === '[' || (word === 'CASE' && !label)) depth += 1;
  }
  return words;
}

function isComment(word: string): boolean {
  return word.startsWith('--') || word.startsWith('/*');
}

/** The first such keyword outside of parentheses at or behind `from`; not a label. -1 if there is none. */
function find(words: readonly Word[], text: string, from: number, unless?: string): number {
  for (let at = Math.max(from, 0); at < words.length; at += 1) {
    const before = words[at - 1]?.text ?? '';
    if (words[at]?.text !== text || words[at]?.depth !== 0) continue;
    if (before !== '.' && before !== 'AS' && before !== unless) return at;
  }
  return -1;
}

type Marks = readonly [usingAt: number, usingEnd: number, whereAt: number, whereEnd: number];

function rowMarks(words: readonly Word[], type: string): Marks {
  const joins =
    type === 'DeleteStmt' ? find(words, 'USING', 1) : find(words, 'FROM', find(words, 'SET', 1), 'DISTINCT');
  const where = find(words, 'WHERE', Math.max(joins, 1));
  const returning = find(words, 'RETURNING', Math.max(where, joins, 1));
  const end = returning < 0 ? words.length : returning;
  return [joins, where < 0 ? end : where, where, end];
}

function mergeMarks(words: readonly Word[]): Marks {
  const using = find(words, 'USING', 1);
  const when = find(words, 'WHEN', using);
  let on = -1;
  for (let at = find(words, 'ON', using); at >= 0 && at < when; at = find(words, 'ON', at + 1)) on = at;
  return [using, on, on, when];
}

/** From WITH to the verb, a space behind it. */
function withText(
  text: Buffer,
  tokens: readonly ScanToken[],
  start: number,
  location: number,
): string | undefined {
  let depth = 0;
  let from: number | undefined;
  let last = -1;
  let end: number | undefined;
  for (const token of tokens) {
    if (token.start < start) continue;
    if (token.start >= location) break;
    const word = text.toString('utf8', token.start, token.end).toUpperCase();
    if (isComment(word)) continue;
    if (word === ')' || word === ']') depth -= 1;
    if (depth === 0 && word === 'WITH') from ??= token.start;
    if (depth === 0 && /^(DELETE|UPDATE|MERGE)$/.test(word)) end = last;
    if (word === '(' || word === '[') depth += 1;
    last = token.end;
  }
  return from === undefined || end === undefined || end <= from
    ? undefined
    : `${text.toString('utf8', from, end)} `;
}

/** True if the pieces, in a SELECT, are what they are in the statement. */
function proved(
  pieces: Selection,
  parts: { using: unknown; where: unknown; with: unknown },
  reader: Reader,
): boolean {
  const from = pieces.using === undefined ? '' : ` FROM ${pieces.using}`;
  const where = pieces.where === undefined ? '' : ` WHERE (${pieces.where})`;
  const [only, ...more] = reader.syntax(Buffer.from(`${pieces.with}SELECT${from}${where}`)) ?? [];
  const select = only?.stmt === undefined ? undefined : unwrap(only.stmt);
  if (more.length > 0 || select?.type !== 'SelectStmt') return false;
  const { fromClause, whereClause, withClause, limitOption: _, op: __, ...rest } = select.node;
  const using = Array.isArray(parts.using) || parts.using === undefined ? parts.using : [parts.using];
  return (
    Object.keys(rest).length === 0 &&
    same(fromClause, using) &&
    same(whereClause, parts.where) &&
    same(withClause, parts.with)
  );
}

const places = /location$|^(rexpr_)?list_(start|end)$|^stmt_len$/;

/** The same tree, wherever in a text it stands. */
export function same(one: unknown, other: unknown): boolean {
  const spelled = (value: unknown): string =>
    JSON.stringify(value ?? null, (key, inner: unknown) => (places.test(key) ? undefined : inner));
  return spelled(one) === spelled(other);
}

function parametersIn(values: readonly unknown[]): number[] {
  const numbers = new Set<number>();
  visit(values, (type, node) => {
    if (type === 'ParamRef') numbers.add(Number(node.number ?? 0));
  });
  return [...numbers].sort((a, b) => a - b);
}

/** Unqualified names of relations, also those of WITH queries further inside. */
function relationsIn(values: readonly unknown[]): string[] {
  const names: string[] = [];
  visit(values, (type, node) => {
    if (type === 'RangeVar' && node.schemaname === undefined) names.push(textAt(node, 'relname') ?? '');
  });
  return names;
}

function visit(values: readonly unknown[], seen: (type: string, node: Tree) => void): void {
  const pending = values.flat().flatMap((value) => {
    if (value === undefined) return [];
    // A WITH clause is a bare node.
    const bare = typeof value === 'object' && value !== null && 'ctes' in value;
    const child = bare ? { type: 'WithClause', node: value as Tree } : unwrap(value);
    return child === undefined ? [] : [child];
  });
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    seen(next.type, next.node);
    pending.push(...childrenOf(next.type, next.node));
  }
}
