// Stream: records into a Redis stream, for dashboards and programs that follow the log live. An entry's id is made of
// its seq, so one that is sent twice is there once. Not evidence: whoever may write to that Redis may write there.

import type { Cluster, Redis } from 'ioredis';
import { leafHash } from '../../verify/src/leaf.ts';
import { redisClient } from '../store/redis-link.ts';
import type { Entry } from './feed.ts';
import type { Destination } from './follower.ts';
import type { StreamSettings } from './settings.ts';

/** The stream of a log. The braces keep its keys together in a Cluster. */
export function streamKey(origin: string): string {
  return `holdpoint:{${origin}}:log`;
}

/** Sends to the Redis at `settings.address`. */
export function streamDestination({ address, lengthMax }: StreamSettings, origin: string): Destination {
  const key = streamKey(origin);
  let client: Redis | Cluster | undefined;
  const ready = async (): Promise<Redis | Cluster> => {
    if (client === undefined) {
      client = redisClient(address);
      // Without a listener ioredis prints every failed attempt; each command says for itself that it failed.
      for (const event of ['error', 'node error']) client.on(event, () => {});
      await client.connect();
    }
    return client;
  };
  return {
    place: `${address.shown} ${key}`,
    async deliver(records) {
      const redis = await ready();
      const pipeline = redis.pipeline();
      let bytes = 0;
      for (const { line, members } of records) {
        const { seq, kind } = members!;
        bytes += Buffer.byteLength(line);
        pipeline.xadd(
          key,
          'MAXLEN',
          '~',
          lengthMax,
          idOf(Number(seq)),
          'seq',
          Number(seq),
          'kind',
          String(kind),
          'leaf',
          leafHash(line),
          'line',
          line,
        );
      }
      const answers = (await pipeline.exec()) ?? [];
      if (answers.length < records.length) throw new Error('Redis did not answer');
      for (const [i, [error]] of answers.entries()) {
        if (error === null) continue;
        if (!error.message.includes('equal or smaller'))
          throw new Error(`Redis refused a record: ${error.message}`);
        await requireSame(redis, key, records[i]!);
      }
      return { bytes, refused: 0 };
    },
    close() {
      client?.disconnect();
    },
  };
}

/** No id is 0-0. */
function idOf(seq: number): string {
  return `${seq + 1}-0`;
}

/** What stands under the id of a record is that record, or was trimmed away. */
async function requireSame(redis: Redis | Cluster, key: string, { line, begin }: Entry): Promise<void> {
  const id = idOf(begin.seq);
  const [found] = await redis.xrange(key, id, id);
  if (found === undefined) return;
  const fields = found[1];
  if (fields[fields.indexOf('leaf') + 1] !== leafHash(line))
    throw new Error(
      `the stream ${key} holds another log's record ${begin.seq}; delete the stream, or give this node a name of its own`,
    );
}
