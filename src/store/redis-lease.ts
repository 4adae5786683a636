// Redis leases: names that one holder has for a while, and things that happen once. A name is a key that ends by itself,
// and a list of names finds them. Refuses to know what goes by a name.
//
//   hp:{lease}:<name>  hash    holder, text
//   hp:{lease}:names   zset    name by the end of its lease, by the server's clock
//   hp:{once:<name>}   string  until when nobody else may

import type { RedisLink, Script } from './redis-link.ts';
import type { Lease } from './store.ts';

const names = 'hp:{lease}:names';

function leaseKeys(name: string): [string, string] {
  return [`hp:{lease}:${name}`, names];
}

/** name, holder, text, forMs, over → holder, text of whoever has it now */
const take: Script = {
  name: 'holdpoint_lease',
  keys: 2,
  lua: `
local name, holder, text, forMs, over = unpack(ARGV)
local now = redis.call('HMGET', KEYS[1], 'holder', 'text')
if now[1] and now[1] ~= holder and (over == '' or now[1] ~= over) then return now end
redis.call('HSET', KEYS[1], 'holder', holder, 'text', text)
redis.call('PEXPIRE', KEYS[1], forMs)
local time = redis.call('TIME')
local ms = time[1] * 1000
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms)
redis.call('ZADD', KEYS[2], ms + forMs + 1000, name)
if redis.call('PTTL', KEYS[2]) < forMs + 1000 then redis.call('PEXPIRE', KEYS[2], forMs + 1000) end
return {holder, text}`,
};

/** name, holder */
const giveBack: Script = {
  name: 'holdpoint_give_back',
  keys: 2,
  lua: `
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])`,
};

/** → names that may be in force */
const named: Script = {
  name: 'holdpoint_leases',
  keys: 1,
  lua: "return redis.call('ZRANGE', KEYS[1], 0, -1)",
};

/** → name, holder, text; or nil */
const read: Script = {
  name: 'holdpoint_leased',
  keys: 1,
  lua: `
local now = redis.call('HMGET', KEYS[1], 'holder', 'text')
return now[1] and now or false`,
};

/** until, now → 1 for exactly one caller */
const first: Script = {
  name: 'holdpoint_once',
  keys: 1,
  lua: `
local before = redis.call('GET', KEYS[1])
if before and tonumber(before) > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', math.max(1000, ARGV[1] - ARGV[2]))
return 1`,
};

export const leaseScripts: readonly Script[] = [take, giveBack, named, read, first];

/** As Store.lease. */
export async function takeLease(
  link: RedisLink,
  lease: Lease,
  forMs: number,
  over: string | undefined,
): Promise<Lease> {
  const { name } = lease;
  const now = await link.run(take, leaseKeys(name), name, lease.holder, lease.text, forMs, over ?? '');
  const [holder, text] = now as [string, string];
  return { name, holder, text };
}

/** As Store.release. */
export async function releaseLease(link: RedisLink, name: string, holder: string): Promise<void> {
  await link.run(giveBack, leaseKeys(name), name, holder);
}

/** As Store.leases. */
export async function leasesOf(link: RedisLink, prefix: string): Promise<Lease[]> {
  const known = ((await link.run(named, [names])) as string[]).filter((name) => name.startsWith(prefix));
  const found = await Promise.all(
    known.map(async (name) => {
      const now = (await link.run(read, [leaseKeys(name)[0]])) as [string, string] | null;
      return now === null ? [] : [{ name, holder: now[0], text: now[1] }];
    }),
  );
  return found.flat();
}

/** As Store.once. */
export async function takeOnce(link: RedisLink, name: string, until: number, now: number): Promise<boolean> {
  return (await link.run(first, [`hp:{once:${name}}`], until, now)) === 1;
}
