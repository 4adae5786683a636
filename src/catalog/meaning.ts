// Meaning: what the names of one statement may stand for in its scope, and what the effects of a hidden one are. A name
// that stands for one thing is followed with certainty, one that may stand for several without; one that stands for
// nothing known makes the statement `unknown`. Follows the manual, 10 (Type Conversion): which of several functions or
// operators is meant depends on types that the text does not show.

import { isBuiltinFunction, isBuiltinOperator } from '../sql/functions.ts';
import type { Effect, FunctionUse, NameInSchema, RelationUse, Statement } from '../sql/statement.ts';
import type { Agenda, Scope, Task } from './agenda.ts';
import { qualifiedName, step } from './agenda.ts';
import { effectsByText, spell } from './guesses.ts';
import { pinsOneRow } from './keys.ts';
import { functionsMeant, operatorsMeant, relationsMeant, typesMeant } from './lookup.ts';
import { doesBuiltin, isOfKnownLibrary, labelOf } from './routines.ts';
import type { OperatorObject, RelationObject } from './snapshot.ts';
import { firstUserOid } from './snapshot.ts';
import { firesFor } from './tables.ts';
import { anyName, mayBuildOtherwise } from './templates.ts';
import { accessOf, phrase, type Way } from './words.ts';

type StatementTask = Extract<Task, { kind: 'statement' }>;

/** Names that our parser gives to syntax of its own, no function of the server's at all. */
const syntax = new Set(
  `json json_scalar json_serialize json_object json_array json_objectagg json_arrayagg json_table json_value json_query
  json_exists merge_action system_user`.split(/\s+/),
);

/** Follows the names of a statement. `parameterTypes`: OIDs of declared parameters. */
export function follow(agenda: Agenda, task: StatementTask, parameterTypes: readonly number[] = []): void {
  const touched = new Set<number>();
  const { statement, scope, way } = task;
  for (const use of statement.relations) followRelation(agenda, task, use, touched);
  for (const use of statement.functions) followFunction(agenda, task, use, touched);
  for (const use of statement.types) followType(agenda, use, scope, way, touched);
  for (const name of statement.fields) {
    for (const fn of functionsMeant(agenda.snapshot, { schema: undefined, name, args: 1 }, scope.path)) {
      if (!fn.ofRow) continue;
      const inner = step(way, labelOf(agenda, fn, false), false);
      agenda.add({ kind: 'function', object: fn, scope, way: inner });
    }
    // So is a row cast to a type, such as a domain over it.
    for (const type of typesMeant(agenda.snapshot, { schema: undefined, name }, scope.path)) {
      const inner = step(way, `type ${qualifiedName(type)}`, false);
      agenda.add({ kind: 'type', oid: type.oid, checks: true, scope, way: inner });
    }
  }
  for (const oid of parameterTypes) {
    if (oid < firstUserOid) continue;
    touch(agenda, oid, touched);
    if (agenda.snapshot.type(oid) === undefined) {
      agenda.lacks(`takes a parameter of the type ${oid}`, way);
    }
    agenda.add({ kind: 'type', oid, checks: true, scope, way });
  }
  for (const use of statement.operators) followOperator(agenda, use, scope, way, touched);
  followComparisons(agenda, scope, way, touched);
}

function followRelation(agenda: Agenda, task: StatementTask, use: RelationUse, touched: Set<number>): void {
  const { statement, scope, way } = task;
  if (task.template && (use.name === anyName || use.schema === anyName)) {
    if (use.access === 'read') {
      agenda.does('unproven', 'reads a relation whose name is found when it runs', way);
    }
    agenda.addAny(use.access, scope, step(way, 'any relation', use.access !== 'read'));
    return;
  }
  const { access } = use;
  const runsAll = statement.effects.includes('maintain');
  if (followTemporary(agenda, task, use, touched)) return;
  const found = relationsMeant(agenda.snapshot, use, scope.path);
  if (found.length === 0) {
    // What is made or dropped need not be there; it brings no code of its own.
    const expected = access === 'define' || access === 'lock' || (scope.trigger && access === 'read');
    if (expected || isOwn(agenda, use, scope)) return;
    agenda.lacks(`names ${spell(use)}`, way);
    return;
  }
  for (const object of found) {
    if (object.oid < firstUserOid) continue;
    const certain = found.length === 1 || access !== 'read';
    const inner = certain ? way : step(way, `relation ${qualifiedName(object)}`, false);
    touchRelation(agenda, object, touched);
    const assigns = access === 'update' ? statement.assigns : undefined;
    agenda.add({ kind: 'relation', object, access, assigns, scope, way: inner });
    if (runsAll) followMaintenance(agenda, object, scope, inner);
  }
}

/** True of a temporary relation that the code itself makes, of a name that no permanent one has. */
function isOwn(agenda: Agenda, { schema, name }: RelationUse, scope: Scope): boolean {
  return schema === undefined && scope.own.has(name) && agenda.snapshot.relationsNamed(name).length === 0;
}

/** REFRESH runs the query of a materialized view; VACUUM, ANALYZE, REINDEX and CLUSTER the expressions of indexes. */
function followMaintenance(agenda: Agenda, object: RelationObject, scope: Scope, way: Way): void {
  const inner = step(way, `maintenance of ${qualifiedName(object)}`);
  agenda.addAll(object.onRead, scope, inner);
  agenda.addAll(object.onWrite, scope, inner);
}

/** True if the name stands for a temporary relation, or for one that nobody can tell. */
function followTemporary(
  agenda: Agenda,
  task: StatementTask,
  use: RelationUse,
  touched: Set<number>,
): boolean {
  const { scope, way } = task;
  const inTemporary = use.schema !== undefined && /^pg_temp(_\d+)?$/.test(use.schema);
  if (use.schema !== undefined && !inTemporary) return false;
  const maker = scope.temporary.get(use.name);
  if (use.access === 'define' || use.access === 'lock') return inTemporary || maker !== undefined;
  if (maker !== undefined && !maker.command.startsWith('DROP')) {
    followMaker(agenda, task, use, maker, touched);
    // It may be gone again (DISCARD, a rollback, ON COMMIT DROP), or pg_temp may stand last in the path: then the name
    // means the permanent one, if there is one.
    return inTemporary || relationsMeant(agenda.snapshot, use, scope.path).length === 0;
  }
  const hidden = scope.shadowed && agenda.snapshot.temporaryNames.has(use.name);
  if (!hidden && !inTemporary) return false;
  const effect = scope.shadowed ? 'unproven' : 'unknown';
  agenda.does(effect, `may name a temporary relation ${use.name} that is not known`, way);
  return inTemporary;
}

/** A temporary view runs its query; a temporary table what its columns were declared with, when it is written to. */
function followMaker(
  agenda: Agenda,
  task: StatementTask,
  use: RelationUse,
  maker: Statement,
  touched: Set<number>,
): void {
  // It was bound to objects when it was made, by the path of then.
  const scope = { ...task.scope, path: undefined };
  const inner = step(task.way, `temporary relation ${use.name}`);
  // What it is made of is older than itself.
  const temporary = new Map([...scope.temporary].filter(([name]) => name !== use.name));
  if (!/^(CREATE|ALTER) |^(SELECT INTO|EXPLAIN)$/.test(maker.command)) {
    agenda.does('unproven', `names ${use.name}, which code of an earlier statement made`, inner);
  }
  const runs =
    maker.command === 'CREATE VIEW' || (use.access !== 'read' && !/ AS$|INTO$/.test(maker.command));
  // LIKE names its source as part of a definition.
  const sources = maker.relations.filter(({ access, name }) => access !== 'define' || name !== use.name);
  if (runs) {
    // Writing to a view writes to what it is over.
    const written =
      use.access === 'read' ? [] : sources.map(({ schema, name }) => ({ ...use, schema, name }));
    const made = { ...maker, relations: [...sources, ...written] };
    follow(agenda, {
      kind: 'statement',
      statement: made,
      template: false,
      scope: { ...scope, temporary },
      way: inner,
    });
  }
  for (const source of sources) {
    for (const object of relationsMeant(agenda.snapshot, source, scope.path)) {
      touchRelation(agenda, object, touched);
      // LIKE takes over defaults and checks.
      if (use.access === 'read' || object.kind === 'v') continue;
      agenda.addAll(object.onWrite, scope, inner);
      agenda.addAll(object.defaults, scope, inner);
    }
  }
  const checks = use.access !== 'read';
  for (const oid of typesOfMaker(agenda, maker, { ...scope, temporary })) {
    touch(agenda, oid, touched);
    agenda.add({ kind: 'type', oid, checks, scope, way: inner });
  }
}

/** Types that columns of a temporary relation may have, by the statement that made it. */
function typesOfMaker(agenda: Agenda, maker: Statement, scope: Scope): Set<number> {
  const { snapshot } = agenda;
  const found = new Set<number>();
  for (const use of maker.relations) {
    const before = use.schema === undefined ? scope.temporary.get(use.name) : undefined;
    if (before !== undefined) {
      const temporary = new Map([...scope.temporary].filter(([name]) => name !== use.name));
      for (const oid of typesOfMaker(agenda, before, { ...scope, temporary })) found.add(oid);
    }
    for (const { types } of relationsMeant(snapshot, use, scope.path))
      for (const oid of types) found.add(oid);
  }
  const fields = maker.fields.map((name) => ({ schema: undefined, name, args: 1 }));
  for (const use of [...maker.functions, ...fields]) {
    for (const { resultType, parameters } of functionsMeant(snapshot, use, scope.path)) {
      for (const oid of [resultType, ...parameters.map(({ type }) => type)])
        if (oid >= firstUserOid) found.add(oid);
    }
    for (const { oid } of typesMeant(snapshot, use, scope.path)) found.add(oid);
  }
  for (const use of maker.operators) {
    for (const { result } of operatorsMeant(snapshot, use, scope.path))
      if (result >= firstUserOid) found.add(result);
  }
  for (const use of maker.types) for (const { oid } of typesMeant(snapshot, use, scope.path)) found.add(oid);
  return found;
}

function followFunction(agenda: Agenda, task: StatementTask, use: FunctionUse, touched: Set<number>): void {
  const { scope, way } = task;
  const builtin = isBuiltinFunction(use.schema, use.name);
  const meant = functionsMeant(agenda.snapshot, use, scope.path);
  const types = use.args === undefined || use.args === 1 ? typesMeant(agenda.snapshot, use, scope.path) : [];
  const alone = !builtin && meant.length + types.length === 1;
  for (const object of meant) {
    const inner = step(way, labelOf(agenda, object, alone), alone);
    if (object.resultType >= firstUserOid) touch(agenda, object.resultType, touched);
    agenda.add({ kind: 'function', object, scope, way: inner });
  }
  for (const { oid } of types) {
    touch(agenda, oid, touched);
    agenda.add({
      kind: 'type',
      oid,
      checks: true,
      scope,
      way: alone ? way : step(way, `type ${use.name}`, false),
    });
  }
  if (builtin || meant.length + types.length > 0) return;
  if (use.schema === undefined && syntax.has(use.name)) return;
  // Another number of arguments, or a schema that is not on the path: it fails, or the path is longer than we know.
  const others = functionsMeant(agenda.snapshot, { schema: use.schema, name: use.name }, undefined);
  if (others.length === 0) {
    agenda.lacks(`calls ${spell(use)}()`, way);
  }
  for (const object of others) {
    const inner = step(way, labelOf(agenda, object, false), false);
    agenda.add({ kind: 'function', object, scope, way: inner });
  }
}

function followType(agenda: Agenda, use: NameInSchema, scope: Scope, way: Way, touched: Set<number>): void {
  const types = typesMeant(agenda.snapshot, use, scope.path);
  if (use.schema === undefined && scope.shadowed && agenda.snapshot.temporaryNames.has(use.name)) {
    agenda.does('unproven', `may name a temporary type ${use.name} that is not known`, way);
  }
  // Of an array the text names the element.
  for (const { oid } of types) {
    touch(agenda, oid, touched);
    agenda.add({ kind: 'type', oid, checks: true, scope, way });
  }
  // The row type of a relation goes by the relation's name.
  const rows = types.length > 0 ? [] : relationsMeant(agenda.snapshot, use, scope.path);
  for (const relation of rows) {
    for (const oid of relation.types) {
      touch(agenda, oid, touched);
      agenda.add({ kind: 'type', oid, checks: true, scope, way });
    }
  }
  if (types.length + rows.length === 0) {
    agenda.lacks(`uses the type ${spell(use)}`, way);
  }
}

/** The type and what it is made of: values of it may be at hand in this statement. */
function touch(agenda: Agenda, oid: number, touched: Set<number>): void {
  if (touched.has(oid)) return;
  touched.add(oid);
  for (const part of agenda.snapshot.type(oid)?.parts ?? []) touch(agenda, part, touched);
}

function touchRelation(agenda: Agenda, object: RelationObject, touched: Set<number>): void {
  if (object.rowType !== 0) touched.add(object.rowType);
  for (const oid of object.types) touch(agenda, oid, touched);
}

function followOperator(
  agenda: Agenda,
  use: NameInSchema,
  scope: Scope,
  way: Way,
  touched: ReadonlySet<number>,
): void {
  const builtin = isBuiltinOperator(use.schema, use.name);
  const named = operatorsMeant(agenda.snapshot, use, scope.path);
  const others = builtin || named.length > 0 ? named : operatorsMeant(agenda.snapshot, use, undefined);
  const meant = builtin ? named.filter((operator) => mayMatch(agenda, operator, touched)) : others;
  const alone = !builtin && meant.length === 1;
  for (const object of meant) addOperator(agenda, object, scope, way, alone);
  if (!builtin && meant.length === 0) {
    agenda.lacks(`uses the operator ${spell(use)}`, way);
  }
}

/** With a builtin operand it may match better than the server's own; between user types only if there are such values. */
function mayMatch(agenda: Agenda, operator: OperatorObject, touched: ReadonlySet<number>): boolean {
  const { left, right, functions } = operator;
  const operands = [left, right].filter((oid) => oid !== 0);
  if (operands.some((oid) => oid < firstUserOid || mayBeAtHand(agenda, oid, touched))) return true;
  // Values of the server's own types are everywhere; what they are cast to by a known library does nothing.
  const cast = operands.filter((oid) => isCastFromServers(agenda, oid));
  if (cast.length === 0) return false;
  const run = [...functions, ...cast.flatMap((oid) => agenda.snapshot.type(oid)?.functions ?? [])];
  return run.some((oid) => !isOfKnownLibrary(agenda, oid));
}

/** A value may be made of those at hand: an array, a row or a domain of them, or what any of them is cast to unasked. */
function mayBeAtHand({ snapshot }: Agenda, oid: number, touched: ReadonlySet<number>): boolean {
  const seen = new Set<number>();
  const pending = [oid];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (touched.has(next)) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    const type = snapshot.type(next);
    pending.push(...(type?.parts ?? []), ...(type?.implicitFrom ?? []));
  }
  return false;
}

function isCastFromServers({ snapshot }: Agenda, oid: number): boolean {
  return snapshot.type(oid)?.implicitFrom.some((source) => source < firstUserOid) ?? false;
}

function addOperator(agenda: Agenda, object: OperatorObject, scope: Scope, way: Way, certain: boolean): void {
  const inner = step(way, `operator ${object.schema}.${object.name}`, certain);
  agenda.add({ kind: 'operator', object, scope, way: inner });
}

/** ORDER BY, GROUP BY, DISTINCT, USING and UNION compare without naming an operator. */
function followComparisons(agenda: Agenda, scope: Scope, way: Way, touched: ReadonlySet<number>): void {
  if (touched.size === 0) return;
  for (const symbol of ['=', '<', '>', '<=', '>=', '<>']) {
    for (const object of agenda.snapshot.operatorsNamed(symbol)) {
      if ([object.left, object.right].some((oid) => oid >= firstUserOid && mayBeAtHand(agenda, oid, touched)))
        addOperator(agenda, object, scope, way, false);
    }
  }
}

/** A statement in the body of a function: its effects, and what its names stand for. */
export function visitStatement(agenda: Agenda, task: StatementTask): void {
  const { statement, template, scope, way } = task;
  if (template && mayBuildOtherwise(agenda.snapshot, scope.path)) {
    agenda.does('function', 'runs SQL that it builds when it runs', way);
    return;
  }
  const single = isSingle(agenda, task);
  for (const effect of effectsByText(statement)) {
    if (effect === 'read' || isOfOwn(agenda, statement, effect, scope)) continue;
    agenda.does(effect, whatOf(agenda, statement, effect, scope), way, single);
  }
  if (statement.functions.some((use) => use.name === 'lo_unlink'))
    doesBuiltin(agenda, 'lo_unlink', undefined, way);
  // They would change what the session's own names stand for.
  if (statement.names.length > 0) agenda.does('code', 'prepares or runs a statement by name', way);
  for (const setting of statement.settings) agenda.sets(setting);
  follow(agenda, task);
}

/** What code does to temporary relations of its own comes with making them. */
function isOfOwn(agenda: Agenda, statement: Statement, effect: Effect, scope: Scope): boolean {
  const access = effect === 'drop' && statement.sweeping !== true ? 'define' : accessOf[effect];
  const uses = statement.relations.filter((use) => use.access === access);
  return uses.length > 0 && uses.every((use) => isOwn(agenda, use, scope));
}

/** A trigger's statement that changes one row at most; whatever else is called may be called for any number of rows. */
function isSingle(agenda: Agenda, { statement, pinnedByRow, scope }: StatementTask): boolean {
  if (!scope.trigger || scope.uncounted === true || statement.tagged !== true) return false;
  if (firesAgain(agenda, statement, scope)) return false;
  if (statement.command === 'INSERT') return statement.rowsAtMost === 1;
  const pinned = pinnedByRow ?? statement.pinned;
  return pinned !== undefined && pinsOneRow(agenda.snapshot, { ...statement, pinned }, scope);
}

/** True if what it writes fires a trigger whose code it is: then one row may lead to any number. */
function firesAgain({ snapshot }: Agenda, statement: Statement, scope: Scope): boolean {
  return statement.relations.some((use) => {
    const { access } = use;
    if (access === 'read' || access === 'define' || access === 'lock') return false;
    const assigns = access === 'update' ? statement.assigns : undefined;
    return relationsMeant(snapshot, use, scope.path).some((object) =>
      object.triggers.some((one) => scope.firing?.has(one.oid) && firesFor(one, access, { object, assigns })),
    );
  });
}

function whatOf(agenda: Agenda, statement: Statement, effect: Effect, scope: Scope): string {
  const access = accessOf[effect];
  const use = access && statement.relations.find((one) => one.access === access);
  if (use === undefined) return phrase(effect);
  const [found] = relationsMeant(agenda.snapshot, use, scope.path);
  if (use.name === anyName) return phrase(effect, 'a relation whose name is found when it runs');
  return phrase(effect, found === undefined ? spell(use) : qualifiedName(found));
}
