// Ready: whether everything a session needs works now, for /readyz. Each question is asked at most once at a time and
// its answer kept for a moment, so that whoever polls costs the targets nothing. Refuses to know HTTP.

import type { LogHealth } from '../audit/logstate.ts';
import type { Check } from '../http/server.ts';
import type { Target } from '../proxy/listener.ts';
import { connectUpstream } from '../proxy/upstream.ts';
import type { Store } from '../store/store.ts';

/** How long an answer is good, and how long a target has to give it. */
const keptMs = 2000;
const answerMs = 3000;

const settings = [
  ['client_encoding', 'UTF8'],
  ['standard_conforming_strings', 'on'],
  ['application_name', 'holdpoint readyz'],
] as const;

/** Makes the question. `mono` in milliseconds. */
export function readiness(
  log: { readonly health: LogHealth },
  store: Pick<Store, 'ping'>,
  targets: ReadonlyMap<string, Target>,
  mono: () => number,
): () => Promise<Check[]> {
  let asked: Promise<Check[]> | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  const ask = (): Promise<Check[]> =>
    Promise.all([answering(store), ...[...targets.values()].map(reachable)]);
  return async () => {
    if (asked === undefined || mono() - askedAt > keptMs) {
      asked = ask();
      askedAt = mono();
    }
    const { writable, reason } = log.health;
    const written: Check = writable
      ? { name: 'log' }
      : { name: 'log', problem: reason ?? 'the log is closed' };
    return [written, ...(await asked)];
  };
}

async function answering(store: Pick<Store, 'ping'>): Promise<Check> {
  return store.ping().then(
    () => ({ name: 'store' }),
    (error: unknown) => ({ name: 'store', problem: sentence(error) }),
  );
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function reachable({ name, address }: Target): Promise<Check> {
  const connectTimeoutMs = Math.min(address.connectTimeoutMs, answerMs);
  try {
    const upstream = await connectUpstream({ ...address, connectTimeoutMs }, settings);
    upstream.socket.destroy();
    return { name: `target ${name}` };
  } catch (error) {
    return { name: `target ${name}`, problem: sentence(error) };
  }
}
