-- Code that an application's database has beside its tables, all of it harmless: triggers that search, stamp, number, tell
-- and keep a history, functions that loop, page and run queries given as text with USING, operators and casts on the
-- server's own types. Run after schema.sql, as the owner.

CREATE TABLE notes (id serial PRIMARY KEY, title text, body text, tsv tsvector, updated_at timestamptz, moddate timestamptz, version int default 0, data jsonb default '{}', h hstore);
CREATE TRIGGER tsv BEFORE INSERT OR UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(tsv, 'pg_catalog.english', title, body);
CREATE TRIGGER moddate BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION moddatetime(moddate);
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW IS DISTINCT FROM OLD THEN NEW.version := OLD.version + 1; NEW.updated_at = now(); END IF; RETURN NEW; END $$;
CREATE TRIGGER bump BEFORE UPDATE ON notes FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION bump();
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('notes', json_build_object('op', TG_OP, 'id', NEW.id)::text); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TABLE history (id bigserial, tbl text, op text, old_data jsonb, new_data jsonb, who text default current_user, at timestamptz default clock_timestamp(), changed hstore);
CREATE FUNCTION log_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE v_old jsonb; v_new jsonb;
BEGIN
 IF (TG_OP = 'UPDATE') THEN v_old := to_jsonb(OLD); v_new := to_jsonb(NEW);
   INSERT INTO history(tbl, op, old_data, new_data, changed) VALUES (TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, TG_OP, v_old, v_new, hstore(NEW.*) - hstore(OLD.*)); RETURN NEW;
 ELSIF (TG_OP = 'DELETE') THEN INSERT INTO history(tbl, op, old_data) VALUES (TG_TABLE_NAME, TG_OP, to_jsonb(OLD)); RETURN OLD;
 ELSIF (TG_OP = 'INSERT') THEN INSERT INTO history(tbl, op, new_data) VALUES (TG_TABLE_NAME, TG_OP, to_jsonb(NEW)); RETURN NEW;
 ELSE RAISE WARNING 'other %', TG_OP; RETURN NULL; END IF;
EXCEPTION WHEN data_exception THEN RAISE WARNING '%', SQLERRM; RETURN NULL;
END $$;
CREATE TRIGGER log_change AFTER INSERT OR UPDATE OR DELETE ON notes FOR EACH ROW EXECUTE FUNCTION log_change();
INSERT INTO notes (title, body) SELECT 't' || n, 'b' FROM generate_series(1, 20) n;
CREATE TABLE metrics (t timestamptz, v double precision) PARTITION BY RANGE (t);
CREATE TABLE metrics_a PARTITION OF metrics FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE FUNCTION balance(i int) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT sum(balance) FROM accounts WHERE id = i';
CREATE FUNCTION search_posts(q text, lim int DEFAULT 5) RETURNS TABLE (id bigint, title text, rank real) LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN QUERY EXECUTE 'SELECT p.id, p.title, ts_rank(p.search, websearch_to_tsquery($1)) FROM posts p WHERE p.search @@ websearch_to_tsquery($1) ORDER BY 3 DESC, 1 LIMIT $2' USING q, lim; END $$;
CREATE FUNCTION count_by(col text) RETURNS TABLE (k text, n bigint) LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN QUERY EXECUTE format('SELECT %I::text, count(*) FROM orders GROUP BY 1 ORDER BY 1', col); END $$;
CREATE FUNCTION loops(n int) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE a int[] := '{}'; i int := 0; x record; c CURSOR FOR SELECT id FROM accounts ORDER BY id LIMIT 3;
BEGIN WHILE i < n LOOP a := a || i; i := i + 1; CONTINUE WHEN i % 2 = 0; EXIT WHEN i > 10; END LOOP;
 FOR x IN c LOOP a := array_append(a, x.id); END LOOP; FOREACH i IN ARRAY a LOOP RAISE DEBUG '%', i; END LOOP;
 CASE n WHEN 1 THEN a := a || 100; ELSE NULL; END CASE; GET DIAGNOSTICS i = ROW_COUNT; ASSERT n > 0; RETURN a; END $$;
CREATE FUNCTION immutable_unaccent(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$ SELECT public.unaccent('public.unaccent'::regdictionary, $1) $$;
CREATE INDEX ON posts (immutable_unaccent(title));
CREATE FUNCTION uid() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid $$;
CREATE TABLE todos (id int PRIMARY KEY, owner uuid DEFAULT uid(), t text);
ALTER TABLE todos ENABLE ROW LEVEL SECURITY; ALTER TABLE todos FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON todos FOR ALL USING (owner = uid()) WITH CHECK (owner = uid());
CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
CREATE FUNCTION add_money(numeric, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1::text || $2 $$;
CREATE OPERATOR + (LEFTARG = numeric, RIGHTARG = text, FUNCTION = add_money);
CREATE FUNCTION upper(int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1::text $$;
CREATE TYPE color AS ENUM ('r','g');
CREATE CAST (varchar AS color) WITH INOUT AS IMPLICIT;
CREATE TABLE painted (id int PRIMARY KEY, c color, w int4range);
CREATE FUNCTION json_ok(jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 ? 'a' $$;
CREATE TABLE checked (id int PRIMARY KEY, j jsonb CHECK (json_ok(j)), total int GENERATED ALWAYS AS (atomic_sum(id, 1)) STORED);
CREATE FUNCTION first_agg(anyelement, anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1';
CREATE AGGREGATE first(anyelement) (SFUNC = first_agg, STYPE = anyelement);
CREATE VIEW v_fun AS SELECT id, slug(title) AS s, balance(1) FROM posts;
CREATE FUNCTION validate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.balance > 1e9 THEN RAISE EXCEPTION 'too rich' USING ERRCODE = 'check_violation'; END IF; IF EXISTS (SELECT 1 FROM accounts WHERE owner = NEW.owner AND id <> NEW.id AND false) THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER validate BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION validate();
CREATE FUNCTION refresh_counts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE customers SET name = name WHERE id = NEW.id; RETURN NULL; END $$;
CREATE TRIGGER refresh_counts AFTER INSERT ON painted FOR EACH ROW EXECUTE FUNCTION refresh_counts();
