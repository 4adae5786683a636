// Addon: what is written in C, in native/, and prebuilt for Linux on x64 and arm64 (`npm run native`). Each has a way in
// TypeScript beside it, which does the same where there is none, where it cannot be loaded, and with HOLDPOINT_NATIVE=off.

import { createRequire } from 'node:module';

export interface Addon {
  /** SHA-256 of the source that it was built from, in hex. */
  readonly source: string;
}

/** `name`: of its file in native/, without `.c`. Undefined where there is none. */
export function loadAddon<A extends Addon>(name: 'hop' | 'finish'): A | undefined {
  if (process.env.HOLDPOINT_NATIVE === 'off') return undefined;
  try {
    const platform = `${process.platform}-${process.arch}`;
    return createRequire(import.meta.url)(`./prebuilt/${platform}/${name}.node`) as A;
  } catch {
    return undefined;
  }
}
