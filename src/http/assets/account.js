// Account: further passkeys, and the end of one. For both, a passkey the person has answers first.

import { answered, created, post } from './passkey.js';

async function attempt(button, act) {
  const problem = document.querySelector('#problem');
  problem.hidden = true;
  button.disabled = true;
  try {
    await act();
    location.reload();
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
  button.disabled = false;
}

/** The answer of a passkey the person has, as the next step wants it. */
async function proved(what) {
  const { options, ceremony } = await post('/api/passkeys/prove', what);
  return { passkey: await answered(options), ceremony };
}

async function add() {
  const { options, ceremony } = await post('/api/passkeys/options', await proved({ act: 'add' }));
  await post('/api/passkeys', { response: await created(options), ceremony });
}

async function retire(id) {
  await post('/api/passkeys/retire', await proved({ act: 'retire', id }));
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('#add, [data-retire]');
  if (button === null) return;
  attempt(button, () => (button.id === 'add' ? add() : retire(button.dataset.retire)));
});
for (const button of document.querySelectorAll('#add, [data-retire]')) button.disabled = false;
