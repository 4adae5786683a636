// What is built of native/ and committed belongs to the source that is here.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Addon, loadAddon } from '../src/addon.ts';

const root = join(import.meta.dirname, '..');
const isBuilt = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);
const files = readdirSync(join(root, 'native')).sort();
const read = (name: string) => readFileSync(join(root, 'native', name));

test.each(files.filter((name) => name.endsWith('.c')))('of %s', (source) => {
  const digest = createHash('sha256').update(read(source));
  for (const header of files.filter((name) => name.endsWith('.h'))) digest.update(read(header));
  const expected = digest.digest('hex');
  const name = source.slice(0, -2) as Parameters<typeof loadAddon>[0];
  expect(loadAddon<Addon>(name)?.source).toBe(isBuilt ? expected : undefined);
  for (const arch of ['x64', 'arm64'])
    expect(readFileSync(join(root, `src/prebuilt/linux-${arch}/${name}.node`)).includes(expected), arch).toBe(
      true,
    );
});

test('and of the hop that a bench compares with', () => {
  const digest = createHash('sha256').update(read('hop.c'));
  for (const header of files.filter((name) => name.endsWith('.h'))) digest.update(read(header));
  const expected = digest.digest('hex');
  for (const arch of ['x64', 'arm64']) {
    const built = readFileSync(join(root, `bench/prebuilt/linux-${arch}/hop.node`));
    expect(built.includes(expected), arch).toBe(true);
    // It records nothing, and must never be the product's.
    expect(built.equals(readFileSync(join(root, `src/prebuilt/linux-${arch}/hop.node`))), arch).toBe(false);
  }
});
