// Ready: whether everything a session needs works now, for /readyz. Each question is asked at most once at a time and
// its answer kept for a moment, so that whoever polls costs the targets nothing. Refuses to know HTTP.

import type { LogHealth } from '../audit/logstate.ts';
import { HoldpointError } from '../errors.ts';
import type { Check } from '../http/server.ts';
import type { Target } from '../proxy/listener.ts';
import { survey } from '../proxy/survey.ts';
import type { Store } from '../store/store.ts';

/** How long an answer is good, and how long a target has to give it. */
const keptMs = 2000;
const answerMs = 3000;

/** Makes the question. `mono` in milliseconds. */
export function readiness(
  log: { readonly health: LogHealth },
  store: Pick<Store, 'ping'>,
  node: { readonly problem: string | undefined; readonly warnings: readonly string[] },
  targets: ReadonlyMap<string, Target>,
  mono: () => number,
  /** What is known without asking anybody. */
  known: () => readonly Check[] = () => [],
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
    return [taking(log.health), standing(node), ...(await asked), ...known()];
  };
}

function taking({ writable, reason, warnings }: LogHealth): Check {
  return {
    name: 'log',
    ...(!writable && { problem: reason ?? 'the log is closed' }),
    ...(warnings.length > 0 && { warnings }),
  };
}

function standing(node: {
  readonly problem: string | undefined;
  readonly warnings: readonly string[];
}): Check {
  const { problem, warnings } = node;
  return {
    name: 'node',
    ...(problem !== undefined && { problem }),
    ...(warnings.length > 0 && { warnings }),
  };
}

async function answering(store: Pick<Store, 'ping'>): Promise<Check> {
  return store.ping().then(
    () => ({ name: 'store' }),
    (error: unknown) => ({ name: 'store', problem: sentence(error) }),
  );
}

async function reachable(target: Target): Promise<Check> {
  const name = `target ${target.name}`;
  try {
    const warnings = await survey(target, answerMs);
    return warnings.length === 0 ? { name } : { name, warnings };
  } catch (error) {
    return { name, problem: sentence(error) };
  }
}

/** What is behind a wrong server is ours and for the operator; behind other refusals stands the server's own text. */
function sentence(error: unknown): string {
  if (error instanceof HoldpointError && error.code === 'wrong-server') return (error.cause as Error).message;
  return error instanceof Error ? error.message : String(error);
}
