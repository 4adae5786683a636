// Guesses: effects that a text alone has to assume of a name that is no builtin: `function`, and what the names of
// well-known extensions suggest. A snapshot knows better. Knows statements; refuses to know what the names stand for.

import { effectsOfFunction, isBuiltinFunction } from '../sql/functions.ts';
import type { Effect, NameInSchema, Statement } from '../sql/statement.ts';

/** The sentence that the text alone gives for an effect that a name suggests; see sql/expressions.ts. */
export function guessedSentences(statement: Statement): ReadonlySet<string> {
  const guesses = statement.functions.filter(({ schema, name }) => !isBuiltinFunction(schema, name));
  return new Set(
    guesses.flatMap((use) =>
      byPattern.map((effect) => `calls ${spell(use)}(), which has the effect ${effect}`),
    ),
  );
}

const onlyByCalls = /^(SELECT|VALUES|INSERT|UPDATE|DELETE|MERGE)$/;
const byPattern: readonly Effect[] = ['remote', 'os', 'code', 'administer'];

/**
 * The effects without those that rest on nothing but an unknown name: `function`, and what the names of well-known
 * extensions suggest. The snapshot says what such a name stands for.
 */
export function effectsByText(statement: Statement): readonly Effect[] {
  const certain = new Set<Effect>();
  const suggested = new Set<Effect>();
  for (const { schema, name } of statement.functions) {
    const into = isBuiltinFunction(schema, name) ? certain : suggested;
    for (const effect of effectsOfFunction(schema, name)) into.add(effect);
  }
  return statement.effects.filter((effect) => {
    if (effect === 'function') return certain.has(effect);
    const guessed = byPattern.includes(effect) && suggested.has(effect) && !certain.has(effect);
    return !(guessed && onlyByCalls.test(statement.command));
  });
}

/** As in sentences of sql/: with the schema if the text gives one. */
export function spell({ schema, name }: NameInSchema): string {
  return schema === undefined ? name : `${schema}.${name}`;
}
