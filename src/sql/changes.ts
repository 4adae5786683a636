// Changes: which rows a statement's own words can change: the columns that it assigns, the columns that WHERE pins to
// one value, how many rows VALUES makes. Knows the text alone: whether a pinned column is a unique key, and what
// triggers and foreign keys do, is the catalog's to say. Everything here may know less than is true, never more.

import type { Tree } from './engine.ts';
import { isBuiltinOperator, mayReturnSet } from './functions.ts';
import type { PinnedPart, RelationUse, Statement } from './statement.ts';
import { childrenOf, listAt, nameParts, nodeAt, qualified, textAt, unwrap } from './tree.ts';

/** What one INSERT, UPDATE, DELETE, MERGE or COPY FROM changes. */
export type Change = Required<Pick<Statement, 'assigns' | 'pinned' | 'rowsAtMost'>> & {
  /** What `pinned` is of. */
  readonly target?: RelationUse | undefined;
};

/** The changes of one statement, those of its WITH queries among them. */
export class Changes {
  #count = 0;
  /** Changes whose rows no command tag counts. */
  #untagged = 0;
  readonly #assigns = new Set<string>();
  #assigning = false;
  #pinned: readonly string[] | undefined;
  #rows = 0;
  readonly #pinnedParts: PinnedPart[] = [];
  /** Rows of the parts that pin nothing. */
  #otherRows = 0;

  /** `root`: the rows are those that the command tag counts. */
  add({ assigns, pinned, rowsAtMost, target }: Change, root: boolean): void {
    this.#count += 1;
    if (!root) this.#untagged += 1;
    if (assigns !== undefined) this.#assigning = true;
    for (const column of assigns ?? []) this.#assigns.add(column);
    this.#pinned = pinned;
    this.#rows += rowsAtMost ?? Infinity;
    const pins = target !== undefined && pinned !== undefined && pinned.length > 0;
    if (pins) this.#pinnedParts.push({ ...target, pinned });
    else this.#otherRows += rowsAtMost ?? Infinity;
  }

  /** Takes over those of a statement inside the statement, which has no command tag of its own. */
  include(inner: Changes): void {
    if (inner.#count === 0) return;
    this.#count += inner.#count;
    this.#untagged += inner.#count;
    this.#assigning ||= inner.#assigning;
    for (const column of inner.#assigns) this.#assigns.add(column);
    this.#pinned = inner.#pinned;
    this.#rows += inner.#rows;
    this.#pinnedParts.push(...inner.#pinnedParts);
    this.#otherRows += inner.#otherRows;
  }

  /** The rows of the only change are those that the SELECT around it counts. */
  counted(): void {
    if (this.#count === 1) this.#untagged = 0;
  }

  /** With several targets a pinned column would not say of which. */
  facts(): Pick<Statement, 'assigns' | 'pinned' | 'parts' | 'rowsAtMost' | 'tagged'> {
    const known = this.#count > 1 && this.#pinnedParts.length > 0 && this.#otherRows < Infinity;
    return {
      ...(known ? { parts: { pinned: this.#pinnedParts, otherRows: this.#otherRows } } : {}),
      ...(this.#assigning ? { assigns: [...this.#assigns] } : {}),
      ...(this.#count === 1 && this.#pinned !== undefined ? { pinned: this.#pinned } : {}),
      ...(this.#count > 0 && this.#rows < Infinity ? { rowsAtMost: this.#rows } : {}),
      ...(this.#count > 0 && this.#untagged === 0 ? { tagged: true as const } : {}),
    };
  }
}

/** Columns in the SET of an UPDATE, an ON CONFLICT clause or a MERGE action. */
export function assignedBy(node: Tree): string[] {
  return listAt(node, 'targetList').flatMap((item) => {
    const name = textAt(unwrap(item)?.node ?? {}, 'name');
    return name === undefined ? [] : [name];
  });
}

/** Conditions looked at of one WHERE; a condition that is not looked at pins nothing. */
const conditionsMax = 1000;

/**
 * Columns of the target that WHERE, by AND alone, compares by `=` with one constant or parameter. `target`: the name
 * that the text gives the target; `others`: other relations are joined, and only its own name tells its columns.
 */
export function pinnedColumns(
  where: unknown,
  target: string | undefined,
  others: boolean,
  parameters: Parameters,
): string[] {
  const pinned = new Set<string>();
  const pending = [where];
  for (let count = 0; count < conditionsMax && pending.length > 0; count += 1) {
    const value = pending.pop();
    const child = value === undefined ? undefined : unwrap(value);
    if (child?.type === 'BoolExpr' && child.node.boolop === 'AND_EXPR') {
      pending.push(...listAt(child.node, 'args'));
    } else if (child?.type === 'A_Expr') {
      const column = comparedColumn(child.node, target, others, parameters);
      if (column !== undefined) pinned.add(column);
    }
  }
  return [...pinned];
}

/** Whether a parameter of that number takes its type from the comparison alone. */
export type Parameters = (number: number) => boolean;

/**
 * The parameters that the statement uses once; `root`: it is no part of another one, which may use them too. One that is
 * used twice may have the type of the other place, such as a float, to which several values of a column are equal.
 */
export function parametersUsedOnce(type: string, node: Tree, root: boolean): Parameters {
  let uses: Map<number, number> | undefined;
  return (number) => {
    if (!root) return false;
    uses ??= parameterUses(type, node);
    return uses.get(number) === 1;
  };
}

/** Nodes looked at for parameters; of a larger statement none is known to be used once. */
const parameterNodesMax = 100_000;

function parameterUses(type: string, node: Tree): Map<number, number> {
  const uses = new Map<number, number>();
  const pending = childrenOf(type, node);
  for (let count = 0; pending.length > 0; count += 1) {
    const child = pending.pop()!;
    if (count > parameterNodesMax) return new Map();
    if (child.type === 'ParamRef') {
      const number = Number(child.node.number ?? 0);
      uses.set(number, (uses.get(number) ?? 0) + 1);
    }
    pending.push(...childrenOf(child.type, child.node));
  }
  return uses;
}

function comparedColumn(
  node: Tree,
  target: string | undefined,
  others: boolean,
  parameters: Parameters,
): string | undefined {
  const { schema, name } = qualified(listAt(node, 'name'));
  if (name !== '=' || (schema !== undefined && schema !== 'pg_catalog')) return undefined;
  const kind = textAt(node, 'kind');
  if (kind === 'AEXPR_IN') {
    const list = nodeAt(node, 'rexpr', 'List');
    const [item, ...more] = list === undefined ? [] : listAt(list, 'items');
    return more.length === 0 && isValue(item, parameters)
      ? columnName(node.lexpr, target, others)
      : undefined;
  }
  if (kind !== 'AEXPR_OP') return undefined;
  if (isValue(node.rexpr, parameters)) return columnName(node.lexpr, target, others);
  return isValue(node.lexpr, parameters) ? columnName(node.rexpr, target, others) : undefined;
}

function columnName(value: unknown, target: string | undefined, others: boolean): string | undefined {
  const child = value === undefined ? undefined : unwrap(value);
  if (child?.type !== 'ColumnRef') return undefined;
  const parts = nameParts(listAt(child.node, 'fields'));
  if (parts.length === 1 && !others) return parts[0];
  return parts.length === 2 && parts[0] === target ? parts[1] : undefined;
}

/**
 * Types whose `=` with a column of another type is true of one value of the column at most. Not so float, which several
 * numbers are equal to, and char, which ignores blanks.
 */
const exact = new Set(
  'int2 int4 int8 numeric text varchar uuid bool date timestamp timestamptz bytea oid'.split(' '),
);

/** A constant, a parameter, or a cast of one. */
function isValue(value: unknown, parameters: Parameters): boolean {
  const child = value === undefined ? undefined : unwrap(value);
  if (child === undefined) return false;
  if (child.type === 'A_Const') return true;
  if (child.type === 'ParamRef') return parameters(Number(child.node.number ?? 0));
  if (child.type !== 'TypeCast') return false;
  const type = nodeAt(child.node, 'typeName');
  if (type === undefined || listAt(type, 'arrayBounds').length > 0) return false;
  const { schema, name } = qualified(listAt(type, 'names'));
  return (
    (schema === undefined || schema === 'pg_catalog') &&
    exact.has(name) &&
    isValue(child.node.arg, parameters)
  );
}

/** True if every one of the types, as PREPARE declares them, is one whose values pin a column. */
export function areExact(types: readonly unknown[]): boolean {
  return types.every((item) => {
    const type = unwrap(item);
    if (type?.type !== 'TypeName' || listAt(type.node, 'arrayBounds').length > 0) return false;
    const { schema, name } = qualified(listAt(type.node, 'names'));
    return (schema === undefined || schema === 'pg_catalog') && exact.has(name);
  });
}

/** Rows that an INSERT makes at most; undefined where a query does. */
export function rowsInserted(node: Tree): number | undefined {
  if (node.selectStmt === undefined) return 1;
  const select = nodeAt(node, 'selectStmt', 'SelectStmt');
  if (select === undefined) return undefined;
  const rows = listAt(select, 'valuesLists');
  // A single row is planned as a SELECT, in which a function that returns a set makes as many rows as it likes.
  if (rows.length === 1 && mayBeMoreRows(rows[0])) return undefined;
  return rows.length === 0 ? undefined : rows.length;
}

/** Nodes of one row to look at before the answer is that it may. */
const nodesMax = 10_000;

function mayBeMoreRows(value: unknown): boolean {
  const root = unwrap(value);
  const pending = root === undefined ? [] : [root];
  for (let count = 0; count < nodesMax; count += 1) {
    const child = pending.pop();
    if (child === undefined) return false;
    const { type, node } = child;
    if (type === 'FuncCall') {
      const { schema, name } = qualified(listAt(node, 'funcname'));
      if (mayReturnSet(schema, name)) return true;
    }
    if (type === 'A_Expr' && listAt(node, 'name').length > 0) {
      const { schema, name } = qualified(listAt(node, 'name'));
      // The function behind an operator of a user may return a set.
      if (!isBuiltinOperator(schema, name) && textAt(node, 'kind') === 'AEXPR_OP') return true;
    }
    // `(x).f` may be the call of a function.
    if (type === 'A_Indirection') return true;
    pending.push(...childrenOf(type, node));
  }
  return true;
}

/**
 * True of a SELECT that shows each row of a WITH query as it comes: `WITH u AS (UPDATE … RETURNING …) SELECT * FROM u`.
 * Its command tag counts what the query returns.
 */
export function showsEachRow(select: Tree): boolean {
  if (shaping.some((field) => select[field] !== undefined) || select.op !== 'SETOP_NONE') return false;
  if (select.limitCount !== undefined || select.limitOffset !== undefined) return false;
  const [from, ...more] = listAt(select, 'fromClause').map((item) => unwrap(item));
  const queries = nodeAt(select, 'withClause');
  if (from?.type !== 'RangeVar' || more.length > 0 || queries === undefined) return false;
  if (from.node.schemaname !== undefined) return false;
  const shown = listAt(queries, 'ctes').find((item) => unwrap(item)?.node.ctename === from.node.relname);
  const query = shown === undefined ? undefined : unwrap(unwrap(shown)?.node.ctequery);
  if (query === undefined || !returning.has(query.type)) return false;
  return listAt(select, 'targetList').every((item) => {
    const target = unwrap(item);
    return target?.type === 'ResTarget' && isColumn(target.node.val);
  });
}

/** What makes of rows others, or fewer. */
const shaping = [
  'distinctClause',
  'whereClause',
  'groupClause',
  'havingClause',
  'valuesLists',
  'lockingClause',
];
const returning: ReadonlySet<string> = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']);

/** A column, `*`, or a cast of a column: no function that returns a set, as `u.f` may be, and none that sums up. */
function isColumn(value: unknown): boolean {
  const child = value === undefined ? undefined : unwrap(value);
  if (child?.type === 'TypeCast') return isColumn(child.node.arg);
  if (child?.type !== 'ColumnRef') return false;
  const fields = listAt(child.node, 'fields');
  return fields.length === 1 || (fields.length === 2 && unwrap(fields[1])?.type === 'A_Star');
}
