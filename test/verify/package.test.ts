// The verifier's package as somebody gets it who has nothing of Holdpoint: packed, put into an empty folder, run there.

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { type MemorySource, smallLog, temporaryFolder } from '../audit/fixture.ts';

const root = join(import.meta.dirname, '../..');

function run(command: string, args: readonly string[], cwd: string) {
  // Without the checkout's programs in the way: the folder has what it has.
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  return { status, out: stdout, err: stderr };
}

function write(folder: string, source: MemorySource): void {
  for (const [name, content] of source.files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

test('the package takes from nowhere but itself, jose and Node', () => {
  const folder = join(root, 'verify/src');
  const specifiers = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) =>
      [...readFileSync(join(folder, name), 'utf8').matchAll(/from '([^']+)'/g)].map((match) => [
        name,
        match[1]!,
      ]),
    );
  for (const [name, specifier] of specifiers) {
    const isOwn = specifier!.startsWith('.') && !join(dirname(name!), specifier!).startsWith('..');
    expect(
      isOwn || specifier === 'jose' || specifier!.startsWith('node:'),
      `${name} imports ${specifier}`,
    ).toBe(true);
  }
  const { dependencies } = JSON.parse(readFileSync(join(root, 'verify/package.json'), 'utf8'));
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).dependencies;
  expect(dependencies).toEqual({ jose: own.jose });
});

test('packed and installed into an empty folder it verifies a log, and tells a changed one', async () => {
  const empty = temporaryFolder();
  const build = join(empty, 'build');
  // A copy, so that the checkout is not built into.
  cpSync(join(root, 'verify'), join(build, 'verify'), {
    recursive: true,
    filter: (path) => !path.endsWith('/dist'),
  });
  cpSync(join(root, 'tsconfig.json'), join(build, 'tsconfig.json'));
  const tsc = join(root, 'node_modules/.bin/tsc');
  mkdirSync(join(build, 'node_modules/@types'), { recursive: true });
  for (const name of ['jose', 'undici-types', '@types/node'])
    if (existsSync(join(root, 'node_modules', name)))
      cpSync(join(root, 'node_modules', name), join(build, 'node_modules', name), { recursive: true });
  expect(run(tsc, ['-p', 'tsconfig.build.json'], join(build, 'verify'))).toMatchObject({
    status: 0,
    out: '',
  });
  const packed = run('npm', ['pack', '--ignore-scripts', '--pack-destination', empty], join(build, 'verify'));
  expect(packed.status, packed.err).toBe(0);
  // As npm would install it, from the archive and with jose alone; no registry is asked.
  const target = join(empty, 'there/node_modules/holdpoint-verify');
  mkdirSync(target, { recursive: true });
  const archive = join(empty, packed.out.trim().split('\n').at(-1)!);
  expect(run('tar', ['-xzf', archive, '--strip-components=1', '-C', target], empty).status).toBe(0);
  expect(readdirSync(target).sort()).toEqual(['README.md', 'bin', 'dist', 'package.json']);
  cpSync(join(root, 'node_modules/jose'), join(empty, 'there/node_modules/jose'), { recursive: true });

  const source = await smallLog({ segmentBytesMax: 2500 }, 12);
  write(join(empty, 'there/log'), source);
  // Its own launcher finds a Node that is new enough, or says that there is none; here the tests' own is used.
  const verify = (...args: string[]) =>
    run(process.execPath, [join(target, 'dist/cli.js'), ...args], join(empty, 'there'));
  const good = verify('log', '--jobs', '2');
  expect(good, good.err).toMatchObject({ status: 0, err: '' });
  expect(good.out).toContain('holdpoint/test: verified');
  expect(JSON.parse(verify('log', '--json').out)).toMatchObject({ ok: true });
  expect(verify('--version').out).toMatch(/^\d+\.\d+\.\d+\n$/);
  const lines = source.lines('seg-00000001.jsonl');
  write(join(empty, 'there/log'), source.withLines('seg-00000001.jsonl', lines.toSpliced(0, 1)));
  expect(verify('log', '--jobs', '2')).toMatchObject({ status: 10 });
  expect(verify('nowhere')).toMatchObject({ status: 1, out: '' });
  expect(verify()).toMatchObject({ status: 2, out: '' });
  expect(verify('log', '--jobs', 'many').status).toBe(2);
  expect(verify('log', '--no-such-option').status).toBe(2);
});

test('in a checkout it runs without a build, and says the same as `holdpoint audit verify`', async () => {
  const folder = temporaryFolder();
  write(folder, await smallLog());
  const own = run(join(root, 'verify/bin/holdpoint-verify'), [folder], folder);
  expect(own, own.err).toMatchObject({ status: 0 });
  const theirs = run(join(root, 'bin/holdpoint'), ['audit', 'verify', folder], folder);
  expect(theirs).toEqual(own);
});
