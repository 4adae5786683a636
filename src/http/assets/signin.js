// Sign-in: the buttons by which a person shows who they are, and the one that takes it back. Where a page has them, it
// works them. After either the page is loaded again, since it is drawn for whoever asks.

import { adopt, forget, identity, signInByKey } from './identity.js';
import { answered, post, usable } from './passkey.js';

/** Works the sign-in buttons of the page. */
export function offerSignIn() {
  const problem = document.querySelector('#signin-problem');
  const attempt = async (act) => {
    if (problem !== null) problem.hidden = true;
    try {
      await act();
    } catch (error) {
      if (problem === null) throw error;
      problem.textContent = error.message;
      problem.hidden = false;
    }
  };
  const passkey = document.querySelector('#passkey');
  if (passkey !== null) {
    const reason = usable();
    passkey.disabled = reason !== null;
    passkey.title = reason ?? '';
    passkey.onclick = () => attempt(byPasskey);
  }
  const file = document.querySelector('#keyfile');
  if (file !== null) {
    file.onchange = () => attempt(() => byKeyFile(file));
    // Chosen before this script was there.
    if (file.files.length > 0) file.onchange();
  }
  const oidc = document.querySelector('#oidc');
  if (oidc !== null) {
    oidc.disabled = false;
    oidc.onclick = () => attempt(byProvider);
  }
}

async function byPasskey() {
  const { options, ceremony } = await post('/api/session/passkey', {});
  const response = await answered(options);
  await post('/api/session', { passkey: response, ceremony });
  location.reload();
}

async function byKeyFile(file) {
  await adopt(file.files[0]);
  if (!(await signInByKey(await identity()))) {
    await forget();
    throw new Error('This key is not known here, or it was retired. Use another one.');
  }
  location.reload();
}

async function byProvider() {
  const { location: address } = await post('/api/session/oidc', { back: location.pathname });
  location.assign(address);
}

async function leave() {
  await fetch('/api/session', { method: 'DELETE' });
  await forget();
  location.assign('/');
}

offerSignIn();
const out = document.querySelector('#signout');
if (out !== null) {
  out.disabled = false;
  out.onclick = leave;
}
