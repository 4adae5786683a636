// Redis store: the port of store.ts in a Redis or Valkey that several proxies share: one server, a primary with replicas
// and Sentinels, or a Cluster. Each step of a request is one script on the server that has it (redis-rows.ts); which
// requests there are is looked up elsewhere (redis-lookups.ts), and what is looked up is read again where it is.
//
// What a shared store can lose, and what remains true then. Redis replicates asynchronously, and a restart may read an
// old copy, so a step that was answered may be forgotten. A row knows on which primary, in which of its lives, it was
// made, and the scripts compare: once that is another, the row counts as stale, and nobody may use it but the session
// that opened it and has waited since, which knows by itself that it did not. Everything that was approved for a retry
// has to be approved again. A store that was emptied has nothing to use. What no comparison can tell is a primary whose
// memory was set back while it lives on, as a snapshot of a running machine does; against that stand the nodes, each of
// which remembers what was used while it listened. No row is an authority in any case: whoever releases verifies.

import { HoldpointError } from '../errors.ts';
import type { RedisAddress } from '../store-url.ts';
import { leaseScripts, leasesOf, releaseLease, takeLease, takeOnce } from './redis-lease.ts';
import { RedisLink } from './redis-link.ts';
import { type Entry, Lookups, lookupScripts } from './redis-lookups.ts';
import { fieldsOf, type Glance, glanceOf, rowOf } from './redis-reply.ts';
import * as rows from './redis-rows.ts';
import type {
  Ending,
  Lease,
  ListFilter,
  RequestState,
  Store,
  StoredRequest,
  Vote,
  VoteResult,
  Watcher,
} from './store.ts';

/** How long a row stays readable after the end of its time. */
const keptMs = 7 * 24 * 3_600_000;

/** Rows looked at in one go. */
const pageRows = 200;

/** One a process. `close` ends its connections; what is under way then fails. */
export class RedisStore implements Store {
  readonly #watchers = new Set<Watcher>();
  readonly #lookups = new Lookups(() => this.#link);
  #link!: RedisLink;
  /** Whether open rows may have become stale since they were last gone through. */
  #doubt = true;

  private constructor() {}

  /** Rejects with `store-unreachable` if it cannot be reached, and with `bad-config` if it cannot serve. */
  static async open(address: RedisAddress): Promise<RedisStore> {
    const store = new RedisStore();
    store.#link = await RedisLink.open(address, [...rows.rowScripts, ...lookupScripts, ...leaseScripts], {
      channel: rows.channel,
      heard: (message) => store.#heard(message),
      resumed: () => store.#resumed(),
    });
    try {
      await store.#requireLineage(address.shown);
    } catch (error) {
      store.#link.close();
      throw error;
    }
    return store;
  }

  async create(row: StoredRequest, pendingMax: number, now: number): Promise<'created' | 'too-many'> {
    if ((await this.#peek(row.rid)) !== undefined) {
      throw new HoldpointError('conflict', `request ${row.rid} exists already`);
    }
    try {
      const order = await this.#lookups.enlist(row);
      if (!(await this.#reserve(row, order, { max: pendingMax, now }))) {
        await this.#lookups.undo(row).catch(() => {});
        return 'too-many';
      }
      const keepMs = Math.max(0, row.exp - now) + keptMs;
      if (await this.#make(row, order, keepMs)) return 'created';
    } catch (error) {
      await this.#lookups.undo(row).catch(() => {});
      throw error;
    }
    throw new HoldpointError('conflict', `request ${row.rid} exists already`);
  }

  async restore(row: StoredRequest): Promise<'restored' | 'present'> {
    const glance = await this.#peek(row.rid);
    if (glance !== undefined && !isOpen(glance)) return 'present';
    const order = await this.#lookups.enlist(row);
    if (glance?.state !== 'approved') await this.#lookups.reserve(row, order);
    if (glance !== undefined) return 'present';
    const keepMs = Math.max(0, row.exp - row.created) + keptMs;
    return (await this.#make(row, order, keepMs)) ? 'restored' : 'present';
  }

  async get(rid: string): Promise<StoredRequest | undefined> {
    const row = rowOf(await this.#row(rows.get, rid));
    this.#doubt ||= row?.stale === true;
    return row;
  }

  async list(filter: ListFilter): Promise<StoredRequest[]> {
    const fits = (glance: Glance) =>
      (filter.states === undefined || filter.states.includes(glance.state)) &&
      (filter.agent === undefined || filter.agent === glance.agent) &&
      (filter.target === undefined || filter.target === glance.target) &&
      (filter.before === undefined || glance.order < filter.before);
    const found: { rid: string; order: number }[] = [];
    // Open rows are few and in a list of their own, in another order: all of them are looked at.
    const whole = filter.states?.every((state) => isOpen({ state })) || filter.agent !== undefined;
    const gone: string[] = [];
    for await (const page of this.#pages(filter)) {
      for (const [rid, glance] of await this.#glances(page)) {
        if (glance === undefined) gone.push(rid);
        else if (fits(glance)) found.push({ rid, order: glance.order });
      }
      if (!whole && found.length >= filter.rowsMax) break;
    }
    this.#later(this.#lookups.delist('gone', gone));
    found.sort((a, b) => b.order - a.order);
    return this.#rows(found.slice(0, filter.rowsMax).map(({ rid }) => rid));
  }

  async findFree(agent: string, match: string, state: 'pending' | 'approved', now: number) {
    const entries = (await this.#openOf(agent)).filter((entry) => entry.match === match);
    for (const { rid } of entries) {
      const row = await this.get(rid);
      if (row?.state !== state || row.holder !== '' || row.exp <= now || row.stale) continue;
      if (row.agent === agent && row.match === match) return row;
    }
    return undefined;
  }

  async hold(rid: string, from: string, to: string): Promise<boolean> {
    return (await this.#row(rows.hold, rid, rid, from, to)) === 1;
  }

  async vote(rid: string, rd: string, vote: Vote): Promise<VoteResult> {
    const ending: Ending = { by: vote.approver, reason: vote.reason, at: vote.at };
    const [what, ...rest] = (await this.#row(
      rows.vote,
      rid,
      rid,
      rd,
      vote.approver,
      vote.verdict,
      JSON.stringify(vote),
      JSON.stringify(ending),
      vote.alone === true ? '1' : '',
    )) as [string, ...unknown[]];
    if (what === 'settled') return { counted: false, why: 'settled', state: rest[0] as RequestState };
    if (what !== 'counted') {
      return { counted: false, why: what as 'missing' | 'digest' | 'voted' | 'stale' };
    }
    const row = rowOf(rest) as StoredRequest;
    if (row.state === 'approved') this.#later(this.#lookups.decided(row.agent, rid));
    // Waited for: the agent's next try, right behind this, has to find it.
    if (row.state === 'rejected') await this.#lookups.rejected(row.agent, row, vote.at).catch(() => {});
    return { counted: true, row };
  }

  async consume(rid: string, rd: string, holder: string, sole = false): Promise<boolean> {
    return this.#over(rid, await this.#row(rows.consume, rid, rid, rd, holder, sole ? '1' : ''));
  }

  async end(rid: string, from: readonly RequestState[], to: RequestState, ending: Ending): Promise<boolean> {
    return this.#over(rid, await this.#row(rows.finish, rid, rid, to, JSON.stringify(ending), ...from));
  }

  async rejected(agent: string, match: string, since: number): Promise<StoredRequest | undefined> {
    for (const entry of await this.#lookups.rejectedOf(agent, since)) {
      if (entry.match !== match) continue;
      const row = await this.get(entry.rid);
      const fits = row?.state === 'rejected' && row.agent === agent && row.match === match;
      if (fits && (row.ending?.at ?? 0) >= since) return row;
    }
    return undefined;
  }

  async open(agent: string, now: number): Promise<StoredRequest[]> {
    const entries = await this.#openOf(agent);
    const found = await this.#rows(entries.map(({ rid }) => rid));
    return found.filter((row) => row.agent === agent && isOpen(row) && row.exp > now);
  }

  async grant(rid: string, rd: string, until: number): Promise<boolean> {
    const agent = await this.#row(rows.grant, rid, rid, rd, until, Math.max(0, until - Date.now()) + keptMs);
    if (agent === null) return false;
    await this.#lookups.granted(agent as string, rid, until);
    return true;
  }

  async grants(agent: string, now: number): Promise<StoredRequest[]> {
    const rids = await this.#lookups.grantedOf(agent, now);
    const inForce = await Promise.all(rids.map((rid) => this.#row(rows.granted, rid, now)));
    const found = await this.#rows(rids.filter((_, index) => inForce[index] === 1));
    return found.filter((row) => row.agent === agent && (row.grant?.until ?? 0) > now);
  }

  async spend(
    rid: string,
    rd: string,
    add: { uses: number; rows: number },
    max: { uses: number; rows: number },
    now: number,
  ): Promise<{ uses: number; rows: number } | undefined> {
    const sums = await this.#row(rows.spend, rid, rid, rd, add.uses, add.rows, max.uses, max.rows, now);
    if (sums === null) return undefined;
    const [uses, changed] = sums as [string, string];
    return { uses: Number(uses), rows: Number(changed) };
  }

  async revoke(rid: string): Promise<boolean> {
    return (await this.#row(rows.revoke, rid, rid)) !== null;
  }

  async once(name: string, until: number, now: number): Promise<boolean> {
    return takeOnce(this.#link, name, until, now);
  }

  async overdue(now: number, rowsMax: number): Promise<StoredRequest[]> {
    const late = await this.#lookups.ending(now, 0, rowsMax);
    const stale = this.#doubt ? await this.#staleFree() : [];
    const rids = [...new Set([...late, ...stale])].slice(0, rowsMax);
    const found = await this.#rows(rids);
    const open = found.filter((row) => isOpen(row));
    const present = new Set(open.map(({ rid }) => rid));
    const gone = late.filter((rid) => !present.has(rid));
    this.#later(this.#lookups.delist('open', gone));
    return open.filter((row) => row.exp <= now || (row.stale && row.holder === ''));
  }

  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  lease(lease: Lease, forMs: number, over?: string): Promise<Lease> {
    return takeLease(this.#link, lease, forMs, over);
  }

  release(name: string, holder: string): Promise<void> {
    return releaseLease(this.#link, name, holder);
  }

  leases(prefix: string): Promise<Lease[]> {
    return leasesOf(this.#link, prefix);
  }

  ping(): Promise<void> {
    return this.#link.ping();
  }

  async close(): Promise<void> {
    this.#watchers.clear();
    this.#link.close();
  }

  /** Makes a row whose entries have been made; false if it is there already. */
  async #make(row: StoredRequest, order: string, keepMs: number): Promise<boolean> {
    const made = await this.#row(rows.create, row.rid, row.rid, keepMs, ...fieldsOf(row, order));
    if (made !== 1) return false;
    // The store may have been emptied since its entries were made; from here on that takes the row as well.
    const { rid, exp } = row;
    await Promise.all([this.#lookups.relist([{ rid, order, exp }]), this.#lookups.reserve(row, order)]);
    return true;
  }

  /** As Lookups.reserve; where there is no place, the places of rows that wait no longer are cleared first. */
  async #reserve(row: StoredRequest, order: string, limit: { max: number; now: number }): Promise<boolean> {
    if (await this.#lookups.reserve(row, order, limit)) return true;
    const taken = await this.#lookups.pendingOf(row.agent);
    const glances = await this.#glances(taken);
    const over = glances.filter(([, glance]) => glance !== undefined && glance.state !== 'pending');
    const gone = glances.filter(([, glance]) => glance === undefined);
    if (over.length + gone.length === 0) return false;
    await Promise.all(over.map(([rid]) => this.#lookups.decided(row.agent, rid)));
    await this.#lookups.forget(
      row.agent,
      gone.map(([rid]) => ({ rid, match: '' })),
    );
    return this.#lookups.reserve(row, order, limit);
  }

  /** Open rows of an agent as looked up. Entries whose rows are over are dropped on the way, lost ones are made anew. */
  async #openOf(agent: string): Promise<Entry[]> {
    const entries = await this.#lookups.openOf(agent);
    const glances = new Map(await this.#glances(entries.map(({ rid }) => rid)));
    const isThere = ({ rid }: Entry) => isOpen(glances.get(rid));
    const over = entries.filter((entry) => glances.get(entry.rid) !== undefined && !isThere(entry));
    const gone = entries.filter(({ rid }) => glances.get(rid) === undefined);
    for (const entry of over) this.#later(this.#lookups.ended(agent, entry));
    this.#later(this.#lookups.forget(agent, gone));
    const there = entries.filter(isThere);
    this.#later(
      this.#lookups.relist(
        there.map(({ rid }) => {
          const { order, exp } = glances.get(rid) as Glance;
          return { rid, order: String(order), exp };
        }),
      ),
    );
    return there;
  }

  /** Open rows that nobody holds and nobody may use any more. All are gone through: there is reason to. */
  async #staleFree(): Promise<string[]> {
    const found: string[] = [];
    this.#doubt = false;
    try {
      for await (const page of this.#pages({ states: ['pending', 'approved'] })) {
        for (const [rid, glance] of await this.#glances(page)) {
          if (isOpen(glance) && glance?.stale && glance.holder === '') found.push(rid);
        }
      }
    } catch (error) {
      this.#doubt = true;
      throw error;
    }
    if (found.length > 0) this.#doubt = true;
    return found;
  }

  /** Names of rows in which those that a filter lets through must be, newest first where that is known. */
  async *#pages(filter: Pick<ListFilter, 'states' | 'agent' | 'before'>): AsyncGenerator<string[]> {
    const open = filter.states?.every((state) => isOpen({ state })) ?? false;
    if (!open && filter.agent !== undefined) {
      yield await this.#lookups.of(filter.agent);
      return;
    }
    for (let offset = 0; ; offset += pageRows) {
      const page = open
        ? await this.#lookups.ending(undefined, offset, pageRows)
        : await this.#lookups.newest(filter.before, offset, pageRows);
      if (page.length > 0) yield page;
      if (page.length < pageRows) return;
    }
  }

  async #glances(rids: readonly string[]): Promise<[string, Glance | undefined][]> {
    return Promise.all(rids.map(async (rid) => [rid, await this.#peek(rid)] as [string, Glance | undefined]));
  }

  async #rows(rids: readonly string[]): Promise<StoredRequest[]> {
    const found = await Promise.all(rids.map((rid) => this.get(rid)));
    return found.filter((row) => row !== undefined);
  }

  async #peek(rid: string): Promise<Glance | undefined> {
    return glanceOf(await this.#row(rows.peek, rid));
  }

  /** True if the script gave the row's agent and match: it is open no more. */
  #over(rid: string, found: unknown): boolean {
    if (found === null) return false;
    const [agent, match] = found as [string, string];
    this.#later(this.#lookups.ended(agent, { rid, match }));
    return true;
  }

  /** Tidying that nobody waits for. What is left undone is done by whoever comes across it. */
  #later(tidying: Promise<void>): void {
    tidying.catch(() => {});
  }

  #row(script: Parameters<RedisLink['run']>[0], rid: string, ...args: (string | number)[]): Promise<unknown> {
    return this.#link.run(script, rows.rowKeys(rid), ...args);
  }

  /** Without a lineage every row would be stale from the start, or never. */
  async #requireLineage(shown: string): Promise<void> {
    const found = String(await this.#row(rows.lineage, 'probe'));
    if (/^[0-9a-f]{40}$/.test(found) && !/^0+$/.test(found)) return;
    throw new HoldpointError(
      'bad-config',
      `the store ${shown} does not tell scripts its role and replication ID as Redis and Valkey do (INFO replication), or is a replica; name the primary, and let the user run INFO`,
    );
  }

  #heard(message: string): void {
    const space = message.indexOf(' ');
    const rid = space < 0 ? message : message.slice(0, space);
    const exp = space < 0 ? Number.NaN : Number(message.slice(space + 1));
    for (const watcher of this.#watchers) {
      if (Number.isFinite(exp)) watcher.used?.(rid, exp);
      watcher.changed(rid);
    }
  }

  #resumed(): void {
    this.#doubt = true;
    for (const watcher of this.#watchers) watcher.resumed?.();
  }
}

function isOpen(row: { readonly state: RequestState } | undefined): boolean {
  return row?.state === 'pending' || row?.state === 'approved';
}
