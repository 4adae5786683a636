// The rules file as a shape: its keys, their types, and the sentence that explains each. rules/schema.json and the
// checks of rules.ts both come from here. Refuses to know YAML, files and line numbers. Reference: rules/README.md.

import { z } from 'zod';

import type { Effect } from '../sql/statement.ts';
import { namePattern, wordPattern } from './pattern.ts';

/** Every effect there is, in the order of the vocabulary. The type check below keeps it complete. */
export const effectNames = [
  'read',
  'insert',
  'update',
  'update-all',
  'delete',
  'truncate',
  'create',
  'alter',
  'drop',
  'grant',
  'temporary',
  'code',
  'function',
  'unproven',
  'sequence',
  'sequence-set',
  'lock-rows',
  'lock-table',
  'advisory-lock',
  'maintain',
  'rewrite',
  'large-object',
  'notify',
  'transaction',
  'two-phase',
  'setting',
  'custom-setting',
  'guard-setting',
  'parser-setting',
  'role',
  'sessions',
  'administer',
  'os',
  'remote',
  'replication',
  'unknown',
] as const satisfies readonly Effect[];

/** Fails to compile when an effect is added to the vocabulary and not to the list above. */
type Missing = Exclude<Effect, (typeof effectNames)[number]>;
const nothingMissing: Missing extends never ? true : Missing = true;
void nothingMissing;

/** Names that verdicts use where no rule of the file decided. A rule must not bear them. */
export const reservedNames = ['no-rule', 'empty', 'built-in', 'read-only-agent'] as const;

export const rulesPerFileMax = 500;
const entriesPerListMax = 1000;

/** Refines a string by a compiler that throws a plain sentence. */
function compiles(compile: (text: string) => unknown) {
  return (text: string, context: z.core.$RefinementCtx<string>): void => {
    try {
      compile(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
    }
  };
}

function listOf<T extends z.ZodType>(entry: T) {
  return z.array(entry).min(1).max(entriesPerListMax);
}

const names = listOf(z.string().superRefine(compiles(namePattern)));
const words = listOf(z.string().superRefine(compiles((text) => wordPattern(text, true))));

const approverName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$/;

/** What a hold asks for beyond what the target asks for. */
export const needSchema = z
  .strictObject({
    level: z
      .enum(['link', 'slack', 'key', 'passkey'])
      .optional()
      .describe('The least evidence, weakest first.'),
    quorum: z.int().min(1).max(20).optional().describe('How many different approvers.'),
    approvers: listOf(z.string().regex(approverName, 'must be the name of an approver'))
      .optional()
      .describe('Only these approvers count, of those that count for the target.'),
  })
  .describe('For hold rules: asks for more than the target does. It never asks for less.');

const rowsMaxLimit = 1_000_000;
const budgetRowsLimit = 1_000_000_000;

export const ruleSchema = z
  .strictObject({
    name: z
      .string()
      .regex(
        /^[a-z0-9]+(?:-[a-z0-9]+)*$/,
        'a rule name is lower-case words joined by hyphens, such as row-removal',
      )
      .max(60)
      .describe('Unique; appears in errors, on the approval page, in the log and in metrics.'),
    action: z.enum(['pass', 'hold', 'deny']).describe('What happens to a statement that the rule matches.'),
    reason: z
      .string()
      .min(1)
      .max(300)
      .optional()
      .describe('Why, in plain words, for the agent and the approver.'),
    effects: listOf(z.enum(effectNames))
      .optional()
      .describe(
        'pass: every effect of the statement is listed. hold, deny: one of them is. Required for pass.',
      ),
    commands: words
      .optional()
      .describe('Commands in the manual’s words, with wildcards: DROP TABLE, ALTER *.'),
    relations: names
      .optional()
      .describe(
        'Tables, views and sequences: public.orders, audit.*. pass: all that the statement uses match.',
      ),
    functions: names
      .optional()
      .describe(
        'pass: every function that is not a known builtin matches. hold, deny: any function matches.',
      ),
    settings: words.optional().describe('Setting names. pass: all that the statement changes match.'),
    agents: words.optional().describe('Agents, with wildcards.'),
    targets: words.optional().describe('Targets, with wildcards.'),
    environments: listOf(z.enum(['production', 'staging', 'development'])).optional(),
    approval: needSchema.optional(),
    readOnly: z
      .literal(true)
      .optional()
      .describe(
        'For pass rules: passes only within a READ ONLY transaction, where the server refuses writes.',
      ),
    rowsMax: z
      .int()
      .min(1)
      .max(rowsMaxLimit)
      .optional()
      .describe('For pass rules: a statement that changes more rows is undone and held.'),
    budget: z
      .strictObject({
        rows: z.int().min(1).max(budgetRowsLimit).describe('Rows in an hour, of each agent on each target.'),
      })
      .optional()
      .describe(
        'For pass rules: rows that may be changed by what the rule lets pass; then it no longer does.',
      ),
    overrides: listOf(z.string())
      .optional()
      .describe('For pass rules: the hold rules, by name, that do not apply to what this rule lets through.'),
  })
  .describe('One rule. All conditions that are given must hold.');

/** A rules file as written, checked key by key. What spans keys or files is checked by rules.ts. */
export const ruleFileSchema = z
  .strictObject({
    version: z.literal(1).describe('Of this format.'),
    extends: z
      .string()
      .min(1)
      .optional()
      .describe('A shipped pack by name, or a path relative to this file, whose rules apply too.'),
    observe: z
      .boolean()
      .optional()
      .describe('Shadow mode: everything passes, and the log says what would have been held or denied.'),
    rules: z
      .array(ruleSchema)
      .max(rulesPerFileMax)
      .describe('Their order does not matter: the strictest wins.'),
  })
  .meta({ title: 'Holdpoint rules' });

export type RuleFile = z.output<typeof ruleFileSchema>;
export type RuleEntry = z.output<typeof ruleSchema>;

/** The text of rules/schema.json. */
export function rulesSchemaText(): string {
  return `${JSON.stringify(z.toJSONSchema(ruleFileSchema), null, 2)}\n`;
}
