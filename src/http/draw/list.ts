// List: the requests that an approver may see, newest first, with what helps to choose which to open. Pure; refuses to
// know how they were found.

import { html } from 'hono/html';
import { matchCode } from '../../approval/match-code.ts';
import type { IntactRequest } from '../../approval/release.ts';
import { visibleLine } from '../../approval/visible.ts';
import type { StoredRequest } from '../../store/store.ts';
import type { Chosen } from '../listing.ts';
import { countdown, environmentBadge, type Html, marked, moment, plural, stateBadge } from './marks.ts';
import { titleOf } from './request.ts';
import { stakesOf } from './stakes.ts';

/** A row, and its request where it is the one its digest names. */
export interface ListedRow {
  readonly row: StoredRequest;
  readonly intact: IntactRequest | undefined;
}

export interface ListPage {
  readonly rows: readonly ListedRow[];
  readonly chosen: Chosen;
  /** Names that the filters offer. */
  readonly agents: readonly string[];
  readonly targets: readonly string[];
  /** The next page begins with what was created before this moment; undefined on the last one. */
  readonly before: number | undefined;
  readonly now: number;
}

const shown: readonly (readonly [Chosen['show'], string])[] = [
  ['waiting', 'Waiting'],
  ['mine', 'For me'],
  ['decided', 'Decided'],
  ['all', 'All'],
];

export function listMain(page: ListPage): Html {
  const { chosen, rows } = page;
  return html`
    <div class="head"><h1>Requests</h1><p class="quiet keys"><kbd>j</kbd> <kbd>k</kbd> move, <kbd>Enter</kbd> opens</p></div>
    <nav class="tabs" aria-label="Which requests">${shown.map(
      ([show, words]) =>
        html`<a class="tab" href="${addressOf({ ...chosen, show, before: undefined })}"${
          chosen.show === show ? html` aria-current="true"` : ''
        }>${words}</a>`,
    )}</nav>
    ${filters(page)}
    <div id="list" data-live data-rev="${revision(rows)}">${
      rows.length === 0
        ? empty(chosen)
        : html`<ul class="requests">${rows.map((each) => entry(each, page.now))}</ul>`
    }</div>
    ${more(page)}`;
}

/** The address of a choice; what is the default is left out. */
export function addressOf({ show, agent, target, before }: Chosen): string {
  const query = new URLSearchParams();
  if (show !== 'waiting') query.set('show', show);
  if (agent !== undefined) query.set('agent', agent);
  if (target !== undefined) query.set('target', target);
  if (before !== undefined) query.set('before', String(before));
  return query.size === 0 ? '/' : `/?${query}`;
}

function revision(rows: readonly ListedRow[]): string {
  return rows.map(({ row }) => `${row.rid}:${row.state}:${row.votes.length}`).join(' ');
}

function filters({ chosen, agents, targets }: ListPage): Html {
  const menu = (word: 'agent' | 'target', names: readonly string[]) => {
    const current = chosen[word];
    if (names.length < 2 && current === undefined) return '';
    const choice = (value: string | undefined, words: string) =>
      html`<li><a href="${addressOf({ ...chosen, [word]: value, before: undefined })}"${
        value === current ? html` aria-current="true"` : ''
      }>${words}</a></li>`;
    return html`<details class="menu"><summary>${word === 'agent' ? 'Agent' : 'Target'}: <b>${current ?? 'any'}</b></summary>
      <ul>${choice(undefined, 'any')}${names.map((one) => choice(one, one))}</ul></details>`;
  };
  return html`<div class="filters">${menu('agent', agents)}${menu('target', targets)}</div>`;
}

function empty({ show, agent, target }: Chosen): Html {
  const narrowed = agent !== undefined || target !== undefined;
  const words = {
    waiting: 'Nothing is waiting for a decision.',
    mine: 'Nothing is waiting for you.',
    decided: 'Nothing has been decided yet.',
    all: 'No requests yet.',
  }[show];
  return html`<div class="empty"><p><b>${words}</b></p><p class="quiet">${
    narrowed
      ? html`Only some are looked at: <a href="${addressOf({ show, agent: undefined, target: undefined, before: undefined })}">show those of every agent and target</a>.`
      : 'This page fills by itself when an agent asks for something.'
  }</p></div>`;
}

function entry({ row, intact }: ListedRow, now: number): Html {
  if (intact === undefined) {
    return html`<li><a class="entry" href="/r/${row.rid}" id="r-${row.rid}"><span class="title"><strong>Not the request that was recorded</strong></span>
      <span class="badges">${stateBadge(row.state)}</span></a></li>`;
  }
  const { request, rd } = intact;
  const { danger, line } = stakesOf(request);
  const approvals = row.votes.filter(({ verdict }) => verdict === 'approve').length;
  return html`<li><a class="entry ${danger}" href="/r/${row.rid}" id="r-${row.rid}">
    <span class="title"><strong>${marked(titleOf(request))}</strong></span>
    <span class="badges">${stateBadge(row.state)}${environmentBadge(request.db.environment)}</span>
    <span class="line">${marked(visibleLine(line))}</span>
    <span class="quiet meta">${request.agent.id} on ${request.db.target} · ${
      row.state === 'pending'
        ? countdown(request.exp, now)
        : moment(row.ending?.at ?? row.votes.at(-1)?.at ?? request.created)
    }${
      request.need.quorum > 1 ? ` · ${approvals} of ${plural(request.need.quorum, 'approval')}` : ''
    }${endedBy(row)} · <span class="code">${matchCode(rd)}</span></span>
  </a></li>`;
}

function endedBy(row: StoredRequest): string {
  if (row.state === 'pending') return '';
  const people = row.votes.map(({ approver }) =>
    approver.startsWith('link:') ? 'link' : visibleLine(approver),
  );
  return people.length === 0 ? '' : ` · by ${people.join(', ')}`;
}

function more({ chosen, before }: ListPage): Html {
  const first =
    chosen.before === undefined
      ? ''
      : html`<a class="button small" href="${addressOf({ ...chosen, before: undefined })}">Newest</a>`;
  const next =
    before === undefined
      ? ''
      : html`<a class="button small" rel="next" href="${addressOf({ ...chosen, before })}">Older</a>`;
  return html`<nav class="pager" aria-label="Pages">${first}${next}</nav>`;
}
