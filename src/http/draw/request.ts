// Request: the page of one held statement, for the person who is to decide: what is at stake first, then exactly what
// will run, then everything it means. Pure; refuses to know where the request came from.

import { html } from 'hono/html';
import { matchCode } from '../../approval/match-code.ts';
import { parameterText } from '../../approval/parameter.ts';
import type { IntactRequest } from '../../approval/release.ts';
import { carriesSecret, type Request } from '../../approval/request.ts';
import { visibleLine } from '../../approval/visible.ts';
import type { Token } from '../../sql/tokens.ts';
import { blastSection } from './blast.ts';
import { decideSection, type Panel, votesSection } from './decide.ts';
import {
  type Child,
  countdown,
  environmentBadge,
  flowing,
  type Html,
  listed,
  marked,
  moment,
  name,
  notice,
  plural,
  stateBadge,
} from './marks.ts';
import { effectWords, stakesOf } from './stakes.ts';
import { statementSection, warnings } from './statement.ts';

export interface RequestPage extends Panel {
  readonly tokens: readonly Token[] | undefined;
  /** Which part of a long statement, from 1. */
  readonly part: number;
}

/** `DELETE public.orders`, in one line. What it reaches beyond two relations is a number here, and named on the page. */
export function titleOf(request: Request): string {
  const commands = [...new Set(request.statements.map(({ command }) => command))];
  const relations = [...new Set(request.statements.flatMap((statement) => statement.relations))];
  const named = relations.length > 2 ? relations.slice(0, 1) : relations;
  const more = relations.length - named.length;
  const words = [commands.slice(0, 6).join('; '), named.join(', ')]
    .filter(Boolean)
    .map(visibleLine)
    .join(' ');
  return `${words}${commands.length > 6 ? ' …' : ''}${more > 0 ? ` and ${more} more` : ''}`;
}

/** The content of the page. */
export function requestMain(page: RequestPage): Html {
  const { intact } = page;
  const { request } = intact;
  const secret = carriesSecret(request);
  const texts = (intact.values?.params ?? []).map(
    (param) => parameterText(param.oid, param.format, param.value).text,
  );
  return html`
    ${head(page)}
    ${stakes(request)}
    ${warnings(request, [...(request.reason === undefined ? [] : [request.reason]), ...texts])}
    <div class="columns${page.standing.open ? '' : ' settled'}">
      <div class="what">
        ${statementSection(request, page.tokens, page.part, secret)}
        ${parametersSection(intact)}
        ${wordsSection(request)}
        ${blastSection(request.effect)}
        ${throughSection(request)}
        ${contextSection(intact)}
      </div>
      <aside class="side" aria-label="Decision">
        ${
          page.standing.open
            ? [codeSection(intact), votesSection(page), decideSection(page)]
            : [decideSection(page), votesSection(page), codeSection(intact)]
        }
      </aside>
    </div>
    <a class="jump" href="#votes">${page.standing.open ? 'Decide' : 'What became of it'} ↓</a>`;
}

function head({ row, intact, now }: RequestPage): Html {
  const { request } = intact;
  const obo = request.agent.obo ?? [];
  return html`<div class="head">
    <div>
      <h1>${marked(titleOf(request))}</h1>
      <p class="lead"><b>${request.agent.id}</b>${
        obo.length > 0 ? html`, for ${listed(obo.map((human) => visibleLine(human)))},` : ''
      } asks to run ${request.plan === undefined ? 'this' : html`this plan of <b>${plural(request.plan.statements.length, 'statement')}</b>, in order and once,`} on <b>${request.db.target}</b> ${environmentBadge(request.db.environment)}</p>
    </div>
    <div class="badges" id="state" data-live data-rev="${row.state}">${stateBadge(row.state)}${
      row.state === 'pending' ? countdown(request.exp, now) : ''
    }</div>
  </div>`;
}

function stakes(request: Request): Html {
  const { danger, word, line } = stakesOf(request);
  return html`<div class="stakes ${danger}">
    <p class="word">${sign} ${word}</p>
    <p class="line">${marked(visibleLine(line))}</p>
    ${line === request.policy.reason ? '' : html`<p class="quiet">${visibleLine(request.policy.reason)}</p>`}
  </div>`;
}

const sign = html`<svg class="sign" viewBox="0 0 16 16" aria-hidden="true"><path d="M8 1.5 15 14H1Z" fill="none"
  stroke="currentColor" stroke-width="1.6" stroke-linejoin="round"/><path d="M8 6v4M8 11.6v.1" stroke="currentColor"
  stroke-width="1.6" stroke-linecap="round"/></svg>`;

function codeSection({ rd }: IntactRequest): Html {
  return html`<section class="match"><h2>Code</h2><p><b class="code">${matchCode(rd)}</b>
    <span class="quiet">the same as in the message that brought you here</span></p></section>`;
}

function parametersSection({ request, values }: IntactRequest): Child {
  if (request.params.length === 0) return null;
  if (values === undefined) return notice('warn', 'The parameter values are no longer kept.');
  const rows = values.params.map((param, index) => {
    const { type, note, text } = parameterText(param.oid, param.format, param.value);
    const size = note === 'bytes' ? `, ${plural(param.value?.length ?? 0, 'byte')}` : '';
    return html`<tr><th scope="row">$${index + 1}</th>
      <td>${note === 'null' ? html`<em>NULL</em>` : html`<code>${flowing(text)}</code>`}</td>
      <td class="quiet">${type}${size}</td></tr>`;
  });
  return html`<section class="parameters"><h2>Parameters</h2><table><tbody>${rows}</tbody></table></section>`;
}

function wordsSection({ reason, agent }: Request): Child {
  if (reason === undefined) return null;
  return html`<section class="words"><h2>${agent.id}’s own words <span class="quiet">not checked by anybody</span></h2>
    <blockquote>${flowing(reason)}</blockquote></section>`;
}

function throughSection({ statements, plan }: Request): Html {
  const items = statements.map(
    (one, index) =>
      html`<li><b>${visibleLine(one.command)}</b> ${listed(one.effects.map((effect) => effectWords[effect] ?? effect))}${
        one.relations.length > 0 ? html`; touches ${listed(one.relations.map(name))}` : ''
      }${beginning(plan?.statements[index]?.sql)}${
        one.why.length > 0
          ? html`<ul class="fires">${one.why.map((why) => html`<li>${visibleLine(why)}</li>`)}</ul>`
          : ''
      }</li>`,
  );
  const title = plan === undefined ? 'What it does' : 'What it does, one after the other';
  return html`<section class="through"><h2>${title}</h2>${
    items.length > 1 ? html`<ol class="facts">${items}</ol>` : html`<ul class="facts">${items}</ul>`
  }${
    plan === undefined
      ? ''
      : html`<p class="quiet">One session sends them in this order; the first that differs or fails ends the plan.</p>`
  }</section>`;
}

/** So much of a statement that it is found in the text above. */
function beginning(sql: string | undefined): Child {
  if (sql === undefined) return null;
  const line = visibleLine(sql.replace(/\s+/g, ' '));
  return html`<br><code class="quiet">${line.slice(0, 120)}${line.length > 120 ? '…' : ''}</code>`;
}

function contextSection({ request, rd }: IntactRequest): Html {
  const pair = (term: string, ...value: Child[]) => html`<dt>${term}</dt><dd>${value}</dd>`;
  const { db, role, user, state, tx, policy } = request;
  const settings = Object.entries(state.settings);
  const transaction = {
    I: 'none open',
    T: `open, ${plural(tx.statements, 'statement')} so far`,
    E: 'failed',
  }[tx.status];
  return html`<section class="context"><h2>Who and where</h2><dl>
    ${pair('Rule', name(policy.rule))}
    ${pair('Agent', name(request.agent.id), ' ', html`<span class="quiet">${request.agent.auth}, session ${request.sid}</span>`)}
    ${pair('Target', `${db.target}, database ${db.name}`)}
    ${pair('Server', `${db.addr}, PostgreSQL ${db.version}, system identifier ${db.systemId ?? 'not known'}`)}
    ${pair('Role', role === null ? `not known (connected as ${visibleLine(user)})` : `${visibleLine(role)} (connected as ${visibleLine(user)})`)}
    ${pair('Search path', state.searchPath === null ? 'not known' : name(state.searchPath))}
    ${settings.length > 0 ? pair('Settings', listed(settings.map(([key, value]) => name(`${key} = ${value}`)))) : ''}
    ${pair('Transaction', transaction)}
    ${pair('Protocol', request.proto === 'simple' ? 'simple query' : 'extended query')}
    ${pair('Asked', moment(request.created))}
    ${pair('Until', moment(request.exp))}
    ${pair('Request', name(request.rid))}
    ${pair('Digest', name(rd))}
  </dl></section>`;
}
