// Ready: whether everything a session needs works now, for /readyz. Each question is asked at most once at a time and
// its answer kept for a moment, so that whoever polls costs the targets nothing. Refuses to know HTTP.

import type { LogHealth } from '../audit/logstate.ts';
import type { Check } from '../http/server.ts';
import type { Target } from '../proxy/listener.ts';
import { connectUpstream } from '../proxy/upstream.ts';

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
  targets: ReadonlyMap<string, Target>,
  mono: () => number,
): () => Promise<Check[]> {
  let asked: Promise<Check[]> | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  const ask = async (): Promise<Check[]> => Promise.all([...targets.values()].map(reachable));
  return async () => {
    if (asked === undefined || mono() - askedAt > keptMs) {
      asked = ask();
      askedAt = mono();
    }
    const { writable, reason } = log.health;
    const written: Check = writable
      ? { name: 'log' }
      : { name: 'log', problem: reason ?? 'the log is closed' };
    // The store in memory is as reachable as this process.
    return [written, { name: 'store' }, ...(await asked)];
  };
}

async function reachable({ name, address }: Target): Promise<Check> {
  const connectTimeoutMs = Math.min(address.connectTimeoutMs, answerMs);
  try {
    const upstream = await connectUpstream({ ...address, connectTimeoutMs }, settings);
    upstream.socket.destroy();
    return { name: `target ${name}` };
  } catch (error) {
    return { name: `target ${name}`, problem: error instanceof Error ? error.message : String(error) };
  }
}
