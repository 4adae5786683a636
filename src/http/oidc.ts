// OpenID Connect: a person is sent to their provider and comes back with a code, for which the provider gives an ID token.
// To decide, the token's nonce is the digest of the decision, so that the provider signs for exactly that; to sign in, it
// is random. Discovery, PKCE and the code flow are openid-client's. What belongs to one attempt stands in a token of ours in
// the browser's cookie, used once. The page that the provider sends the browser to is inert: its script asks for the
// rest, as pages do, so that no link somebody else made decides anything. OpenID Connect Core 1.0 §3.1, RFC 7636.

import { type Context, Hono } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import * as client from 'openid-client';
import { decisionText, readDecision } from '../approval/decision.ts';
import { challengeOf } from '../approval/webauthn.ts';
import { HoldpointError } from '../errors.ts';
import { type AccessPorts, type Doorkeeper, nobody } from './access.ts';
import { jsonBody } from './body.ts';
import { beginCeremony, type CeremonyPorts, endCeremony } from './ceremony.ts';
import { visitMsMax } from './visit.ts';

/** The provider and this Holdpoint's registration there. */
export interface OidcSettings {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret?: string | undefined;
  /** Authentication contexts to ask for. That one was reached is checked in the token. */
  readonly acr: readonly string[];
}

export interface OidcPorts extends AccessPorts, CeremonyPorts {
  /** Absent: people cannot sign in or decide at a provider. */
  readonly oidc: OidcSettings | undefined;
}

/** Signing in with several factors takes its time. */
const danceMs = 10 * 60_000;
const bodyBytesMax = 32_768;

/** The routes for both ways to the provider, and the one back. */
export function oidcApi(ports: OidcPorts, doorkeeper: Doorkeeper): Hono {
  const { desk, registry, publicUrl, random, now } = ports;
  const provider = providerOf(ports.oidc);
  const redirect = `${publicUrl}/oidc/callback`;
  const api = new Hono();

  api.post('/api/session/oidc', async (c) => {
    const { back } = await jsonBody(c, bodyBytesMax);
    const nonce = random(32).toString('base64url');
    return away(c, { back: localPath(back), nonce }, {});
  });

  /** The decision goes out as its digest; whoever comes back brings it along again. */
  api.post('/api/requests/:rid/oidc', async (c) => {
    const { rid } = c.req.param();
    const reader = await doorkeeper.reader(c, rid);
    const decision = readDecision((await jsonBody(c, bodyBytesMax)).decision);
    if (reader.kind !== 'approver' || decision.rid !== rid || decision.approver !== reader.name)
      throw new HoldpointError(
        'forbidden',
        'sign in, and decide in your own name on the request of this address',
      );
    const nonce = challengeOf(decisionText(decision));
    return away(c, { back: `/r/${rid}`, nonce, rid }, { prompt: 'login', max_age: '0' });
  });

  api.post('/api/oidc/callback', async (c) => {
    const { query, decision } = await jsonBody(c, bodyBytesMax);
    const answer = new URLSearchParams(typeof query === 'string' ? query : '');
    const state = answer.get('state') ?? '';
    if (!/^[A-Za-z0-9_-]{22}$/.test(state)) throw nobody();
    const { purpose } = await endCeremony(ports, getCookie(c, cookieName(state)), 'oidc');
    setCookie(c, cookieName(state), '', { path: '/', maxAge: 0, secure: publicUrl.startsWith('https:') });
    if (purpose.state !== state) throw nobody();
    const tokens = await exchanged(await provider(), new URL(`${redirect}?${answer}`), purpose);
    const idToken = tokens.id_token ?? '';
    const { back, rid } = purpose;
    if (rid !== undefined) {
      await desk.decide(rid, decision, { kind: 'oidc', idToken });
      return c.json({ back });
    }
    const subject = tokens.claims()?.sub ?? '';
    const issuer = ports.oidc?.issuer ?? '';
    const known = registry.oidcSubject(issuer, subject);
    const by = `oidc:${issuer} ${subject}`;
    if (known === undefined || !doorkeeper.counts(known.approver, by))
      throw new HoldpointError('unauthorized', 'your account at the provider is no approver’s here');
    await doorkeeper.visits.begin(c, { kind: 'approver', name: known.approver, by }, now() + visitMsMax);
    return c.json({ back });
  });

  const cookieName = (state: string) =>
    `${publicUrl.startsWith('https:') ? '__Host-' : ''}holdpoint-oidc-${state}`;

  /** The provider's address for this attempt, and the cookie that binds the answer to this browser. */
  const away = async (
    c: Context,
    what: { back: string; nonce: string; rid?: string },
    more: Record<string, string>,
  ): Promise<Response> => {
    const configuration = await provider();
    const state = random(16).toString('base64url');
    const verifier = client.randomPKCECodeVerifier();
    const { token } = await beginCeremony(ports, { act: 'oidc', state, verifier, ...what }, danceMs);
    const address = client.buildAuthorizationUrl(configuration, {
      redirect_uri: redirect,
      scope: 'openid',
      state,
      nonce: what.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...(ports.oidc?.acr.length ? { acr_values: ports.oidc.acr.join(' ') } : {}),
      ...more,
    });
    const common = { path: '/', httpOnly: true, sameSite: 'Strict' as const, maxAge: danceMs / 1000 };
    setCookie(c, cookieName(state), token, { ...common, secure: publicUrl.startsWith('https:') });
    return c.json({ location: address.href, state });
  };

  return api;
}

async function exchanged(
  configuration: client.Configuration,
  answer: URL,
  { verifier, state, nonce }: { verifier: string; state: string; nonce: string },
) {
  try {
    return await client.authorizationCodeGrant(configuration, answer, {
      pkceCodeVerifier: verifier,
      expectedState: state,
      expectedNonce: nonce,
      idTokenExpected: true,
    });
  } catch (cause) {
    const { error_description: words, error, message } = cause as Record<string, unknown>;
    throw new HoldpointError(
      'unauthorized',
      `the provider did not vouch for you: ${String(words ?? error ?? message).slice(0, 200)}`,
      { cause },
    );
  }
}

/** The provider's configuration, discovered at the first need and again after a failure. */
function providerOf(settings: OidcSettings | undefined): () => Promise<client.Configuration> {
  let found: Promise<client.Configuration> | undefined;
  return () => {
    if (settings === undefined) {
      throw new HoldpointError(
        'not-supported',
        'this Holdpoint has no OpenID provider; add oidc: to its configuration, or use a passkey or a key',
      );
    }
    found ??= discovered(settings).catch((cause: Error) => {
      found = undefined;
      throw new HoldpointError(
        'store-unreachable',
        `the OpenID provider ${settings.issuer} does not answer: ${cause.message}; try again, or use a passkey or a key`,
        { cause },
      );
    });
    return found;
  };
}

async function discovered(settings: OidcSettings): Promise<client.Configuration> {
  const issuer = new URL(settings.issuer);
  const local = /^(localhost|127\.0\.0\.1|\[::1\])$/.test(issuer.hostname);
  const { clientSecret } = settings;
  const shown = clientSecret === undefined ? client.None() : secretShown(clientSecret);
  return client.discovery(issuer, settings.clientId, clientSecret, shown, {
    // Signatures are checked although the token comes straight from the provider: it becomes evidence.
    execute: [client.enableNonRepudiationChecks, ...(local ? [client.allowInsecureRequests] : [])],
  });
}

/** As the provider wants it; in a header where it says nothing, which is the default of OpenID Connect Core 1.0 §9. */
function secretShown(secret: string): client.ClientAuth {
  return (server, ...rest) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const basic = methods.includes('client_secret_basic') || !methods.includes('client_secret_post');
    return (basic ? client.ClientSecretBasic(secret) : client.ClientSecretPost(secret))(server, ...rest);
  };
}

/** A path of this server to go back to; anything else is the list. */
function localPath(back: unknown): string {
  return typeof back === 'string' && /^\/(r\/[A-Za-z0-9_-]{22}|account)?$/.test(back) ? back : '/';
}
