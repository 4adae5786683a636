// A run's results, made by hand.

import type { Figures } from '../../bench/cost/figures.ts';
import type { Results } from '../../bench/cost/results.ts';

export function figures(perSecond: number, more: Partial<Figures> = {}): Figures {
  return { perSecond, p50Ms: 1, p99Ms: 4, ...more };
}

export function results(more: Partial<Results> = {}): Results {
  return {
    at: '2026-01-02T03:04:05.000Z',
    command: 'npm run bench',
    machine: { processors: '2 × Processor', memoryGiB: 8, system: 'Linux 6' },
    versions: { node: 'v24' },
    rounds: 2,
    seconds: 1,
    scale: 1,
    copyMb: 1,
    tls: false,
    units: { 'prepared 16': 'statement' },
    workloads: { prepared: 'reads' },
    subjects: ['direct', 'relay', 'holdpoint'],
    absent: {},
    memory: { direct: undefined, holdpoint: { restMiB: 100, perSessionKiB: 50 } },
    cells: {
      'prepared 16': {
        direct: [figures(3000), figures(3200)],
        relay: [figures(1000, { cpuUs: 40, p50Ms: 2 }), figures(3000, { cpuUs: 50, p50Ms: 3 })],
        holdpoint: [figures(950, { cpuUs: 44 }), figures(2000, { cpuUs: 60, memoryMiB: 130 })],
      },
    },
    failures: [],
    ...more,
  };
}
