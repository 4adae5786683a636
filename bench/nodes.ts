// How long does a statement that is held on one node wait after it was decided through another? Two nodes on one Redis in
// front of one PostgreSQL: prints the time from the answer to the person until the result is with the client, for a
// decision at the node that holds and through the other one. Below zero, the result was there first.
// Run: node bench/nodes.ts [rounds]

import { type Guard, startGuard } from '../test/support/holdpoint.ts';
import { startPostgres } from '../test/support/postgres.ts';
import { startRedis } from '../test/support/redis.ts';
import { answerOf, held } from '../test/support/shared.ts';

const rounds = Number(process.argv[2] ?? 50);

const [server, redis] = await Promise.all([startPostgres(), startRedis()]);
const options = (node: string) => ({ url: server.url(), store: { url: redis.url, node } });
const one = await startGuard(options('n1'));
const two = await startGuard({ ...options('n2'), like: one });
try {
  const [own, other] = [await measured(one), await measured(two)];
  process.stdout.write(
    `${rounds} rounds, milliseconds from answer to result: median, 95th percentile, most\n`,
  );
  process.stdout.write(`decided at the node that holds   ${own}\n`);
  process.stdout.write(`decided through the other node   ${other}\n`);
} finally {
  await one.close();
  await two.close();
  await redis.stop();
  await server.stop();
}

async function measured(decider: Guard): Promise<string> {
  const client = await one.connect();
  const waits: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const rid = await held(client, 'drop table if exists nothing_here');
    const result = client.until('Z').then((replies) => {
      if (answerOf(replies).came !== 'ran') throw new Error(answerOf(replies).message);
      return performance.now();
    });
    await decider.decide(rid, 'approve');
    const answered = performance.now();
    waits.push((await result) - answered);
  }
  client.destroy();
  return figures(waits);
}

function figures(values: number[]): string {
  values.sort((a, b) => a - b);
  const at = (share: number) => values[Math.min(values.length - 1, Math.floor(values.length * share))]!;
  return [at(0.5), at(0.95), at(1)].map((ms) => ms.toFixed(1)).join('  ');
}
