// The version of this package, from the nearest package.json above this file: in a checkout as in a build.

import { existsSync, readFileSync } from 'node:fs';

export function packageVersion(): string {
  let path = new URL('../package.json', import.meta.url);
  while (!existsSync(path)) path = new URL('../package.json', path);
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string };
  return version;
}
