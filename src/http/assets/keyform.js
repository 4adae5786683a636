// Key form: how a person shows this browser who they are, and takes it back. Draws; the keys are identity.js's.

import { h } from './draw.js';
import { adopt, forget } from './identity.js';

/** The form that takes a key file. `then` runs once there is an identity. */
export function keyForm(then) {
  const problem = h('p', { class: 'notice bad', role: 'alert', hidden: true });
  const take = async (event) => {
    try {
      await adopt(event.target.files[0]);
      await then();
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
  };
  return h(
    'div',
    { class: 'keyform' },
    h('input', { type: 'file', id: 'keyfile', accept: '.jwk,.json,application/json', onchange: take }),
    h('label', { class: 'button', for: 'keyfile' }, 'Use an approver’s key file…'),
    h('p', { class: 'quiet' }, 'The key stays in this browser and signs here; it is never sent.'),
    problem,
  );
}

/** Shows in the page's bar whether a key is in use, and lets go of it. */
export function showIdentity(bar, me) {
  const leave = async () => {
    await forget();
    location.reload();
  };
  bar.replaceChildren(
    ...(me === null ? [] : ['key in use · ', h('button', { class: 'link', onclick: leave }, 'forget it')]),
  );
}
