// The test of the test: with the catalog's explanations taken away, what they would have shown is found by the oracle.

import { expect, test, vi } from 'vitest';
import { runOracle } from './oracle.ts';

vi.mock('../../src/catalog/reach.ts', async (original) => {
  const real = await original<typeof import('../../src/catalog/reach.ts')>();
  class Unexplaining extends real.SnapshotReacher {
    override explain: InstanceType<typeof real.SnapshotReacher>['explain'] = (statement) => statement;
  }
  return { ...real, SnapshotReacher: Unexplaining };
});

test('without the catalog, code behind names is seen to remove rows', { timeout: 1_800_000 }, async () => {
  const report = await runOracle({ seed: 1, statements: 10_000, breachesMax: 1 });
  expect(report.breaches.map(({ what }) => what).join()).toMatch(/rows gone|changed/);
});
