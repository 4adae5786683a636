// Decide: the panel beside a request: what it still needs, who has decided, and the form for whoever may. The form sends
// nothing by itself: its script makes the decision, has it signed, and sends both. Pure.

import { html } from 'hono/html';
import type { IntactRequest } from '../../approval/release.ts';
import { type Level, phraseOf, type Request } from '../../approval/request.ts';
import { visibleLine } from '../../approval/visible.ts';
import type { GrantCount, StoredRequest, Vote } from '../../store/store.ts';
import type { Reader } from '../access.ts';
import type { Reach, Standing, Way } from '../standing.ts';
import { signIn } from './document.ts';
import { type Child, type Html, listed, moment, notice, plural } from './marks.ts';

export const levelWords: Readonly<Record<Level, string>> = {
  link: 'their link',
  slack: 'Slack or stronger',
  key: 'a key or stronger',
  passkey: 'a passkey',
};

const wayWords: Readonly<Record<Way['kind'], string>> = {
  webauthn: 'Passkey',
  jws: 'Key file in this browser',
  oidc: 'Single sign-on',
  link: 'Link',
};

export interface Panel {
  readonly row: StoredRequest;
  readonly intact: IntactRequest;
  readonly reader: Exclude<Reader, { kind: 'agent' }>;
  readonly standing: Standing;
  readonly oidc: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What is needed and who has decided. Drawn again whenever somebody does. */
export function votesSection({ row, intact, reader, now }: Panel): Html {
  const { need } = intact.request;
  const approvals = row.votes.filter(({ verdict }) => verdict === 'approve').length;
  const by = need.of === undefined ? '' : html` of ${listed(need.of.map((each) => visibleLine(each)))}`;
  const sum = html`<b>${approvals} of ${need.quorum}</b> ${need.quorum === 1 ? 'approval' : 'approvals'}`;
  return html`<section class="votes" id="votes" data-live data-rev="${row.state} ${row.votes.length} ${row.ending?.at ?? ''} ${row.grant?.uses ?? ''} ${row.grant?.until ?? ''}">
    <h2>Decisions</h2>
    <p>${sum}, by ${plural(need.quorum, 'person', 'people')}${by} with ${levelWords[need.level]}.</p>
    ${row.votes.length > 0 ? html`<ol class="timeline">${row.votes.map(vote)}</ol>` : ''}
    ${row.grant === null ? '' : grant(row.grant, reader, now)}
  </section>`;
}

/** Further statements that the approval covers, and the way to end that. */
function grant({ until, uses, rows }: GrantCount, reader: Panel['reader'], now: number): Html {
  const past = until <= now;
  return html`<p class="grant">${past ? 'Covered' : 'Covers'} further statements of the same shape until ${moment(until)}:
    ${plural(uses, 'use')} and ${plural(rows, 'row')} so far. ${
      past || reader.kind !== 'approver'
        ? ''
        : html`<button class="button small reject" type="button" id="revoke" disabled>End it now</button>`
    }</p>`;
}

function vote({ approver, verdict, level, reason, at }: Vote): Html {
  const who = approver.startsWith('link:') ? 'somebody with the link' : visibleLine(approver);
  return html`<li class="voted-${verdict}"><span><b>${who}</b> ${verdict === 'approve' ? 'approved' : 'rejected'}
    <span class="quiet">${level}</span></span> ${moment(at)}${
      reason === '' ? '' : html`<q>${visibleLine(reason)}</q>`
    }</li>`;
}

/** The form, or why there is none. Drawn again only when the request is settled or the reader has decided. */
export function decideSection(panel: Panel): Html {
  const { row, standing } = panel;
  return html`<section class="decide" id="decide" data-live data-rev="${row.state} ${standing.voted?.verdict ?? ''}">
    ${decideContent(panel)}
  </section>`;
}

function decideContent(panel: Panel): Child {
  const { row, intact, standing, reader, oidc } = panel;
  const { request } = intact;
  if (row.state !== 'pending')
    return notice(endingKind(row), ending(row), row.ending === null ? '' : [' ', moment(row.ending.at)]);
  if (!standing.open) return notice('bad', 'Nobody decided in time. Nothing was run.');
  if (standing.voted !== undefined) return notice('good', html`You have decided. It waits for the others.`);
  if (standing.barred !== undefined) return notice('warn', standing.barred);
  if (standing.ways.length > 0) return form(panel);
  if (reader.kind === 'link') {
    return html`<h2>Decide</h2>
      <p>The link is good for looking. To decide, sign in: this request needs ${levelWords[request.need.level]}.</p>
      ${signIn({ oidc })}
      ${commandLine(request)}`;
  }
  return html`<h2>Decide</h2>
    ${notice('warn', 'You have nothing here to sign a decision with. Use your SSH key on the command line, or ask for a passkey.')}
    ${commandLine(request)}`;
}

function form({ intact, standing }: Panel): Html {
  const { request, rd } = intact;
  const { ways, reach } = standing;
  const enough = ways.some(({ approves }) => approves);
  const phrase = ways[0]?.kind === 'link' ? phraseOf(request) : undefined;
  return html`<form class="decision" id="decision" data-rid="${request.rid}" data-digest="${rd}"
      data-passkeys="${JSON.stringify(passkeysOf(standing))}">
    <h2>Decide</h2>
    ${enough ? '' : notice('warn', `An approval needs ${levelWords[request.need.level]}, which you do not have here. You can reject.`)}
    ${
      phrase === undefined
        ? ''
        : html`<label for="phrase">Type <code>${phrase}</code> to show that you have read it</label>
          <input id="phrase" type="text" autocomplete="off" autocapitalize="none" spellcheck="false">`
    }
    ${reach === undefined ? '' : reachFields(request, reach)}
    <label for="reason">Reason <span class="quiet">the agent and the log get it</span></label>
    <textarea id="reason" rows="2" maxlength="500"></textarea>
    ${phrase === undefined ? wayFields(ways) : ''}
    <div class="buttons">
      <button class="button approve" type="button" disabled>Approve</button>
      <button class="button reject" type="button" disabled>Reject</button>
    </div>
    <p class="notice bad" role="alert" hidden></p>
    ${phrase === undefined ? commandLine(request) : ''}
  </form>`;
}

/** As the browser's API wants them named. */
function passkeysOf({ passkeys }: Standing) {
  return passkeys.map(({ id, transports }) => ({ type: 'public-key', id, transports }));
}

function wayFields(ways: readonly Way[]): Html {
  const checked = ways.find(({ approves }) => approves) ?? ways[0];
  const [only, ...others] = ways;
  return html`${
    only !== undefined && others.length === 0
      ? html`<p class="quiet signs">Signed with: ${wayWords[only.kind].toLowerCase()}</p>`
      : ''
  }<fieldset class="ways"${others.length === 0 ? html` hidden` : ''}><legend>Sign with</legend>${ways.map(
    (way) =>
      html`<label><input type="radio" name="way" value="${way.kind}" data-level="${way.level}"${
        way.approves ? html` data-approves` : ''
      }${way === checked ? html` checked` : ''}> ${wayWords[way.kind]}${
        way.approves ? '' : html` <span class="quiet">to reject only</span>`
      }</label>`,
  )}</fieldset>`;
}

function reachFields(request: Request, { counts, rows, shape }: Reach): Html {
  const word = request.statements[0]?.command ?? 'statement';
  return html`<fieldset class="reach"><legend>An approval covers</legend>
    <label><input type="radio" name="scope" value="statement" checked> this ${word}, once</label>
    <label class="bound" for="rowsmax">at most <input id="rowsmax" type="number" min="0" step="1" inputmode="numeric"
      value="${rows ?? ''}" placeholder="any"> rows; with more it is undone${
        counts === 'own' ? html` <span class="quiet">(what goes along is not counted)</span>` : ''
      }</label>
    ${
      shape
        ? html`<label><input type="radio" name="scope" value="fingerprint"> and further ones of the same shape</label>
      <div class="shape" hidden>
        <label>for <select id="minutes"><option>5</option><option>10</option><option selected>15</option></select> minutes</label>
        <label>at most <input id="uses" type="number" min="1" step="1" inputmode="numeric" value="10"> times</label>
        <label>and <input id="sumrows" type="number" min="1" step="1" inputmode="numeric" value="${Math.max(1, (rows ?? 10) * 10)}"> rows in all</label>
      </div>`
        : ''
    }</fieldset>`;
}

function commandLine({ rid }: Request): Html {
  return html`<details class="cli"><summary>On the command line</summary>
    <pre class="shell" tabindex="0">holdpoint requests approve ${rid} --as NAME --key FILE</pre></details>`;
}

function endingKind({ state }: StoredRequest): 'good' | 'bad' | 'plain' {
  if (state === 'approved' || state === 'consumed' || state === 'executed') return 'good';
  return state === 'rejected' || state === 'failed' || state === 'unknown' ? 'bad' : 'plain';
}

function ending(row: StoredRequest): string {
  const reason = row.ending === null ? '' : visibleLine(row.ending.reason);
  const by = row.ending === null ? '' : ` by ${visibleLine(row.ending.by)}${reason ? `: “${reason}”` : ''}`;
  const words: Partial<Record<StoredRequest['state'], string>> = {
    approved: 'Approved. It runs as soon as the agent’s session takes it up, once.',
    consumed: 'Approved and released. The database has it.',
    executed: `Executed${reason ? `: ${reason}` : ''}.`,
    failed: `Released, and the database refused it: ${reason || 'no reason is known'}`,
    unknown: 'Released, but nobody knows what came of it. The log names what is known.',
    rejected: `Rejected${by}. Nothing was run.`,
    expired: 'Nobody decided in time. Nothing was run.',
    canceled: `Nothing was run: ${reason || 'the agent gave up'}.`,
  };
  return words[row.state] ?? row.state;
}
