// The machine that a run was made on, and the versions of the programs that took part.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import type { Results } from './results.ts';

export function machine(): Results['machine'] {
  const all = cpus();
  return {
    processors: `${all.length} × ${all[0]?.model.trim() ?? 'unknown processor'}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    // Which build of it is nobody's business.
    system: `${type()} ${release().split('-')[0]}`,
  };
}

/** The version of the checkout, and which commit it is at if that can be told. */
export function holdpointVersion(): string {
  const root = join(import.meta.dirname, '../..');
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const { stdout } = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' });
  return stdout ? `${version}, commit ${stdout.trim()}` : version;
}

/** Which argument each program answers with its version to. */
const asked: Readonly<Record<string, string>> = {
  pgbench: '--version',
  haproxy: '-v',
  pgbouncer: '--version',
  pgpool: '--version',
};

export function versionsOf(programs: readonly string[]): Record<string, string> {
  const found = programs.flatMap((program) => {
    const argument = asked[program];
    if (argument === undefined) return [];
    const { stdout, stderr } = spawnSync(program, [argument], {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
    });
    const line = (stdout || stderr || '').trim().split('\n')[0] ?? '';
    return [[program, line.replace(/ - https?:.*$/, '')] as const];
  });
  return Object.fromEntries(found);
}

/** Debian puts a script by each of these names into PATH that ends with an error where the program itself is missing. */
export function installed(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}
