// The DECLARE sections of PL/pgSQL, and the SQL that it builds, as texts.

import { expect, test } from 'vitest';
import { declarationsOf } from '../../src/catalog/declarations.ts';
import { isWhole, templateOf } from '../../src/catalog/templates.ts';
import { analyzer } from '../sql/facts.ts';

const shapes = new Map<string, 'row' | 'scalar'>([
  ['orders', 'row'],
  ['mood', 'scalar'],
]);
const read = (body: string) => declarationsOf(body, ({ name }) => shapes.get(name));

test('types that the parser cannot know are written as text or record', () => {
  const text = (declaration: string) => read(`DECLARE ${declaration}; BEGIN END`)?.text.slice(8, -11);
  expect(text('m mood')).toBe('m text');
  expect(text('m public.mood[] NOT NULL := 1')).toBe('m text[] NOT NULL := 1');
  expect(text('o orders := f()')).toBe('o record := f()');
  expect(text('o orders%ROWTYPE')).toBe('o record');
  expect(text('o public . orders . id % TYPE')).toBe('o text');
  expect(text('l orders[]')).toBe('l text[]');
  expect(text('"Odd; name" CONSTANT "mood" DEFAULT 1')).toBe('"Odd; name" CONSTANT text DEFAULT 1');
  expect(text('n numeric(10, 2)')).toBe('n numeric(10, 2)');
  expect(text('c CURSOR (m mood) FOR SELECT 1')).toBe('c CURSOR (m mood) FOR SELECT 1');
  expect(text('a ALIAS FOR $1')).toBe('a ALIAS FOR $1');
});

test('only declarations are written anew', () => {
  const body = `DECLARE m mood; BEGIN m := 'DECLARE x mood;'; -- DECLARE x mood;
    /* DECLARE /* x mood; */ y mood; */ SELECT mood INTO m FROM t; DECLARE o orders; BEGIN END; END`;
  expect(read(body)?.text).toBe(
    body.replace('DECLARE m mood', 'DECLARE m text').replace('o orders', 'o record'),
  );
});

test('what variables begin with, their types and what is called are told', () => {
  const found = read(
    `DECLARE a int := f(1, 'x;y'); o orders DEFAULT g(); p orders.id%TYPE = 2; BEGIN h (1); 'i('; END`,
  );
  expect(found?.defaults).toEqual(["f(1, 'x;y')", 'g()', '2']);
  expect(found?.types.map(({ name }) => name)).toEqual(['orders', 'orders']);
  expect([...(found?.calls ?? [])]).toEqual(['f', 'g', 'h']);
});

test('what does not end, or has escaped names, is not read', () => {
  for (const body of ['BEGIN /* END', 'BEGIN $a$ END', 'BEGIN PERFORM U&"purg\\0065"(); END']) {
    expect(read(body)).toBeUndefined();
  }
});

test('a body is read to its end', () => {
  const body = `BEGIN ${"x := 'a''b' || \"c\" || $q$d$q$; -- e\n".repeat(1000)} END`;
  expect(read(body)?.defaults).toEqual([]);
});

function built(expression: string): string | undefined {
  const tree = analyzer.syntax(Buffer.from(`SELECT ${expression}`));
  const template = tree === undefined ? undefined : templateOf(tree);
  const whole = template && analyzer.syntax(Buffer.from(template.text));
  return template !== undefined && whole !== undefined && isWhole(template, whole)
    ? template.text
    : undefined;
}

test('names and values that are quoted by the server are placeholders', () => {
  expect(built("format('SELECT * FROM %I WHERE a = %L', t, v)")).toBe(
    'SELECT * FROM "holdpoint any" WHERE a = \'holdpoint; any\'',
  );
  expect(built("format('SELECT %2$L, %1$s, 5 %% 3', 'x', v)")).toBe("SELECT 'holdpoint; any', x, 5 % 3");
  expect(built("'SELECT * FROM ' || pg_catalog.quote_ident(t) || ' AS t'::text")).toBe(
    'SELECT * FROM "holdpoint any" AS t',
  );
  expect(built("concat('TABLE ', t::regclass)")).toBe('TABLE "holdpoint any"."holdpoint any"');
});

test('nothing else is', () => {
  for (const expression of [
    't',
    "'SELECT ' || t",
    "format(t, 'x')",
    "format('SELECT %s', t)",
    "format('SELECT %10I', t)",
    "format('SELECT %*L', 5, t)",
    "format('SELECT %L')",
    "format('SELECT %x', 1)",
    "format('SELECT ''%L''', t)",
    'format(\'SELECT "%I"\', t)',
    "format('SELECT $q$ %L $q$', t)",
    "format('SELECT 1 -- %I', t)",
    "format('SELECT E%L', t)",
    "format('SELECT * FROM a%I', t)",
    "format('SELECT * FROM %Ia', t)",
    "format('SELECT * FROM %I%I', t, u)",
    "format('SELECT %L%L', t, u)",
    "format(VARIADIC ARRAY['SELECT 1'])",
    "public.format('SELECT 1')",
    "'SELECT ' OPERATOR(public.||) '1'",
    "'SELECT 1'::public.text",
    'quote_ident(t) FROM x',
    "coalesce('SELECT 1', t)",
    "(SELECT 'SELECT 1')",
  ]) {
    expect({ expression, text: built(expression) }).toEqual({ expression, text: undefined });
  }
});
