// Scrutiny: evidence looked at with what this node has: its registry, keys, secrets and clock. Once when a decision
// arrives, and again before anything is released by it. Refuses to know states, races and waiting sessions.

import type { JWK } from 'jose';
import { HoldpointError } from '../errors.ts';
import type { StoredRequest, Vote } from '../store/store.ts';
import type { Decision } from './decision.ts';
import { type Delegation, delegationId, delegationText, readDelegation } from './delegation.ts';
import { type Evidence, readEvidence, verifyDelegation, verifyEvidence } from './evidence.ts';
import type { EvidenceGround, Proof } from './ground.ts';
import type { DeskOptions, KeptRecord } from './ports.ts';
import { provenRelease, type Release, voted } from './release.ts';
import type { Request } from './request.ts';
import { votedAlready } from './row.ts';

/** A request as this node knows it, never fields of a stored row. */
interface Held {
  readonly request: Request;
  readonly rd: string;
  readonly nonce: string;
}

/** One a desk. */
export class Scrutiny {
  readonly #options: DeskOptions;
  /** Delegations that this log has been told of since the start. */
  readonly #lent = new Set<string>();

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  /** This Holdpoint's public link key, if `kid` names it. */
  linkJwk(kid: string): JWK | undefined {
    const { linkKey } = this.#options;
    return kid === linkKey.kid ? linkKey.jwk : undefined;
  }

  /** What the evidence of a decision that has just arrived proves. Throws what is wrong with it, or `conflict`. */
  async arrived(evidence: Evidence, decision: Decision, held: Held, row: StoredRequest): Promise<Proof> {
    const proof = await verifyEvidence(evidence, decision, held, this.ground(true));
    if (voted(row.votes, decision)) throw votedAlready(row.rid, proof.approver);
    await this.countUp(proof);
    return proof;
  }

  /** What the votes of a row that says approved prove now; undefined, and told as suspicious: no release. */
  async release(held: Held, votes: readonly Vote[]): Promise<Release | undefined> {
    const release = await provenRelease(held, votes, this.ground(false));
    if (release === undefined) {
      const what = 'the store says approved, and no valid evidence supports it';
      this.#options.events?.suspicious?.(held.request.rid, what);
    }
    return release;
  }

  /** The record of a decision, and the ID token that its evidence is, which tells more of a person than the chain should. */
  record(rid: string, text: string, { log, aside, lent }: Proof): KeptRecord {
    const kept = aside && [
      { index: -1, oid: 0, salt: Buffer.alloc(16), value: Buffer.from(aside.text, 'utf8') },
    ];
    // A delegation that was handed in at another node stands in this log too, before what rests on it.
    if (lent !== undefined && !this.#lent.has(lent.id)) {
      const { id, from, to, text: D } = lent;
      this.#options.log.append({ kind: 'delegation', id, from, to, D, ev: lent.log });
      this.#lent.add(lent.id);
    }
    return { record: { kind: 'decision', rid, D: text, ev: log }, ...(kept && { kept }) };
  }

  /**
   * Takes what an approver signed to let another decide in their name: verified, recorded, durable, then kept. Untrusted
   * JSON. Throws what is wrong with it.
   */
  async delegated(given: unknown, evidence: unknown): Promise<Delegation & { id: string }> {
    const { log, delegations, publicUrl, now } = this.#options;
    if (delegations === undefined)
      throw new HoldpointError('not-supported', 'this Holdpoint keeps no delegations');
    const text = delegationText(readDelegation(given));
    const signed = { text, evidence: JSON.stringify(readEvidence(evidence)) };
    const { delegation, proof } = await verifyDelegation(signed, this.ground(true));
    if (delegation.aud !== publicUrl)
      throw new HoldpointError(
        'conflict',
        `the delegation is addressed to ${JSON.stringify(delegation.aud)}, this is ${publicUrl}`,
      );
    if (delegation.exp <= now())
      throw new HoldpointError('expired', 'the delegation is past its time; sign a new one');
    await this.countUp(proof);
    const id = delegationId(text);
    const { from, to } = delegation;
    await log.durable(log.append({ kind: 'delegation', id, from, to, D: text, ev: proof.log }));
    this.#lent.add(id);
    await delegations.keep(signed);
    return { ...delegation, id };
  }

  /** `fresh`: for evidence that has just arrived. */
  ground(fresh: boolean): EvidenceGround {
    const { registry, now, oidc, slackSecret, delegations } = this.#options;
    const linkKey = (kid: string) => this.linkJwk(kid);
    const shelved = delegations && ((from: string, to: string) => delegations.of(from, to));
    return { approvers: registry, linkKey, nowMs: now(), fresh, oidc, slackSecret, delegations: shelved };
  }

  /** A passkey that was copied, or a signature of it that is presented again, counts backwards. */
  async countUp({ counter }: Pick<Proof, 'counter'>): Promise<void> {
    if (counter === undefined) return;
    if (await this.#options.registry.passkeyCounter(counter.id, counter.counter)) return;
    throw new HoldpointError(
      'unauthorized',
      'the passkey has counted further than this signature says: it was used before, or the passkey was copied',
    );
  }
}
