import { expect, test } from 'vitest';
import { chart } from '../../bench/cost/chart.ts';
import { document } from '../../bench/cost/document.ts';
import { asMarkdown, asText, digits, shown, tablesOf } from '../../bench/cost/table.ts';
import { results } from './results.ts';

test('numbers have the digits that say something', () => {
  expect([1234.5, 99.96, 12.34, 1.234, 0.0123, -45.67].map(digits)).toEqual([
    '1235',
    '100.0',
    '12.3',
    '1.23',
    '0.012',
    '-45.7',
  ]);
});

test('a spread is its median and its range, and of one value that value', () => {
  expect(shown({ median: 12.34, least: 1, most: 200 })).toBe('12.3 (1.00–200)');
  expect(shown({ median: 7, least: 7, most: 7 })).toBe('7.00');
  expect(shown(undefined)).toBe('–');
});

test('a cell has a row for each subject, with the difference to direct in the same round', () => {
  const [cell] = tablesOf(results());
  expect(cell!.title).toBe('prepared, 16 clients');
  expect(cell!.head.slice(0, 3)).toEqual(['', 'statements/s', 'CPU µs/statement']);
  const row = (name: string) => cell!.rows.find(([subject]) => subject === name);
  expect(row('direct')!.slice(1, 5)).toEqual(['3100 (3000–3200)', '–', '1.00', '–']);
  expect(row('relay')!.slice(1, 5)).toEqual([
    '2000 (1000–3000)',
    '45.0 (40.0–50.0)',
    '2.50 (2.00–3.00)',
    '1.50 (1.00–2.00)',
  ]);
  expect(row('holdpoint')!.at(-1)).toBe('130');
});

test('memory at peak is the most of any cell, and never less than at rest', () => {
  const table = tablesOf(results()).find(({ title }) => title === 'memory')!;
  expect(table.rows).toEqual([
    ['direct', '–', '–', '–'],
    ['holdpoint', '100', '50.0', '130'],
  ]);
  const memory = { holdpoint: { restMiB: 140, perSessionKiB: 50 } };
  const larger = tablesOf(results({ memory })).find(({ title }) => title === 'memory')!;
  expect(larger.rows).toEqual([['holdpoint', '140', '50.0', '140']]);
});

test('a program that is not installed is a line with the reason, which moves no column', () => {
  const absent = { haproxy: 'not installed: apt-get install haproxy' };
  const without = asText(tablesOf(results())[0]!).split('\n');
  const lines = asText(tablesOf(results({ absent }))[0]!).split('\n');
  expect(lines.at(-1)).toBe('haproxy    not installed: apt-get install haproxy');
  expect(lines.slice(0, -1)).toEqual(without);
});

test('the columns of a text are in line', () => {
  const table = {
    title: 't',
    head: ['', 'a/s', 'b'],
    rows: [
      ['long name', '1', '22.5'],
      ['x', '1000 (1–2)', '3'],
    ],
  };
  expect(asText(table)).toBe(
    't\n                  a/s     b\nlong name           1  22.5\nx          1000 (1–2)     3',
  );
});

test('a table in Markdown has as many cells in every row, and a bar in a text is no cell', () => {
  const table = { title: 'a|b', head: ['', 'x'], rows: [['one', '1|2'], ['two']] };
  const lines = asMarkdown(table).split('\n').slice(2);
  expect(lines).toEqual(['|  | x |', '|---|---:|', '| one | 1\\|2 |', '| two |  |']);
});

/** The elements that are open at the end, and an error at the first that closes another. */
function open(svg: string): string[] {
  const stack: string[] = [];
  for (const [, slash, name, attributes] of svg.matchAll(/<(\/?)([a-z]+)([^<>]*)>/g)) {
    if (slash === '/') expect(stack.pop()).toBe(name);
    else if (!attributes!.endsWith('/')) stack.push(name!);
  }
  return stack;
}

test('the chart is well-formed, whatever is in the names', () => {
  const name = `a<b> & "c" 'd'`;
  const { cells } = results();
  const svg = chart(results({ cells: { [name]: cells['prepared 16']! }, units: { [name]: '<unit>' } }));
  expect(open(svg)).toEqual([]);
  expect(svg).toContain('a&lt;b&gt; &amp; &quot;c&quot;');
  expect(svg).not.toMatch(/&(?!(amp|lt|gt|quot);)|<unit>|NaN|Infinity/);
  expect(svg.match(/<rect /g)).toHaveLength(1 + 2 + 3);
});

test('a chart of a cell in which everything failed has no bars', () => {
  const svg = chart(results({ cells: { 'prepared 16': { direct: [undefined], relay: [undefined] } } }));
  expect(open(svg)).toEqual([]);
  expect(svg.match(/<rect /g)).toHaveLength(1);
  expect(svg).not.toContain('prepared');
  expect(svg).not.toMatch(/NaN|Infinity/);
});

test('the document says how it came about, and what is missing', () => {
  const text = document(
    results({ absent: { pgpool: 'not installed' }, failures: ['relay, x: why'] }),
    'bench.svg',
  );
  for (const part of ['npm run bench', '2 × Processor', 'v24', '![CPU time and throughput](bench.svg)'])
    expect(text).toContain(part);
  expect(text).toContain('- pgpool: not installed');
  expect(text).toContain('- relay, x: why');
  expect(document(results(), undefined)).not.toMatch(/Failed:|Not measured:|!\[/);
});
