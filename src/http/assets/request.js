// Request: one held statement, drawn for the person who is to decide, and their decision sent. What opens it is the token
// in the fragment (for looking) or the key in this browser (for looking and deciding). Loading it changes nothing.

import { badge, clock, environmentBadge, fill, flowing, h, notice, numbered, span } from './draw.js';
import { canonical, identity, readAs, sha256, signDecision } from './identity.js';
import { keyForm, showIdentity } from './keyform.js';

const pollMs = 2000;
const rid = location.pathname.split('/')[2];
const path = `/api/requests/${rid}`;
const main = document.querySelector('#main');
const token = keepToken();
let me = null;
let view = null;
let skewMs = 0;

/** Takes the token out of the address, so that it is in no history entry and no copied link; a reload still has it. */
function keepToken() {
  const given = location.hash.slice(1);
  if (given !== '') {
    sessionStorage.setItem(rid, given);
    history.replaceState(null, '', location.pathname);
  }
  return given || sessionStorage.getItem(rid);
}

async function start() {
  me = await identity();
  showIdentity(document.querySelector('#who'), me);
  await load();
  setInterval(tick, 1000);
  setInterval(() => document.visibilityState === 'visible' && isLive() && load(), pollMs);
}

const isLive = () => view === null || ['pending', 'approved', 'consumed'].includes(view.state);

async function load() {
  let answer;
  try {
    answer = await read();
  } catch {
    return say('offline', 'No answer from Holdpoint; trying again.');
  }
  if (answer === null || answer.status === 401) return stranger(answer !== null);
  const body = await answer.json();
  if (!answer.ok) return gone(body.detail);
  say('offline', null);
  skewMs = Date.parse(body.now) - Date.now();
  if (view === null) await drawAll(body);
  else if (body.state !== view.state || body.approvals.length !== view.approvals.length) drawState(body);
}

/** By the key if there is one that is known here, else by the link's token. Null if there is neither. */
async function read() {
  const byKey = me === null ? null : await readAs(me, path);
  if ((byKey !== null && byKey.status !== 401) || !token) return byKey;
  return fetch(path, { headers: { Authorization: `Bearer ${token}` } });
}

function stranger(refused) {
  if (view !== null) return gone('This link is no longer valid.');
  fill(
    main,
    h('h1', {}, 'Request'),
    refused
      ? notice('bad', 'This link or key does not open this request. It may be cut short, or past its time.')
      : null,
    h('p', {}, 'Open the complete link you were sent, or show who you are:'),
    keyForm(() => location.reload()),
    h('pre', { class: 'shell', tabindex: '0' }, `holdpoint requests show ${rid} --as NAME --key FILE`),
  );
}

function gone(words) {
  fill(main, h('h1', {}, 'Request'), notice('bad', words), h('p', {}, h('a', { href: '/' }, 'All requests')));
}

function say(id, words) {
  document.getElementById(id)?.remove();
  if (words !== null) main.prepend(h('p', { class: 'notice bad', id, role: 'status' }, words));
}

async function drawAll(body) {
  view = body;
  const whole = (await sha256(`holdpoint-request-v1\0${body.request}`)) === body.digest;
  const title = [body.commands.join('; '), body.relations.join(', ')].filter(Boolean).join(' ');
  document.title = `${title} · Holdpoint`;
  fill(
    main,
    h(
      'div',
      { class: 'head' },
      h('h1', {}, title),
      h('div', { class: 'badges', id: 'state', 'aria-live': 'polite' }),
    ),
    h(
      'p',
      { class: 'lead' },
      h('b', {}, body.agent),
      ' wants to run this on ',
      h('b', {}, body.target),
      ' ',
      environmentBadge(body.environment),
    ),
    h('p', { class: 'why' }, body.ruleReason),
    whole
      ? null
      : notice('bad', 'The digest does not fit the request. Do not approve; tell whoever runs Holdpoint.'),
    ...warnings(body),
    statementBox(body),
    parametersBox(body),
    effectsBox(body),
    h('section', { id: 'decide' }),
    wordsBox(body),
    contextBox(body),
  );
  drawState(body);
}

function warnings(body) {
  const all = [
    body.sql,
    ...(body.reason ? [body.reason] : []),
    ...(body.parameters ?? []).map((one) => one.value),
  ];
  const hidden = all.reduce((sum, text) => sum + text.hidden, 0);
  const foreign = body.sql.foreign;
  return [
    hidden > 0
      ? notice(
          'bad',
          `${hidden} invisible or reordering character${hidden === 1 ? '' : 's'}, marked where they stand.`,
        )
      : null,
    foreign > 0
      ? notice(
          'warn',
          `${foreign} character${foreign === 1 ? '' : 's'} of the statement beyond ASCII, underlined: they may look like others.`,
        )
      : null,
    body.secret
      ? notice('warn', 'The statement carries a secret, which is not shown. All else is exact.')
      : null,
  ];
}

function statementBox(body) {
  const lines = body.sql.lines.length;
  return h(
    'section',
    {},
    h(
      'h2',
      {},
      'Statement ',
      h(
        'span',
        { class: 'quiet' },
        `${lines} line${lines === 1 ? '' : 's'}, ${body.sqlBytes} bytes, all shown`,
      ),
    ),
    numbered(body.sql),
  );
}

function parametersBox(body) {
  if (body.parameters === undefined) {
    return JSON.parse(body.request).params.length === 0
      ? null
      : notice('warn', 'The parameter values are no longer kept.');
  }
  if (body.parameters.length === 0) return null;
  const rows = body.parameters.map((one, index) =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, `$${index + 1}`),
      h('td', {}, one.note === 'null' ? h('em', {}, 'NULL') : h('code', {}, flowing(one.value))),
      h('td', { class: 'quiet' }, one.note === 'bytes' ? `${one.type}, ${one.bytes} bytes` : one.type),
    ),
  );
  return h('section', {}, h('h2', {}, 'Parameters'), h('table', {}, h('tbody', {}, ...rows)));
}

function effectsBox(body) {
  const items = body.statements.flatMap((one) => [
    h(
      'li',
      {},
      h('b', {}, one.command),
      ` — ${one.effects.join(', ')}`,
      one.relations.length > 0 ? ` — touches ${one.relations.join(', ')}` : '',
    ),
    ...one.why.map((why) => h('li', { class: 'quiet' }, why)),
  ]);
  return h('section', {}, h('h2', {}, 'What it does'), h('ul', { class: 'facts' }, ...items));
}

function wordsBox(body) {
  if (body.reason === null) return null;
  return h(
    'section',
    {},
    h('h2', {}, 'The agent’s own words ', h('span', { class: 'quiet' }, 'not checked by anybody')),
    h('blockquote', {}, flowing(body.reason)),
  );
}

function contextBox(body) {
  const pair = (name, ...value) => [h('dt', {}, name), h('dd', {}, ...value)];
  const status = { I: 'none open', T: `open, ${body.transaction.statements} statements so far`, E: 'failed' };
  const settings = Object.entries(body.settings).map(([name, value]) => `${name} = ${value}`);
  return h(
    'section',
    {},
    h('h2', {}, 'Who and where'),
    h(
      'dl',
      {},
      ...pair('Held by rule', h('code', {}, body.rule)),
      ...pair('Agent', body.agent),
      ...pair('Target', `${body.target}, database ${body.database}`),
      ...pair(
        'Server',
        `${body.server.address}, system identifier ${body.server.systemIdentifier ?? 'not known'}`,
      ),
      ...pair(
        'Role',
        body.role === null
          ? `not known (connected as ${body.user})`
          : `${body.role} (connected as ${body.user})`,
      ),
      ...pair('Search path', body.searchPath ?? 'not known'),
      ...(settings.length > 0 ? pair('Settings', settings.join('; ')) : []),
      ...pair('Transaction', status[body.transaction.status] ?? body.transaction.status),
      ...pair('Asked', clock(body.created)),
      ...pair(
        'Needs',
        `${body.need.quorum} approval${body.need.quorum === 1 ? '' : 's'} of level ${body.need.level} or stronger`,
      ),
      ...pair('Request', h('code', {}, body.id)),
      ...pair('Digest', h('code', {}, body.digest)),
    ),
  );
}

/** The parts that change: the state, and what can be done. Called when the state or the votes have changed. */
function drawState(body) {
  view = body;
  const left = h('span', { class: 'quiet', id: 'left' });
  document.querySelector('#state').replaceChildren(badge(body.state), left);
  tick();
  const approvals = body.approvals.map((one) =>
    h('li', {}, `${one.by} approved (${one.level}) `, clock(one.at)),
  );
  const box = document.querySelector('#decide');
  box.replaceChildren(
    approvals.length > 0 ? h('ul', { class: 'facts' }, ...approvals) : '',
    ...whatNow(body),
  );
}

function whatNow(body) {
  if (body.state !== 'pending') return [notice(body.state === 'rejected' ? 'bad' : 'good', ending(body))];
  if (body.draft !== null) return [decisionForm(body)];
  return [
    h('h2', {}, 'Decide'),
    h(
      'p',
      {},
      `This link is good for looking. To decide, this request needs evidence of level ${body.need.level}.`,
    ),
    keyForm(() => location.reload()),
    h('pre', { class: 'shell', tabindex: '0' }, `holdpoint requests approve ${body.id} --as NAME --key FILE`),
  ];
}

function ending(body) {
  const by = body.ending ? ` by ${body.ending.by}${body.ending.reason ? `: ${body.ending.reason}` : ''}` : '';
  const words = {
    approved: 'Approved. It runs as soon as the agent’s session takes it up, once.',
    consumed: 'Approved and released. The database has it.',
    executed: `Executed: ${body.ending?.reason ?? 'done'}.`,
    failed: `Released, and the database refused it: ${body.ending?.reason ?? ''}.`,
    unknown: 'Released, but nobody knows what came of it. The log names what is known.',
    rejected: `Rejected${by}. Nothing was run.`,
    expired: 'Nobody decided in time. Nothing was run.',
    canceled: `Nothing was run: ${body.ending?.reason ?? 'the agent gave up'}.`,
  };
  return words[body.state] ?? body.state;
}

function decisionForm(body) {
  const reason = h('textarea', { id: 'reason', rows: '2', maxlength: '500' });
  const phrase =
    body.phrase === null
      ? null
      : h('input', {
          id: 'phrase',
          type: 'text',
          autocomplete: 'off',
          autocapitalize: 'none',
          spellcheck: 'false',
        });
  const problem = h('p', { class: 'notice bad', role: 'alert', hidden: true });
  const press = async (verdict) => {
    problem.hidden = true;
    for (const button of buttons) button.disabled = true;
    try {
      await decide(verdict, reason.value.trim(), phrase?.value ?? null);
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
    for (const button of buttons) button.disabled = false;
  };
  // Not submit buttons: Enter in a field must not approve.
  const buttons = [
    h('button', { class: 'button approve', type: 'button', onclick: () => press('approve') }, 'Approve'),
    h('button', { class: 'button reject', type: 'button', onclick: () => press('reject') }, 'Reject'),
  ];
  return h(
    'form',
    { class: 'decision', onsubmit: (event) => event.preventDefault() },
    h('h2', {}, 'Decide'),
    phrase &&
      h('label', { for: 'phrase' }, 'Type ', h('code', {}, body.phrase), ' to show that you have read it'),
    phrase,
    h('label', { for: 'reason' }, 'Reason ', h('span', { class: 'quiet' }, 'the agent and the log get it')),
    reason,
    h('div', { class: 'buttons' }, ...buttons),
    problem,
  );
}

async function decide(verdict, reason, phrase) {
  const decision = { ...view.draft, verdict, reason };
  const evidence = phrase === null ? await signDecision(me, decision) : { kind: 'link', token, phrase };
  const answer = await fetch(`${path}/decisions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    // The canonical text, so that what is signed is what is sent.
    body: `{"decision":${canonical(decision)},"evidence":${JSON.stringify(evidence)}}`,
  });
  if (!answer.ok) throw new Error((await answer.json()).detail);
  await load();
}

function tick() {
  const left = document.querySelector('#left');
  if (left === null || view === null) return;
  left.textContent =
    view.state === 'pending' ? `${span(Date.parse(view.expires) - (Date.now() + skewMs))} left` : '';
}

start();
