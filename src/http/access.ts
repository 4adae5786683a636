// Access: who reads. Three ways to be somebody: an approver's access token, a link's token for one
// request, an agent's own password for its own requests. Refuses to decide anything about a request: a
// reader is not an approver of it. CONTRACT "Who may read".

import type { ApproverBook } from '../approval/approvers.ts';
import type { Desk } from '../approval/desk.ts';
import { claimedType, openAccess, openLink } from '../approval/token.ts';
import { HoldpointError } from '../errors.ts';

export type Reader =
  | { readonly kind: 'approver'; readonly name: string }
  | { readonly kind: 'link'; readonly rid: string; readonly jti: string }
  | { readonly kind: 'agent'; readonly id: string };

export interface AccessPorts {
  readonly desk: Desk;
  readonly registry: ApproverBook;
  readonly publicUrl: string;
  readonly now: () => number;
  /** True if this is the agent's password and the agent is in force. Takes the same time either way. */
  readonly agentPassword: (agent: string, password: string) => Promise<boolean>;
}

/** Access tokens remembered until they have expired. When it is full, readers wait: forgetting would allow a replay. */
const seenTokensMax = 50_000;

/** How long a token can be accepted at most: its life and the skew at both ends. */
const seenMs = 75_000;

/** Tells readers apart. Remembers the tokens it has seen; one a process. */
export class Doorkeeper {
  readonly #ports: AccessPorts;
  /** jti of an access token → when it can be forgotten. In order of arrival, which is the order of forgetting. */
  readonly #seen = new Map<string, number>();

  constructor(ports: AccessPorts) {
    this.#ports = ports;
  }

  /**
   * The reader behind an Authorization header, for this method and path (with its query). `rid` is the one request the
   * path names, if it does: a link opens only that. Throws `unauthorized`, the same for every way of not being known.
   */
  async reader(
    authorization: string | undefined,
    asked: { method: string; path: string; rid?: string },
  ): Promise<Reader> {
    const [scheme, credential] = (authorization ?? '').split(' ', 2);
    if (scheme?.toLowerCase() === 'basic' && credential) return this.#agent(credential);
    if (scheme?.toLowerCase() !== 'bearer' || !credential) throw nobody();
    const typ = claimedType(credential);
    if (typ === 'holdpoint-access+jws') return this.#approver(credential, asked);
    if (typ === 'holdpoint-link+jws' && asked.rid !== undefined) return this.#link(credential, asked.rid);
    throw nobody();
  }

  async #approver(token: string, asked: { method: string; path: string }): Promise<Reader> {
    const { registry, publicUrl, now } = this.#ports;
    const { kid, claims } = await openAccess(token, {
      aud: publicUrl,
      method: asked.method,
      path: asked.path,
      nowMs: now(),
      keyOf: (name) => registry.key(name)?.jwk,
    });
    const key = registry.key(kid);
    // A name that has become an agent's reads nothing as an approver, whatever key it still has.
    if (key === undefined || registry.isAgent(key.approver)) throw nobody();
    if (claims.sub !== undefined && claims.sub !== key.approver) throw nobody();
    this.#once(claims.jti);
    return { kind: 'approver', name: key.approver };
  }

  async #link(token: string, rid: string): Promise<Reader> {
    const { desk, publicUrl, now } = this.#ports;
    const found = await desk.get(rid).catch((error: unknown) => {
      if (error instanceof HoldpointError && error.code === 'not-found') throw nobody();
      throw error;
    });
    const keyOf = (kid: string) => desk.linkJwk(kid);
    const { jti } = await openLink(token, { publicUrl, rid, rd: found.row.rd, nowMs: now(), keyOf });
    return { kind: 'link', rid, jti };
  }

  async #agent(credential: string): Promise<Reader> {
    const text = Buffer.from(credential, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    if (colon < 1 || text.length > 1024) throw nobody();
    const id = text.slice(0, colon);
    if (!(await this.#ports.agentPassword(id, text.slice(colon + 1)))) throw nobody();
    return { kind: 'agent', id };
  }

  #once(jti: string): void {
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
  }
}

function nobody(): HoldpointError {
  return new HoldpointError(
    'unauthorized',
    'nothing about requests is told without an identity: use the link you were sent, or an approver key (holdpoint requests list --as NAME --key FILE)',
  );
}
