// Marks: the small pieces that every page is made of. Every text from outside becomes escaped text, never markup, and what
// a screen would hide is drawn as a mark. Pure; knows no request and no reader.

import { html } from 'hono/html';
import { lookalikes } from '../../approval/lookalike.ts';
import { type Segment, visible, visibleLine } from '../../approval/visible.ts';
import type { RequestState } from '../../store/store.ts';

/** Markup made by `html`: what is interpolated into it has been escaped. */
export type Html = ReturnType<typeof html>;

/** Anything that `html` takes between tags; null and false are left out. */
export type Child = Html | string | number | null | false | undefined | readonly Child[];

export const stateWords: Readonly<Record<RequestState, string>> = {
  pending: 'Waiting',
  approved: 'Approved',
  consumed: 'Released',
  executed: 'Executed',
  failed: 'Failed',
  unknown: 'Outcome unknown',
  rejected: 'Rejected',
  expired: 'Expired',
  canceled: 'Canceled',
};

export function stateBadge(state: RequestState): Html {
  return html`<span class="badge state-${state}">${stateWords[state]}</span>`;
}

export function environmentBadge(environment: string): Html {
  return html`<span class="badge env-${environment}">${environment}</span>`;
}

export function notice(kind: 'bad' | 'warn' | 'good' | 'plain', ...children: Child[]): Html {
  return html`<p class="notice ${kind}"${kind === 'bad' ? html` role="alert"` : ''}>${children}</p>`;
}

/** A moment; a script draws it in the reader's own time. `ms` since the epoch. */
export function moment(ms: number): Html {
  const iso = new Date(ms).toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 16).replace('T', ' ')} UTC</time>`;
}

/** What is left until a moment; a script counts it down. */
export function countdown(untilMs: number, nowMs: number): Html {
  return html`<span class="left" data-until="${untilMs}" data-now="${nowMs}">${span(untilMs - nowMs)} left</span>`;
}

/** `4 min 10 s`; whole hours and minutes where there is time. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 120) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  if (minutes >= 10) return `${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}

/** `48,210`. */
export function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

/** `12 MB`, by powers of 1024 as pg_size_pretty has it. */
export function bytes(count: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let [value, unit] = [count, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 || value >= 10 ? grouped(Math.round(value)) : value.toFixed(1)} ${units[unit]}`;
}

/** One line of a text as `visible` cut it. */
export function segments(line: readonly Segment[]): Child[] {
  return line.map((segment) => {
    if (typeof segment === 'string') return segment;
    if ('foreign' in segment) {
      return html`<span class="foreign" title="not ASCII: may look like another character">${segment.foreign}</span>`;
    }
    const times = segment.times > 1 ? ` ×${grouped(segment.times)}` : '';
    return html`<mark class="hidden" title="${segment.name}">${segment.hidden}${times}</mark>`;
  });
}

/** A text without line numbers; its line ends are drawn. */
export function flowing(text: string): Html {
  const lines = visible(text).lines.map((line, index) => [index > 0 && '\n', ...segments(line)]);
  return html`<span class="flow">${lines}</span>`;
}

/** A name in one line, with everything in it made visible. */
export function name(text: string): Html {
  return html`<code>${marked(visibleLine(text))}</code>`;
}

/** A line in which words that read as others are marked. */
export function marked(line: string): Child {
  const words = lookalikes(line, 20).map(({ word }) => word);
  if (words.length === 0) return line;
  const parts = line.split(
    new RegExp(`(?<![\\p{L}\\p{N}\\p{M}_])(${words.join('|')})(?![\\p{L}\\p{N}\\p{M}_])`, 'u'),
  );
  return parts.map((part, index) =>
    index % 2 === 0 ? part : html`<span class="lookalike" title="not what it looks like">${part}</span>`,
  );
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(items: readonly Child[]): Child[] {
  return items.map((item, index) => [index === 0 ? '' : index === items.length - 1 ? ' and ' : ', ', item]);
}
