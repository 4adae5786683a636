// Tables: what reading or writing a relation runs besides: the query of a view, row-level policies, defaults, CHECK
// constraints, expressions of indexes, triggers, rules, the actions of foreign keys, and all that of the partitions and
// children that it reaches. The manual, 5, 37 and 39; wire.md has what was measured.

import type { Access, Effect, Statement } from '../sql/statement.ts';
import type { Agenda, Scope, Task } from './agenda.ts';
import { qualifiedName, step } from './agenda.ts';
import { relationsMeant } from './lookup.ts';
import { withoutNextval } from './routines.ts';
import type {
  ForeignKey,
  References,
  RelationObject,
  RuleObject,
  TriggerObject,
  WriteEvent,
} from './snapshot.ts';
import { accessOf, phrase, type Way } from './words.ts';

type RelationTask = Extract<Task, { kind: 'relation' }>;

export function visitRelation(agenda: Agenda, task: RelationTask): void {
  const { object, access } = task;
  agenda.looksAt('relation', object);
  agenda.uses(object, access);
  if (access === 'define' || access === 'lock') return;
  if (object.kind === 'f') {
    agenda.does('remote', `uses ${qualifiedName(object)}, which is on another server`, task.way);
  }
  const reads = access === 'read';
  const { scope, way } = task;
  agenda.addAll(object.policies, scope, step(way, `a policy of ${qualifiedName(object)}`));
  readsQuery(agenda, task);
  // Constants in them are computed when the statement is planned, be it a read.
  agenda.addAll(object.onPlan, scope, step(way, `a check or index of ${qualifiedName(object)}`, false));
  for (const oid of object.types) {
    const makes = access === 'insert' || access === 'update';
    agenda.add({ kind: 'type', oid, checks: makes, scope, way });
  }
  if (!reads) writes(agenda, task, access);
  for (const oid of object.children) {
    const child = agenda.snapshot.relation(oid);
    // What merely inherits gets no row that is inserted into its parent.
    if (child !== undefined && !(access === 'insert' && !object.partitioned)) {
      const moves = access === 'update' && object.partitioned;
      agenda.add({ ...task, object: child, ...(moves ? { moves: true as const } : {}) });
    }
  }
}

/** A materialized view is read as it stands. Virtual columns and the rows a view shows are computed for writes too. */
function readsQuery(agenda: Agenda, { object, scope, way }: RelationTask): void {
  if (object.kind === 'm') return;
  const label =
    object.kind === 'v' ? `view ${qualifiedName(object)}` : `a column of ${qualifiedName(object)}`;
  agenda.addAll(object.onRead, scope, step(way, label));
}

function writes(agenda: Agenda, task: RelationTask, event: WriteEvent): void {
  const { object, scope, way } = task;
  const name = qualifiedName(object);
  if (event === 'insert' || event === 'update') {
    agenda.addAll(object.onWrite, scope, step(way, `a check or index of ${name}`));
    agenda.addAll(withoutNextval(agenda, object.defaults), scope, step(way, `a default of ${name}`));
  }
  for (const key of object.referencedBy) keyAction(agenda, task, key, event);
  let instead = false;
  for (const trigger of object.triggers) {
    if (!firesFor(trigger, event, task)) continue;
    instead ||= object.kind === 'v';
    agenda.looksAt('trigger', trigger);
    const inner = step(way, `trigger ${trigger.name} on ${name}`);
    agenda.addAll(trigger.when, scope, inner);
    const firing = {
      ...scope,
      firing: new Set([...(scope.firing ?? []), trigger.oid]),
      uncounted: scope.uncounted === true || trigger.before || object.kind === 'v',
    };
    agenda.addAll({ functions: [trigger.function], operators: [], types: [], relations: [] }, firing, inner);
  }
  for (const rule of object.rules) {
    if (rule.event !== event) continue;
    instead ||= rule.instead;
    visitRule(agenda, task, rule);
  }
  if (object.kind === 'v' && !instead) writesThrough(agenda, task, event);
}

/** True if the trigger fires for the event on the relation, as far as columns tell. */
export function firesFor(
  trigger: TriggerObject,
  event: WriteEvent,
  task: Pick<RelationTask, 'object' | 'assigns' | 'moves'>,
): boolean {
  if (!trigger.events.some((one) => fires(one, event, task))) return false;
  return !trigger.events.includes('update') || event !== 'update' || isAssigned(trigger.columns, task);
}

/** A row of a partitioned table that moves is deleted from one partition and inserted into another. */
function fires(on: WriteEvent, event: WriteEvent, task: Pick<RelationTask, 'moves'>): boolean {
  return on === event || (event === 'update' && task.moves === true && on !== 'truncate');
}

/** UPDATE OF a generated column fires when a column that it is computed of is assigned; which those are, is not known. */
function isAssigned(
  columns: readonly string[],
  { object, assigns }: Pick<RelationTask, 'object' | 'assigns'>,
): boolean {
  if (columns.length === 0 || assigns === undefined) return true;
  if (columns.some((column) => assigns.includes(column))) return true;
  return !isEmpty(object.onWrite) || !isEmpty(object.onRead);
}

function isEmpty(references: References): boolean {
  const { functions, operators, types, relations } = references;
  return functions.length + operators.length + types.length + relations.length === 0;
}

function keyAction(agenda: Agenda, task: RelationTask, key: ForeignKey, event: WriteEvent): void {
  const child = agenda.snapshot.relation(key.child);
  agenda.looksAt('foreign key', key);
  if (child === undefined) return;
  const updates = event === 'update' && mayChange(agenda, task, key.columns);
  const action = event === 'delete' ? key.onDelete : updates ? key.onUpdate : 'a';
  const access = actionOf(event, action);
  if (access === undefined) return;
  const inner = step(task.way, `foreign key ${key.name} of ${qualifiedName(child)}`);
  agenda.does(access, phrase(access, qualifiedName(child)), inner);
  agenda.add({ ...task, object: child, access, assigns: undefined, way: inner });
}

/** True if an update may give one of the columns another value: itself, by generating it, or by a trigger that does. */
function mayChange(agenda: Agenda, task: RelationTask, columns: readonly string[]): boolean {
  const { object, assigns } = task;
  if (assigns === undefined) return true;
  if (columns.some((column) => assigns.includes(column) || object.generated.includes(column))) return true;
  return object.triggers.some((trigger) => {
    if (!trigger.before || !firesFor(trigger, 'update', task)) return false;
    const fn = agenda.snapshot.function(trigger.function);
    // Those of known libraries change columns that nobody refers to; of others nothing is known, which is told elsewhere.
    if (fn?.language !== 'plpgsql') return false;
    const body = agenda.bodies.body(fn, agenda.snapshot);
    if (body === 'busy') agenda.waits();
    if (body === 'busy' || body.assignsNew === 'any') return true;
    return body.assignsNew.some((column) => columns.includes(column));
  });
}

/** pg_constraint.confdeltype and confupdtype. TRUNCATE of a table that others refer to is refused or goes on to them. */
function actionOf(event: WriteEvent, action: string): WriteEvent | undefined {
  if (event === 'truncate') return 'truncate';
  if (action === 'c') return event === 'delete' ? 'delete' : 'update';
  return action === 'n' || action === 'd' ? 'update' : undefined;
}

/** Effects that stand in the words around the actions of a rule, or are shown by what its names refer to. */
const ofTheText: ReadonlySet<Effect> = new Set(['create', 'read', 'function']);

function visitRule(agenda: Agenda, task: RelationTask, rule: RuleObject): void {
  const inner = step(task.way, `rule ${rule.name} on ${qualifiedName(task.object)}`);
  agenda.looksAt('rule', rule);
  agenda.addAll(rule.refers, task.scope, inner);
  const body = agenda.bodies.definition(`${rule.oid}:${rule.version}`, rule.definition);
  if (body === 'busy') agenda.waits();
  if (body === 'busy' || body.opaque !== undefined || body.parts.length === 0) {
    agenda.does('unknown', 'has actions that cannot be read', inner);
    return;
  }
  for (const { statement } of body.parts) {
    for (const effect of statement.effects) {
      if (ofTheText.has(effect)) continue;
      const access = accessOf[effect];
      const target = statement.relations.find((use) => use.access === access);
      const name = target && relationOf(agenda, target, rule);
      agenda.does(effect, phrase(effect, name && qualifiedName(name)), inner);
    }
    for (const use of statement.relations) {
      if (isWrite(use.access)) writesTo(agenda, task.scope, inner, use, rule, statement);
    }
  }
}

function isWrite(access: Access): access is WriteEvent {
  return access === 'insert' || access === 'update' || access === 'delete' || access === 'truncate';
}

/** The server resolved the names when it wrote the rule out: the relation is one that the rule refers to. */
function relationOf(
  agenda: Agenda,
  use: { schema: string | undefined; name: string },
  rule: RuleObject,
): RelationObject | undefined {
  const named = relationsMeant(agenda.snapshot, use, undefined);
  return named.find((relation) => rule.refers.relations.includes(relation.oid)) ?? named[0];
}

function writesTo(
  agenda: Agenda,
  scope: Scope,
  way: Way,
  use: Statement['relations'][number],
  rule: RuleObject,
  statement: Statement,
): void {
  const relation = relationOf(agenda, use, rule);
  if (relation === undefined) agenda.lacks(`writes to ${use.name}`, way);
  else {
    const assigns = use.access === 'update' ? statement.assigns : undefined;
    agenda.add({ kind: 'relation', object: relation, access: use.access, assigns, scope, way });
  }
}

/** An automatically updatable view writes to the table behind it; which one of several that is, does not matter. */
function writesThrough(agenda: Agenda, task: RelationTask, access: WriteEvent): void {
  const inner = step(task.way, `view ${qualifiedName(task.object)}`);
  for (const oid of task.object.onRead.relations) {
    const relation = agenda.snapshot.relation(oid);
    // Its columns may have other names than the table's.
    if (relation !== undefined && relation.oid !== task.object.oid)
      agenda.add({ ...task, object: relation, access, assigns: undefined, way: inner });
  }
}
