// Pages: the shells that a browser loads, and the script and style they load. A shell holds no data and no identity: the
// same bytes for everybody and every request, so that link unfurlers and mail scanners get nothing and change nothing.
// The script reads the fragment, which no server sees. audit-approval §15 P1–P3.

import { readFileSync } from 'node:fs';
import { Hono } from 'hono';
import { html, raw } from 'hono/html';
import { isRid } from '../approval/request.ts';
import { HoldpointError } from '../errors.ts';

/** Sent with every answer of this server. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'Cache-Control': 'no-store',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), microphone=(), geolocation=()',
  'X-Robots-Tag': 'noindex, nofollow',
};

const assetTypes: Readonly<Record<string, string>> = {
  'request.js': 'text/javascript; charset=utf-8',
  'list.js': 'text/javascript; charset=utf-8',
  'identity.js': 'text/javascript; charset=utf-8',
  'keyform.js': 'text/javascript; charset=utf-8',
  'draw.js': 'text/javascript; charset=utf-8',
  'holdpoint.css': 'text/css; charset=utf-8',
  'mark.svg': 'image/svg+xml',
};

/**
 * The shells and their assets. `publicUrl` is what tokens are addressed to, which may not be the address in the bar.
 * Assets are read once, here: a missing one is an error at the start, not at the first look.
 */
export function pages(publicUrl: string): Hono {
  const assets = new Map(
    Object.keys(assetTypes).map((name) => [name, readFileSync(new URL(`assets/${name}`, import.meta.url))]),
  );
  const app = new Hono();
  app.get('/', (c) => c.html(shell('Requests', 'list.js', publicUrl)));
  app.get('/r/:rid', (c) => {
    if (!isRid(c.req.param('rid')))
      throw new HoldpointError('not-found', 'this is not the address of a request');
    return c.html(shell('Request', 'request.js', publicUrl));
  });
  app.get('/assets/:name', (c) => {
    const name = c.req.param('name');
    const bytes = assets.get(name);
    if (bytes === undefined) throw new HoldpointError('not-found', `there is no file ${name.slice(0, 40)}`);
    return c.body(new Uint8Array(bytes), 200, { 'Content-Type': assetTypes[name] ?? 'text/plain' });
  });
  return app;
}

function shell(title: string, script: string, publicUrl: string) {
  return html`${raw('<!doctype html>')}
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta name="holdpoint-url" content="${publicUrl}">
    <title>${title} · Holdpoint</title>
    <link rel="icon" href="/assets/mark.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/assets/holdpoint.css">
    <script type="module" src="/assets/${script}"></script>
  </head>
  <body>
    <header class="bar">
      <a class="brand" href="/"><img src="/assets/mark.svg" alt="" width="22" height="22">Holdpoint</a>
      <span id="who" class="who"></span>
    </header>
    <main id="main">
      <p class="quiet" id="loading">Loading…</p>
      <noscript>
        <p class="notice">This page needs JavaScript: what opens a request stands in the part of its address that browsers
        send to no server. Without it, use <code>holdpoint requests list --as NAME --key FILE</code>.</p>
      </noscript>
    </main>
  </body>
</html>`;
}
