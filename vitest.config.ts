// The tests of a plain `npm test`. The version matrix has a configuration of its own, since it needs more servers.

import { defineConfig } from 'vitest/config';
import { reporters } from './vitest.report.ts';

export default defineConfig({
  test: {
    reporters: reporters(),
    include: ['test/**/*.test.ts'],
    exclude: ['test/versions/**'],
    globalSetup: 'test/support/global.ts',
    // For what hangs: real servers and a browser on a busy machine may take many times what they usually do.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What another process does is waited for as long as it takes; the usual second is not enough on a busy machine.
    expect: { poll: { timeout: 20_000, interval: 20 } },
  },
});
