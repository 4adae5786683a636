// Closure: everything that one statement reaches, found by working off an agenda until nothing is left. Recursion ends
// because each object is visited once by certain ways and once by uncertain ones; certain ones go first. Decides what an
// effect counts for: what READ ONLY stops is only `unproven` on an uncertain way. Holds no memory of other statements.

import type { Access, Effect, FunctionUse, RelationUse, SettingUse } from '../sql/statement.ts';
import type { Agenda, Scope, Task } from './agenda.ts';
import { qualifiedName, step } from './agenda.ts';
import type { Bodies } from './bodies.ts';
import { visitStatement } from './meaning.ts';
import { doesBuiltin, labelOf, visitFunction, visitOperator, visitType } from './routines.ts';
import type { CatalogObject, FunctionObject, References, RelationObject, Snapshot } from './snapshot.ts';
import { visitRelation } from './tables.ts';
import { phrase, sentence, sentencesMax, type Way } from './words.ts';

/** What a READ ONLY transaction refuses to do, whatever code asks for it (measured on 15 and 18). */
const stoppable: ReadonlySet<Effect> = new Set([
  'insert',
  'update',
  'update-all',
  'delete',
  'truncate',
  'create',
  'alter',
  'drop',
  'grant',
  'sequence',
  'sequence-set',
  'lock-rows',
]);
const untold: ReadonlySet<Effect> = new Set(['setting', 'custom-setting', 'transaction']);
const losing: ReadonlySet<Effect> = new Set(['update', 'update-all', 'delete', 'truncate']);

/** Objects visited for one statement; what reaches more is not known. */
const visitsMax = 200_000;

/** What an access to any relation and values of a type reach, worked out once a snapshot: by that and path. */
export type Known = Map<string, Closure>;

export class Closure implements Agenda {
  readonly snapshot: Snapshot;
  readonly bodies: Bodies;
  readonly effects = new Set<Effect>();
  readonly why = new Set<string>();
  /** `kind:oid:version` of everything looked at. */
  readonly objects = new Set<string>();
  readonly relations = new Map<string, RelationUse>();
  readonly functions = new Map<string, FunctionUse>();
  readonly settings: SettingUse[] = [];
  /** Code may change or remove more rows than one for each that the statement itself changes. */
  changesRows = false;
  /** A name or an OID is not in the snapshot. */
  missing = false;
  /** Parsing the statement may run code that somebody wrote. */
  parsing = false;
  waiting = false;
  readonly #certain: Task[] = [];
  readonly #uncertain: Task[] = [];
  /** True where the way was certain. */
  readonly #visited = new Map<string, boolean>();

  readonly #known: Known;
  readonly #probing: boolean;
  #finished = false;
  /** It lacks what one that was still being worked out has found since. */
  #partial = false;

  /** `probing`: it is only asked what effects there are, not what parsing does. */
  constructor(snapshot: Snapshot, bodies: Bodies, known: Known, probing = false) {
    this.snapshot = snapshot;
    this.bodies = bodies;
    this.#known = known;
    this.#probing = probing;
  }

  /** Works the agenda off. */
  run(): void {
    for (let count = 0; ; count += 1) {
      const task = this.#certain.pop() ?? this.#uncertain.pop();
      if (task === undefined) return;
      if (count === visitsMax) {
        this.effects.add('unknown');
        this.why.add('reaches too many objects to be looked at');
        return;
      }
      const key = keyOf(task);
      // A certain visit may have come after an uncertain one was put on the agenda.
      if (!task.way.certain && key !== undefined && this.#visited.get(key) === true) continue;
      visit(this, task);
    }
  }

  add(task: Task): void {
    const key = keyOf(task);
    if (key !== undefined) {
      const seen = this.#visited.get(key);
      if (seen === true || seen === task.way.certain) return;
      this.#visited.set(key, task.way.certain);
    }
    if (this.#isHarmless(task)) return;
    (task.way.certain ? this.#certain : this.#uncertain).push(task);
  }

  addAll(references: References, scope: Scope, way: Way): void {
    for (const oid of references.functions) {
      const object = this.snapshot.function(oid);
      const builtin = object === undefined ? this.snapshot.builtin(oid) : undefined;
      if (object !== undefined) {
        this.add({ kind: 'function', object, scope, way: step(way, labelOf(this, object, true)) });
      } else if (builtin !== undefined) doesBuiltin(this, builtin.name, builtin.schema, way);
      else this.lacks(`calls the function ${oid}`, way);
    }
    for (const oid of references.operators) {
      const object = this.snapshot.operator(oid);
      if (object === undefined) this.lacks(`uses the operator ${oid}`, way);
      else this.add({ kind: 'operator', object, scope, way: step(way, `operator ${qualifiedName(object)}`) });
    }
    for (const oid of references.types) this.add({ kind: 'type', oid, checks: true, scope, way });
    for (const oid of references.relations) {
      const object = this.snapshot.relation(oid);
      if (object !== undefined) {
        this.add({ kind: 'relation', object, access: 'read', assigns: undefined, scope, way });
      }
    }
  }

  addAny(access: Access, scope: Scope, way: Way): void {
    const key = `${access} ${scope.path?.join('\0') ?? '*'}`;
    let any = this.#known.get(key);
    if (any === undefined) {
      any = new Closure(this.snapshot, this.bodies, this.#known);
      // Code that does the same again adds nothing to what is being found.
      this.#known.set(key, any);
      const alone = { ...scope, temporary: new Map(), shadowed: false, own: new Set<string>() };
      const from: Way = { certain: true, label: way.label, from: undefined };
      for (const object of this.snapshot.relations()) {
        if (!hidesCode(object, access)) continue;
        any.add({ kind: 'relation', object, access, assigns: undefined, scope: alone, way: from });
      }
      // Which of them have columns of these is a long question, and most types with code are of columns.
      const checks = access === 'insert' || access === 'update';
      for (const { oid } of this.snapshot.types())
        any.add({ kind: 'type', oid, checks, scope: alone, way: from });
      any.run();
      any.#finished = true;
      // What was found while another one was being worked out lacks what only that one finds.
      const partial = [...this.#known.values()].some((one) => !one.#finished);
      any.#partial ||= partial;
      if (any.waiting || partial) this.#known.delete(key);
    }
    this.#partial ||= !any.#finished || any.#partial;
    for (const effect of any.effects) this.does(effect, phrase(effect), way);
    this.waiting ||= any.waiting;
    this.missing ||= any.missing;
    // Whatever of it changes, this may mean something else.
    this.objects.add(`any ${access}:${this.snapshot.epoch}`);
  }

  does(effect: Effect, what: string, way: Way, single = false): void {
    if (losing.has(effect) && !single) this.changesRows = true;
    this.effects.add(!way.certain && stoppable.has(effect) ? 'unproven' : effect);
    if (!untold.has(effect) && this.why.size < sentencesMax) this.why.add(sentence(what, way));
  }

  lacks(what: string, way: Way): void {
    this.missing = true;
    this.does('unknown', `${what}, which is not known in this database`, way);
  }

  looksAt(kind: string, object: CatalogObject): void {
    this.objects.add(`${kind}:${object.oid}:${object.version}`);
  }

  uses({ schema, name }: RelationObject, access: Access): void {
    this.relations.set(JSON.stringify([schema, name, access]), { schema, name, access });
  }

  calls({ schema, name }: FunctionObject): void {
    this.functions.set(JSON.stringify([schema, name]), { schema, name });
  }

  readsLiterals(type: number, scope: Scope): void {
    if (this.parsing || this.#probing) return;
    const found = this.#ofType(type, scope);
    this.waiting ||= found.waiting;
    this.parsing = found.effects.size > 0;
  }

  sets(setting: SettingUse): void {
    this.settings.push(setting);
  }

  waits(): void {
    this.waiting = true;
  }

  /** What values of the type may run, worked out once a snapshot where no temporary relation is in the way. */
  #ofType(oid: number, scope: Scope): Closure {
    const key = `type ${oid} ${scope.path?.join('\0') ?? '*'}`;
    const before = isPlain(scope) ? this.#known.get(key) : undefined;
    if (before !== undefined) return before;
    const found = new Closure(this.snapshot, this.bodies, this.#known, true);
    const way: Way = { certain: true, label: '', from: undefined };
    found.add({ kind: 'type', oid, checks: true, scope, way });
    found.run();
    found.#finished = true;
    if (isPlain(scope) && !found.waiting && !found.#partial) this.#known.set(key, found);
    return found;
  }

  /** Of a type that is only at hand, and whose code is proven harmless, nothing is to be said. */
  #isHarmless(task: Task): boolean {
    if (task.kind !== 'type' || this.#probing || (task.checks && task.way.certain)) return false;
    if (!isPlain(task.scope)) return false;
    const { effects, waiting } = this.#ofType(task.oid, task.scope);
    return effects.size === 0 && !waiting;
  }
}

/** Code means the same in every session with that path. */
function isPlain(scope: Scope): boolean {
  return scope.temporary.size === 0 && !scope.shadowed;
}

function hidesCode(object: RelationObject, access: Access): boolean {
  if (access !== 'read') return object.triggers.length + object.rules.length + object.referencedBy.length > 0;
  const { policies, onPlan } = object;
  const hidden = [policies.functions, policies.operators, onPlan.functions, onPlan.operators];
  return object.kind === 'v' || object.kind === 'f' || hidden.some((oids) => oids.length > 0);
}

function visit(agenda: Agenda, task: Task): void {
  switch (task.kind) {
    case 'function':
      visitFunction(agenda, task);
      return;
    case 'operator':
      visitOperator(agenda, task);
      return;
    case 'type':
      visitType(agenda, task);
      return;
    case 'relation':
      visitRelation(agenda, task);
      return;
    case 'statement':
      visitStatement(agenda, task);
  }
}

/** Undefined for a statement: each is put on the agenda by the one function that it stands in. */
function keyOf(task: Task): string | undefined {
  const path = task.scope.path?.join('\0') ?? '*';
  switch (task.kind) {
    case 'function':
      return `f${task.object.oid}:${path}`;
    case 'operator':
      return `o${task.object.oid}:${path}`;
    case 'type':
      return `t${task.oid}:${task.checks}:${path}`;
    case 'relation':
      return `r${task.object.oid}:${task.access}:${task.moves ?? ''}:${task.assigns?.join('\0') ?? '*'}:${path}`;
    case 'statement':
      return undefined;
  }
}
