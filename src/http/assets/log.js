// Log: the filter's form leads to an address that says what is asked for, and no more. Whether the form is open is kept.

const details = document.querySelector('.filter');
const form = document.querySelector('#filter');
const wide = matchMedia('(min-width: 48rem)');

if (details !== null) {
  const kept = sessionStorage.getItem('log filter');
  details.open = kept === null ? wide.matches || details.dataset.closed === undefined : kept === 'open';
  details.addEventListener('toggle', () =>
    sessionStorage.setItem('log filter', details.open ? 'open' : 'closed'),
  );
}

form?.addEventListener('submit', (event) => {
  event.preventDefault();
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value.trim() !== '') query.set(name, value.trim());
  location.assign(query.size === 0 ? '/log' : `/log?${query}`);
});
