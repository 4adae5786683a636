// `npm run native`: builds what is in native/ for every platform that there is a compiler for, into src/prebuilt/. The
// results are committed, so that an installation needs no compiler; each carries the SHA-256 of its source, by which a
// test sees whether they belong together. Debian: gcc, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const headers = join(dirname(createRequire(import.meta.url).resolve('node-api-headers')), 'include');
const compilers = { 'linux-x64': 'x86_64-linux-gnu-gcc', 'linux-arm64': 'aarch64-linux-gnu-gcc' };

/** `folderOfAll`: where it goes, in a folder named after the platform. */
function build(
  source: string,
  platform: keyof typeof compilers,
  folderOfAll = 'src/prebuilt',
  more: readonly string[] = [],
): boolean {
  const digest = sourceDigest(source);
  const folder = join(root, folderOfAll, platform);
  mkdirSync(folder, { recursive: true });
  const { status, error } = spawnSync(
    compilers[platform],
    [
      ...['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', '-fPIC', '-shared', '-s', '-Wl,--build-id=none'],
      ...['-Wl,-z,relro,-z,now', '-fstack-protector-strong', `-DSOURCE_DIGEST="${digest}"`],
      ...more,
      ...['-I', headers, '-o', join(folder, `${basename(source, '.c')}.node`), source],
    ],
    { stdio: 'inherit', cwd: root },
  );
  const what = `${folderOfAll}: ${basename(source)} for ${platform}`;
  console.log(
    status === 0
      ? `${what}: built`
      : `${what}: not built, ${error?.message ?? `${compilers[platform]} failed`}`,
  );
  return status === 0;
}

/** Of a source and all headers beside it. */
function sourceDigest(source: string): string {
  const folder = dirname(source);
  const headers = readdirSync(folder).filter((name) => name.endsWith('.h'));
  const digest = createHash('sha256').update(readFileSync(source));
  for (const name of headers.sort()) digest.update(readFileSync(join(folder, name)));
  return digest.digest('hex');
}

const sources = readdirSync(join(root, 'native')).filter((name) => name.endsWith('.c'));
const platforms = Object.keys(compilers) as (keyof typeof compilers)[];
const results = platforms.flatMap((platform) => [
  ...sources.map((name) => build(join(root, 'native', name), platform)),
  // What rounds cost that nobody records, for bench/log.ts to compare with.
  build(join(root, 'native/hop.c'), platform, 'bench/prebuilt', ['-DHOLDPOINT_UNRECORDED=true']),
]);
process.exit(results.every(Boolean) ? 0 : 1);
