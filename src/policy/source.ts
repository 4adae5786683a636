// The YAML of one rules file -> its entries with line numbers, and every problem with its line. Knows YAML positions
// and turns the checker's findings into sentences; refuses to know what rules mean together (rules.ts).
// Source: YAML 1.2; positions by the `yaml` package's LineCounter.

import { isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';

import { type RuleEntry, ruleFileSchema } from './format.ts';
import { didYouMean, nearest } from './nearest.ts';

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
  const { value, lineOf, problems } = readShape(text, file, ruleFileSchema);
  if (value === undefined)
    return { name: file, extends: undefined, observe: undefined, entries: [], problems };
  const { extends: base, observe, rules } = value;
  return {
    name: file,
    extends: base === undefined ? undefined : { name: base, line: lineOf(['extends']) },
    observe,
    entries: rules.map((entry, index) => ({ entry, at: { line: lineOf(['rules', index]) } })),
    problems,
  };
}

/** A YAML text checked against a shape. Either `value` is there, or `problems`, in order of lines, says why not. */
export function readShape<T extends z.ZodType>(
  text: string,
  file: string,
  shape: T,
): { value: z.output<T> | undefined; lineOf: LineOf; problems: Problem[] } {
  const { value, lineOf, problems } = readYaml(text, file);
  if (problems.length > 0) return { value: undefined, lineOf, problems };
  const checked = shape.safeParse(value);
  if (checked.success) return { value: checked.data, lineOf, problems };
  const place = { value, lineOf, file, shape };
  const found = checked.error.issues
    .filter((issue) => !isMistyped(issue, checked.error.issues, place))
    .flatMap((issue) => explainIssue(issue, place));
  return { value: undefined, lineOf, problems: found.sort((a, b) => a.line - b.line) };
}

/** Parses YAML and keeps the lines. Problems are the syntax errors; `value` is then meaningless. */
function readYaml(text: string, file: string): { value: unknown; lineOf: LineOf; problems: Problem[] } {
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

interface Place {
  readonly value: unknown;
  readonly lineOf: LineOf;
  readonly file: string;
  readonly shape: z.ZodType;
}

/** True for a missing key that stands there mistyped: the mistyped one is reported, with the right one named. */
function isMistyped(issue: z.core.$ZodIssue, issues: readonly z.core.$ZodIssue[], place: Place): boolean {
  const key = issue.path.at(-1);
  if (typeof key !== 'string' || valueAt(place.value, issue.path) !== undefined) return false;
  const map = issue.path.slice(0, -1);
  return issues.some(
    (other) =>
      other.code === 'unrecognized_keys' &&
      other.path.join('\n') === map.join('\n') &&
      other.keys.some((mistyped) => nearest(mistyped, keysAt(place.shape, map)) === key),
  );
}

/** One finding of the checker as sentences with a place, the rule's name and the nearest known word. */
function explainIssue(issue: z.core.$ZodIssue, place: Place): Problem[] {
  const subject = subjectOf(place.value, issue.path);
  const problem = (line: number, text: string): Problem => ({ file: place.file, line, text: subject + text });
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(place.shape, issue.path);
    return issue.keys.map((key) =>
      problem(
        place.lineOf(issue.path, key),
        `unknown key "${key}"${didYouMean(key, known) || `; known keys: ${known.join(', ')}`}`,
      ),
    );
  }
  return [problem(place.lineOf(issue.path), sentence(issue, valueAt(place.value, issue.path)))];
}

function sentence(issue: z.core.$ZodIssue, found: unknown): string {
  const key = String(issue.path.findLast((step) => typeof step === 'string') ?? 'the file');
  switch (issue.code) {
    case 'invalid_value': {
      const known = issue.values.map(String);
      const choices =
        known.length > 12 ? `the ${key} are listed in rules/README.md` : `known: ${known.join(', ')}`;
      if (found === undefined) return `${key} is missing; ${choices}`;
      return `${key}: ${JSON.stringify(found)} is not known${didYouMean(String(found), known)}; ${choices}`;
    }
    case 'invalid_type':
      return found === undefined ? `${key} is missing` : `${key} must be ${described(issue.expected)}`;
    case 'too_small':
      if (issue.origin !== 'array') return `${key} must be at least ${issue.minimum}`;
      return `${key} is an empty list, which would match nothing; name something or remove the key`;
    case 'too_big':
      return `${key} is limited to ${issue.maximum}${issue.origin === 'array' ? ' entries' : ''}`;
    default:
      return `${key}: ${issue.message}`;
  }
}

/** `rule "name": ` for a problem inside a rule, its ordinal if the name itself is broken; `test 3: ` in a test file. */
function subjectOf(value: unknown, path: Path): string {
  const [list, index] = path;
  if (typeof index !== 'number') return '';
  const name = valueAt(value, [list!, index, 'name']);
  const noun = String(list).replace(/s$/, '');
  return typeof name === 'string' && name !== ''
    ? `${noun} ${JSON.stringify(name)}: `
    : `${noun} ${index + 1}: `;
}

/** The keys that the map at `path` may have. */
function keysAt(shape: z.ZodType, path: Path): string[] {
  let at = unwrapped(shape);
  for (const step of path) {
    if ('element' in at) at = unwrapped(at.element as z.ZodType);
    else if ('shape' in at) at = unwrapped((at.shape as Record<PropertyKey, z.ZodType>)[step]!);
  }
  return 'shape' in at ? Object.keys(at.shape as object) : [];
}

function unwrapped(shape: z.ZodType): z.ZodType {
  return shape.def.type === 'optional' ? unwrapped((shape as z.ZodOptional<z.ZodType>).unwrap()) : shape;
}

function valueAt(value: unknown, path: Path): unknown {
  let at: unknown = value;
  for (const step of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<PropertyKey, unknown>)[step];
  }
  return at;
}

function described(expected: string): string {
  const words: Record<string, string> = {
    array: 'a list',
    object: 'a map of keys',
    string: 'text',
    boolean: 'true or false',
    int: 'a whole number',
  };
  return words[expected] ?? `a ${expected}`;
}
