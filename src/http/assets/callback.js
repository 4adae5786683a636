// Callback: a browser comes back from an OpenID provider. What the provider said is sent on, with the decision it was
// asked about, which this tab has kept; then the person is back where they began.

import { post } from './passkey.js';

async function finish() {
  const query = location.search.slice(1);
  history.replaceState(null, '', location.pathname);
  const shelf = `oidc ${new URLSearchParams(query).get('state')}`;
  const kept = sessionStorage.getItem(shelf);
  sessionStorage.removeItem(shelf);
  const decision = kept === null ? null : JSON.parse(kept);
  if (decision !== null) document.querySelector('#back').href = `/r/${decision.rid}`;
  try {
    const { back } = await post('/api/oidc/callback', { query, decision });
    location.replace(back);
  } catch (error) {
    document.querySelector('#loading').hidden = true;
    document.querySelector('#why').textContent = error.message;
    document.querySelector('#gone').hidden = false;
  }
}

finish();
