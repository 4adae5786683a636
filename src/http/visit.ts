// Visit: a browser's session for reading, kept in a cookie and nowhere else. Bound to one request (opened by its link) or
// to one approver (signed in). Signed by a key that signs nothing else and named by a type of its own, so that neither a
// link, nor an access token, nor a decision is one. It lets look; every decision brings its own evidence. Refuses to know
// what proved who the visitor is. audit-approval §17.2; RFC 6265bis (prefixes, SameSite).

import type { Context } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { openToken, refused, type SigningKey, signToken, tokenClaims } from '../approval/token.ts';
import { HoldpointError } from '../errors.ts';

/** `by` names the credential that was shown, as `key:KID`, `passkey:ID` or `oidc:ISSUER SUBJECT`: retired, it ends the visit. */
export type Visitor =
  | { readonly kind: 'approver'; readonly name: string; readonly by: string }
  | { readonly kind: 'link'; readonly rid: string; readonly rd: string; readonly jti: string };

export interface Visit {
  readonly visitor: Visitor;
  /** Milliseconds since the epoch. */
  readonly until: number;
  readonly id: string;
}

export interface VisitPorts {
  readonly publicUrl: string;
  /** Signs visits, and nothing else. */
  readonly visitKey: SigningKey;
  readonly now: () => number;
  readonly random: (bytes: number) => Buffer;
}

/** Longest life of a visit. */
export const visitMsMax = 3_600_000;

/** Requests that one browser has open by their links; the oldest make room, so that the header stays short. */
const linksMax = 12;

/** Visits that were ended before their time, remembered until it has come. */
const endedMax = 10_000;

const typ = 'holdpoint-visit+jws';

/** Begins, finds and ends visits. One a process. */
export class Visits {
  readonly #ports: VisitPorts;
  readonly #audience: string;
  readonly #prefix: string;
  readonly #secure: boolean;
  readonly #ended = new Map<string, number>();

  constructor(ports: VisitPorts) {
    const url = new URL(ports.publicUrl);
    this.#ports = ports;
    this.#audience = `${ports.publicUrl}/visit`;
    this.#secure = url.protocol === 'https:';
    // Cookies do not tell ports apart, so on a loopback address the name has to.
    this.#prefix = this.#secure ? '__Host-holdpoint' : `holdpoint-${url.port || '80'}`;
  }

  /** Sets the cookie. The visit ends at `untilMs` at the latest. */
  async begin(c: Context, visitor: Visitor, untilMs: number): Promise<Visit> {
    const { now, random, visitKey } = this.#ports;
    const until = Math.min(untilMs, now() + visitMsMax);
    const id = random(16).toString('base64url');
    const seconds = { iat: Math.floor(now() / 1000), exp: Math.floor(until / 1000) };
    const claims = { aud: this.#audience, ...seconds, jti: id, visitor };
    const name = visitor.kind === 'link' ? this.#linkName(visitor.rid) : this.#prefix;
    if (visitor.kind === 'link') this.#makeRoom(c, name);
    this.#set(c, name, await signToken(typ, JSON.stringify(claims), visitKey), until);
    return { visitor, until: seconds.exp * 1000, id };
  }

  /** The signed-in approver, or undefined. Whether the credential still counts is the caller's to ask. */
  async approver(c: Context): Promise<Visit | undefined> {
    const visit = await this.#open(getCookie(c, this.#prefix));
    return visit?.visitor.kind === 'approver' ? visit : undefined;
  }

  /** What the cookie of one request opens, or undefined. Whether that is this request as it is now, is the caller's to ask. */
  async link(c: Context, rid: string): Promise<Visit | undefined> {
    return this.#open(getCookie(c, this.#linkName(rid)));
  }

  /** Ends the approver's visit and those by link, here and for whoever has a copy of the cookie. */
  async end(c: Context): Promise<void> {
    for (const [name, value] of Object.entries(getCookie(c))) {
      if (name !== this.#prefix && !name.startsWith(`${this.#prefix}.`)) continue;
      const visit = await this.#open(value);
      if (visit !== undefined) this.#forget(visit);
      this.#set(c, name, '', 0);
    }
  }

  /** True until the visit's time is over or it was ended. */
  inForce(visit: Visit): boolean {
    return this.#ports.now() < visit.until && !this.#ended.has(visit.id);
  }

  async #open(token: string | undefined): Promise<Visit | undefined> {
    if (token === undefined || token === '') return undefined;
    try {
      return await this.#opened(token);
    } catch (error) {
      // A cookie of another time or another Holdpoint is no visit, and no reason to refuse what needs none.
      if (error instanceof HoldpointError && error.code === 'unauthorized') return undefined;
      throw error;
    }
  }

  async #opened(token: string): Promise<Visit> {
    const { visitKey } = this.#ports;
    const { payload } = await openToken(token, typ, (kid) =>
      kid === visitKey.kid ? visitKey.jwk : undefined,
    );
    const { aud, exp, jti, visitor } = tokenClaims(payload, typ);
    if (aud !== this.#audience || typeof exp !== 'number' || typeof jti !== 'string') throw refused(typ);
    const visit = { visitor: visitor as Visitor, until: exp * 1000, id: jti };
    if (!this.inForce(visit)) throw refused(typ);
    return visit;
  }

  #linkName(rid: string): string {
    return `${this.#prefix}.${rid}`;
  }

  #makeRoom(c: Context, name: string): void {
    const others = Object.keys(getCookie(c)).filter(
      (one) => one.startsWith(`${this.#prefix}.`) && one !== name,
    );
    // Browsers send the older cookies of one path first.
    for (const old of others.slice(0, Math.max(0, others.length - linksMax + 1))) this.#set(c, old, '', 0);
  }

  #forget(visit: Visit): void {
    const now = this.#ports.now();
    for (const [id, until] of this.#ended) if (until <= now) this.#ended.delete(id);
    const [oldest] = this.#ended.keys();
    if (this.#ended.size >= endedMax && oldest !== undefined) this.#ended.delete(oldest);
    this.#ended.set(visit.id, visit.until);
  }

  #set(c: Context, name: string, value: string, untilMs: number): void {
    const maxAge = Math.max(0, Math.floor((untilMs - this.#ports.now()) / 1000));
    const common = { path: '/', httpOnly: true, sameSite: 'Strict' as const };
    setCookie(c, name, value, { ...common, maxAge, secure: this.#secure });
  }
}
