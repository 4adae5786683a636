// The database that the attacks find: tables, a view, functions and their like under the names that the corpus of attack
// texts uses (test/sql/corpus/attacks.ts), so that most of those would do their harm if they ran.

export const fixture = `
  create table t (id int primary key, a int default 1, b int, c int, name text);
  insert into t select n, n, n, n, 'name ' || n from generate_series(1, 10) n;
  create table s (id int, a int, x boolean);
  insert into s select n, n, n > 3 from generate_series(3, 12) n;
  create table a (id int, n text, b int);
  insert into a values (1, 'one', 1), (2, 'two', 2);
  create table b (id int);
  insert into b values (1), (2);
  create table customers (id int primary key, name text);
  insert into customers select n, 'customer ' || n from generate_series(1, 10) n;
  create table orders (id int primary key, customer_id int references customers on delete cascade);
  insert into orders select n, n from generate_series(1, 10) n;
  create table log (id int, a int, b int, c int, name text);
  create table x_a (a int);
  create view v as select 1 as a;
  create materialized view m as select 1 as n;
  create index i on t (a);
  create sequence numbers;
  create function f() returns int language plpgsql as 'begin delete from customers; return 1; end';
  create function purge() returns int language plpgsql as 'begin delete from public.customers; return 1; end';
  create function redefine() returns int language plpgsql
    as $$ begin execute 'deallocate s'; execute 'prepare s as delete from t'; return 1; end $$;
  create procedure p() language plpgsql as 'begin delete from customers; end';
  create type y as (z int, w int);
  create schema evil;
  select lo_from_bytea(1, '\\x01');
`;
