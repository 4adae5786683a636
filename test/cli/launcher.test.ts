// bin/holdpoint: it finds a Node.js that is new enough, from a checkout and from a build, and says so when there is none.

import { execFile } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';

const run = promisify(execFile);
const launcher = join(import.meta.dirname, '..', '..', 'bin', 'holdpoint');
let folder: string;
let copy: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-launcher-'));
  copy = join(folder, 'app', 'bin', 'holdpoint');
  mkdirSync(join(folder, 'app', 'bin'), { recursive: true });
  cpSync(launcher, copy);
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A program at `path` inside the folder that prints what the shell makes of `text`. */
function program(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), `#!/bin/sh\n${text}\n`);
  chmodSync(join(folder, path), 0o755);
}

/** With a `node` of our own first in PATH. */
const env = () => ({ PATH: `${join(folder, 'path')}:/usr/bin:/bin` });

test('the Node.js that npm installed beside it is taken, also when called through a link', async () => {
  program('app/node_modules/node/bin/node', 'echo "installed $*"');
  mkdirSync(join(folder, 'app/src/cli'), { recursive: true });
  writeFileSync(join(folder, 'app/src/cli/main.ts'), '');
  mkdirSync(join(folder, 'elsewhere'));
  symlinkSync('../app/bin/holdpoint', join(folder, 'elsewhere', 'holdpoint'));
  const { stdout } = await run(join(folder, 'elsewhere', 'holdpoint'), ['rules', 'a b'], { env: env() });
  expect(stdout).toMatch(/^installed \S+\/app\/src\/cli\/main\.ts rules a b\n$/);
});

test('without sources the build runs, on the Node.js of the machine if that is 24', async () => {
  program('path/node', 'if [ "$1" = -p ]; then echo true; else echo "machine $*"; fi');
  const { stdout } = await run(copy, ['--version'], { env: env() });
  expect(stdout).toMatch(/^machine --enable-source-maps \S+\/app\/dist\/src\/cli\/main\.js --version\n$/);
});

test('an old Node.js is one sentence and exit code 1', async () => {
  program('path/node', 'if [ "$1" = -p ]; then echo false; else echo v20.1.0; fi');
  await expect(run(copy, [], { env: env() })).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /^holdpoint: needs Node.js 24, this is v20.1.0; run npm ci in \S+, which installs it there\n$/,
    ),
  });
});

test.each([
  ['1', 1],
  ['2', 1],
  ['3', 2],
  ['5', 4],
  ['64', 4],
  ['undefined', 1],
  ['', 1],
])(
  'of V8’s helpers, a machine of %j cores has %i, so that one core is for the sessions',
  async (cores, helpers) => {
    program('path/node', 'if [ "$1" = -p ]; then echo true; else echo "$*"; fi');
    program('path/getconf', `[ "$1" = _NPROCESSORS_ONLN ] && echo '${cores}'`);
    const { stdout } = await run(copy, ['start', '--config', 'a b'], { env: env() });
    expect(stdout).toMatch(
      new RegExp(
        `^--enable-source-maps --v8-pool-size=${helpers} --heap-growing-percent=200 --max-semi-space-size=4 --liftoff-only \\S+/app/dist/src/cli/main\\.js start --config a b\\n$`,
      ),
    );
  },
);

test('where nobody counts the cores it starts as well', async () => {
  program('path/node', 'if [ "$1" = -p ]; then echo true; else echo "$*"; fi');
  program('path/getconf', 'exit 127');
  const { stdout } = await run(copy, ['start'], { env: env() });
  expect(stdout).toContain('--v8-pool-size=1 ');
});
