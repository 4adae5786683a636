// Vectors: a schema in which every kind of hidden code stands twice: once as `good_…`, which reads at most, and once as
// `bad_…`, which deletes the rows of public.victims. Needs PostgreSQL 15.

export const vectorsSql = `
CREATE TABLE victims (id int PRIMARY KEY, note text);
CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY, what text);
CREATE TABLE numbers (id serial PRIMARY KEY, n int, at timestamptz DEFAULT now());

CREATE FUNCTION good_code() RETURNS int LANGUAGE plpgsql AS $$
BEGIN RETURN (SELECT count(*) FROM victims); END $$;
CREATE FUNCTION bad_code() RETURNS int LANGUAGE plpgsql AS $$
BEGIN DELETE FROM victims; RETURN 1; END $$;

CREATE FUNCTION good_sql() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM victims';
CREATE FUNCTION bad_sql() RETURNS void LANGUAGE sql AS 'DELETE FROM victims';
CREATE FUNCTION good_atomic() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM victims; END;
CREATE FUNCTION bad_atomic() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM victims; END;
CREATE FUNCTION good_return() RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION bad_return() RETURNS int LANGUAGE sql RETURN bad_code();
CREATE FUNCTION good_nested() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN good_code(); END $$;
CREATE FUNCTION bad_nested() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN bad_code(); END $$;
CREATE FUNCTION good_default(n int DEFAULT good_code()) RETURNS int LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION bad_default(n int DEFAULT bad_code()) RETURNS int LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION good_immutable(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN n; END $$;
CREATE FUNCTION bad_immutable(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN PERFORM bad_code(); RETURN n; END $$;
CREATE FUNCTION bad_definer() RETURNS int SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN RETURN bad_code(); END $$;

CREATE VIEW good_view AS SELECT good_code() AS n;
CREATE VIEW bad_view AS SELECT bad_code() AS n;
CREATE VIEW good_over AS SELECT * FROM good_view;
CREATE VIEW bad_over AS SELECT * FROM bad_view;
CREATE MATERIALIZED VIEW good_materialized AS SELECT good_code() AS n WITH NO DATA;
CREATE MATERIALIZED VIEW bad_materialized AS SELECT bad_code() AS n WITH NO DATA;

CREATE FUNCTION bad_add(int, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN bad_code(); END $$;
CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl);
CREATE OPERATOR #-# (LEFTARG = int, RIGHTARG = int, FUNCTION = bad_add);
CREATE FUNCTION bad_equal(int, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN bad_code() = 1; END $$;
CREATE OPERATOR # (LEFTARG = int, RIGHTARG = text, FUNCTION = bad_equal);

CREATE FUNCTION good_check(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN $1 > 0; END $$;
CREATE FUNCTION bad_check(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN bad_code() > 0; END $$;
CREATE DOMAIN good_domain AS int CHECK (good_check(VALUE));
CREATE DOMAIN bad_domain AS int CHECK (bad_check(VALUE));
CREATE TYPE good_row AS (n good_domain);
CREATE TYPE bad_row AS (n bad_domain);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN email AS text CHECK (VALUE ~ '^[^@]+@[^@]+$');
CREATE TYPE boxed AS (n int);
CREATE FUNCTION bad_cast(boxed) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN bad_code(); END $$;
CREATE CAST (boxed AS int) WITH FUNCTION bad_cast(boxed);

CREATE TABLE good_domains (id int, n good_domain, m mood, mail email);
CREATE TABLE bad_domains (id int, n bad_domain);
CREATE FUNCTION good_variable() RETURNS void LANGUAGE plpgsql AS $$ DECLARE d good_domain; BEGIN d := 5; END $$;
CREATE FUNCTION bad_variable() RETURNS void LANGUAGE plpgsql AS $$ DECLARE d bad_domain; BEGIN d := 5; END $$;
CREATE FUNCTION good_like() RETURNS void LANGUAGE plpgsql AS $$ DECLARE d good_domains.n%TYPE; BEGIN d := 5; END $$;
CREATE FUNCTION bad_like() RETURNS void LANGUAGE plpgsql AS $$ DECLARE d bad_domains.n%TYPE; BEGIN d := 5; END $$;
CREATE TABLE good_columns (id int, total text);
CREATE FUNCTION good_column(good_columns) RETURNS int LANGUAGE sql AS 'SELECT $1.id';
CREATE FUNCTION bad_column(good_columns) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN bad_code(); END $$;

CREATE FUNCTION lower(int) RETURNS text LANGUAGE sql AS 'SELECT ''x''::text';
CREATE FUNCTION md5(varchar) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM bad_code(); RETURN ''; END $$;
CREATE FUNCTION overloaded(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION overloaded(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN bad_code(); END $$;

CREATE AGGREGATE good_aggregate (int) (SFUNC = int4pl, STYPE = int);
CREATE AGGREGATE bad_aggregate (int) (SFUNC = bad_add, STYPE = int);

CREATE TABLE good_policy (id int); ALTER TABLE good_policy ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON good_policy USING (good_check(id));
CREATE TABLE bad_policy (id int); ALTER TABLE bad_policy ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON bad_policy USING (bad_check(id));

CREATE TABLE good_rule (id int); CREATE RULE r AS ON INSERT TO good_rule DO ALSO INSERT INTO log (what) VALUES ('i');
CREATE TABLE bad_rule (id int); CREATE RULE r AS ON INSERT TO bad_rule DO INSTEAD DELETE FROM victims;
CREATE TABLE bad_rule_update (id int); CREATE RULE r AS ON UPDATE TO bad_rule_update DO ALSO SELECT bad_code();

CREATE TABLE good_trigger (id int, n int, updated_at timestamptz);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.updated_at := now(); IF TG_OP = 'UPDATE' AND NEW.n <> OLD.n THEN NEW.n = NEW.n + 1; END IF; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON good_trigger FOR EACH ROW EXECUTE FUNCTION touch();
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO log (what) VALUES (TG_TABLE_NAME || row_to_json(NEW)::text); RETURN NULL; END $$;
CREATE TABLE audited (id int); CREATE TRIGGER audit AFTER INSERT OR UPDATE ON audited FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TABLE bad_trigger (id int, n int);
CREATE FUNCTION bad_fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM victims; RETURN NULL; END $$;
CREATE TRIGGER fire AFTER UPDATE OF n ON bad_trigger FOR EACH ROW EXECUTE FUNCTION bad_fire();
CREATE FUNCTION transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO log (what) SELECT id::text FROM fresh; RETURN NULL; END $$;
CREATE TABLE transitions (id int);
CREATE TRIGGER t AFTER INSERT ON transitions REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION transition();
CREATE TABLE when_bad (id int); CREATE TRIGGER w BEFORE INSERT ON when_bad FOR EACH ROW WHEN (bad_check(NEW.id)) EXECUTE FUNCTION audit();

CREATE TABLE bad_column_default (id int DEFAULT bad_code(), n int);
CREATE TABLE good_generated (id int, n int GENERATED ALWAYS AS (good_immutable(id)) STORED);
CREATE TABLE bad_generated (id int, n int GENERATED ALWAYS AS (bad_immutable(id)) STORED);
CREATE TABLE computed (id int, a int, g int GENERATED ALWAYS AS (a * 2) STORED);
CREATE TRIGGER fire AFTER UPDATE OF g ON computed FOR EACH ROW EXECUTE FUNCTION bad_fire();
CREATE TABLE bad_index (id int); CREATE INDEX ON bad_index (bad_immutable(id));
CREATE TABLE bad_constraint (id int CHECK (bad_check(id)));

CREATE TABLE parents (id int PRIMARY KEY, code text UNIQUE, note text);
CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE cousins (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE SET NULL);
CREATE TABLE grandchildren (id int, child int REFERENCES children ON DELETE CASCADE);
CREATE TRIGGER fire AFTER DELETE ON grandchildren FOR EACH ROW EXECUTE FUNCTION bad_fire();

CREATE TABLE comments (id int, parent int, kind text);
CREATE TABLE counts (kind text PRIMARY KEY, n int);
CREATE FUNCTION counts_one() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.parent IS NOT NULL THEN UPDATE parents SET note = 'commented' WHERE id = NEW.parent; END IF;
INSERT INTO counts VALUES (NEW.kind, 1) ON CONFLICT (kind) DO UPDATE SET n = counts.n + 1; RETURN NULL; END $$;
CREATE TRIGGER counts AFTER INSERT ON comments FOR EACH ROW EXECUTE FUNCTION counts_one();
CREATE TABLE many_1 (id int); CREATE TABLE many_2 (id int); CREATE TABLE many_3 (id int);
CREATE FUNCTION counts_many() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE parents SET note = 'x' WHERE note = NEW.id::text; RETURN NULL; END $$;
CREATE TRIGGER counts AFTER INSERT ON many_1 FOR EACH ROW EXECUTE FUNCTION counts_many();
CREATE FUNCTION counts_in_loop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN WHILE NEW.id > 0 LOOP UPDATE parents SET note = 'x' WHERE id = NEW.id; NEW.id := NEW.id - 1; END LOOP; RETURN NULL; END $$;
CREATE TRIGGER counts AFTER INSERT ON many_2 FOR EACH ROW EXECUTE FUNCTION counts_in_loop();

CREATE TABLE made_keys (id int PRIMARY KEY, base int, made int GENERATED ALWAYS AS (base * 10) STORED UNIQUE, note text);
CREATE TABLE made_refs (made int REFERENCES made_keys (made) ON UPDATE CASCADE);
CREATE TABLE bumped_keys (id int PRIMARY KEY, code int UNIQUE, note text);
CREATE TABLE bumped_refs (code int REFERENCES bumped_keys (code) ON UPDATE CASCADE);
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.code := NEW.code + 1; RETURN NEW; END $$;
CREATE TRIGGER bump BEFORE UPDATE ON bumped_keys FOR EACH ROW EXECUTE FUNCTION bump();
CREATE TABLE stamped_keys (id int PRIMARY KEY, note text, at timestamptz);
CREATE TABLE stamped_refs (id int REFERENCES stamped_keys ON UPDATE CASCADE);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := now(); RETURN NEW; END $$;
CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO log (what) VALUES (TG_OP); RETURN COALESCE(NEW, OLD); END $$;
CREATE TRIGGER stamp BEFORE UPDATE ON stamped_keys FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER audited AFTER UPDATE ON stamped_keys FOR EACH ROW EXECUTE FUNCTION audited();
CREATE TABLE replaced_keys (id int PRIMARY KEY, note text);
CREATE TABLE replaced_refs (id int REFERENCES replaced_keys ON UPDATE CASCADE);
CREATE FUNCTION replaces() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE r replaced_keys; BEGIN r := NEW; r.id := r.id + 1; RETURN r; END $$;
CREATE TRIGGER replaces BEFORE UPDATE ON replaced_keys FOR EACH ROW EXECUTE FUNCTION replaces();
CREATE TABLE tallies (tid int PRIMARY KEY, n int);
CREATE TABLE tallied (tid int);
CREATE FUNCTION tally() RETURNS trigger LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE tid int := NEW.tid; BEGIN UPDATE tallies SET n = n + 1 WHERE tid = NEW.tid; RETURN NULL; END $$;
CREATE TRIGGER tally AFTER INSERT ON tallied FOR EACH ROW EXECUTE FUNCTION tally();
CREATE TABLE nodes (id int PRIMARY KEY, l int, r int, v int);
CREATE FUNCTION spread() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE nodes SET v = NEW.v WHERE id = NEW.l; UPDATE nodes SET v = NEW.v WHERE id = NEW.r; RETURN NULL; END $$;
CREATE TRIGGER spread AFTER UPDATE ON nodes FOR EACH ROW EXECUTE FUNCTION spread();
CREATE TABLE numbered (id int PRIMARY KEY, label text);
CREATE FUNCTION labels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE numbered SET label = 'n' WHERE id = NEW.id; RETURN NULL; END $$;
CREATE TRIGGER labels AFTER INSERT ON numbered FOR EACH ROW EXECUTE FUNCTION labels();
CREATE TABLE imaged (c numeric, v int);
CREATE UNIQUE INDEX ON imaged ((c) numeric_ops);
CREATE TYPE image AS (n numeric);
CREATE TABLE images (c image, v int);
CREATE UNIQUE INDEX ON images (c record_image_ops);
CREATE TABLE notation (id int);
CREATE TABLE hidden_row (id int);
CREATE FUNCTION by_regclass() RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int; BEGIN EXECUTE 'SELECT ' || 'notation'::regclass || ' FROM notation' INTO n; RETURN n; END $$;
CREATE FUNCTION from_regclass() RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int; BEGIN EXECUTE 'SELECT count(*) FROM ' || 'notation'::regclass INTO n; RETURN n; END $$;
CREATE FUNCTION many_rows(int, int) RETURNS SETOF int LANGUAGE sql AS 'SELECT generate_series($1, $2)';
CREATE FUNCTION length(int, int) RETURNS SETOF int LANGUAGE sql AS 'SELECT generate_series($1, $2)';
CREATE FUNCTION fetches_given(c refcursor) RETURNS text LANGUAGE plpgsql AS $$
DECLARE x text; BEGIN FETCH c INTO x; RETURN x; END $$;
CREATE FUNCTION moves_named() RETURNS void LANGUAGE plpgsql AS $$
DECLARE c refcursor := 'pp'; BEGIN MOVE FORWARD ALL FROM c; END $$;
CREATE FUNCTION fetches_own() RETURNS int LANGUAGE plpgsql AS $$
DECLARE x int; d refcursor; e CURSOR FOR SELECT 1;
BEGIN OPEN d FOR SELECT 2; FETCH d INTO x; CLOSE d; FOR r IN e LOOP x := 1; END LOOP; OPEN e; FETCH e INTO x; RETURN x; END $$;
CREATE TABLE counted (id int PRIMARY KEY, n int);
CREATE TABLE skipping (id int PRIMARY KEY);
CREATE FUNCTION counts_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE counted SET n = n + 1 WHERE id = NEW.id; RETURN NULL; END $$;
CREATE TRIGGER counts BEFORE INSERT ON skipping FOR EACH ROW EXECUTE FUNCTION counts_before();
CREATE TABLE aliasing (id int PRIMARY KEY);
CREATE FUNCTION aliases() RETURNS trigger LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN UPDATE counted b SET n = 1 FROM counted new WHERE b.id = new.id; RETURN NULL; END $$;
CREATE TRIGGER aliases AFTER INSERT ON aliasing FOR EACH ROW EXECUTE FUNCTION aliases();
CREATE SCHEMA elsewhere;
CREATE FUNCTION usual() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION elsewhere.usual() RETURNS int LANGUAGE sql AS 'SELECT public.bad_code()';
CREATE FUNCTION calls_usual() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN usual(); END $$;
CREATE FUNCTION sets_path() RETURNS void LANGUAGE plpgsql AS $$
BEGIN PERFORM set_config('search_path', 'elsewhere', false); END $$;
CREATE FUNCTION sets_then_calls() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM sets_path(); RETURN usual(); END $$;
CREATE FUNCTION one(n int) RETURNS void LANGUAGE sql AS 'UPDATE parents SET note = ''x'' WHERE id = $1';
CREATE FUNCTION counts_by_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM one(n) FROM generate_series(1, 100) AS n; RETURN NULL; END $$;
CREATE TRIGGER counts AFTER INSERT ON many_3 FOR EACH ROW EXECUTE FUNCTION counts_by_call();

CREATE FUNCTION bad_key(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM bad_code(); RETURN 'x'; END $$;
CREATE TABLE keyed (t text) PARTITION BY LIST (bad_key(t)); CREATE TABLE keyed_x PARTITION OF keyed FOR VALUES IN ('x');
CREATE TYPE good_range AS RANGE (subtype = time);
CREATE FUNCTION bad_distance(float8, float8) RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN bad_code(); END $$;
CREATE TYPE bad_range AS RANGE (subtype = float8, subtype_diff = bad_distance);
CREATE TABLE parted (id int, k int) PARTITION BY LIST (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TRIGGER fire AFTER INSERT ON parted_1 FOR EACH ROW EXECUTE FUNCTION bad_fire();
CREATE TABLE ancestor (id int PRIMARY KEY); CREATE TABLE heir () INHERITS (ancestor);
CREATE TRIGGER fire AFTER UPDATE ON heir FOR EACH ROW EXECUTE FUNCTION bad_fire();

CREATE VIEW good_writable AS SELECT id, note FROM victims;
CREATE VIEW bad_writable AS SELECT id, n FROM bad_trigger;
CREATE VIEW instead_view AS SELECT id FROM bad_trigger;
CREATE FUNCTION instead_of() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (what) VALUES ('x'); RETURN NEW; END $$;
CREATE TRIGGER i INSTEAD OF UPDATE ON instead_view FOR EACH ROW EXECUTE FUNCTION instead_of();

CREATE PROCEDURE good_procedure() LANGUAGE plpgsql AS $$ BEGIN PERFORM good_code(); END $$;
CREATE PROCEDURE bad_procedure() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM victims; COMMIT; END $$;

CREATE SCHEMA other; CREATE TABLE other.secrets (id int); CREATE TABLE other.victims (id int);
CREATE FUNCTION other.bad_elsewhere() RETURNS int LANGUAGE sql AS 'SELECT bad_code()';
CREATE FUNCTION own_delete() RETURNS void LANGUAGE sql SET search_path = other AS 'DELETE FROM victims';
CREATE FUNCTION moved_delete() RETURNS void LANGUAGE plpgsql AS $$
BEGIN SET LOCAL search_path = other; DELETE FROM victims; END $$;
CREATE FUNCTION changes_path() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', 'other', false); END $$;
CREATE FUNCTION other_lexer() RETURNS int LANGUAGE sql SET standard_conforming_strings = off AS 'SELECT 1';
CREATE FUNCTION kills() RETURNS bool LANGUAGE sql AS 'SELECT pg_terminate_backend(1)';
CREATE FUNCTION upper(int) RETURNS text LANGUAGE sql AS 'SELECT pg_terminate_backend(1)::text';
`;

/** Through what, the harmless statement, the one that deletes, and the effects of that one; the harmless one only reads. */
export const reads: readonly (readonly [
  vector: string,
  harmless: string,
  writer: string,
  effects: string,
])[] = [
  ['a PL/pgSQL function', 'SELECT good_code()', 'SELECT bad_code()', 'delete read'],
  ['a function in FROM', 'SELECT * FROM good_code()', 'SELECT * FROM bad_code()', 'delete read'],
  ['an escaped identifier', 'SELECT U&"good\\005fcode"()', 'SELECT U&"bad\\005fcode"()', 'delete read'],
  ['an SQL function', 'SELECT good_sql()', 'SELECT bad_sql()', 'delete read'],
  ['BEGIN ATOMIC', 'SELECT good_atomic()', 'SELECT bad_atomic()', 'delete read'],
  ['RETURN', 'SELECT good_return()', 'SELECT bad_return()', 'delete read'],
  ['a function of a function', 'SELECT good_nested()', 'SELECT bad_nested()', 'delete read'],
  ['the default of a parameter', 'SELECT good_default()', 'SELECT bad_default()', 'delete read'],
  ['a label IMMUTABLE', 'SELECT good_immutable(1)', 'SELECT bad_immutable(1)', 'delete read'],
  ['EXPLAIN', 'EXPLAIN SELECT good_immutable(1)', 'EXPLAIN SELECT bad_immutable(1)', 'delete read'],
  ['a view', 'SELECT * FROM good_view', 'SELECT * FROM bad_view', 'delete read'],
  ['a view over a view', 'SELECT * FROM good_over', 'SELECT * FROM bad_over', 'delete read'],
  ['an operator', 'SELECT 1 ### 2', 'SELECT 1 #-# 2', 'delete read'],
  ['a builtin symbol', 'SELECT 1 = 2', 'SELECT 1 # $1', 'read unproven'],
  ['a cast to a domain', 'SELECT 5::good_domain', 'SELECT 5::bad_domain', 'delete read'],
  ['a typed literal', "SELECT good_domain '5'", "SELECT bad_domain '5'", 'delete read'],
  ['a type called as a function', 'SELECT good_domain(5)', 'SELECT bad_domain(5)', 'delete read'],
  ['a domain in a row type', 'SELECT ROW(1)::good_row', 'SELECT ROW(1)::bad_row', 'delete read'],
  [
    'a row made from JSON',
    "SELECT jsonb_populate_record(null::good_row, '{}')",
    "SELECT jsonb_populate_record(null::bad_row, '{}')",
    'delete read',
  ],
  [
    'a row made from JSON by a table',
    "SELECT json_populate_record(g, '{}') FROM good_domains g",
    "SELECT json_populate_record(b, '{}') FROM bad_domains b",
    'read unproven',
  ],
  ['a cast of a user type', "SELECT '1'::email", 'SELECT ROW(1)::boxed::int', 'read unproven'],
  [
    'the functions of a range',
    "SELECT good_range('10:00', '11:00') && '[09:00,12:00]'",
    'SELECT bad_range(1, 2)',
    'read unproven',
  ],
  [
    'column notation',
    'SELECT g.good_column FROM good_columns g',
    'SELECT g.bad_column FROM good_columns g',
    'read unproven',
  ],
  [
    'field notation',
    'SELECT (g).good_column FROM good_columns g',
    'SELECT 1 FROM good_columns g ORDER BY (g).bad_column',
    'read unproven',
  ],
  ['an overload of a builtin', "SELECT lower('X')", "SELECT md5('x'::varchar)", 'read unproven'],
  ['one of two overloads', 'SELECT good_default(1)', 'SELECT overloaded(1)', 'read unproven'],
  [
    'an aggregate',
    'SELECT good_aggregate(id) FROM victims',
    'SELECT bad_aggregate(id) FROM victims',
    'delete read',
  ],
  [
    'a window function',
    'SELECT good_aggregate(id) OVER () FROM victims',
    'SELECT bad_aggregate(id) OVER () FROM victims',
    'delete read',
  ],
  ['a row-level policy', 'SELECT * FROM good_policy', 'SELECT * FROM bad_policy', 'delete read'],
  ['the domain of a variable', 'SELECT good_variable()', 'SELECT bad_variable()', 'delete read'],
  ['a variable like a column', 'SELECT good_like()', 'SELECT bad_like()', 'delete read'],
  [
    'a cursor',
    'DECLARE c CURSOR FOR SELECT good_code()',
    'DECLARE c CURSOR FOR SELECT bad_code()',
    'delete read',
  ],
  [
    'COPY of a query',
    'COPY (SELECT good_code()) TO STDOUT',
    'COPY (SELECT bad_code()) TO STDOUT',
    'delete read',
  ],
  ['a subquery in LIMIT', 'SELECT 1 LIMIT good_code()', 'SELECT 1 LIMIT bad_code()', 'delete read'],
];

const insert = 'insert read';
/** As `reads`; the harmless one has effects too, the third. */
export const writes: readonly (readonly [
  string,
  harmless: string,
  same: string,
  writer: string,
  effects: string,
])[] = [
  [
    'a trigger',
    'INSERT INTO good_trigger VALUES (1)',
    insert,
    'UPDATE bad_trigger SET n = 1 WHERE id = 1',
    'delete update',
  ],
  [
    'an audit trigger',
    'INSERT INTO audited VALUES (1)',
    insert,
    'UPDATE audited SET id = 1 WHERE id = 2',
    'insert update',
  ],
  [
    'the condition of a trigger',
    'INSERT INTO transitions VALUES (1)',
    insert,
    'INSERT INTO when_bad VALUES (1)',
    'delete insert read',
  ],
  [
    'a rule',
    'INSERT INTO good_rule VALUES (1)',
    insert,
    'INSERT INTO bad_rule VALUES (1)',
    'delete insert read',
  ],
  [
    'a rule that selects',
    'UPDATE good_rule SET id = 1 WHERE id = 2',
    'update',
    'UPDATE bad_rule_update SET id = 1 WHERE id = 2',
    'delete update',
  ],
  [
    'a default',
    'INSERT INTO numbers (n) VALUES (1)',
    insert,
    'INSERT INTO bad_column_default (n) VALUES (1)',
    'delete insert read',
  ],
  [
    'a generated column',
    'INSERT INTO good_generated VALUES (1)',
    insert,
    'INSERT INTO bad_generated VALUES (1)',
    'delete insert read',
  ],
  [
    'the expression of an index',
    'INSERT INTO victims VALUES (1)',
    insert,
    'INSERT INTO bad_index VALUES (1)',
    'delete insert read',
  ],
  [
    'a CHECK constraint',
    'COPY victims FROM STDIN',
    'insert',
    'COPY bad_constraint FROM STDIN',
    'delete insert',
  ],
  [
    'the domain of a column',
    'INSERT INTO good_domains VALUES (1)',
    insert,
    'INSERT INTO bad_domains VALUES (1, 2)',
    'delete insert read',
  ],
  [
    'a partition',
    'INSERT INTO victims VALUES (1)',
    insert,
    'INSERT INTO parted VALUES (1, 1)',
    'delete insert read',
  ],
  [
    'an heir',
    'INSERT INTO ancestor VALUES (1)',
    insert,
    'UPDATE ancestor SET id = 1 WHERE id = 2',
    'delete update',
  ],
  [
    'a view',
    "INSERT INTO good_writable VALUES (1, 'x')",
    insert,
    'UPDATE bad_writable SET n = 1 WHERE id = 1',
    'delete update',
  ],
  [
    'MERGE',
    'MERGE INTO victims v USING log l ON v.id = l.id WHEN NOT MATCHED THEN INSERT VALUES (1)',
    insert,
    'MERGE INTO bad_trigger b USING log l ON b.id = l.id WHEN MATCHED THEN UPDATE SET n = 1',
    'delete read update',
  ],
  [
    'ON CONFLICT',
    "INSERT INTO parents VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 'x'",
    'insert read update',
    'INSERT INTO parted VALUES (1) ON CONFLICT DO NOTHING',
    'delete insert read',
  ],
];
