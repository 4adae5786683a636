// Live: keeps an open page true. It hears that something changed, fetches the page again, and puts the parts that differ
// in their places: parts carry the state they show, so what a person types stays. Without a stream it asks now and then.

const pollMs = 5000;
const minuteMs = 60_000;
const events = document.querySelector('meta[name="holdpoint-events"]')?.content;
let source = null;
let skewMs = 0;
let fetching = false;
let again = false;

/** Puts the parts of the page that differ in their places. Says so to whoever cannot see it. */
export async function refresh() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  try {
    const fresh = await fetched();
    if (fresh === null) return;
    for (const part of document.querySelectorAll('[data-live]')) {
      const other = fresh.getElementById(part.id);
      // Signed out, or the visit is over: what is on the screen is not true any more.
      if (other === null) return location.reload();
      if (other.dataset.rev === part.dataset.rev) continue;
      const focused = document.activeElement?.id;
      part.replaceWith(document.importNode(other, true));
      if (focused) document.getElementById(focused)?.focus();
      if (part.id === 'state') say(other.textContent.trim());
    }
    drawTimes();
    document.dispatchEvent(new CustomEvent('holdpoint:drawn'));
  } finally {
    fetching = false;
    if (again) {
      again = false;
      refresh();
    }
  }
}

/** The page as it is now, or null where nothing answers. A document of this kind runs no scripts. */
function fetched() {
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open('GET', location.pathname + location.search);
    request.responseType = 'document';
    request.onload = () => {
      offline(false);
      done(request.response);
    };
    request.onerror = () => {
      offline(true);
      done(null);
    };
    request.send();
  });
}

function offline(is) {
  const shown = document.querySelector('#offline');
  if (!is) shown?.remove();
  if (!is || shown !== null) return;
  const notice = document.createElement('p');
  notice.id = 'offline';
  notice.className = 'notice bad';
  notice.textContent = 'No answer from Holdpoint; trying again.';
  document.querySelector('#main').prepend(notice);
}

function say(words) {
  document.querySelector('#heard').textContent = words;
}

function listen() {
  if (events === undefined) return;
  source = new EventSource(events);
  source.addEventListener('changed', refresh);
  source.addEventListener('open', () => refresh());
}

/** True while nothing is heard: then the page asks. */
const deaf = () => source === null || source.readyState !== EventSource.OPEN;

function drawTimes() {
  for (const element of document.querySelectorAll('time:not([data-local])')) {
    const date = new Date(element.dateTime);
    const today = date.toDateString() === new Date().toDateString();
    element.title = element.dateTime;
    element.textContent = today ? date.toLocaleTimeString() : date.toLocaleString();
    element.dataset.local = '';
  }
  const left = document.querySelector('[data-now]');
  if (left !== null) skewMs = Number(left.dataset.now) - Date.now();
  count();
}

function count() {
  for (const element of document.querySelectorAll('[data-until]')) {
    delete element.dataset.now;
    const ms = Number(element.dataset.until) - (Date.now() + skewMs);
    element.textContent = ms > 0 ? `${span(ms)} left` : 'no time left';
    element.classList.toggle('soon', ms < 2 * minuteMs);
    if (ms <= 0 && element.dataset.over === undefined) {
      element.dataset.over = '';
      setTimeout(refresh, 300);
    }
  }
}

function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 120) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  if (minutes >= 10) return `${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

for (const key of Object.keys(sessionStorage)) if (key.startsWith('loads ')) sessionStorage.removeItem(key);
drawTimes();
listen();
setInterval(count, 1000);
setInterval(() => document.visibilityState === 'visible' && deaf() && refresh(), pollMs);
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && refresh());
