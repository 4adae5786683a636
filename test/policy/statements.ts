// Hand-made Statements and policies for the policy tests: facts without a parser.

import { type Policy, parsePolicy } from '../../src/policy/rules.ts';
import type { Actor } from '../../src/policy/verdict.ts';
import type { Access, Effect, Statement } from '../../src/sql/statement.ts';

export const claude: Actor = { agent: 'claude', target: 'shop', environment: 'production' };

/** `relation('public.orders', 'delete')`; a name without a dot has no schema. */
export function relation(name: string, access: Access) {
  return { ...named(name), access };
}

export function named(name: string): { schema: string | undefined; name: string } {
  const [schema, rest] = name.includes('.') ? name.split('.', 2) : [undefined, name];
  return { schema, name: rest! };
}

export function statement(command: string, effects: Effect[], facts: Partial<Statement> = {}): Statement {
  return {
    command,
    effects,
    relations: [],
    functions: [],
    types: [],
    operators: [],
    fields: [],
    settings: [],
    names: [],
    why: [],
    secret: false,
    start: 0,
    end: command.length,
    ...facts,
  };
}

/** A policy of one file that extends nothing. `rules` is the YAML below `rules:`, indented by two spaces or more. */
export function policyOf(rules: string, top = ''): Policy {
  return parsePolicy({ file: 'test.yaml', text: `version: 1\n${top}rules:\n${rules}` }, () => {
    throw new Error('nothing is extended here');
  });
}
