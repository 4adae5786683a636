import { Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { Observations } from '../src/observations.ts';

test('a scrape shows what a histogram of prom-client would', async () => {
  const [registry, theirs] = [new Registry(), new Registry()];
  const configuration = { name: 'waited_seconds', help: 'Waited "a while".', buckets: [0.25, 1, 10] };
  const observations = new Observations({ ...configuration, registers: [registry] });
  const histogram = new Histogram({ ...configuration, registers: [theirs] });
  const values = [0, 0.1, 0.25, 0.26, 1, 9.75, 10, 10.5, 1e9, 0.125];
  for (const many of [0, 1, 300]) {
    for (let n = 0; n < many; n += 1)
      for (const value of values) {
        observations.observe(value);
        histogram.observe(value);
      }
    expect(await registry.metrics()).toBe(await theirs.metrics());
    expect(await registry.getMetricsAsJSON()).toMatchObject([{ name: 'waited_seconds', type: 'histogram' }]);
  }
});
