// Account: what one approver is known by, for themselves, and the page that registers a first passkey. Pure.

import { html } from 'hono/html';
import { relyingParty } from '../../approval/webauthn.ts';
import type { Person } from '../people.ts';
import { page } from './document.ts';
import { type Html, moment, name, notice } from './marks.ts';

export function accountMain(person: Person): Html {
  const { keys, ssh, oidc, passkeys, source } = person;
  const own = source === 'file';
  return html`<div class="narrow">
    <div class="head"><h1>${person.name}</h1></div>
    <p class="lead">What you are known by here. Every decision is signed by one of these.</p>
    <section id="passkeys"><h2>Passkeys</h2>
      ${passkeys.length === 0 ? html`<p class="quiet">None yet.</p>` : html`<ul class="credentials">${passkeys.map((each) => passkeyItem(each, own))}</ul>`}
      ${
        own && passkeys.length > 0
          ? html`<div class="buttons"><button class="button" type="button" id="add" disabled>Add a passkey…</button></div>`
          : html`<p class="quiet">${
              own
                ? 'Whoever runs Holdpoint makes a link for the first one:'
                : 'They stand in the configuration file, and are changed there.'
            }</p>${own ? html`<pre class="shell" tabindex="0">holdpoint approver add ${person.name} --passkey</pre>` : ''}`
      }
      <p class="notice bad" id="problem" role="alert" hidden></p>
    </section>
    ${plainList(
      'Key files',
      keys.map(({ kid }) => kid),
    )}
    ${plainList(
      'SSH keys',
      ssh.map(({ fingerprint }) => fingerprint),
    )}
    ${plainList(
      'Accounts',
      oidc.map(({ issuer, subject }) => `${subject} at ${issuer}`),
    )}
  </div>`;
}

function passkeyItem(
  { id, createdAt, backedUp, transports, algorithm }: Person['passkeys'][number],
  own: boolean,
): Html {
  const where = transports.includes('internal')
    ? 'this kind of device'
    : transports.join(', ') || 'a security key';
  return html`<li><span>${name(`${id.slice(0, 16)}${id.length > 16 ? '…' : ''}`)}
      <span class="quiet">${backedUp ? 'synchronised' : 'on one device'} · ${where} · ${algorithms[algorithm] ?? algorithm} · since ${moment(createdAt)}</span></span>
    ${own ? html`<button class="button small reject" type="button" data-retire="${id}" disabled>Retire</button>` : ''}</li>`;
}

const algorithms: Readonly<Record<number, string>> = {
  [-8]: 'EdDSA',
  [-7]: 'ES256',
  [-35]: 'ES384',
  [-257]: 'RS256',
};

function plainList(title: string, items: readonly string[]): Html | '' {
  if (items.length === 0) return '';
  return html`<section><h2>${title}</h2><ul class="facts">${items.map((item) => html`<li>${name(item)}</li>`)}</ul></section>`;
}

/** The page of an enrolment link: the same for everybody; its script reads the fragment. */
export function enrolPage(publicUrl: string): Html {
  const main = html`
      <p class="quiet" id="loading">Loading…</p>
      <noscript>${notice('warn', 'This page needs JavaScript: registering a passkey is done by the browser.')}</noscript>
      <div class="narrow" id="ask" hidden>
        <h1>Register a passkey</h1>
        <p>You become the approver <b id="name"></b> at <b>${relyingParty(publicUrl).rpId}</b>. From then on, decisions under this
        name are signed by the passkey you make now: by your fingerprint, face or PIN, on this device or a security key.</p>
        <p class="quiet">The link is good once. If that is not your name, close this page and tell whoever sent it.</p>
        <div class="signin"><button class="button primary" type="button" id="create">Register a passkey</button></div>
        <p class="notice bad" id="problem" role="alert" hidden></p>
      </div>
      <div class="narrow" id="done" hidden>
        <h1>Registered</h1>
        <p class="notice good">You are signed in as <b id="as"></b>, and can decide what waits.</p>
        <p><a class="button primary" href="/">See the requests</a></p>
      </div>
      <div class="narrow" id="gone" hidden>
        <h1>Register a passkey</h1>
        <p class="notice bad" id="why" role="alert"></p>
      </div>`;
  return page({ title: 'Register a passkey', publicUrl, scripts: ['enrol.js'], main });
}

/** Where an OpenID provider sends the browser back to: the same for everybody; its script takes up what was begun. */
export function callbackPage(publicUrl: string): Html {
  const main = html`
      <p class="quiet" id="loading">Coming back from your provider…</p>
      <noscript>${notice('warn', 'This page needs JavaScript to finish what you began.')}</noscript>
      <div class="narrow" id="gone" hidden>
        <h1>Not done</h1>
        <p class="notice bad" id="why" role="alert"></p>
        <p><a class="button" id="back" href="/">Back</a></p>
      </div>`;
  return page({ title: 'Single sign-on', publicUrl, scripts: ['callback.js'], main });
}
