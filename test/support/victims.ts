// Victims: starts Holdpoints in processes of their own (victim.ts), to be killed or to kill themselves.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { GuardOptions } from './holdpoint.ts';
import { RawClient } from './raw.ts';
import type { Listening, Step } from './victim.ts';

export interface Victim extends Listening {
  readonly child: ChildProcess;
  connect(parameters?: Record<string, string>): Promise<RawClient>;
  /** Resolves when it is gone. */
  kill(): Promise<void>;
}

/** `step`: where it kills itself. Its data folder stays behind. */
export async function startVictim(
  options: GuardOptions & { readonly dataDir: string },
  step: Step,
): Promise<Victim> {
  const program = join(import.meta.dirname, 'victim.ts');
  const child = spawn(process.execPath, [program, JSON.stringify({ options, step })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await expect.poll(() => output, { timeout: 30_000 }).toContain('\n');
  const listening = JSON.parse(output) as Listening;
  return {
    ...listening,
    child,
    async connect(parameters = {}) {
      const client = await RawClient.connect('127.0.0.1', listening.port);
      await client.login({ user: 'claude', password: 'agent secret', database: 'shop', parameters });
      return client;
    },
    async kill() {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}
