import { expect, test } from 'vitest';
import { hasFewTokens } from '../../src/sql/tokens.ts';
import { analyzer } from './facts.ts';

/** `kind text` of every token. */
async function pieces(sql: string): Promise<string[] | undefined> {
  const bytes = Buffer.from(sql);
  return (await analyzer.tokens(bytes))?.map(
    ({ start, end, kind }) => `${kind} ${bytes.toString('utf8', start, end)}`,
  );
}

test('each piece of a text is what PostgreSQL’s scanner takes it for', async () => {
  const sql = `DELETE /* a /* b */ */ FROM "Or" o WHERE é = 'it''s' AND b > $1 AND c = $$ -- no $$ AND d = 1.5 -- tail`;
  expect(await pieces(sql)).toEqual([
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

test('a keyword that stands as a name is a name', async () => {
  expect(await pieces('SELECT s.delete, name, type FROM drop.t')).toEqual([
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

test('a text that does not scan, or may have too many tokens, has none', async () => {
  expect(await pieces("DELETE FROM t WHERE a = 'open")).toBeUndefined();
  expect(await pieces('DELETE FROM t\0')).toBeUndefined();
  expect(await pieces(`SELECT ${'1,'.repeat(140_000)}1`)).toBeUndefined();
  expect(await pieces(`DELETE FROM t${' '.repeat(1_000_000)}WHERE true`)).toHaveLength(5);
  expect(await pieces('SELECT 1')).toHaveLength(2);
});

test('a long text is scanned in another thread, to the same tokens', async () => {
  const one = "DELETE FROM t WHERE a = 'x' AND b > 1.5 -- tail\n";
  const short = (await pieces(one)) ?? [];
  expect(await pieces(one.repeat(2000))).toEqual(Array.from({ length: 2000 }, () => short).flat());
  expect(await pieces(`${one.repeat(2000)}'open`)).toBeUndefined();
});

test('no text has more tokens than it is taken to have', async () => {
  for (const sql of [
    'a.b::c',
    '1e5-2',
    "E'\\''||$1",
    'a<>b',
    '"a b" c',
    '$x$ a b $x$',
    'U&"d!0061" UESCAPE',
  ]) {
    const count = (await pieces(sql))?.length ?? 0;
    expect(count).toBeGreaterThan(0);
    expect(hasFewTokens(Buffer.from(sql), count - 1)).toBe(false);
  }
});
