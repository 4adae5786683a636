// Observations: values on their way to a histogram. prom-client copies, checks and hashes labels for each value that it is
// given; on the path of every statement they are gathered, and given to it some hundred at a time, before each scrape the
// rest. Nothing is sampled: each value is observed.

import { Histogram, type HistogramConfiguration } from 'prom-client';

/** Few enough that to observe them all is not felt. */
const gatheredMax = 256;

/** A histogram without labels. */
export class Observations {
  readonly #histogram: Histogram;
  readonly #gathered = new Float64Array(gatheredMax);
  #count = 0;

  constructor(configuration: Omit<HistogramConfiguration<string>, 'labelNames' | 'collect'>) {
    const given = () => this.#give();
    this.#histogram = new Histogram({ ...configuration, collect: given });
  }

  observe(value: number): void {
    this.#gathered[this.#count] = value;
    this.#count += 1;
    if (this.#count === gatheredMax) this.#give();
  }

  #give(): void {
    for (let at = 0; at < this.#count; at += 1) this.#histogram.observe(this.#gathered[at]!);
    this.#count = 0;
  }
}
