// Programs of the machine that the tests use, and whether Docker could stand in for them. Knows names; starts nothing
// but `docker info`.

import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program by the names it goes by, and the Debian package that brings it. */
export interface Program {
  readonly names: readonly string[];
  readonly debian: string;
  /** An environment variable that names the file, before PATH is asked. */
  readonly variable: string;
}

export const programs = {
  Chromium: {
    names: ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'],
    debian: 'chromium',
    variable: 'HOLDPOINT_TEST_CHROMIUM',
  },
  'redis-server': {
    names: ['redis-server', 'valkey-server'],
    debian: 'redis-server',
    variable: 'HOLDPOINT_TEST_REDIS',
  },
} as const satisfies Record<string, Program>;

/** The path of the first that is there and executable. */
export function findProgram(program: Program): string | undefined {
  const told = process.env[program.variable];
  if (told) return told;
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of program.names) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // Not here.
      }
    }
  }
  return undefined;
}

/** Whether the docker command is there and an engine answers it. */
export function dockerAnswers(): boolean {
  return spawnSync('docker', ['info'], { stdio: 'ignore', timeout: 10_000 }).status === 0;
}
