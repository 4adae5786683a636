// What must hold on every PostgreSQL from 13 to 18. Run by scripts/test-versions.ts, which installs the servers first.

import { defineConfig } from 'vitest/config';
import { reporters } from './vitest.report.ts';

export default defineConfig({
  test: {
    reporters: reporters(),
    include: ['test/versions/**/*.test.ts'],
    globalSetup: 'test/support/global.ts',
    testTimeout: 240_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 20_000, interval: 20 } },
    // Each file starts six servers.
    fileParallelism: false,
  },
});
