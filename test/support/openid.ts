// A real OpenID provider on a loopback port: oidc-provider, with one login form's worth of behaviour of its own, and a
// person who signs in there without a browser. Its keys can be rotated, and it can go away.

import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import Provider from 'oidc-provider';

export const clientId = 'holdpoint';
export const otherClientId = 'wiki';
const clientSecret = 'a secret of forty characters and some more';

/** How a person signs in this time. Times are milliseconds since the epoch. */
export interface SignIn {
  readonly account: string;
  readonly acr?: string;
  readonly signedInAt?: number;
}

export class OpenIdProvider {
  readonly issuer: string;
  readonly redirectUri: string;
  readonly #server: Server;
  #handle: ReturnType<Provider['callback']>;
  #provider: Provider;
  #next: SignIn = { account: 'nobody' };

  private constructor(server: Server, issuer: string, redirectUri: string, provider: Provider) {
    this.#server = server;
    this.issuer = issuer;
    this.redirectUri = redirectUri;
    this.#provider = provider;
    this.#handle = provider.callback();
    server.on('request', (request, response) => {
      if (!request.url?.startsWith('/interaction/')) return this.#handle(request, response);
      const { account, acr, signedInAt } = this.#next;
      const ts = Math.floor((signedInAt ?? Date.now()) / 1000);
      const login = { accountId: account, ts, ...(acr !== undefined && { acr }) };
      return void this.#provider.interactionFinished(request, response, { login });
    });
  }

  /** `redirectUri`: where codes go; any address will do for `signIn`, which takes the code out of it. */
  static async start(redirectUri = 'http://127.0.0.1/oidc/callback'): Promise<OpenIdProvider> {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return new OpenIdProvider(server, issuer, redirectUri, await providerAt(issuer, redirectUri));
  }

  /** New signing keys, as after a compromise: the old ones are published no more. */
  async rotateKeys(): Promise<void> {
    this.#provider = await providerAt(this.issuer, this.redirectUri);
    this.#handle = this.#provider.callback();
  }

  /** Chooses who signs in next, and how: a browser that comes is that person. */
  next(signIn: SignIn): void {
    this.#next = signIn;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  /** The ID token of an authorization-code flow with this nonce. */
  async signIn(signIn: SignIn, nonce: string, client = clientId): Promise<string> {
    this.next(signIn);
    const cookies = new Map<string, string>();
    const query = new URLSearchParams({
      client_id: client,
      response_type: 'code',
      redirect_uri: this.redirectUri,
      scope: 'openid',
      nonce,
      state: randomBytes(8).toString('hex'),
      prompt: 'login',
    });
    let url = `${this.issuer}/auth?${query}`;
    while (url.startsWith(this.issuer)) {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const answer = await fetch(url, { redirect: 'manual', headers: { cookie } });
      for (const set of answer.headers.getSetCookie()) {
        const [pair = ''] = set.split(';');
        cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
      }
      const to = answer.headers.get('location');
      if (to === null) throw new Error(`the provider answered ${answer.status}: ${await answer.text()}`);
      url = new URL(to, url).href;
    }
    const code = new URL(url).searchParams.get('code');
    if (code === null) throw new Error(`the provider sent ${url}`);
    const answer = await fetch(`${this.issuer}/token`, {
      method: 'POST',
      headers: { Authorization: `Basic ${Buffer.from(`${client}:${clientSecret}`).toString('base64')}` },
      body: new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: this.redirectUri }),
    });
    return ((await answer.json()) as { id_token: string }).id_token;
  }
}

async function providerAt(issuer: string, redirectUri: string): Promise<Provider> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const key: JWK = {
    ...(await exportJWK(privateKey)),
    use: 'sig',
    alg: 'ES256',
    kid: randomBytes(6).toString('hex'),
  };
  const client = (id: string) => ({
    client_id: id,
    client_secret: clientSecret,
    redirect_uris: [redirectUri],
    id_token_signed_response_alg: 'ES256',
  });
  const provider = new Provider(issuer, {
    clients: [client(clientId), client(otherClientId)],
    jwks: { keys: [key] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    claims: { openid: ['sub', 'acr', 'auth_time'] },
    acrValues: ['phr', 'pwd'],
    findAccount: (_: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    features: { devInteractions: { enabled: false } },
    pkce: { required: () => false },
    // Every client is one of the house: nobody is asked for consent.
    async loadExistingGrant(ctx: { oidc: { client: { clientId: string }; session: { accountId: string } } }) {
      const grant = new provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope('openid');
      await grant.save();
      return grant;
    },
  });
  return provider;
}
