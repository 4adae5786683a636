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
  rowsMax?: number | undefined;
  budget?: { rows: number } | undefined;
  readOnly?: true | undefined;
}

/** A small vocabulary, so that generated rules and statements meet often. */
const passable: Effect[] = ['read', 'insert', 'delete', 'drop', 'function', 'os', 'replication'];
const vocabulary: Effect[] = [...passable, 'transaction', 'unproven', 'unknown', 'parser-setting'];

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
/** Pass rules with bounds, over the effects that may have them. */
const countedRule = fc.record({
  action: fc.constant('pass'),
  effects: subset<Effect>(['read', 'insert', 'delete'], 2),
  rowsMax: fc.constantFrom(1, 10, 100),
  budget: maybe(fc.constant({ rows: 15 })),
  ...conditions,
});
const readOnlyRule = fc.record({
  action: fc.constant('pass'),
  effects: subset<Effect>(['read', 'unproven', 'function'], 2),
  readOnly: fc.constant(true as const),
  ...conditions,
});
const strictRule = fc.record({
  action: fc.constantFrom('hold', 'deny'),
  effects: fc.subarray<Effect>([...passable, 'unknown'], { minLength: 1, maxLength: 2 }),
  ...conditions,
});
const rules = fc
  .array(fc.oneof(passRule, countedRule, readOnlyRule, strictRule), { maxLength: 6 })
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
      rowsAtMost: maybe(fc.constantFrom(1, 10, 50)),
      uncounted: maybe(fc.constant(true as const)),
      tagged: fc.constantFrom(true as const, undefined),
    })
    .map(({ command, effects, relations, functions, access, ...rows }) =>
      statement(command, effects, {
        relations: relations.map((name) => ({ ...named(name), access })),
        functions: functions.map(named),
        ...rows,
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
/** Rows that a passing text may change. */
const bound = ({ enclosure }: Verdict) =>
  enclosure === undefined ? Infinity : enclosure.kind === 'rows' ? enclosure.rowsMax : 0;

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

test('adding a statement to a text never makes its verdict laxer, nor its bound wider', () => {
  fc.assert(
    fc.property(rules, statements, statements, actors, (entries, of, more, actor) => {
      const compiled = policy(entries);
      const verdicts = [of, more].map((part) => decide(compiled, part, actor));
      const together = decide(compiled, [...of, ...more], actor);
      expect(strict(together)).toBeGreaterThanOrEqual(Math.max(...verdicts.map(strict)));
      if (together.action === 'pass') {
        expect(bound(together)).toBeLessThanOrEqual(Math.min(...verdicts.map(bound)));
      }
      // Only an enclosure that cannot be put around the text makes it stricter than the strictest of its statements.
      const each = [...of, ...more].map((one) => decide(compiled, [one], actor));
      if (each.every(({ enclosure, budget }) => enclosure === undefined && budget === undefined)) {
        expect(strict(together)).toBe(Math.max(...each.map(strict)));
      }
    }),
    { numRuns: 300 },
  );
});

test('what may run code that is not proven passes within READ ONLY, or for an agent that is read-only', () => {
  fc.assert(
    fc.property(rules, statements, actors, fc.boolean(), (entries, of, actor, reader) => {
      const unproven = of.map((one) => ({
        ...one,
        effects: [...new Set<Effect>([...one.effects, 'unproven'])],
      }));
      const who: Actor = reader ? { ...actor, access: 'read-only' } : actor;
      const verdict = decide(policy(entries), unproven, who);
      if (verdict.action !== 'pass') return;
      if (reader) expect(verdict.enclosure?.kind).not.toBe('read-only');
      else expect([verdict.enclosure, unproven.length]).toEqual([{ kind: 'read-only' }, 1]);
    }),
    { numRuns: 500 },
  );
});

test('what passes unbounded would pass by the rules without bounds, or changes no more rows than a bound allows', () => {
  fc.assert(
    fc.property(rules, statements, actors, (entries, [of], actor) => {
      const verdict = decide(policy(entries), [of!], actor);
      if (verdict.action !== 'pass' || verdict.enclosure !== undefined) return;
      const unbounded = entries.filter(({ rowsMax, readOnly }) => rowsMax === undefined && readOnly !== true);
      const kept = unbounded.map((entry) => entry.name);
      const without = unbounded.map((entry) => ({
        ...entry,
        overrides: entry.overrides?.filter((name) => kept.includes(name)),
      }));
      if (decide(policy(without), [of!], actor).action === 'pass') return;
      const changes = of!.effects.some((effect) => effect === 'insert' || effect === 'delete');
      if (changes) expect(of!.uncounted).toBeUndefined();
      if (changes) expect(of!.rowsAtMost).toBeLessThanOrEqual(100);
    }),
    { numRuns: 500 },
  );
});

test('the more is spent, the stricter the verdict and the narrower the bound', () => {
  fc.assert(
    fc.property(rules, statements, actors, fc.nat(20), fc.nat(20), (entries, of, actor, spent, more) => {
      const compiled = policy(entries);
      const after = (rows: number) => decide(compiled, of, actor, { spending: { spent: () => rows } });
      const [before, then] = [after(spent), after(spent + more)];
      expect(strict(then)).toBeGreaterThanOrEqual(strict(before));
      if (then.action === 'pass') expect(bound(then)).toBeLessThanOrEqual(bound(before));
    }),
    { numRuns: 500 },
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
