// Identity: an approver's key in this browser. The private key is read from the file once, kept as a key that cannot be
// exported again, and signs in the browser: it is never sent anywhere. Knows how to sign; does not know what.

const database = 'holdpoint';
const shelf = 'keys';
const accessSeconds = 50;
/** Server's clock minus ours. */
let skewMs = 0;

/** The key in use: `{ kid, key }`, or null. */
export async function identity() {
  try {
    return (await onShelf('readonly', (store) => store.get('approver'))) ?? null;
  } catch {
    return null;
  }
}

/** Takes a private JWK file as the identity. Throws an Error with a sentence for the person. */
export async function adopt(file) {
  if (file.size > 10_000) throw new Error('This file is too large to be a key.');
  let jwk;
  try {
    jwk = JSON.parse(await file.text());
  } catch {
    throw new Error(
      'This file is not a JSON Web Key. It is the file that "holdpoint approver add NAME --generate FILE" wrote.',
    );
  }
  if (
    jwk?.kty !== 'OKP' ||
    jwk?.crv !== 'Ed25519' ||
    typeof jwk?.d !== 'string' ||
    typeof jwk?.x !== 'string'
  ) {
    throw new Error('This is not a private Ed25519 key.');
  }
  let key;
  try {
    const plain = { kty: 'OKP', crv: 'Ed25519', x: jwk.x, d: jwk.d };
    key = await crypto.subtle.importKey('jwk', plain, 'Ed25519', false, ['sign']);
  } catch {
    throw new Error('This browser cannot sign with Ed25519. Use a newer one, or the command line.');
  }
  const kid = await sha256(`{"crv":"Ed25519","kty":"OKP","x":"${jwk.x}"}`);
  await onShelf('readwrite', (store) => store.put({ kid, key }, 'approver'));
}

export async function forget() {
  await onShelf('readwrite', (store) => store.delete('approver'));
}

/** The server's time: its clock may not be ours, and tokens live by its. */
function now() {
  return Date.now() + skewMs;
}

/** Begins a visit as the owner of the key; true if the server knows it. Each token is good for a minute, once. */
export async function signInByKey(who) {
  let answer = await begin(who);
  // A wrong clock is one reason to be refused, and the answer carries the right time.
  const date = Date.parse(answer.headers.get('Date') ?? '');
  if (answer.status === 401 && !Number.isNaN(date) && Math.abs(date - now()) > 2000) {
    skewMs = date - Date.now();
    answer = await begin(who);
  }
  return answer.ok;
}

async function begin(who) {
  return fetch('/api/session', {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Authorization: await accessHeader(who, 'POST', '/api/session'),
    },
    body: '{}',
  });
}

async function accessHeader(who, method, path) {
  const iat = Math.floor(now() / 1000);
  const jti = base64url(crypto.getRandomValues(new Uint8Array(16)));
  const aud = document.querySelector('meta[name="holdpoint-url"]').content;
  const claims = { aud, htm: method, htu: path, iat, exp: iat + accessSeconds, jti };
  return `Bearer ${await jws(who, 'holdpoint-access+jws', JSON.stringify(claims))}`;
}

/** Evidence over a decision. */
export async function signDecision(who, decision) {
  return { kind: 'jws', jws: await jws(who, 'holdpoint-decision+jws', canonical(decision)) };
}

/** RFC 8785 for objects of strings, integers and such objects, which a decision is. */
export function canonical(value) {
  if (typeof value !== 'object') return JSON.stringify(value);
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`;
}

/** base64url(SHA-256) of a text. */
export async function sha256(text) {
  return base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))));
}

async function jws(who, typ, payload) {
  const part = (text) => base64url(new TextEncoder().encode(text));
  const signed = `${part(JSON.stringify({ alg: 'Ed25519', typ, kid: who.kid }))}.${part(payload)}`;
  const signature = await crypto.subtle.sign('Ed25519', who.key, new TextEncoder().encode(signed));
  return `${signed}.${base64url(new Uint8Array(signature))}`;
}

export function base64url(bytes) {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function onShelf(mode, use) {
  return new Promise((done, fail) => {
    const opening = indexedDB.open(database, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(shelf);
    opening.onerror = () => fail(opening.error);
    opening.onsuccess = () => {
      const request = use(opening.result.transaction(shelf, mode).objectStore(shelf));
      request.onsuccess = () => done(request.result);
      request.onerror = () => fail(request.error);
    };
  });
}
