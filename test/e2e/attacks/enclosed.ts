// Ways out of an enclosure (wire.md §3.6, §2.3): what the rules let pass only within READ ONLY, or within a number of
// rows, made to run elsewhere or to say nothing of its rows. `counts` builds its SQL when it runs, so that nothing more
// is known of it than that it reads some relation.

import { fixture } from './fixture.ts';
import type { Hidden } from './hidden.ts';

export const enclosedFixture = `${fixture}
  create view hidden as select purge() as p;
  create function counts(text) returns bigint language plpgsql as
    $$ declare n bigint; begin execute format('select count(*) from %I', $1) into n; return n; end $$;
  create view evil.t as select 1 as id from (select purge()) x;
  create function moves(text) returns text language plpgsql as
    $$ begin return set_config('search_path', $1, false); end $$;
  create function prepares() returns int language plpgsql as
    $$ begin execute 'deallocate s'; execute 'prepare s as delete from t'; return 1; end $$;
  create table big as select n as id, 0 as a from generate_series(1, 3000) n;
  alter table big add primary key (id);
  create table owner (id int primary key);
  insert into owner values (1);
  create table owned as select 1 as owner, n as id from generate_series(1, 2000) n;
  alter table owned add foreign key (owner) references owner on update cascade;
`;

/** Would empty `customers` if they ran outside their enclosure. */
export const escapes: readonly Hidden[] = [
  "SELECT counts('hidden')",
  ['BEGIN', "SELECT counts('hidden')", 'COMMIT'],
  "BEGIN; SELECT counts('hidden'); COMMIT",
  "SELECT counts('hidden'); SELECT 1",
  "SELECT 1; SELECT counts('hidden')",
  ['BEGIN', "DECLARE c CURSOR FOR SELECT counts('hidden')", 'FETCH c', 'COMMIT'],
  ['BEGIN', "DECLARE c CURSOR WITH HOLD FOR SELECT counts('hidden')", 'COMMIT'],
  "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT counts('hidden'); COMMIT",
  "DECLARE c CURSOR WITH HOLD FOR SELECT counts('hidden')",
  ["PREPARE w AS SELECT counts('hidden')", 'EXECUTE w'],
  ["PREPARE w AS SELECT counts('hidden')", 'BEGIN', 'EXECUTE w', 'COMMIT'],
  ['PREPARE w AS SELECT counts($1)', "EXECUTE w ('hidden')"],
  "EXPLAIN ANALYZE SELECT counts('hidden')",
  "COPY (SELECT counts('hidden')) TO STDOUT",
  "CREATE TEMP TABLE x AS SELECT counts('hidden')",
  "SELECT counts('hidden') INTO TEMP x",
  "INSERT INTO b SELECT counts('hidden')",
  "UPDATE b SET id = counts('hidden') WHERE id = 1",
  "SELECT counts('hidden') FROM t FOR UPDATE",
  "SELECT nextval('numbers'), counts('hidden')",
  ['CREATE TEMP TABLE own (n bigint)', "INSERT INTO own SELECT counts('hidden')"],
  ["CREATE TEMP VIEW own AS SELECT counts('hidden')", 'SELECT * FROM own'],
  ["SELECT moves('evil, public')", 'SELECT * FROM t'],
  ["BEGIN; SELECT moves('evil, public')", 'SELECT * FROM t'],
];

/** With these in the database, SQL that is built when it runs may reach what READ ONLY does not stop. */
export const leakingFixture = `${enclosedFixture}
  create view sets_path as select set_config('search_path', 'evil, public', false) as p;
  create view sets_strings as select set_config('standard_conforming_strings', 'off', false) as p;
  create table sets_by_default (a int, b text default set_config('standard_conforming_strings', 'off', false));
  create function sets_atomic() returns text language sql begin atomic
    select set_config('client_encoding', 'SJIS', false); end;
  create function sets_two(text, text) returns text language sql as 'select set_config($1, $2, false)';
  create operator ~~~ (leftarg = text, rightarg = text, function = sets_two);
  create view reads_file as select pg_read_file('/etc/hostname') as p;
  create view kills as select pg_terminate_backend(0) as p;
`;

export const leaking: readonly Hidden[] = [
  ['SELECT * FROM sets_path', 'SELECT * FROM t'],
  ["SELECT counts('sets_path')", 'SELECT * FROM t'],
  'SELECT * FROM sets_strings',
  ['SELECT * FROM sets_strings', "SELECT '\\', ' || purge() --'"],
  "SELECT counts('sets_strings')",
  'INSERT INTO sets_by_default (a) VALUES (1)',
  'SELECT sets_atomic()',
  "SELECT 'standard_conforming_strings' ~~~ 'off'",
  'SELECT * FROM reads_file',
  "SELECT counts('reads_file')",
  'SELECT * FROM kills',
  "SELECT counts('kills')",
  'SELECT prepares()',
  ['PREPARE s AS SELECT 1', 'SELECT prepares()'],
];

/** Change more rows than the default rules let one statement change. */
export const tooMany: readonly Hidden[] = [
  'UPDATE big SET a = 1 WHERE id > 0',
  'UPDATE big SET a = 1 WHERE id > 0 RETURNING id',
  'WITH u AS (UPDATE big SET a = 1 WHERE id > 0 RETURNING id) SELECT count(*) FROM u',
  'WITH u AS (UPDATE big SET a = 1 WHERE id > 0 RETURNING id) SELECT id FROM u LIMIT 1',
  'WITH u AS (UPDATE big SET a = 1 WHERE id > 0) SELECT 1',
  'WITH u AS (UPDATE big SET a = 1 WHERE id > 0) UPDATE t SET a = 5 WHERE id = 1',
  'EXPLAIN ANALYZE UPDATE big SET a = 1 WHERE id > 0',
  'COPY (UPDATE big SET a = 1 WHERE id > 0 RETURNING id) TO STDOUT',
  'PREPARE w AS UPDATE big SET a = 1 WHERE id > 0; EXECUTE w',
  ['PREPARE w AS UPDATE big SET a = 1 WHERE id > 0', 'EXECUTE w'],
  ['PREPARE w (int) AS UPDATE big SET a = 1 WHERE id > $1', 'BEGIN', 'EXECUTE w (0)', 'COMMIT'],
  ['BEGIN', 'UPDATE big SET a = 1 WHERE id > 0', 'COMMIT'],
  'BEGIN; UPDATE big SET a = 1 WHERE id > 0; COMMIT',
  'UPDATE big SET a = 1 WHERE id > 0; SELECT 1',
  'INSERT INTO big SELECT id, 1 FROM big ON CONFLICT (id) DO UPDATE SET a = 1',
  'MERGE INTO big USING (SELECT 1) x ON id > 0 WHEN MATCHED THEN UPDATE SET a = 1',
  'UPDATE owner SET id = 2 WHERE id = 1',
];
