// Enrol: registers a passkey by the link's token, which stands in the fragment and in no address after that. Loading the
// page uses nothing up: the link is spent when an authenticator has made a passkey.

import { created, post, usable } from './passkey.js';

const shelf = 'enrolment';
const token = takenToken();
const show = (id) => {
  for (const each of ['loading', 'ask', 'done', 'gone']) document.getElementById(each).hidden = each !== id;
};

function takenToken() {
  const given = location.hash.slice(1);
  if (given !== '') {
    sessionStorage.setItem(shelf, given);
    history.replaceState(null, '', location.pathname);
  }
  return given || sessionStorage.getItem(shelf) || '';
}

const asBearer = { Authorization: `Bearer ${token}` };

async function start() {
  const reason = usable();
  if (reason !== null) return gone(reason);
  if (token === '') return gone('Open the complete link you were sent.');
  try {
    const { name } = await post('/api/enrol/options', {}, asBearer);
    document.querySelector('#name').textContent = name;
  } catch (error) {
    return gone(error.message);
  }
  document.querySelector('#create').onclick = register;
  show('ask');
}

async function register() {
  const problem = document.querySelector('#problem');
  const button = document.querySelector('#create');
  problem.hidden = true;
  button.disabled = true;
  try {
    const { options, ceremony } = await post('/api/enrol/options', {}, asBearer);
    const response = await created(options);
    const { name } = await post('/api/enrol', { response, ceremony }, asBearer);
    sessionStorage.removeItem(shelf);
    document.querySelector('#as').textContent = name;
    show('done');
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
  button.disabled = false;
}

function gone(why) {
  document.querySelector('#why').textContent = why;
  show('gone');
}

start();
