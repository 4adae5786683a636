// Document: the frame around every page, and the inert shell for whoever has shown nothing yet. A shell holds no data and
// no identity: the same bytes for everybody and every request, so that link unfurlers and mail scanners get nothing.
// Pure. audit-approval §15 P1–P3.

import { html, raw } from 'hono/html';
import type { Child, Html } from './marks.ts';

export interface Frame {
  readonly title: string;
  /** What tokens are addressed to, which may not be the address in the bar. */
  readonly publicUrl: string;
  /** Files under /assets, as modules, in order. */
  readonly scripts: readonly string[];
  /** The signed-in approver. */
  readonly who?: string | undefined;
  /** Which entry of the bar is the page itself. */
  readonly at?: 'requests' | 'log' | 'account' | undefined;
  readonly main: Child;
  /** For scripts: where to hear of changes. */
  readonly events?: string | undefined;
}

/** In this order: the last one has the last word. */
const sheets = ['holdpoint.css', 'request.css', 'log.css', 'list.css'];

export function page({ title, publicUrl, scripts, who, at, main, events }: Frame): Html {
  return html`${raw('<!doctype html>')}
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta name="holdpoint-url" content="${publicUrl}">
    ${events === undefined ? '' : html`<meta name="holdpoint-events" content="${events}">`}
    <title>${title} · Holdpoint</title>
    <link rel="icon" href="/assets/mark.svg" type="image/svg+xml">
    ${sheets.map((sheet) => html`<link rel="stylesheet" href="/assets/${sheet}">`)}
    <script defer src="/assets/simplewebauthn.js"></script>
    ${scripts.map((script) => html`<script type="module" src="/assets/${script}"></script>`)}
  </head>
  <body>
    <a class="skip" href="#main">Skip to the content</a>
    <header class="bar">
      <a class="brand" href="/"><img src="/assets/mark.svg" alt="" width="22" height="22">Holdpoint</a>
      ${who === undefined ? '' : signedIn(who, at)}
    </header>
    <main id="main" tabindex="-1">${main}</main>
    <p id="heard" class="unseen" role="status"></p>
  </body>
</html>`;
}

function signedIn(who: string, at: Frame['at']): Html {
  const current = (here: boolean) => (here ? html` aria-current="page"` : '');
  return html`<nav class="nav" aria-label="Holdpoint">
        <a href="/"${current(at === 'requests')}>Requests</a>
        <a href="/log"${current(at === 'log')}>Log</a>
        <a href="/account"${current(at === 'account')}>${who}</a>
        <button class="link" type="button" id="signout" disabled>Sign out</button>
      </nav>`;
}

export interface ShellOptions {
  readonly publicUrl: string;
  /** Whether people can sign in at an OpenID provider. */
  readonly oidc: boolean;
}

/** What a browser gets that has shown nothing yet. Its script shows what the fragment or the cookie opens, or asks. */
export function shell(title: string, options: ShellOptions): Html {
  const main = html`
      <p class="quiet" id="loading">Loading…</p>
      <noscript>
        <p class="notice warn">This page needs JavaScript: what opens a request stands in the part of its address that
        browsers send to no server. Without it, use <code>holdpoint requests list --as NAME --key FILE</code>.</p>
      </noscript>
      <div class="narrow" id="stranger" hidden>
        <h1>${title}</h1>
        <p class="notice bad" id="refused" role="alert" hidden></p>
        <p>Nothing about requests is told without an identity. Open the complete link you were sent, or sign in:</p>
        ${signIn(options)}
        <h2>Nothing to sign in with yet?</h2>
        <p>Whoever runs this Holdpoint enrols you. They send you a link to register a passkey, or a key file:</p>
        <pre class="shell" tabindex="0">holdpoint approver add NAME --passkey
holdpoint approver add NAME --generate name.jwk</pre>
        <p>Everything here can also be done on the command line:</p>
        <pre class="shell" tabindex="0">holdpoint requests list --as NAME --key name.jwk</pre>
      </div>`;
  return page({ title, publicUrl: options.publicUrl, scripts: ['open.js'], main });
}

/** The ways to sign in. The same for everybody; a button is dead until a script works it and the browser can do it. */
export function signIn({ oidc }: Pick<ShellOptions, 'oidc'>): Html {
  return html`<div class="signin">
          <button class="button primary" type="button" id="passkey" disabled>Sign in with a passkey</button>
          ${oidc ? html`<button class="button" type="button" id="oidc" disabled>Sign in with single sign-on</button>` : ''}
          <span class="keyform">
            <input type="file" id="keyfile" accept=".jwk,.json,application/json">
            <label class="button" for="keyfile">Use a key file…</label>
          </span>
        </div>
        <p class="quiet">A key file stays in this browser and signs here; it is never sent.</p>
        <p class="notice bad" id="signin-problem" role="alert" hidden></p>`;
}
