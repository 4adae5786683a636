// Draft: the facts of one statement while its tree is walked. Collects and freezes; decides nothing.

import { type Change, Changes } from './changes.ts';
import type {
  Access,
  Effect,
  FunctionUse,
  NameInSchema,
  NameUse,
  RelationUse,
  SettingUse,
  Statement,
} from './statement.ts';

export class Draft {
  readonly effects = new Set<Effect>();
  /** Those of the effects that functions, types and operators bring: planning may run them, so EXPLAIN keeps them. */
  readonly evaluated = new Set<Effect>();
  readonly #why = new Map<string, boolean>();
  readonly names: NameUse[] = [];
  readonly settings: SettingUse[] = [];
  secret = false;
  sweeping = false;
  /** As in Statement. */
  shows: string | undefined;
  /** Byte offsets of the statement in its text. */
  readonly start: number;
  readonly end: number;
  readonly #relations = new Map<string, RelationUse>();
  readonly #functions = new Map<string, FunctionUse>();
  readonly #types = new Map<string, NameInSchema>();
  readonly #operators = new Map<string, NameInSchema>();
  readonly #fields = new Set<string>();
  /** Why `unknown` is among the effects: a name of the session, or something nobody will explain later. */
  #unresolved = false;
  #notUnderstood = false;
  readonly #changes = new Changes();
  #counted = false;
  #since: number | undefined;

  constructor(start: number, end: number) {
    this.start = start;
    this.end = end;
  }

  /** Marks an EXECUTE or FETCH: `unknown` until the session says what its name stands for. */
  awaitsName(): void {
    this.evaluated.add('unknown');
    this.effects.add('unknown');
    this.#unresolved = true;
  }

  does(effect: Effect, why?: string): void {
    this.effects.add(effect);
    if (effect === 'unknown') this.#notUnderstood = true;
    if (why !== undefined && !this.#why.has(why)) this.#why.set(why, false);
  }

  /** An effect of evaluating an expression, whatever the statement around it does. */
  evaluates(effect: Effect, why?: string): void {
    this.evaluated.add(effect);
    this.effects.add(effect);
    if (effect === 'unknown') this.#notUnderstood = true;
    if (why !== undefined) this.#why.set(why, true);
  }

  get relations(): Iterable<RelationUse> {
    return this.#relations.values();
  }

  relation(schema: string | undefined, name: string, access: Access): void {
    this.#relations.set(JSON.stringify([schema, name, access]), { schema, name, access });
  }

  /** `args` as in FunctionUse. */
  function(schema: string | undefined, name: string, args?: number): void {
    this.#functions.set(
      JSON.stringify([schema, name, args]),
      args === undefined ? { schema, name } : { schema, name, args },
    );
  }

  type(schema: string | undefined, name: string): void {
    this.#types.set(JSON.stringify([schema, name]), { schema, name });
  }

  operator(schema: string | undefined, name: string): void {
    this.#operators.set(JSON.stringify([schema, name]), { schema, name });
  }

  field(name: string): void {
    this.#fields.add(name);
  }

  /** A node of this statement changes rows. `root`: it is the statement itself, whose rows the command tag counts. */
  changes(change: Change, root: boolean): void {
    this.#changes.add(change, root);
  }

  /** The statement is a SELECT that shows each row of a query in it that changes some. */
  countsRowsShown(): void {
    this.#counted = true;
  }

  /** Servers before this major version read the text as something else. */
  needs(since: number): void {
    this.#since = Math.max(since, this.#since ?? 0);
  }

  get since(): number | undefined {
    return this.#since;
  }

  /** What planning this statement, without running it, may do: EXPLAIN. Settings and cursors stay as they are. */
  planned(inner: Draft): void {
    for (const effect of inner.evaluated) {
      this.evaluated.add(effect);
      this.effects.add(effect);
    }
    for (const [why, evaluated] of inner.#why) if (evaluated) this.#why.set(why, true);
    for (const use of inner.#relations.values()) this.relation(use.schema, use.name, 'read');
    this.#takeNames(inner);
  }

  /** Everything that the inner statement does, as part of this one. */
  includes(inner: Draft): void {
    for (const effect of inner.effects) this.effects.add(effect);
    for (const effect of inner.evaluated) this.evaluated.add(effect);
    for (const [why, evaluated] of inner.#why) this.#why.set(why, evaluated);
    for (const [key, use] of inner.#relations) this.#relations.set(key, use);
    this.settings.push(...inner.settings);
    this.#changes.include(inner.#changes);
    this.#takeNames(inner);
  }

  #takeNames(inner: Draft): void {
    // EXPLAIN ANALYZE DECLARE runs the query and makes no cursor: what the session knows of the name must stay.
    this.names.push(...inner.names.filter((use) => use.kind === 'execute'));
    for (const [key, use] of inner.#functions) this.#functions.set(key, use);
    for (const [key, use] of inner.#types) this.#types.set(key, use);
    for (const [key, use] of inner.#operators) this.#operators.set(key, use);
    for (const field of inner.#fields) this.#fields.add(field);
    this.secret ||= inner.secret;
    this.sweeping ||= inner.sweeping;
    if (inner.#since !== undefined) this.needs(inner.#since);
    this.#unresolved ||= inner.#unresolved;
    this.#notUnderstood ||= inner.#notUnderstood;
  }

  finish(command: string): Statement {
    if (this.#counted) this.#changes.counted();
    return {
      command,
      // Nothing found means nothing understood.
      effects: this.effects.size === 0 ? ['unknown'] : [...this.effects].sort(),
      ...(this.#unresolved && !this.#notUnderstood ? { unresolved: true as const } : {}),
      relations: [...this.#relations.values()],
      functions: [...this.#functions.values()],
      types: [...this.#types.values()],
      operators: [...this.#operators.values()],
      fields: [...this.#fields],
      settings: this.settings,
      names: this.names,
      why: [...this.#why.keys()],
      ...this.#changes.facts(),
      ...(this.#since === undefined ? {} : { since: this.#since }),
      ...(this.sweeping ? { sweeping: true as const } : {}),
      ...(this.shows === undefined ? {} : { shows: this.shows }),
      secret: this.secret,
      start: this.start,
      end: this.end,
    };
  }
}
