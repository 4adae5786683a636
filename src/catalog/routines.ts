// Routines: what calling a function, using an operator or making a value of a type runs. Functions in SQL and PL/pgSQL
// are read (bodies.ts); those of the server and of known libraries have known effects; all others are opaque. Whether a
// function is labelled IMMUTABLE or STABLE is not even looked at: it proves nothing.

import { effectsOfFunction, isBuiltinFunction } from '../sql/functions.ts';
import { effectOfSetting } from '../sql/settings.ts';
import type { Effect } from '../sql/statement.ts';
import type { Agenda, Scope, Task } from './agenda.ts';
import { qualifiedName, step } from './agenda.ts';
import type { Body } from './bodies.ts';
import { effectsOfSymbol, isHarmlessSymbol } from './libraries.ts';
import { functionsMeant, pathOf, relationsMeant, typesMeant } from './lookup.ts';
import type { FunctionObject, References } from './snapshot.ts';
import { firstUserOid, triggerType } from './snapshot.ts';
import { phrase, signature, type Way } from './words.ts';

/** A function in a way of the explanation; one that may not be meant is told apart by its parameters. */
export function labelOf(agenda: Agenda, object: FunctionObject, certain: boolean): string {
  const owner = object.definer ? ' (SECURITY DEFINER)' : '';
  const kind = object.kind === 'procedure' ? 'procedure' : 'function';
  const name = certain
    ? `${qualifiedName(object)}()`
    : signature(object.schema, object.name, object.argTypes, (oid) => agenda.snapshot.type(oid)?.name);
  return `${kind} ${name}${owner}`;
}

/**
 * The server's own functions that no statement calls: they stand beside code, and do no more than it. Of the others with the
 * effect `function` the arguments tell what runs, such as the type of array_in().
 */
const beside =
  /_support$|_?handler$|^(system|bernoulli|unique_key_recheck|suppress_redundant_updates_trigger)$|^tsvector_update_trigger|^RI_FKey_/;

/** What calling one of the server's own functions does, from a tree that names it by OID. */
export function doesBuiltin(agenda: Agenda, name: string, schema: string | undefined, way: Way): void {
  for (const effect of effectsOfFunction(schema, name)) {
    if (effect === 'read' || (effect === 'function' && beside.test(name))) continue;
    agenda.does(effect, `calls ${name}()`, way);
  }
  // Not stopped by READ ONLY before version 16.
  if (name === 'lo_unlink') agenda.does('large-object', `calls ${name}()`, way);
  // In a stored tree its arguments are not seen: it may set anything.
  if (name === 'set_config') {
    agenda.does('parser-setting', 'calls set_config()', way);
    agenda.does('role', 'calls set_config()', way);
  }
}

export function visitFunction(agenda: Agenda, task: Extract<Task, { kind: 'function' }>): void {
  const { object, scope, way } = task;
  agenda.looksAt('function', object);
  agenda.calls(object);
  agenda.addAll(object.parts, scope, way);
  for (const oid of [...object.argTypes, object.resultType]) {
    if (oid >= firstUserOid) agenda.add({ kind: 'type', oid, checks: true, scope, way });
  }
  for (const { type } of object.parameters) {
    if (type >= firstUserOid) agenda.add({ kind: 'type', oid: type, checks: false, scope, way });
  }
  if (object.kind === 'aggregate') return;
  if (object.language === 'sql' || object.language === 'plpgsql') visitCode(agenda, object, scope, way);
  else if (object.language === 'internal') {
    const symbol = object.body.trim();
    if (isBuiltinFunction(undefined, symbol)) doesBuiltin(agenda, symbol, undefined, way);
    else if (!isHarmlessSymbol(symbol)) isOpaque(agenda, object, 'is not known', way);
  } else if (object.language === 'c') {
    const { library, body } = object;
    const effects = effectsOfSymbol(library, body.trim());
    if (effects === undefined) isOpaque(agenda, object, 'is C of a library that is not known', way);
    for (const effect of effects ?? []) agenda.does(effect, phrase(effect), way);
  } else isOpaque(agenda, object, `is in a language that cannot be read (${object.language})`, way);
}

function isOpaque(agenda: Agenda, object: FunctionObject, reason: string, way: Way): void {
  const calls = `calls ${qualifiedName(object)}(), whose code ${reason}`;
  if (way.certain && way.from !== undefined) agenda.does('function', calls, way.from);
  else agenda.does('function', `has code that ${reason}`, way);
}

function visitCode(agenda: Agenda, object: FunctionObject, scope: Scope, way: Way): void {
  const settings = settingsOf(agenda, object, way);
  if (settings === undefined) {
    isOpaque(agenda, object, 'is read by another lexer than ours', way);
    return;
  }
  if (object.compiled !== undefined) {
    visitCompiled(agenda, object, object.compiled, { ...scope, path: settings.path ?? scope.path }, way);
    return;
  }
  const body = agenda.bodies.body(object, agenda.snapshot);
  if (body === 'busy') {
    agenda.waits();
    isOpaque(agenda, object, 'is too long to be read at once', way);
    return;
  }
  if (body.opaque !== undefined) isOpaque(agenda, object, body.opaque, way);
  const inner = scopeOf(body, settings.path, object, scope);
  for (const { statement, template, pinnedByRow } of body.parts) {
    agenda.add({ kind: 'statement', statement, template, pinnedByRow, scope: inner, way });
  }
  for (const name of body.types) {
    for (const { oid } of typesMeant(agenda.snapshot, name, inner.path)) {
      agenda.add({ kind: 'type', oid, checks: true, scope: inner, way });
    }
    for (const relation of relationsMeant(agenda.snapshot, name, inner.path)) {
      for (const oid of relation.types) agenda.add({ kind: 'type', oid, checks: true, scope: inner, way });
    }
  }
  for (const name of body.calls) {
    for (const callee of functionsMeant(agenda.snapshot, { schema: undefined, name }, inner.path)) {
      const label = labelOf(agenda, callee, false);
      agenda.add({ kind: 'function', object: callee, scope: inner, way: step(way, label, false) });
    }
    if (isBuiltinFunction(undefined, name)) doesBuiltin(agenda, name, undefined, way);
  }
}

/** The path is the function's own if it sets one, and any if its code changes it. */
function scopeOf(body: Body, path: Scope['path'], object: FunctionObject, outer: Scope): Scope {
  const changesPath = body.parts.some(({ statement }) =>
    statement.settings.some((setting) => setting.name === 'search_path'),
  );
  const made = body.parts.flatMap(({ statement }) =>
    statement.effects.includes('temporary')
      ? statement.relations.filter((use) => use.access === 'define').map((use) => use.name)
      : [],
  );
  return {
    ...outer,
    path: changesPath ? undefined : (path ?? outer.path),
    own: new Set(made),
    trigger: object.resultType === triggerType,
  };
}

/** A body of the form BEGIN ATOMIC names nothing: its tree tells what it runs, and to which relations it does what. */
function visitCompiled(
  agenda: Agenda,
  object: FunctionObject,
  refers: References,
  scope: Scope,
  way: Way,
): void {
  agenda.addAll(refers, scope, way);
  for (const access of object.compiledWrites ?? []) {
    for (const oid of refers.relations) {
      const relation = agenda.snapshot.relation(oid);
      if (relation === undefined) continue;
      agenda.does(access, phrase(access, qualifiedName(relation)), way);
      agenda.add({ kind: 'relation', object: relation, access, assigns: undefined, scope, way });
    }
  }
}

/** `SET` clauses of a function; undefined if one changes how its code is read. */
function settingsOf(agenda: Agenda, object: FunctionObject, way: Way): { path: Scope['path'] } | undefined {
  let path: Scope['path'];
  for (const setting of object.settings) {
    const at = setting.indexOf('=');
    const name = setting.slice(0, at).toLowerCase();
    const value = setting.slice(at + 1);
    if (name === 'search_path') {
      path = pathOf(value, agenda.snapshot);
      continue;
    }
    const effect: Effect = effectOfSetting(name, { kind: 'constant', text: value });
    if (effect === 'parser-setting') return undefined;
    if (effect === 'role' || effect === 'guard-setting') agenda.does(effect, `runs with ${setting}`, way);
  }
  return { path };
}

export function visitOperator(agenda: Agenda, task: Extract<Task, { kind: 'operator' }>): void {
  const { object, scope, way } = task;
  agenda.looksAt('operator', object);
  for (const oid of object.functions) {
    const fn = agenda.snapshot.function(oid);
    const builtin = agenda.snapshot.builtin(oid);
    if (fn !== undefined) {
      const inner = step(way, labelOf(agenda, fn, true));
      agenda.add({ kind: 'function', object: fn, scope, way: inner });
    } else if (builtin !== undefined) doesBuiltin(agenda, builtin.name, builtin.schema, way);
  }
}

/** The server's own, or C of a library that is known to do nothing. */
export function isOfKnownLibrary({ snapshot }: Agenda, oid: number): boolean {
  const fn = snapshot.function(oid);
  if (fn === undefined) return snapshot.builtin(oid) !== undefined;
  const { language, library, body } = fn;
  return language === 'c' && effectsOfSymbol(library, body.trim())?.length === 0;
}

/** Written by somebody: neither the server's own nor that of an extension, whose libraries are known. */
function isWritten({ snapshot }: Agenda, oid: number): boolean {
  const fn = snapshot.function(oid);
  return fn !== undefined && fn.extension === undefined;
}

/** Taking the next number is a part of INSERT for everybody; only the call in a text is an effect of its own. */
export function withoutNextval(agenda: Agenda, references: References): References {
  const functions = references.functions.filter((oid) => agenda.snapshot.builtin(oid)?.name !== 'nextval');
  return { ...references, functions };
}

function hasCode(agenda: Agenda, { functions, operators }: References): boolean {
  return (
    functions.some((oid) => isWritten(agenda, oid)) ||
    operators.some((oid) => agenda.snapshot.operator(oid)?.functions.some((one) => isWritten(agenda, one)))
  );
}

export function visitType(agenda: Agenda, task: Extract<Task, { kind: 'type' }>): void {
  const { oid, checks, scope, way } = task;
  const type = agenda.snapshot.type(oid);
  if (type === undefined) return;
  agenda.looksAt('type', type);
  const label = `type ${qualifiedName(type)}`;
  // Where there is a value of it, a literal or a NULL beside that may become another one, in an array or a row as well.
  if (hasCode(agenda, type.checks) || type.functions.some((one) => isWritten(agenda, one)))
    agenda.readsLiterals(oid, scope);
  agenda.addAll(type.checks, scope, step(way, label, checks));
  agenda.addAll(withoutNextval(agenda, type.defaults), scope, step(way, label, checks));
  // A domain of a domain is not made by reading one; the parts of an array or a row are made anew by what handles them.
  for (const part of type.parts) {
    agenda.add({ kind: 'type', oid: part, checks: checks || type.kind !== 'd', scope, way });
  }
  for (const over of agenda.snapshot.typesOver(oid)) {
    agenda.add({ kind: 'type', oid: over, checks: false, scope, way: step(way, label, false) });
  }
  for (const functionOid of type.functions) {
    const fn = agenda.snapshot.function(functionOid);
    if (fn === undefined) continue;
    // Which of its casts and support functions run cannot be told.
    const inner = step(way, labelOf(agenda, fn, false), false);
    agenda.add({ kind: 'function', object: fn, scope, way: inner });
  }
}
