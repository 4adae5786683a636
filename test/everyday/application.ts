// What applications write: ORM inserts and updates by key, upserts, batches, queues, counters, imports; each alone, in
// autocommit. Nothing here removes a row. Data only.

import { bound, type Everyday, each, moving, since, together } from './corpus.ts';

export const application: readonly Everyday[] = [
  // Prisma, Drizzle, TypeORM
  bound(
    'INSERT INTO "public"."User" ("id","email","name","createdAt","updatedAt") VALUES ($1,$2,$3,$4,$5) RETURNING "public"."User"."id", "public"."User"."email"',
    '00000000-0000-4000-9000-000000000001',
    'new@example.com',
    'New',
    '2026-05-05 00:00:00',
    '2026-05-05 00:00:00',
  ),
  bound(
    'SELECT "public"."User"."id", "public"."User"."email"::text, "public"."User"."mood"::text FROM "public"."User" WHERE ("public"."User"."email" = $1 AND 1=1) LIMIT $2 OFFSET $3',
    'new@example.com',
    '1',
    '0',
  ),
  bound(
    'UPDATE "public"."User" SET "name" = $1, "updatedAt" = $2 WHERE ("public"."User"."id" = $3 AND 1=1) RETURNING "public"."User"."id", "public"."User"."name"',
    'Renamed',
    '2026-06-06 00:00:00',
    '00000000-0000-4000-8000-000000000003',
  ),
  bound(
    'UPDATE "public"."User" SET "mood" = CAST($1::text AS "public"."mood") WHERE ("public"."User"."id" IN ($2,$3) AND 1=1)',
    'happy',
    '00000000-0000-4000-8000-000000000004',
    '00000000-0000-4000-8000-000000000005',
  ),
  bound(
    'insert into "posts" ("title", "body", "author_id") values ($1, $2, $3), ($4, $5, default) returning "id", "slug", "likes"',
    'First',
    'b',
    '00000000-0000-4000-8000-000000000001',
    'Second one!',
    'c',
  ),
  bound(
    'update "posts" set "title" = $1, "updated_at" = $2 where "posts"."id" = $3 returning "id", "slug", "updated_at"',
    'T',
    '2026-01-05',
    '3',
  ),
  bound(
    'UPDATE "posts" SET "likes" = "likes" + 1, "lock_version" = $1 WHERE "posts"."id" = $2 AND "posts"."lock_version" = $3',
    '1',
    '5',
    '0',
  ),
  bound(
    'INSERT INTO posts (title, meta, tags) VALUES ($1, $2::jsonb, $3::text[]) RETURNING id, meta, tags',
    'J',
    '{"a": [1]}',
    '{x,y}',
  ),
  // Rails, Django, Hibernate, SQLAlchemy
  bound('INSERT INTO "accounts" ("owner", "balance") VALUES ($1, $2) RETURNING "id"', 'rails', '10.5'),
  bound('UPDATE "accounts" SET "balance" = $1 WHERE "accounts"."id" = $2', '77', '2'),
  bound(
    'INSERT INTO "django_migrations" ("app", "name", "applied") VALUES ($1, $2, $3::timestamptz) RETURNING "django_migrations"."id"',
    'auth',
    '0001',
    '2026-01-01',
  ),
  bound(
    `UPDATE "django_session" SET "session_data" = $1, "expire_date" = $2::timestamptz WHERE "django_session"."session_key" = $3`,
    'd',
    '2026-12-01',
    'k',
  ),
  bound('UPDATE alembic_version SET version_num=$1 WHERE alembic_version.version_num = $2', 'def', 'abc'),
  bound('INSERT INTO "schema_migrations" ("version") VALUES ($1) RETURNING "version"', '20260202000000'),
  bound(
    `INSERT INTO "ar_internal_metadata" ("key", "value", "created_at", "updated_at") VALUES ($1, $2, $3, $4) ON CONFLICT ("key") DO UPDATE SET updated_at=(CASE WHEN ("ar_internal_metadata"."value" IS NOT DISTINCT FROM excluded."value") THEN "ar_internal_metadata".updated_at ELSE CURRENT_TIMESTAMP END), "value"=excluded."value" RETURNING "key"`,
    'environment',
    'production',
    '2026-01-01',
    '2026-01-01',
  ),
  bound('insert into orders (customer_id, status) values ($1, $2)', '5', 'open'),
  bound('update orders set status=$1 where id=$2', 'paid', '17'),
  bound(
    'select o1_0.id, o1_0.customer_id, o1_0.status from orders o1_0 where o1_0.id=$1 for no key update',
    '17',
  ),
  ...each(
    // Upserts and batches
    "INSERT INTO coupons (code, percent, expires_on) VALUES ('SAVE1', 10, '2027-01-01') ON CONFLICT (code) DO UPDATE SET percent = excluded.percent RETURNING *",
    "INSERT INTO coupons (code, percent, expires_on) VALUES ('NEW1', 10, '2027-01-01'), ('NEW2', 20, '2027-01-01') ON CONFLICT DO NOTHING",
    "INSERT INTO products (sku, title, price, stock) SELECT 'BULK-' || n, 'Bulk ' || n, n, n FROM generate_series(1, 50) AS n",
    'UPDATE products SET stock = stock + 1 WHERE id IN (1, 2, 3)',
    'UPDATE products AS p SET price = v.price FROM (VALUES (1, 9.99), (2, 19.99)) AS v(id, price) WHERE p.id = v.id',
    "UPDATE products SET (title, stock) = ('Both', 5) WHERE id = 4 RETURNING id, title, stock",
    "UPDATE orders SET status = 'shipped' WHERE status = 'paid' AND ordered_at < '2025-07-01'",
    "UPDATE orders o SET status = status FROM customers c WHERE c.id = o.customer_id AND c.country = 'DE' AND o.id < 50",
    "UPDATE published_posts SET title = 'Through a view' WHERE id = 8 RETURNING id, title, slug",
    "INSERT INTO open_jobs (queue) VALUES ('from view') RETURNING id, state",
    "INSERT INTO events VALUES ('2026-01-15', 'new', '{\"a\": 1}'), ('2027-01-01', 'later', NULL)",
    "UPDATE events SET data = '{}' WHERE kind = 'new' AND at = '2026-01-15'",
    "INSERT INTO tree_labels VALUES ('Gamma', 'happy')",
    "INSERT INTO bookings (room, during) VALUES (1, '[2026-03-01, 2026-03-02)') RETURNING room",
    "INSERT INTO bookings (room, during) VALUES (1, '[2026-03-01, 2026-03-02)')",
    "INSERT INTO geo.places VALUES (100, 'new place', ROW(1, 2)) RETURNING at",
    'UPDATE geo.places SET at = geo.make_point(7, 8) WHERE id = 100',
    "UPDATE \"User\" SET home.city = 'Elsewhere' WHERE id = '00000000-0000-4000-8000-000000000009' RETURNING (home).city",
    "UPDATE posts SET meta = jsonb_set(meta, '{views}', to_jsonb((meta->>'views')::int + 1)), tags = array_append(tags, 'new') WHERE id = 9",
    'UPDATE posts SET published_at = NULL WHERE id = 10 AND published_at IS NOT NULL',
    "INSERT INTO tree VALUES (21, 1, 'top.new', 'a=>1')",
    "UPDATE tree SET attributes = attributes || 'b=>2', path = path || 'leaf' WHERE id = 21",
    'WITH new AS (INSERT INTO orders (customer_id) VALUES (9) RETURNING id) INSERT INTO order_items SELECT id, 1, 3, 2, 5.00 FROM new RETURNING line, product_id',
    // A queue
    "UPDATE jobs SET state = 'running', locked_by = 'w1', attempts = attempts + 1 WHERE id = (SELECT id FROM jobs WHERE state = 'ready' AND queue = 'q1' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id, queue",
    "UPDATE jobs SET state = 'done' WHERE id = 1",
    "SELECT id FROM jobs WHERE state = 'ready' ORDER BY id LIMIT 2 FOR SHARE",
    // Sequences, locks, messages
    "SELECT nextval('invoice_numbers')",
    "SELECT nextval('invoice_numbers'), currval('invoice_numbers'), lastval()",
    'SELECT next_invoice()',
    'SELECT pg_advisory_lock(7), pg_advisory_unlock(7)',
    'SELECT pg_try_advisory_xact_lock(1, 2)',
    "NOTIFY channel, 'payload'",
    "SELECT pg_notify('channel', 'x')",
    // Errors are answers too
    "INSERT INTO customers (email, name, country) VALUES ('customer1@example.com', 'x', 'DE')",
    'UPDATE accounts SET balance = -1 WHERE id = 1',
    'INSERT INTO orders (customer_id) VALUES (999999)',
    "INSERT INTO posts (title, likes) VALUES ('x', 0)",
    "UPDATE \"User\" SET email = 'not an address' WHERE id = '00000000-0000-4000-8000-000000000001'",
    'SELECT 1 / 0',
    'SELECT nope FROM orders',
    "UPDATE open_jobs SET state = 'done' WHERE id = 4",
    "EXPLAIN (COSTS off) UPDATE orders SET status = 'paid' WHERE id = 1",
  ),
  ...since(
    15,
    "MERGE INTO coupons c USING (VALUES ('SAVE2', 33), ('MERGED', 44)) AS s(code, percent) ON c.code = s.code WHEN MATCHED THEN UPDATE SET percent = s.percent WHEN NOT MATCHED THEN INSERT VALUES (s.code, s.percent, '2027-01-01')",
  ),
  ...since(
    17,
    "MERGE INTO coupons c USING (VALUES ('SAVE3', 34)) AS s(code, percent) ON c.code = s.code WHEN MATCHED THEN UPDATE SET percent = s.percent RETURNING merge_action(), c.code",
  ),
  ...since(18, "UPDATE coupons SET percent = 12 WHERE code = 'SAVE4' RETURNING old.percent, new.percent"),
  ...moving("INSERT INTO ar_internal_metadata VALUES ('moment', 'x', now(), now()) RETURNING *"),
  // COPY
  together(
    {
      sql: 'COPY coupons (code, percent, expires_on) FROM STDIN',
      copy: ['COPY1\t5\t2027-01-01', 'COPY2\t6\t2027-01-01'],
    },
    {
      sql: "COPY coupons FROM STDIN WITH (FORMAT csv, HEADER true, DELIMITER ';')",
      copy: ['code;percent;expires_on', 'COPY3;7;2027-01-01'],
    },
    "COPY (SELECT * FROM coupons WHERE code LIKE 'COPY%' ORDER BY code) TO STDOUT WITH (FORMAT csv, HEADER)",
    'COPY tree_labels TO STDOUT',
    { sql: 'COPY accounts (owner, balance) FROM STDIN', copy: ['imported\t12.50'] },
    "SELECT action, row_id IS NOT NULL FROM audit_log WHERE table_name = 'accounts' ORDER BY id DESC LIMIT 1",
  ),
];
