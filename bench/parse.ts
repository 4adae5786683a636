// What does it take to understand a statement? µs a text: cold, when nothing is known of it; alike, when another one was seen
// that differs in plain literals only; and cached, when these very bytes were.
// Run: node bench/parse.ts [rounds] [texts a round]

import { Analyzer } from '../src/sql/parse.ts';
import { spread } from './cost/figures.ts';
import { asText, shown } from './cost/table.ts';

const [rounds = 7, count = 2000] = process.argv.slice(2).map(Number);

/** Each with a number in it that makes it another text. */
const texts: Readonly<Record<string, (n: number) => string>> = {
  'read by key': (n) => `SELECT abalance FROM pgbench_accounts WHERE aid = ${n}`,
  'update by key': (n) => `UPDATE pgbench_accounts SET abalance = abalance + 17 WHERE aid = ${n}`,
  insert: (n) =>
    `INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (3, 1, ${n}, -4711, CURRENT_TIMESTAMP)`,
  'join of an ORM': (n) =>
    `SELECT "u"."id", "u"."name", "u"."email", "o"."id", "o"."total", "o"."created_at" FROM "users" AS "u" LEFT OUTER JOIN "orders" AS "o" ON "o"."user_id" = "u"."id" AND "o"."deleted_at" IS NULL WHERE ("u"."tenant_id" = ${n} AND "u"."active" = true) ORDER BY "o"."created_at" DESC LIMIT 50 OFFSET 0`,
  'report with CTEs': (n) =>
    `WITH recent AS (SELECT customer_id, sum(total) AS spent FROM orders WHERE created_at > now() - interval '30 days' AND region = ${n} GROUP BY customer_id), ranked AS (SELECT *, rank() OVER (ORDER BY spent DESC) AS place FROM recent) SELECT c.name, r.spent, r.place FROM ranked r JOIN customers c ON c.id = r.customer_id WHERE r.place <= 10 ORDER BY r.place`,
  'insert of 100 rows': (n) =>
    `INSERT INTO events (id, kind, at) VALUES ${Array.from({ length: 100 }, (_, i) => `(${n * 100 + i}, 'click', '2026-01-01')`).join(', ')}`,
};

async function usPerText(analyzer: Analyzer, all: readonly Buffer[]): Promise<number> {
  const begun = performance.now();
  for (const sql of all) await analyzer.analyze(sql);
  return ((performance.now() - begun) * 1000) / all.length;
}

const forgetful = await Analyzer.load({ cacheBytesMax: 0 });
const analyzer = await Analyzer.load();
const none = () => Object.fromEntries(Object.keys(texts).map((name) => [name, [] as number[]]));
const cold = none();
const alike = none();
const cached = none();
// The first round makes the code warm and does not count.
for (let round = 0; round <= rounds; round += 1) {
  for (const [name, text] of Object.entries(texts)) {
    const all = Array.from({ length: count }, (_, i) => Buffer.from(text(round * count + i)));
    const same = Array.from({ length: count }, () => all[0]!);
    const unknown = await usPerText(forgetful, all);
    const another = await usPerText(analyzer, all);
    // Of a stencil that is known nothing is kept by its bytes.
    const seen = await Analyzer.load();
    await seen.analyze(same[0]!);
    const again = await usPerText(seen, same);
    await seen.close();
    if (round === 0) continue;
    cold[name]!.push(unknown);
    alike[name]!.push(another);
    cached[name]!.push(again);
  }
}
await forgetful.close();
await analyzer.close();

const rows = Object.entries(texts).map(([name, text]) => {
  const of = (values: readonly number[]) => shown(spread(values));
  return [name, String(text(rounds * count).length), of(cold[name]!), of(alike[name]!), of(cached[name]!)];
});
const title = `µs a text, medians and ranges of ${rounds} rounds of ${count} texts`;
console.log(asText({ title, head: ['', 'bytes', 'cold', 'alike', 'cached'], rows }));
