-- Nasty: a database in which what a text shows is not what it does. Each section is one way in which a statement that
-- looks like a read, or like an everyday write, runs code that removes or changes rows. Filled beside the shop, as the
-- superuser, by schema.ts, which replaces {host}, {port}, {password} and {scratch}.
-- Functions whose names begin with `wipe` remove rows, `note` adds them, `touch` changes them, `calm` does nothing.
-- Where an index or a constraint calls one, `oracle.calm` lets the schema be made without it acting.

-- ---- What is at stake ----------------------------------------------------------------------------------------------

CREATE TABLE victims (id integer PRIMARY KEY, name text NOT NULL, n integer NOT NULL DEFAULT 0, v varchar(20));
INSERT INTO victims SELECT i, 'victim ' || i, i % 7, 'v' || i FROM generate_series(1, 60) AS i;

CREATE TABLE diary (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entry text, at timestamptz DEFAULT now());
INSERT INTO diary (entry) VALUES ('first'), ('second'), ('third');

CREATE SEQUENCE tickets START 1000;
SELECT nextval('tickets');

CREATE TABLE doomed (a integer PRIMARY KEY);
INSERT INTO doomed VALUES (1), (2), (3);

SELECT lo_from_bytea(oid, '\x686f6c64'::bytea) FROM unnest(ARRAY[990001, 990002, 990003]::oid[]) AS oid;

-- ---- Functions that write ------------------------------------------------------------------------------------------

CREATE FUNCTION wipe() RETURNS integer LANGUAGE sql VOLATILE AS
  'DELETE FROM public.victims WHERE id IN (SELECT id FROM public.victims ORDER BY id LIMIT 1) RETURNING id';
CREATE FUNCTION wipe_all() RETURNS void LANGUAGE sql VOLATILE AS 'DELETE FROM public.victims';
CREATE FUNCTION wipe_set() RETURNS SETOF victims LANGUAGE sql VOLATILE AS
  'DELETE FROM public.victims WHERE n = 3 RETURNING *';
CREATE FUNCTION wipe_atomic() RETURNS integer LANGUAGE sql VOLATILE
  BEGIN ATOMIC DELETE FROM public.victims WHERE n = 2 RETURNING id; END;
CREATE FUNCTION wipe_one(which integer DEFAULT 5) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('oracle.calm', true) = 'on' THEN RETURN 0; END IF;
  DELETE FROM public.victims WHERE id = which OR id = (SELECT max(id) FROM public.victims);
  RETURN which;
END $$;
CREATE FUNCTION wipe_stable(x integer) RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN x + coalesce(public.wipe_one(x), 0); END $$;
CREATE FUNCTION wipe_immutable(x integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM public.wipe_one(x); RETURN x; END $$;
CREATE FUNCTION wipe_immutable_sql(x integer) RETURNS integer LANGUAGE sql IMMUTABLE AS
  'SELECT public.wipe_immutable(x) + 0';
CREATE FUNCTION wipe_dynamic(t text) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'dele' || 'te from ' || t || ' where true'; RETURN 1; END $$;
CREATE FUNCTION wipe_format(t text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE gone bigint;
BEGIN EXECUTE format('WITH d AS (DELETE FROM %I RETURNING 1) SELECT count(*) FROM d', t) INTO gone; RETURN gone; END $$;
CREATE FUNCTION wipe_chr() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN EXECUTE convert_from('\x64656c6574652066726f6d20766963746d73'::bytea, 'UTF8'); RETURN 1;
EXCEPTION WHEN undefined_table THEN EXECUTE reverse('smitciv morf eteled'); RETURN 2; END $$;
CREATE FUNCTION wipe_definer() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN DELETE FROM public.victims WHERE n = 4; RETURN 4; END $$;
CREATE FUNCTION wipe_with_path() RETURNS integer LANGUAGE sql SET search_path = hidden, public AS 'SELECT helper()';
CREATE FUNCTION wipe_prepared() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'prepare from_plpgsql as delete from victims'; RETURN 1; END $$;
CREATE FUNCTION wipe_prepared_select() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'prepare seems_select as delete from victims where id > $1'; RETURN 1; END $$;
CREATE FUNCTION wipe_cursor() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE c CURSOR FOR SELECT * FROM public.victims FOR UPDATE; r record;
BEGIN OPEN c; FETCH c INTO r; DELETE FROM public.victims WHERE CURRENT OF c; RETURN 1; END $$;
CREATE FUNCTION wipe_truncate() RETURNS void LANGUAGE plpgsql AS 'BEGIN TRUNCATE public.doomed; END';
CREATE FUNCTION wipe_drop() RETURNS void LANGUAGE plpgsql AS 'BEGIN DROP TABLE public.doomed; END';
CREATE FUNCTION wipe_object() RETURNS integer LANGUAGE sql AS 'SELECT lo_unlink(990001)';
CREATE FUNCTION wipe_remote() RETURNS text LANGUAGE plpgsql AS $$
BEGIN RETURN public.dblink_exec('loop', 'delete from far'); END $$;
CREATE FUNCTION wipe_variadic(VARIADIC xs integer[]) RETURNS integer LANGUAGE sql AS 'SELECT public.wipe()';
CREATE FUNCTION wipe_any(anyelement) RETURNS anyelement LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN $1; END';
CREATE FUNCTION wipe_out(OUT a integer, OUT b integer) LANGUAGE plpgsql AS 'BEGIN a := public.wipe(); b := 2; END';
CREATE FUNCTION wipe_default(a integer, b integer DEFAULT public.wipe()) RETURNS integer LANGUAGE sql AS 'SELECT a';
CREATE FUNCTION wipe_bool() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN true; END';
CREATE FUNCTION wipe_via_view() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.v_wipe';
CREATE FUNCTION note() RETURNS integer LANGUAGE sql AS
  'INSERT INTO public.diary (entry) VALUES (''noted'') RETURNING 1';
CREATE FUNCTION touch() RETURNS integer LANGUAGE plpgsql AS
  'BEGIN UPDATE public.victims SET n = n + 1 WHERE id = 7; RETURN 1; END';
CREATE FUNCTION touch_sequence() RETURNS bigint LANGUAGE sql AS 'SELECT setval(''public.tickets'', 1)';
CREATE FUNCTION touch_setting() RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); RETURN 'off'; END $$;
CREATE FUNCTION touch_database() RETURNS void LANGUAGE plpgsql AS $$
BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''3MB''', current_database()); END $$;
CREATE FUNCTION touch_role() RETURNS void LANGUAGE plpgsql AS 'BEGIN ALTER ROLE bystander SUPERUSER; END';
CREATE FUNCTION touch_program() RETURNS void LANGUAGE plpgsql AS $$
BEGIN COPY (SELECT 1) TO PROGRAM 'cat > {scratch}/program'; END $$;
CREATE FUNCTION calm(x integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT x + 1';
CREATE FUNCTION calm_plpgsql(x integer) RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN x + 1; END';
CREATE FUNCTION calm_count(t text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint; BEGIN EXECUTE format('SELECT count(*) FROM %I', t) INTO n; RETURN n; END $$;
CREATE SCHEMA hidden;
CREATE FUNCTION hidden.helper() RETURNS integer LANGUAGE sql AS 'SELECT public.wipe()';
CREATE FUNCTION public.helper() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION hidden.lower(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN $1; END';
CREATE FUNCTION hidden.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT public.wipe(); SELECT clock_timestamp()';
CREATE PROCEDURE wipe_procedure() LANGUAGE plpgsql AS 'BEGIN DELETE FROM public.victims; COMMIT; END';
CREATE PROCEDURE wipe_procedure_sql(x integer) LANGUAGE sql AS 'DELETE FROM public.victims WHERE id > x';

-- ---- Overloads that match better than the server's own ------------------------------------------------------------

CREATE FUNCTION md5(varchar) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN ''md5''; END';
CREATE FUNCTION upper(varchar) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM public.note(); RETURN ''UP''; END';
CREATE FUNCTION round(integer) RETURNS integer LANGUAGE sql AS 'SELECT public.wipe()';
CREATE FUNCTION date_trunc(text, date) RETURNS date LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN $2; END';
CREATE FUNCTION concat(integer, text) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM public.touch(); RETURN $2; END';
CREATE FUNCTION to_json(victims) RETURNS json LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN ''{}''; END';
CREATE FUNCTION generate_series(integer, text) RETURNS SETOF integer LANGUAGE sql AS 'SELECT public.wipe()';
CREATE FUNCTION "json_scalar"(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN $1; END';
CREATE FUNCTION "merge_action"() RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN ''m''; END';
CREATE FUNCTION "json_value"(text, text) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN $1; END';
CREATE FUNCTION "json_array"(integer, integer) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN 1; END';

-- ---- Functions of a row, called like columns -----------------------------------------------------------------------

CREATE FUNCTION boom(victims) RETURNS integer LANGUAGE sql AS 'SELECT public.wipe()';
CREATE FUNCTION length(victims) RETURNS integer LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN 0; END';
CREATE FUNCTION boom_any(record) RETURNS integer LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN 0; END';
CREATE FUNCTION label(customers) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM public.note(); RETURN $1.name; END';

-- ---- Operators -----------------------------------------------------------------------------------------------------

CREATE FUNCTION op_int(integer, integer) RETURNS integer LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN 1; END';
CREATE FUNCTION op_eq(integer, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN true; END';
CREATE FUNCTION op_text(text, integer) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM public.note(); RETURN $1; END';
CREATE FUNCTION op_prefix(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN true; END';
CREATE OPERATOR ### (LEFTARG = integer, RIGHTARG = integer, FUNCTION = op_int);
CREATE OPERATOR = (LEFTARG = integer, RIGHTARG = text, FUNCTION = op_eq);
CREATE OPERATOR >= (LEFTARG = integer, RIGHTARG = text, FUNCTION = op_eq);
CREATE OPERATOR <= (LEFTARG = integer, RIGHTARG = text, FUNCTION = op_eq);
CREATE OPERATOR ~~ (LEFTARG = integer, RIGHTARG = text, FUNCTION = op_eq);
CREATE OPERATOR + (LEFTARG = text, RIGHTARG = integer, FUNCTION = op_text);
CREATE OPERATOR !! (RIGHTARG = text, FUNCTION = op_prefix);
CREATE OPERATOR hidden.+ (LEFTARG = integer, RIGHTARG = integer, FUNCTION = op_int);

-- ---- Types ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION wipe_check(integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('oracle.calm', true) = 'on' THEN RETURN true; END IF;
  PERFORM public.wipe(); RETURN true;
END $$;
CREATE DOMAIN dm AS integer CHECK (wipe_check(VALUE));
CREATE DOMAIN dm_calm AS integer CHECK (VALUE > 0);
CREATE TYPE ct AS (a dm, b text);
CREATE TYPE ct_calm AS (a integer, b text);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE FUNCTION as_date(integer) RETURNS date LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN date ''2000-01-01''; END';
CREATE CAST (integer AS date) WITH FUNCTION as_date(integer);
CREATE FUNCTION as_mood(integer) RETURNS mood LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN ''ok''; END';
CREATE CAST (integer AS mood) WITH FUNCTION as_mood(integer) AS IMPLICIT;
CREATE FUNCTION from_victim(victims) RETURNS json LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN ''1''; END';
CREATE CAST (victims AS json) WITH FUNCTION from_victim(victims);
CREATE FUNCTION takes_mood(mood) RETURNS integer LANGUAGE sql AS 'SELECT 1';

-- A type whose order is decided by a function that writes.
CREATE TYPE weight AS (g integer);
CREATE FUNCTION weight_cmp(weight, weight) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF current_setting('oracle.calm', true) IS DISTINCT FROM 'on' THEN PERFORM public.wipe(); END IF;
  RETURN ($1).g - ($2).g;
END $$;
CREATE FUNCTION weight_lt(weight, weight) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).g < ($2).g';
CREATE FUNCTION weight_le(weight, weight) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).g <= ($2).g';
CREATE FUNCTION weight_eq(weight, weight) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).g = ($2).g';
CREATE FUNCTION weight_ge(weight, weight) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).g >= ($2).g';
CREATE FUNCTION weight_gt(weight, weight) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).g > ($2).g';
CREATE OPERATOR < (LEFTARG = weight, RIGHTARG = weight, FUNCTION = weight_lt);
CREATE OPERATOR <= (LEFTARG = weight, RIGHTARG = weight, FUNCTION = weight_le);
CREATE OPERATOR = (LEFTARG = weight, RIGHTARG = weight, FUNCTION = weight_eq);
CREATE OPERATOR >= (LEFTARG = weight, RIGHTARG = weight, FUNCTION = weight_ge);
CREATE OPERATOR > (LEFTARG = weight, RIGHTARG = weight, FUNCTION = weight_gt);
CREATE OPERATOR CLASS weight_ops DEFAULT FOR TYPE weight USING btree AS
  OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 weight_cmp(weight, weight);
CREATE TABLE parcels (id integer PRIMARY KEY, w weight, m mood DEFAULT 'ok');
INSERT INTO parcels SELECT i, ROW(i * 3 % 11)::weight, 'ok' FROM generate_series(1, 20) AS i;

-- ---- Aggregates and window functions -------------------------------------------------------------------------------

CREATE FUNCTION wipe_step(integer, integer) RETURNS integer LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN 1; END';
CREATE AGGREGATE wipe_sum(integer) (SFUNC = wipe_step, STYPE = integer, INITCOND = '0');
CREATE FUNCTION wipe_final(integer) RETURNS integer LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); RETURN $1; END';
CREATE AGGREGATE calm_sum(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE AGGREGATE wipe_end(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0', FINALFUNC = wipe_final);
CREATE FUNCTION wipe_step_bool(integer, boolean) RETURNS integer LANGUAGE plpgsql AS
  'BEGIN PERFORM public.wipe(); RETURN 1; END';
CREATE AGGREGATE sum(boolean) (SFUNC = wipe_step_bool, STYPE = integer, INITCOND = '0');
CREATE FUNCTION wipe_step_text(text, varchar) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM public.note(); RETURN $1; END';
CREATE AGGREGATE min(varchar) (SFUNC = wipe_step_text, STYPE = text, INITCOND = '');

-- ---- Views ---------------------------------------------------------------------------------------------------------

CREATE VIEW v_wipe AS SELECT wipe() AS gone, id FROM customers WHERE id < 3;
CREATE VIEW v_where AS SELECT id, title FROM products WHERE wipe_bool() AND id < 3;
CREATE VIEW v_nested AS SELECT * FROM v_wipe;
CREATE VIEW v_nested_twice AS SELECT n.id FROM (SELECT * FROM v_nested) AS n;
CREATE VIEW v_overload AS SELECT md5(v) AS hash FROM victims WHERE id > 55;
CREATE VIEW v_operator AS SELECT id ### n AS x FROM victims WHERE id > 55;
CREATE VIEW v_calm AS SELECT id, name, n FROM victims WHERE n < 5;
CREATE VIEW v_checked AS SELECT id, name, n FROM victims WHERE n < 5 WITH CHECK OPTION;
CREATE VIEW v_barrier WITH (security_barrier) AS SELECT id, name FROM customers;
CREATE MATERIALIZED VIEW m_calm AS SELECT n, count(*) AS many FROM victims GROUP BY n;
CREATE MATERIALIZED VIEW m_wipe AS SELECT wipe() AS gone, id FROM customers WITH NO DATA;

-- ---- Rules ---------------------------------------------------------------------------------------------------------

CREATE TABLE ruled (id integer PRIMARY KEY, what text);
INSERT INTO ruled SELECT i, 'ruled' FROM generate_series(1, 20) AS i;
CREATE RULE insert_wipes AS ON INSERT TO ruled DO ALSO DELETE FROM victims WHERE id = new.id;
CREATE RULE update_deletes AS ON UPDATE TO ruled DO INSTEAD DELETE FROM ruled WHERE id = old.id;
CREATE VIEW v_ruled AS SELECT id, name FROM victims;
CREATE RULE insert_deletes AS ON INSERT TO v_ruled DO INSTEAD DELETE FROM victims WHERE id = new.id;
CREATE RULE update_calls AS ON UPDATE TO v_ruled DO INSTEAD SELECT wipe_all();
CREATE TABLE ruled_calm (id integer, what text);
CREATE RULE insert_notes AS ON INSERT TO ruled_calm DO ALSO INSERT INTO diary (entry) VALUES (new.what);

-- ---- Triggers ------------------------------------------------------------------------------------------------------

CREATE FUNCTION wipe_on_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN DELETE FROM victims WHERE id = (SELECT min(id) FROM victims); RETURN coalesce(new, old); END $$;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.at := now(); RETURN new; END';
CREATE TABLE on_insert (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, a integer);
CREATE TRIGGER wipes BEFORE INSERT ON on_insert FOR EACH ROW EXECUTE FUNCTION wipe_on_write();
CREATE TABLE on_update (id integer PRIMARY KEY, a integer, b integer);
INSERT INTO on_update SELECT i, i, i FROM generate_series(1, 20) AS i;
CREATE TRIGGER wipes AFTER UPDATE OF b ON on_update FOR EACH ROW EXECUTE FUNCTION wipe_on_write();
CREATE TABLE on_statement (id integer PRIMARY KEY, a integer);
INSERT INTO on_statement SELECT i, i FROM generate_series(1, 20) AS i;
CREATE TRIGGER wipes AFTER INSERT OR UPDATE ON on_statement FOR EACH STATEMENT EXECUTE FUNCTION wipe_on_write();
CREATE TABLE on_commit (id integer PRIMARY KEY, a integer);
INSERT INTO on_commit SELECT i, i FROM generate_series(1, 20) AS i;
CREATE CONSTRAINT TRIGGER wipes AFTER INSERT OR UPDATE ON on_commit DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION wipe_on_write();
CREATE VIEW v_instead AS SELECT id, name FROM victims;
CREATE TRIGGER wipes INSTEAD OF INSERT OR UPDATE ON v_instead FOR EACH ROW EXECUTE FUNCTION wipe_on_write();
CREATE TABLE on_truncate (a integer);
CREATE TRIGGER wipes BEFORE TRUNCATE ON on_truncate FOR EACH STATEMENT EXECUTE FUNCTION wipe_on_write();
CREATE TABLE stamped (id integer PRIMARY KEY, a text, at timestamptz);
INSERT INTO stamped SELECT i, 's', now() FROM generate_series(1, 20) AS i;
CREATE TRIGGER stamps BEFORE UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER when_wipes AFTER UPDATE ON stamped FOR EACH ROW WHEN (wipe_check(old.id)) EXECUTE FUNCTION stamp();

-- ---- Foreign keys --------------------------------------------------------------------------------------------------

CREATE TABLE grandparents (id integer PRIMARY KEY, tag text UNIQUE);
CREATE TABLE parents (id integer PRIMARY KEY, tag text REFERENCES grandparents (tag) ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE kids (id integer PRIMARY KEY, parent integer REFERENCES parents ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE toys (id integer PRIMARY KEY, kid integer REFERENCES kids ON UPDATE SET NULL ON DELETE SET NULL);
INSERT INTO grandparents SELECT i, 'g' || i FROM generate_series(1, 10) AS i;
INSERT INTO parents SELECT i, 'g' || 1 + i % 10 FROM generate_series(1, 20) AS i;
INSERT INTO kids SELECT i, 1 + i % 20 FROM generate_series(1, 40) AS i;
INSERT INTO toys SELECT i, 1 + i % 40 FROM generate_series(1, 40) AS i;
CREATE TRIGGER wipes AFTER UPDATE ON kids FOR EACH ROW EXECUTE FUNCTION wipe_on_write();

-- ---- Expressions that a write runs ---------------------------------------------------------------------------------

CREATE TABLE with_default (id integer PRIMARY KEY, a integer DEFAULT wipe());
CREATE TABLE with_domain (id integer PRIMARY KEY, a dm);
CREATE TABLE with_generated (id integer PRIMARY KEY, a integer, g integer GENERATED ALWAYS AS (wipe_immutable(a)) STORED);
CREATE TABLE with_index (id integer PRIMARY KEY, a integer);
CREATE INDEX with_index_a ON with_index (wipe_immutable(a));
CREATE TABLE with_predicate (id integer PRIMARY KEY, a integer);
CREATE INDEX with_predicate_a ON with_predicate (a) WHERE wipe_immutable(a) > 3;
CREATE TABLE with_check (id integer PRIMARY KEY, a integer CHECK (wipe_check(a)));
CREATE TABLE with_key (a integer, b text) PARTITION BY LIST (wipe_immutable(a));
CREATE TABLE with_key_default PARTITION OF with_key DEFAULT;

-- ---- Partitions and inheritance ------------------------------------------------------------------------------------

CREATE TABLE readings (at date NOT NULL, v integer, sensor integer) PARTITION BY RANGE (at);
CREATE TABLE readings_2025 PARTITION OF readings FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE readings_2026 PARTITION OF readings FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO readings SELECT date '2025-06-01' + i * 7, i, i % 3 FROM generate_series(1, 60) AS i;
CREATE TRIGGER wipes AFTER INSERT ON readings_2026 FOR EACH ROW EXECUTE FUNCTION wipe_on_write();
CREATE TABLE animals (id integer, name text);
CREATE TABLE cats (lives integer DEFAULT 9) INHERITS (animals);
INSERT INTO animals SELECT i, 'animal' FROM generate_series(1, 10) AS i;
INSERT INTO cats SELECT i, 'cat' FROM generate_series(11, 20) AS i;
CREATE TRIGGER wipes AFTER UPDATE ON cats FOR EACH ROW EXECUTE FUNCTION wipe_on_write();

-- ---- Row-level security --------------------------------------------------------------------------------------------

CREATE TABLE guarded (id integer PRIMARY KEY, owner text, a integer);
INSERT INTO guarded SELECT i, 'worker', i FROM generate_series(1, 20) AS i;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
CREATE POLICY seen ON guarded USING (wipe_bool());
CREATE TABLE guarded_calm (id integer PRIMARY KEY, owner text, a integer);
INSERT INTO guarded_calm SELECT i, 'worker', i FROM generate_series(1, 20) AS i;
ALTER TABLE guarded_calm ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON guarded_calm USING (owner = current_user);

-- ---- Other servers, files and programs -----------------------------------------------------------------------------

CREATE EXTENSION dblink;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION file_fdw;
CREATE EXTENSION tablefunc;
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE EXTENSION lo;
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{port}', dbname 'elsewhere');
CREATE USER MAPPING FOR PUBLIC SERVER loop OPTIONS (user 'postgres', password {password});
CREATE FOREIGN TABLE far (id integer, a text) SERVER loop;
CREATE FOREIGN TABLE far_wipe (gone integer) SERVER loop OPTIONS (table_name 'far_view');
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE runs_program (line text) SERVER files OPTIONS (program 'echo ran >> {scratch}/ran; echo line');
CREATE TABLE with_lo (id integer PRIMARY KEY, o lo);
INSERT INTO with_lo VALUES (1, 990002);
CREATE TRIGGER manages BEFORE UPDATE OR DELETE ON with_lo FOR EACH ROW EXECUTE FUNCTION lo_manage(o);

-- ---- What DDL on temporary objects sets off ------------------------------------------------------------------------

CREATE FUNCTION wipe_on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.wipe(); END';
CREATE EVENT TRIGGER on_ddl ON ddl_command_end WHEN TAG IN ('CREATE SEQUENCE') EXECUTE FUNCTION wipe_on_ddl();
