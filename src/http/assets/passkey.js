// Passkey: challenges put to the browser's authenticators, and what they answer. The library from simplewebauthn.js does
// the conversions. Knows no requests.

const { startAuthentication, startRegistration, browserSupportsWebAuthn } =
  globalThis.SimpleWebAuthnBrowser ?? {};

const home = new URL(document.querySelector('meta[name="holdpoint-url"]').content);

/** Why this browser cannot use a passkey here; null if it can. */
export function usable() {
  if (browserSupportsWebAuthn === undefined || !browserSupportsWebAuthn())
    return 'This browser knows no passkeys on this page; they need https or localhost.';
  if (/^[\d.]+$|^\[/.test(home.hostname))
    return 'Passkeys belong to a host name; this Holdpoint has none in its publicUrl.';
  if (location.origin !== home.origin) return `Passkeys work at ${home.origin} only; open Holdpoint there.`;
  return null;
}

/** An authenticator's answer to `options`, as JSON. Throws an Error with a sentence for the person. */
export async function answered(options) {
  return told(() => startAuthentication({ optionsJSON: options }));
}

/** A new passkey by `options`, as JSON. */
export async function created(options) {
  return told(() => startRegistration({ optionsJSON: options }));
}

async function told(act) {
  const reason = usable();
  if (reason !== null) throw new Error(reason);
  try {
    return await act();
  } catch (error) {
    if (error.name === 'NotAllowedError')
      throw new Error('Nothing was signed: it was declined, it took too long, or there is no passkey here.');
    if (error.name === 'InvalidStateError') throw new Error('This device has a passkey of yours already.');
    throw new Error(`The authenticator answered: ${error.message}`);
  }
}

/** POSTs JSON and reads JSON. Throws an Error with the server's own sentence. */
export async function post(path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  } catch {
    throw new Error('No answer from Holdpoint; try again.');
  }
  const read = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(read.detail ?? `Holdpoint answered ${answer.status}.`);
  return read;
}
