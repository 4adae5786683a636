-- Geo: what a spatial extension looks like to a guard, and harmless: a schema of types whose functions, operators, casts
-- and aggregates carry the names of the server's own. Everything here must stay usable without a person.

CREATE SCHEMA geo;
CREATE TYPE geo.point2d AS (x double precision, y double precision);
CREATE TYPE geo.box2d AS (low geo.point2d, high geo.point2d);

CREATE FUNCTION geo.length(geo.point2d) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
  'SELECT sqrt(($1).x * ($1).x + ($1).y * ($1).y)';
CREATE FUNCTION geo.distance(a geo.point2d, b geo.point2d) RETURNS double precision LANGUAGE sql IMMUTABLE AS
  'SELECT sqrt(((a).x - (b).x) ^ 2 + ((a).y - (b).y) ^ 2)';
CREATE FUNCTION geo.overlaps(a geo.box2d, b geo.box2d) RETURNS boolean LANGUAGE sql IMMUTABLE AS
  'SELECT ((a).low).x <= ((b).high).x AND ((b).low).x <= ((a).high).x
      AND ((a).low).y <= ((b).high).y AND ((b).low).y <= ((a).high).y';
CREATE FUNCTION geo.make_point(x double precision, y double precision) RETURNS geo.point2d LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN RETURN ROW(x, y)::geo.point2d; END';
CREATE FUNCTION geo.envelope(geo.point2d) RETURNS geo.box2d LANGUAGE sql IMMUTABLE AS
  'SELECT ROW($1, $1)::geo.box2d';
CREATE FUNCTION geo.as_text(geo.point2d) RETURNS text LANGUAGE sql IMMUTABLE AS
  'SELECT format(''POINT(%s %s)'', ($1).x, ($1).y)';
CREATE FUNCTION geo.x(geo.point2d) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x';
CREATE FUNCTION geo.within(a geo.point2d, b geo.point2d, meters double precision) RETURNS boolean LANGUAGE plpgsql STABLE AS
  'BEGIN RETURN geo.distance(a, b) <= meters; END';

CREATE OPERATOR geo.<-> (LEFTARG = geo.point2d, RIGHTARG = geo.point2d, FUNCTION = geo.distance, COMMUTATOR = OPERATOR(geo.<->));
CREATE OPERATOR geo.&& (LEFTARG = geo.box2d, RIGHTARG = geo.box2d, FUNCTION = geo.overlaps, COMMUTATOR = OPERATOR(geo.&&));
CREATE CAST (geo.point2d AS geo.box2d) WITH FUNCTION geo.envelope(geo.point2d) AS IMPLICIT;
CREATE CAST (geo.point2d AS text) WITH FUNCTION geo.as_text(geo.point2d);

CREATE FUNCTION geo.extend(geo.box2d, geo.point2d) RETURNS geo.box2d LANGUAGE sql IMMUTABLE AS
  'SELECT CASE WHEN $1 IS NULL THEN geo.envelope($2) ELSE
     ROW(ROW(least((($1).low).x, ($2).x), least((($1).low).y, ($2).y))::geo.point2d,
         ROW(greatest((($1).high).x, ($2).x), greatest((($1).high).y, ($2).y))::geo.point2d)::geo.box2d END';
CREATE AGGREGATE geo.extent(geo.point2d) (SFUNC = geo.extend, STYPE = geo.box2d);

CREATE TABLE geo.places (id integer PRIMARY KEY, name text NOT NULL, at geo.point2d NOT NULL);
INSERT INTO geo.places SELECT i, 'place ' || i, ROW(i, i * 2 % 13)::geo.point2d FROM generate_series(1, 30) AS i;
CREATE VIEW geo.near AS SELECT id, name, at OPERATOR(geo.<->) ROW(0, 0)::geo.point2d AS far FROM geo.places;
