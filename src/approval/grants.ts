// Grants: approvals that reach further than their statement: to others of the same shape, from the same agent, in the same
// context, for minutes, for so many uses and so many rows in all. The store counts; each use rests on the evidence of all
// votes, verified again by the node that executes. Refuses to know how a shape is found and how rows are counted.
// audit-approval §16.6, invariants B6, B20.

import { HoldpointError } from '../errors.ts';
import type { StoredRequest } from '../store/store.ts';
import { readDecision } from './decision.ts';
import { appendHeld } from './held.ts';
import type { Grant } from './hold.ts';
import type { DeskOptions, DeskRecord } from './ports.ts';
import { type GrantReach, reachOf } from './reach.ts';
import { type IntactRequest, intactRequest, type Release } from './release.ts';
import type { Request } from './request.ts';
import type { Scrutiny } from './scrutiny.ts';
import type { Claimant, Uses } from './uses.ts';

/** What the grants need of the desk they are part of. */
export interface GrantsDesk {
  /** As Turns. */
  turn<T>(rid: string, step: () => Promise<T>): Promise<T>;
  /** Appends and waits until it is on disk. */
  record(record: DeskRecord): Promise<number>;
}

/** What this node knows of a grant, whatever the store says. */
interface Known {
  readonly rd: string;
  readonly reach: GrantReach;
  uses: number;
  rows: number;
}

/** Attempts to reserve while other uses come between. */
const attemptsMax = 3;

export class Grants {
  readonly #options: DeskOptions;
  readonly #desk: GrantsDesk;
  readonly #scrutiny: Scrutiny;
  readonly #uses: Uses;
  readonly #known = new Map<string, Known>();
  /** Ended here: no store brings them back. */
  readonly #ended = new Map<string, number>();
  /** When the rules of a target last changed here, in milliseconds since the epoch: older approvals saw other rules. */
  readonly #changed = new Map<string, number>();

  constructor(options: DeskOptions, desk: GrantsDesk, scrutiny: Scrutiny, uses: Uses) {
    this.#options = options;
    this.#desk = desk;
    this.#scrutiny = scrutiny;
    this.#uses = uses;
  }

  /** The release of the approved statement itself: the first use, from which on the grant is in force. */
  async release(
    held: { request: Request; rd: string; nonce: string },
    row: StoredRequest,
    claimant: Claimant & { readonly ref: number },
  ): Promise<Grant | undefined> {
    const released = await this.#uses.release(held, row, claimant);
    if (released === undefined) return undefined;
    const {
      reach: { grant: reach },
      ...use
    } = released;
    if (reach === undefined) return use;
    const { rid, rowsMax = 0, decisions } = use;
    const { store, log, now } = this.#options;
    const reserved = { uses: 1, rows: rowsMax };
    const begun = await store
      .grant(rid, held.rd, reach.until)
      .then((given) => (given ? store.spend(rid, held.rd, reserved, maxOf(reach), now()) : undefined))
      .catch(() => undefined);
    // Without it the approval covers the statement alone.
    if (begun === undefined) return use;
    this.#known.set(rid, { rd: held.rd, reach, ...reserved });
    const { until, usesMax: uses, rowsMax: rows } = reach;
    log.append({ kind: 'grant', rid, fp: held.request.shape ?? '', until, uses, rows, decisions });
    return { ...use, reserved: rowsMax };
  }

  /** A use for a statement that nobody approved by itself, if a grant covers it. `request`: what would be asked for. */
  async claim(request: Request, ref: number): Promise<Grant | undefined> {
    if (request.shape === undefined || request.once) return undefined;
    const rows = await this.#options.store.grants(request.agent.id, this.#options.now());
    for (const { rid } of rows) {
      const grant = await this.#desk.turn(rid, () => this.#use(rid, request, ref));
      if (grant !== undefined) return grant;
    }
    return undefined;
  }

  /** A use has ended; `rows` of those reserved for it were changed, as far as anybody can tell. Never rejects. */
  async settle({ rid, reserved }: Grant, rows: number): Promise<void> {
    const known = this.#known.get(rid);
    if (known === undefined || reserved === undefined || rows >= reserved) return;
    const { store, now } = this.#options;
    const back = { uses: 0, rows: rows - reserved };
    const given = await this.#desk
      .turn(rid, () => store.spend(rid, known.rd, back, maxOf(known.reach), now()))
      .catch(() => undefined);
    // What could not be given back stays spent.
    if (given !== undefined) known.rows += back.rows;
  }

  /** Ends a grant. Throws `not-found` where there is none. */
  async revoke(rid: string, by: string, reason: string): Promise<void> {
    await this.#desk.turn(rid, async () => {
      const row = await this.#options.store.get(rid);
      if (row?.grant == null)
        throw new HoldpointError('not-found', `request ${rid} carries no grant, or it has ended`);
      await this.#end(rid, row.grant.until, by, reason);
    });
  }

  /** The rules of a target are others from now on: no grant that was given under the old ones is used here again. */
  rulesChanged(target: string): void {
    this.#changed.set(target, this.#options.now());
  }

  async #use(rid: string, request: Request, ref: number): Promise<Grant | undefined> {
    const { store } = this.#options;
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const row = await store.get(rid);
      const covered = row && (await this.#covering(row, request));
      if (covered === undefined) return undefined;
      const grant = await this.#reserve(covered, ref);
      if (grant !== 'taken') return grant;
    }
    return undefined;
  }

  /** What the grant of a row covers, verified now; undefined if not this statement. */
  async #covering(row: StoredRequest, request: Request): Promise<Covered | undefined> {
    const { now, publicUrl } = this.#options;
    if (row.grant === null || row.stale || this.#ended.has(row.rid)) return undefined;
    const intact = intactOrNone(row);
    if (intact === undefined || intact.request.aud !== publicUrl) return undefined;
    if (!sameShape(intact.request, request)) return undefined;
    const release = await this.#scrutiny.release(intact, row.votes);
    const changed = this.#changed.get(request.db.target) ?? 0;
    const outdated = row.votes.some(({ at }) => at <= changed);
    if (release === undefined || outdated) {
      const why = outdated ? 'the rules were changed' : 'the evidence for it does not count any more';
      await this.#end(row.rid, row.grant.until, 'holdpoint', why);
      return undefined;
    }
    const reach = reachOf(release.votes.map(({ vote }) => readDecision(JSON.parse(vote.decision)))).grant;
    if (reach === undefined || reach.until <= now()) return undefined;
    return { intact, release, reach, row: { ...row, grant: row.grant } };
  }

  /** Takes one use and all rows that are left; `taken` if another use came between. */
  async #reserve(
    { intact, release, reach, row }: Covered,
    ref: number,
  ): Promise<Grant | undefined | 'taken'> {
    const { store, log, node, now } = this.#options;
    const { rid, rd } = row;
    const known = this.#known.get(rid) ?? { rd, reach, uses: 0, rows: 0 };
    const left = reach.rowsMax - Math.max(row.grant.rows, known.rows);
    if (left <= 0 || Math.max(row.grant.uses, known.uses) >= reach.usesMax) return undefined;
    const spent = await store.spend(rid, rd, { uses: 1, rows: left }, maxOf(reach), now());
    if (spent === undefined) return 'taken';
    if (!this.#known.has(rid) && intact.request.node !== node)
      appendHeld(log, intact.request, rd, ref, intact.values);
    // The sums of the store are not believed where they are below one's own.
    known.uses = Math.max(spent.uses, known.uses + 1);
    known.rows = reach.rowsMax;
    this.#known.set(rid, known);
    const decisions = this.#uses.decisions(rid, release);
    const use = { rid, by: release.by, decisions, rowsMax: left };
    const seq = log.append({ kind: 'grant_use', ref, ...use, use: known.uses });
    return { ...use, reserved: left, seq };
  }

  async #end(rid: string, until: number, by: string, reason: string): Promise<void> {
    const now = this.#options.now();
    for (const [old, end] of this.#ended) if (end <= now) this.#ended.delete(old);
    // From here on no use of it begins, whatever becomes of the store and the log.
    this.#ended.set(rid, until);
    await this.#desk.record({ kind: 'revoke', rid, by, reason });
    await this.#options.store.revoke(rid);
  }
}

interface Covered {
  readonly intact: IntactRequest;
  readonly release: Release;
  readonly reach: GrantReach;
  readonly row: StoredRequest & { readonly grant: NonNullable<StoredRequest['grant']> };
}

/** Members of a request that a statement must share with the approved one, beside its shape. */
function contextOf({ agent, db, user, role, state, statements, params, policy, counts }: Request): string {
  const { target, name, systemId } = db;
  const [statement] = statements;
  return JSON.stringify([
    agent.id,
    [target, name, systemId],
    [user, role, state.searchPath],
    Object.entries(state.settings).sort(),
    statement?.command,
    statement?.effects,
    statement?.relations,
    statement?.identity ?? null,
    params.map(({ oid, format }) => [oid, format]),
    policy.digest,
    counts,
  ]);
}

function sameShape(approved: Request, asked: Request): boolean {
  return (
    approved.shape !== undefined && approved.shape === asked.shape && contextOf(approved) === contextOf(asked)
  );
}

function maxOf({ usesMax, rowsMax }: GrantReach): { uses: number; rows: number } {
  return { uses: usesMax, rows: rowsMax };
}

function intactOrNone(row: StoredRequest): IntactRequest | undefined {
  try {
    return intactRequest(row);
  } catch {
    return undefined;
  }
}
