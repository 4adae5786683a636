// CPU time and throughput of each cell as bars in an SVG, with a line for the range of the rounds. Refuses to know how
// they were measured.

import { type Rounds, spread, values } from './figures.ts';
import type { Results } from './results.ts';
import { cellTitle, digits } from './table.ts';

const width = 760;
const left = 110;
const right = 90;
const barHeight = 14;
const gap = 4;
const colours: Readonly<Record<string, string>> = {
  direct: '#9aa0a6',
  relay: '#5f6368',
  haproxy: '#7b9e87',
  pgbouncer: '#4f7cac',
  pgpool: '#b08968',
  holdpoint: '#c8553d',
};

export function chart(results: Results): string {
  const parts: string[] = [];
  let y = 30;
  for (const [cell, bySubject] of Object.entries(results.cells)) {
    const unit = results.units[cell] ?? 'unit';
    for (const [key, label] of [
      ['cpuUs', `CPU µs per ${unit}, less is better`],
      ['perSecond', `${unit === 'MB' ? 'MB' : `${unit}s`} per second, more is better`],
    ] as const) {
      const [bars, height] = panel(bySubject, key, y + 20);
      if (bars.length === 0) continue;
      parts.push(text(10, y + 8, `${cellTitle(cell)}: ${label}`, 'font-weight="bold"'), ...bars);
      y += height + 36;
    }
  }
  const note = `${results.at.slice(0, 10)}, medians of ${results.rounds} rounds of ${results.seconds} s; the line is their range`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + 16}" viewBox="0 0 ${width} ${y + 16}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
${[...parts, text(10, y + 4, note)].join('\n')}
</svg>
`;
}

function panel(
  bySubject: Readonly<Record<string, Rounds>>,
  key: 'cpuUs' | 'perSecond',
  top: number,
): [string[], number] {
  const rows = Object.entries(bySubject).flatMap(([subject, rounds]) => {
    const found = spread(values(rounds, key));
    return found === undefined ? [] : [{ subject, ...found }];
  });
  const most = Math.max(...rows.map((row) => row.most));
  const x = (value: number) => left + (value / most) * (width - left - right);
  const bars = rows.flatMap(({ subject, median, least, most: longest }, n) => {
    const y = top + n * (barHeight + gap);
    const middle = y + barHeight / 2;
    const colour = colours[subject] ?? '#333333';
    return [
      text(left - 6, y + 11, subject, 'text-anchor="end"'),
      `<rect x="${left}" y="${y}" width="${(x(median) - left).toFixed(1)}" height="${barHeight}" fill="${colour}"/>`,
      `<line x1="${x(least).toFixed(1)}" y1="${middle}" x2="${x(longest).toFixed(1)}" y2="${middle}" stroke="#000000"/>`,
      text(Number((x(longest) + 6).toFixed(1)), y + 11, digits(median)),
    ];
  });
  return [bars, rows.length * (barHeight + gap)];
}

function text(x: number, y: number, content: string, more = ''): string {
  return `<text x="${x}" y="${y}" fill="#000000"${more === '' ? '' : ` ${more}`}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return content.replace(/[&<>"]/g, (each) => entities[each]!);
}
