// Tokens: what each piece of a text is, as PostgreSQL's own scanner cuts it, for people to read. Says nothing about what
// a statement does: that is classify's. Pure.

import type { ScanToken } from './engine.ts';

/** What a piece of text is. `danger` is a keyword that takes something away. `name` includes quoted names. */
export type TokenKind =
  | 'keyword'
  | 'danger'
  | 'name'
  | 'string'
  | 'number'
  | 'parameter'
  | 'comment'
  | 'operator';

/** Byte offsets into the text. What is between two tokens is white space. */
export interface Token {
  readonly start: number;
  readonly end: number;
  readonly kind: TokenKind;
}

const kinds: Readonly<Record<string, TokenKind>> = {
  SQL_COMMENT: 'comment',
  C_COMMENT: 'comment',
  SCONST: 'string',
  USCONST: 'string',
  BCONST: 'string',
  XCONST: 'string',
  ICONST: 'number',
  FCONST: 'number',
  PARAM: 'parameter',
  IDENT: 'name',
  UIDENT: 'name',
};

const danger = new Set(['DELETE', 'DROP', 'TRUNCATE', 'CASCADE', 'REVOKE']);

/** Words that may also be names, and in texts that people read mostly are not. */
const structural = new Set(
  (
    'ADD ALTER BEGIN BY CASCADE CLUSTER COMMENT COMMIT CONFLICT COPY CURRENT CURSOR DATABASE DEALLOCATE DECLARE DELETE ' +
    'DISABLE DO DROP EACH ENABLE EXCLUDE EXECUTE EXPLAIN EXTENSION FIRST FOLLOWING FUNCTION GRANTED IF IMMUTABLE ' +
    'INCLUDE INDEX INHERIT INSERT INSTEAD ISOLATION LANGUAGE LAST LISTEN LOCK MATCHED MATERIALIZED MERGE MODE NO NOTHING ' +
    'NOTIFY NOWAIT NULLS OF OVER OWNER PARTITION POLICY PRECEDING PREPARE PRIVILEGES PROCEDURE RECURSIVE REFRESH ' +
    'REINDEX RELEASE RENAME REPEATABLE REPLACE RESET RESTART RESTRICT RETURNS REVOKE ROLE ROLLBACK ROUTINE ROWS RULE ' +
    'SAVEPOINT SCHEMA SECURITY SEQUENCE SET SHARE SHOW SKIP START STATEMENT STATISTICS TABLES TABLESPACE TEMP TEMPORARY ' +
    'TRANSACTION TRIGGER TRUNCATE UNLISTEN UNLOGGED UPDATE USING VACUUM VALID VALUES VIEW WITHIN WITHOUT WORK WRITE ZONE ' +
    'BETWEEN COALESCE EXISTS GREATEST LEAST NULLIF ROW'
  ).split(' '),
);

/** Letters, digits and underscore. */
const wordByte = Uint8Array.from({ length: 128 }, (_, byte) =>
  /\w/.test(String.fromCharCode(byte)) ? 1 : 0,
);

/** The scanner's tokens by what they are. `text` is the text that was scanned. */
export function readable(text: Uint8Array, tokens: readonly ScanToken[]): Token[] {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  return tokens.map((token) => ({ start: token.start, end: token.end, kind: kindOf(bytes, token) }));
}

const kindOrder: readonly TokenKind[] = [
  'keyword',
  'danger',
  'name',
  'string',
  'number',
  'parameter',
  'comment',
  'operator',
];

/** Tokens as three numbers each, to hand from one thread to another and to keep. */
export function packed(tokens: readonly Token[]): Uint32Array {
  const numbers = new Uint32Array(tokens.length * 3);
  let at = 0;
  for (const { start, end, kind } of tokens) {
    numbers[at] = start;
    numbers[at + 1] = end;
    numbers[at + 2] = kindOrder.indexOf(kind);
    at += 3;
  }
  return numbers;
}

/** What `packed` was made of. */
export function unpacked(numbers: Uint32Array): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at + 2 < numbers.length; at += 3) {
    const kind = kindOrder[numbers[at + 2] ?? 0] ?? 'operator';
    tokens.push({ start: numbers[at] ?? 0, end: numbers[at + 1] ?? 0, kind });
  }
  return tokens;
}

/** True if no scanner can make more than so many tokens of the text: its words and its other characters, blanks apart. */
export function hasFewTokens(text: Uint8Array, tokensMax: number): boolean {
  let tokens = 0;
  let inWord = false;
  for (const byte of text) {
    const blank = byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
    const word = byte >= 0x80 || wordByte[byte] === 1;
    if (!blank && !(word && inWord)) tokens += 1;
    if (tokens > tokensMax) return false;
    inWord = word;
  }
  return true;
}

function kindOf(bytes: Buffer, { start, end, tokenName, keywordName }: ScanToken): TokenKind {
  const known = kinds[tokenName];
  if (known !== undefined) return known;
  if (keywordName === 'NO_KEYWORD') return 'operator';
  // Behind or before a dot a keyword is a name.
  if (bytes[start - 1] === 0x2e || bytes[end] === 0x2e) return 'name';
  const word = bytes.toString('latin1', start, end).toUpperCase();
  if (danger.has(word)) return 'danger';
  return keywordName === 'RESERVED_KEYWORD' || structural.has(word) ? 'keyword' : 'name';
}
