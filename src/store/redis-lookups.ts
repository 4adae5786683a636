// Redis lookups: which requests there are, by list and by agent, in keys of their own hash slots. A lookup is only ever a
// hint: the row is the truth, and an entry whose row is gone or has ended is dropped when somebody comes across it. An
// entry is made before its row and made sure of after it, so a row has its entries even if the store was emptied in
// between; and whoever finds an open row by its agent sees to its entry in the list, which a Cluster may have lost alone:
// an agent could wait for it, and no person would see it. The one thing decided here is how many requests an agent may
// have pending: a place is reserved in one step, and given back if the row cannot be made.
//
//   hp:{list}:all, hp:{list}:open          zset  rid by order of creation; rid by the end of its time while it is open
//   hp:{list}:serial                       count tells apart what was created in the same millisecond
//   hp:{a:<agent>}:all                     zset  rid by order of creation
//   hp:{a:<agent>}:open                    zset  `rid match` by order of creation, while it is open
//   hp:{a:<agent>}:pending                 zset  rid by the end of its time, while it is pending
//   hp:{a:<agent>}:since                   hash  rid → when its place was reserved, by the server's clock
//   hp:{a:<agent>}:rejected, …:granted     zset  `rid match` by the time of the rejection; rid by the end of the grant

import type { RedisLink, Script } from './redis-link.ts';
import type { StoredRequest } from './store.ts';

/** Rows kept at most in the list; open ones beyond it still work, they are only not listed. */
const listedRowsMax = 10_000;
const listedPerAgentMax = 2_000;
const rejectedPerAgentMax = 500;

/** Longer than any row of the longest `expiresMs`, and as long as an entry is of use. */
const keptMs = 45 * 24 * 3_600_000;

/** A row that is not there this long after its place was reserved will not be made any more. */
const reservedMs = 15_000;

/** rid and match of an open row. */
export interface Entry {
  readonly rid: string;
  readonly match: string;
}

const list = ['all', 'open', 'serial'].map((name) => `hp:{list}:${name}`) as [string, string, string];

function agentKeys(agent: string): string[] {
  return ['all', 'open', 'pending', 'since', 'rejected', 'granted'].map((name) => `hp:{a:${agent}}:${name}`);
}

const forList = `
local ALL, OPEN, SERIAL = KEYS[1], KEYS[2], KEYS[3]
local function keep() for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ${keptMs}) end end
`;

const forAgent = `
local ALL, OPEN, PENDING, SINCE, REJECTED, GRANTED = unpack(KEYS)
local function keep() for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ${keptMs}) end end
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function left(rid)
  redis.call('ZREM', PENDING, rid)
  redis.call('HDEL', SINCE, rid)
end
`;

/** rid, created, exp → the order of the row: milliseconds with a fraction */
const enlist: Script = {
  name: 'holdpoint_enlist',
  keys: 3,
  lua: `${forList}
local rid, created, exp = unpack(ARGV)
local known = redis.call('ZSCORE', ALL, rid)
local order = known or string.format('%.3f', created + redis.call('INCR', SERIAL) % 1000 / 1000)
if not known then redis.call('ZADD', ALL, order, rid) end
redis.call('ZADD', OPEN, exp, rid)
redis.call('ZREMRANGEBYRANK', ALL, 0, -${listedRowsMax + 1})
keep()
return order`,
};

/** rid, order, exp of each open row: enters those that the list has lost */
const relist: Script = {
  name: 'holdpoint_relist',
  keys: 3,
  lua: `${forList}
for at = 1, #ARGV, 3 do
  if redis.call('ZADD', OPEN, 'NX', ARGV[at + 2], ARGV[at]) == 1 then
    redis.call('ZADD', ALL, 'NX', ARGV[at + 1], ARGV[at])
  end
end
keep()
return 1`,
};

/** 'open', 'never' (made) or 'gone', rid… : takes them off the open ones, or off both; young ones that are gone stay */
const delist: Script = {
  name: 'holdpoint_delist',
  keys: 3,
  lua: `${forList}
local what, time = ARGV[1], redis.call('TIME')
local young = time[1] * 1000 - ${reservedMs}
for at = 2, #ARGV do
  local rid = ARGV[at]
  local order = what == 'gone' and redis.call('ZSCORE', ALL, rid)
  if not order or tonumber(order) < young then
    redis.call('ZREM', OPEN, rid)
    if what ~= 'open' then redis.call('ZREM', ALL, rid) end
  end
end
return 1`,
};

/** 'all' or 'open', exclusive upper bound, offset, count → rids: newest first, or soonest end first */
const listed: Script = {
  name: 'holdpoint_listed',
  keys: 3,
  lua: `${forList}
local which, bound, offset, count = unpack(ARGV)
if which == 'open' then return redis.call('ZRANGEBYSCORE', OPEN, '-inf', bound, 'LIMIT', offset, count) end
return redis.call('ZREVRANGEBYSCORE', ALL, bound, '-inf', 'LIMIT', offset, count)`,
};

/** rid, match, exp, order, now, pendingMax → 1, or 0 if there is no place; without a limit if pendingMax is below 0 */
const reserve: Script = {
  name: 'holdpoint_reserve',
  keys: 6,
  lua: `${forAgent}
local rid, match, exp, order, now, max = unpack(ARGV)
if tonumber(max) >= 0 and not redis.call('ZSCORE', PENDING, rid)
  and redis.call('ZCOUNT', PENDING, '(' .. now, '+inf') >= tonumber(max) then return 0 end
redis.call('ZADD', PENDING, exp, rid)
redis.call('HSET', SINCE, rid, clock())
redis.call('ZADD', OPEN, order, rid .. ' ' .. match)
redis.call('ZADD', ALL, order, rid)
redis.call('ZREMRANGEBYRANK', ALL, 0, -${listedPerAgentMax + 1})
keep()
return 1`,
};

/** 'decided', 'ended' or 'never' (made), then rid and match of each */
const leave: Script = {
  name: 'holdpoint_leave',
  keys: 6,
  lua: `${forAgent}
for at = 2, #ARGV, 2 do
  left(ARGV[at])
  if ARGV[1] ~= 'decided' then redis.call('ZREM', OPEN, ARGV[at] .. ' ' .. ARGV[at + 1]) end
  if ARGV[1] == 'never' then redis.call('ZREM', ALL, ARGV[at]) end
end
return 1`,
};

/** rid, match, at: it was rejected then */
const reject: Script = {
  name: 'holdpoint_reject',
  keys: 6,
  lua: `${forAgent}
local entry = ARGV[1] .. ' ' .. ARGV[2]
left(ARGV[1])
redis.call('ZREM', OPEN, entry)
redis.call('ZADD', REJECTED, ARGV[3], entry)
redis.call('ZREMRANGEBYRANK', REJECTED, 0, -${rejectedPerAgentMax + 1})
keep()
return 1`,
};

/** rid, until: it carries a grant until then */
const granting: Script = {
  name: 'holdpoint_granting',
  keys: 6,
  lua: `${forAgent}
redis.call('ZADD', GRANTED, ARGV[2], ARGV[1])
keep()
return 1`,
};

/** 'open' | 'pending' | 'rejected' | 'granted' | 'all', least score → entries; of 'pending' those with a settled place */
const entries: Script = {
  name: 'holdpoint_entries',
  keys: 6,
  lua: `${forAgent}
local which, least = unpack(ARGV)
if which == 'open' then return redis.call('ZRANGE', OPEN, 0, -1) end
if which == 'all' then return redis.call('ZREVRANGE', ALL, 0, -1) end
if which == 'rejected' then return redis.call('ZREVRANGEBYSCORE', REJECTED, '+inf', least) end
if which == 'granted' then
  redis.call('ZREMRANGEBYSCORE', GRANTED, '-inf', least)
  return redis.call('ZRANGE', GRANTED, 0, -1)
end
return redis.call('ZRANGE', PENDING, 0, -1)`,
};

/** rid and match of each: drops those whose row is gone, unless their place was reserved a moment ago */
const forget: Script = {
  name: 'holdpoint_forget',
  keys: 6,
  lua: `${forAgent}
for at = 1, #ARGV, 2 do
  local since = redis.call('HGET', SINCE, ARGV[at])
  if not since or clock() - since > ${reservedMs} then
    left(ARGV[at])
    redis.call('ZREM', OPEN, ARGV[at] .. ' ' .. ARGV[at + 1])
  end
end
return 1`,
};

export const lookupScripts: readonly Script[] = [
  enlist,
  relist,
  delist,
  listed,
  reserve,
  leave,
  reject,
  granting,
  entries,
  forget,
];

/** The lookups of one store. Every method rejects with `store-unreachable`. */
export class Lookups {
  readonly #link: () => RedisLink;

  constructor(link: () => RedisLink) {
    this.#link = link;
  }

  /** Enters a row in the list; its order there. */
  async enlist({ rid, created, exp }: StoredRequest): Promise<string> {
    return String(await this.#link().run(enlist, list, rid, created, exp));
  }

  /** Enters those open rows in the list that it has lost. */
  async relist(rows: readonly { rid: string; order: string; exp: number }[]): Promise<void> {
    if (rows.length === 0) return;
    await this.#link().run(relist, list, ...rows.flatMap(({ rid, order, exp }) => [rid, order, exp]));
  }

  /** Reserves a place among its agent's pending rows, where less than `pendingMax` have not expired. */
  async reserve(row: StoredRequest, order: string, limit?: { max: number; now: number }): Promise<boolean> {
    const { now, max } = limit ?? { now: 0, max: -1 };
    return (await this.#agent(reserve, row.agent, row.rid, row.match, row.exp, order, now, max)) === 1;
  }

  /** Takes back `enlist` and `reserve`: the row was not made. */
  async undo({ agent, rid, match }: StoredRequest): Promise<void> {
    await Promise.all([
      this.#link().run(delist, list, 'never', rid),
      this.#agent(leave, agent, 'never', rid, match),
    ]);
  }

  /** A row has been approved: it is open and no longer pending. */
  async decided(agent: string, rid: string): Promise<void> {
    await this.#agent(leave, agent, 'decided', rid, '');
  }

  /** A row has ended, or has been used. */
  async ended(agent: string, { rid, match }: Entry): Promise<void> {
    await Promise.all([
      this.#link().run(delist, list, 'open', rid),
      this.#agent(leave, agent, 'ended', rid, match),
    ]);
  }

  async rejected(agent: string, { rid, match }: Entry, at: number): Promise<void> {
    await Promise.all([
      this.#link().run(delist, list, 'open', rid),
      this.#agent(reject, agent, rid, match, at),
    ]);
  }

  async granted(agent: string, rid: string, until: number): Promise<void> {
    await this.#agent(granting, agent, rid, until);
  }

  /** Rows of all agents, newest first, created before `before`. */
  async newest(before: number | undefined, offset: number, count: number): Promise<string[]> {
    const bound = before === undefined ? '+inf' : `(${before}`;
    return (await this.#link().run(listed, list, 'all', bound, offset, count)) as string[];
  }

  /** Open rows of all agents whose time ends by `until`, soonest first. */
  async ending(until: number | undefined, offset: number, count: number): Promise<string[]> {
    return (await this.#link().run(listed, list, 'open', until ?? '+inf', offset, count)) as string[];
  }

  /** Rows of an agent, newest first. */
  async of(agent: string): Promise<string[]> {
    return (await this.#agent(entries, agent, 'all', 0)) as string[];
  }

  /** Open rows of an agent, oldest first. */
  async openOf(agent: string): Promise<Entry[]> {
    return ((await this.#agent(entries, agent, 'open', 0)) as string[]).map(entry);
  }

  async pendingOf(agent: string): Promise<string[]> {
    return (await this.#agent(entries, agent, 'pending', 0)) as string[];
  }

  /** Rows of an agent rejected at or after `since`, newest first. */
  async rejectedOf(agent: string, since: number): Promise<Entry[]> {
    return ((await this.#agent(entries, agent, 'rejected', since)) as string[]).map(entry);
  }

  /** Rows of an agent that carry a grant beyond `now`. */
  async grantedOf(agent: string, now: number): Promise<string[]> {
    return (await this.#agent(entries, agent, 'granted', now)) as string[];
  }

  /** Drops entries of an agent whose rows are gone. One whose row may be on its way is kept. */
  async forget(agent: string, gone: readonly Entry[]): Promise<void> {
    if (gone.length > 0) await this.#agent(forget, agent, ...gone.flatMap(({ rid, match }) => [rid, match]));
  }

  /** Drops entries of the list: of the open ones, or of all those whose rows are gone and not on their way. */
  async delist(what: 'open' | 'gone', rids: readonly string[]): Promise<void> {
    if (rids.length > 0) await this.#link().run(delist, list, what, ...rids);
  }

  #agent(script: Script, agent: string, ...args: readonly (string | number)[]): Promise<unknown> {
    return this.#link().run(script, agentKeys(agent), ...args);
  }
}

function entry(text: string): Entry {
  const space = text.indexOf(' ');
  return { rid: text.slice(0, space), match: text.slice(space + 1) };
}
