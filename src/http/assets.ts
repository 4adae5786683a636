// Assets: the scripts and the style that pages load, all from this server. Read once, so that a missing one is an error at
// the start and not at the first look. Refuses to serve anything else.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Hono } from 'hono';
import { HoldpointError } from '../errors.ts';

const types: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

const own = [
  'account.js',
  'callback.js',
  'decide.js',
  'enrol.js',
  'holdpoint.css',
  'identity.js',
  'list.css',
  'list.js',
  'live.js',
  'log.css',
  'log.js',
  'mark.svg',
  'open.js',
  'passkey.js',
  'request.css',
  'signin.js',
];

/** The browser's half of the passkey library, as its package ships it. */
const webauthn = 'simplewebauthn.js';

/** The routes under /assets. */
export function assets(): Hono {
  const files = new Map(
    own.map((name) => [name, new Uint8Array(readFileSync(new URL(`assets/${name}`, import.meta.url)))]),
  );
  files.set(webauthn, new Uint8Array(readFileSync(bundleOf('@simplewebauthn/browser'))));
  const app = new Hono();
  app.get('/:name', (c) => {
    const name = c.req.param('name');
    const bytes = files.get(name);
    if (bytes === undefined) throw new HoldpointError('not-found', `there is no file ${name.slice(0, 40)}`);
    return c.body(bytes, 200, {
      'Content-Type': types[name.slice(name.lastIndexOf('.') + 1)] ?? 'text/plain',
    });
  });
  return app;
}

/** Its `require` entry is PACKAGE/script/index.js; beside that folder stands the bundle for browsers. */
function bundleOf(name: string): string {
  const entry = createRequire(import.meta.url).resolve(name);
  return join(dirname(entry), '..', 'dist', 'bundle', 'index.umd.min.js');
}
