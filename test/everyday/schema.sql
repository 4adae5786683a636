-- What an application's database has besides plain tables, all of it harmless: types of its own, functions that compute
-- or read, views, triggers that stamp and audit, row security, partitions, a queue. Run after the shop and geo.sql, as the
-- owner, with the extensions already there.

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN email AS citext CHECK (VALUE ~ '^[^@]+@[^@]+$');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TYPE address AS (street text, city text, zip varchar(10));

CREATE FUNCTION full_price(net numeric, rate numeric DEFAULT 0.19) RETURNS numeric LANGUAGE sql IMMUTABLE AS
  'SELECT round(net * (1 + rate), 2)';
CREATE FUNCTION slug(title text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS
  $$ SELECT trim(BOTH '-' FROM regexp_replace(lower(title), '[^a-z0-9]+', '-', 'g')) $$;
CREATE FUNCTION days_since(moment timestamptz) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE days integer;
BEGIN
  days := extract(day FROM timestamptz '2026-11-22' - moment);
  IF days < 0 THEN RETURN 0; END IF;
  RETURN days;
END $$;
CREATE FUNCTION orders_of(customer bigint) RETURNS SETOF orders LANGUAGE sql STABLE AS
  'SELECT * FROM orders WHERE customer_id = customer ORDER BY id';
CREATE FUNCTION revenue(since timestamptz) RETURNS TABLE (status text, total numeric) LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN QUERY SELECT o.status, sum(i.quantity * i.price) FROM orders o JOIN order_items i ON i.order_id = o.id
    WHERE o.ordered_at >= since GROUP BY o.status ORDER BY 1;
END $$;
CREATE FUNCTION rows_in(t text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
  EXECUTE format('SELECT count(*) FROM %I', t) INTO n;
  RETURN n;
END $$;
CREATE FUNCTION fibonacci(n integer) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE a bigint := 0; b bigint := 1; i integer;
BEGIN
  FOR i IN 1..n LOOP SELECT b, a + b INTO a, b; END LOOP;
  RETURN a;
EXCEPTION WHEN numeric_value_out_of_range THEN RETURN -1;
END $$;
CREATE FUNCTION initials(customers) RETURNS text LANGUAGE sql STABLE AS
  $$ SELECT string_agg(left(word, 1), '') FROM regexp_split_to_table($1.name, ' ') AS word $$;
CREATE AGGREGATE product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1');
CREATE FUNCTION mood_rank(mood) RETURNS integer LANGUAGE sql IMMUTABLE AS
  $$ SELECT CASE $1 WHEN 'sad' THEN 1 WHEN 'ok' THEN 2 ELSE 3 END $$;
CREATE FUNCTION atomic_sum(a integer, b integer) RETURNS integer LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT a + b; END;

CREATE TABLE "User" (
  "id" uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  "email" email UNIQUE,
  "name" text,
  "mood" mood NOT NULL DEFAULT 'ok',
  "home" address,
  "createdAt" timestamp(3) NOT NULL DEFAULT current_timestamp,
  "updatedAt" timestamp(3)
);
INSERT INTO "User" ("id", "email", "name", "home", "createdAt", "updatedAt")
SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'user' || n || '@example.com', 'User ' || n,
       ROW('Street ' || n, 'City', '1234' || n)::address, timestamp '2026-01-01' + n * interval '1 hour', timestamp '2026-01-01'
FROM generate_series(1, 30) AS n;

CREATE TABLE posts (
  id bigserial PRIMARY KEY,
  author_id uuid REFERENCES "User" ("id") ON DELETE CASCADE,
  title text NOT NULL,
  slug text GENERATED ALWAYS AS (slug(title)) STORED,
  body text NOT NULL DEFAULT '',
  tags text[] NOT NULL DEFAULT '{}',
  meta jsonb NOT NULL DEFAULT '{}',
  search tsvector GENERATED ALWAYS AS (to_tsvector('english', title || ' ' || body)) STORED,
  likes positive NOT NULL DEFAULT 1,
  lock_version integer NOT NULL DEFAULT 0,
  published_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT timestamptz '2026-01-01 00:00+00',
  updated_at timestamptz NOT NULL DEFAULT timestamptz '2026-01-01 00:00+00'
);
CREATE INDEX posts_search ON posts USING gin (search);
CREATE INDEX posts_title_lower ON posts (lower(title));
CREATE INDEX posts_title_trgm ON posts USING gin (title gin_trgm_ops);
CREATE INDEX posts_published ON posts (published_at) WHERE published_at IS NOT NULL;
INSERT INTO posts (author_id, title, body, tags, meta, published_at)
SELECT ('00000000-0000-4000-8000-' || lpad((1 + n % 30)::text, 12, '0'))::uuid, 'Post no. ' || n,
       'The quick brown fox jumps over dog ' || n, ARRAY['tag' || n % 5, 'all'],
       jsonb_build_object('views', n, 'draft', n % 3 = 0, 'nested', jsonb_build_object('a', ARRAY[n, n + 1])),
       CASE WHEN n % 2 = 0 THEN timestamptz '2026-02-01 00:00+00' + n * interval '1 day' END
FROM generate_series(1, 100) AS n;

CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := timestamptz '2026-11-22 12:00+00';
  RETURN NEW;
END $$;
CREATE TRIGGER set_updated_at BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE audit_log (id bigserial PRIMARY KEY, table_name text, action text, row_id text, old_row jsonb, new_row jsonb);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO public.audit_log (table_name, action, row_id, new_row) VALUES (TG_TABLE_NAME, TG_OP, NEW.id::text, to_jsonb(NEW));
  ELSE
    INSERT INTO public.audit_log (table_name, action, row_id, old_row, new_row)
    VALUES (TG_TABLE_NAME, TG_OP, NEW.id::text, to_jsonb(OLD), to_jsonb(NEW));
  END IF;
  RETURN NEW;
END $$;
CREATE TABLE accounts (id serial PRIMARY KEY, owner text NOT NULL, balance numeric(12, 2) NOT NULL CHECK (balance >= 0));
INSERT INTO accounts (owner, balance) SELECT 'owner ' || n, n * 100 FROM generate_series(1, 20) AS n;
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION audit();

CREATE TABLE jobs (id bigserial PRIMARY KEY, queue text NOT NULL DEFAULT 'default', payload jsonb NOT NULL DEFAULT '{}',
  state text NOT NULL DEFAULT 'ready', attempts integer NOT NULL DEFAULT 0, locked_by text);
INSERT INTO jobs (queue, payload) SELECT 'q' || n % 3, jsonb_build_object('n', n) FROM generate_series(1, 30) AS n;

CREATE TABLE bookings (id serial PRIMARY KEY, room integer NOT NULL, during tstzrange NOT NULL,
  EXCLUDE USING gist (room WITH =, during WITH &&));
INSERT INTO bookings (room, during) SELECT n, tstzrange('2026-01-01+00', '2026-01-02+00') FROM generate_series(1, 5) AS n;

CREATE TABLE events (at timestamptz NOT NULL, kind text NOT NULL, data jsonb) PARTITION BY RANGE (at);
CREATE TABLE events_2026_01 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE events_2026_02 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE events_default PARTITION OF events DEFAULT;
CREATE INDEX ON events (kind, at);
INSERT INTO events SELECT timestamptz '2026-01-01 00:00+00' + n * interval '6 hours', 'k' || n % 4, '{}' FROM generate_series(1, 200) AS n;

CREATE TABLE tenants (id integer PRIMARY KEY, tenant text NOT NULL, secret text);
INSERT INTO tenants SELECT n, 't' || n % 3, 'secret ' || n FROM generate_series(1, 15) AS n;
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE FUNCTION current_tenant() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('app.tenant', true) $$;
CREATE POLICY own_tenant ON tenants USING (tenant = current_tenant()) WITH CHECK (tenant = current_tenant());

CREATE TABLE tree (id integer PRIMARY KEY, parent integer REFERENCES tree, path ltree, attributes hstore);
INSERT INTO tree SELECT n, nullif(n / 2, 0), ('top.n' || n / 2 || '.n' || n)::ltree, hstore('n', n::text) FROM generate_series(1, 20) AS n;
CREATE TABLE tree_labels (label citext PRIMARY KEY, m mood);
INSERT INTO tree_labels VALUES ('Alpha', 'ok'), ('Beta', 'sad');

CREATE TABLE django_migrations (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, app varchar(255) NOT NULL, name varchar(255) NOT NULL, applied timestamptz NOT NULL);
CREATE TABLE schema_migrations (version varchar PRIMARY KEY);
CREATE TABLE ar_internal_metadata (key varchar PRIMARY KEY, value varchar, created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz, migration_name varchar(255) NOT NULL, started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0);
CREATE SCHEMA drizzle;
CREATE TABLE drizzle.__drizzle_migrations (id serial PRIMARY KEY, hash text NOT NULL, created_at bigint);
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text NOT NULL, expire_date timestamptz NOT NULL);
INSERT INTO schema_migrations VALUES ('20260101000000');
INSERT INTO alembic_version VALUES ('abc');

CREATE VIEW published_posts AS SELECT id, title, slug, author_id, published_at FROM posts WHERE published_at IS NOT NULL;
CREATE VIEW open_jobs AS SELECT id, queue, payload, state FROM jobs WHERE state = 'ready' WITH LOCAL CHECK OPTION;
CREATE VIEW priced AS SELECT id, title, full_price(price) AS gross FROM products;
CREATE VIEW priced_cheap AS SELECT * FROM priced WHERE gross < 50;
CREATE MATERIALIZED VIEW daily_orders AS SELECT date_trunc('day', ordered_at) AS day, count(*) AS n FROM orders GROUP BY 1;
CREATE UNIQUE INDEX ON daily_orders (day);
CREATE SEQUENCE invoice_numbers START 1000;
CREATE FUNCTION next_invoice() RETURNS text LANGUAGE sql AS $$ SELECT 'INV-' || nextval('invoice_numbers') $$;
CREATE RULE accounts_named AS ON INSERT TO tree_labels DO ALSO INSERT INTO audit_log (table_name, action, row_id) VALUES ('tree_labels', 'INSERT', NEW.label);
COMMENT ON TABLE posts IS 'What people wrote';
COMMENT ON COLUMN posts.meta IS 'Anything';
