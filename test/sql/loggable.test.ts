import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Engine } from '../../src/sql/engine.ts';
import { literalsOf } from '../../src/sql/literals.ts';
import { loggable, normalized } from '../../src/sql/loggable.ts';
import { attackCorpus } from './corpus/attacks.ts';
import { everydayCorpus } from './corpus/everyday.ts';
import { analysisOf } from './facts.ts';

async function logged(sql: string): Promise<string> {
  return loggable(Buffer.from(sql), await analysisOf(sql)).sql;
}

test('passwords never come out, however they are written', async () => {
  const texts = [
    "ALTER ROLE r PASSWORD 'hunter2'",
    "ALTER ROLE r PASSWORD /* ' */ 'hunter2'",
    "CREATE ROLE r PASSWORD E'hunt\\145r2hunter2'",
    'CREATE ROLE r PASSWORD $x$hunter2$x$',
    "CREATE ROLE r PASSWORD 'abc'\n 'hunter2'",
    "SELECT 1; CREATE USER u PASSWORD 'hunter2'; SELECT 2",
    "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'a', password 'hunter2')",
    "SELECT dblink('host=x password=hunter2', 'select 1')",
    "SELECT 'postgres://u:hunter2@h/d'",
    'SET app.password = hunter2',
    "ALTER ROLE r PASSWORD 'hunter2",
    "ALTER ROLE r PASWORD 'hunter2'",
  ];
  for (const sql of texts) {
    const analysis = await analysisOf(sql);
    expect(loggable(Buffer.from(sql), analysis).sql).not.toContain('hunter2');
    expect(JSON.stringify(normalized(Buffer.from(sql), analysis))).not.toContain('hunter2');
  }
});

test('a text without secrets comes out as it went in', async () => {
  for (const sql of ["select 'é', 1; update t set a = 'x' where b = 2 ;", ' select 1 -- x', '', ';']) {
    expect(await logged(sql)).toBe(sql);
  }
});

test('the other statements of a text with a secret stay readable', async () => {
  expect(await logged("SELECT 'é'; ALTER ROLE r PASSWORD 'x'; SELECT 'b'")).toBe(
    "SELECT 'é'; ALTER ROLE r PASSWORD '‹redacted›'; SELECT 'b'",
  );
});

test('literals are lifted to parameters behind those the text has', async () => {
  const sql = "SELECT 'a', 1.5e3, x1, $2, \"q'uote\", E'\\'', $$b$$ FROM t WHERE a = -2 -- 'c'";
  expect(normalized(Buffer.from(sql), await analysisOf(sql))).toEqual({
    sql: "SELECT $3, $4, x1, $2, \"q'uote\", $5, $6 FROM t WHERE a = -$7 -- 'c'",
    literals: ["'a'", '1.5e3', "E'\\''", '$$b$$', '2'],
    secret: false,
  });
});

test('text that was not understood gives its length and its first word where statements begin with it, nothing else', async () => {
  expect(await logged("insrt into t values ('secret')")).toBe('‹30 bytes, not understood›');
  expect(await logged("insert int t values ('secret')")).toBe('INSERT ‹30 bytes, not understood›');
  expect(await logged('hunter')).toBe('‹6 bytes, not understood›');
  expect(await logged("'secret' x y")).toBe('‹12 bytes, not understood›');
});

/** FCONST, SCONST, USCONST, BCONST, XCONST, ICONST in the grammar of PostgreSQL 18. */
const literalTokens = new Set([260, 261, 262, 263, 264, 266]);

/** The literals as PostgreSQL's own scanner sees them. */
function scanned(engine: Engine, sql: string): [number, number][] {
  const bytes = Buffer.from(sql);
  return engine
    .scan(bytes)
    .filter((token) => literalTokens.has(token.tokenType))
    .map((token) => [token.start, token.end]);
}

test('the literals found are those of PostgreSQL on every text of the corpora', async () => {
  const engine = await Engine.load();
  for (const { sql } of [...attackCorpus, ...everydayCorpus]) {
    const found = literalsOf(Buffer.from(sql)).map((literal) => [literal.start, literal.end]);
    expect([sql, found]).toEqual([sql, scanned(engine, sql)]);
  }
});

test('the literals found are those of PostgreSQL on any mixture of quotes, comments and words that parses', async () => {
  const engine = await Engine.load();
  const piece = fc.constantFrom(
    ...[
      "'",
      "''",
      '"',
      'E',
      'e',
      'U&',
      'n',
      'x',
      '$$',
      '$a$',
      '$1',
      '\\',
      "\\'",
      '--',
      '/*',
      '*/',
      '\n',
      ' ',
    ],
    ...['a', 'é', '1', '.5', '1e5', '+', '-', ',', "'b'", "E'c'", 'select', '(', ')', '::', '$', '_'],
  );
  const text = fc.array(piece, { maxLength: 12 }).map((pieces) => `select ${pieces.join('')}`);
  fc.assert(
    fc.property(text, (sql) => {
      if (engine.parse(Buffer.from(sql)).kind === 'error') return;
      const found = literalsOf(Buffer.from(sql)).map((literal) => [literal.start, literal.end]);
      expect(found).toEqual(scanned(engine, sql));
    }),
    { numRuns: 3000, seed: 20261122 },
  );
});

test('a password inside the body of a block is taken out of it, and nothing else', async () => {
  const sql = "do $$ begin execute 'alter role app password ''hunter2'''; raise notice 'done'; end $$";
  expect(loggable(Buffer.from(sql), await analysisOf(sql))).toEqual({
    sql: "do $$ begin execute 'alter role app password ''‹redacted›'''; raise notice 'done'; end $$",
    literals: [],
    secret: true,
  });
});
