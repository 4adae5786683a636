// Transparency of enclosures on every PostgreSQL from 13 to 18: their habits in pipelines differ (wire.md §2.2), and
// with rules that enclose all they can the answers are still those of that very server.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { enclosedScripts, ofSingleTexts, rulesEnclosing } from '../support/enclosing.ts';
import { startPostgres, type TestServer } from '../support/postgres.ts';
import { RawClient, transcript } from '../support/raw.ts';
import { RelayServer } from '../support/relay.ts';
import { cleared, run, scripts } from '../support/scripts.ts';

/** Names that exist nowhere are held, whatever the rules enclose. */
const unknownNames = /^BIND binds the prepared statement/;
const notices = /^N .*statement held for approval/;

describe.each([13, 14, 15, 16, 17, 18])('PostgreSQL %i', (version) => {
  let server: TestServer;
  let relay: RelayServer;
  let strict: RelayServer;
  let direct: pg.Client;

  beforeAll(async () => {
    server = await startPostgres({ version });
    const admin = new pg.Client({ connectionString: server.url() });
    await admin.connect();
    for (const name of ['plain', 'seen']) await admin.query(`create database ${name}`);
    await admin.end();
    direct = new pg.Client({ connectionString: server.url('seen') });
    await direct.connect();
    relay = await RelayServer.start(server, rulesEnclosing(1000));
    strict = await RelayServer.start(server, rulesEnclosing(10));
  });

  afterAll(async () => {
    await direct?.end();
    await relay?.close();
    await strict?.close();
    await server?.stop();
  });

  async function straight(database: string): Promise<RawClient> {
    const client = await RawClient.connect(server.host, server.port);
    await client.login({ user: server.user, password: server.password, database });
    return client;
  }

  const login = () => ({ user: server.user, password: server.password, database: 'seen' });

  test.each(Object.entries({ ...scripts, ...enclosedScripts }))('%s', async (_, all) => {
    const steps = ofSingleTexts(all);
    const expected = await run(await cleared(await straight('plain')), steps);
    (await cleared(await straight('seen'))).destroy();
    relay.held.length = 0;
    relay.decide = () => 'approve';
    const seen = await run(await relay.connect(login()), steps);
    expect(relay.held.filter((reason) => !unknownNames.test(reason))).toEqual([]);
    expect(seen.map((lines) => lines.filter((line) => !notices.test(line)))).toEqual(expected);
  });

  test('what writes or changes too much is undone where it stands, and the rest of its segment is kept', async () => {
    await direct.query(
      'drop table if exists k; create table k (a int primary key, b int); insert into k select n, 0 from generate_series(1, 20) n',
    );
    await direct.query(
      'create or replace function removes() returns int language plpgsql as $$ begin delete from k where a = 20; return 1; end $$',
    );
    const client = await strict.connect(login());
    const run = (sql: string): Buffer[] => [parse('', sql), bind('', ''), execute('')];
    strict.decide = () => 'approve';
    client.send(
      ...run('update k set b = 1 where a = 1'),
      ...run('update k set b = 2 where a > 5'),
      ...run('select removes()'),
      ...run('insert into k values (21, 3)'),
      sync(),
    );
    const answer = transcript(await client.until('Z'), 'N123');
    expect(answer).toEqual(['C UPDATE 1', 'C UPDATE 15', 'D 1', 'C SELECT 1', 'C INSERT 0 1', 'Z I']);
    expect(strict.held).toEqual([
      'would change 15 rows, more than the 10 that rule changes lets through',
      'tried to write: cannot execute DELETE in a read-only transaction',
    ]);
    strict.decide = () => 'reject';
    client.send(query('begin'), query('update k set b = 3 where a = 1'), query('select removes()'));
    await client.until('Z', 3);
    client.send(query('rollback'));
    await client.until('Z');
    expect((await direct.query('select b, count(*)::int as n from k group by b order by b')).rows).toEqual([
      { b: 0, n: 4 },
      { b: 1, n: 1 },
      { b: 2, n: 14 },
      { b: 3, n: 1 },
    ]);
    client.destroy();
  });
});
