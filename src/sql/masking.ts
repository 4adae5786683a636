// Masking: what looks like a password inside a string or a comment: a connection string, `PASSWORD '…'` in a command that is
// put together, the body of a function. The syntax tree sees one string there, so this goes by words, and takes out too
// much rather than too little. For what people and logs see, never for a verdict.

import { type Literal, piecesOf } from './literals.ts';

export const redacted = '‹redacted›';

/** A connection string, URL, header or command line with a password in it, wherever it stands. */
const credentials =
  /(pass(word|wd|phrase)?|pwd|secret(_?key)?|token|api_?key|access_?key|private_?key)["']?\s*(=>?|:)\s*\S|:\/\/[^\s:@/]*:[^\s@/]+@|\b(authorization\s*:|bearer\s+\S|basic\s+[\w+/=]{8})|--?(user|u|password|pass|p)[=\s]\s*\S+:\S+|--password[=\s]|-----BEGIN [A-Z ]*PRIVATE KEY/i;

/** `PASSWORD '…'` inside a string: a command that is put together. */
const innerPassword = /(\bpass(?:word|wd)\b\s*(?:=\s*)?(?:u&|e)?)('+|\$\w*\$)([\s\S]*?)\2/gi;

/** Words in one statement of a body that have its strings taken out. */
const suspicious =
  /pass|pwd|secret|token|_key|apikey|cred|crypt|dblink|conninfo|connection|mapping|options|set_config|digest|hmac|pgp_|md5|bearer|authorization|\\/i;

/** True of a text that holds a connection string, URL or command line with a password. */
export function carriesCredentials(text: string): boolean {
  return credentials.test(text);
}

/** A string or comment without the passwords in it; undefined if nothing of it may be shown. */
export function maskPasswords(text: string): string | undefined {
  if (credentials.test(text.replace(innerPassword, ''))) return undefined;
  return text.replace(
    innerPassword,
    (_, before: string, quote: string) => `${before}${quote}${redacted}${quote}`,
  );
}

/** Bodies in bodies are looked into so far. */
const depthMax = 8;

/**
 * A string that is code, without the strings and comments of every statement in it that may carry a secret; undefined if
 * nothing of it may be shown. `literal` with its quotes.
 */
export function maskCode(literal: string, depth = 0): string | undefined {
  const quoting = quotingOf(literal);
  if (quoting === undefined || depth > depthMax) return maskPasswords(literal);
  const bytes = Buffer.from(quoting.content, 'utf8');
  const written: string[] = [];
  let at = 0;
  const pieces = piecesOf(bytes);
  for (const chunk of chunksOf(bytes, pieces)) {
    const isSuspicious = suspicious.test(bytes.toString('utf8', chunk.start, chunk.end));
    for (const { kind, start, end } of isSuspicious ? chunk.pieces : []) {
      const words = bytes.toString('utf8', start, end);
      const instead = kind === 'comment' ? ' ' : kind === 'string' ? maskInner(words, depth) : words;
      if (instead === words) continue;
      written.push(bytes.toString('utf8', at, start), instead);
      at = end;
    }
  }
  written.push(bytes.toString('utf8', at));
  const masked = written.join('');
  return masked === quoting.content ? literal : quoting.quote(masked);
}

/** A string in a suspicious statement: if it is a command itself, only the strings in that. */
function maskInner(literal: string, depth: number): string {
  const whole = `'${redacted}'`;
  const quoting = quotingOf(literal);
  if (quoting === undefined) return whole;
  const { content } = quoting;
  const isCommand = piecesOf(Buffer.from(content, 'utf8')).some(({ kind }) => kind === 'string');
  const rest = content.replace(innerPassword, '');
  if (!isCommand || credentials.test(rest)) return whole;
  return maskCode(literal, depth + 1) ?? whole;
}

/** What stands between the quotes, and how it is put back. Undefined for a string in parts or with other escapes. */
function quotingOf(literal: string): { content: string; quote: (content: string) => string } | undefined {
  const dollar = /^(\$\w*\$)([\s\S]*)\1$/u.exec(literal);
  if (dollar !== null) {
    const [, tag = '', content = ''] = dollar;
    return { content, quote: (text) => tag + text + tag };
  }
  const plain = /^(e?)'((?:[^']|'')*)'$/i.exec(literal);
  if (plain === null) return undefined;
  const [, prefix = '', content = ''] = plain;
  return {
    content: content.replaceAll("''", "'"),
    quote: (text) => `${prefix}'${text.replaceAll("'", "''")}'`,
  };
}

/** The statements of a body, as far as semicolons tell. */
function* chunksOf(
  bytes: Buffer,
  pieces: readonly Literal[],
): Generator<{ start: number; end: number; pieces: Literal[] }> {
  let start = 0;
  let own: Literal[] = [];
  let from = 0;
  for (const piece of [...pieces, { start: bytes.length, end: bytes.length }]) {
    for (
      let end = bytes.indexOf(0x3b, from);
      end !== -1 && end < piece.start;
      end = bytes.indexOf(0x3b, from)
    ) {
      yield { start, end, pieces: own };
      own = [];
      start = end + 1;
      from = start;
    }
    from = piece.end;
    if ('kind' in piece) own.push(piece);
  }
  yield { start, end: bytes.length, pieces: own };
}
