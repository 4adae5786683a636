// List: the requests, for an approver whose key this browser has. Without one it says how to get there.

import { badge, clock, environmentBadge, fill, h, notice, span } from './draw.js';
import { identity, now, readAs } from './identity.js';
import { keyForm, showIdentity } from './keyform.js';

const pollMs = 3000;
const main = document.querySelector('#main');
const who = document.querySelector('#who');
let shown = 'pending';
let timer;

async function start() {
  const me = await identity();
  showIdentity(who, me);
  if (me === null) return welcome();
  await refresh(me);
  clearInterval(timer);
  timer = setInterval(() => document.visibilityState === 'visible' && refresh(me), pollMs);
}

function welcome(problem) {
  clearInterval(timer);
  fill(
    main,
    h('h1', {}, 'Requests'),
    problem ?? null,
    h(
      'p',
      {},
      'Nothing about requests is told without an identity. Open the link you were sent, or show who you are:',
    ),
    keyForm(start),
    h('h2', {}, 'No key yet?'),
    h('p', {}, 'Whoever runs this Holdpoint enrols you and gives you a key file:'),
    h('pre', { class: 'shell', tabindex: '0' }, 'holdpoint approver add NAME --generate name.jwk'),
    h('p', {}, 'Everything here can also be done on the command line:'),
    h('pre', { class: 'shell', tabindex: '0' }, 'holdpoint requests list --as NAME --key name.jwk'),
  );
}

async function refresh(me) {
  const path = `/api/requests${shown === 'pending' ? '?state=pending' : ''}`;
  let answer;
  try {
    answer = await readAs(me, path);
  } catch {
    return offline();
  }
  if (answer.status === 401) {
    return welcome(notice('bad', 'This key is not known here, or it was retired. Use another one.'));
  }
  const body = await answer.json();
  if (!answer.ok) return fill(main, h('h1', {}, 'Requests'), notice('bad', body.detail));
  draw(body.requests, me);
}

function offline() {
  if (document.querySelector('#offline') === null) {
    main.prepend(h('p', { class: 'notice bad', id: 'offline' }, 'No answer from Holdpoint; trying again.'));
  }
}

function draw(requests, me) {
  const tab = (state, words) =>
    h(
      'button',
      {
        class: 'tab',
        'aria-pressed': String(shown === state),
        onclick: () => {
          shown = state;
          refresh(me);
        },
      },
      words,
    );
  const focused = document.activeElement?.id;
  fill(
    main,
    h('h1', {}, 'Requests'),
    h(
      'div',
      { class: 'tabs', role: 'group', 'aria-label': 'Which requests' },
      tab('pending', 'Waiting'),
      tab('all', 'All'),
    ),
    requests.length === 0
      ? h(
          'p',
          { class: 'empty' },
          shown === 'pending' ? 'Nothing is waiting for a decision.' : 'No requests yet.',
        )
      : h('ul', { class: 'requests' }, ...requests.map(row)),
  );
  if (focused) document.getElementById(focused)?.focus();
}

function row(request) {
  const left = Date.parse(request.expires) - now();
  return h(
    'li',
    {},
    h(
      'a',
      { href: `/r/${request.id}`, id: `r-${request.id}` },
      h('strong', {}, [request.commands.join('; '), request.relations.join(', ')].filter(Boolean).join(' ')),
      h('span', { class: 'badges' }, badge(request.state), environmentBadge(request.environment)),
      h(
        'span',
        { class: 'quiet' },
        `${request.agent} on ${request.target} · `,
        request.state === 'pending' ? `${span(left)} left` : clock(request.created),
      ),
    ),
  );
}

start();
