// The test of the test: with the READ ONLY transaction around doubtful reads taken away, the oracle finds what it stopped.

import { expect, test, vi } from 'vitest';
import { runOracle } from './oracle.ts';

vi.mock('../../src/session/injected.ts', async (original) => {
  const real = await original<typeof import('../../src/session/injected.ts')>();
  class Writable extends real.Packet {
    override command(sql: string): this {
      const weaker = sql === 'SET LOCAL transaction_read_only = on' ? 'SET LOCAL work_mem = 4096' : sql;
      return super.command(weaker.replace('BEGIN READ ONLY', 'BEGIN'));
    }
  }
  return { ...real, Packet: Writable };
});

test('without the second wall, reads that cannot be proved are seen to write', {
  timeout: 1_800_000,
}, async () => {
  const report = await runOracle({ seed: 1, statements: 10_000, breachesMax: 1 });
  expect(report.breaches.map(({ what }) => what).join()).toMatch(/rows gone|changed/);
});
