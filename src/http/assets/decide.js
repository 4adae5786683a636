// Decide: a person's decision made, signed and sent. What is signed names the digest that this page was drawn with; the
// request is fetched and digested here again, so a page that shows one thing and has another signed would have to lie
// in its scripts too. Nothing is decided without a signature, a link's phrase, or a provider's word.

import { adopt, base64url, canonical, identity, sha256, signDecision } from './identity.js';
import { refresh } from './live.js';
import { answered, post } from './passkey.js';

const rid = location.pathname.split('/')[2];

const form = () => document.querySelector('#decision');
const field = (name) => form().querySelector(`#${name}`);

/** What the person chose, as members of the decision. */
function reach(verdict, draft) {
  if (verdict !== 'approve' || form().querySelector('.reach') === null) return {};
  const rows = field('rowsmax').value.trim();
  const chosen = form().querySelector('[name="scope"]:checked').value;
  const bound = rows === '' ? {} : { rowsMax: whole('rowsmax', 0) };
  if (chosen !== 'fingerprint') return bound;
  // By the server's clock, and not beyond the request.
  const until = Math.min(draft.nbf + whole('minutes', 1) * 60_000, draft.exp);
  return {
    ...bound,
    scope: { kind: 'fingerprint', until, usesMax: whole('uses', 1), rowsMax: whole('sumrows', 1) },
  };
}

function whole(name, least) {
  const input = field(name);
  const value = Number(input.value);
  if (Number.isSafeInteger(value) && value >= least) return value;
  input.focus();
  throw new Error(`"${input.value}" is not a whole number from ${least} on.`);
}

/** The decision, complete, on the request that this page shows. */
async function decisionOf(verdict, way) {
  const answer = await fetch(`/api/requests/${rid}`);
  const view = await answer.json();
  if (!answer.ok) throw new Error(view.detail);
  if (view.draft === null) throw new Error('This request can no longer be decided.');
  const digest = await sha256(`holdpoint-request-v1\0${view.request}`);
  if (digest !== view.digest || digest !== form().dataset.digest)
    throw new Error(
      'The digest does not fit what this page shows. Do not approve; tell whoever runs Holdpoint.',
    );
  const reason = field('reason').value.trim();
  if (!reason.isWellFormed()) throw new Error('The reason holds half of a character.');
  return {
    ...view.draft,
    verdict,
    reason,
    ...(way.level && { level: way.level }),
    ...reach(verdict, view.draft),
  };
}

const evidence = {
  async webauthn(decision) {
    const bytes = new TextEncoder().encode(canonical(decision));
    const challenge = base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
    const { id, response } = await answered({
      challenge,
      rpId: new URL(decision.aud).hostname,
      allowCredentials: JSON.parse(form().dataset.passkeys),
      userVerification: 'required',
      timeout: 120_000,
    });
    const { authenticatorData, clientDataJSON, signature, userHandle } = response;
    return {
      kind: 'webauthn',
      id,
      authenticatorData,
      clientDataJSON,
      signature,
      ...(userHandle && { userHandle }),
    };
  },
  async jws(decision) {
    const key = await identity();
    if (key === null) {
      showKeyForm();
      throw new Error('This browser does not have your key; choose its file.');
    }
    return signDecision(key, decision);
  },
  async link() {
    const token = sessionStorage.getItem(rid);
    if (token === null) throw new Error('Open the link you were sent again: this tab does not have it.');
    return { kind: 'link', token, phrase: field('phrase').value };
  },
};

async function decide(verdict) {
  const radio = form().querySelector('[name="way"]:checked');
  const way = radio === null ? { kind: 'link' } : { kind: radio.value, level: radio.dataset.level };
  const decision = await decisionOf(verdict, way);
  if (way.kind === 'oidc') return stepUp(decision);
  const proof = await evidence[way.kind](decision);
  // The canonical text, so that what is signed is what is sent.
  await post(
    `/api/requests/${rid}/decisions`,
    `{"decision":${canonical(decision)},"evidence":${JSON.stringify(proof)}}`,
  );
  await refresh();
}

/** The provider signs for the decision's digest; callback.js takes it up again when it sends the browser back. */
async function stepUp(decision) {
  const text = canonical(decision);
  const { location: address, state } = await post(`/api/requests/${rid}/oidc`, `{"decision":${text}}`);
  sessionStorage.setItem(`oidc ${state}`, text);
  location.assign(address);
}

function showKeyForm() {
  const place = form().querySelector('.ways');
  if (form().querySelector('#decidekey') !== null) return;
  const input = document.createElement('input');
  input.type = 'file';
  input.id = 'decidekey';
  input.onchange = () => attempt(async () => void (await adopt(input.files[0])));
  place.after(input);
}

async function attempt(act) {
  const problem = form().querySelector('.notice.bad');
  const buttons = [...form().querySelectorAll('button')].filter((button) => !button.disabled);
  problem.hidden = true;
  for (const button of buttons) button.disabled = true;
  try {
    await act();
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
  for (const button of buttons) button.disabled = false;
}

// On the document, since the form is drawn again when the request changes. No button submits: Enter must not approve.
document.addEventListener('click', (event) => {
  const button = event.target.closest('#decision .approve, #decision .reject');
  if (button !== null) attempt(() => decide(button.classList.contains('approve') ? 'approve' : 'reject'));
});
document.addEventListener('click', async (event) => {
  if (event.target.id !== 'revoke') return;
  event.target.disabled = true;
  await post(`/api/requests/${rid}/revocations`, { reason: '' }).catch((error) => {
    event.target.after(` ${error.message}`);
  });
  await refresh();
});
document.addEventListener('submit', (event) => event.preventDefault());
document.addEventListener('change', (event) => {
  if (event.target.name === 'scope')
    form().querySelector('.shape').hidden = event.target.value !== 'fingerprint';
  if (event.target.name === 'way') allow();
});

/** The buttons work from here on; an approval by what is chosen has to be strong enough, a rejection always is. */
function allow() {
  const revoke = document.querySelector('#revoke');
  if (revoke !== null) revoke.disabled = false;
  if (form() === null) return;
  const radio = form().querySelector('[name="way"]:checked');
  form().querySelector('.approve').disabled = radio !== null && radio.dataset.approves === undefined;
  form().querySelector('.reject').disabled = false;
}
allow();
document.addEventListener('holdpoint:drawn', allow);
