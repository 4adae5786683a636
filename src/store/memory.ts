// Memory store: the port of store.ts inside one process, for one proxy and for the tests. Every method runs to its end
// without awaiting, which is what makes it atomic. Forgets everything with the process: a restart ends what was open.

import { HoldpointError } from '../errors.ts';
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

/** Rows kept in all. Ended ones make room, oldest first; open ones never do. */
const rowsMaxUsual = 10_000;
/** Of those, the ones that only people read any more: a client that comes and goes leaves one each time. */
const pastRowsMaxUsual = 1_000;

/** Never shared between processes; `close` drops everything. */
export class MemoryStore implements Store {
  /** In order of creation. Rows are replaced, not changed: a reader keeps what it got. */
  readonly #rows = new Map<string, StoredRequest>();
  /** Those that nothing is decided by any more, in the order in which they ended. */
  readonly #past = new Set<string>();
  readonly #watchers = new Set<Watcher>();
  readonly #leases = new Map<string, Lease>();
  readonly #once = new Map<string, number>();
  readonly #rowsMax: number;
  readonly #pastRowsMax: number;

  constructor(rowsMax: number = rowsMaxUsual, pastRowsMax: number = pastRowsMaxUsual) {
    this.#rowsMax = rowsMax;
    this.#pastRowsMax = pastRowsMax;
  }

  async create(row: StoredRequest, pendingMax: number, now: number): Promise<'created' | 'too-many'> {
    if (this.#rows.has(row.rid)) throw new HoldpointError('conflict', `request ${row.rid} exists already`);
    let pending = 0;
    for (const other of this.#rows.values()) {
      if (other.agent === row.agent && other.state === 'pending' && other.exp > now) pending += 1;
    }
    if (pending >= pendingMax || !this.#makeRoom()) return 'too-many';
    this.#put(row);
    return 'created';
  }

  async get(rid: string): Promise<StoredRequest | undefined> {
    return this.#rows.get(rid);
  }

  async list(filter: ListFilter): Promise<StoredRequest[]> {
    return [...this.#rows.values()]
      .filter((row) => filter.states === undefined || filter.states.includes(row.state))
      .filter((row) => filter.agent === undefined || row.agent === filter.agent)
      .filter((row) => filter.target === undefined || row.target === filter.target)
      .filter((row) => filter.before === undefined || row.created < filter.before)
      .slice(-filter.rowsMax)
      .reverse();
  }

  async findFree(agent: string, match: string, state: 'pending' | 'approved', now: number) {
    for (const row of this.#rows.values()) {
      const free = row.state === state && row.holder === '' && row.exp > now;
      if (free && row.agent === agent && row.match === match) return row;
    }
    return undefined;
  }

  async hold(rid: string, from: string, to: string): Promise<boolean> {
    const row = this.#rows.get(rid);
    if (row === undefined || row.holder !== from || !isOpen(row.state)) return false;
    this.#put({ ...row, holder: to });
    return true;
  }

  async vote(rid: string, rd: string, vote: Vote): Promise<VoteResult> {
    const row = this.#rows.get(rid);
    if (row === undefined) return { counted: false, why: 'missing' };
    if (row.rd !== rd) return { counted: false, why: 'digest' };
    if (row.state !== 'pending') return { counted: false, why: 'settled', state: row.state };
    if (row.votes.some((one) => one.approver === vote.approver)) return { counted: false, why: 'voted' };
    const votes = [...row.votes, vote];
    const approvals = votes.filter((one) => one.verdict === 'approve').length;
    const rejected = vote.verdict === 'reject';
    const changed: StoredRequest = {
      ...row,
      votes,
      state: rejected ? 'rejected' : approvals >= row.quorum || vote.alone === true ? 'approved' : 'pending',
      ...(rejected && { values: '', ending: { by: vote.approver, reason: vote.reason, at: vote.at } }),
    };
    this.#put(changed);
    return { counted: true, row: changed };
  }

  async consume(rid: string, rd: string, holder: string): Promise<boolean> {
    const row = this.#rows.get(rid);
    if (row?.state !== 'approved' || row.rd !== rd || row.holder !== holder) return false;
    this.#put({ ...row, state: 'consumed', values: '' });
    for (const watcher of this.#watchers) watcher.used?.(rid, row.exp);
    return true;
  }

  async restore(row: StoredRequest): Promise<'restored' | 'present'> {
    if (this.#rows.has(row.rid)) return 'present';
    this.#put(row);
    return 'restored';
  }

  async end(rid: string, from: readonly RequestState[], to: RequestState, ending: Ending): Promise<boolean> {
    const row = this.#rows.get(rid);
    if (row === undefined || !from.includes(row.state)) return false;
    this.#put({ ...row, state: to, values: '', ending });
    return true;
  }

  async rejected(agent: string, match: string, since: number): Promise<StoredRequest | undefined> {
    return [...this.#rows.values()].findLast(
      (row) =>
        row.state === 'rejected' &&
        row.agent === agent &&
        row.match === match &&
        (row.ending?.at ?? 0) >= since,
    );
  }

  async open(agent: string, now: number): Promise<StoredRequest[]> {
    return [...this.#rows.values()].filter(
      (row) => row.agent === agent && isOpen(row.state) && row.exp > now,
    );
  }

  async grant(rid: string, rd: string, until: number): Promise<boolean> {
    const row = this.#rows.get(rid);
    if (row?.rd !== rd || !['consumed', 'executed'].includes(row.state) || row.grant !== null) return false;
    this.#put({ ...row, grant: { until, uses: 0, rows: 0 } });
    return true;
  }

  async grants(agent: string, now: number): Promise<StoredRequest[]> {
    return [...this.#rows.values()].filter((row) => row.agent === agent && (row.grant?.until ?? 0) > now);
  }

  async spend(
    rid: string,
    rd: string,
    add: { uses: number; rows: number },
    max: { uses: number; rows: number },
    now: number,
  ): Promise<{ uses: number; rows: number } | undefined> {
    const row = this.#rows.get(rid);
    if (row?.grant == null || row.rd !== rd || row.grant.until <= now) return undefined;
    const uses = row.grant.uses + add.uses;
    const rows = Math.max(0, row.grant.rows + add.rows);
    if (uses > max.uses || rows > max.rows) return undefined;
    this.#put({ ...row, grant: { ...row.grant, uses, rows } });
    return { uses, rows };
  }

  async revoke(rid: string): Promise<boolean> {
    const row = this.#rows.get(rid);
    if (row?.grant == null) return false;
    this.#put({ ...row, grant: null });
    return true;
  }

  async once(name: string, until: number, now: number): Promise<boolean> {
    for (const [old, end] of this.#once) if (end <= now) this.#once.delete(old);
    if (this.#once.has(name)) return false;
    this.#once.set(name, until);
    return true;
  }

  async overdue(now: number, rowsMax: number): Promise<StoredRequest[]> {
    return [...this.#rows.values()].filter((row) => isOpen(row.state) && row.exp <= now).slice(0, rowsMax);
  }

  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** For as long as the process lives: nobody else could take the name. */
  async lease(lease: Lease, _forMs: number, over?: string): Promise<Lease> {
    const before = this.#leases.get(lease.name);
    if (before !== undefined && before.holder !== lease.holder && before.holder !== over) return before;
    this.#leases.set(lease.name, lease);
    return lease;
  }

  async release(name: string, holder: string): Promise<void> {
    if (this.#leases.get(name)?.holder === holder) this.#leases.delete(name);
  }

  async leases(prefix: string): Promise<Lease[]> {
    return [...this.#leases.values()].filter(({ name }) => name.startsWith(prefix));
  }

  async ping(): Promise<void> {}

  async close(): Promise<void> {
    this.#rows.clear();
    this.#past.clear();
    this.#watchers.clear();
  }

  #put(row: StoredRequest): void {
    this.#rows.set(row.rid, row);
    this.#past.delete(row.rid);
    if (isPast(row)) this.#past.add(row.rid);
    if (this.#past.size > this.#pastRowsMax) this.#forget(this.#past.keys().next().value!);
    for (const watcher of this.#watchers) watcher.changed(row.rid);
  }

  #makeRoom(): boolean {
    if (this.#rows.size < this.#rowsMax) return true;
    for (const row of this.#rows.values()) {
      if (isOpen(row.state)) continue;
      this.#forget(row.rid);
      return true;
    }
    return false;
  }

  #forget(rid: string): void {
    this.#past.delete(rid);
    this.#rows.delete(rid);
  }
}

/** A rejection counts against those who ask again, a grant covers more statements, and one that is used has an outcome to come. */
function isPast({ state, grant }: StoredRequest): boolean {
  return !isOpen(state) && state !== 'consumed' && state !== 'rejected' && grant === null;
}

function isOpen(state: RequestState): boolean {
  return state === 'pending' || state === 'approved';
}
