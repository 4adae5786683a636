// `npm run build`: dist/ from src/ and verify/src/, and beside the modules the files that they read.

import { spawnSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');

rmSync(dist, { recursive: true, force: true });
const { status } = spawnSync('tsc', ['-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
if (status !== 0) process.exit(1);
cpSync(join(root, 'src'), join(dist, 'src'), {
  recursive: true,
  filter: (source) => !source.endsWith('.ts'),
});
