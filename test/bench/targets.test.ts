import { expect, test } from 'vitest';
import { targets } from '../../bench/cost/targets.ts';
import { figures, results } from './results.ts';

const verdicts = (of = results()) =>
  Object.fromEntries(targets(of).map(({ figure, wanted, verdict }) => [`${figure}: ${wanted}`, verdict]));

const cpu = 'CPU per prepared read, 16 clients: at most 1.25 × relay';
const rate = 'throughput, prepared reads, 16 clients: at least 0.9 × relay';

function ran(holdpoint: readonly [perSecond: number, cpuUs: number][]) {
  const relay = holdpoint.map(() => figures(1000, { cpuUs: 40 }));
  const mine = holdpoint.map(([perSecond, cpuUs]) => figures(perSecond, { cpuUs }));
  return results({ cells: { 'prepared 16': { relay, holdpoint: mine } } });
}

test('a bound is reached by exactly its value, and missed beyond it', () => {
  expect(verdicts(ran([[900, 50]]))).toMatchObject({ [cpu]: 'reached', [rate]: 'reached' });
  expect(verdicts(ran([[899, 51]]))).toMatchObject({ [cpu]: 'missed', [rate]: 'missed' });
});

test('the median of the ratios of the rounds counts, not the ratio of the medians', () => {
  const cells = {
    'prepared 16': {
      relay: [figures(100), figures(1000), figures(10_000)],
      holdpoint: [figures(95), figures(950), figures(800)],
    },
  };
  // Medians are 1000 and 800; but two of three rounds came to 0.95.
  const found = targets(results({ cells })).find(({ figure, wanted }) => `${figure}: ${wanted}` === rate);
  expect(found).toMatchObject({ verdict: 'reached', measured: { median: 0.95, least: 0.08 } });
});

test('what was not measured is neither reached nor missed', () => {
  const found = Object.values(verdicts(results({ cells: {}, memory: {} })));
  expect(new Set(found)).toEqual(new Set(['not measured']));
});

test('what is added is a multiple of what the relay adds to the direct value of its round', () => {
  const of = (mine: number) => {
    const direct = [figures(1, { p50Ms: 1 })];
    const relay = [figures(1, { p50Ms: 1.4 })];
    const holdpoint = [figures(1, { p50Ms: mine })];
    const key = 'added p50, prepared reads, 1 client: at most 1.25 × what relay adds';
    return verdicts(results({ cells: { 'prepared 1': { direct, relay, holdpoint } } }))[key];
  };
  expect(of(1.49)).toBe('reached');
  expect(of(1.51)).toBe('missed');
});

test('memory per idle session is asked of plaintext, the time of a login of TLS', () => {
  const cells = { 'connect 1': { pgbouncer: [figures(1)], holdpoint: [figures(1, { p50Ms: 1.6 })] } };
  const idle = 'memory per idle plaintext session: at most 48 KiB';
  const connect = 'connect, SCRAM and TLS: at most 1.5 × pgbouncer';
  expect(verdicts(results({ cells }))).toMatchObject({ [idle]: 'missed', [connect]: 'not measured' });
  expect(verdicts(results({ cells, tls: true }))).toMatchObject({
    [idle]: 'not measured',
    [connect]: 'missed',
  });
});
