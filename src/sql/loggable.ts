// Loggable: the text of a statement as a log or a page may hold it: without passwords, or without any value.
// Decides by the facts of the analysis; text that was not understood is never given out, for nobody knows what is in it.

import type { Literal } from './literals.ts';
import { piecesOf } from './literals.ts';
import { carriesCredentials, maskCode, maskPasswords, redacted } from './masking.ts';
import { isSecretSetting } from './secrets.ts';
import type { Analysis, Statement } from './statement.ts';
import { beginsStatement } from './statement-words.ts';

/** `literals` are the values taken out, in the order of their `$n`; secrets are not among them. */
export interface Loggable {
  readonly sql: string;
  readonly literals: readonly string[];
  /** Something was taken out that must not be known, not even by a digest. */
  readonly secret: boolean;
}

/** What becomes of comments: anything may be written in them. */
export type Comments = 'strip' | 'keep';

/** The text with passwords and connection strings taken out. `sql`: as the client sent it; not kept. */
export function loggable(sql: Buffer, analysis: Analysis, comments: Comments = 'keep'): Loggable {
  return rewrite(sql, analysis, comments, undefined);
}

/** The text with every literal lifted to a parameter, numbered behind those the text has already. */
export function normalized(sql: Buffer, analysis: Analysis, comments: Comments = 'keep'): Loggable {
  const literals: string[] = [];
  const first = sql.includes('$') ? parametersOf(sql.toString('utf8')) + 1 : 1;
  const lifted = rewrite(sql, analysis, comments, (text) => {
    literals.push(text);
    return `$${first + literals.length - 1}`;
  });
  return { ...lifted, literals };
}

/** The highest number of what looks like a parameter. */
function parametersOf(sql: string): number {
  return Math.max(0, ...[...sql.matchAll(/\$(\d{1,5})/g)].map((match) => Number(match[1])));
}

/** What stands for a literal. Secrets never come here. */
type Lift = (text: string) => string;

/** A text while it is rewritten. */
interface Rewriting {
  readonly bytes: Buffer;
  readonly comments: Comments;
  readonly lift: Lift | undefined;
  secret: boolean;
}

function rewrite(bytes: Buffer, analysis: Analysis, comments: Comments, lift: Lift | undefined): Loggable {
  if (analysis.kind !== 'statements')
    return { sql: outline(bytes.toString('utf8')), literals: [], secret: true };
  const text: Rewriting = { bytes, comments, lift, secret: false };
  const written: string[] = [];
  let at = 0;
  const pieces = piecesOf(bytes);
  let index = 0;
  const take = (end: number): Literal[] => {
    const from = index;
    while (index < pieces.length && pieces[index]!.start < end) index += 1;
    return pieces.slice(from, index);
  };
  for (const statement of analysis.statements) {
    written.push(between(text, at, statement.start, take(statement.start)));
    at = statement.start;
    written.push(rewriteStatement(text, statement, take(statement.end)));
    at = Math.max(at, statement.end);
  }
  written.push(between(text, at, bytes.length, take(bytes.length)));
  return { sql: written.join(''), literals: [], secret: text.secret };
}

/** What stands outside of all statements: blanks, semicolons and comments. */
function between(text: Rewriting, start: number, end: number, pieces: readonly Literal[]): string {
  return spliced(text, start, end, pieces, (piece, words) => commentOf(text, piece, words));
}

function rewriteStatement(text: Rewriting, statement: Statement, pieces: readonly Literal[]): string {
  const { lift } = text;
  if (statement.secret) text.secret = true;
  const cut = settingValue(text, statement);
  const end = cut ?? statement.end;
  const inside = pieces.filter((piece) => piece.start < end);
  const isCode = definesCode.test(statement.command);
  const written = spliced(text, statement.start, end, inside, (piece, words) => {
    if (piece.kind === 'comment') return commentOf(text, piece, words);
    if (piece.kind === 'number') return lift?.(words);
    if (statement.secret) return `'${redacted}'`;
    const masked = isCode ? maskCode(words) : maskPasswords(words);
    if (masked !== words) text.secret = true;
    if (masked === undefined) return `'${redacted}'`;
    return lift?.(masked) ?? masked;
  });
  if (cut === undefined) return written;
  if (statement.secret || lift === undefined) return `${written} ${redacted}`;
  return `${written} ${lift(text.bytes.toString('utf8', cut, statement.end).trim())}`;
}

/** Statements whose strings are code. */
const definesCode = /^(DO|(CREATE|ALTER) (FUNCTION|PROCEDURE|ROUTINE))$/;

const assignment =
  /\bset\s+(?:(?:session|local)\s+)?(?:"(?:[^"]|"")*"|[\w.$\u0080-\uffff]+)(?:\s*\.\s*(?:"(?:[^"]|"")*"|[\w$\u0080-\uffff]+))*\s*(?:=|\bto\b)|\bset\s+(?:(?:session|local)\s+)?[\w.$]+/giu;

/**
 * Where the value of a setting begins that is not for everybody, in bytes: of a secret one, or where values are lifted of one
 * with a dot in its name, whose meaning is the application's. The value may be a bare word, which is no literal.
 */
function settingValue({ bytes, lift }: Rewriting, statement: Statement): number | undefined {
  if (!/^(SET|ALTER|CREATE)\b/.test(statement.command)) return undefined;
  const own = statement.settings.filter(({ value }) => value !== undefined || statement.secret);
  const secret = statement.secret && own.some(({ name }) => isSecretSetting(name));
  const custom = lift !== undefined && own.some(({ name }) => name.includes('.'));
  if (!secret && !custom) return undefined;
  const words = bytes.toString('utf8', statement.start, statement.end);
  const match = assignment.exec(blanked(words));
  assignment.lastIndex = 0;
  // Not found is not understood: nothing behind the command is shown.
  const end = match === null ? statement.command.length : match.index + match[0].length;
  return statement.start + Buffer.byteLength(words.slice(0, Math.min(end, words.length)));
}

/** The text with its comments and strings blanked out, each character for character. */
function blanked(words: string): string {
  const bytes = Buffer.from(words, 'utf8');
  let out = '';
  let at = 0;
  for (const { start, end } of piecesOf(bytes)) {
    out += bytes.toString('utf8', at, start) + ' '.repeat(bytes.toString('utf8', start, end).length);
    at = end;
  }
  return out + bytes.toString('utf8', at);
}

/** What is written for a comment; undefined to leave it. */
function commentOf(text: Rewriting, piece: Literal, words: string): string | undefined {
  if (piece.kind !== 'comment') return undefined;
  if (text.comments === 'strip') return ' ';
  const masked = carriesCredentials(words) ? undefined : maskPasswords(words);
  if (masked === words) return undefined;
  text.secret = true;
  return masked ?? `/* ${redacted} */`;
}

/** The bytes from `start` to `end`, with what `instead` says in the place of each piece. */
function spliced(
  { bytes }: Rewriting,
  start: number,
  end: number,
  pieces: readonly Literal[],
  instead: (piece: Literal, words: string) => string | undefined,
): string {
  const written: string[] = [];
  let at = start;
  for (const piece of pieces) {
    const words = instead(piece, bytes.toString('utf8', piece.start, piece.end));
    if (words === undefined) continue;
    written.push(bytes.toString('utf8', at, piece.start), words);
    at = piece.end;
  }
  written.push(bytes.toString('utf8', at, end));
  return written.join('');
}

/** The first word, if it is one that statements begin with, and the length: enough to find it again, too little to leak. */
export function outline(sql: string): string {
  const word = /^\s*([a-z]{1,20})\b/i.exec(sql)?.[1]?.toUpperCase();
  const length = `${Buffer.byteLength(sql)} bytes, not understood`;
  return word === undefined || !beginsStatement(word) ? `‹${length}›` : `${word} ‹${length}›`;
}
