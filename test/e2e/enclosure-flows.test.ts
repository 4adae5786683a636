// Enclosures in every flow of the protocol, against a real server: what they undo, what they keep, what is recorded, and
// what is left where the client, the server or a cancel request comes in between.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import { packsDir } from '../../src/policy/packs.ts';
import {
  bind,
  describe as describeFrame,
  execute,
  flush,
  parse,
  query,
  sync,
} from '../../src/wire/messages/frontend.ts';
import { cancelRequest } from '../../src/wire/startup.ts';
import { rulesEnclosing } from '../support/enclosing.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { RawClient, type Reply, transcript } from '../support/raw.ts';
import { RelayServer } from '../support/relay.ts';

let database: TestDatabase;
let relay: RelayServer;
/** With the shipped rules: what only reads needs no enclosure. */
let shipped: RelayServer;
let direct: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  relay = await RelayServer.start(database, rulesEnclosing(10));
  shipped = await RelayServer.start(database, readFileSync(join(packsDir(), 'default.yaml'), 'utf8'));
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
});

beforeEach(async () => {
  relay.decide = () => 'reject';
  for (const list of [relay.held, relay.outcomes, relay.records, shipped.held]) list.length = 0;
  await direct.query(`
    drop schema public cascade; create schema public;
    create table t (a int primary key, b int not null default 0);
    insert into t (a) select generate_series(1, 20);
    create function removes() returns int language plpgsql as $$ begin delete from t where a = 1; return 1; end $$;
    create function removes_late() returns setof text language plpgsql as $$
      begin return query select repeat('x', 1000) from generate_series(1, 1000); delete from t; end $$;
    create function slow(n int) returns int language plpgsql as $$
      begin if n = 999 then delete from t; end if; return n; end $$;
    create procedure commits() language plpgsql as $$ begin commit; end $$;
  `);
});

afterAll(async () => {
  await direct?.end();
  await relay?.close();
  await shipped?.close();
  await database?.drop();
});

const login = () => ({ user: database.user, password: database.password, database: database.name });
const connect = () => relay.connect(login());

async function rows(where = 'true'): Promise<number> {
  return (await direct.query(`select count(*)::int as n from t where ${where}`)).rows[0].n;
}

async function ask(client: RawClient, ...frames: Buffer[]): Promise<string[]> {
  client.send(...frames);
  return lines(await client.until('Z'));
}

/** Without what says only that a frame was taken, and without the NOTICEs of holds. */
function lines(replies: readonly Reply[]): string[] {
  return transcript(replies, '123Tnt').filter((line) => !line.includes('held for approval'));
}

const run = (sql: string, portal = ''): Buffer[] => [parse('', sql), bind(portal, ''), execute(portal)];
const rejected = 'E ERROR 42501 statement rejected by dba: no';
const wrote = 'tried to write: cannot execute DELETE in a read-only transaction';
const tooMany = (count: number) =>
  `would change ${count} rows, more than the 10 that rule changes lets through`;

describe('a Bind that may run unproven code', () => {
  test('is undone and held where it writes; approved, it runs as it was sent', async () => {
    const client = await connect();
    relay.decide = () => 'approve';
    expect(await ask(client, ...run('select removes()'), sync())).toEqual(['D 1', 'C SELECT 1', 'Z I']);
    expect(relay.held).toEqual([wrote]);
    expect(relay.records).toEqual(['1 pass', '2 hold']);
    expect(relay.outcomes).toEqual(['1 error 25006', '2 ok SELECT 1']);
    expect(await rows()).toBe(19);
    client.destroy();
  });

  test('is refused with its place in the pipeline when a person says no', async () => {
    const client = await connect();
    expect(
      await ask(
        client,
        ...run('insert into t values (100)'),
        ...run('select removes()'),
        ...run('select 1'),
        sync(),
      ),
    ).toEqual(['C INSERT 0 1', rejected, 'Z I']);
    expect(await rows()).toBe(20);
    client.destroy();
  });

  test('is undone alone in a segment whose earlier statements are kept', async () => {
    const client = await connect();
    relay.decide = () => 'approve';
    expect(
      await ask(
        client,
        ...run('insert into t values (100)'),
        ...run('select removes()'),
        ...run('select 2'),
        sync(),
      ),
    ).toEqual(['C INSERT 0 1', 'D 1', 'C SELECT 1', 'D 2', 'C SELECT 1', 'Z I']);
    expect(await rows()).toBe(20);
    client.destroy();
  });

  test('keeps what a statement before it returned when it is undone', async () => {
    const client = await connect();
    const batch = [parse('', 'show server_version'), bind('', ''), describeFrame('P', ''), execute('')];
    const before = await ask(client, ...batch, ...run('select removes()'), sync());
    expect(before.slice(1)).toEqual(['C SHOW', rejected, 'Z I']);
    expect(before[0]).toMatch(/^D 18/);
    client.destroy();
  });

  test('with answers asked for by Flush, and its portal executed in pieces', async () => {
    const client = await connect();
    client.send(parse('', 'select slow(n) from generate_series(1, 999) n'), bind('p', ''), flush());
    await client.until('2');
    client.send(execute('p', 2), flush());
    expect(lines(await client.until('s'))).toEqual(['D 1', 'D 2', 's']);
    client.send(execute('p', 2), flush());
    expect(lines(await client.until('s'))).toEqual(['D 3', 'D 4', 's']);
    client.send(execute('p'), sync());
    const end = lines(await client.until('Z'));
    expect(end.at(-2)).toContain('42501');
    expect(await rows()).toBe(20);
    // What could not be held then is held at once the next time.
    await ask(
      client,
      parse('', 'select slow(n) from generate_series(1, 999) n'),
      bind('', ''),
      execute('', 2),
      sync(),
    );
    expect(relay.held).toEqual([wrote]);
    client.destroy();
  });

  test('in a block: a portal bound there is never executed outside its enclosure', async () => {
    const client = await connect();
    await ask(client, query('begin'));
    await ask(client, parse('', 'select removes()'), bind('p', ''), sync());
    expect((await ask(client, execute('p'), sync())).at(0)).toContain('E ERROR 42501');
    await ask(client, query('rollback'));
    await ask(client, query('begin'));
    await ask(client, parse('', 'select removes()'), bind('q', ''), sync());
    client.send(query('fetch all from q'));
    await client.until('Z');
    await ask(client, query('commit'));
    expect(await rows()).toBe(20);
    client.destroy();
  });

  test('a cursor over it is fetched from in an enclosure', async () => {
    const client = await connect();
    await ask(client, query('begin'));
    await ask(client, query('declare c cursor for select slow(n) from generate_series(995, 999) n'));
    expect(await ask(client, query('fetch 2 from c'))).toEqual(['D 995', 'D 996', 'C FETCH 2', 'Z T']);
    expect(await ask(client, query('fetch 2 from c'))).toEqual(['D 997', 'D 998', 'C FETCH 2', 'Z T']);
    expect((await ask(client, query('fetch 2 from c'))).at(-1)).toBe('Z E');
    expect(relay.held).toEqual([wrote]);
    await ask(client, query('rollback'));
    await ask(client, query('begin'));
    expect((await ask(client, query('declare h cursor with hold for select removes()'))).at(-1)).toBe('Z E');
    await ask(client, query('commit'));
    expect(await rows()).toBe(20);
    client.destroy();
  });

  test('a holdable cursor by itself runs its query at our COMMIT, and is held if that writes', async () => {
    const client = await connect();
    for (const _ of ['the first time', 'and the next']) {
      expect(await ask(client, query('declare h cursor with hold for select removes()'))).toEqual([
        rejected,
        'Z I',
      ]);
    }
    expect(relay.held).toEqual([wrote, wrote]);
    expect(await ask(client, query('declare h cursor with hold for select slow(5)'))).toEqual([
      'C DECLARE CURSOR',
      'Z I',
    ]);
    expect(await ask(client, query('fetch all from h'))).toEqual(['D 5', 'C FETCH 1', 'Z I']);
    expect(await rows()).toBe(20);
    client.destroy();
  });

  test('writes behind more output than is withheld: an error, nothing written, and held the next time', async () => {
    const client = await connect();
    const text = "select repeat('x', 1000), slow(n) from generate_series(1, 999) n";
    const answer = await ask(client, query(text));
    expect(answer.at(-2)).toBe(`E ERROR 42501 the statement ${wrote}; it needs approval and did not run`);
    expect(answer.at(-1)).toBe('Z I');
    expect(answer.length).toBeGreaterThan(500);
    expect(relay.held).toEqual([]);
    expect(await ask(client, query(text))).toEqual([rejected, 'Z I']);
    expect(relay.held).toEqual([wrote]);
    expect(await rows()).toBe(20);
    client.destroy();
  });
});

describe('by the shipped rules, where a FETCH needs no enclosure by itself', () => {
  test('a portal over unproven code is not fetched from outside its enclosure', async () => {
    const client = await shipped.connect(login());
    await ask(client, query('begin'));
    await ask(client, parse('', 'select removes()'), bind('q', ''), sync());
    await ask(client, query('fetch all from q'));
    await ask(client, query('commit'));
    expect(shipped.held).toEqual([wrote]);
    expect(await rows()).toBe(20);
    client.destroy();
  });

  test('nor is a cursor, by SQL or by the protocol', async () => {
    const client = await shipped.connect(login());
    for (const fetch of [[query('fetch all from c')], [execute('c'), sync()]]) {
      await ask(client, query('begin'));
      expect(await ask(client, query('declare c cursor for select removes()'))).toEqual([
        'C DECLARE CURSOR',
        'Z T',
      ]);
      expect((await ask(client, ...fetch)).at(-1)).toBe('Z E');
      await ask(client, query('commit'));
    }
    await ask(client, query('begin'));
    expect((await ask(client, query('declare h cursor with hold for select removes()'))).at(-1)).toBe('Z E');
    await ask(client, query('commit'));
    expect(await rows()).toBe(20);
    client.destroy();
  });

  test('an UPDATE RETURNING is not run by a FETCH, where nothing would count it', async () => {
    const client = await shipped.connect(login());
    await ask(client, query('begin'));
    await ask(
      client,
      parse('', 'update t set b = 9 where a > $1 returning a'),
      bind('p', '', [Buffer.from('0')]),
      sync(),
    );
    expect((await ask(client, query('fetch 1 from p'))).at(-1)).toBe('Z E');
    await ask(client, query('commit'));
    expect(await rows('b = 9')).toBe(0);
    client.destroy();
  });

  test('COPY FROM STDIN and what passes by itself go as ever in the block of an enclosure', async () => {
    const client = await shipped.connect(login());
    client.send(...run('select slow(1)'), ...[parse('', 'copy t (a) from stdin'), bind('', ''), execute('')]);
    await client.until('G');
    const data = Buffer.concat([Buffer.from('d\0\0\0\x08'), Buffer.from('101\n')]);
    expect(await ask(client, data, Buffer.from('c\0\0\0\x04'), sync())).toEqual(['C COPY 1', 'Z I']);
    expect(await rows('a = 101')).toBe(1);
    client.destroy();
  });
});

describe('changes that are counted', () => {
  test('a batch of them in one segment: each is counted, and one that is too many is undone alone', async () => {
    const client = await connect();
    relay.decide = () => 'approve';
    const update = (from: number) => [bind('', '', [Buffer.from(String(from))]), execute('')];
    expect(
      await ask(
        client,
        parse('', 'update t set b = b + 1 where a > $1'),
        ...update(15),
        ...update(5),
        ...update(19),
        sync(),
      ),
    ).toEqual(['C UPDATE 5', 'C UPDATE 15', 'C UPDATE 1', 'Z I']);
    expect(relay.held).toEqual([tooMany(15)]);
    expect(relay.outcomes).toEqual([
      '2 canceled UPDATE 15; ROLLBACK',
      '1 ok UPDATE 5',
      '3 ok UPDATE 15',
      '4 ok UPDATE 1',
    ]);
    expect(await rows('b > 0')).toBe(15);
    client.destroy();
  });

  test('RETURNING is withheld: nothing of an undone statement reaches the client', async () => {
    const client = await connect();
    expect(await ask(client, query('update t set b = 9 returning a'))).toEqual([rejected, 'Z I']);
    expect(await ask(client, ...run('delete from t where a > 2 returning a'), sync())).toEqual([
      rejected,
      'Z I',
    ]);
    expect(relay.held).toEqual([tooMany(20), tooMany(18)]);
    expect(await rows('b = 0')).toBe(20);
    client.destroy();
  });

  test('a row limit of Execute is no way around the count', async () => {
    const client = await connect();
    expect(
      (
        await ask(client, parse('', 'update t set b = 9 returning a'), bind('', ''), execute('', 1), sync())
      ).at(0),
    ).toBe(rejected);
    await ask(client, query('begin'));
    await ask(client, parse('', 'update t set b = 9 returning a'), bind('p', ''), sync());
    expect((await ask(client, execute('p', 1), sync())).at(0)).toContain('E ERROR 42501');
    await ask(client, query('rollback'));
    await ask(client, query('begin'));
    await ask(client, parse('', 'update t set b = 9 returning a'), bind('p', ''), sync());
    await ask(client, query('fetch 1 from p'));
    await ask(client, query('commit'));
    expect(await rows('b = 0')).toBe(20);
    client.destroy();
  });

  test('more RETURNING than can be kept is undone and held', async () => {
    const client = await connect();
    expect(await ask(client, query("update t set b = 1 where a < 9 returning repeat('x', 100000)"))).toEqual([
      rejected,
      'Z I',
    ]);
    expect(relay.held).toEqual(['returns more than can be kept until its rows are counted']);
    expect(await rows('b = 0')).toBe(20);
    client.destroy();
  });

  test('a constraint that fails at the end is the client own error, not a hold', async () => {
    await direct.query(
      'create table d (a int primary key, r int references d deferrable initially deferred); insert into d values (1, 1)',
    );
    const client = await connect();
    const failed = 'E ERROR 23503 insert or update on table "d" violates foreign key constraint "d_r_fkey"';
    expect(await ask(client, query('update d set r = 9'))).toEqual([failed, 'Z I']);
    expect(await ask(client, ...run('update d set r = 9'), sync())).toEqual(['C UPDATE 1', failed, 'Z I']);
    expect(relay.held).toEqual([]);
    expect(relay.outcomes).toEqual(['1 error 23503 UPDATE 1', '2 error 23503 UPDATE 1']);
    client.destroy();
  });

  test('a statement that no transaction can be put around is held, and runs without one', async () => {
    const client = await connect();
    relay.decide = () => 'approve';
    await direct.query(
      'create function calls() returns int language plpgsql as $$ begin call commits(); return 1; end $$',
    );
    expect((await ask(client, query('select calls()'))).at(0)).toContain('2D000');
    expect(relay.held[0]).toContain('cannot run within a transaction of ours');
    client.destroy();
  });
});

describe('something comes in between', () => {
  async function active(text: string): Promise<void> {
    const sql = 'select 1 from pg_stat_activity where state = $1 and query = $2';
    await expect.poll(async () => (await direct.query(sql, ['active', text])).rowCount).toBe(1);
  }

  /** Another session keeps row 1 to itself until the answer is called. */
  async function lockRow(): Promise<() => Promise<void>> {
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    await other.query('begin; select from t where a = 1 for update');
    return () => other.end();
  }

  /** Sessions of the agent with a transaction open. */
  const open = async (): Promise<number> =>
    (
      await direct.query(
        'select 1 from pg_stat_activity where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()',
      )
    ).rowCount ?? 0;

  test('a cancel request: the client gets the error of its own statement', async () => {
    const client = await connect();
    client.send(query('update t set b = 1 where pg_sleep(30) is null'));
    await active('update t set b = 1 where pg_sleep(30) is null');
    const other = await RawClient.connect(database.host, database.port);
    other.send(cancelRequest(client.pid, client.key));
    await other.untilClosed();
    expect(lines(await client.until('Z'))).toEqual([
      'E ERROR 57014 canceling statement due to user request',
      'Z I',
    ]);
    expect(relay.outcomes).toEqual(['1 canceled 57014']);
    client.destroy();
  });

  test('a cancel request at any moment, also while commands of ours run, lets nothing out', async () => {
    let client = await connect();
    for (let times = 0; times < 40; times += 1) {
      client.send(query('select removes()'));
      const other = await RawClient.connect(database.host, database.port);
      other.send(cancelRequest(client.pid, client.key));
      await other.untilClosed();
      // A cancel request that hits the undoing ends the session.
      if (lines(await client.until('Z')).at(-1) !== 'Z I') client = await connect();
    }
    expect(await rows()).toBe(20);
    client.destroy();
  });

  test('the client leaves: nothing of the statement stays', async () => {
    const client = await connect();
    const release = await lockRow();
    client.send(query('update t set b = 1 where a = 1'));
    await active('update t set b = 1 where a = 1');
    client.destroy();
    await expect.poll(() => relay.outcomes).toEqual(['1 canceled']);
    await release();
    await expect.poll(open).toBe(0);
    expect(await rows('b = 1')).toBe(0);
  });

  test('the server is killed: the client hears it, and nothing stays', async () => {
    const client = await connect();
    // Behind rows enough for the server to send them at once.
    const text =
      "select repeat('x', 10000), case when a = 3 then pg_sleep(30) end, slow(a) from t order by a";
    client.send(query(text));
    await active(text);
    await direct.query('select pg_terminate_backend($1)', [client.pid]);
    expect(lines(await client.untilClosed())).toEqual([
      'E FATAL 57P01 terminating connection due to administrator command',
    ]);
    expect(relay.outcomes).toEqual(['1 error 57P01']);
  });

  test('a shutdown waits for a statement that runs, and ends the session behind it', async () => {
    const client = await connect();
    const release = await lockRow();
    client.send(query('update t set b = 1 where a = 1'));
    await active('update t set b = 1 where a = 1');
    for (const each of relay.relays) each.drain(new HoldpointError('shutdown', 'going down'));
    await release();
    expect(lines(await client.untilClosed()).slice(0, 2)).toEqual(['C UPDATE 1', 'Z I']);
    expect(await rows('b = 1')).toBe(1);
  });

  test('the client leaves while its undone statement is held', async () => {
    relay.decide = () => 'wait';
    const client = await connect();
    client.send(query('select removes()'));
    await expect.poll(() => relay.held.length).toBe(1);
    client.destroy();
    await expect.poll(() => relay.outcomes).toEqual(['1 error 25006', '2 gone']);
    expect(await rows()).toBe(20);
  });

  test('a timeout of the client own hits a command of ours: its statement did not run', async () => {
    const client = await connect();
    await ask(client, query("set statement_timeout = '1ms'"));
    for (let times = 0; times < 50; times += 1) {
      const answer = await ask(client, query('select removes()'));
      expect(answer.at(-1)).toBe('Z I');
      expect(await rows()).toBe(20);
    }
    client.destroy();
  });

  test('statements sent behind one that is enclosed wait their turn', async () => {
    const client = await connect();
    relay.decide = () => 'approve';
    client.send(
      query('update t set b = 1'),
      query('select count(*) from t where b = 1'),
      ...run('select 5'),
      sync(),
    );
    expect(lines(await client.until('Z', 3))).toEqual([
      'C UPDATE 20',
      'Z I',
      'D 20',
      'C SELECT 1',
      'Z I',
      'D 5',
      'C SELECT 1',
      'Z I',
    ]);
    client.destroy();
  });
});

describe('drivers', () => {
  test('node-postgres: queries, parameters, prepared statements, transactions, errors', async () => {
    const client = new pg.Client({ ...login(), host: '127.0.0.1', port: relay.port });
    await client.connect();
    expect((await client.query('select slow($1::int) as n', [7])).rows).toEqual([{ n: 7 }]);
    expect(
      (await client.query({ name: 'q', text: 'select a from t where a < $1 order by a', values: [3] }))
        .rowCount,
    ).toBe(2);
    expect(
      (await client.query({ name: 'q', text: 'select a from t where a < $1 order by a', values: [4] }))
        .rowCount,
    ).toBe(3);
    await client.query('begin');
    expect((await client.query('update t set b = 5 where a <= $1 returning a', [3])).rowCount).toBe(3);
    await expect(client.query('select 1 / $1::int', [0])).rejects.toMatchObject({ code: '22012' });
    await client.query('rollback');
    expect((await client.query('update t set b = 6 where a <= $1', [3])).rowCount).toBe(3);
    await expect(client.query('update t set b = 7')).rejects.toMatchObject({ code: '42501' });
    expect(await rows('b = 6')).toBe(3);
    await client.end();
  });
});
