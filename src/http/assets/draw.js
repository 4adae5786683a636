// Draw: from values to elements. Every text from outside becomes a text node, never markup, and what a screen would hide
// is drawn as a mark. Knows no addresses and no identities.

/**
 * An element. `attributes` whose value is false or null are left out; names that begin with `on` are listeners.
 * Children are elements or texts; null and false are left out.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  return fill(element, ...children);
}

/** Makes these the children of an element; null and false are left out. */
export function fill(element, ...children) {
  const drawn = children.flat().filter((child) => child !== null && child !== undefined && child !== false);
  element.replaceChildren(...drawn);
  return element;
}

/** Segments of one line, as the server cut them. */
export function segments(line) {
  return line.map((segment) => {
    if (typeof segment === 'string') return segment;
    if (segment.foreign !== undefined) {
      return h(
        'span',
        { class: 'foreign', title: 'not ASCII: may look like another character' },
        segment.foreign,
      );
    }
    const times = segment.times > 1 ? ` ×${segment.times}` : '';
    return h('mark', { class: 'hidden', title: segment.name }, `${segment.hidden}${times}`);
  });
}

/** A text with numbered lines. */
export function numbered(text) {
  const lines = text.lines.map((line) => h('li', {}, h('code', {}, ...segments(line))));
  return h('ol', { class: 'sql', tabindex: '0', 'aria-label': 'the exact statement' }, ...lines);
}

/** A text without numbers; its line ends are drawn. */
export function flowing(text) {
  return h(
    'span',
    { class: 'flow' },
    ...text.lines.flatMap((line, index) => [index > 0 ? '\n' : null, ...segments(line)]),
  );
}

export const stateWords = {
  pending: 'Waiting for a decision',
  approved: 'Approved',
  consumed: 'Released',
  executed: 'Executed',
  failed: 'Released, and failed',
  unknown: 'Released, outcome unknown',
  rejected: 'Rejected',
  expired: 'Expired',
  canceled: 'Canceled',
};

export function badge(state) {
  return h('span', { class: `badge state-${state}` }, stateWords[state] ?? state);
}

export function environmentBadge(environment) {
  return h('span', { class: `badge env-${environment}` }, environment);
}

/** `4 min 10 s`; whole hours and minutes where there is time. */
export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 120) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  if (minutes >= 10) return `${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

export function clock(iso) {
  return h('time', { datetime: iso, title: iso }, new Date(iso).toLocaleString());
}

export function notice(kind, ...children) {
  return h('p', { class: `notice ${kind}`, role: kind === 'bad' ? 'alert' : 'status' }, ...children);
}
