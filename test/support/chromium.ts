// A real Chromium for the browser tests: from PATH, else from Debian's packages when root, else a sentence that says what
// to install. Never skips.

import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { type Browser, chromium } from 'playwright-core';

const run = promisify(execFile);
const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

/** The path of the executable. Throws an Error with the mend if there is none and none can be installed. */
export async function chromiumPath(): Promise<string> {
  const found = await onPath();
  if (found !== undefined) return found;
  if (process.getuid?.() === 0) {
    await run('apt-get', ['update', '-qq']).catch(() => {});
    await run('apt-get', ['install', '-y', '-qq', 'chromium'], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      maxBuffer: 64 * 1024 * 1024,
    }).catch(() => {});
    const installed = await onPath();
    if (installed !== undefined) return installed;
  }
  throw new Error(
    'the browser tests need Chromium: install it (apt-get install chromium) or put one on PATH',
  );
}

/** A browser of its own; close it. As root Chromium refuses its sandbox, so it goes without. */
export async function openBrowser(): Promise<Browser> {
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath: await chromiumPath(), args });
}

async function onPath(): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of names) {
      const path = join(folder, name);
      const usable = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (usable) return path;
    }
  }
  return undefined;
}
