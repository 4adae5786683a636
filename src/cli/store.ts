// Store: opens what several proxies share, and enters this proxy among them. What an earlier process of this node left
// behind is ended here, where its log and the store are both at hand. Refuses to know what is done with either.

import type { Desk } from '../approval/desk.ts';
import { Nodes } from '../approval/nodes.ts';
import { OwedSpread } from '../approval/owed.ts';
import { Spread } from '../approval/spread.ts';
import type { SigningKey } from '../approval/token.ts';
import type { AuditLog } from '../audit/log.ts';
import type { Recovered } from '../audit/opening.ts';
import type { Delegations } from '../delegations.ts';
import type { Report } from '../proxy/listener.ts';
import { MemoryStore } from '../store/memory.ts';
import { RedisStore } from '../store/redis.ts';
import type { Store } from '../store/store.ts';
import type { StoreAddress } from '../store-url.ts';

/** Rejects with `store-unreachable` or `bad-config`, naming the store. */
export async function openStore(address: StoreAddress): Promise<Store> {
  return address.kind === 'memory' ? new MemoryStore() : RedisStore.open(address);
}

/** Takes the name of this node in the store. Rejects with `conflict` if another process that lives has it. */
export async function enterNodes(of: {
  store: Store;
  log: AuditLog;
  recovered: Recovered;
  linkKey: SigningKey;
  publicUrl: string;
  report: Report;
}): Promise<Nodes> {
  const { kid, jwk } = of.linkKey;
  const nodes = await Nodes.enter({
    store: of.store,
    name: of.log.origin,
    card: { boot: of.log.boot, root: of.recovered.root, publicUrl: of.publicUrl, link: { kid, jwk } },
    mono: () => performance.now(),
    after: later,
    lost: (message) => of.report('error', message, {}),
  });
  for (const warning of nodes.warnings) of.report('warn', warning, {});
  return nodes;
}

/** Delegations that one node was handed hold on all, where there may be others. The way to stop. */
export function spreadDelegations(shared: boolean, store: Store, shelf: Delegations, desk: Desk): () => void {
  if (!shared) return () => {};
  const take = (delegation: unknown, evidence: unknown) => desk.delegate(delegation, evidence);
  const spread = new Spread({ store, shelf, take, now: Date.now, after: later });
  return () => spread.close();
}

/** Reviews that are owed, or made, on one node are so on all, where there may be others. The way to stop. */
export function spreadReviews(shared: boolean, store: Store, { emergencies }: Desk): () => void {
  if (!shared) return () => {};
  const spread = new OwedSpread({ store, emergencies, after: later });
  return () => spread.close();
}

function later(ms: number, then: () => void): () => void {
  const timer = setTimeout(then, ms).unref();
  return () => clearTimeout(timer);
}

/** Sessions of an earlier process of this node are gone; whoever waits behind them must not wait for them. */
export async function endLeftovers(desk: Desk, recovered: Recovered): Promise<void> {
  for (const rid of recovered.holds) await desk.abandoned(rid);
}
