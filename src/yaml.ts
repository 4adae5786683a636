// A YAML file checked against a shape: values with `${NAME}` filled in from the environment, or every problem as one
// sentence with file, line, key and the nearest known key. Knows positions and shapes; refuses to know what any key
// means. Sources: YAML 1.2 (package `yaml`), shapes by zod.

import { isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import { z } from 'zod';
import { HoldpointError } from './errors.ts';
import { didYouMean } from './policy/nearest.ts';

/** A checked file. `fail` makes the error for a finding of the caller's own at `path`. */
export interface Checked<T> {
  readonly value: T;
  fail(path: Path, text: string): HoldpointError;
}

type Path = readonly PropertyKey[];
type Issue = z.core.$ZodIssue;

const fileBytesMax = 1_048_576;
/** Problems told at once; the rest would scroll the first away. */
const problemsMax = 10;

// Private-use characters stand in for `${` and `}` while the text is YAML: inside `{ … }` a brace is YAML's own, and a
// variable's value must never be read as YAML.
const opening = '\u{e000}';
const closing = '\u{e001}';

/**
 * Reads YAML and checks it. Throws HoldpointError('bad-config') whose message is one line a problem,
 * `file:line: key: what is wrong`.
 */
export function readYaml<T extends z.ZodType>(
  text: string,
  file: string,
  shape: T,
  env: Readonly<Record<string, string | undefined>>,
): Checked<z.output<T>> {
  if (text.length > fileBytesMax) {
    throw new HoldpointError('bad-config', `${file}: the file is larger than ${fileBytesMax} bytes`);
  }
  const lines = new LineCounter();
  const document = parseDocument(text.replace(/(?<!\$)\$\{(\w+)\}/g, `${opening}$1${closing}`), {
    lineCounter: lines,
    prettyErrors: false,
  });
  const broken = [...document.errors, ...document.warnings].map(
    (error) => `${file}:${lines.linePos(error.pos[0]).line}: ${firstSentence(restored(error.message))}`,
  );
  if (broken.length > 0) throw problems(broken);

  const lineOf = (path: Path, key?: string): number => {
    const node = (path.length === 0 ? document.contents : document.getIn(path, true)) as Node | undefined;
    const pair =
      key !== undefined && isMap(node)
        ? node.items.find((item) => isScalar(item.key) && restored(String(item.key.value)) === key)
        : undefined;
    const range = (pair?.key as Node | undefined)?.range ?? node?.range;
    if (range) return lines.linePos(range[0]).line;
    // A missing key has no node: the nearest enclosing one is where it should stand.
    return path.length === 0 ? 1 : lineOf(path.slice(0, -1));
  };
  const at = (path: Path, sentence: string, key?: string) =>
    `${file}:${lineOf(path, key)}: ${path.length === 0 ? '' : `${path.map(String).join('.')}: `}${sentence}`;

  const missing: string[] = [];
  const filled = new Set<string>();
  const given = fill(document.toJS({ maxAliasCount: 100 }) ?? {}, [], (name, path) => {
    filled.add(path.join('\0'));
    const value = env[name];
    if (value === undefined)
      missing.push(at(path, `the environment variable ${name} is not set; set it, or write the value here`));
    return value ?? '';
  });
  if (missing.length > 0) throw problems(missing);

  const checked = check(given, shape, filled);
  if ('issues' in checked)
    throw problems(checked.issues.flatMap((issue) => sentences(issue, given, shape, at)));
  return {
    value: checked.value,
    fail: (path, sentence) => new HoldpointError('bad-config', at(path, sentence)),
  };
}

function problems(sentences: string[]): HoldpointError {
  const more = sentences.length - problemsMax;
  const told = sentences.slice(0, problemsMax).join('\n');
  return new HoldpointError('bad-config', more > 0 ? `${told}\n… and ${more} more` : told);
}

/** A copy of `value` with every variable filled in. Keys are left as they were written. */
function fill(value: unknown, path: Path, variable: (name: string, path: Path) => string): unknown {
  if (typeof value === 'string') {
    return value
      .replace(new RegExp(`${opening}(\\w+)${closing}`, 'g'), (_, name: string) => variable(name, path))
      .replaceAll('$${', '${');
  }
  if (Array.isArray(value)) return value.map((item, index) => fill(item, [...path, index], variable));
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => {
      const name = restored(key);
      return [name, fill(item, [...path, name], variable)];
    });
    return Object.fromEntries(entries);
  }
  return value;
}

function restored(text: string): string {
  return text.replaceAll(opening, '${').replaceAll(closing, '}');
}

/**
 * The shape's verdict. A variable's value is text; where the shape wants a number or a boolean there, it is read as one,
 * which plain text never is: a password of digits stays text.
 */
function check<T extends z.ZodType>(
  given: unknown,
  shape: T,
  filled: ReadonlySet<string>,
): { value: z.output<T> } | { issues: Issue[] } {
  const first = shape.safeParse(given);
  if (first.success) return { value: first.data };
  let changed = false;
  for (const issue of first.error.issues) {
    if (issue.code !== 'invalid_type' || !filled.has(issue.path.join('\0'))) continue;
    const text = valueAt(given, issue.path);
    const holder = valueAt(given, issue.path.slice(0, -1)) as Record<PropertyKey, unknown>;
    const key = issue.path.at(-1)!;
    if (/^(number|int)$/.test(issue.expected) && /^\d+$/.test(String(text))) holder[key] = Number(text);
    else if (issue.expected === 'boolean' && /^(true|false)$/.test(String(text)))
      holder[key] = text === 'true';
    else continue;
    changed = true;
  }
  const second = changed ? shape.safeParse(given) : first;
  return second.success ? { value: second.data } : { issues: second.error.issues };
}

/** One finding of the checker as sentences: an unknown key is told with the nearest known one. */
function sentences(
  issue: Issue,
  given: unknown,
  shape: z.ZodType,
  at: (path: Path, sentence: string, key?: string) => string,
): string[] {
  const found = valueAt(given, issue.path);
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = keysAt(shape, issue.path);
      return issue.keys.map((key) =>
        at(
          issue.path,
          `unknown key "${key}"${didYouMean(key, known) || `; known keys: ${known.join(', ')}`}`,
          key,
        ),
      );
    }
    case 'invalid_value': {
      const known = issue.values.map(String);
      return [
        at(
          issue.path,
          found === undefined
            ? `is missing; one of ${known.join(', ')}`
            : `${JSON.stringify(found)} is not known${didYouMean(String(found), known)}; one of ${known.join(', ')}`,
        ),
      ];
    }
    case 'invalid_type':
      // YAML has rounded it already.
      if (issue.expected === 'string' && typeof found === 'number' && !Number.isSafeInteger(found))
        return [at(issue.path, 'must be text: put its digits in quotes')];
      return [
        at(
          issue.path,
          found === undefined ? 'is missing' : `must be ${nouns[issue.expected] ?? issue.expected}`,
        ),
      ];
    case 'invalid_key':
      return [at(issue.path, issue.issues[0]?.message ?? 'is not a valid name')];
    case 'too_small':
      return [at(issue.path, `must be at least ${issue.minimum}`)];
    case 'too_big':
      return [at(issue.path, `must be at most ${issue.maximum}`)];
    default:
      return [at(issue.path, issue.message)];
  }
}

const nouns: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'a map of keys',
  record: 'a map of names',
  string: 'text',
  boolean: 'true or false',
  number: 'a number',
  int: 'a whole number',
};

/** The keys that the map at `path` may have. */
function keysAt(shape: z.ZodType, path: Path): string[] {
  let at = unwrapped(shape);
  for (const step of path) {
    if (at instanceof z.ZodObject) at = unwrapped(at.shape[String(step)]);
    else if (at instanceof z.ZodRecord) at = unwrapped(at.valueType as z.ZodType);
    else if (at instanceof z.ZodArray) at = unwrapped(at.element as z.ZodType);
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

function unwrapped(shape: z.ZodType): z.ZodType {
  const wraps =
    shape instanceof z.ZodOptional || shape instanceof z.ZodDefault || shape instanceof z.ZodPrefault;
  return wraps ? unwrapped(shape.unwrap() as z.ZodType) : shape;
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<PropertyKey, unknown>)[step];
  }
  return at;
}

function firstSentence(message: string): string {
  return message.split('\n')[0]!;
}
