// The YAML of one rules file -> its entries with line numbers, and every problem with its line. Knows YAML positions
// and turns the checker's findings into sentences; refuses to know what rules mean together (rules.ts).
// Source: YAML 1.2; positions by the `yaml` package's LineCounter.

import { isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';

import { effectNames, type RuleEntry, ruleFileSchema, ruleSchema } from './format.ts';
import { didYouMean } from './nearest.ts';

/** One thing that is wrong. `line` is 1-based. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** What one file says by itself. With problems, the entries are empty. */
export interface ReadFile {
  readonly name: string;
  readonly extends: { readonly name: string; readonly line: number } | undefined;
  readonly observe: boolean | undefined;
  readonly entries: readonly { readonly entry: RuleEntry; readonly at: { readonly line: number } }[];
  readonly problems: readonly Problem[];
}

type Path = readonly PropertyKey[];
/** The 1-based line of the node at `path`, or, with `key`, of that key of the map at `path`. */
export type LineOf = (path: Path, key?: string) => number;

const ruleFileBytesMax = 1_048_576;

export function readRuleFile(text: string, file: string): ReadFile {
  const yaml = readYaml(text, file);
  const empty = { name: file, extends: undefined, observe: undefined, entries: [] };
  if (yaml.problems.length > 0) return { ...empty, problems: yaml.problems };
  const checked = ruleFileSchema.safeParse(yaml.value);
  if (!checked.success) {
    const problems = checked.error.issues.flatMap((issue) =>
      explainIssue(issue, yaml.value, yaml.lineOf, file),
    );
    return { ...empty, problems };
  }
  const { extends: base, observe, rules } = checked.data;
  return {
    name: file,
    extends: base === undefined ? undefined : { name: base, line: yaml.lineOf(['extends']) },
    observe,
    entries: rules.map((entry, index) => ({ entry, at: { line: yaml.lineOf(['rules', index]) } })),
    problems: [],
  };
}

/** Parses YAML and keeps the lines. Problems are the syntax errors; `value` is then meaningless. */
export function readYaml(
  text: string,
  file: string,
): { value: unknown; lineOf: LineOf; problems: Problem[] } {
  const none: LineOf = () => 1;
  if (text.length > ruleFileBytesMax) {
    const problem = {
      file,
      line: 1,
      text: `the file is larger than ${ruleFileBytesMax} bytes; split it with extends`,
    };
    return { value: undefined, lineOf: none, problems: [problem] };
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const found = [...document.errors, ...document.warnings];
  if (found.length > 0) {
    const problems = found.map((error) => ({
      file,
      line: lines.linePos(error.pos[0]).line,
      text: error.message,
    }));
    return { value: undefined, lineOf: none, problems };
  }
  const lineOfNode = (node: Node | undefined) =>
    node?.range ? lines.linePos(node.range[0]).line : undefined;
  const lineOf: LineOf = (path, key) => {
    const node = document.getIn(path, true) as Node | undefined;
    if (key !== undefined && isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && item.key.value === key);
      const line = lineOfNode(pair?.key as Node | undefined);
      if (line !== undefined) return line;
    }
    // A missing key has no node: the nearest enclosing one is where it should stand.
    return lineOfNode(node) ?? (path.length === 0 ? 1 : lineOf(path.slice(0, -1)));
  };
  try {
    return { value: document.toJS({ maxAliasCount: 0 }), lineOf, problems: [] };
  } catch {
    const problem = { file, line: 1, text: 'aliases (*name) are not supported in rules; write the list out' };
    return { value: undefined, lineOf, problems: [problem] };
  }
}

const fileKeys = Object.keys(ruleFileSchema.shape);
const ruleKeys = Object.keys(ruleSchema.shape);

/** One finding of the checker as sentences with a place, the rule's name and the nearest known word. */
function explainIssue(issue: z.core.$ZodIssue, value: unknown, lineOf: LineOf, file: string): Problem[] {
  const subject = ruleName(value, issue.path);
  const at = (line: number, text: string): Problem => ({ file, line, text: subject + text });
  const key = String(issue.path.findLast((step) => typeof step === 'string') ?? 'the file');
  const found = valueAt(value, issue.path);
  const line = lineOf(issue.path);
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = issue.path.length === 0 ? fileKeys : key === 'approval' ? ['level', 'quorum'] : ruleKeys;
      return issue.keys.map((unknown) =>
        at(
          lineOf(issue.path, unknown),
          `unknown key "${unknown}"${didYouMean(unknown, known)}; known keys: ${known.join(', ')}`,
        ),
      );
    }
    case 'invalid_value': {
      if (found === undefined) return [at(line, `${key} is missing; it is one of ${shown(issue.values)}`)];
      const known = issue.values.map(String);
      const choices =
        key === 'effects' ? 'the effects are listed in rules/README.md' : `known: ${known.join(', ')}`;
      const what = key === 'effects' ? 'effect' : key;
      const guess =
        key === 'effects' ? didYouMean(String(found), effectNames) : didYouMean(String(found), known);
      return [at(line, `unknown ${what} ${JSON.stringify(found)}${guess}; ${choices}`)];
    }
    case 'invalid_type':
      return [
        at(line, found === undefined ? `${key} is missing` : `${key} must be ${article(issue.expected)}`),
      ];
    case 'too_small':
      return [
        at(
          line,
          issue.origin === 'array' ? emptyList(key) : `${key} is too small; the least is ${issue.minimum}`,
        ),
      ];
    case 'too_big':
      return [at(line, `${key} is too large; the most is ${issue.maximum}`)];
    default:
      return [at(line, `${key}: ${issue.message}`)];
  }
}

function emptyList(key: string): string {
  return `${key} is an empty list, which would match nothing; name something or remove the key`;
}

/** `rule "name": ` for a problem inside a rule; its ordinal if the name itself is broken. */
function ruleName(value: unknown, path: Path): string {
  if (path[0] !== 'rules' || typeof path[1] !== 'number') return '';
  const name = valueAt(value, ['rules', path[1], 'name']);
  return typeof name === 'string' && name !== '' ? `rule ${JSON.stringify(name)}: ` : `rule ${path[1] + 1}: `;
}

function valueAt(value: unknown, path: Path): unknown {
  let at: unknown = value;
  for (const step of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<PropertyKey, unknown>)[step];
  }
  return at;
}

function shown(values: readonly unknown[]): string {
  return values.map(String).join(', ');
}

function article(expected: string): string {
  const words: Record<string, string> = {
    array: 'a list',
    object: 'a map of keys',
    string: 'text',
    boolean: 'true or false',
  };
  return words[expected] ?? `a ${expected}`;
}
