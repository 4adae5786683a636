// Observations: a histogram without labels for what is observed on the path of every statement. prom-client copies, checks
// and hashes labels for each value that it is given, and leaves garbage; here a value is an addition. What a scrape shows is
// the same. Nothing is sampled: each value counts.

import type { HistogramConfiguration, Metric } from 'prom-client';

type Configuration = Pick<HistogramConfiguration<string>, 'name' | 'help'> & {
  /** Upper bounds, ascending. */
  readonly buckets: readonly number[];
  readonly registers: NonNullable<HistogramConfiguration<string>['registers']>;
};

export class Observations {
  readonly #buckets: readonly number[];
  /** Of each bucket, and of what is above all of them. */
  readonly #counts: Float64Array;
  /** A cell rather than a number, which would be a new object each time. */
  readonly #sum = new Float64Array(1);

  constructor({ name, help, buckets, registers }: Configuration) {
    this.#buckets = buckets;
    this.#counts = new Float64Array(buckets.length + 1);
    const values = () => this.#values(name);
    const metric = {
      name,
      help,
      type: 'histogram',
      aggregator: 'sum',
      get: async () => ({ ...metric, values: values() }),
    };
    // All that a registry asks of a metric.
    for (const registry of registers) registry.registerMetric(metric as unknown as Metric);
  }

  observe(value: number): void {
    const buckets = this.#buckets;
    let at = 0;
    while (at < buckets.length && value > buckets[at]!) at += 1;
    this.#counts[at]! += 1;
    this.#sum[0]! += value;
  }

  #values(name: string): readonly object[] {
    let count = 0;
    const bounds = [...this.#buckets, '+Inf'];
    const rows: object[] = bounds.map((le, at) => {
      count += this.#counts[at]!;
      return { labels: { le }, value: count, metricName: `${name}_bucket` };
    });
    rows.push({ labels: {}, value: this.#sum[0]!, metricName: `${name}_sum` });
    rows.push({ labels: {}, value: count, metricName: `${name}_count` });
    return rows;
  }
}
