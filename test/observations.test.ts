import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { Observations } from '../src/observations.ts';

test('every value is in the next scrape, in its bucket, however many there were', async () => {
  const registry = new Registry();
  const observations = new Observations({
    name: 'waited_seconds',
    help: 'Waited.',
    buckets: [1, 10],
    registers: [registry],
  });
  const shown = async (): Promise<string[]> =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith('waited'));
  let [count, sum, small] = [0, 0, 0];
  for (const values of [1, 255, 256, 257, 1000, 0]) {
    for (let n = 0; n < values; n += 1) {
      const value = n % 3 === 0 ? 0.5 : 20;
      observations.observe(value);
      count += 1;
      sum += value;
      if (value < 1) small += 1;
    }
    expect(await shown()).toEqual([
      `waited_seconds_bucket{le="1"} ${small}`,
      `waited_seconds_bucket{le="10"} ${small}`,
      `waited_seconds_bucket{le="+Inf"} ${count}`,
      `waited_seconds_sum ${sum}`,
      `waited_seconds_count ${count}`,
    ]);
  }
});
