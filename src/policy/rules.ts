// A rules file -> Policy: the rules of a target, compiled and checked, with a digest that names them in requests and
// in the log. Parses text; refuses to know where files lie (packs.ts reads them) and what a statement is worth
// (decide.ts). Format: rules/README.md. Every error names file, line, rule and the nearest known word.

import { createHash } from 'node:crypto';

import { HoldpointError } from '../errors.ts';
import type { Effect } from '../sql/statement.ts';
import { countedEffects } from './counting.ts';
import { type RuleEntry, reservedNames } from './format.ts';
import { didYouMean } from './nearest.ts';
import { type NamePattern, namePattern, wordPattern } from './pattern.ts';
import { type Problem, type ReadFile, readRuleFile } from './source.ts';
import type { Action, Environment, Need } from './verdict.ts';

/** One compiled rule. An undefined condition is not asked; all others must hold (see decide.ts for how). */
export interface Rule {
  readonly name: string;
  readonly action: Action;
  readonly reason: string | undefined;
  readonly effects: ReadonlySet<Effect> | undefined;
  readonly commands: readonly RegExp[] | undefined;
  readonly relations: readonly NamePattern[] | undefined;
  readonly functions: readonly NamePattern[] | undefined;
  readonly settings: readonly RegExp[] | undefined;
  readonly agents: readonly RegExp[] | undefined;
  readonly targets: readonly RegExp[] | undefined;
  readonly environments: ReadonlySet<Environment> | undefined;
  readonly need: Need | undefined;
  /** Passes only within a READ ONLY transaction at the server. */
  readonly readOnly: boolean;
  /** Rows that one statement may change. */
  readonly rowsMax: number | undefined;
  /** Rows that an agent may change on a target in an hour by what this rule lets pass. */
  readonly budgetRows: number | undefined;
  /** Names of the hold rules that do not apply to what this pass rule covers. */
  readonly overrides: ReadonlySet<string>;
  /** Where it stands, for people: the file as it was named and the 1-based line. */
  readonly file: string;
  readonly line: number;
}

/** All rules that apply to a target. Immutable; sorted by name, so that the order in the file cannot matter. */
export interface Policy {
  /** The file as it was named, for people. */
  readonly name: string;
  /** Shadow mode: see decide.ts. */
  readonly observe: boolean;
  readonly rules: readonly Rule[];
  /** base64url(SHA-256) of the canonical rules. Comments, order, names of files and layout do not change it. */
  readonly digest: string;
}

/** The text of a rules file and the name by which people know it. */
export interface RuleSource {
  readonly file: string;
  readonly text: string;
}

/** Finds the file that `extends: name` in `from` means. Throws HoldpointError('bad-config') if there is none. */
export type Resolve = (name: string, from: RuleSource) => RuleSource;

const extendsDepthMax = 5;

/**
 * Compiles a rules file together with what it extends. Throws HoldpointError('bad-config'): the message is the first
 * problem as `file:line: …`, the detail lists the others, one a line.
 */
export function parsePolicy(source: RuleSource, resolve: Resolve): Policy {
  const files = readChain(source, resolve);
  const problems = files.flatMap((file) => file.problems);
  // What is extended comes first, so that the blame for an equal name falls on the file that a person is writing.
  const rules = files
    .toReversed()
    .flatMap((file) => file.entries.map(({ entry, at }) => ({ entry, ...at, file: file.name })));
  problems.push(...rules.flatMap((rule) => ruleProblems(rule.entry).map((text) => located(rule, text))));
  problems.push(...crossProblems(rules));
  if (problems.length > 0) throw badRules(problems);

  const observe = files.find((file) => file.observe !== undefined)?.observe ?? false;
  const compiled = rules.map(({ entry, file, line }) => compileRule(entry, file, line));
  compiled.sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    name: source.file,
    observe,
    rules: compiled,
    digest: digestOf(
      observe,
      rules.map((rule) => rule.entry),
    ),
  };
}

type Placed = { entry: RuleEntry; file: string; line: number };

/** The file, then what it extends, then what that extends. */
function readChain(source: RuleSource, resolve: Resolve): ReadFile[] {
  const files: ReadFile[] = [];
  for (let next: RuleSource | undefined = source; next !== undefined; ) {
    const file = readRuleFile(next.text, next.file);
    files.push(file);
    // A file with a broken shape may have a broken `extends` as well; its own problems come first.
    if (file.problems.length > 0 || file.extends === undefined) return files;
    if (files.length >= extendsDepthMax) {
      const text = `extends goes through more than ${extendsDepthMax} files; check for a circle, or join some of them`;
      throw badRules([{ file: next.file, line: file.extends.line, text }]);
    }
    next = resolved(next, file.extends, resolve);
  }
  return files;
}

function resolved(from: RuleSource, wanted: { name: string; line: number }, resolve: Resolve): RuleSource {
  try {
    return resolve(wanted.name, from);
  } catch (error) {
    if (!(error instanceof HoldpointError)) throw error;
    throw badRules([{ file: from.file, line: wanted.line, text: `extends: ${error.message}` }]);
  }
}

/** What the shape cannot say about one rule: which keys and effects go with which action. */
function ruleProblems(entry: RuleEntry): string[] {
  const problems: string[] = [];
  if ((reservedNames as readonly string[]).includes(entry.name)) {
    problems.push(`the name is used for verdicts that no rule makes; choose another`);
  }
  if (entry.action === 'pass') {
    if (entry.effects === undefined) {
      problems.push('a pass rule must list the effects it lets through; add effects: […]');
    }
    if (entry.approval !== undefined)
      problems.push('only a hold rule may have approval: what passes needs none');
  }
  if (entry.action !== 'pass' && entry.overrides !== undefined) {
    problems.push('only a pass rule may have overrides: it says which hold rules give way to it');
  }
  if (entry.action === 'deny' && entry.approval !== undefined) {
    problems.push('a deny rule cannot be approved; drop approval, or make the action hold');
  }
  if (entry.action !== 'pass') problems.push(...enclosureKeysOf(entry).map(onlyForPass));
  else problems.push(...enclosureProblems(entry));
  if (entry.action === 'pass' && entry.effects?.includes('unknown')) {
    problems.push('effect "unknown" cannot pass: what is not understood is held; remove it from effects');
  }
  if (entry.action !== 'deny' && entry.effects?.includes('parser-setting')) {
    problems.push(
      'effect "parser-setting" can only be denied: behind it, no later statement could be judged',
    );
  }
  return problems;
}

/** What a statement may do where the server lets nothing be written, and what it does there is worth something. */
const readOnlyEffects: readonly Effect[] = [
  'read',
  'unproven',
  'function',
  'setting',
  'custom-setting',
  'advisory-lock',
  'notify',
];

function enclosureKeysOf({ readOnly, rowsMax, budget }: RuleEntry): string[] {
  return Object.entries({ readOnly, rowsMax, budget }).flatMap(([key, value]) =>
    value === undefined ? [] : [key],
  );
}

function onlyForPass(key: string): string {
  return `only a pass rule may have ${key}: it bounds what the rule lets through; remove it`;
}

/** What is wrong with the bounds of a pass rule. */
function enclosureProblems(entry: RuleEntry): string[] {
  const problems: string[] = [];
  const counting = enclosureKeysOf(entry).filter((key) => key !== 'readOnly');
  const effects = entry.effects ?? [];
  if (entry.readOnly === true) {
    if (counting.length > 0) {
      problems.push(
        `readOnly lets no row be changed, so ${counting.join(' and ')} would count none; remove it`,
      );
    }
    for (const effect of effects.filter((each) => !readOnlyEffects.includes(each))) {
      problems.push(
        `effect "${effect}" makes no sense with readOnly: the server refuses it there, or a READ ONLY transaction does not stop it; remove it from effects`,
      );
    }
  } else if (effects.includes('unproven')) {
    problems.push('effect "unproven" passes only where the server refuses writes; add readOnly: true');
  }
  if (counting.length === 0 || entry.readOnly === true) return problems;
  for (const effect of effects.filter((each) => !countedEffects.includes(each))) {
    problems.push(
      `effect "${effect}" cannot go with ${counting.join(' and ')}: the server does not tell how many rows it changes; remove it from effects`,
    );
  }
  return problems;
}

/** What no rule can say by itself: equal names, and overrides of rules that are not there or not hold rules. */
function crossProblems(rules: readonly Placed[]): Problem[] {
  const problems: Problem[] = [];
  const first = new Map<string, Placed>();
  for (const rule of rules) {
    const earlier = first.get(rule.entry.name);
    if (earlier === undefined) first.set(rule.entry.name, rule);
    else
      problems.push(located(rule, `the name is already used at ${earlier.file}:${earlier.line}; rename one`));
  }
  const holds = [...first.values()]
    .filter((rule) => rule.entry.action === 'hold')
    .map((rule) => rule.entry.name);
  for (const rule of rules) {
    for (const name of rule.entry.overrides ?? []) {
      const other = first.get(name);
      if (other === undefined) {
        problems.push(
          located(rule, `overrides names "${name}", and no rule has that name${didYouMean(name, holds)}`),
        );
      } else if (other.entry.action !== 'hold') {
        problems.push(
          located(rule, `overrides names "${name}", a ${other.entry.action} rule; only hold rules give way`),
        );
      }
    }
  }
  return problems;
}

function located(rule: Placed, text: string): Problem {
  return { file: rule.file, line: rule.line, text: `rule "${rule.entry.name}": ${text}` };
}

function badRules(problems: readonly Problem[]): HoldpointError {
  const [first, ...others] = problems.map((problem) => `${problem.file}:${problem.line}: ${problem.text}`);
  return new HoldpointError('bad-config', first!, others.length === 0 ? {} : { detail: others.join('\n') });
}

function compileRule(entry: RuleEntry, file: string, line: number): Rule {
  const words = (list: readonly string[] | undefined, fold: boolean) =>
    list?.map((text) => wordPattern(text, fold));
  return {
    name: entry.name,
    action: entry.action,
    reason: entry.reason,
    effects: entry.effects && new Set(entry.effects),
    commands: words(entry.commands, true),
    relations: entry.relations?.map(namePattern),
    functions: entry.functions?.map(namePattern),
    settings: words(entry.settings, true),
    agents: words(entry.agents, false),
    targets: words(entry.targets, false),
    environments: entry.environments && new Set(entry.environments),
    need: entry.approval && needOf(entry.approval),
    readOnly: entry.readOnly === true,
    rowsMax: entry.rowsMax,
    budgetRows: entry.budget?.rows,
    overrides: new Set(entry.overrides),
    file,
    line,
  };
}

function needOf({ level, quorum, approvers }: NonNullable<RuleEntry['approval']>): Need {
  return {
    ...(level !== undefined && { level }),
    ...(quorum !== undefined && { quorum }),
    ...(approvers !== undefined && { of: [...new Set(approvers)].sort() }),
  };
}

/** Rules sorted by name, keys and lists sorted, so that only what can change a verdict or its words changes it. */
function digestOf(observe: boolean, entries: readonly RuleEntry[]): string {
  const canonical = entries.map((entry) => {
    const pairs = Object.entries(entry).filter(([, value]) => value !== undefined);
    return Object.fromEntries(
      pairs
        .map(
          ([key, value]) => [key, Array.isArray(value) ? [...new Set<string>(value)].sort() : value] as const,
        )
        .map(([key, value]) => [key, key === 'approval' ? needOf(entry.approval!) : value] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  });
  canonical.sort((a, b) => (String(a.name) < String(b.name) ? -1 : 1));
  const text = JSON.stringify({ version: 1, observe, rules: canonical });
  return createHash('sha256').update(text, 'utf8').digest('base64url');
}
