// Declarations: the DECLARE sections of a PL/pgSQL body. libpg-query has no catalog: it takes a variable of a type that
// it does not know for a row, and leaves the defaults of rows out of its tree. So the types are written as `text` or
// `record` before it reads the body, and the defaults are collected here. Follows pl_gram.y (decl_statement) and the
// manual, 41.3; a body that this reads otherwise than the server does fails to parse or shows more than there is.

import type { NameInSchema } from '../sql/statement.ts';

/** What a variable of the type holds; undefined for a type of the server's own or one that is not known. */
export type TypeShape = (name: NameInSchema) => 'row' | 'scalar' | undefined;

export interface Declarations {
  /** The body with other types. */
  readonly text: string;
  /** Expressions that variables begin with. */
  readonly defaults: readonly string[];
  /** Types named, and relations or columns named before %ROWTYPE and %TYPE. */
  readonly types: readonly NameInSchema[];
  /** Names with a parenthesis behind them, anywhere in the body but in strings and comments; folded. */
  readonly calls: ReadonlySet<string>;
}

/** A token of a body; offsets are in characters. */
export interface Token {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const lexeme =
  /[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|:=|<<|>>|./sy;
const dollarQuote = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;

/** The tokens of a body without white space and comments; undefined if something in it does not end. */
export function tokensOf(body: string): Token[] | undefined {
  const tokens: Token[] = [];
  let at = 0;
  while (at < body.length) {
    const start = at;
    const pair = body.slice(at, at + 2);
    if (/^\s/.test(pair)) {
      at += 1;
      continue;
    }
    if (pair === '--') {
      const end = body.slice(at).search(/[\r\n]/);
      at = end === -1 ? body.length : at + end;
      continue;
    }
    if (pair === '/*') {
      const end = endOfComment(body, at);
      if (end === undefined) return undefined;
      at = end;
      continue;
    }
    dollarQuote.lastIndex = at;
    const tag = dollarQuote.exec(body)?.[0];
    if (tag === undefined) {
      lexeme.lastIndex = at;
      at += lexeme.exec(body)?.[0].length ?? 1;
    } else {
      const end = body.indexOf(tag, at + tag.length);
      if (end === -1) return undefined;
      at = end + tag.length;
    }
    tokens.push({ text: body.slice(start, at), start, end: at });
  }
  return tokens;
}

function endOfComment(body: string, from: number): number | undefined {
  let depth = 0;
  for (let at = from; at < body.length; ) {
    const pair = body.slice(at, at + 2);
    if (pair === '/*') depth += 1;
    else if (pair === '*/') depth -= 1;
    else {
      at += 1;
      continue;
    }
    at += 2;
    if (depth === 0) return at;
  }
  return undefined;
}

/** Undefined if the body cannot be read. */
export function declarationsOf(body: string, shapeOf: TypeShape): Declarations | undefined {
  // Escaped identifiers would have to be decoded, and nobody writes them.
  if (/u&"/i.test(body)) return undefined;
  const tokens = tokensOf(body);
  if (tokens === undefined) return undefined;
  const reader = new Reader(body, tokens, shapeOf);
  for (const [index, token] of tokens.entries()) {
    const next = tokens[index + 1]?.text;
    if (next === '(' && isName(token)) reader.calls.add(fold(token.text));
    if (token.text.toLowerCase() === 'declare' && tokens[index - 1]?.text !== '.') reader.section(index + 1);
  }
  return reader;
}

function isName(token: Token): boolean {
  return /^["A-Za-z_\u0080-\uffff]/.test(token.text) && !/^[eE]'/.test(token.text);
}

function fold(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase();
}

class Reader implements Declarations {
  readonly defaults: string[] = [];
  readonly types: NameInSchema[] = [];
  readonly calls = new Set<string>();
  readonly #body: string;
  readonly #tokens: readonly Token[];
  readonly #shapeOf: TypeShape;
  readonly #changes: { start: number; end: number; type: string }[] = [];

  constructor(body: string, tokens: readonly Token[], shapeOf: TypeShape) {
    this.#body = body;
    this.#tokens = tokens;
    this.#shapeOf = shapeOf;
  }

  get text(): string {
    let text = '';
    let at = 0;
    for (const change of this.#changes) {
      text += `${this.#body.slice(at, change.start)}${change.type}`;
      at = change.end;
    }
    return text + this.#body.slice(at);
  }

  section(from: number): void {
    let index = from;
    while (index < this.#tokens.length && this.#word(index) !== 'begin') {
      if (this.#word(index) !== 'declare') this.#declaration(index);
      index = this.#endOf(index, /^;$/) + 1;
    }
  }

  /** `name [CONSTANT] type [COLLATE c] [NOT NULL] [{DEFAULT | := | =} expression];` */
  #declaration(at: number): void {
    const from = this.#word(at + 1) === 'constant' ? at + 2 : at + 1;
    if (/^(alias|cursor|no|scroll)$/.test(this.#word(from))) return;
    const end = this.#endOf(from, /^;$/);
    const typeEnd = Math.min(this.#endOf(from, /^(collate|not|default|:=|=)$/), end);
    const assigned = Math.min(this.#endOf(from, /^(default|:=|=)$/), end);
    if (assigned < end) this.defaults.push(this.#slice(assigned + 1, end));
    if (typeEnd > from) this.#type(from, typeEnd);
  }

  #type(from: number, to: number): void {
    const tokens = this.#tokens.slice(from, to);
    const parts: string[] = [];
    let index = 0;
    for (; index < tokens.length; index += 2) {
      parts.push(fold(tokens[index]?.text ?? ''));
      if (tokens[index + 1]?.text !== '.') break;
    }
    const rest = tokens.slice(index + 1).map((token) => token.text.toLowerCase());
    const array = rest.includes('[') || rest.includes('array') ? '[]' : '';
    if (rest[0] === '%') {
      const row = rest[1] === 'rowtype';
      // Of a column the relation stands before it: `schema.relation.column`.
      const names = row ? parts : parts.slice(0, -1);
      const name = names.at(-1);
      if (name !== undefined) this.types.push({ schema: names.at(-2), name });
      this.#change(tokens, array === '' && row ? 'record' : `text${array}`);
      return;
    }
    const type = { schema: parts.at(-2), name: parts.at(-1) ?? '' };
    const shape = this.#shapeOf(type);
    if (shape === undefined) return;
    this.types.push(type);
    this.#change(tokens, shape === 'row' && array === '' ? 'record' : `text${array}`);
  }

  #change(tokens: readonly Token[], type: string): void {
    const start = tokens[0]?.start ?? 0;
    // A DECLARE that is a word of an expression may be read twice.
    if (this.#changes.some((change) => change.end > start)) return;
    this.#changes.push({ start, end: tokens.at(-1)?.end ?? 0, type });
  }

  #word(index: number): string {
    return this.#tokens[index]?.text.toLowerCase() ?? '';
  }

  /** The first token outside of parentheses that matches, or the end. */
  #endOf(from: number, wanted: RegExp): number {
    let depth = 0;
    for (let index = from; index < this.#tokens.length; index += 1) {
      const text = this.#word(index);
      if (depth === 0 && wanted.test(text)) return index;
      if (text === '(' || text === '[') depth += 1;
      if (text === ')' || text === ']') depth -= 1;
    }
    return this.#tokens.length;
  }

  #slice(from: number, to: number): string {
    return this.#body.slice(this.#tokens[from]?.start ?? 0, this.#tokens[to - 1]?.end ?? 0);
  }
}
