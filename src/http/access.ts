// Access: who reads. Four ways to be somebody: an approver's access token (or one signed with an SSH key), a link's token for one request, a visit's
// cookie that one of them or a passkey began, an agent's own password for its own requests. Refuses to decide anything
// about a request: a reader is not an approver of it. CONTRACT "Who may read".

import type { Context } from 'hono';
import type { Desk } from '../approval/desk.ts';
import { openSshAccess, sshScheme } from '../approval/sshaccess.ts';
import { claimedKey, claimedType, openAccess, openLink } from '../approval/token.ts';
import { HoldpointError } from '../errors.ts';
import type { People } from './people.ts';
import { credentialOwner } from './people.ts';
import { type Visit, type VisitPorts, Visits } from './visit.ts';

export type Reader =
  | { readonly kind: 'approver'; readonly name: string }
  | { readonly kind: 'link'; readonly rid: string; readonly jti: string }
  | { readonly kind: 'agent'; readonly id: string };

export interface AccessPorts extends VisitPorts {
  readonly desk: Desk;
  readonly registry: People;
  /** True if this is the agent's password and the agent is in force. Takes the same time either way. */
  readonly agentPassword: (agent: string, password: string) => Promise<boolean>;
  /** True for the first to present that name until then, on all nodes. Times are milliseconds since the epoch. */
  readonly once: (name: string, until: number, now: number) => Promise<boolean>;
}

/** Access tokens remembered until they have expired. When it is full, readers wait: forgetting would allow a replay. */
const seenTokensMax = 50_000;

/** How long a token can be accepted at most: its life and the skew at both ends. */
const seenMs = 75_000;

/** Tells readers apart. Remembers the tokens it has seen; one a process. */
export class Doorkeeper {
  readonly #ports: AccessPorts;
  /** Visits begin with what only the doorkeeper opens. */
  readonly visits: Visits;
  /** jti of an access token → when it can be forgotten. In order of arrival, which is the order of forgetting. */
  readonly #seen = new Map<string, number>();

  constructor(ports: AccessPorts) {
    this.#ports = ports;
    this.visits = new Visits(ports);
  }

  /**
   * The reader behind a request, by its Authorization header if there is one, else by its cookies. `rid` is the one
   * request the path names, if it does: a link opens only that. Throws `unauthorized`, the same for every way of not
   * being known.
   */
  async reader(c: Context, rid?: string): Promise<Reader> {
    const authorization = c.req.header('Authorization');
    if (authorization === undefined) {
      const visitor = (await this.visitOf(c, rid))?.visitor;
      if (visitor === undefined) throw nobody();
      return visitor;
    }
    const [scheme, credential] = authorization.split(' ', 2);
    if (scheme?.toLowerCase() === 'basic' && credential) return this.#agent(credential);
    if (scheme?.toLowerCase() === sshScheme && credential) return this.#sshApprover(c, credential);
    if (scheme?.toLowerCase() !== 'bearer' || !credential) throw nobody();
    const typ = claimedType(credential);
    if (typ === 'holdpoint-access+jws') {
      const { name } = await this.approverKey(c, credential);
      return { kind: 'approver', name };
    }
    if (typ === 'holdpoint-link+jws' && rid !== undefined) {
      const { jti } = await this.linkClaims(credential, rid);
      return { kind: 'link', rid, jti };
    }
    throw nobody();
  }

  /** The visit by cookie that may see `rid` (or the list, without one): an approver's before a link's. */
  async visitOf(c: Context, rid?: string): Promise<Visit | undefined> {
    const approver = await this.visits.approver(c);
    if (approver !== undefined && this.stands(approver)) return approver;
    const link = rid === undefined ? undefined : await this.visits.link(c, rid);
    if (link?.visitor.kind !== 'link' || rid === undefined) return undefined;
    const row = await this.#ports.desk.get(rid).catch(() => undefined);
    return row?.row.rd === link.visitor.rd ? link : undefined;
  }

  /** The approver signed in by cookie, for what is theirs to change. Throws `unauthorized`. */
  async signedIn(c: Context): Promise<{ name: string; by: string }> {
    const visit = await this.visits.approver(c);
    if (visit?.visitor.kind !== 'approver' || !this.stands(visit)) throw nobody();
    return visit.visitor;
  }

  /** True while the visit's time is not over and, for an approver, the credential that began it still counts. */
  stands(visit: Visit): boolean {
    if (!this.visits.inForce(visit)) return false;
    const { visitor } = visit;
    return visitor.kind === 'link' || this.counts(visitor.name, visitor.by);
  }

  /** True if the credential is in force and this approver's. A name that has become an agent's reads nothing as an approver. */
  counts(name: string, by: string): boolean {
    const { registry } = this.#ports;
    return credentialOwner(registry, by) === name && !registry.isAgent(name);
  }

  /** Whose access token this is, for this method and path; each is good once. Throws `unauthorized`. */
  async approverKey(c: Context, token: string): Promise<{ name: string; by: string }> {
    const { registry, publicUrl, now } = this.#ports;
    const { pathname, search } = new URL(c.req.url);
    const { kid, claims } = await openAccess(token, {
      aud: publicUrl,
      method: c.req.method,
      path: pathname + search,
      nowMs: now(),
      keyOf: (name) => registry.key(name)?.jwk,
    });
    const key = registry.key(kid);
    if (key === undefined || !this.counts(key.approver, `key:${kid}`)) throw nobody();
    if (claims.sub !== undefined && claims.sub !== key.approver) throw nobody();
    await this.#once(claims.jti);
    return { name: key.approver, by: `key:${kid}` };
  }

  async #sshApprover(c: Context, credential: string): Promise<Reader> {
    const { registry, publicUrl, now } = this.#ports;
    const { pathname, search } = new URL(c.req.url);
    const want = { aud: publicUrl, method: c.req.method, path: pathname + search, nowMs: now() };
    const { approver, kid, claims } = openSshAccess(credential, want, registry);
    if (!this.counts(approver, `ssh:${kid}`)) throw nobody();
    if (claims.sub !== undefined && claims.sub !== approver) throw nobody();
    await this.#once(claims.jti);
    return { kind: 'approver', name: approver };
  }

  /** The claims of a link that opens this request as it is now. Throws `unauthorized`. */
  async linkClaims(token: string, rid: string): Promise<{ jti: string; rd: string; exp: number }> {
    const { desk, now } = this.#ports;
    const found = await desk.get(rid).catch((error: unknown) => {
      if (error instanceof HoldpointError && error.code === 'not-found') throw nobody();
      throw error;
    });
    // By any node's key, and as that node calls itself: it opens a view.
    const jwk = await desk.viewingJwk(claimedKey(token) ?? '');
    const { aud } = found.intact.request;
    return openLink(token, { publicUrl: aud, rid, rd: found.row.rd, nowMs: now(), keyOf: () => jwk });
  }

  async #agent(credential: string): Promise<Reader> {
    const text = Buffer.from(credential, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    if (colon < 1 || text.length > 1024) throw nobody();
    const id = text.slice(0, colon);
    if (!(await this.#ports.agentPassword(id, text.slice(colon + 1)))) throw nobody();
    return { kind: 'agent', id };
  }

  async #once(jti: string): Promise<void> {
    const now = this.#ports.now();
    for (const [old, until] of this.#seen) {
      if (until > now) break;
      this.#seen.delete(old);
    }
    if (this.#seen.has(jti)) throw nobody();
    if (this.#seen.size >= seenTokensMax) {
      throw new HoldpointError(
        'too-many-connections',
        'too many access tokens in one minute; try again later',
      );
    }
    this.#seen.set(jti, now + seenMs);
    // Whether another node has seen it, only the store knows; while it is away, each node knows for itself.
    const first = await this.#ports.once(`jti:${jti}`, now + seenMs, now).catch((error: unknown) => {
      if (error instanceof HoldpointError && error.code === 'store-unreachable') return true;
      throw error;
    });
    if (!first) throw nobody();
  }
}

/** The one answer to whoever is not known. */
export function nobody(): HoldpointError {
  return new HoldpointError(
    'unauthorized',
    'nothing about requests is told without an identity: use the link you were sent, or an approver key (holdpoint requests list --as NAME --key FILE)',
  );
}
