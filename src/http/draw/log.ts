// Log: the list of what was recorded, newest first, with the form that filters it. Pure; refuses to know how the records
// were found. Whatever an agent wrote is escaped text, on one line, with everything in it made visible.

import { html } from 'hono/html';
import { visibleLine } from '../../approval/visible.ts';
import type { Entry } from '../../trail/entry.ts';
import type { Row } from '../../trail/rows.ts';
import { addressOf, type ChoiceName, choices, type LogChoice } from '../log-choice.ts';
import { type Child, grouped, type Html, moment, notice } from './marks.ts';

export interface LogPage {
  readonly rows: readonly Row[];
  readonly older: number | undefined;
  readonly cut: boolean;
  readonly choice: LogChoice;
  readonly origin: string;
  /** Why nothing could be looked for. */
  readonly problem?: string;
}

const excerptCharactersMax = 220;

export function logMain(page: LogPage): Html {
  const { choice, rows, origin, problem } = page;
  return html`
    <div class="head"><div><h1>Log</h1><p class="lead">What was recorded by <b>${visibleLine(origin)}</b>, newest first</p></div>
      <p class="quiet keys"><kbd>j</kbd> <kbd>k</kbd> move, <kbd>Enter</kbd> opens</p></div>
    ${tabs(choice)}
    ${form(choice)}
    ${chips(choice)}
    ${problem === undefined ? '' : notice('bad', problem)}
    <div id="list" data-live data-rev="${revision(rows)}">${
      rows.length === 0
        ? problem === undefined && empty(page)
        : html`<ul class="requests records">${rows.map(entry)}</ul>`
    }</div>
    ${page.cut ? html`<p class="quiet" id="cut">Not all of the log was looked at for this page; older records may fit.</p>` : ''}
    ${pager(page)}`;
}

/** What is looked for most. */
const views: readonly (readonly [string, LogChoice])[] = [
  ['Everything', {}],
  ['Statements', { kind: 'stmt' }],
  ['Held or refused', { verdict: 'hold,deny,refuse' }],
  ['Failed', { outcome: 'error,unknown' }],
];

function tabs({ before: _, ...choice }: LogChoice): Html {
  return html`<nav class="tabs" aria-label="Which records">${views.map(([words, view]) => {
    const current = JSON.stringify(choice) === JSON.stringify(view) ? html` aria-current="true"` : '';
    return html`<a class="tab" href="${addressOf(view)}"${current}>${words}</a>`;
  })}</nav>`;
}

const labels: Readonly<Record<ChoiceName, string>> = {
  agent: 'Agent',
  target: 'Target',
  text: 'Statement contains',
  request: 'Request',
  verdict: 'Verdict',
  class: 'Class',
  outcome: 'Outcome',
  kind: 'Kind of record',
  since: 'Since',
  until: 'Until',
};

/** Kinds that people look for; any other can be written into the address. */
const kinds = [
  'stmt',
  'auth',
  'hold',
  'decision',
  'intent',
  'breakglass',
  'approver',
  'policy',
  'boot',
  'gap',
];

const hints: Readonly<Partial<Record<ChoiceName, string>>> = {
  since: '2h, or a time in UTC',
  until: '15m, or a time in UTC',
};

function form(choice: LogChoice): Html {
  const names = Object.keys(labels) as ChoiceName[];
  return html`<details class="filter"${isChosen(choice) ? '' : html` data-closed`}><summary>Filter</summary>
    <form id="filter" action="/log" method="get" role="search" aria-label="Which records">
      ${names.map((name) => field(name, choice[name] ?? ''))}
      <div class="buttons"><button class="button primary small" type="submit">Show</button>
      <a class="button small" href="/log">All</a></div>
    </form></details>`;
}

function field(name: ChoiceName, value: string): Html {
  const options = name === 'kind' ? kinds : choices[name];
  const label = html`<label for="f-${name}">${labels[name]}</label>`;
  if (options === undefined)
    return html`<div>${label}<input type="text" id="f-${name}" name="${name}" value="${value}" maxlength="200"
      autocomplete="off" spellcheck="false" placeholder="${hints[name] ?? ''}"></div>`;
  const known = value === '' || options.includes(value) ? options : [...options, value];
  return html`<div>${label}<select id="f-${name}" name="${name}"><option value="">any</option>${known.map(
    (one) => html`<option value="${one}"${one === value ? html` selected` : ''}>${one}</option>`,
  )}</select></div>`;
}

/** What is filtered by, each with the address without it. */
function chips(choice: LogChoice): Child {
  const chosen = (Object.keys(labels) as ChoiceName[]).filter((name) => choice[name] !== undefined);
  if (chosen.length === 0) return null;
  return html`<p class="filters" aria-label="Filtered by">${chosen.map((name) => {
    const { [name]: _, before: __, ...rest } = choice;
    return html`<a class="chip" href="${addressOf(rest)}" title="without this">${labels[name]}: <b>${visibleLine(choice[name] ?? '')}</b> ✕</a>`;
  })}</p>`;
}

function isChosen(choice: LogChoice): boolean {
  return Object.keys(labels).some((name) => choice[name as ChoiceName] !== undefined);
}

function revision(rows: readonly Row[]): string {
  return rows.map((row) => `${row.entry.seq}${row.outcome === undefined ? '' : '.'}`).join(' ');
}

function empty({ choice, cut }: LogPage): Html {
  const words = cut ? 'Nothing that fits among the records that were looked at.' : 'No record fits.';
  return html`<div class="empty"><p><b>${isChosen(choice) ? words : 'Nothing was recorded yet.'}</b></p></div>`;
}

function entry(row: Row): Html {
  const { seq, ts, kind, members: m } = row.entry;
  const isStatement = kind === 'stmt';
  const who = m.agent === undefined ? '' : html` · ${visibleLine(String(m.agent))}`;
  const where = m.target === undefined ? '' : html` on ${visibleLine(String(m.target))}`;
  return html`<li><a class="entry ${tone(row)}" href="/log/${seq}" id="l-${seq}">
    <span class="title${isStatement ? ' code' : ''}">${isStatement ? excerpt(m.sql ?? m.reason) : kindWords(row.entry)}</span>
    <span class="badges">${isStatement ? verdictBadge(String(m.dec)) : ''}${outcomeBadge(row)}</span>
    <span class="quiet meta">#${seq} · ${moment(ts / 1000)}${who}${where}${isStatement ? factWords(row) : html` · ${visibleLine(kind)}`}</span>
  </a></li>`;
}

function factWords({ entry: { members: m }, outcome }: Row): Child {
  const facts = [String(m.cls), `rule ${String(m.rule)}`];
  const { rows, dur_us } = outcome?.members ?? {};
  if (typeof rows === 'number') facts.push(`${grouped(rows)} ${rows === 1 ? 'row' : 'rows'}`);
  if (typeof dur_us === 'number' && dur_us > 0) facts.push(`${duration(dur_us)}`);
  return facts.map((fact) => html` · ${visibleLine(fact)}`);
}

export function duration(micros: number): string {
  return micros < 1_000_000
    ? `${(micros / 1000).toFixed(micros < 10_000 ? 2 : 0)} ms`
    : `${(micros / 1e6).toFixed(1)} s`;
}

/** A word and a colour for how a statement was judged. */
export function verdictBadge(verdict: string): Html {
  const words: Readonly<Record<string, string>> = {
    pass: 'passed',
    hold: 'held',
    deny: 'denied',
    refuse: 'refused',
  };
  return html`<span class="badge verdict-${verdict}">${words[verdict] ?? visibleLine(verdict)}</span>`;
}

/** How a statement ended; nothing where that is not known. */
export function outcomeBadge({ entry: { kind }, outcome }: Row): Child {
  if (kind !== 'stmt') return null;
  if (outcome === undefined) return html`<span class="badge" title="no outcome was found near it">…</span>`;
  const { st, sqlstate } = outcome.members;
  const code = sqlstate === undefined ? '' : ` ${visibleLine(String(sqlstate))}`;
  return html`<span class="badge outcome-${String(st)}">${visibleLine(String(st))}${code}</span>`;
}

function tone({ entry: { kind, members: m }, outcome }: Row): string {
  if (kind === 'breakglass' || kind === 'gap' || kind === 'recover') return 'destroys';
  if (kind !== 'stmt') return '';
  if (m.dec === 'deny' || m.dec === 'refuse') return 'destroys';
  if (m.dec === 'hold') return 'unclear';
  return outcome?.members.st === 'error' || outcome?.members.st === 'unknown' ? 'destroys' : '';
}

function excerpt(value: unknown): string {
  const text = visibleLine(
    String(value ?? '')
      .replace(/\s+/g, ' ')
      .trim(),
  );
  return text.length > excerptCharactersMax ? `${text.slice(0, excerptCharactersMax).toWellFormed()}…` : text;
}

const plainKinds: Readonly<Record<string, string>> = {
  genesis: 'The log begins',
  boot: 'Holdpoint started',
  bye: 'Holdpoint ended',
  hb: 'Nothing happened',
  key: 'The next key signs',
  policy: 'Rules in force',
  view: 'Looked at',
  notify: 'People were told',
  hold: 'Held for approval',
  grant: 'An approval covers further statements',
  grant_use: 'An approval was used',
  intent: 'Goes to the server',
  reject: 'Rejected',
  expire: 'Expired',
  cancel: 'Canceled',
  revoke: 'Ended before its time',
  breakglass: 'Released by one person alone, in an emergency',
  review: 'An emergency was reviewed',
  delegation: 'One person may decide for another',
  own: "A connection of Holdpoint's own",
  checkpoint_key: 'A key for checkpoints',
  prune: 'The oldest segments were taken away',
  redact: 'Values were erased',
  recover: 'Sealed anew after a crash',
  gap: 'A GAP in the log',
};

/** What a record of another kind says, in one line. */
export function kindWords({ kind, members: m }: Entry): string {
  const text = (value: unknown) => visibleLine(String(value ?? ''));
  switch (kind) {
    case 'auth':
      return m.ok === true ? `Connected from ${text(m.client)}` : `Login refused, from ${text(m.client)}`;
    case 'outcome':
      return `Outcome of #${text(m.ref)}: ${text(m.st)}`;
    case 'decision':
      return `A decision on request ${text(m.rid)}`;
    case 'approver':
      return `${text(m.id)} ${m.act === 'enrol' ? 'may decide' : 'decides no more'} with ${text(m.form ?? 'key')} ${text(m.kid)}`;
  }
  const words = plainKinds[kind] ?? text(kind);
  const about = m.rid ?? m.ref ?? m.reason ?? m.target;
  return about === undefined ? words : `${words}: ${text(about)}`;
}

function pager({ choice, older }: LogPage): Html {
  const { before, ...rest } = choice;
  return html`<nav class="pager" aria-label="Pages">${
    before === undefined ? '' : html`<a class="button small" href="${addressOf(rest)}">Newest</a>`
  }${
    older === undefined
      ? ''
      : html`<a class="button small" rel="next" href="${addressOf({ ...rest, before: older })}">Older</a>`
  }</nav>`;
}
