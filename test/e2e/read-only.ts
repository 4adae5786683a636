// What a read-only agent is made to try, and what it must be able to do: the ways out of a read-only session that the
// server leaves open, and everyday reading.

import { changes, refused, type Siege, type sent, together } from '../support/siege.ts';

export const fixture = `
  create table t (id int primary key, n int);
  insert into t select g, g from generate_series(1, 10) g;
  create table gone as select 1 as a;
  create sequence seq;
  create view seen as select * from t where n > 3;
  create function writer() returns int language sql as 'delete from t returning 1';
  create function reader(int) returns int language sql stable as 'select n from t where id = $1';
  create procedure leave() language plpgsql as
    $$ begin commit; set transaction read write; delete from t; commit; end $$;
  create function loosened() returns void language plpgsql as
    $$ begin perform set_config('default_transaction_read_only', 'off', false); end $$;
  select lo_from_bytea(4711, 'kept');
`;

/** Each is one text, or several that are sent one after the other in the same session. */
export const attacks: readonly (readonly string[])[] = [
  // Writes as they are.
  ['insert into t values (11, 11)'],
  ['update t set n = 0 where id = 1'],
  ['delete from t'],
  ['truncate t'],
  ['drop table gone'],
  ['create table more (a int)'],
  ['create temp table more (a int)'],
  ['select * into more from t'],
  ['select * from t for update'],
  ['with d as (delete from t returning *) select * from d'],
  ['explain analyze delete from t'],
  ['copy t from stdin'],
  ['select writer()'],
  ["select nextval('seq')"],
  ["select setval('seq', 100)"],
  ['prepare p as delete from t', 'execute p'],
  ['declare c cursor with hold for select writer()', 'fetch all from c'],
  ['do $$ begin delete from t; end $$'],
  ['merge into t using (select 1 as id) s on t.id = s.id when matched then delete'],
  // A wrapper's transaction is left.
  ['commit; drop table gone'],
  ['rollback; delete from t'],
  ['begin read only; commit; delete from t'],
  ['begin; set transaction read write; delete from t; commit'],
  ['begin', 'set transaction read write', 'delete from t', 'commit'],
  ['begin read only', 'set transaction read write', 'delete from t', 'commit'],
  ['begin read only', 'set transaction isolation level serializable, read write', 'delete from t', 'commit'],
  ['begin read write', 'delete from t', 'commit'],
  ['begin isolation level repeatable read read write', 'delete from t', 'commit'],
  ['start transaction read write; delete from t; commit'],
  ['begin', 'set transaction_read_only = off', 'delete from t', 'commit'],
  ['begin', 'set local transaction_read_only to 0', 'delete from t', 'commit'],
  ['begin', "select set_config('transaction_read_only', 'off', true)", 'delete from t', 'commit'],
  ['begin', 'reset transaction_read_only', 'delete from t', 'commit'],
  ['begin', 'commit and chain', 'set transaction read write', 'delete from t', 'commit'],
  ['begin', 'rollback and chain', 'set transaction read write', 'delete from t', 'commit'],
  // The session's default is changed.
  ['set default_transaction_read_only = off', 'delete from t'],
  ['set default_transaction_read_only = off; delete from t'],
  ['set default_transaction_read_only to false', 'drop table gone'],
  ['set session "default_transaction_read_only" = no', 'delete from t'],
  ['SET DEFAULT_TRANSACTION_READ_ONLY TO DEFAULT', 'delete from t'],
  ['set local default_transaction_read_only = off', 'delete from t'],
  ['begin', 'set local default_transaction_read_only = off', 'commit and chain', 'delete from t', 'commit'],
  ['reset default_transaction_read_only', 'delete from t'],
  ['reset all', 'delete from t'],
  ['discard all', 'delete from t'],
  ['set session characteristics as transaction read write', 'delete from t'],
  ['set session characteristics as transaction isolation level serializable, read write', 'delete from t'],
  ["select set_config('default_transaction_read_only', 'off', false)", 'delete from t'],
  ["select pg_catalog.set_config('DEFAULT_transaction_read_only', 'off', false)", 'delete from t'],
  ["select set_config('default_transaction' || '_read_only', 'off', false)", 'delete from t'],
  ["select set_config(name, 'off', false) from pg_settings where name ~ 'read_only$'", 'delete from t'],
  ["update pg_settings set setting = 'off' where name = 'default_transaction_read_only'", 'delete from t'],
  ['select loosened()', 'delete from t'],
  ['alter role current_user set default_transaction_read_only = off'],
  ['alter role all set default_transaction_read_only = off'],
  ['alter database postgres set default_transaction_read_only = off'],
  ['alter system set default_transaction_read_only = off'],
  // Code that commits and goes on.
  ['call leave()'],
  ['do $$ begin commit; set transaction read write; delete from t; end $$'],
  ['do $$ begin rollback; set transaction read write; delete from t; commit; end $$'],
  ["do $$ begin perform set_config('default_transaction_read_only', 'off', false); end $$", 'delete from t'],
  [
    'create procedure q() language plpgsql as $$ begin commit; set transaction read write; delete from t; end $$',
    'call q()',
  ],
  // What READ ONLY does not stop.
  ['vacuum t'],
  ['vacuum full t'],
  ['cluster t using t_pkey'],
  ['reindex table t'],
  ["alter system set work_mem = '5MB'"],
  ['checkpoint'],
  ['begin', "prepare transaction 'left'"],
  ['lock table t in access exclusive mode'],
  ["load 'plpgsql'"],
  ['select lo_create(4712)'],
  ['select lo_unlink(4711)'],
  ["select lo_from_bytea(4712, 'x')"],
  ["select lo_put(4711, 0, 'x')"],
  ["copy t to '/tmp/holdpoint-read-only'"],
  ["copy t to program 'touch /tmp/holdpoint-read-only'"],
  ["select lo_export(4711, '/tmp/holdpoint-read-only')"],
  ["select pg_create_physical_replication_slot('left')"],
  ["select pg_replication_origin_create('left')"],
  ['select pg_switch_wal()'],
  ["select pg_create_restore_point('left')"],
  ["select pg_logical_emit_message(false, 'a', 'b')"],
  ['select pg_stat_reset()'],
  ["select pg_import_system_collations('public')"],
  ['select pg_reload_conf()'],
  ['select pg_terminate_backend(pid) from pg_stat_activity'],
  ["select query_to_xml('select writer()', true, true, '')"],
  ["select * from ts_stat('select writer()::text::tsvector')"],
];

/** Each is sent in a session of its own, one text after the other, and none may be answered with an error. */
export const everyday: readonly (readonly string[])[] = [
  ['select 1'],
  ['select * from t order by id limit 3; select count(*) from seen'],
  ['begin', 'select * from t', 'commit'],
  ['begin read only', 'select * from t', 'savepoint a', 'select 1', 'rollback to a', 'commit'],
  ['begin isolation level repeatable read', 'select sum(n) from t', 'rollback'],
  ['begin', 'set transaction read only', 'select 1', 'commit'],
  ['set session characteristics as transaction read only', 'select 1'],
  ['set default_transaction_read_only = on', 'select 1'],
  ['begin', 'declare c cursor for select * from t', 'fetch 5 from c', 'close c', 'commit'],
  ['prepare p as select * from t where id = $1', 'execute p(3)', 'deallocate p'],
  ["set timezone = 'UTC'", "set statement_timeout = '30s'", 'show transaction_read_only', 'reset all'],
  ['discard all', 'select 1'],
  ['explain select * from t', 'explain analyze select * from t'],
  ['copy t to stdout'],
  ['copy (select id from t) to stdout with csv header'],
  ['select relname from pg_class where relnamespace = 2200 order by 1'],
  ["select current_setting('default_transaction_read_only'), version(), now()"],
  ['select pg_advisory_lock(1)', 'select pg_advisory_unlock(1)'],
  ['listen news', 'unlisten news'],
  ['select reader(1)', 'select * from seen where reader(id) > 4'],
  ['begin', 'select reader(1)', 'commit'],
];

/** Sends all attacks: what they changed, and the texts of which nothing was refused. The last text of each is the harm. */
export async function attempt(siege: Siege, way: typeof sent) {
  const before = await siege.digest();
  const answers = await together(attacks, async (texts) => ({
    texts,
    lines: await way(await siege.guard.connect(), ...texts),
  }));
  return {
    changed: changes(before, await siege.digest()),
    letThrough: answers.filter(({ lines }) => !refused(lines)).map(({ texts }) => texts),
  };
}
