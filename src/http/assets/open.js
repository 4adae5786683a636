// Open: what the shell does: shows what the link, the cookie or the key in this browser opens, by loading the page again
// once one of them has begun a visit; else it asks who is there. Loading it decides nothing.

import { identity, signInByKey } from './identity.js';
import { offerSignIn } from './signin.js';

const rid = location.pathname.startsWith('/r/') ? location.pathname.split('/')[2] : null;
const loads = `loads ${location.pathname}`;
const loadsMax = 3;

/** Takes the token out of the address, so that it is in no history entry and no copied link; a reload still has it. */
function keptToken() {
  if (rid === null) return null;
  const given = location.hash.slice(1);
  if (given.includes('.')) {
    sessionStorage.setItem(rid, given);
    history.replaceState(null, '', location.pathname + location.search);
    return given;
  }
  return sessionStorage.getItem(rid);
}

async function start() {
  const token = keptToken();
  let refused = null;
  try {
    const visit = await (await fetch(rid === null ? '/api/session' : `/api/session?rid=${rid}`)).json();
    if (visit.kind === 'approver') return again();
    const key = await identity();
    if (key !== null && (await signInByKey(key))) return again();
    if (key !== null) refused = 'The key in this browser is not known here, or it was retired.';
    if (visit.kind === 'link') return again();
    if (token !== null) {
      if (await openedByLink(token)) return again();
      refused = 'This link does not open this request. It may be cut short, or past its time.';
    }
  } catch {
    refused = 'No answer from Holdpoint. Load the page again.';
  }
  stranger(refused);
}

async function openedByLink(token) {
  const answer = await fetch('/api/session', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
    body: JSON.stringify({ rid }),
  });
  return answer.ok;
}

/** Loads the page, which is drawn now. A browser that keeps no cookies would load it for ever. */
function again() {
  const count = Number(sessionStorage.getItem(loads) ?? 0);
  if (count >= loadsMax) {
    sessionStorage.removeItem(loads);
    return stranger('This browser keeps no cookie for Holdpoint; allow it, and load the page again.');
  }
  sessionStorage.setItem(loads, String(count + 1));
  location.reload();
}

function stranger(refused) {
  document.querySelector('#loading').hidden = true;
  document.querySelector('#stranger').hidden = false;
  const words = document.querySelector('#refused');
  words.hidden = refused === null;
  words.textContent = refused ?? '';
  offerSignIn();
}

start();
