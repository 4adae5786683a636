import fc from 'fast-check';
import { expect, test } from 'vitest';
import { blanksInRuns, type Content, partsOf, type Row, rowsOf } from '../../src/http/draw/rows.ts';
import { analyzer } from '../sql/facts.ts';

const rowsOfAll = async (text: string): Promise<Row[]> => {
  const tokens = await analyzer.tokens(Buffer.from(text));
  return partsOf(text).flatMap((part) => rowsOf(text, part, tokens));
};

/** What a row shows, with the marks' characters in their places. */
function shown(content: Content): string {
  if ('blanks' in content) return ' '.repeat(content.blanks);
  return content.segments
    .map((segment) => {
      if (typeof segment === 'string') return segment;
      if ('foreign' in segment) return segment.foreign;
      return String.fromCodePoint(Number.parseInt(segment.hidden.slice(2), 16)).repeat(segment.times);
    })
    .join('');
}

/** The text that rows were made of, if nothing of it was left out. Blank lines come back as empty ones. */
function rejoined(rows: readonly Row[]): string {
  let text = '';
  rows.forEach((row, index) => {
    if (row.line !== undefined && index > 0) text += '\n';
    text += row.pieces.flatMap(({ content }) => content.map(shown)).join('');
    if (row.skipped !== undefined) text += '\n'.repeat(row.skipped - 1);
  });
  return text;
}

test('nothing of a text is lost on its way to the page', async () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'DELETE FROM ',
      'x',
      '\n',
      '\n\n\n\n\n\n\n',
      ' '.repeat(200),
      '-- c\n',
      "'it''s'",
      '/* a */',
      '\u202e',
      'оrders',
      '😀',
      '"q"',
    ),
    fc.string({ unit: 'grapheme' }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async (pieces) => {
      const text = pieces.join('').toWellFormed().replaceAll('\t', ' ');
      expect(rejoined(await rowsOfAll(text)).replace(/^ +$/gm, '')).toBe(text.replace(/^ +$/gm, ''));
    }),
    { numRuns: 150 },
  );
});

test('a long text is cut into parts that each fit a page, and all of it is in them', async () => {
  const text = Array.from({ length: 20_000 }, (_, index) => `INSERT INTO t VALUES (${index});`).join('\n');
  const parts = partsOf(text);
  expect(parts.length).toBeGreaterThan(5);
  expect(parts.map(({ start, end }) => text.slice(start, end)).join('')).toBe(text);
  const last = rowsOf(text, parts.at(-1)!, undefined).at(-1)!;
  expect(last.line).toBe(20_000);
  for (const part of parts) expect(rowsOf(text, part, undefined).length).toBeLessThan(2_000);
});

test('a long line goes on in further rows without a number', async () => {
  const rows = await rowsOfAll(`SELECT '${'x'.repeat(9000)}'\n, 2`);
  expect(rows.map(({ line }) => line)).toEqual([1, undefined, undefined, undefined, undefined, undefined, 2]);
});

test('a megabyte of blanks is one mark that says how many, and what stands behind it is on the page', async () => {
  const rows = await rowsOfAll(`DELETE FROM t WHERE false${' '.repeat(1_048_576)}OR true`);
  expect(rows).toHaveLength(1);
  expect(rows[0]!.pieces.flatMap(({ content }) => content)).toContainEqual({ blanks: 1_048_576 });
  expect(JSON.stringify(rows[0]!.pieces.at(-1))).toContain('true');
});

test('sixteen megabytes of blanks are a mark as well', () => {
  const text = `DELETE FROM t${' '.repeat(16_000_000)}-- end`;
  expect(blanksInRuns(text)).toBe(16_000_000);
  const [part, ...more] = partsOf(text);
  expect(more).toEqual([]);
  expect(rowsOf(text, part!, undefined)[0]!.pieces[0]!.content).toContainEqual({ blanks: 16_000_000 });
});

test('a thousand blank lines are one row, and the numbers behind it are right', async () => {
  const rows = await rowsOfAll(`SELECT 1${'\n'.repeat(1000)}-- end`);
  expect(rows.map(({ line, skipped }) => [line, skipped])).toEqual([
    [1, undefined],
    [2, 999],
    [1001, undefined],
  ]);
});

test('a word that reads as another is a piece of its own', async () => {
  const [row] = await rowsOfAll('DELETE FROM оrders');
  expect(row!.pieces.at(-1)).toMatchObject({ kind: 'name', content: [{ lookalike: 'оrders' }] });
});
