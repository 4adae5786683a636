// Canaries: statements of every shape that can carry a value or a secret, each with words of its own in it, so that whoever
// finds such a word somewhere knows which statement it is from. Values are of the form CANARYV…, secrets CANARYS….

import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { copyData, copyDone } from './frames.ts';
import type { RawClient } from './raw.ts';

/** What is sent to the proxy, up to the server's ReadyForQuery. */
export interface Shape {
  readonly name: string;
  frames(value: string, secret: string): Buffer[];
}

const q = (name: string, sql: (value: string, secret: string) => string): Shape => ({
  name,
  frames: (value, secret) => [query(sql(value, secret))],
});

/** By the extended protocol. `format` of all parameters: 0 text, 1 binary. */
const x = (
  name: string,
  sql: (value: string, secret: string) => string,
  parameters: (value: string, secret: string) => string[],
  format: 0 | 1 = 0,
): Shape => ({
  name,
  frames: (value, secret) => {
    const bytes = parameters(value, secret).map((text) => Buffer.from(text));
    const formats = format === 0 ? [] : bytes.map(() => 1);
    return [parse('', sql(value, secret)), bind('', '', bytes, formats), execute(''), sync()];
  },
});

export const shapes: readonly Shape[] = [
  // Values
  q('a literal', (v) => `select '${v}'`),
  q('an escape string', (v) => `select E'\\n${v}'`),
  q('a dollar-quoted string', (v) => `select $x$${v}$x$`),
  q('a string of two parts', (v) => `select 'a'\n'${v}'`),
  q('a cast', (v) => `select '${v}'::text, text '${v}'`),
  q('a comparison', (v) => `select count(*) from customers where email = '${v}'`),
  q('an IN list', (v) => `select count(*) from customers where email in ('a', '${v}')`),
  q('a LIKE pattern', (v) => `select count(*) from customers where email like '%${v}%'`),
  q('a JSON path', (v) => `select '{"a":"${v}"}'::jsonb -> 'a'`),
  q('an array', (v) => `select array['${v}', 'b']`),
  q('VALUES', (v) => `values ('${v}'), ('x')`),
  q('several statements', (v) => `select 1; select '${v}'; select 2`),
  q('a comment', (v) => `select 1 -- ${v}`),
  q('a comment in front, with a reason', (v) => `/* reason: ${v} */ select 1`),
  q('a nested comment', (v) => `select /* a /* ${v} */ b */ 1`),
  q('a comment behind all', (v) => `select 1; /* ${v} */`),
  q('INSERT', (v) => `insert into customers (email) values ('${v}')`),
  q('UPDATE', (v) => `update customers set email = '${v}' where id = -1`),
  q('DELETE', (v) => `delete from customers where email = '${v}'`),
  q(
    'MERGE',
    (v) =>
      `merge into customers c using (values ('${v}')) s(e) on c.email = s.e when matched then do nothing`,
  ),
  q('WITH', (v) => `with a as (select '${v}' as e) select count(*) from customers, a where email = a.e`),
  q('EXPLAIN', (v) => `explain select * from customers where email = '${v}'`),
  q('PREPARE', (v) => `prepare p as select '${v}'`),
  q('DECLARE', (v) => `begin; declare c cursor for select '${v}'; commit`),
  q('COPY of a query', (v) => `copy (select '${v}') to stdout`),
  q('a custom setting', (v) => `set app.tenant = '${v}'`),
  q('a custom setting, a bare word', (v) => `set app.tenant = ${v}`),
  q('set_config', (v) => `select set_config('app.tenant', '${v}', false)`),
  q('the reason', (v) => `set holdpoint.reason = '${v}'`),
  q('NOTIFY', (v) => `notify c, '${v}'`),
  q('DO', (v) => `do $$ begin perform '${v}'; end $$`),
  q('CREATE FUNCTION', (v) => `create function f() returns text language sql as $$ select '${v}' $$`),
  q('CREATE TABLE with a default', (v) => `create table t_x (a text default '${v}')`),
  q('COMMENT ON', (v) => `comment on table customers is '${v}'`),
  q('COPY PROGRAM', (v) => `copy customers from program 'cat ${v}'`),
  q('an error that quotes the value', (v) => `select '${v}'::int`),
  q('an error that quotes a key', (v) => `insert into coupons select * from coupons; select '${v}'`),
  q('a function that raises it', (v) => `select 1/0, '${v}'`),
  x(
    'a text parameter',
    () => 'select $1::text',
    (v) => [v],
  ),
  x(
    'a binary parameter',
    () => 'select $1::text',
    (v) => [v],
    1,
  ),
  x(
    'a parameter beside a literal',
    (v) => `select $1::text, '${v}'`,
    (v) => [v],
  ),
  x(
    'a parameter that does not fit',
    () => 'select $1::int',
    (v) => [v],
  ),
  x(
    'a parameter of a held statement',
    () => 'delete from customers where email = $1',
    (v) => [v],
  ),
  x(
    'EXPLAIN with a parameter',
    () => 'select count(*) from customers where email = $1',
    (v) => [v],
  ),
  {
    name: 'COPY data',
    frames: (v) => [
      query('create temporary table copied (a text)'),
      query('copy copied from stdin'),
      copyData(Buffer.from(`${v}\n`)),
      copyDone(),
    ],
  },
  // What is no SQL
  q('a syntax error', (v, s) => `selec '${v}' ${s}`),
  q('a syntax error at the value', (v) => `select 'a' 'b' '${v}'`),
  q('a string without an end', (v) => `select '${v}`),
  q('a comment without an end', (v) => `select 1 /* ${v}`),
  q('a bare secret', (_, s) => s),
  q('a mistyped password', (_, s) => `alter role r pasword '${s}'`),
  q('a password in the wrong quotes', (_, s) => `alter role r password "${s}"`),
  x(
    'a syntax error that is prepared',
    (v) => `selec '${v}' $1`,
    (v) => [v],
  ),
  // Secrets
  q('CREATE ROLE', (_, s) => `create role r_x password '${s}'`),
  q('ALTER ROLE', (_, s) => `alter role r_x with encrypted password '${s}'`),
  q('ALTER ROLE SET', (_, s) => `alter role r_x set app.api_token to ${s}`),
  q('ALTER SYSTEM', (_, s) => `alter system set primary_conninfo = 'password=${s}'`),
  q('SET', (_, s) => `set app.password = '${s}'`),
  q('SET, a bare word', (_, s) => `set app.secret = ${s}`),
  q('set_config of a secret', (_, s) => `select set_config('app.password', '${s}', true)`),
  q('CREATE USER MAPPING', (_, s) => `create user mapping for public server s options (pat '${s}')`),
  q('CREATE SERVER', (_, s) => `create server s foreign data wrapper w options (api_key '${s}')`),
  q('CREATE SUBSCRIPTION', (_, s) => `create subscription s connection 'host=x password=${s}' publication p`),
  q('dblink', (_, s) => `select dblink_connect('host=x password=${s}')`),
  q('crypt', (_, s) => `select crypt('${s}', 'x')`),
  q('pgp_sym_encrypt', (_, s) => `select pgp_sym_encrypt('a', '${s}')`),
  q('md5', (_, s) => `select md5('${s}')`),
  x(
    'crypt with a parameter',
    () => 'select crypt($1, $2)',
    (_, s) => [s, 'x'],
  ),
  x(
    'md5 with a binary parameter',
    () => 'select md5($1)',
    (_, s) => [s],
    1,
  ),
  q('a password in a block', (_, s) => `do $$ begin execute 'alter role r password ''${s}'''; end $$`),
  q(
    'a key in a function',
    (_, s) => `create function g() returns text language sql as $$ select crypt('${s}', 'x') $$`,
  ),
  q('a password in a comment', (_, s) => `select 1 -- PGPASSWORD=${s}`),
  q('a password in a URL', (_, s) => `select 'postgres://u:${s}@h/d'`),
  {
    name: 'EXECUTE of what takes a secret',
    frames: (_, s) => [query('prepare hidden (text) as select md5($1)'), query(`execute hidden ('${s}')`)],
  },
  q('EXECUTE of what nobody knows', (_, s) => `execute nobody_knows ('${s}')`),
];

/** Sends one and waits until the server is ready again. */
export async function sing(client: RawClient, shape: Shape, value: string, secret: string): Promise<void> {
  const frames = shape.frames(value, secret);
  const isCopy = shape.name === 'COPY data';
  const rounds = isCopy ? 2 : frames.filter(([letter]) => letter === 0x51 || letter === 0x53).length;
  client.send(...frames);
  await client.until('Z', rounds);
}
