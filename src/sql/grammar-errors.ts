// Grammar errors: what PostgreSQL's parser says beside the message and the position, which libpg-query leaves out: the
// finer SQLSTATE, the DETAIL and the HINT. Knows the messages of the grammar and the scanner, nothing of the text.
// Source: every ereport in gram.y, scan.l and parser.c of PostgreSQL 13 to 18 that has more than a syntax error's code.

/** Undefined fields: as for any syntax error. */
export interface GrammarError {
  readonly sqlstate?: string;
  readonly detail?: string;
  readonly hint?: string;
}

const notSupported = '0A000';
const windowing = '42P20';
const reservedName = '42939';
const invalidParameter = '22023';
const duplicateObject = '42710';

const known: readonly (readonly [RegExp, GrammarError])[] = [
  [/^missing argument$/, { hint: 'Use NONE to denote the missing argument of a unary operator.' }],
  [/^LIMIT #,# syntax is not supported$/, { hint: 'Use separate LIMIT and OFFSET clauses.' }],
  [
    /^unrecognized row security option "/,
    { hint: 'Only PERMISSIVE or RESTRICTIVE policies are supported currently.' },
  ],
  [
    /^invalid publication object list$/,
    {
      detail: 'One of TABLE or TABLES IN SCHEMA must be specified before a standalone table or schema name.',
    },
  ],
  [
    /^UNENCRYPTED PASSWORD is no longer supported$/,
    {
      sqlstate: notSupported,
      hint: 'Remove UNENCRYPTED to store the password in encrypted form instead.',
    },
  ],
  [/^RECHECK is no longer required$/, { sqlstate: notSupported, hint: 'Update your data type.' }],
  [/^role name "(public|none)" is reserved$/, { sqlstate: reservedName }],
  [
    /^(SESSION_USER|CURRENT_USER|CURRENT_ROLE) cannot be used as a role name here$/,
    { sqlstate: reservedName },
  ],
  [/^frame (start|end) cannot be UNBOUNDED /, { sqlstate: windowing }],
  [/^frame starting from (current|following) row cannot /, { sqlstate: windowing }],
  [/^precision for type float must be /, { sqlstate: invalidParameter }],
  [/^column number must be in range from 1 to /, { sqlstate: invalidParameter }],
  [/^(modulus|remainder) for hash partition provided more than once$/, { sqlstate: duplicateObject }],
  [/^CREATE SCHEMA IF NOT EXISTS cannot include schema elements$/, { sqlstate: notSupported }],
  [/^current database cannot be changed$/, { sqlstate: notSupported }],
  [
    /^(MATCH PARTIAL|CREATE ASSERTION is|UNIQUE predicate is) not yet implemented$/,
    { sqlstate: notSupported },
  ],
  [/^a column list with SET (NULL|DEFAULT) is only supported for ON DELETE/, { sqlstate: notSupported }],
  [/^CREATE EXTENSION \.\.\. FROM is no longer supported$/, { sqlstate: notSupported }],
  [/^CREATE OR REPLACE CONSTRAINT TRIGGER is not supported$/, { sqlstate: notSupported }],
  [/^aggregates cannot have output arguments$/, { sqlstate: notSupported }],
  [/^an ordered-set aggregate with a VARIADIC direct argument must /, { sqlstate: notSupported }],
  [/^WITH CHECK OPTION not supported on recursive views$/, { sqlstate: notSupported }],
  [
    /^(\S+( \S+)?) constraints cannot be (marked|altered to be) (DEFERRABLE|NOT VALID|NO INHERIT|NOT ENFORCED|ENFORCED)$/,
    { sqlstate: notSupported },
  ],
  [/^constraints cannot be altered to be /, { sqlstate: notSupported }],
];

const backslash = 0x5c;

/** What belongs to `message`. `sql` and `position` (1-based, in characters) tell two escapes of one message apart. */
export function grammarError(message: string, sql: Uint8Array, position: number | undefined): GrammarError {
  if (message === 'invalid Unicode escape') return unicodeEscape(sql, position);
  return known.find(([pattern]) => pattern.test(message))?.[1] ?? {};
}

/** E'\u…' is the scanner's, U&'\…' the parser's. Only of the first kind must a `u` follow the backslash. */
function unicodeEscape(sql: Uint8Array, position: number | undefined): GrammarError {
  let at = 0;
  for (let character = 1; character < (position ?? 0) && at < sql.length; at += 1) {
    if (((sql[at + 1] ?? 0) & 0xc0) !== 0x80) character += 1;
  }
  const letter = (sql[at + 1] ?? 0) | 0x20;
  if (sql[at] === backslash && letter === 0x75)
    return { sqlstate: '22025', hint: 'Unicode escapes must be \\uXXXX or \\UXXXXXXXX.' };
  return { hint: 'Unicode escapes must be \\XXXX or \\+XXXXXX.' };
}
