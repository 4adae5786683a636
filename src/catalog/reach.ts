// Reach: a statement with the effects that its names hide, by one snapshot of its database. Adds what code behind views,
// functions, operators, types, triggers, rules, policies and foreign keys does, and takes away `function` where all of it
// is understood. Knows names and definitions; refuses to know data, privileges and what the planner makes of it.

import { createHash } from 'node:crypto';
import { isBuiltinFunction, isBuiltinType } from '../sql/functions.ts';
import type { Effect, FunctionUse, RelationUse, Statement } from '../sql/statement.ts';
import type { Scope } from './agenda.ts';
import { step } from './agenda.ts';
import type { Bodies } from './bodies.ts';
import { Closure, type Known } from './closure.ts';
import { Explanations } from './explanations.ts';
import { effectsByText, guessedSentences } from './guesses.ts';
import { pinsOneRow, rowsOfParts } from './keys.ts';
import { relationsMeant } from './lookup.ts';
import { follow } from './meaning.ts';
import type { NameContext, Reacher } from './names.ts';
import type { Snapshot } from './snapshot.ts';
import { firstUserOid } from './snapshot.ts';
import { confineToTemporary } from './temporaries.ts';
import type { Way } from './words.ts';

const noTypes: readonly number[] = [];
const unexplained = /, which is not a known builtin$/;
const root: Way = { certain: true, label: '', from: undefined };

/** Bodies may serve several snapshots one after another. A context must not be changed after it was passed. */
export class SnapshotReacher implements Reacher {
  readonly epoch: string;
  readonly #snapshot: Snapshot;
  readonly #bodies: Bodies;
  readonly #explanations = new Explanations();
  readonly #known: Known = new Map();
  /** A temporary type can stand in front of the server's own. */
  readonly #shadowsTypes: boolean;

  constructor(snapshot: Snapshot, bodies: Bodies) {
    this.epoch = snapshot.epoch;
    this.#snapshot = snapshot;
    this.#bodies = bodies;
    this.#shadowsTypes = [...snapshot.temporaryNames].some((name) => isBuiltinType(undefined, name));
  }

  get searchPath(): readonly string[] {
    return this.#snapshot.searchPath;
  }

  explain(statement: Statement, context: NameContext, parameterTypes: readonly number[]): Statement {
    const userTypes = parameterTypes.some((oid) => oid >= firstUserOid || isFloat(oid))
      ? parameterTypes
      : noTypes;
    const known = this.#explanations.find(statement, context, userTypes);
    if (known !== undefined) return known;
    const { explained, waiting } = this.#explain(statement, context, userTypes);
    if (!waiting) this.#explanations.keep(statement, context, userTypes, explained);
    return explained;
  }

  #explain(
    statement: Statement,
    context: NameContext,
    types: readonly number[],
  ): { explained: Statement; waiting: boolean } {
    const closure = new Closure(this.#snapshot, this.#bodies, this.#known);
    const scope: Scope = { ...context, own: new Set(), trigger: false };
    const effects = new Set(effectsByText(statement));
    confineToTemporary(effects, statement, context, this.#snapshot);
    if (statement.since !== undefined && statement.since > this.#snapshot.serverVersion) {
      const versions = `needs PostgreSQL ${statement.since}, and the server is ${this.#snapshot.serverVersion}`;
      closure.does('unknown', `${versions}: it may read it otherwise`, root);
    }
    follow(closure, { kind: 'statement', statement, template: false, scope, way: root }, types);
    if (evaluates(effects))
      closure.addAll(this.#snapshot.everywhere, scope, step(root, 'a cast or index', false));
    if (defines(effects)) closure.addAll(this.#snapshot.onDefine, scope, step(root, 'an event trigger'));
    if (context.changed) this.#changed(statement, closure);
    if (context.shadowed && this.#shadowsTypes) {
      closure.does('unproven', 'may use a temporary type in place of one of the server', root);
    }
    closure.run();
    // What is looked up behind a function that sets the path is looked up in another.
    if (context.path !== undefined && movesPath(statement, closure))
      return this.#explain(statement, { ...context, path: undefined }, types);
    for (const { kind, inner } of statement.names) {
      if (kind === 'prepare' && inner !== undefined) this.#parses(inner, context, closure);
    }
    return { explained: this.#compose(statement, closure, effects, scope, types), waiting: closure.waiting };
  }

  /** The session itself has changed definitions: the snapshot says nothing of its names. */
  #changed(statement: Statement, closure: Closure): void {
    const names = [
      ...statement.relations.filter((use) => !this.#isServers(use)).map((use) => use.name),
      ...statement.functions.filter((use) => !isBuiltinFunction(use.schema, use.name)).map((use) => use.name),
      ...statement.types.map((use) => use.name),
    ];
    if (names.length > 0) {
      closure.does('unknown', `names ${names[0]}, and this session has changed definitions`, root);
    } else if (statement.functions.some((use) => use.schema !== 'pg_catalog')) {
      closure.does('unproven', 'calls functions, and this session has changed definitions', root);
    }
  }

  #isServers(use: RelationUse): boolean {
    const found = relationsMeant(this.#snapshot, use, ['pg_catalog']);
    const hidden = use.schema === undefined && !use.name.startsWith('pg_');
    return !hidden && found.length > 0 && found.every((relation) => relation.oid < firstUserOid);
  }

  /** PREPARE parses its statement, and that alone may do what the statement does. */
  #parses(inner: Statement, context: NameContext, closure: Closure): void {
    const { explained, waiting } = this.#explain(inner, context, noTypes);
    closure.waiting ||= waiting;
    if (explained.parsing !== true) return;
    for (const effect of explained.effects) closure.effects.add(effect);
    for (const why of explained.why) closure.why.add(why);
  }

  #compose(
    statement: Statement,
    closure: Closure,
    effects: Set<Effect>,
    scope: Scope,
    types: readonly number[],
  ): Statement {
    for (const effect of closure.effects) effects.add(effect);
    if (effects.size === 0) effects.add('read');
    const sameEffects =
      effects.size === statement.effects.length && statement.effects.every((one) => effects.has(one));
    const nothingFound = closure.objects.size === 0 && closure.why.size === 0;
    if (sameEffects && nothingFound && statement.sweeping !== true) return statement;
    const guesses = guessedSentences(statement);
    const stays = effectsByText(statement).includes('function');
    const kept = statement.why.filter((why) => (stays || !unexplained.test(why)) && !guesses.has(why));
    // The session takes what is defined beside a temporary effect for the temporary relation.
    const hidden = new Map([...closure.relations].filter(([, use]) => use.access !== 'define'));
    const rowsAtMost = rowsOf(this.#snapshot, statement, scope, types);
    const { unresolved, rowsAtMost: _, ...facts } = statement;
    return {
      ...facts,
      // Explaining its names would no longer explain it all.
      ...(unresolved === undefined || closure.effects.has('unknown') ? {} : { unresolved }),
      ...(closure.missing ? { missing: true as const } : {}),
      effects: [...effects].sort(),
      relations: joined(statement.relations, hidden),
      functions: joined(statement.functions, closure.functions),
      settings:
        closure.settings.length === 0 ? statement.settings : [...statement.settings, ...closure.settings],
      why: [...new Set([...kept, ...closure.why])],
      identity: identityOf(closure.objects, statement.sweeping === true ? this.epoch : ''),
      ...(closure.parsing ? { parsing: true as const } : {}),
      ...(closure.changesRows ? { uncounted: true as const } : {}),
      ...(rowsAtMost === undefined ? {} : { rowsAtMost }),
    };
  }
}

/** Rows that the statement can change at most: by the keys that it pins, or by its text. */
function rowsOf(
  snapshot: Snapshot,
  statement: Statement,
  scope: Scope,
  types: readonly number[],
): number | undefined {
  const exact = !types.some(isFloat);
  if (exact && pinsOneRow(snapshot, statement, scope)) return 1;
  if (mayMakeRows(snapshot, statement)) return undefined;
  return (exact ? rowsOfParts(snapshot, statement, scope) : undefined) ?? statement.rowsAtMost;
}

/** True if a name in it may stand for a function of a user that returns a set: VALUES makes more rows then. */
function mayMakeRows(snapshot: Snapshot, { functions, operators }: Statement): boolean {
  const returnsSet = (oid: number) => snapshot.function(oid)?.returnsSet === true;
  return (
    functions.some(({ name }) => snapshot.functionsNamed(name).some((fn) => fn.returnsSet)) ||
    operators.some(({ name }) => snapshot.operatorsNamed(name).some((one) => one.functions.some(returnsSet)))
  );
}

/** True if names may be looked up behind a change of search_path within the statement. */
function movesPath({ settings, functions, command }: Statement, closure: Closure): boolean {
  const isPath = ({ name }: { readonly name: string }) => name === 'search_path';
  return (
    closure.settings.some(isPath) || (command !== 'SET' && functions.length > 0 && settings.some(isPath))
  );
}

/** A bigint compared with a float is compared as a float: several may be equal to one. */
function isFloat(oid: number): boolean {
  return oid === 700 || oid === 701;
}

const evaluating: readonly Effect[] = [
  'read',
  'insert',
  'update',
  'update-all',
  'delete',
  'code',
  'maintain',
  'create',
];

function evaluates(effects: ReadonlySet<Effect>): boolean {
  return evaluating.some((effect) => effects.has(effect));
}

function defines(effects: ReadonlySet<Effect>): boolean {
  return (['create', 'alter', 'drop', 'grant', 'temporary'] as const).some((effect) => effects.has(effect));
}

function joined<T extends RelationUse | FunctionUse>(
  own: readonly T[],
  hidden: ReadonlyMap<string, T>,
): readonly T[] {
  if (hidden.size === 0) return own;
  const keyOf = (use: T) => JSON.stringify([use.schema, use.name, 'access' in use ? use.access : '']);
  const present = new Set(own.map((use) => keyOf(use)));
  // A name without a schema in the text stands for every schema already.
  const isNew = (use: T) => !present.has(keyOf(use)) && !present.has(keyOf({ ...use, schema: undefined }));
  return [...own, ...[...hidden.values()].filter(isNew)];
}

/** `epoch`: set for what reaches objects that nobody has listed; then anything at all may be one of them. */
function identityOf(objects: ReadonlySet<string>, epoch: string): string | undefined {
  if (objects.size === 0 && epoch === '') return undefined;
  return createHash('sha256')
    .update([epoch, ...[...objects].sort()].join('\n'))
    .digest('base64url');
}
