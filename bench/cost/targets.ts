// What Holdpoint must reach, and whether one run's figures do. A ratio is taken round by round, of two subjects that
// were measured one after the other, and its median counts.

import { type Figures, type Rounds, type Spread, spread, together } from './figures.ts';
import type { Memory } from './memory.ts';
import type { CellRounds } from './rounds.ts';

export interface Measured {
  readonly cells: Readonly<Record<string, CellRounds>>;
  readonly memory: Readonly<Record<string, Memory | undefined>>;
  readonly tls: boolean;
}

export interface Target {
  readonly figure: string;
  readonly wanted: string;
  readonly measured: Spread | undefined;
  readonly verdict: 'reached' | 'missed' | 'not measured';
}

interface Bound {
  readonly figure: string;
  readonly bound: 'at most' | 'at least';
  readonly value: number;
  readonly of: string;
  take(measured: Measured): number[];
}

const guarded = 'holdpoint';

export function targets(measured: Measured): Target[] {
  return bounds.map((each) => {
    const found = spread(each.take(measured));
    return {
      figure: each.figure,
      wanted: `${each.bound} ${each.value} ${each.of}`,
      measured: found,
      verdict: verdict(each, found?.median),
    };
  });
}

function verdict({ bound, value }: Bound, median: number | undefined): Target['verdict'] {
  if (median === undefined) return 'not measured';
  return (bound === 'at most' ? median <= value : median >= value) ? 'reached' : 'missed';
}

/** Holdpoint's figure as a multiple of another's. */
function ratio(cell: string, other: string, key: keyof Figures) {
  return ({ cells }: Measured): number[] =>
    together(roundsOf(cells, cell, guarded), roundsOf(cells, cell, other), (of, to) => {
      const [mine, its] = [of[key], to[key]];
      return mine === undefined || its === undefined ? undefined : mine / its;
    });
}

/** What Holdpoint adds to the direct p50, as a multiple of what another adds. */
function added(cell: string, other: string) {
  return ({ cells }: Measured): number[] => {
    const [direct, mine, its] = ['direct', guarded, other].map((subject) => roundsOf(cells, cell, subject));
    return (direct ?? []).flatMap((base, round) => {
      const [of, to] = [mine?.[round], its?.[round]];
      if (base === undefined || of === undefined || to === undefined || to.p50Ms <= base.p50Ms) return [];
      return (of.p50Ms - base.p50Ms) / (to.p50Ms - base.p50Ms);
    });
  };
}

function memory(key: keyof Memory) {
  return ({ memory: of }: Measured): number[] => {
    const found = of[guarded]?.[key];
    return found === undefined ? [] : [found];
  };
}

function roundsOf(cells: Measured['cells'], cell: string, subject: string): Rounds | undefined {
  return cells[cell]?.[subject];
}

const bounds: readonly Bound[] = [
  {
    figure: 'CPU per prepared read, 16 clients',
    bound: 'at most',
    value: 1.25,
    of: '× relay',
    take: ratio('prepared 16', 'relay', 'cpuUs'),
  },
  {
    figure: 'the same, the next aim',
    bound: 'at most',
    value: 1,
    of: '× pgbouncer',
    take: ratio('prepared 16', 'pgbouncer', 'cpuUs'),
  },
  {
    figure: 'throughput, prepared reads, 16 clients',
    bound: 'at least',
    value: 0.9,
    of: '× relay',
    take: ratio('prepared 16', 'relay', 'perSecond'),
  },
  {
    figure: 'throughput, prepared reads, 16 clients',
    bound: 'at least',
    value: 1.5,
    of: '× pgpool',
    take: ratio('prepared 16', 'pgpool', 'perSecond'),
  },
  {
    figure: 'the same, the next aim',
    bound: 'at least',
    value: 1,
    of: '× pgbouncer',
    take: ratio('prepared 16', 'pgbouncer', 'perSecond'),
  },
  {
    figure: 'added p50, prepared reads, 1 client',
    bound: 'at most',
    value: 1.25,
    of: '× what relay adds',
    take: added('prepared 1', 'relay'),
  },
  {
    figure: 'throughput, simple protocol, every text different, 16 clients',
    bound: 'at least',
    value: 0.85,
    of: '× relay',
    take: ratio('simple 16', 'relay', 'perSecond'),
  },
  {
    figure: 'writes, TPC-B-like, 16 clients',
    bound: 'at least',
    value: 0.8,
    of: '× pgbouncer',
    take: ratio('tpcb 16', 'pgbouncer', 'perSecond'),
  },
  {
    figure: 'SELECT of 100,000 rows',
    bound: 'at least',
    value: 0.9,
    of: '× relay',
    take: ratio('select 1', 'relay', 'perSecond'),
  },
  {
    figure: 'COPY TO STDOUT',
    bound: 'at least',
    value: 0.9,
    of: '× relay',
    take: ratio('copy-out 1', 'relay', 'perSecond'),
  },
  {
    figure: 'COPY FROM STDIN',
    bound: 'at least',
    value: 0.9,
    of: '× relay',
    take: ratio('copy-in 1', 'relay', 'perSecond'),
  },
  { figure: 'memory at rest', bound: 'at most', value: 150, of: 'MiB', take: memory('restMiB') },
  {
    figure: 'memory per idle plaintext session',
    bound: 'at most',
    value: 48,
    of: 'KiB',
    take: (measured) => (measured.tls ? [] : memory('perSessionKiB')(measured)),
  },
  {
    figure: 'connect, SCRAM and TLS',
    bound: 'at most',
    value: 1.5,
    of: '× pgbouncer',
    take: (measured) => (measured.tls ? ratio('connect 1', 'pgbouncer', 'p50Ms')(measured) : []),
  },
];
