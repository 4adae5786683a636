// Blast: the section that says what a statement takes with it, from the figures that were measured before anybody was
// asked. What was not measured is said as plainly as what was. Pure.

import { html } from 'hono/html';
import type {
  Cascade,
  LockNeed,
  MeasuredEffect,
  OpenTransaction,
  TouchedRelation,
} from '../../approval/effect.ts';
import { visibleLine } from '../../approval/visible.ts';
import { bytes, type Child, grouped, type Html, moment, name, plural, span } from './marks.ts';
import { changesRows, countWords } from './stakes.ts';

/** The section; also where nothing could be measured. */
export function blastSection(effect: MeasuredEffect | undefined): Html {
  if (effect === undefined) {
    return html`<section class="blast" id="blast"><h2>Blast radius</h2>
      <p class="notice warn">Not measured: how many rows it touches and what goes with them is not known here.</p></section>`;
  }
  return html`<section class="blast" id="blast">
    <h2>Blast radius <span class="quiet">measured ${moment(effect.at)} in ${effect.tookMs} ms</span></h2>
    ${effect.relations.length > 0 ? relations(effect) : ''}
    ${part('Goes with it by foreign keys', effect.cascades.filter(changesRows).map(cascade), effect.more?.cascades)}
    ${part(
      'Foreign keys that check it',
      effect.cascades.filter((each) => !changesRows(each)).map(cascade),
      undefined,
    )}
    ${part(
      effect.refused === true
        ? 'Depends on it: PostgreSQL refuses without CASCADE'
        : 'Depends on it, and goes too',
      effect.dependents.map((dependent) => html`<li>${name(dependent)}</li>`),
      effect.more?.dependents,
    )}
    ${part(
      'Event triggers that fire',
      (effect.fires ?? []).map((fires) => html`<li>${name(fires)}</li>`),
      undefined,
    )}
    ${part('Locks', effect.locks.map(lock), effect.more?.locks)}
    ${effect.transaction === undefined ? '' : transaction(effect.transaction)}
    ${part(
      'Not measured',
      effect.unmeasured.map((why) => html`<li>${visibleLine(why)}</li>`),
      undefined,
      'gaps',
    )}
  </section>`;
}

function part(title: string, items: readonly Html[], left: number | undefined, kind = ''): Child {
  if (items.length === 0) return null;
  const more =
    left === undefined || left === 0 ? '' : html`<li class="quiet">and ${grouped(left)} more not listed</li>`;
  return html`<h3>${title}</h3><ul class="facts ${kind}">${items}${more}</ul>`;
}

function relations({ relations: all, more }: MeasuredEffect): Html {
  const left = more?.relations;
  return html`<ul class="touched">${all.map(relation)}${
    left === undefined || left === 0
      ? ''
      : html`<li class="quiet">and ${plural(left, 'more relation')} not listed</li>`
  }</ul>`;
}

function relation(each: TouchedRelation): Html {
  const { name: relationName, kind, touched, total, bytes: size, parts, work, fires } = each;
  const bar =
    touched !== undefined && total !== undefined && total.rows > 0 ? share(touched.rows / total.rows) : '';
  const facts: Child[] = [
    touched && html`<b>${countWords(touched)}</b>${total === undefined ? ' rows' : ''}`,
    total && html`${touched === undefined ? '' : ' of '}${countWords(total)} rows`,
  ];
  const more = [
    kind,
    size === undefined ? undefined : `${bytes(size)} on disk`,
    parts === undefined ? undefined : plural(parts, 'partition'),
    work,
  ].filter((fact) => fact !== undefined);
  return html`<li>
    <span class="relation">${ordinal(each.statement)}<span class="does">${each.does}</span> ${name(relationName)}</span>
    <span class="figures">${facts}${bar}</span>
    <span class="quiet">${more.join(' · ')}</span>
    ${fires.length > 0 ? html`<ul class="fires">${fires.map((one) => html`<li>${name(one)}</li>`)}</ul>` : ''}
  </li>`;
}

/** Which statement of several, as they are numbered below. */
function ordinal(statement: number | undefined): Child {
  return statement === undefined ? null : html`<span class="quiet">${statement + 1}.</span> `;
}

/** How much of a table is touched; at least a sliver, so that a few of millions can be seen. */
function share(part: number): Html {
  const width = Math.max(1.5, Math.min(100, part * 100)).toFixed(1);
  return html`<svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect width="${width}" height="4"/></svg>`;
}

function cascade(each: Cascade): Html {
  const rows = each.touched === undefined ? 'rows not counted' : `${countWords(each.touched)} rows`;
  return html`<li>${each.stops === true ? html`<b class="stop">stops it</b> ` : ''}${ordinal(each.statement)}<b>${rows}</b> of ${name(each.relation)}
    <span class="quiet">${each.action}, from ${visibleLine(each.via)} by ${visibleLine(each.constraint)}</span>
    ${each.fires === undefined ? '' : html`<ul class="fires">${each.fires.map((one) => html`<li>${name(one)}</li>`)}</ul>`}</li>`;
}

function lock({ relation: on, mode, behind, waiting, oldestMs }: LockNeed): Html {
  const crowd = [
    behind > 0
      ? `waits behind ${plural(behind, 'session')}${oldestMs === undefined ? '' : `, the oldest open for ${span(oldestMs)}`}`
      : undefined,
    waiting > 0
      ? `${plural(waiting, 'session')} already ${waiting === 1 ? 'waits' : 'wait'} for it`
      : undefined,
  ].filter((fact) => fact !== undefined);
  return html`<li class="${crowd.length > 0 ? 'busy' : ''}"><b>${mode}</b> on ${name(on)}
    <span class="quiet">${crowd.join('; ') || 'nobody in the way'}</span></li>`;
}

function transaction({ openMs, locks, blocks }: OpenTransaction): Html {
  return html`<h3>The agent’s open transaction</h3>
    <ul class="facts"><li>open for <b>${span(openMs)}</b>${
      blocks > 0
        ? html`, and <b>${plural(blocks, 'session')}</b> ${blocks === 1 ? 'waits' : 'wait'} for it`
        : ''
    }</li>${locks.map((held) => html`<li>holds ${name(held)}</li>`)}</ul>`;
}
