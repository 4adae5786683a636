// `npm run hop`: builds native/hop.c for every platform that there is a compiler for, into src/hop/prebuilt/. The
// results are committed, so that an installation needs no compiler; each carries the SHA-256 of its source, by which a
// test sees whether they belong together. Debian: gcc, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const source = join(root, 'native/hop.c');
const headers = join(dirname(createRequire(import.meta.url).resolve('node-api-headers')), 'include');
const compilers = { 'linux-x64': 'x86_64-linux-gnu-gcc', 'linux-arm64': 'aarch64-linux-gnu-gcc' };

const digest = createHash('sha256').update(readFileSync(source)).digest('hex');
let failed = false;
for (const [platform, compiler] of Object.entries(compilers)) {
  const output = join(root, `src/hop/prebuilt/${platform}.node`);
  const { status, error } = spawnSync(
    compiler,
    [
      ...['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', '-fPIC', '-shared', '-s', '-Wl,--build-id=none'],
      ...['-Wl,-z,relro,-z,now', '-fstack-protector-strong', `-DSOURCE_DIGEST="${digest}"`],
      ...['-I', headers, '-o', output, source],
    ],
    { stdio: 'inherit', cwd: root },
  );
  failed ||= status !== 0;
  console.log(
    status === 0 ? `${platform}: built` : `${platform}: not built, ${error?.message ?? `${compiler} failed`}`,
  );
}
process.exit(failed ? 1 : 0);
