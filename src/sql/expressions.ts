// Expressions: what the nodes inside a statement bring: functions called, types and operators named, rows locked.
// `transparent` is the list of nodes that do nothing by themselves; a node in no table is not understood (walk.ts).
// Which function or operator a name resolves to is the catalog's to say.

import { callsSetConfig } from './configure.ts';
import type { Draft } from './draft.ts';
import type { Tree } from './engine.ts';
import { effectsOfFunction, isBuiltinOperator, isBuiltinType } from './functions.ts';
import { takesSecrets } from './secrets.ts';
import type { Effect } from './statement.ts';
import { constantText, listAt, nameParts, nodeAt, qualified, textAt } from './tree.ts';

/** Adds what the node does; answers the fields that the walk must leave out. */
export type Visitor = (draft: Draft, node: Tree) => readonly string[] | undefined;

export const transparent: ReadonlySet<string> = new Set(
  `A_ArrayExpr A_Const A_Indices A_Star Alias BitString BoolExpr Boolean BooleanTest CTECycleClause CTESearchClause
  CaseWhen CoalesceExpr CollateClause CommonTableExpr CurrentOfExpr Float GroupingFunc GroupingSet IndexElem InferClause
  Integer JsonAggConstructor JsonArgument JsonBehavior JsonFormat JsonIsPredicate JsonKeyValue JsonOutput
  JsonReturning JsonTableColumn JsonTablePathSpec JsonValueExpr List MergeWhenClause MinMaxExpr MultiAssignRef NamedArgExpr NullTest
  OnConflictClause ParamRef RangeFunction RangeSubselect RangeTableFunc RangeTableFuncCol ResTarget ReturningClause
  ReturningOption RowExpr SQLValueFunction SetToDefault String TypeCast WindowDef XmlExpr XmlSerialize
  AccessPriv ColumnDef Constraint CreateOpClassItem DefElem FunctionParameter ObjectWithArgs PartitionBoundSpec
  PartitionCmd PartitionElem PartitionRangeDatum PartitionSpec PublicationObjSpec PublicationTable ReplicaIdentityStmt
  ReturnStmt RoleSpec StatsElem TableLikeClause TriggerTransition VacuumRelation ATAlterConstraint`.split(
    /\s+/,
  ),
);

/**
 * Nodes that older servers read as calls of ordinary functions, by the names of those, and the major version from which
 * they are what they are here. JSON_TABLE and JSON_ARRAY of a query have clauses that the older ones refuse.
 */
const functionSyntax: Readonly<Record<string, readonly [name: string, since?: number]>> = {
  JsonParseExpr: ['json', 17],
  JsonScalarExpr: ['json_scalar', 17],
  JsonSerializeExpr: ['json_serialize', 17],
  JsonObjectConstructor: ['json_object', 16],
  JsonArrayConstructor: ['json_array', 16],
  JsonArrayQueryConstructor: ['json_array'],
  JsonObjectAgg: ['json_objectagg', 16],
  JsonArrayAgg: ['json_arrayagg', 16],
  JsonTable: ['json_table'],
  MergeSupportFunc: ['merge_action', 17],
};

const jsonFunctions: Readonly<Record<string, string>> = {
  JSON_VALUE_OP: 'json_value',
  JSON_QUERY_OP: 'json_query',
  JSON_EXISTS_OP: 'json_exists',
};

const uncountable = { assigns: undefined, pinned: undefined, rowsAtMost: undefined };

const visitors: Readonly<Record<string, Visitor>> = {
  FuncCall(draft, node) {
    const { schema, name } = calledName(draft, node);
    draft.function(schema, name, argsOf(node));
    if (callsSetConfig(draft, schema, name, node)) return;
    for (const effect of effectsOfCall(schema, name, node)) {
      if (effect === 'read') continue;
      // lo_unlink: no command tag counts what a function removes.
      if (effect === 'delete') draft.changes(uncountable, false);
      const what = effect === 'function' ? 'which is not a known builtin' : `which has the effect ${effect}`;
      draft.evaluates(effect, `calls ${spell(schema, name)}(), ${what}`);
    }
    if (takesSecrets(name)) draft.secret = true;
  },
  TypeName(draft, node) {
    const { schema, name } = qualified(listAt(node, 'names'));
    if (isBuiltinType(schema, name)) return;
    draft.type(schema, name);
    draft.evaluates('function', `uses the type ${spell(schema, name)}, which is not a known builtin`);
  },
  A_Expr(draft, node) {
    for (const symbol of impliedOperators[textAt(node, 'kind') ?? ''] ?? [])
      draft.operator(undefined, symbol);
    if (!betweenKinds.test(textAt(node, 'kind') ?? '')) usesOperator(draft, listAt(node, 'name'));
    return ['name'];
  },
  SubLink(draft, node) {
    const named = listAt(node, 'operName');
    if (named.length > 0) usesOperator(draft, named);
    else draft.operator(undefined, '=');
    return ['operName'];
  },
  SortBy(draft, node) {
    const named = listAt(node, 'useOp');
    if (named.length > 0) usesOperator(draft, named);
    return ['useOp'];
  },
  JoinExpr(draft, node) {
    if (node.isNatural === true || listAt(node, 'usingClause').length > 0) draft.operator(undefined, '=');
    return undefined;
  },
  CaseExpr(draft, node) {
    if (node.arg !== undefined) draft.operator(undefined, '=');
    return undefined;
  },
  ColumnRef(draft, node) {
    const parts = nameParts(listAt(node, 'fields'));
    const last = parts.at(-1);
    if (parts.length > 1 && last !== undefined) draft.field(last);
    return undefined;
  },
  A_Indirection(draft, node) {
    for (const name of nameParts(listAt(node, 'indirection'))) if (name !== undefined) draft.field(name);
    return undefined;
  },
  LockingClause(draft) {
    draft.does('lock-rows');
    // They name the query's own FROM items.
    return ['lockedRels'];
  },
  RangeTableSample(draft, node) {
    const { schema, name } = qualified(listAt(node, 'method'));
    draft.function(schema, name);
    const builtin = (schema === undefined || schema === 'pg_catalog') && /^(system|bernoulli)$/.test(name);
    if (!builtin)
      draft.evaluates('function', `samples by ${spell(schema, name)}, which is not a known builtin`);
    return ['method'];
  },
  IntoClause(draft, node) {
    createsRelation(draft, nodeAt(node, 'rel'));
    return ['rel'];
  },
  JsonFuncExpr(draft, node) {
    draft.function(undefined, jsonFunctions[textAt(node, 'op') ?? ''] ?? 'json_query');
    draft.needs(17);
    return undefined;
  },
  ...Object.fromEntries(
    Object.entries(functionSyntax).map(([type, [name, since]]): [string, Visitor] => [
      type,
      (draft) => {
        draft.function(undefined, name);
        if (since !== undefined) draft.needs(since);
        return undefined;
      },
    ]),
  ),
};

export const expressions: ReadonlyMap<string, Visitor> = new Map(Object.entries(visitors));

const betweenKinds = /BETWEEN/;
const impliedOperators: Readonly<Record<string, readonly string[]>> = {
  AEXPR_BETWEEN: ['>=', '<='],
  AEXPR_NOT_BETWEEN: ['<', '>'],
  AEXPR_BETWEEN_SYM: ['>=', '<='],
  AEXPR_NOT_BETWEEN_SYM: ['<', '>'],
};

/**
 * The name of a call. What looks like SYSTEM_USER is a column to servers before 16; JSON_OBJECT('{…}') is to them a call
 * like any other, though our parser writes the schema of the builtin before it.
 */
function calledName(draft: Draft, node: Tree): { schema: string | undefined; name: string } {
  const called = qualified(listAt(node, 'funcname'));
  if (called.schema !== 'pg_catalog') return called;
  if (called.name === 'system_user' && node.funcformat === 'COERCE_SQL_SYNTAX') draft.needs(16);
  return called.name === 'json_object' ? { schema: undefined, name: called.name } : called;
}

/** WITHIN GROUP adds what it sorts by to the arguments (ParseFuncOrColumn). */
function argsOf(node: Tree): number | undefined {
  if (node.func_variadic === true) return undefined;
  const sorted = node.agg_within_group === true ? listAt(node, 'agg_order').length : 0;
  return listAt(node, 'args').length + sorted;
}

const checksInput = /^pg_input_(is_valid|error_info)$/;

/** Types that are words of the grammar, so that no other type can be meant. */
const typeWords =
  /^(int|integer|smallint|bigint|real|float|double precision|numeric|decimal|boolean|char|character|varchar|character varying|(time|timestamp)( with(out)? time zone)?|interval|bit|bit varying)$/;

/** True of a constant that is the name of one of the server's own types, which run no code of a user. */
function namesBuiltinType(value: unknown): boolean {
  const text = value === undefined ? undefined : constantText(value);
  const name = text
    ?.toLowerCase()
    .replace(/(\[\d*\])+$/, '')
    .replace(/\(\d+(, *\d+)?\)/, '')
    .trim();
  return (
    name !== undefined && (typeWords.test(name) || (/^\w+$/.test(name) && isBuiltinType(undefined, name)))
  );
}

/** The effects of one call; finer than by name where the number of arguments tells overloads apart. */
function effectsOfCall(schema: string | undefined, name: string, node: Tree): readonly Effect[] {
  const effects = effectsOfFunction(schema, name);
  // ts_rewrite(tsquery, text) runs the text as a query; with three arguments it takes no text.
  if (name === 'ts_rewrite' && effects[0] === 'code' && listAt(node, 'args').length === 3) return [];
  if (checksInput.test(name) && effects[0] === 'function' && namesBuiltinType(listAt(node, 'args')[1]))
    return [];
  return effects;
}

function usesOperator(draft: Draft, list: readonly unknown[]): void {
  const { schema, name } = qualified(list);
  draft.operator(schema, name);
  if (isBuiltinOperator(schema, name)) return;
  draft.evaluates('function', `uses the operator ${spell(schema, name)}, which is not a known builtin`);
}

/** A new relation: temporary by its keyword or its schema, else permanent. */
export function createsRelation(draft: Draft, relation: Tree | undefined): void {
  const schema = relation === undefined ? undefined : textAt(relation, 'schemaname');
  const temporary = schema === 'pg_temp' || (relation !== undefined && relation.relpersistence === 't');
  draft.does(temporary ? 'temporary' : 'create');
  if (relation !== undefined) draft.relation(schema, textAt(relation, 'relname') ?? '', 'define');
}

export function spell(schema: string | undefined, name: string): string {
  return schema === undefined ? name : `${schema}.${name}`;
}
