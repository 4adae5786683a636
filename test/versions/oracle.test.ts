// The oracle's verdict on Holdpoint in front of PostgreSQL 15.

import { expect, test } from 'vitest';
import { runOracle, summary } from '../oracle/oracle.ts';

test('of 10,000 generated statements none that passed as a read changed anything, and no row is gone', {
  timeout: 1_800_000,
}, async () => {
  const report = await runOracle({ seed: 15, statements: 10_000, version: 15 });
  expect(report.breaches.length, summary(report)).toBe(0);
});
