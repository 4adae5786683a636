// Role powers: a real server is asked what real roles may do, and every power is said with what it puts out of sight.

import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { powersQuestion, powerWarnings } from '../../src/proxy/role-powers.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let admin: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
});

afterAll(async () => {
  await admin?.end();
  await database?.drop();
});

/** What is said of a role made by `statements`, in which `ROLE` stands for its name. */
async function saidOf(...statements: string[]): Promise<string[]> {
  const role = `power_${database.name}`;
  await admin.query(`create role ${role} nologin`);
  await admin.query(`create role ${role}_other nologin`);
  try {
    for (const text of statements) await admin.query(text.replaceAll('ROLE', role));
    await admin.query(`set session authorization ${role}`);
    const { rows } = await admin.query({ text: powersQuestion, rowMode: 'array' });
    const texts = rows.map((row: unknown[]) =>
      row.map((value) => (typeof value === 'boolean' ? (value ? 't' : 'f') : String(value))),
    );
    return powerWarnings('owner', { rows: texts }).map((said) => said.replaceAll(role, 'ROLE'));
  } finally {
    await admin.query('reset session authorization');
    await admin.query(`drop owned by ${role}, ${role}_other; drop role ${role}, ${role}_other`);
  }
}

test('an ordinary role that owns its tables is nothing to speak of', async () => {
  expect(
    await saidOf('create table public.own_table (a int)', 'alter table own_table owner to ROLE'),
  ).toEqual([]);
  expect(await saidOf('grant pg_read_all_data to ROLE')).toEqual([]);
});

test('a superuser is one sentence, which names what is beyond the proxy', async () => {
  const said = await saidOf('alter role ROLE superuser createrole');
  expect(said).toEqual([
    'role owner is a superuser: no permission stops it, and code that a statement reaches in the database can read and write files and run programs on the server; use a role that has the rights on its tables and nothing else',
  ]);
});

test('who may become a superuser is as good as one', async () => {
  const said = await saidOf('alter role ROLE_other superuser', 'grant ROLE_other to ROLE');
  expect(said).toEqual([expect.stringContaining('can become the superuser ROLE_other by SET ROLE')]);
});

test.each(['createrole', 'createdb', 'replication', 'bypassrls'])(
  'a role with %s, and one that may become it',
  async (attribute) => {
    const word = attribute.toUpperCase();
    expect(await saidOf(`alter role ROLE ${attribute}`)).toEqual([
      expect.stringContaining(`role owner has ${word}: `),
    ]);
    expect(await saidOf(`alter role ROLE_other ${attribute}`, 'grant ROLE_other to ROLE')).toEqual([
      expect.stringContaining(`role owner has ${word} through ROLE_other`),
    ]);
  },
);

test.each([
  'pg_write_server_files',
  'pg_read_server_files',
  'pg_execute_server_program',
  'pg_signal_backend',
  'pg_write_all_data',
  'pg_maintain',
  'pg_create_subscription',
])('a member of %s, also by way of another role', async (power) => {
  const said = [expect.stringContaining(`role owner is a member of ${power}: `)];
  expect(await saidOf(`grant ${power} to ROLE`)).toEqual(said);
  expect(await saidOf(`grant ${power} to ROLE_other`, 'grant ROLE_other to ROLE')).toEqual(said);
});

test('powers add up', async () => {
  expect(await saidOf('alter role ROLE createdb bypassrls', 'grant pg_maintain to ROLE')).toHaveLength(3);
});

test('a server that does not say leaves that to be told', () => {
  expect(powerWarnings('owner', { sqlstate: '57014', message: 'canceled' })).toEqual([
    'what role owner may do could not be asked: 57014',
  ]);
});
