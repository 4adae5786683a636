// Issuer: the public keys of one OpenID provider, discovered and kept for a while. OpenID Connect Discovery 1.0. Asks the
// provider over HTTP; refuses to know tokens and what the keys are used for.

import type { JSONWebKeySet, JWK } from 'jose';
import type { OidcPort } from '../approval/ground.ts';
import type { OidcConfig } from '../config.ts';
import { HoldpointError } from '../errors.ts';
import { isLoopback } from '../target-url.ts';

/** Keys are asked for again after this time, and before it for a key that is not known, but not more often than that. */
const keysMs = 600_000;
const askAgainMs = 10_000;
/** A provider that rotates its keys does not undo what was approved in the hour before. */
const formerKeysMs = 3_600_000;
const answerMs = 10_000;
const answerBytesMax = 1 << 20;

/** One a process. Nothing is asked before the first need. */
export class Issuer implements OidcPort {
  readonly issuer: string;
  readonly clientId: string;
  readonly acr: readonly string[];
  readonly maxAgeSeconds: number;
  readonly #now: () => number;
  /** With the time at which the provider last published it. */
  #known: { readonly jwk: JWK; readonly seenAt: number }[] = [];
  #askedAt = Number.NEGATIVE_INFINITY;
  #freshAt = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  constructor(config: OidcConfig, now: () => number) {
    this.issuer = config.issuer;
    this.clientId = config.clientId;
    this.acr = config.acr;
    this.maxAgeSeconds = config.maxAgeSeconds;
    this.#now = now;
  }

  async keys(kid: string | undefined): Promise<JSONWebKeySet> {
    const stale = this.#now() - this.#freshAt > keysMs;
    if ((stale || !this.#has(kid)) && this.#now() - this.#askedAt >= askAgainMs) {
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined;
      });
    }
    try {
      await this.#asking;
    } catch (cause) {
      // What is known stays good while the provider is silent.
      if (!this.#has(kid)) throw cause;
    }
    return { keys: this.#known.map(({ jwk }) => jwk) };
  }

  #has(kid: string | undefined): boolean {
    return this.#known.some(({ jwk }) => kid === undefined || jwk.kid === kid);
  }

  async #ask(): Promise<void> {
    this.#askedAt = this.#now();
    const configuration = `${this.issuer.replace(/\/+$/, '')}/.well-known/openid-configuration`;
    const found = (await this.#json(configuration)) as { issuer?: unknown; jwks_uri?: unknown } | null;
    if (found?.issuer !== this.issuer)
      throw this.#silent(
        `it calls itself ${JSON.stringify(found?.issuer)}; write exactly that as oidc.issuer`,
      );
    if (typeof found.jwks_uri !== 'string') throw this.#silent('it names no jwks_uri');
    const published = (await this.#json(found.jwks_uri)) as { keys?: unknown } | null;
    if (!Array.isArray(published?.keys)) throw this.#silent('its keys are no JWKS');
    const seenAt = this.#now();
    const keys = published.keys.filter((key) => typeof key === 'object' && key !== null) as JWK[];
    const former = this.#known.filter(
      ({ jwk, seenAt: last }) => seenAt - last < formerKeysMs && !keys.some((key) => key.kid === jwk.kid),
    );
    this.#known = [...keys.map((jwk) => ({ jwk, seenAt })), ...former];
    this.#freshAt = seenAt;
  }

  async #json(url: string): Promise<unknown> {
    const { protocol, hostname = '' } = URL.parse(url) ?? {};
    if (protocol !== 'https:' && !isLoopback(hostname.replace(/^\[|\]$/g, '')))
      throw this.#silent(`${url} is not https, so anybody in between could name keys`);
    try {
      const signal = AbortSignal.timeout(answerMs);
      const answer = await fetch(url, { signal, redirect: 'error', headers: { Accept: 'application/json' } });
      if (!answer.ok) throw new Error(`it answered ${answer.status}`);
      const text = await answer.text();
      if (text.length > answerBytesMax) throw new Error('its answer is too long');
      return JSON.parse(text) as unknown;
    } catch (error) {
      const cause = (error as Error).cause ?? error;
      throw this.#silent(`${url}: ${(cause as Error).message}`, error);
    }
  }

  #silent(why: string, cause?: unknown): HoldpointError {
    return new HoldpointError(
      'store-unreachable',
      `the OpenID provider ${this.issuer} cannot be asked for its keys: ${why}`,
      { cause },
    );
  }
}
