// Nodes: the proxies that share a store, each under a name of its own that it holds by a lease there. A node tells the
// others with it how the links it makes are verified, so that each can show a request by any of them. What is read here
// comes from the store and is not trusted: such a key opens a view, and never decides.

import type { JWK } from 'jose';
import { HoldpointError } from '../errors.ts';
import type { Lease, Store } from '../store/store.ts';

/** A node that does not renew its lease for so long is taken for dead. */
export const leaseMs = 10_000;
const renewMs = 3_000;
const waitMs = 500;
/** A node whose lease was not there so many times in a row is gone: longer than a lease lasts. */
const missesMax = 5;
/** Other nodes' keys are read again for an unknown one, at most so often; whoever asks sooner waits for it. */
const refreshMs = 1_000;

/** What a node tells the others of itself. */
export interface NodeCard {
  /** This start of the process. */
  readonly boot: string;
  /** Thumbprint of the root key of its log: the same after a restart, another for another data folder. */
  readonly root: string;
  readonly publicUrl: string;
  /** Public key of its links, and its thumbprint. */
  readonly link: { readonly kid: string; readonly jwk: JWK };
}

export interface NodesOptions {
  readonly store: Pick<Store, 'lease' | 'release' | 'leases'>;
  readonly name: string;
  readonly card: NodeCard;
  /** Monotonic clock, milliseconds. */
  readonly mono: () => number;
  /** Runs `then` once after `ms`; returns the way to stop it. */
  readonly after: (ms: number, then: () => void) => () => void;
  /** Told once when the name was lost to somebody else. */
  readonly lost?: (message: string) => void;
}

/** One a process. `close` gives the name back. */
export class Nodes {
  readonly #options: NodesOptions;
  readonly #others = new Map<string, NodeCard>();
  /** Nodes that were come across, and how often in a row their lease was not there. */
  readonly #misses = new Map<string, number>();
  #renewals = 0;
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;
  #problem: string | undefined;
  #stop: () => void = () => {};
  #closed = false;

  private constructor(options: NodesOptions) {
    this.#options = options;
  }

  /**
   * Takes the name. Waits for the lease of a node that is gone; rejects with `conflict` if the one that has it lives.
   * After a restart on the same data folder it is taken over at once: two processes cannot write one log.
   */
  static async enter(options: NodesOptions): Promise<Nodes> {
    const nodes = new Nodes(options);
    const { mono } = options;
    let other: Lease | undefined;
    for (const end = mono() + leaseMs + renewMs; ; ) {
      const held = await nodes.#take(other === undefined ? undefined : heir(other, options.card));
      if (held === undefined) break;
      const renewed = other !== undefined && (other.holder !== held.holder || other.text !== held.text);
      if (renewed || mono() > end) throw taken(options.name);
      other = held;
      if (heir(held, options.card) === undefined) await nodes.#pause(waitMs);
    }
    await nodes.#refresh().catch(() => {});
    nodes.#arm();
    return nodes;
  }

  /**
   * The public link key of that thumbprint, if a node that lives has it. Good for viewing only. For one that is unknown
   * the others' are read again first: the node may have come a moment ago.
   */
  async linkKey(kid: string): Promise<JWK | undefined> {
    if (this.#known(kid) === undefined) await this.#lookAgain();
    return this.#known(kid);
  }

  /** A node was come across in the store: from now on it is looked whether it lives. */
  met(name: string): void {
    if (name !== this.#options.name && !this.#misses.has(name)) this.#misses.set(name, 0);
  }

  /** True if the node was come across and has not held its name for longer than a lease lasts. */
  isGone(name: string): boolean {
    return (this.#misses.get(name) ?? 0) >= missesMax;
  }

  /** Whether any such node is gone. */
  get someGone(): boolean {
    return [...this.#misses.values()].some((count) => count >= missesMax);
  }

  /** Nothing in the store names the nodes that are gone any more. */
  clearedOfGone(): void {
    for (const [name, count] of this.#misses) if (count >= missesMax) this.#misses.delete(name);
  }

  /** Why this node must not be used any more; undefined while all is well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** What works only in part, a sentence each. */
  get warnings(): string[] {
    const own = this.#options.card.publicUrl;
    return [...this.#others]
      .filter(([, { publicUrl }]) => publicUrl !== own)
      .map(
        ([name, { publicUrl }]) =>
          `node ${name} has the publicUrl ${publicUrl} and this one ${own}: an approval for one cannot be used by a retry on the other; give both the same`,
      );
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stop();
    const { store, name, card } = this.#options;
    await store.release(leaseName(name), card.boot).catch(() => {});
  }

  /** Takes or keeps the name; the lease of whoever else has it. */
  async #take(over?: string): Promise<Lease | undefined> {
    const { store, name, card } = this.#options;
    this.#renewals += 1;
    const text = JSON.stringify({ ...card, renewals: this.#renewals });
    const held = await store.lease({ name: leaseName(name), holder: card.boot, text }, leaseMs, over);
    return held.holder === card.boot ? undefined : held;
  }

  async #renew(): Promise<void> {
    try {
      await this.#keep();
      for (const [name, count] of this.#misses) {
        this.#misses.set(name, this.#others.has(name) ? 0 : count + 1);
      }
    } catch (error) {
      // While the store was away nobody could keep a name in it.
      for (const name of this.#misses.keys()) this.#misses.set(name, 0);
      throw error;
    }
  }

  async #keep(): Promise<void> {
    const held = await this.#take();
    if (held !== undefined && this.#problem === undefined && !this.#closed) {
      this.#problem = `another process has taken the name of this node, ${this.#options.name}; stop one of them`;
      this.#options.lost?.(this.#problem);
    }
    if (held === undefined) this.#problem = undefined;
    await this.#refresh();
  }

  async #refresh(): Promise<void> {
    this.#refreshedAt = this.#options.mono();
    const leases = await this.#options.store.leases(prefix);
    this.#others.clear();
    for (const { name, text } of leases) {
      const card = readCard(text);
      const node = name.slice(prefix.length);
      if (card === undefined || node === this.#options.name) continue;
      this.#others.set(node, card);
      this.met(node);
    }
  }

  /** One look for all who ask before it begins. */
  async #lookAgain(): Promise<void> {
    const early = this.#refreshedAt + refreshMs - this.#options.mono();
    if (early <= 0) return this.#refresh().catch(() => {});
    this.#looking ??= this.#pause(early).then(() => {
      this.#looking = undefined;
      return this.#refresh().catch(() => {});
    });
    return this.#looking;
  }

  #known(kid: string): JWK | undefined {
    return [...this.#others.values()].find(({ link }) => link.kid === kid)?.link.jwk;
  }

  #arm(): void {
    if (this.#closed) return;
    this.#stop = this.#options.after(renewMs, () => {
      void this.#renew()
        .catch(() => {})
        .finally(() => this.#arm());
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.after(ms, resolve);
    });
  }
}

const prefix = 'node:';

function leaseName(node: string): string {
  return prefix + node;
}

/** The holder of a lease that an earlier process on this data folder left behind. */
function heir(lease: Lease, card: NodeCard): string | undefined {
  return readCard(lease.text)?.root === card.root ? lease.holder : undefined;
}

function readCard(text: string): NodeCard | undefined {
  try {
    const { boot, root, publicUrl, link } = JSON.parse(text) as Partial<NodeCard>;
    const fits = typeof boot === 'string' && typeof root === 'string' && typeof publicUrl === 'string';
    if (!fits || typeof link?.kid !== 'string' || typeof link.jwk !== 'object') return undefined;
    return { boot, root, publicUrl, link };
  } catch {
    return undefined;
  }
}

function taken(name: string): HoldpointError {
  return new HoldpointError(
    'conflict',
    `another proxy that shares the store goes by the name ${name} and is running; give this one a name of its own with node:`,
  );
}
