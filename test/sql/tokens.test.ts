import { expect, test } from 'vitest';
import { hasFewTokens } from '../../src/sql/tokens.ts';
import { analyzer } from './facts.ts';

/** `kind text` of every token. */
function pieces(sql: string): string[] | undefined {
  const bytes = Buffer.from(sql);
  return analyzer
    .tokens(bytes)
    ?.map(({ start, end, kind }) => `${kind} ${bytes.toString('utf8', start, end)}`);
}

test('each piece of a text is what PostgreSQL’s scanner takes it for', () => {
  const sql = `DELETE /* a /* b */ */ FROM "Or" o WHERE é = 'it''s' AND b > $1 AND c = $$ -- no $$ AND d = 1.5 -- tail`;
  expect(pieces(sql)).toEqual([
    'danger DELETE',
    'comment /* a /* b */ */',
    'keyword FROM',
    'name "Or"',
    'name o',
    'keyword WHERE',
    'name é',
    'operator =',
    "string 'it''s'",
    'keyword AND',
    'name b',
    'operator >',
    'parameter $1',
    'keyword AND',
    'name c',
    'operator =',
    'string $$ -- no $$',
    'keyword AND',
    'name d',
    'operator =',
    'number 1.5',
    'comment -- tail',
  ]);
});

test('a keyword that stands as a name is a name', () => {
  expect(pieces('SELECT s.delete, name, type FROM drop.t')).toEqual([
    'keyword SELECT',
    'name s',
    'operator .',
    'name delete',
    'operator ,',
    'name name',
    'operator ,',
    'name type',
    'keyword FROM',
    'name drop',
    'operator .',
    'name t',
  ]);
});

test('a text that does not scan, or may have too many tokens, has none', () => {
  expect(pieces("DELETE FROM t WHERE a = 'open")).toBeUndefined();
  expect(pieces('DELETE FROM t\0')).toBeUndefined();
  expect(pieces(`SELECT ${'1,'.repeat(9000)}1`)).toBeUndefined();
  expect(pieces(`DELETE FROM t${' '.repeat(1_000_000)}WHERE true`)).toHaveLength(5);
  expect(pieces('SELECT 1')).toHaveLength(2);
});

test('no text has more tokens than it is taken to have', () => {
  for (const sql of [
    'a.b::c',
    '1e5-2',
    "E'\\''||$1",
    'a<>b',
    '"a b" c',
    '$x$ a b $x$',
    'U&"d!0061" UESCAPE',
  ]) {
    const count = pieces(sql)?.length ?? 0;
    expect(count).toBeGreaterThan(0);
    expect(hasFewTokens(Buffer.from(sql), count - 1)).toBe(false);
  }
});
