// Loggable: the text of a statement as a log or a page may hold it: without passwords, or without any value.
// Decides by the facts of the analysis; text that was not understood is never given out, for nobody knows what is in it.

import type { Literal } from './literals.ts';
import { literalsOf } from './literals.ts';
import type { Analysis, Statement } from './statement.ts';

/** `literals` are the values taken out, in the order of their `$n`; secrets are not among them. */
export interface Loggable {
  readonly sql: string;
  readonly literals: readonly string[];
  /** Something was taken out that must not be known, not even by a digest. */
  readonly secret: boolean;
}

const redacted = '‹redacted›';

/** A connection string or URL with a password in any literal, wherever it stands. */
const credentials = /(password|passwd|pwd)\s*=|:\/\/[^\s:@/]*:[^\s@/]+@/i;

/** `PASSWORD '…'` inside a string: the body of a DO block or a function, or a command that it puts together. */
const innerPassword = /(\bpassword\b\s*(?:=\s*)?e?)('+|\$\w*\$)([\s\S]*?)\2/gi;

/** The text with passwords and connection strings taken out. */
export function loggable(sql: string, analysis: Analysis): Loggable {
  return rewrite(sql, analysis, () => undefined);
}

/** The text with every literal lifted to a parameter, numbered behind those the text has already. */
export function normalized(sql: string, analysis: Analysis): Loggable {
  const literals: string[] = [];
  const parameters = [...sql.matchAll(/\$(\d{1,5})/g)].map((match) => Number(match[1]));
  const first = Math.max(0, ...parameters) + 1;
  const lifted = rewrite(sql, analysis, (text) => {
    literals.push(text);
    return `$${first + literals.length - 1}`;
  });
  return { ...lifted, literals };
}

/** What stands for a literal; undefined to leave it. Secrets never come here. */
type Replacement = (text: string) => string | undefined;

function rewrite(sql: string, analysis: Analysis, replacement: Replacement): Loggable {
  if (analysis.kind !== 'statements') return { sql: outline(sql), literals: [], secret: true };
  const found = { secret: false };
  const bytes = Buffer.from(sql, 'utf8');
  const pieces: string[] = [];
  let at = 0;
  const literals = literalsOf(bytes);
  let index = 0;
  for (const statement of analysis.statements) {
    pieces.push(bytes.toString('utf8', at, statement.start));
    at = statement.start;
    const own: Literal[] = [];
    for (; index < literals.length; index += 1) {
      const literal = literals[index];
      if (literal === undefined || literal.start >= statement.end) break;
      if (literal.start >= statement.start) own.push(literal);
    }
    pieces.push(rewriteStatement(bytes, statement, own, replacement, found));
    at = Math.max(at, statement.end);
  }
  pieces.push(bytes.toString('utf8', at));
  return { sql: pieces.join(''), literals: [], secret: found.secret };
}

function rewriteStatement(
  bytes: Buffer,
  statement: Statement,
  literals: readonly Literal[],
  replacement: Replacement,
  found: { secret: boolean },
): string {
  if (statement.secret) found.secret = true;
  // The value of a SET may be a bare word, which is no literal.
  if (statement.secret && /^SET\b/.test(statement.command)) return ` SET ${redacted}`;
  const pieces: string[] = [];
  let at = statement.start;
  for (const literal of literals) {
    const text = bytes.toString('utf8', literal.start, literal.end);
    const isSecret = literal.kind === 'string' && (statement.secret || credentials.test(text));
    const masked = literal.kind === 'string' && !isSecret ? maskInner(text) : text;
    if (isSecret || masked !== text) found.secret = true;
    const instead = isSecret
      ? `'${redacted}'`
      : (replacement(masked) ?? (masked === text ? undefined : masked));
    if (instead === undefined) continue;
    pieces.push(bytes.toString('utf8', at, literal.start), instead);
    at = literal.end;
  }
  pieces.push(bytes.toString('utf8', at, statement.end));
  return pieces.join('');
}

function maskInner(text: string): string {
  return text.replace(
    innerPassword,
    (_, before: string, quote: string) => `${before}${quote}${redacted}${quote}`,
  );
}

/** The first word, if it is one, and the length: enough to find it again, too little to leak. */
function outline(sql: string): string {
  const word = /^\s*([a-z]{1,20})\b/i.exec(sql)?.[1];
  const length = `${Buffer.byteLength(sql)} bytes, not understood`;
  return word === undefined ? `‹${length}›` : `${word.toUpperCase()} ‹${length}›`;
}
