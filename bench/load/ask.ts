// A process of a bench: forked, asked one thing at a time, and ended by closing the channel to it.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

/** Of V8's helpers, as many as bin/holdpoint lets it have. */
const helpers = Math.max(1, Math.min(4, availableParallelism() - 1));

/** Forks a file of this folder; the guard as bin/holdpoint starts it. */
export function start(file: string): ChildProcess {
  const execArgv =
    file === 'guard.ts'
      ? [
          `--v8-pool-size=${helpers}`,
          '--heap-growing-percent=200',
          '--max-semi-space-size=4',
          '--liftoff-only',
        ]
      : [];
  return fork(join(import.meta.dirname, file), { execArgv });
}

/** Rejects if the process ends instead of answering. */
export async function ask<Answer>(child: ChildProcess, question: unknown): Promise<Answer> {
  const answered = new AbortController();
  const { signal } = answered;
  const gone = once(child, 'exit', { signal }).then(([code]) => {
    throw new Error(`a process of the bench ended with ${code} instead of an answer`);
  });
  // Abandoned once there is an answer.
  gone.catch(() => undefined);
  const answer = once(child, 'message', { signal }).then(([message]) => message as Answer);
  child.send(question as object);
  try {
    return await Promise.race([answer, gone]);
  } finally {
    answered.abort();
    answer.catch(() => undefined);
  }
}

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.disconnect();
  await gone;
}
