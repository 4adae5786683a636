// The steps of the Redis store that must happen whole: one Lua script each, run by the server without anything between.
// Every key carries one hash tag, so in a cluster they share a slot and a script may reach them all. Times come in as
// arguments: the caller's clock decides, as the port says.
//
//   {holdpoint}:r:<rid>    hash    the row: what never changes as one JSON text, and each thing that does as a field
//   {holdpoint}:v:<rid>    list    votes, JSON texts, in their order
//   {holdpoint}:w:<rid>    set     who has voted
//   {holdpoint}:all        zset    rid by order of creation
//   {holdpoint}:open       zset    pending and approved rids by the end of their time
//   {holdpoint}:a:<agent>  zset    an agent's open rids by order of creation
//   {holdpoint}:changed    channel rid of every row that changed

export const prefix = '{holdpoint}:';
export const channel = `${prefix}changed`;

/** Rows kept at most in the list; open ones beyond it still work, they are only not listed. */
const listedRowsMax = 10_000;

const common = `
local P = '${prefix}'
local function announce(rid) redis.call('PUBLISH', P .. 'changed', rid) end
local function closed(rid, agent)
  redis.call('ZREM', P .. 'open', rid)
  redis.call('ZREM', P .. 'a:' .. agent, rid)
end
local function whole(rid)
  local row = redis.call('HGETALL', P .. 'r:' .. rid)
  if #row == 0 then return false end
  return {row, redis.call('LRANGE', P .. 'v:' .. rid, 0, -1)}
end
`;

/** rid, fixed, rd, agent, match, quorum, exp, state, holder, values, pendingMax, now, keepMs → 1, 0 too many, -1 exists */
export const create = `${common}
local rid, fixed, rd, agent, match, quorum, exp, state, holder, values, max, now, keep = unpack(ARGV)
if redis.call('EXISTS', P .. 'r:' .. rid) == 1 then return -1 end
local pending = 0
for _, other in ipairs(redis.call('ZRANGE', P .. 'a:' .. agent, 0, -1)) do
  local row = redis.call('HMGET', P .. 'r:' .. other, 'state', 'exp')
  if row[1] == 'pending' and tonumber(row[2]) > tonumber(now) then pending = pending + 1 end
end
if pending >= tonumber(max) then return 0 end
redis.call('HSET', P .. 'r:' .. rid, 'fixed', fixed, 'rd', rd, 'agent', agent, 'match', match, 'quorum', quorum,
  'exp', exp, 'state', state, 'holder', holder, 'values', values, 'ending', '', 'approvals', 0)
redis.call('PEXPIRE', P .. 'r:' .. rid, keep)
local serial = redis.call('INCR', P .. 'serial')
redis.call('ZADD', P .. 'all', serial, rid)
redis.call('ZADD', P .. 'open', exp, rid)
redis.call('ZADD', P .. 'a:' .. agent, serial, rid)
redis.call('ZREMRANGEBYRANK', P .. 'all', 0, -${listedRowsMax + 1})
announce(rid)
return 1`;

/** rid → the row and its votes, or nil */
export const get = `${common} return whole(ARGV[1])`;

/** agent, match, state, now → the oldest free row, or nil */
export const findFree = `${common}
local agent, match, state, now = unpack(ARGV)
for _, rid in ipairs(redis.call('ZRANGE', P .. 'a:' .. agent, 0, -1)) do
  local row = redis.call('HMGET', P .. 'r:' .. rid, 'match', 'state', 'holder', 'exp')
  if row[1] == match and row[2] == state and row[3] == '' and tonumber(row[4]) > tonumber(now) then
    return whole(rid)
  end
end
return false`;

/** rid, from, to → 1 or 0 */
export const hold = `${common}
local rid, from, to = unpack(ARGV)
local row = redis.call('HMGET', P .. 'r:' .. rid, 'state', 'holder')
if (row[1] ~= 'pending' and row[1] ~= 'approved') or row[2] ~= from then return 0 end
redis.call('HSET', P .. 'r:' .. rid, 'holder', to)
announce(rid)
return 1`;

/** rid, rd, approver, verdict, vote, ending, keepMs → {'counted', row, votes} or {why, state} */
export const vote = `${common}
local rid, rd, approver, verdict, vote, ending, keep = unpack(ARGV)
local key = P .. 'r:' .. rid
local row = redis.call('HMGET', key, 'rd', 'state', 'quorum', 'agent')
if not row[1] then return {'missing'} end
if row[1] ~= rd then return {'digest'} end
if row[2] ~= 'pending' then return {'settled', row[2]} end
if redis.call('SADD', P .. 'w:' .. rid, approver) == 0 then return {'voted'} end
redis.call('PEXPIRE', P .. 'w:' .. rid, keep)
redis.call('RPUSH', P .. 'v:' .. rid, vote)
redis.call('PEXPIRE', P .. 'v:' .. rid, keep)
if verdict == 'reject' then
  redis.call('HSET', key, 'state', 'rejected', 'values', '', 'ending', ending)
  closed(rid, row[4])
elseif redis.call('HINCRBY', key, 'approvals', 1) >= tonumber(row[3]) then
  redis.call('HSET', key, 'state', 'approved')
end
announce(rid)
local now = whole(rid)
return {'counted', now[1], now[2]}`;

/** rid, rd, holder → 1 or 0 */
export const consume = `${common}
local rid, rd, holder = unpack(ARGV)
local key = P .. 'r:' .. rid
local row = redis.call('HMGET', key, 'rd', 'state', 'holder', 'agent')
if row[1] ~= rd or row[2] ~= 'approved' or row[3] ~= holder then return 0 end
redis.call('HSET', key, 'state', 'consumed', 'values', '')
closed(rid, row[4])
announce(rid)
return 1`;

/** rid, to, ending, from… → 1 or 0 */
export const finish = `${common}
local rid, to, ending = ARGV[1], ARGV[2], ARGV[3]
local key = P .. 'r:' .. rid
local row = redis.call('HMGET', key, 'state', 'agent')
for index = 4, #ARGV do
  if row[1] == ARGV[index] then
    redis.call('HSET', key, 'state', to, 'values', '', 'ending', ending)
    closed(rid, row[2])
    announce(rid)
    return 1
  end
end
return 0`;

/** state or '', agent or '', rowsMax → rows, newest first; names of rows that are gone are dropped */
export const list = `${common}
local state, agent, max = ARGV[1], ARGV[2], tonumber(ARGV[3])
local rows = {}
for _, rid in ipairs(redis.call('ZREVRANGE', P .. 'all', 0, -1)) do
  if #rows >= max then break end
  local row = redis.call('HMGET', P .. 'r:' .. rid, 'state', 'agent')
  if not row[1] then
    redis.call('ZREM', P .. 'all', rid)
  elseif (state == '' or row[1] == state) and (agent == '' or row[2] == agent) then
    rows[#rows + 1] = whole(rid)
  end
end
return rows`;

/** now, rowsMax → open rows past their time */
export const overdue = `${common}
local rows = {}
for _, rid in ipairs(redis.call('ZRANGEBYSCORE', P .. 'open', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  local row = whole(rid)
  if row then rows[#rows + 1] = row else redis.call('ZREM', P .. 'open', rid) end
end
return rows`;
