// Definitions that change: a statement is judged by what its names mean when it runs, and an approval is good for what
// was shown. Against a real server, with the catalog read from it.

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { bind, execute, parse, sync } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, type RawClient } from '../support/raw.ts';

let database: TestDatabase;
let guard: Guard;
let direct: pg.Client;
let agent: pg.Client;

const pollMs = 200;

beforeAll(async () => {
  database = await createDatabase();
  guard = await startGuard({ url: database.url, catalog: { pollMs } });
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  agent = new pg.Client({ connectionString: guard.url });
  await agent.connect();
});

afterAll(async () => {
  await agent?.end();
  await direct?.end();
  await guard?.close();
  await database?.drop();
});

/** A table of two rows and a function, under names that no other test uses. */
let t: string;
let f: string;
let names = 0;

const harmless = () => `create or replace function ${f}() returns int language sql as $$ select 1 $$`;
const body = (statement: string) =>
  `create or replace function ${f}() returns int language plpgsql as $$ begin ${statement}; return 1; end $$`;
const deleting = () => body(`delete from ${t}`);

beforeEach(async () => {
  names += 1;
  t = `t${names}`;
  f = `f${names}`;
  await direct.query(`create table ${t} (a int); insert into ${t} values (1), (2); ${harmless()}`);
});

async function rows(table: string): Promise<number> {
  return (await direct.query(`select count(*)::int as n from ${table}`)).rows[0].n;
}

/** Waits for a request, and what it says. */
async function next(at = guard): Promise<{ id: string; reason: string; why: string[] }> {
  const [first] = await at.pending(1);
  const { policy, statements } = JSON.parse((await at.show(first!.id)).request);
  return {
    id: first!.id,
    reason: policy.reason,
    why: statements.flatMap((one: { why: string[] }) => one.why),
  };
}

describe('what a name means', () => {
  test('is looked up again after an approved statement has changed it', async () => {
    await agent.query(`select ${f}()`);
    const replaced = agent.query(deleting());
    await guard.approveNext();
    await replaced;
    const call = agent.query(`select ${f}()`).catch((error) => error);
    const { id, reason, why } = await next();
    expect(why).toEqual([`deletes rows of public.${t} via function public.${f}()`]);
    expect(reason).toContain(`deletes rows of public.${t} via function public.${f}()`);
    await guard.decide(id, 'reject');
    expect((await call).code).toBe('42501');
    expect(await rows(t)).toBe(2);
  });

  test('is not believed inside the transaction that changes it', async () => {
    await agent.query('begin');
    const replaced = agent.query(deleting());
    await guard.approveNext();
    await replaced;
    const call = agent.query(`select ${f}()`).catch((error) => error);
    await guard.decide((await next()).id, 'reject');
    expect((await call).code).toBe('42501');
    await agent.query('rollback');
    expect((await agent.query(`select ${f}() as f`)).rows).toEqual([{ f: 1 }]);
  });

  test('is noticed within the poll interval if somebody else changes it', async () => {
    await agent.query(`select ${f}()`);
    // It deletes nothing as yet, so that calls which pass before the next look do no harm.
    await direct.query(body(`delete from ${t} where a > 7`));
    let held = false;
    const { pending } = guard;
    while (!held) {
      const answer = agent.query(`select ${f}()`).catch(() => undefined);
      held = await Promise.race([answer.then(() => false), pending(1).then(() => true)]);
    }
    await guard.decide((await next()).id, 'reject');
  });

  test('is known at once for a table that somebody else has just made', async () => {
    await direct.query(`create table ${t}_new (a int); insert into ${t}_new values (7)`);
    expect((await agent.query(`select a from ${t}_new`)).rows).toEqual([{ a: 7 }]);
  });
});

describe('an approval is good for what was shown', () => {
  test('not for another table of the same name: the statement is held again, and says why', async () => {
    const deleted = agent.query(`delete from ${t}`);
    const first = await next();
    await direct.query(
      `alter table ${t} rename to ${t}_old; create table ${t} (a int); insert into ${t} values (3)`,
    );
    await guard.decide(first.id, 'approve');
    const again = await nextBut(first.id);
    expect(again.reason).toMatch(
      /held again after an approval: .*, or code behind it, was changed or replaced/,
    );
    expect(await rows(t)).toBe(1);
    await guard.decide(again.id, 'approve');
    expect((await deleted).rowCount).toBe(1);
    expect(await rows(t)).toBe(0);
    expect(await rows(`${t}_old`)).toBe(2);
  });

  test('not for a function that was replaced meanwhile', async () => {
    await direct.query(deleting());
    const call = agent.query(`select ${f}()`).catch((error) => error);
    const first = await next();
    await direct.query(body(`drop table ${t}`));
    await guard.decide(first.id, 'approve');
    const again = await nextBut(first.id);
    expect(again.why.join()).toContain('drops');
    await guard.decide(again.id, 'reject');
    expect((await call).code).toBe('42501');
    expect(await rows(t)).toBe(2);
  });

  test('not for a table that has got a trigger meanwhile', async () => {
    const deleted = agent.query(`delete from ${t} where a = 1`);
    const first = await next();
    await direct.query(
      `create table ${t}_u (a int);
       create function wipe${t}() returns trigger language plpgsql as $$ begin delete from ${t}_u; return old; end $$;
       create trigger wipe before delete on ${t} for each row execute function wipe${t}()`,
    );
    await guard.decide(first.id, 'approve');
    const again = await nextBut(first.id);
    expect(again.why.join()).toContain('trigger wipe');
    await guard.decide(again.id, 'approve');
    expect((await deleted).rowCount).toBe(1);
  });

  test('also if something else in the catalog has changed', async () => {
    const deleted = agent.query(`delete from ${t} where a = 1`);
    const first = await next();
    await direct.query(`create table ${t}_else (a int)`);
    await guard.decide(first.id, 'approve');
    expect((await deleted).rowCount).toBe(1);
  });

  test('not for DROP … CASCADE once anything else was defined', async () => {
    const dropped = agent.query(`drop table ${t} cascade`).catch((error) => error);
    const first = await next();
    await direct.query(`create view ${t}_v as select * from ${t}`);
    await guard.decide(first.id, 'approve');
    const again = await nextBut(first.id);
    await guard.decide(again.id, 'reject');
    expect((await dropped).code).toBe('42501');
    expect(await rows(`${t}_v`)).toBe(2);
  });

  test('with the parameters of one Bind, not of the next', async () => {
    const client = await guard.connect();
    const text = `delete from ${t} where a = $1`;
    client.send(Buffer.concat([parse('d', text), bind('', 'd', [Buffer.from('1')]), execute(''), sync()]));
    await guard.decide((await next()).id, 'approve');
    await untilReady(client);
    client.send(Buffer.concat([bind('', 'd', [Buffer.from('2')]), execute(''), sync()]));
    await guard.decide((await next()).id, 'reject');
    await untilReady(client);
    expect((await direct.query(`select a from ${t}`)).rows).toEqual([{ a: 2 }]);
    client.destroy();
  });
});

/** The request that waits and is not `before`. */
async function nextBut(before: string, at = guard): Promise<{ id: string; reason: string; why: string[] }> {
  for (;;) {
    const { id, ...more } = await next(at);
    if (id !== before) return { id, ...more };
  }
}

async function untilReady(client: RawClient): Promise<void> {
  for (;;) {
    const [reply] = await client.take(1);
    if (reply?.letter === 'E') errorFields(reply);
    if (reply?.letter === 'Z') return;
  }
}

/** The database as an ordinary role, whose connections can be limited. */
async function asOrdinaryRole(name: string): Promise<{ role: string; url: string }> {
  const role = `${name}_${database.name}`;
  await direct.query(`create role ${role} login password 'narrow'`);
  const url = new URL(database.url);
  url.username = role;
  url.password = 'narrow';
  return { role, url: url.href };
}

test('an approval is not used while nobody can look whether what was shown is still so', async () => {
  const { role, url } = await asOrdinaryRole('cut_off');
  await direct.query(`grant all on ${t} to ${role}`);
  const own = await startGuard({ url, catalog: { pollMs: 60_000 } });
  const client = new pg.Client({ connectionString: own.url });
  try {
    await client.connect();
    const deleted = client.query(`delete from ${t} where a = 1`);
    const first = await next(own);
    await direct.query(`alter role ${role} connection limit 1`);
    const looking = `from pg_stat_activity where application_name = 'holdpoint catalog' and usename = '${role}'`;
    await direct.query(`select pg_terminate_backend(pid) ${looking}`);
    await expect.poll(async () => (await direct.query(`select ${looking}`)).rowCount).toBe(0);
    await own.decide(first.id, 'approve');
    const again = await nextBut(first.id, own);
    expect(again.reason).toContain('the catalog cannot be read now');
    expect(await rows(t)).toBe(2);
    await direct.query(`alter role ${role} connection limit -1`);
    await own.decide(again.id, 'approve');
    expect((await deleted).rowCount).toBe(1);
  } finally {
    await client.end();
    await own.close();
    await direct.query(`drop owned by ${role}; drop role ${role}`);
  }
});

test('while the catalog cannot be read, statements that name something are held, and others are not', async () => {
  const { role, url } = await asOrdinaryRole('narrow');
  await direct.query(`alter role ${role} connection limit 1`);
  const lame = await startGuard({ url, catalog: { pollMs }, hold: { waitMs: 100 } });
  // The one connection may still be that of the look at the start, which the server takes its time to end.
  const client = await vi.waitFor(
    async () => {
      const one = new pg.Client({ connectionString: lame.url });
      await one.connect();
      return one;
    },
    { timeout: 20_000 },
  );
  try {
    await client.query('begin');
    const refused = await client.query('select count(*) from pg_class').catch((error) => error);
    expect(refused.code).toBe('42501');
    const [waiting] = await lame.pending(1);
    expect(JSON.parse((await lame.show(waiting!.id)).request).policy.reason).toContain('cannot be read');
    expect(lame.reports.join()).toContain('the catalog of the database cannot be read');
  } finally {
    await client.end();
    await lame.close();
    await direct.query(`drop role ${role}`);
  }
});
