// How rows are counted, and when they are not: parameters of a Bind, code that writes, rules that hold reads, locks, counts
// that take too long, what the role may see. Nothing that is measured changes anything.

import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Measurer, measurerOf } from '../support/blast.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { read, shopSql } from './shop.ts';

let database: TestDatabase;
let direct: pg.Client;
let measurer: Measurer;
let others: pg.Client[] = [];

const hugeSql = `
CREATE TABLE huge (id int, k int);
INSERT INTO huge SELECT n, n % 100 FROM generate_series(1, 3000) n;
ANALYZE huge;
CREATE FUNCTION slow(int) RETURNS bool LANGUAGE sql STABLE AS 'SELECT pg_sleep(0.01) IS NOT NULL AND $1 = 7';
CREATE TABLE below (huge int);
`;

beforeAll(async () => {
  database = await createDatabase();
  direct = new pg.Client(database.url);
  await direct.connect();
  await direct.query(shopSql + hugeSql);
  measurer = await measurerOf(database.url);
});

afterAll(async () => {
  measurer?.close();
  await direct?.end();
  await database?.drop();
});

beforeEach(() => {
  others = [];
});
afterEach(async () => {
  await Promise.all(others.map((client) => client.end()));
});

async function another(url = database.url): Promise<pg.Client> {
  const client = new pg.Client(url);
  await client.connect();
  others.push(client);
  return client;
}

describe('parameters', () => {
  const text = (value: string, oid = 0) => ({ oid, format: 0, value: Buffer.from(value) });

  test.each([
    ['as text of a declared type', [23], [text('290', 23)]],
    ['as text whose type the server finds', [0], [text('290')]],
    ['of no declared type at all', [], [text('290')]],
    ['in binary', [23], [{ oid: 23, format: 1, value: Buffer.from([0, 0, 1, 34]) }]],
  ])('%s count what they would match', async (_, types, parameters) => {
    const effect = await measurer.measure('DELETE FROM orders WHERE id > $1', { types, parameters });
    expect(effect.relations[0]?.touched).toEqual({ rows: 10, how: 'count' });
  });

  test('that stand elsewhere in the statement are left out', async () => {
    const types = [0, 0, 25];
    const parameters = [text('true'), text('290'), text('x', 25)];
    const sql = 'UPDATE orders SET paid = $1 WHERE id > $2 RETURNING $3';
    const effect = await measurer.measure(sql, { types, parameters });
    expect(effect.relations[0]?.touched).toEqual({ rows: 10, how: 'count' });
  });

  test('may be NULL', async () => {
    const parameters = [{ oid: 23, format: 0, value: null }];
    const effect = await measurer.measure('DELETE FROM orders WHERE id = $1', { types: [23], parameters });
    expect(effect.relations[0]?.touched).toEqual({ rows: 0, how: 'count' });
  });

  test('of an EXECUTE are not known, so nothing is counted that has some', async () => {
    const effect = await measurer.measure('PREPARE gone(int) AS DELETE FROM notes WHERE id = $1', {
      prepared: true,
      parameters: undefined as never,
      types: [23],
    });
    expect(read(effect)).toEqual([
      'DELETE table public.notes ?/50',
      '? the rows of public.notes that it is about were not counted: its parameters are not known',
    ]);
  });

  test('also count along foreign keys', async () => {
    const parameters = [{ oid: 23, format: 1, value: Buffer.from([0, 0, 0, 99]) }];
    const effect = await measurer.measure('DELETE FROM customers WHERE id = $1', { types: [23], parameters });
    expect(effect.cascades.map(({ relation, touched }) => [relation, touched?.rows])).toContainEqual([
      'public.items',
      6,
    ]);
  });

  test('that are no value of their type are said to be refused, without being quoted', async () => {
    const parameters = [text('secret', 23)];
    const effect = await measurer.measure('DELETE FROM orders WHERE id = $1', { types: [23], parameters });
    expect(effect.unmeasured[0]).toMatch(/22P02$/);
    expect(JSON.stringify(effect)).not.toContain('secret');
    expect(effect.relations[0]?.total).toEqual({ rows: 300, how: 'count' });
  });
});

describe('nothing is run that is not a plain read', () => {
  const seals = async (): Promise<number> => (await direct.query('SELECT FROM seals')).rows.length;

  test.each([
    'DELETE FROM orders WHERE purge(id)',
    'DELETE FROM orders WHERE id IN (SELECT id FROM notes WHERE purge(1))',
    'DELETE FROM orders USING notes WHERE purge(notes.id)',
    'UPDATE orders SET paid = true WHERE (SELECT purge(1))',
    'WITH q AS (SELECT purge(1) AS p) DELETE FROM orders WHERE (SELECT p FROM q)',
  ])('%s', async (sql) => {
    const effect = await measurer.measure(sql);
    expect(await seals()).toBe(1);
    expect(effect.relations[0]).not.toHaveProperty('touched');
    expect(effect.relations[0]?.total).toEqual({ rows: 300, how: 'count' });
    expect(effect.unmeasured).toContainEqual(expect.stringMatching(/were not counted: .*purge\(\)/));
  });

  test.each([
    ["DELETE FROM log WHERE line = nextval('tickets')::text", 'tickets'],
    ["DELETE FROM log WHERE set_config('search_path', '', false) = ''", ''],
    ['DELETE FROM log WHERE pg_advisory_lock(1) IS NOT NULL', ''],
    ["DELETE FROM log WHERE pg_notify('x', 'y') IS NOT NULL", ''],
    ['DELETE FROM log WHERE lo_unlink(1) = 1', ''],
    ['DELETE FROM log WHERE pg_terminate_backend(1)', ''],
    ["DELETE FROM log WHERE pg_read_file('PG_VERSION') = '18'", ''],
    ['DELETE FROM log WHERE line IN (SELECT line FROM log FOR UPDATE)', ''],
  ])('%s', async (sql) => {
    const effect = await measurer.measure(sql);
    expect(effect.relations[0]).not.toHaveProperty('touched');
    expect(effect.unmeasured).toHaveLength(1);
  });

  test('and if one were, the transaction is read-only', async () => {
    const effect = await measurer.measure('DELETE FROM orders WHERE purge(id)', { judge: () => undefined });
    expect(await seals()).toBe(1);
    expect(effect.unmeasured[0]).toMatch(/the server refused with 25006$/);
  });

  test('a function that only reads is counted with', async () => {
    const effect = await measurer.measure('DELETE FROM orders WHERE id < twice(5)');
    expect(effect.relations[0]?.touched).toEqual({ rows: 9, how: 'count' });
  });

  test('a policy that calls code that writes is not evaluated', async () => {
    await direct.query(`CREATE TABLE guarded (id int); INSERT INTO guarded VALUES (1);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY all_of ON guarded USING (purge(id))`);
    await measurer.reload();
    const effect = await measurer.measure('DELETE FROM guarded');
    expect(await seals()).toBe(1);
    expect(effect.relations[0]).not.toHaveProperty('touched');
  });
});

test('what the rules would not let the agent read is not counted by its own words, but by ours', async () => {
  const judge = (_: unknown, __: unknown, quotes: boolean) => (quotes ? 'the rules forbid it' : undefined);
  const some = await measurer.measure('DELETE FROM orders WHERE id < 10', { judge });
  expect(some.relations[0]).not.toHaveProperty('touched');
  expect(some.unmeasured[0]).toMatch(/the rules forbid it$/);
  const all = await measurer.measure('DELETE FROM orders', { judge });
  expect(all.relations[0]?.touched).toEqual({ rows: 300, how: 'count' });
});

describe('a count that takes too long', () => {
  test('is replaced by the estimate of the planner, also along foreign keys', async () => {
    const quick = await measurerOf(database.url, { measureMs: 10_000, countMs: 100 });
    const effect = await quick.measure('DELETE FROM orders WHERE slow(id)');
    quick.close();
    const [orders] = effect.relations;
    expect(orders?.touched?.how).toBe('estimate');
    expect(orders?.total).toEqual({ rows: 300, how: 'count' });
    expect(effect.cascades.map(({ touched }) => touched?.how)).toEqual(effect.cascades.map(() => 'estimate'));
    expect(effect.unmeasured).toEqual([
      "counting the rows of public.orders takes longer than 100 ms: their number is the planner's estimate",
    ]);
  });

  test('does not keep the statement waiting beyond the budget', async () => {
    const quick = await measurerOf(database.url, { measureMs: 400, countMs: 10_000 });
    await quick.measure('DELETE FROM log');
    const begun = performance.now();
    const effect = await quick.measure('DELETE FROM huge WHERE slow(k)');
    // 30 s of sleep are in it; a slow machine may take its time for the rest.
    expect(performance.now() - begun).toBeLessThan(5_000);
    expect(effect.unmeasured.join()).toMatch(/400 ms|no time left|longer than/);
    quick.close();
  });
});

describe('a locked table', () => {
  test('is not waited for: who holds the lock is said, and the rest is measured', async () => {
    const holder = await another();
    await holder.query('BEGIN; LOCK TABLE orders');
    const effect = await measurer.measure('DELETE FROM customers WHERE id = 99');
    await holder.query('ROLLBACK');
    expect(effect.tookMs).toBeLessThan(5_000);
    expect(effect.relations[0]?.touched).toEqual({ rows: 1, how: 'count' });
    const along = new Map(effect.cascades.map(({ relation, touched }) => [relation, touched]));
    expect(along.get('public.notes')).toEqual({ rows: 0, how: 'count' });
    expect(along.get('public.orders')).toBeUndefined();
    expect(effect.unmeasured).toContain('nothing was read from public.orders: it is locked');
    expect(effect.locks.find(({ relation }) => relation === 'public.orders')).toMatchObject({
      behind: 1,
      waiting: 0,
    });
    expect(
      effect.locks.find(({ relation }) => relation === 'public.orders')?.oldestMs,
    ).toBeGreaterThanOrEqual(0);
  });

  test('that only the WHERE reads is waited for no longer than a moment', async () => {
    const holder = await another();
    await holder.query('BEGIN; LOCK TABLE log');
    const effect = await measurer.measure("DELETE FROM notes WHERE 'x' IN (SELECT line FROM log)");
    await holder.query('ROLLBACK');
    expect(read(effect)).toEqual([
      'DELETE table public.notes ?/50',
      '? the rows of public.notes that it is about were not counted: somebody else has locked what it reads',
    ]);
  });

  test('that is the target is not read, and neither is one for whose lock somebody waits', async () => {
    const [reader, waiter] = [await another(), await another()];
    await reader.query('BEGIN; SELECT FROM log');
    const { rows } = await waiter.query('SELECT pg_backend_pid() AS pid');
    const waiting = waiter.query('BEGIN; LOCK TABLE log').catch(() => undefined);
    for (;;) {
      const { rows: found } = await direct.query(
        `SELECT FROM pg_locks WHERE pid = ${rows[0].pid} AND NOT granted`,
      );
      if (found.length > 0) break;
    }
    const effect = await measurer.measure('DELETE FROM log');
    await direct.query(`SELECT pg_cancel_backend(${rows[0].pid})`);
    await waiting;
    await reader.query('ROLLBACK');
    expect(read(effect)).toEqual([
      'DELETE table public.log ?/?',
      '? nothing was read from public.log: another session waits for an ACCESS EXCLUSIVE lock on it',
    ]);
    // Who reads it is not in the way of a DELETE; who waits to lock everybody out is.
    expect(effect.locks).toEqual([{ relation: 'public.log', mode: 'ROW EXCLUSIVE', behind: 0, waiting: 1 }]);
  });
});

describe('the session', () => {
  test('inside a transaction shows since when, what it has locked and who waits for it', async () => {
    const [session, waiter] = [await another(), await another()];
    const { rows } = await session.query('SELECT pg_backend_pid() AS pid');
    const pid: number = rows[0].pid;
    await session.query('BEGIN; UPDATE notes SET id = id WHERE id = 1; LOCK TABLE log IN SHARE MODE');
    const waiting = waiter.query("INSERT INTO log VALUES ('x')");
    const measure = () => measurer.measure('DELETE FROM notes', { pid, inTransaction: true });
    let effect = await measure();
    while (effect.transaction?.blocks === 0) effect = await measure();
    await session.query('ROLLBACK');
    await waiting;
    await direct.query("DELETE FROM log WHERE line = 'x'");
    expect(effect.transaction).toEqual({
      openMs: expect.any(Number),
      locks: ['SHARE on public.log', 'ROW EXCLUSIVE on public.notes'],
      blocks: 1,
    });
    // Its own locks are in nobody's way but its own.
    expect(effect.locks[0]).toMatchObject({ relation: 'public.notes', behind: 0 });
    expect(effect.unmeasured).toEqual([
      'the session has changed something in its open transaction, which only it sees: the figures are without that',
    ]);
  });

  test('that has locked the table itself is told so', async () => {
    const session = await another();
    const { rows } = await session.query('SELECT pg_backend_pid() AS pid');
    await session.query('BEGIN; TRUNCATE notes');
    const effect = await measurer.measure('DELETE FROM notes', { pid: rows[0].pid, inTransaction: true });
    await session.query('ROLLBACK');
    expect(effect.unmeasured).toContain(
      'nothing was read from public.notes: this session itself holds an ACCESS EXCLUSIVE lock on it',
    );
  });

  test('has names of its own: temporary tables, and a path that is not known', async () => {
    const temporary = new Set(['orders', 'picked']);
    expect(read(await measurer.measure('DELETE FROM orders', { temporary }))).toEqual([
      '? orders is a temporary relation of the session, which no other connection sees',
    ]);
    const picked = await measurer.measure('DELETE FROM public.orders WHERE id IN (SELECT id FROM picked)', {
      temporary,
    });
    expect(picked.relations[0]).not.toHaveProperty('touched');
    expect(picked.unmeasured[0]).toMatch(/picked is a temporary relation of the session$/);
    expect(read(await measurer.measure('DELETE FROM orders', { path: undefined }))).toEqual([
      '? which orders is meant is not known, because the search_path of the session is not',
    ]);
    const shadowed = await measurer.measure('DELETE FROM notes', { shadowed: true });
    expect(shadowed.unmeasured).toEqual([
      'what was measured is public.notes; a temporary relation of the session may stand in front of it',
    ]);
  });

  test('has names looked up where it looks them up', async () => {
    const here = await measurer.measure('DELETE FROM things', { path: ['old', 'public'] });
    expect(here.relations[0]).toMatchObject({ name: 'old.things', kind: 'table' });
    const there = await measurer.measure('DELETE FROM things', { path: ['public', 'old'] });
    expect(there.relations[0]).toMatchObject({ name: 'public.things', kind: 'view' });
    const named = await measurer.measure(
      'DELETE FROM old.things WHERE id IN (SELECT id FROM things WHERE id < 3)',
      {
        path: ['old'],
      },
    );
    expect(named.relations[0]?.touched).toEqual({ rows: 2, how: 'count' });
  });

  test('gives dates their meaning', async () => {
    const sql = "DELETE FROM events WHERE day < '01/08/2020'";
    const rows = async (DateStyle: string) =>
      (await measurer.measure(sql, { settings: { DateStyle } })).relations[0]?.touched?.rows;
    expect(await rows('ISO, DMY')).toBe(2);
    expect(await rows('ISO, MDY')).toBe(0);
  });

  test('whose role or settings are not known is measured with a word of warning', async () => {
    const effect = await measurer.measure('DELETE FROM notes', { role: null, custom: true });
    expect(effect.relations[0]?.touched?.rows).toBe(50);
    expect(effect.unmeasured).toEqual([
      'the role of the session is not known: what was measured is what postgres sees',
      'the session has set settings of its own, which policies may read: rows were counted without them',
    ]);
  });
});

describe('the role', () => {
  beforeAll(async () => {
    await direct.query(`
CREATE ROLE clerk_${database.name} LOGIN PASSWORD 'clerk';
CREATE TABLE wards (id int PRIMARY KEY, owner text); INSERT INTO wards SELECT n, CASE WHEN n < 4 THEN 'clerk' END FROM generate_series(1, 10) n;
ALTER TABLE wards ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON wards USING (owner = 'clerk');
CREATE TABLE beds (ward int REFERENCES wards ON DELETE CASCADE); INSERT INTO beds SELECT n FROM generate_series(1, 10) n;
CREATE TABLE cellar (id int); INSERT INTO cellar SELECT generate_series(1, 5); ANALYZE cellar;
GRANT SELECT, DELETE ON wards TO clerk_${database.name};
GRANT DELETE ON cellar TO clerk_${database.name}`);
    await measurer.reload();
  });

  test('counts what it may see, and what it may not read is estimated', async () => {
    const role = `clerk_${database.name}`;
    const wards = await measurer.measure('DELETE FROM wards', { role });
    expect(read(wards)).toEqual([
      'DELETE table public.wards <=3/>=3',
      'CASCADE public.beds ? from public.wards',
      '? the rows of public.beds that refer to them were not counted: the role may not read it',
    ]);
    const cellar = await measurer.measure('DELETE FROM cellar', { role });
    expect(read(cellar)).toEqual([
      'DELETE table public.cellar ?/~5',
      '? the rows of public.cellar that it is about were not counted: the role may not read it',
    ]);
  });

  test('may not see the transactions of others, which is said', async () => {
    const url = new URL(database.url);
    [url.username, url.password] = [`clerk_${database.name}`, 'clerk'];
    const clerk = await measurerOf(url.href);
    const holder = await another();
    await holder.query('BEGIN; LOCK TABLE wards IN SHARE MODE');
    const effect = await clerk.measure('DELETE FROM wards');
    await holder.query('ROLLBACK');
    clerk.close();
    expect(effect.locks[0]).toEqual({
      relation: 'public.wards',
      mode: 'ROW EXCLUSIVE',
      behind: 1,
      waiting: 0,
    });
    expect(effect.unmeasured).toContain('of some sessions that hold locks this role may not see since when');
  });
});

describe('foreign keys', () => {
  beforeAll(async () => {
    await direct.query(`
CREATE TABLE hens (id bigint, farm text, PRIMARY KEY (farm, id));
INSERT INTO hens SELECT n, f FROM generate_series(1, 4) n, (VALUES ('a'), ('b')) v(f);
CREATE TABLE eggs (hen int, hen_farm text, FOREIGN KEY (hen_farm, hen) REFERENCES hens ON DELETE CASCADE);
INSERT INTO eggs SELECT 1 + n % 4, CASE WHEN n < 8 THEN 'a' ELSE 'b' END FROM generate_series(0, 11) n;
CREATE TABLE chicken (id int PRIMARY KEY); CREATE TABLE egg (id int PRIMARY KEY, of int REFERENCES chicken ON DELETE CASCADE);
ALTER TABLE chicken ADD hatched int REFERENCES egg ON DELETE CASCADE;
INSERT INTO chicken VALUES (1, NULL); INSERT INTO egg VALUES (1, 1), (2, 1); INSERT INTO chicken VALUES (2, 1); INSERT INTO egg VALUES (3, 2);
CREATE TABLE folk (id int PRIMARY KEY, mother int REFERENCES folk ON DELETE CASCADE, father int REFERENCES folk ON DELETE CASCADE);
INSERT INTO folk VALUES (1, NULL, NULL), (2, NULL, NULL), (3, 1, 2), (4, 3, NULL), (5, NULL, 2);
CREATE TABLE visits (day date PRIMARY KEY) PARTITION BY RANGE (day);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2020-02-01') TO ('2020-03-01');
INSERT INTO visits SELECT date '2020-01-01' + n FROM generate_series(0, 50) n;
CREATE TABLE guests (day date REFERENCES visits ON DELETE CASCADE, name text) PARTITION BY LIST (name);
CREATE TABLE guests_a PARTITION OF guests FOR VALUES IN ('a'); CREATE TABLE guests_b PARTITION OF guests FOR VALUES IN ('b');
INSERT INTO guests SELECT day, n FROM visits, (VALUES ('a'), ('b')) v(n);
CREATE TABLE hidden (visit date REFERENCES visits ON DELETE CASCADE); INSERT INTO hidden SELECT day FROM visits LIMIT 5;
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON hidden USING (visit < '2020-01-03');
GRANT SELECT, DELETE ON visits, hidden, guests TO clerk_${database.name}`);
    await measurer.reload();
  });

  test.each<[string, string[]]>([
    [
      "DELETE FROM hens WHERE farm = 'a' AND id < 3",
      ['DELETE table public.hens 2/8', 'CASCADE public.eggs 4 from public.hens'],
    ],
    [
      // Behind the chicken are its eggs, behind those chickens: the second round is not counted.
      'DELETE FROM chicken WHERE id = 1',
      [
        'DELETE table public.chicken 1/2',
        'CASCADE public.egg >=2 from public.chicken',
        'CASCADE public.chicken >=1 from public.egg',
      ],
    ],
    [
      'DELETE FROM folk WHERE id = 2',
      [
        'DELETE table public.folk 1/5',
        'CASCADE public.folk <=3 from public.folk',
        'CASCADE public.folk <=3 from public.folk',
      ],
    ],
    [
      "DELETE FROM visits WHERE day < '2020-01-11'",
      [
        'DELETE partitioned table public.visits 10/51 +2',
        'CASCADE public.guests 20 from public.visits',
        'CASCADE public.hidden 5 from public.visits',
      ],
    ],
    [
      'DELETE FROM visits_1',
      [
        'DELETE table public.visits_1 31/31',
        'CASCADE public.guests 62 from public.visits_1',
        'CASCADE public.hidden 5 from public.visits_1',
      ],
    ],
    ['DELETE FROM guests', ['DELETE partitioned table public.guests 102/102 +2']],
  ])('%s', async (sql, expected) => {
    expect(read(await measurer.measure(sql))).toEqual(expected);
  });

  test('take along rows as well that the role does not see', async () => {
    const effect = await measurer.measure('DELETE FROM visits', { role: `clerk_${database.name}` });
    const hidden = effect.cascades.find(({ relation }) => relation === 'public.hidden');
    expect(hidden?.touched).toEqual({ rows: 2, how: 'at-least' });
  });
});

test('event triggers that fire are told', async () => {
  await direct.query(`
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watch_drops ON sql_drop EXECUTE FUNCTION watch();
CREATE EVENT TRIGGER watch_all ON ddl_command_end EXECUTE FUNCTION watch();
CREATE EVENT TRIGGER watch_not ON ddl_command_start EXECUTE FUNCTION watch(); ALTER EVENT TRIGGER watch_not DISABLE`);
  const dropped = await measurer.measure('DROP TABLE log');
  const indexed = await measurer.measure('CREATE INDEX ON log (line)');
  const deleted = await measurer.measure('DELETE FROM log');
  await direct.query(
    'DROP EVENT TRIGGER watch_drops, watch_all, watch_not'.replaceAll(/, (\w+)/g, '; DROP EVENT TRIGGER $1'),
  );
  expect(dropped.fires).toEqual([
    'event trigger watch_all (ddl_command_end) → public.watch()',
    'event trigger watch_drops (sql_drop) → public.watch()',
  ]);
  expect(indexed.fires).toEqual(['event trigger watch_all (ddl_command_end) → public.watch()']);
  expect(deleted.fires).toBeUndefined();
});

test('a database is dropped with its size and with those who are in it', async () => {
  const effect = await measurer.measure(`DROP DATABASE ${database.name}`);
  expect(effect.relations).toEqual([
    { does: 'DROP', name: database.name, kind: 'database', bytes: expect.any(Number), fires: [] },
  ]);
  expect(effect.dependents[0]).toMatch(/^\d+ sessions in the database/);
});

test.each([
  ['DROP OWNED BY CURRENT_USER', 'what a role owns'],
  ['DROP ROLE somebody', 'role'],
  ['DROP OPERATOR = (int, int)', 'operator'],
])('%s says that what goes with it was not looked for', async (sql, what) => {
  const effect = await measurer.measure(sql);
  expect(effect.unmeasured).toEqual([`what goes with it was not looked for: DROP of ${what}`]);
});

test('names that hold anything at all are names', async () => {
  const nasty = `a"b'c\\d;\u202e $1 -- /* ${'é'.repeat(3)}`;
  const quoted = pg.escapeIdentifier(nasty);
  await direct.query(`
CREATE SCHEMA ${quoted}; CREATE TABLE ${quoted}.${quoted} (${quoted} int PRIMARY KEY);
INSERT INTO ${quoted}.${quoted} SELECT generate_series(1, 5);
CREATE TABLE ${quoted}.child (${quoted} int CONSTRAINT ${quoted} REFERENCES ${quoted}.${quoted} ON DELETE CASCADE);
INSERT INTO ${quoted}.child SELECT generate_series(1, 5);
CREATE FUNCTION ${quoted}.${quoted}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
CREATE TRIGGER ${quoted} BEFORE DELETE ON ${quoted}.child FOR EACH ROW EXECUTE FUNCTION ${quoted}.${quoted}()`);
  await measurer.reload();
  const sql = `DELETE FROM ${quoted} AS ${quoted} WHERE ${quoted}.${quoted} > 2`;
  const effect = await measurer.measure(sql, { path: [nasty] });
  const name = `${nasty}.${nasty}`;
  expect(read(effect)).toEqual([
    `DELETE table ${name} 3/5`,
    `CASCADE ${nasty}.child 3 from ${name} | trigger ${nasty} (BEFORE, each row) → ${name}()`,
  ]);
  expect(effect.cascades[0]?.constraint).toBe(nasty);
  const dropped = await measurer.measure(`DROP SCHEMA ${quoted} CASCADE`);
  expect(dropped.relations.map(({ name: table, touched }) => [table, touched?.rows])).toEqual([
    [name, 5],
    [`${nasty}.child`, 5],
  ]);
});

test('what is counted is what there is then: rows that come later are not in it', async () => {
  const effect = await measurer.measure('DELETE FROM notes WHERE id > 45');
  expect(effect.relations[0]?.touched).toEqual({ rows: 5, how: 'count' });
  await direct.query('INSERT INTO notes VALUES (51), (52)');
  expect(effect.relations[0]?.touched?.rows).toBe(5);
  expect(effect.at).toBeLessThanOrEqual(Date.now());
  expect((await measurer.measure('DELETE FROM notes WHERE id > 45')).relations[0]?.touched?.rows).toBe(7);
  await direct.query('DELETE FROM notes WHERE id > 50');
});

test('long lists are cut, and what was left out is counted', async () => {
  const tables = Array.from({ length: 130 }, (_, n) => `CREATE TABLE many.t${n} (id int)`);
  await direct.query(`CREATE SCHEMA many; ${tables.join(';')}`);
  await measurer.reload();
  const effect = await measurer.measure('DROP SCHEMA many CASCADE');
  expect([effect.relations.length, effect.dependents.length, effect.locks.length]).toEqual([100, 100, 100]);
  expect(effect.more).toEqual({ relations: 30, dependents: 30, locks: 30 });
});
