// How descriptors are shared out: a table of limits that are met, and what holds for all of them.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HoldpointError } from '../src/errors.ts';
import { limitFor, type Needs, ownDescriptors, share, shortfall } from '../src/open-files.ts';

const one: Needs = { connectionsMax: 1000, targets: 1, peers: 0 };
const all = (connectionsMax: number, httpConnectionsMax: number, turnedAwayMax: number) => ({
  connectionsMax,
  httpConnectionsMax,
  turnedAwayMax,
});

describe('what one target and no place outside leave of a limit', () => {
  test.each([
    [200, all(38, 16, 8)],
    [256, all(65, 17, 9)],
    [1024, all(411, 68, 34)],
    [2333, all(1000, 155, 78)],
    [4096, all(1000, 1000, 996)],
    [65_536, all(1000, 1000, 1000)],
    [Number.POSITIVE_INFINITY, all(1000, 1000, 1000)],
  ])('of %d', (limit, shares) => {
    expect(share(limit, one)).toEqual(shares);
  });
});

test('what is asked for is what is taken where it fits, and nobody is told', () => {
  const limit = limitFor(one);
  const shares = share(limit, one);
  expect(shares.connectionsMax).toBe(1000);
  expect(shortfall(limit, one, shares)).toBeUndefined();
  expect(shortfall(limit - 1, one, share(limit - 1, one))).toBe(
    'this process may have 2332 files open: 999 sessions are taken at once, not the 1000 of limits.connectionsMax, for ' +
      'which it takes 2333; raise the limit of open files (ulimit -n, LimitNOFILE= of a systemd unit, ulimits.nofile of ' +
      'a container), or lower limits.connectionsMax',
  );
});

test('less than a handful of sessions is no start, unless no more are asked for', () => {
  expect(() => share(139, one)).toThrow(
    new HoldpointError(
      'bad-config',
      'this process may have 139 files open, and 140 are the fewest that Holdpoint starts with: 100 for itself, 2 for each ' +
        'of 8 sessions, and some for HTTP; raise the limit of open files (ulimit -n, LimitNOFILE= of a systemd unit, ' +
        'ulimits.nofile of a container)',
    ),
  );
  expect(share(140, one).connectionsMax).toBe(8);
  expect(share(130, { ...one, connectionsMax: 3 }).connectionsMax).toBe(3);
  expect(() => share(0, one)).toThrow(HoldpointError);
});

const needs = fc.record({
  connectionsMax: fc.integer({ min: 1, max: 100_000 }),
  targets: fc.integer({ min: 1, max: 100 }),
  peers: fc.integer({ min: 0, max: 60 }),
});
const limits = fc.oneof(fc.integer({ min: 0, max: 4096 }), fc.integer({ min: 0, max: 300_000 }));
const tried = (limit: number, wanted: Needs) => {
  try {
    return share(limit, wanted);
  } catch {
    return undefined;
  }
};

test('all shares together are never more than the limit, and each is of use', () => {
  fc.assert(
    fc.property(limits, needs, (limit, wanted) => {
      const shares = tried(limit, wanted);
      if (shares === undefined) return;
      const { connectionsMax, httpConnectionsMax, turnedAwayMax } = shares;
      const sum = ownDescriptors(wanted) + 2 * connectionsMax + httpConnectionsMax + turnedAwayMax;
      expect(sum).toBeLessThanOrEqual(limit);
      expect(connectionsMax).toBeGreaterThanOrEqual(Math.min(8, wanted.connectionsMax));
      expect(connectionsMax).toBeLessThanOrEqual(wanted.connectionsMax);
      expect(httpConnectionsMax).toBeGreaterThanOrEqual(16);
      expect(turnedAwayMax).toBeGreaterThanOrEqual(8);
      for (const count of Object.values(shares)) expect(Number.isInteger(count)).toBe(true);
    }),
  );
});

test('one more open file never means fewer sessions', () => {
  fc.assert(
    fc.property(limits, needs, (limit, wanted) => {
      const [fewer, more] = [tried(limit, wanted), tried(limit + 1, wanted)];
      expect(more?.connectionsMax ?? 0).toBeGreaterThanOrEqual(fewer?.connectionsMax ?? 0);
    }),
  );
});

test('the limit that is named is the least at which all fit', () => {
  fc.assert(
    fc.property(needs, (wanted) => {
      const limit = limitFor(wanted);
      expect(tried(limit, wanted)?.connectionsMax).toBe(wanted.connectionsMax);
      expect(tried(limit - 1, wanted)?.connectionsMax ?? 0).toBeLessThan(wanted.connectionsMax);
    }),
  );
});
