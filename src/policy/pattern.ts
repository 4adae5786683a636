// Patterns for names in rules: `public.orders`, `audit.*`, `"My Schema".x`, `ALTER *`. Text -> predicate.
// Knows how PostgreSQL folds names; refuses to know which schema an unqualified name would resolve to: such a name
// matches a qualified pattern only where that makes the verdict stricter (manual, 4.1.1 and 5.10.3).

/** A name as a statement writes it, already folded; `schema` is undefined where the text names none. */
export interface WrittenName {
  readonly schema: string | undefined;
  readonly name: string;
}

/** One compiled `schema.name` pattern. A pattern without a dot stands for any schema. */
export interface NamePattern {
  readonly text: string;
  readonly anySchema: boolean;
  readonly schema: RegExp;
  readonly name: RegExp;
}

const patternCharsMax = 200;

/**
 * Compiles a pattern of one or two dot-separated parts. Unquoted parts fold to lower case and may hold `*` (any
 * characters) and `?` (one character); double-quoted parts are literal. Throws an Error with a plain sentence.
 */
export function namePattern(text: string): NamePattern {
  const parts = splitParts(text);
  if (parts.length > 2) throw new Error(`"${text}" has more than two parts; write schema.name`);
  const name = parts.at(-1)!;
  const schema = parts.length === 2 ? parts[0]! : '.*';
  return {
    text,
    anySchema: schema === '.*',
    schema: new RegExp(`^${schema}$`, 'su'),
    name: new RegExp(`^${name}$`, 'su'),
  };
}

/** Compiles a pattern for a single word or phrase (a command, a setting, an agent). `fold` ignores case. */
export function wordPattern(text: string, fold: boolean): RegExp {
  if (text.trim() === '') throw new Error('a pattern must not be empty');
  if (text.length > patternCharsMax) throw new Error(`a pattern is limited to ${patternCharsMax} characters`);
  return new RegExp(`^${globSource(text)}$`, fold ? 'siu' : 'su');
}

/** True if the pattern could mean this name under some search_path: what a hold or a deny must catch. */
export function mayMatch(pattern: NamePattern, written: WrittenName): boolean {
  if (!pattern.name.test(written.name)) return false;
  return written.schema === undefined || pattern.schema.test(written.schema);
}

/** True if the pattern means this name under every search_path: what a pass needs. */
export function mustMatch(pattern: NamePattern, written: WrittenName): boolean {
  if (!pattern.name.test(written.name)) return false;
  return written.schema === undefined ? pattern.anySchema : pattern.schema.test(written.schema);
}

/** The regular-expression sources of the parts of a pattern, unquoted and folded. */
function splitParts(text: string): string[] {
  if (text.length > patternCharsMax) throw new Error(`a pattern is limited to ${patternCharsMax} characters`);
  const parts: string[] = [];
  let at = 0;
  for (;;) {
    const part = /^(?:"((?:[^"]|"")+)"|([^".\s]+))/u.exec(text.slice(at));
    if (part === null)
      throw new Error(`"${text}" is not a name pattern; write schema.name, with * and ? as wildcards`);
    parts.push(
      part[1] === undefined ? globSource(part[2]!.toLowerCase()) : escaped(part[1].replaceAll('""', '"')),
    );
    at += part[0].length;
    if (at === text.length) return parts;
    if (text[at] !== '.')
      throw new Error(`"${text}" is not a name pattern; separate schema and name by one dot`);
    at += 1;
  }
}

/** Runs of `*` are one `*`: `***…x` would otherwise backtrack exponentially on names an agent chooses. */
function globSource(text: string): string {
  return escaped(text)
    .replaceAll(/(?:\\\*)+/g, '.*')
    .replaceAll('\\?', '.');
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
