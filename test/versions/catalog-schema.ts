// A schema with one object of every kind that can hide code, for a server of a given major version.

export function catalogSchema(version: number): string {
  return `
CREATE EXTENSION hstore;
CREATE SCHEMA app;
SET search_path TO app, public;

CREATE FUNCTION harmless(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION writer(text, integer DEFAULT harmless(7), VARIADIC more integer[] DEFAULT '{}') RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = app, pg_temp AS $$BEGIN DELETE FROM plain; RETURN 1; END$$;
CREATE PROCEDURE purge(IN days integer, INOUT gone integer) LANGUAGE plpgsql AS $$BEGIN gone := days; END$$;
CREATE FUNCTION pairs(OUT a integer, OUT b text) RETURNS SETOF record LANGUAGE sql AS $$SELECT 1, 'x'$$;
CREATE FUNCTION state(integer, integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
CREATE FUNCTION finish(integer) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text';
CREATE AGGREGATE total(integer) (sfunc = state, stype = integer, finalfunc = finish, combinefunc = state, initcond = '0',
  msfunc = state, minvfunc = state, mstype = integer, mfinalfunc = finish, minitcond = '0');

CREATE DOMAIN positive AS integer DEFAULT harmless(1) CHECK (harmless(VALUE) > 0);
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TYPE pair AS (left_one positive, right_one mood);
CREATE FUNCTION mood_distance(mood, mood) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT 1.0::float8';
CREATE TYPE moods AS RANGE (subtype = mood, subtype_diff = mood_distance);
CREATE FUNCTION mood_number(mood) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE CAST (mood AS integer) WITH FUNCTION mood_number(mood) AS ASSIGNMENT;
CREATE FUNCTION to_point(bigint) RETURNS point LANGUAGE sql IMMUTABLE AS 'SELECT point($1, $1)';
CREATE CAST (bigint AS point) WITH FUNCTION to_point(bigint);

CREATE FUNCTION backwards(integer, integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $2 - $1';
CREATE OPERATOR ### (leftarg = integer, rightarg = integer, function = state);
CREATE OPERATOR CLASS backwards_ops FOR TYPE integer USING btree AS OPERATOR 1 <, OPERATOR 3 =, FUNCTION 1 backwards(integer, integer);
CREATE FUNCTION point_less(point, point) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1[0] < $2[0]';
CREATE FUNCTION point_compare(point, point) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 0';
CREATE OPERATOR <## (leftarg = point, rightarg = point, function = point_less);
CREATE OPERATOR CLASS point_order DEFAULT FOR TYPE point USING btree AS OPERATOR 1 <##, FUNCTION 1 point_compare(point, point);

CREATE TABLE plain (id integer PRIMARY KEY, "odd ""name, {x}" text, gone integer, mood mood, other bigint,
  UNIQUE ("odd ""name, {x}", other));
ALTER TABLE plain DROP COLUMN gone;
CREATE UNIQUE INDEX partial_unique ON plain (other) WHERE id > 0;
CREATE TABLE child (id integer PRIMARY KEY, plain_id integer REFERENCES plain (id) ON DELETE CASCADE ON UPDATE SET NULL);
CREATE TABLE rich (
  id integer DEFAULT harmless(2), checked integer CHECK (harmless(checked) > 1),
  stored integer GENERATED ALWAYS AS (harmless(id)) STORED,
  ${version >= 18 ? 'virtual integer GENERATED ALWAYS AS (id + 5) VIRTUAL,' : ''}
  doc hstore, valued positive, kept pair, marks mood[]);
CREATE INDEX rich_expression ON rich ((harmless(id))) WHERE harmless(checked) > 3;
CREATE STATISTICS rich_statistics ON ${version >= 14 ? '(state(id, 1))' : 'id'}, checked FROM rich;
CREATE INDEX rich_class ON rich (checked backwards_ops);
CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
CREATE TRIGGER on_change BEFORE INSERT OR UPDATE OF checked ON rich FOR EACH ROW WHEN (harmless(NEW.id) > 0) EXECUTE FUNCTION fires();
CREATE TRIGGER disabled AFTER DELETE ON rich FOR EACH ROW EXECUTE FUNCTION fires();
ALTER TABLE rich DISABLE TRIGGER disabled;
CREATE TRIGGER emptied AFTER TRUNCATE ON rich EXECUTE FUNCTION fires();
CREATE RULE swallow AS ON DELETE TO child DO INSTEAD UPDATE plain SET other = harmless(8);
CREATE POLICY only_some ON plain USING (harmless(id) > 0);
CREATE POLICY not_in_force ON child USING (harmless(id) > 0);
ALTER TABLE plain ENABLE ROW LEVEL SECURITY;

CREATE TABLE parted (id integer, at date) PARTITION BY RANGE (harmless(id));
CREATE TABLE parted_one PARTITION OF parted FOR VALUES FROM (1) TO (10);
CREATE TABLE ancestor (id integer);
CREATE TABLE heir () INHERITS (ancestor);
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE remote (id integer) SERVER elsewhere;
CREATE SEQUENCE counter;

CREATE VIEW seen AS SELECT total(id) AS t, total(id) OVER (ORDER BY id) AS w, 1 ### 2 AS op, harmless(3), lower('X'),
  mood::text, row(id, 1) < row(2, 2) AS compared FROM plain GROUP BY id, mood;
CREATE VIEW deeper AS SELECT t.*, 5::positive AS p FROM seen t, plain TABLESAMPLE bernoulli (10);
CREATE MATERIALIZED VIEW kept_rows AS SELECT writer('a') AS n WITH NO DATA;

CREATE FUNCTION of_row(plain) RETURNS text LANGUAGE sql AS $$SELECT 'row'$$;
CREATE FUNCTION of_row_and_more(plain, integer DEFAULT 1) RETURNS text LANGUAGE sql AS $$SELECT 'row'$$;
CREATE FUNCTION of_rows(VARIADIC plain[]) RETURNS text LANGUAGE sql AS $$SELECT 'row'$$;
CREATE FUNCTION of_anything(anyelement) RETURNS text LANGUAGE sql AS $$SELECT 'row'$$;
CREATE FUNCTION of_two(plain, integer) RETURNS text LANGUAGE sql AS $$SELECT 'row'$$;
CREATE DOMAIN plain_row AS plain;
CREATE FUNCTION of_domain(plain_row) RETURNS text LANGUAGE sql AS $$SELECT 'row'$$;
${version >= 14 ? 'CREATE FUNCTION compiled(integer) RETURNS integer BEGIN ATOMIC SELECT harmless($1) FROM plain; END;' : ''}
${version >= 14 ? 'CREATE PROCEDURE compiled_writer() BEGIN ATOMIC DELETE FROM child; INSERT INTO child VALUES (1); END;' : ''}
CREATE FUNCTION on_definition() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER defining ON ddl_command_end EXECUTE FUNCTION on_definition();
RESET search_path;`;
}
