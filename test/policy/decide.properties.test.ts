// The promises of decide.ts over generated rules and statements: each would be a bypass if it broke.

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { decide } from '../../src/policy/decide.ts';
import { type Policy, parsePolicy } from '../../src/policy/rules.ts';
import type { Actor, Verdict } from '../../src/policy/verdict.ts';
import type { Effect, Statement } from '../../src/sql/statement.ts';
import { named, statement } from './statements.ts';

interface Entry {
  name: string;
  action: string;
  effects?: Effect[] | undefined;
  relations?: string[] | undefined;
  overrides?: string[] | undefined;
}

/** A small vocabulary, so that generated rules and statements meet often. */
const passable: Effect[] = ['read', 'insert', 'delete', 'drop', 'function', 'os', 'replication'];
const vocabulary: Effect[] = [...passable, 'unknown', 'parser-setting'];

const relationNames = ['public.a', 'public.b', 'x.a', 'a', 'b'];
const accesses = ['read', 'insert', 'update', 'delete'] as const;
const subset = <T>(of: readonly T[], minLength = 1) => fc.subarray([...of], { minLength });
/** Mostly undefined: rules with every condition set would match nothing. */
const maybe = <T>(of: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: of });

const conditions = {
  commands: maybe(subset(['SELECT', 'DELETE', 'DROP *'])),
  relations: maybe(subset(['public.a', 'public.*', 'a', '*.b'])),
  functions: maybe(subset(['f', 'public.*'])),
  agents: maybe(subset(['claude', 'other*'])),
  environments: maybe(subset(['production', 'staging', 'development'])),
};
const passRule = fc.record({ action: fc.constant('pass'), effects: subset(passable, 4), ...conditions });
const strictRule = fc.record({
  action: fc.constantFrom('hold', 'deny'),
  effects: fc.subarray<Effect>([...passable, 'unknown'], { minLength: 1, maxLength: 2 }),
  ...conditions,
});
const rules = fc
  .array(fc.oneof(passRule, strictRule), { maxLength: 6 })
  .map((list): Entry[] => list.map((rule, index) => ({ ...rule, name: `r${index}` })))
  .chain((list) => {
    const holds = list.filter((rule) => rule.action === 'hold').map((rule) => rule.name);
    const overrides = list.map((rule) =>
      rule.action === 'pass' && holds.length > 0 ? maybe(subset(holds)) : fc.constant(undefined),
    );
    return fc
      .tuple(...overrides)
      .map((all) => list.map((rule, index) => ({ ...rule, overrides: all[index] })));
  });
const statements = fc.array(
  fc
    .record({
      command: fc.constantFrom('SELECT', 'DELETE', 'DROP TABLE'),
      effects: fc.subarray(vocabulary, { minLength: 1, maxLength: 3 }),
      relations: subset(relationNames, 0),
      functions: subset(['f', 'public.f', 'count'], 0),
      access: fc.constantFrom(...accesses),
    })
    .map(({ command, effects, relations, functions, access }) =>
      statement(command, effects, {
        relations: relations.map((name) => ({ ...named(name), access })),
        functions: functions.map(named),
      }),
    ),
  { minLength: 1, maxLength: 3 },
);
const actors: fc.Arbitrary<Actor> = fc.record({
  agent: fc.constantFrom('claude', 'other-1'),
  target: fc.constant('shop'),
  environment: fc.constantFrom('production', 'staging', 'development'),
});

function policy(entries: readonly Entry[], observe = false): Policy {
  // JSON is YAML, and drops the undefined keys.
  const text = JSON.stringify({ version: 1, observe, rules: entries });
  return parsePolicy({ file: 'generated.yaml', text }, () => {
    throw new Error('nothing is extended');
  });
}

const strictness = { pass: 0, hold: 1, deny: 2 } as const;
const strict = (verdict: Verdict) => strictness[verdict.action];

test('the order of rules never changes a verdict, nor its rule, reason or digest', () => {
  fc.assert(
    fc.property(rules, statements, actors, fc.infiniteStream(fc.nat()), (entries, of, actor, random) => {
      const keyed = entries.map((entry) => [random.next().value, entry] as const);
      const shuffled = keyed.sort(([a], [b]) => a - b).map(([, entry]) => entry);
      const [one, other] = [policy(entries), policy(shuffled)];
      expect(decide(other, of, actor)).toEqual(decide(one, of, actor));
      expect(other.digest).toBe(one.digest);
    }),
  );
});

test('adding a hold or a deny rule never makes a verdict laxer', () => {
  fc.assert(
    fc.property(rules, strictRule, statements, actors, (entries, added, of, actor) => {
      const before = decide(policy(entries), of, actor);
      const after = decide(policy([...entries, { ...added, name: 'added' }]), of, actor);
      expect(strict(after)).toBeGreaterThanOrEqual(strict(before));
    }),
  );
});

test('adding a statement to a text never makes its verdict laxer', () => {
  fc.assert(
    fc.property(rules, statements, statements, actors, (entries, of, more, actor) => {
      const compiled = policy(entries);
      const together = strict(decide(compiled, [...of, ...more], actor));
      expect(together).toBe(
        Math.max(strict(decide(compiled, of, actor)), strict(decide(compiled, more, actor))),
      );
    }),
  );
});

test('a pass comes from a rule that names every effect and covers every relation of the statement', () => {
  fc.assert(
    fc.property(rules, statements, actors, (entries, of, actor) => {
      const compiled = policy(entries);
      if (decide(compiled, of, actor).action !== 'pass') return;
      for (const one of of) {
        const { rule } = decide(compiled, [one], actor);
        const entry = entries.find((candidate) => candidate.name === rule)!;
        expect(entry.action).toBe('pass');
        for (const effect of one.effects) expect(entry.effects).toContain(effect);
        if (entry.relations !== undefined) expect(covered(entry.relations, one)).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});

test('adding an effect to a statement never makes its verdict laxer, whatever the overrides', () => {
  fc.assert(
    fc.property(rules, statements, fc.constantFrom(...vocabulary), actors, (entries, [of], effect, actor) => {
      const compiled = policy(entries);
      const more = { ...of!, effects: [...new Set([...of!.effects, effect])] };
      expect(strict(decide(compiled, [more], actor))).toBeGreaterThanOrEqual(
        strict(decide(compiled, [of!], actor)),
      );
    }),
  );
});

test('shadow mode tells exactly what the rules would have done, and passes all but what blinds it', () => {
  fc.assert(
    fc.property(rules, statements, actors, (entries, of, actor) => {
      const enforced = decide(policy(entries), of, actor);
      const observed = decide(policy(entries, true), of, actor);
      if (observed.action === 'pass') expect(observed.shadow ?? 'pass').toBe(enforced.action);
      else {
        expect([observed.action, enforced.action]).toEqual(['deny', 'deny']);
        const blinding = of.some(({ effects }) => effects.some((effect) => effect === 'parser-setting'));
        expect(blinding).toBe(true);
      }
    }),
  );
});

/** What `relations` of a pass rule must mean, written a second time and naively. */
function covered(patterns: readonly string[], of: Statement): boolean {
  const matching = (name: string) =>
    patterns.some((pattern) => {
      const [schema, rest] = pattern.includes('.') ? pattern.split('.') : ['*', pattern];
      const use = named(name);
      if (rest !== '*' && rest !== use.name) return false;
      return schema === '*' || schema === use.schema;
    });
  const names = of.relations.map(({ schema, name }) => (schema === undefined ? name : `${schema}.${name}`));
  return names.length > 0 && names.every(matching);
}
