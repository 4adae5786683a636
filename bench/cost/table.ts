// The results as text: one table for each cell, one of memory, one of targets; for a terminal with columns in line, or
// as Markdown.

import { type Rounds, type Spread, spread, together, values } from './figures.ts';
import type { Results } from './results.ts';
import { type Target, targets } from './targets.ts';

export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function tablesOf(results: Results): Table[] {
  return [
    ...Object.keys(results.cells).map((cell) => cellTable(results, cell)),
    memoryTable(results),
    targetTable(results),
  ];
}

/** `prepared, 16 clients`, of a cell's name. */
export function cellTitle(cell: string): string {
  return cell.replace(/ (\d+)$/, (_, count) => `, ${count} client${count === '1' ? '' : 's'}`);
}

/** `12.3 (11.9–14.0)`: the median and the range, with as many digits as say something. */
export function shown(of: Spread | undefined): string {
  if (of === undefined) return '–';
  const { median, least, most } = of;
  return least === most ? digits(median) : `${digits(median)} (${digits(least)}–${digits(most)})`;
}

export function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return size >= 1 ? value.toFixed(2) : value.toFixed(3);
}

function cellTable({ cells, units, absent }: Results, cell: string): Table {
  const unit = units[cell] ?? 'unit';
  const bySubject = cells[cell]!;
  const added = (rounds: Rounds, key: 'p50Ms' | 'p99Ms') =>
    shown(spread(together(rounds, bySubject.direct, (of, to) => of[key] - to[key])));
  const rows = Object.entries(bySubject).map(([subject, rounds]) => [
    subject,
    ...(['perSecond', 'cpuUs', 'p50Ms'] as const).map((key) => shown(spread(values(rounds, key)))),
    subject === 'direct' ? '–' : added(rounds, 'p50Ms'),
    shown(spread(values(rounds, 'p99Ms'))),
    subject === 'direct' ? '–' : added(rounds, 'p99Ms'),
    shown(peak(rounds)),
  ]);
  const missing = Object.entries(absent).map(([subject, reason]) => [subject, reason]);
  return {
    title: cellTitle(cell),
    head: [
      '',
      `${unit}s/s`.replace('MBs', 'MB'),
      `CPU µs/${unit}`,
      'p50 ms',
      '+ p50 ms',
      'p99 ms',
      '+ p99 ms',
      'peak MiB',
    ],
    rows: [...rows, ...missing],
  };
}

function peak(rounds: Rounds): Spread | undefined {
  const most = spread(values(rounds, 'memoryMiB'))?.most;
  return most === undefined ? undefined : spread([most]);
}

function memoryTable({ memory, cells }: Results): Table {
  const rows = Object.entries(memory).map(([subject, found]) => {
    const peaks = Object.values(cells).flatMap((bySubject) => values(bySubject[subject], 'memoryMiB'));
    if (found === undefined) return [subject, '–', '–', '–'];
    const most = Math.max(found.restMiB, ...peaks);
    return [subject, ...[found.restMiB, found.perSessionKiB, most].map(digits)];
  });
  return { title: 'memory', head: ['', 'at rest MiB', 'per idle session KiB', 'at peak MiB'], rows };
}

function targetTable(results: Results): Table {
  const row = ({ figure, wanted, measured, verdict }: Target) => [figure, wanted, shown(measured), verdict];
  return { title: 'targets', head: ['figure', 'wanted', 'measured', ''], rows: targets(results).map(row) };
}

/** Columns in line, numbers to the right. */
export function asText({ title, head, rows }: Table): string {
  // A row with a reason instead of figures must not stretch a column.
  const whole = [head, ...rows].filter((row) => row.length === head.length);
  const widths = head.map((_, column) => Math.max(...whole.map((row) => row[column]!.length)));
  const words = (row: readonly string[], column: number) => column === 0 || /^[a-z]/i.test(row[column]!);
  const line = (row: readonly string[]) =>
    row
      .map((text, column) => {
        const width = row.length === head.length || column === 0 ? widths[column]! : 0;
        return words(row, column) && row !== head
          ? text.padEnd(width)
          : column === 0
            ? text.padEnd(width)
            : text.padStart(width);
      })
      .join('  ')
      .trimEnd();
  return [title, line(head), ...rows.map(line)].join('\n');
}

export function asMarkdown({ title, head, rows }: Table): string {
  const line = (row: readonly string[]) =>
    `| ${head.map((_, column) => (row[column] ?? '').replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = `|${head.map((_, column) => (column === 0 ? '---' : '---:')).join('|')}|`;
  return [`## ${title[0]!.toUpperCase()}${title.slice(1)}`, '', line(head), rule, ...rows.map(line)].join(
    '\n',
  );
}
