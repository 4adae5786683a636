// The tests of a plain `npm test`. The version matrix has a configuration of its own, since it needs more servers.

import { defineConfig } from 'vitest/config';
import { reporters } from './vitest.report.ts';

export default defineConfig({
  test: {
    reporters: reporters(),
    include: ['test/**/*.test.ts'],
    exclude: ['test/versions/**'],
    globalSetup: 'test/support/global.ts',
    // Real servers and a browser on a small machine; the tests themselves never sleep.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
