// The watch over a real database's catalog: what its sessions are told while it is read, changes, and cannot be read.

import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { Reacher } from '../../src/catalog/names.ts';
import type { Snapshot } from '../../src/catalog/snapshot.ts';
import { revokeRounds } from '../../src/hop/lanes.ts';
import { CatalogWatch, type CatalogWatchOptions } from '../../src/proxy/catalog-watch.ts';
import type { Upstream } from '../../src/proxy/upstream.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { connectTo } from '../support/snapshot.ts';

vi.mock('../../src/hop/lanes.ts', { spy: true });

let database: TestDatabase;
let client: pg.Client;
let other: pg.Client;
let watch: CatalogWatch;
let reports: string[];
let names = 0;

beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client({ connectionString: database.url });
  other = new pg.Client({ connectionString: database.url });
  await client.connect();
  await other.connect();
});
afterEach(async () => {
  watch.close();
  await client.query('ROLLBACK');
});
afterAll(async () => {
  await other?.end();
  await client?.end();
  await database?.drop();
});

const hour = 3_600_000;

/** A watch that looks by itself only where the test asks for it. */
function watching(options: Partial<CatalogWatchOptions> = {}): CatalogWatch {
  reports = [];
  watch = new CatalogWatch({
    connect: connectTo(database.url),
    reacher: (snapshot) => ({ epoch: snapshot.epoch, snapshot }) as unknown as Reacher,
    report: (sentence) => reports.push(sentence),
    ...options,
    times: { pollMs: hour, ...options.times },
  });
  return watch;
}

const known = (name: string): boolean | undefined => {
  const reach = watch.reach as unknown as { snapshot: Snapshot } | undefined;
  return reach === undefined ? undefined : reach.snapshot.functionsNamed(name).length > 0;
};

/** A new function's name, made on another connection than the proxy's. */
async function created(): Promise<string> {
  names += 1;
  const name = `made_${names}`;
  await client.query(`CREATE FUNCTION ${name}() RETURNS integer LANGUAGE sql AS 'SELECT 1'`);
  return name;
}

/** Connections of the watch that the server has now. */
async function sides(): Promise<number> {
  const { rows } = await client.query(
    `SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'holdpoint catalog' AND datname = current_database()`,
  );
  return rows[0].count;
}

/** Ends the watch's connection at the server, and waits until it is gone there. */
async function terminated(): Promise<void> {
  await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdpoint catalog' AND datname = current_database()`,
  );
  await vi.waitFor(async () => expect(await sides()).toBe(0), { timeout: 10_000 });
}

/** Waits until the server has taken the snapshot of a look. */
async function begunToLook(): Promise<void> {
  await vi.waitFor(
    async () => {
      const { rows } = await client.query(
        `SELECT FROM pg_stat_activity WHERE application_name = 'holdpoint catalog' AND datname = current_database()
           AND state = 'idle in transaction'`,
      );
      expect(rows).toHaveLength(1);
    },
    { timeout: 10_000 },
  );
}

/** Connections of which the watch hears, between `pause` and `resume`, nothing that the server says. */
function tapped() {
  const connect = connectTo(database.url);
  let last: Upstream | undefined;
  return {
    connect: async (settings: readonly (readonly [string, string])[]) => {
      last = await connect(settings);
      return last;
    },
    pause: () => last?.socket.pause(),
    resume: () => last?.socket.resume(),
  };
}

test('the first session opens it; until it is read nothing is known and statements wait', async () => {
  watching();
  expect(await sides()).toBe(0);
  expect([watch.reach, watch.pending]).toEqual([undefined, undefined]);
  watch.enter();
  expect(watch.reach).toBeUndefined();
  expect(watch.pending).toBeInstanceOf(Promise);
  await watch.ready();
  expect(watch.pending).toBeUndefined();
  expect(known('nothing')).toBe(false);
  expect(watch.snapshot?.searchPath).toEqual(['public']);
  expect(await sides()).toBe(1);
  expect(reports).toEqual([]);
});

test('after a change that went through the proxy nothing is known until it is read again', async () => {
  watching().enter();
  await watch.ready();
  const before = watch.reach;
  const name = await created();
  expect(known(name)).toBe(false);
  watch.changed();
  expect(watch.reach).toBeUndefined();
  await watch.pending;
  expect(known(name)).toBe(true);
  expect(watch.reach).not.toBe(before);
  // The same definitions have the same reacher, and with it what that has worked out.
  const after = watch.reach;
  watch.changed();
  await watch.pending;
  expect(watch.reach).toBe(after);
});

test('a change from elsewhere is seen by the next poll', async () => {
  const polls: number[] = [];
  const metrics = { readSeconds: () => undefined, pollSeconds: (seconds: number) => polls.push(seconds) };
  watching({ metrics, times: { pollMs: 20 } }).enter();
  await watch.ready();
  const name = await created();
  await vi.waitFor(() => expect(known(name)).toBe(true), { timeout: 10_000 });
  await vi.waitFor(() => expect(polls.length).toBeGreaterThan(0), { timeout: 10_000 });
});

test('refresh looks now', async () => {
  watching().enter();
  await watch.ready();
  const name = await created();
  await watch.refresh();
  expect(known(name)).toBe(true);
});

test('a reading that began before the change does not count', async () => {
  let after: (Reacher | undefined)[] = [];
  const pollSeconds = () => queueMicrotask(() => after.push(watch.reach));
  const line = tapped();
  watching({
    connect: line.connect,
    metrics: { readSeconds: () => undefined, pollSeconds },
  }).enter();
  await watch.ready();
  after = [];
  // Nothing is compared while no transaction has ended.
  await other.query('SELECT pg_current_xact_id()');
  line.pause();
  watch.changed();
  await begunToLook();
  const name = await created();
  watch.changed();
  line.resume();
  await watch.pending;
  expect(known(name)).toBe(true);
  // The look that saw nothing has ended, and said nothing.
  expect(after).toEqual([undefined]);
});

test('changes during one reading are read together', async () => {
  let readings = 0;
  const metrics = { readSeconds: () => (readings += 1), pollSeconds: () => (readings += 1) };
  watching({ metrics }).enter();
  await watch.ready();
  readings = 0;
  for (let change = 0; change < 50; change += 1) watch.changed();
  await watch.pending;
  expect(readings).toBeLessThanOrEqual(2);
});

test('without sessions the connection ends and everything is forgotten', async () => {
  watching({ times: { lingerMs: 1 } });
  watch.enter();
  watch.enter();
  await watch.ready();
  watch.leave();
  expect(watch.reach).toBeDefined();
  watch.leave();
  await vi.waitFor(async () => expect(await sides()).toBe(0), { timeout: 10_000 });
  expect([watch.reach, watch.pending, watch.ageSeconds]).toEqual([undefined, undefined, undefined]);
  watch.changed();
  await watch.refresh();
  expect(watch.pending).toBeUndefined();
  expect(await sides()).toBe(0);
  watch.enter();
  await watch.ready();
  expect(watch.reach).toBeDefined();
});

test('a session that comes back soon finds what was read, once it is looked at again', async () => {
  let readings = 0;
  const metrics = { readSeconds: () => (readings += 1), pollSeconds: () => undefined };
  watching({ metrics, times: { lingerMs: hour } }).enter();
  await watch.ready();
  watch.leave();
  const name = await created();
  watch.enter();
  expect(watch.reach).toBeUndefined();
  await watch.ready();
  expect(known(name)).toBe(true);
  watch.leave();
  watch.enter();
  await watch.ready();
  expect(readings).toBe(2);
  expect(await sides()).toBe(1);
});

test('a connection that is made when the last session has gone is closed', async () => {
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  let made: Promise<unknown> = Promise.resolve();
  const connect = connectTo(database.url);
  watching({
    connect: (settings) => {
      const upstream = gate.then(() => connect(settings));
      made = upstream;
      return upstream;
    },
  }).enter();
  watch.close();
  release();
  await made;
  await vi.waitFor(async () => expect(await sides()).toBe(0), { timeout: 10_000 });
  expect(watch.reach).toBeUndefined();
});

test('what cannot be read is not known, is said once, and is read when it can be again', async () => {
  let broken = true;
  const connect = connectTo(database.url);
  watching({
    connect: (settings) => (broken ? Promise.reject(new Error('secret of the URL')) : connect(settings)),
    times: { pollMs: 5 },
  }).enter();
  await watch.ready();
  expect([watch.reach, watch.pending]).toEqual([undefined, undefined]);
  await watch.refresh();
  await watch.refresh();
  expect(reports).toHaveLength(1);
  expect(reports[0]).toContain('cannot be read');
  expect(reports[0]).not.toContain('secret');
  broken = false;
  await vi.waitFor(() => expect(watch.reach).toBeDefined(), { timeout: 10_000 });
  expect(reports).toHaveLength(2);
});

test.each([
  ['is believed for a while', hour, true],
  ['is not believed any more after staleMs', 1, false],
])('after the connection is lost what was read %s', async (_, staleMs, believed) => {
  let broken = false;
  const connect = connectTo(database.url);
  const unreachable = () => Promise.reject(new Error('unreachable'));
  watching({
    connect: (settings) => (broken ? unreachable() : connect(settings)),
    times: { staleMs },
  }).enter();
  await watch.ready();
  broken = true;
  await terminated();
  await watch.refresh();
  expect([watch.reach !== undefined, reports.length]).toEqual([believed, believed ? 0 : 1]);
});

test('after a new connection nothing of the last one is believed while it is read', async () => {
  let reading: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    reading = resolve;
  });
  const connect = connectTo(database.url);
  let connections = 0;
  watching({
    connect: async (settings) => {
      connections += 1;
      return connect(settings);
    },
    reacher: (snapshot) => {
      // The second snapshot is there: what statements were told until now is what this test is about.
      if (connections === 2) {
        expect(watch.reach).toBeUndefined();
        expect(watch.pending).toBeInstanceOf(Promise);
        reading();
      }
      return { epoch: snapshot.epoch, snapshot } as unknown as Reacher;
    },
  }).enter();
  await watch.ready();
  const name = await created();
  await terminated();
  expect(known(name)).toBe(false);
  await watch.refresh();
  await begun;
  expect(known(name)).toBe(true);
});

test('a look over a connection that the server has ended connects anew, and tells what is there now', async () => {
  const line = tapped();
  watching({ connect: line.connect }).enter();
  await watch.ready();
  const name = await created();
  line.pause();
  const looked = watch.refresh();
  await begunToLook();
  await terminated();
  line.resume();
  await looked;
  expect(known(name)).toBe(true);
  expect(reports).toEqual([]);
});

test('a path that the database gives to new sessions is the path from the next look on', async () => {
  watching().enter();
  await watch.ready();
  await client.query(`CREATE SCHEMA first; ALTER DATABASE ${database.name} SET search_path = first, public`);
  await watch.refresh();
  expect(watch.snapshot?.searchPath).toEqual(['first', 'public']);
  expect(await sides()).toBe(1);
});

test('statements wait for a reading only so long', async () => {
  watching({ connect: () => new Promise(() => undefined), times: { pendingMs: 5 } }).enter();
  expect(watch.pending).toBeInstanceOf(Promise);
  await watch.ready();
  expect([watch.reach, watch.pending]).toEqual([undefined, undefined]);
});

test('whatever makes it another, or doubtful, takes back what rounds may go by', async () => {
  const revoked = vi.mocked(revokeRounds);
  const revokes = async (what: () => unknown): Promise<boolean> => {
    revoked.mockClear();
    await what();
    return revoked.mock.calls.length > 0;
  };
  watching();
  expect(await revokes(() => void watch.enter())).toBe(true);
  await watch.ready();
  // At once, not when it was read.
  expect(await revokes(() => void watch.changed())).toBe(true);
  await watch.ready();
  await created();
  expect(await revokes(() => watch.refresh())).toBe(true);
  expect(await revokes(() => watch.close())).toBe(true);
});
