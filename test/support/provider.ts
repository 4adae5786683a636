// An OpenID provider for tests: `oidc-provider`, a certified one, in this process, with its own pages for signing in.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Provider } from 'oidc-provider';
import type { Page } from 'playwright-core';

export interface TestProvider {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  close(): Promise<void>;
}

/** Listens on a loopback port. Whoever types a name is that subject. */
export async function startProvider(redirectUri: string): Promise<TestProvider> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const [clientId, clientSecret] = ['holdpoint', 'a secret of this test'];
  const provider = new Provider(issuer, {
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUri] }],
    // Its development pages take any name and password.
    features: { devInteractions: { enabled: true } },
    cookies: { keys: ['a cookie key of this test'] },
  });
  server.on('request', provider.callback());
  return { issuer, clientId, clientSecret, close: () => closed(server) };
}

/** Signs in at the provider's page; the first time it also asks whether Holdpoint may know. */
export async function signInAtProvider(page: Page, name: string, first = true): Promise<void> {
  await page.fill('input[name=login]', name);
  await page.fill('input[name=password]', 'anything');
  await page.click('button[type=submit]');
  if (first) await page.click('button[autofocus], button[type=submit]');
}

function closed(server: Server): Promise<void> {
  return new Promise((done) => {
    server.close(() => done());
    server.closeAllConnections();
  });
}
