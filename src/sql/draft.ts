// Draft: the facts of one statement while its tree is walked. Collects and freezes; decides nothing.

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
  readonly why = new Set<string>();
  readonly names: NameUse[] = [];
  readonly settings: SettingUse[] = [];
  secret = false;
  /** Byte offsets of the statement in its text. */
  readonly start: number;
  readonly end: number;
  readonly #relations = new Map<string, RelationUse>();
  readonly #functions = new Map<string, FunctionUse>();
  readonly #types = new Map<string, NameInSchema>();
  readonly #operators = new Map<string, NameInSchema>();
  readonly #fields = new Set<string>();

  constructor(start: number, end: number) {
    this.start = start;
    this.end = end;
  }

  does(effect: Effect, why?: string): void {
    this.effects.add(effect);
    if (why !== undefined) this.why.add(why);
  }

  /** An effect of evaluating an expression, whatever the statement around it does. */
  evaluates(effect: Effect, why?: string): void {
    this.evaluated.add(effect);
    this.does(effect, why);
  }

  relation(schema: string | undefined, name: string, access: Access): void {
    this.#relations.set(JSON.stringify([schema, name, access]), { schema, name, access });
  }

  function(schema: string | undefined, name: string): void {
    this.#functions.set(JSON.stringify([schema, name]), { schema, name });
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

  /** What planning this statement, without running it, may do: EXPLAIN. */
  planned(inner: Draft): void {
    for (const effect of inner.evaluated) this.evaluates(effect);
    this.#take(inner);
    for (const use of inner.#relations.values()) this.relation(use.schema, use.name, 'read');
  }

  /** Everything that the inner statement does, as part of this one. */
  includes(inner: Draft): void {
    for (const effect of inner.effects) this.effects.add(effect);
    for (const effect of inner.evaluated) this.evaluated.add(effect);
    this.#take(inner);
    for (const [key, use] of inner.#relations) this.#relations.set(key, use);
  }

  #take(inner: Draft): void {
    for (const why of inner.why) this.why.add(why);
    for (const [key, use] of inner.#functions) this.#functions.set(key, use);
    for (const [key, use] of inner.#types) this.#types.set(key, use);
    for (const [key, use] of inner.#operators) this.#operators.set(key, use);
    for (const field of inner.#fields) this.#fields.add(field);
    this.names.push(...inner.names);
    this.settings.push(...inner.settings);
    this.secret ||= inner.secret;
  }

  finish(command: string): Statement {
    return {
      command,
      // Nothing found means nothing understood.
      effects: this.effects.size === 0 ? ['unknown'] : [...this.effects].sort(),
      relations: [...this.#relations.values()],
      functions: [...this.#functions.values()],
      types: [...this.#types.values()],
      operators: [...this.#operators.values()],
      fields: [...this.#fields],
      settings: this.settings,
      names: this.names,
      why: [...this.why],
      secret: this.secret,
      start: this.start,
      end: this.end,
    };
  }
}
