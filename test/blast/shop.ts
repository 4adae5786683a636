// A database in which everything that an effect can have stands behind something: keys of every action, a tree in one table,
// partitions, inheritance, views on views, triggers on and off, rules, policies. With how an effect reads in a test: a line
// each, the figures in it. Runs on every version.

import type { Cascade, MeasuredEffect, RowCount, TouchedRelation } from '../../src/approval/effect.ts';

/** Customers are a binary tree: the parent of n is n / 2. Customer 2 and all below it are 63 of the 100. */
export const shopSql = `
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, parent int REFERENCES customers ON DELETE CASCADE);
INSERT INTO customers SELECT n, 'customer ' || n, NULLIF(n / 2, 0) FROM generate_series(1, 100) n;
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customers ON DELETE CASCADE, paid bool NOT NULL);
INSERT INTO orders SELECT n, 1 + (n - 1) / 3, n % 2 = 0 FROM generate_series(1, 300) n;
CREATE TABLE items (order_id int NOT NULL REFERENCES orders ON DELETE CASCADE, n int, PRIMARY KEY (order_id, n));
INSERT INTO items SELECT o.id, n FROM orders o, generate_series(1, 2) n;
CREATE TABLE notes (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE SET NULL);
INSERT INTO notes SELECT n, 2 * n FROM generate_series(1, 50) n;
CREATE TABLE invoices (id int PRIMARY KEY, order_id int NOT NULL REFERENCES orders);
INSERT INTO invoices SELECT n, 10 * n FROM generate_series(1, 30) n;
CREATE TABLE seals (order_id int REFERENCES orders ON DELETE RESTRICT ON UPDATE CASCADE);
INSERT INTO seals VALUES (300);
CREATE TABLE events (id int, day date NOT NULL, order_id int REFERENCES orders ON DELETE CASCADE, PRIMARY KEY (id, day))
  PARTITION BY RANGE (day);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2021-01-01') TO ('2030-01-01');
INSERT INTO events SELECT n, date '2020-06-01' + n * 30, n FROM generate_series(1, 40) n;
CREATE TABLE animals (id int PRIMARY KEY);
CREATE TABLE cats () INHERITS (animals);
INSERT INTO animals VALUES (1), (2);
INSERT INTO cats VALUES (3), (4), (5);
CREATE VIEW report AS SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer;
CREATE VIEW summary AS SELECT name, count(*) AS n FROM report GROUP BY name;
CREATE MATERIALIZED VIEW totals AS SELECT customer, count(*) AS n FROM orders GROUP BY customer;
CREATE VIEW unpaid AS SELECT * FROM orders WHERE NOT paid;
CREATE TABLE audit (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (TG_OP); RETURN OLD; END $$;
CREATE TRIGGER each_order AFTER DELETE OR UPDATE OF paid ON orders FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER once_order BEFORE DELETE ON orders FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER off_order AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE orders DISABLE TRIGGER off_order;
CREATE TRIGGER emptied AFTER TRUNCATE ON orders EXECUTE FUNCTION note();
CREATE TRIGGER each_event AFTER DELETE ON events FOR EACH ROW EXECUTE FUNCTION note();
CREATE RULE keep AS ON DELETE TO audit DO INSTEAD NOTHING;
CREATE FUNCTION purge(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN DELETE FROM seals; RETURN true; END $$;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE SCHEMA old;
CREATE TABLE old.things AS SELECT n AS id FROM generate_series(1, 7) n;
CREATE VIEW public.things AS SELECT id FROM old.things;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE people (id int, feels mood);
CREATE TABLE log (line text);
INSERT INTO log SELECT repeat('x', 100) FROM generate_series(1, 50) n;
ANALYZE;
`;

const marks = { count: '', estimate: '~', 'at-least': '>=', 'at-most': '<=' } as const;

function figure(rows: RowCount | undefined): string {
  return rows === undefined ? '?' : `${marks[rows.how]}${rows.rows}`;
}

function relationLine({
  statement,
  does,
  name,
  kind,
  touched,
  total,
  parts,
  work,
  fires,
}: TouchedRelation): string {
  const at = statement === undefined ? '' : `#${statement} `;
  const more = [parts === undefined ? '' : ` +${parts}`, work === undefined ? '' : ` ${work}`].join('');
  const firing = fires.map((each) => ` | ${each}`).join('');
  return `${at}${does} ${kind} ${name} ${figure(touched)}/${figure(total)}${more}${firing}`;
}

function cascadeLine({ relation, action, via, touched, stops, fires = [] }: Cascade): string {
  const firing = fires.map((each) => ` | ${each}`).join('');
  return `${action} ${relation} ${figure(touched)} from ${via}${stops === true ? ' stops' : ''}${firing}`;
}

/** What was measured, but for sizes, times and locks. */
export function read(effect: MeasuredEffect): string[] {
  return [
    ...effect.relations.map(relationLine),
    ...effect.cascades.map(cascadeLine),
    ...effect.dependents.map((each) => `${effect.refused === true ? 'refused for' : 'takes'} ${each}`),
    ...(effect.fires ?? []).map((each) => `fires ${each}`),
    ...effect.unmeasured.map((each) => `? ${each}`),
  ];
}

export function locks({ locks: needs }: MeasuredEffect): string[] {
  return needs.map(({ relation, mode }) => `${mode} ${relation}`);
}

export interface Kind {
  readonly sql: string;
  readonly effect: readonly string[];
  /** Least version of a server that knows it. */
  readonly since?: number;
}

const noted =
  'trigger each_order (AFTER, each row) → public.note() | trigger once_order (BEFORE, once) → public.note()';
const each = 'trigger each_event (AFTER, each row) → public.note()';

/** Statements of every kind, and what is read of their effects on every version. */
export const kinds: readonly Kind[] = [
  {
    // The tree is followed to its leaves, and what refers to any of it.
    sql: 'DELETE FROM customers WHERE id = 2',
    effect: [
      'DELETE table public.customers 1/100',
      'CASCADE public.customers 62 from public.customers',
      'SET NULL public.notes 32 from public.customers',
      `CASCADE public.orders 189 from public.customers | ${noted}`,
      `CASCADE public.events 21 from public.orders | ${each}`,
      'NO ACTION public.invoices 19 from public.orders stops',
      'CASCADE public.items 378 from public.orders',
      'RESTRICT public.seals 0 from public.orders',
    ],
  },
  {
    sql: 'DELETE FROM customers WHERE id IN (98, 99)',
    effect: [
      'DELETE table public.customers 2/100',
      'CASCADE public.customers 0 from public.customers',
      'SET NULL public.notes 1 from public.customers',
      `CASCADE public.orders 6 from public.customers | ${noted}`,
      `CASCADE public.events 0 from public.orders | ${each}`,
      'NO ACTION public.invoices 0 from public.orders',
      'CASCADE public.items 12 from public.orders',
      'RESTRICT public.seals 0 from public.orders',
    ],
  },
  {
    sql: 'DELETE FROM orders WHERE id = 300',
    effect: [
      `DELETE table public.orders 1/300 | ${noted}`,
      `CASCADE public.events 0 from public.orders | ${each}`,
      'NO ACTION public.invoices 1 from public.orders stops',
      'CASCADE public.items 2 from public.orders',
      'RESTRICT public.seals 1 from public.orders stops',
    ],
  },
  {
    sql: "DELETE FROM orders o USING customers c WHERE c.id = o.customer AND c.name = 'customer 6'",
    effect: [
      `DELETE table public.orders 3/300 | ${noted}`,
      `CASCADE public.events 3 from public.orders | ${each}`,
      'NO ACTION public.invoices 0 from public.orders',
      'CASCADE public.items 6 from public.orders',
      'RESTRICT public.seals 0 from public.orders',
    ],
  },
  {
    sql: 'WITH poor AS (SELECT 6 AS id) DELETE FROM orders USING poor WHERE customer = poor.id',
    effect: [
      `DELETE table public.orders 3/300 | ${noted}`,
      `CASCADE public.events 3 from public.orders | ${each}`,
      'NO ACTION public.invoices 0 from public.orders',
      'CASCADE public.items 6 from public.orders',
      'RESTRICT public.seals 0 from public.orders',
    ],
  },
  {
    sql: 'WITH gone AS (DELETE FROM items WHERE n = 2 RETURNING *) INSERT INTO audit SELECT order_id::text FROM gone',
    effect: ['DELETE table public.items 300/600', 'INSERT table public.audit ?/0'],
  },
  {
    sql: 'DELETE FROM notes; DELETE FROM seals WHERE order_id < 10',
    effect: ['#0 DELETE table public.notes 50/50', '#1 DELETE table public.seals 0/1'],
  },
  {
    sql: "DELETE FROM events WHERE day < '2021-01-01'",
    effect: [`DELETE partitioned table public.events 7/40 +2 | ${each}`],
  },
  // A partition has the trigger of its parent.
  { sql: 'DELETE FROM events_old', effect: [`DELETE table public.events_old 7/7 | ${each}`] },
  { sql: 'DELETE FROM animals', effect: ['DELETE table public.animals 5/5 +1'] },
  { sql: 'DELETE FROM ONLY animals', effect: ['DELETE table public.animals 2/2'] },
  { sql: 'DELETE FROM audit', effect: ['DELETE table public.audit 0/0 | rule keep (INSTEAD)'] },
  { sql: 'DELETE FROM seals WHERE order_id = twice(150)', effect: ['DELETE table public.seals 1/1'] },
  {
    sql: 'DELETE FROM unpaid WHERE id = 1',
    effect: [
      'DELETE view public.unpaid 1/?',
      '? public.unpaid is a view: what hangs on the tables behind it was not followed',
    ],
  },
  {
    sql: 'UPDATE orders SET paid = true',
    effect: ['UPDATE table public.orders 300/300 | trigger each_order (AFTER, each row) → public.note()'],
  },
  // Not a column that anything refers to, and not one that the trigger is of.
  { sql: 'UPDATE orders SET customer = 1 WHERE customer = 2', effect: ['UPDATE table public.orders 3/300'] },
  {
    sql: 'UPDATE orders SET id = id + 1000 WHERE id > 298',
    effect: [
      'UPDATE table public.orders 2/300',
      'NO ACTION public.events 0 from public.orders',
      'NO ACTION public.invoices 1 from public.orders stops',
      'NO ACTION public.items 4 from public.orders stops',
      'CASCADE public.seals 1 from public.orders',
    ],
  },
  {
    sql: 'MERGE INTO notes n USING orders o ON o.id = n.id WHEN MATCHED AND o.paid THEN DELETE',
    effect: ['DELETE table public.notes <=50/50'],
    since: 15,
  },
  {
    sql: 'MERGE INTO notes n USING orders o ON o.id = n.id AND o.id < 5 WHEN MATCHED THEN DELETE',
    effect: ['DELETE table public.notes 4/50'],
    since: 15,
  },
  {
    sql: 'MERGE INTO notes n USING orders o ON o.id = n.id AND o.id < 5 WHEN NOT MATCHED BY SOURCE THEN DELETE',
    effect: ['DELETE table public.notes 46/50'],
    since: 17,
  },
  {
    sql: 'MERGE INTO notes n USING orders o ON o.id = n.id AND o.id < 5 WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE THEN DELETE',
    effect: ['DELETE table public.notes 50/50'],
    since: 17,
  },
  {
    sql: 'TRUNCATE orders',
    effect: [
      'TRUNCATE table public.orders 300/300 | trigger emptied (AFTER, once) → public.note()',
      'RESTRICT public.events ? from public.orders stops',
      'RESTRICT public.invoices ? from public.orders stops',
      'RESTRICT public.items ? from public.orders stops',
      'RESTRICT public.seals ? from public.orders stops',
    ],
  },
  {
    sql: 'TRUNCATE customers CASCADE',
    effect: [
      'TRUNCATE table public.customers 100/100',
      'TRUNCATE public.notes 50 from public.customers',
      'TRUNCATE public.orders 300 from public.customers | trigger emptied (AFTER, once) → public.note()',
      'TRUNCATE public.events 40 from public.orders',
      'TRUNCATE public.invoices 30 from public.orders',
      'TRUNCATE public.items 600 from public.orders',
      'TRUNCATE public.seals 1 from public.orders',
    ],
  },
  { sql: 'TRUNCATE events', effect: ['TRUNCATE partitioned table public.events 40/40 +2'] },
  {
    sql: 'TRUNCATE ONLY animals, notes',
    effect: ['TRUNCATE table public.animals 2/2', 'TRUNCATE table public.notes 50/50'],
  },
  {
    sql: 'DROP TABLE orders',
    effect: [
      'DROP table public.orders 300/300',
      'refused for constraint events_order_id_fkey on table public.events',
      'refused for constraint invoices_order_id_fkey on table public.invoices',
      'refused for constraint items_order_id_fkey on table public.items',
      'refused for constraint seals_order_id_fkey on table public.seals',
      'refused for materialized view public.totals',
      'refused for view public.report',
      'refused for view public.summary',
      'refused for view public.unpaid',
    ],
  },
  {
    sql: 'DROP TABLE orders CASCADE',
    effect: [
      'DROP table public.orders 300/300',
      'DROP materialized view public.totals 100/100',
      'takes constraint events_order_id_fkey on table public.events',
      'takes constraint invoices_order_id_fkey on table public.invoices',
      'takes constraint items_order_id_fkey on table public.items',
      'takes constraint seals_order_id_fkey on table public.seals',
      'takes materialized view public.totals',
      'takes view public.report',
      'takes view public.summary',
      'takes view public.unpaid',
    ],
  },
  // Each takes the keys between the two along.
  {
    sql: 'DROP TABLE items, log',
    effect: ['DROP table public.items 600/600', 'DROP table public.log 50/50'],
  },
  { sql: 'DROP TABLE events', effect: ['DROP partitioned table public.events 40/40 +2'] },
  { sql: 'DROP TABLE events_old', effect: ['DROP table public.events_old 7/7'] },
  {
    sql: 'DROP TABLE animals CASCADE',
    effect: ['DROP table public.animals 5/5 +1', 'takes table public.cats'],
  },
  { sql: 'DROP VIEW report', effect: ['DROP view public.report ?/?', 'refused for view public.summary'] },
  { sql: 'DROP VIEW report CASCADE', effect: ['DROP view public.report ?/?', 'takes view public.summary'] },
  { sql: 'DROP MATERIALIZED VIEW totals', effect: ['DROP materialized view public.totals 100/100'] },
  {
    sql: 'DROP SCHEMA old',
    effect: ['refused for table old.things', 'refused for view public.things'],
  },
  {
    sql: 'DROP SCHEMA old CASCADE',
    effect: ['DROP table old.things 7/7', 'takes table old.things', 'takes view public.things'],
  },
  { sql: 'DROP TYPE mood CASCADE', effect: ['takes column feels of table public.people'] },
  {
    sql: 'DROP FUNCTION note() CASCADE',
    effect: [
      'takes trigger each_event on table public.events',
      'takes trigger each_order on table public.orders',
      'takes trigger emptied on table public.orders',
      'takes trigger off_order on table public.orders',
      'takes trigger once_order on table public.orders',
    ],
  },
  {
    sql: 'DROP INDEX orders_pkey',
    effect: [
      'DROP index public.orders_pkey ?/?',
      'refused for constraint events_order_id_fkey on table public.events',
      'refused for constraint invoices_order_id_fkey on table public.invoices',
      'refused for constraint items_order_id_fkey on table public.items',
      'refused for constraint orders_pkey on table public.orders',
      'refused for constraint seals_order_id_fkey on table public.seals',
    ],
  },
  {
    sql: 'ALTER TABLE orders DROP COLUMN paid CASCADE',
    effect: [
      'ALTER table public.orders ?/300',
      'takes trigger each_order on table public.orders',
      'takes view public.unpaid',
    ],
  },
  {
    sql: 'ALTER TABLE customers DROP CONSTRAINT customers_pkey',
    effect: [
      'ALTER table public.customers ?/100',
      'refused for constraint customers_parent_fkey on table public.customers',
      'refused for constraint notes_customer_fkey on table public.notes',
      'refused for constraint orders_customer_fkey on table public.orders',
    ],
  },
  {
    sql: 'ALTER TABLE log ALTER line TYPE varchar(200)',
    effect: ['ALTER table public.log ?/50 may be rewritten'],
  },
  { sql: 'ALTER TABLE log SET UNLOGGED', effect: ['ALTER table public.log ?/50 is rewritten'] },
  { sql: 'ALTER TABLE log ALTER line SET NOT NULL', effect: ['ALTER table public.log ?/50 is read whole'] },
  { sql: 'ALTER TABLE log ADD other int DEFAULT 1', effect: ['ALTER table public.log ?/50'] },
  {
    sql: 'ALTER TABLE log ADD other int DEFAULT random()',
    effect: ['ALTER table public.log ?/50 may be rewritten'],
  },
  { sql: 'CREATE INDEX ON log (line)', effect: ['CREATE INDEX table public.log ?/50 gets an index built'] },
  { sql: 'EXPLAIN ANALYZE DELETE FROM seals', effect: ['DELETE table public.seals 1/1'] },
  { sql: 'DELETE FROM nowhere', effect: ['? nowhere was not found in the database'] },
];
