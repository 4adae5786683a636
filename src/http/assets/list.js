// List: j and k move between requests, as arrow keys do in other lists. Everything works without it.

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { j: 1, k: -1 }[event.key];
  if (step === undefined || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
  const entries = [...document.querySelectorAll('.requests .entry')];
  if (entries.length === 0) return;
  const at = entries.indexOf(document.activeElement);
  const next = at === -1 ? (step === 1 ? 0 : entries.length - 1) : at + step;
  entries[Math.min(Math.max(next, 0), entries.length - 1)].focus();
  event.preventDefault();
});
