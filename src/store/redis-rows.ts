// Redis rows: the steps of one request that must happen whole: one Lua script each, run by the server without anything
// in between. All keys of a request carry its name as hash tag, so that in a Cluster they are in one slot:
//
//   hp:{<rid>}:row     hash   what never changes as one JSON text, and each thing that does as a field
//   hp:{<rid>}:votes   list   votes, JSON texts, in their order
//   hp:{<rid>}:voters  set    who has voted
//   hp:changed         channel  `<rid>` of every row that changed; `<rid> <exp>` when that was its use
//
// A row's lineage is the replication ID of the primary on which it was made. Redis draws a new one whenever a replica is
// promoted and whenever a server starts, so a row whose lineage is not the present one lives in a store that may have
// forgotten what had happened to it: it is stale. Within one lineage nothing that was answered is ever undone.

import type { Script } from './redis-link.ts';

export const channel = 'hp:changed';

export function rowKeys(rid: string): [string, string, string] {
  return [`hp:{${rid}}:row`, `hp:{${rid}}:votes`, `hp:{${rid}}:voters`];
}

const common = `
local ROW, VOTES, VOTERS = KEYS[1], KEYS[2], KEYS[3]
local function lineage()
  local info = redis.call('INFO', 'replication')
  if not string.find(info, 'role:master', 1, true) then return '' end
  return string.match(info, 'master_replid:(%x+)') or ''
end
local function announce(message) redis.call('PUBLISH', '${channel}', message) end
local function open(state) return state == 'pending' or state == 'approved' end
local function stale(state, made) return open(state) and made ~= lineage() end
local function whole()
  local row = redis.call('HGETALL', ROW)
  if #row == 0 then return false end
  local at = redis.call('HMGET', ROW, 'state', 'lineage')
  return {row, redis.call('LRANGE', VOTES, 0, -1), stale(at[1], at[2]) and 1 or 0}
end
`;

function script(name: string, lua: string): Script {
  return { name: `holdpoint_${name}`, keys: 3, lua: `${common}${lua}` };
}

/** rid, keepMs, then names and values of fields → 1, or 0 if there is one already */
export const create = script(
  'create',
  `
if redis.call('EXISTS', ROW) == 1 then return 0 end
redis.call('HSET', ROW, 'lineage', lineage(), unpack(ARGV, 3))
redis.call('PEXPIRE', ROW, ARGV[2])
announce(ARGV[1])
return 1`,
);

/** → the row, its votes, and whether it is stale; or nil */
export const get = script('get', 'return whole()');

/** → state, agent, target, match, holder, exp, order, stale; or nil. What lookups are filtered by. */
export const peek = script(
  'peek',
  `
local row = redis.call('HMGET', ROW, 'state', 'agent', 'target', 'match', 'holder', 'exp', 'order', 'lineage')
if not row[1] then return false end
row[8] = stale(row[1], row[8]) and '1' or ''
return row`,
);

/** rid, from, to → 1 or 0 */
export const hold = script(
  'hold',
  `
local rid, from, to = unpack(ARGV)
local row = redis.call('HMGET', ROW, 'state', 'holder', 'lineage')
if not open(row[1]) or row[2] ~= from then return 0 end
if from == '' and stale(row[1], row[3]) then return 0 end
redis.call('HSET', ROW, 'holder', to)
announce(rid)
return 1`,
);

/** rid, rd, approver, verdict, vote, ending, alone ('1' or '') → {'counted', row, votes, stale} or {why, state} */
export const vote = script(
  'vote',
  `
local rid, rd, approver, verdict, vote, ending, alone = unpack(ARGV)
local row = redis.call('HMGET', ROW, 'rd', 'state', 'quorum', 'holder', 'lineage')
if not row[1] then return {'missing'} end
if row[1] ~= rd then return {'digest'} end
if row[2] ~= 'pending' then return {'settled', row[2]} end
if row[4] == '' and stale(row[2], row[5]) then return {'stale'} end
if redis.call('SADD', VOTERS, approver) == 0 then return {'voted'} end
redis.call('RPUSH', VOTES, vote)
local keep = redis.call('PTTL', ROW)
redis.call('PEXPIRE', VOTERS, keep)
redis.call('PEXPIRE', VOTES, keep)
if verdict == 'reject' then
  redis.call('HSET', ROW, 'state', 'rejected', 'values', '', 'ending', ending)
elseif redis.call('HINCRBY', ROW, 'approvals', 1) >= tonumber(row[3]) or alone == '1' then
  redis.call('HSET', ROW, 'state', 'approved')
end
announce(rid)
return {'counted', unpack(whole())}`,
);

/** rid, rd, holder, sole ('1' or '') → {agent, match}, or nil if it was not this caller's to use */
export const consume = script(
  'consume',
  `
local rid, rd, holder, sole = unpack(ARGV)
local row = redis.call('HMGET', ROW, 'rd', 'state', 'holder', 'lineage', 'exp', 'agent', 'match')
if row[1] ~= rd or row[2] ~= 'approved' or row[3] ~= holder then return false end
if sole ~= '1' and stale(row[2], row[4]) then return false end
redis.call('HSET', ROW, 'state', 'consumed', 'values', '')
announce(rid .. ' ' .. row[5])
return {row[6], row[7]}`,
);

/** rid, to, ending, from… → {agent, match}, or nil if its state was none of those */
export const finish = script(
  'finish',
  `
local rid, to, ending = ARGV[1], ARGV[2], ARGV[3]
local row = redis.call('HMGET', ROW, 'state', 'agent', 'match')
for index = 4, #ARGV do
  if row[1] == ARGV[index] then
    redis.call('HSET', ROW, 'state', to, 'values', '', 'ending', ending)
    announce(rid)
    return {row[2], row[3]}
  end
end
return false`,
);

/** rid, rd, until, keepMs → its agent, or nil. A grant has a lineage of its own: what it was used for must not be forgotten. */
export const grant = script(
  'grant',
  `
local rid, rd, till, keep = unpack(ARGV)
local row = redis.call('HMGET', ROW, 'rd', 'state', 'granted', 'agent')
if row[1] ~= rd or (row[2] ~= 'consumed' and row[2] ~= 'executed') or row[3] then return false end
redis.call('HSET', ROW, 'granted', till, 'uses', 0, 'rows', 0, 'grantLineage', lineage())
if redis.call('PTTL', ROW) < tonumber(keep) then
  redis.call('PEXPIRE', ROW, keep)
  redis.call('PEXPIRE', VOTES, keep)
  redis.call('PEXPIRE', VOTERS, keep)
end
announce(rid)
return row[4]`,
);

/** now → 1 if it carries a grant whose every use is known */
export const granted = script(
  'granted',
  `
local row = redis.call('HMGET', ROW, 'granted', 'grantLineage')
if not row[1] or tonumber(row[1]) <= tonumber(ARGV[1]) or row[2] ~= lineage() then return 0 end
return 1`,
);

/** rid, rd, uses, rows, usesMax, rowsMax, now → {uses, rows} after it, as texts, or nil */
export const spend = script(
  'spend',
  `
local rid, rd = ARGV[1], ARGV[2]
local add, addRows, max, maxRows, now = unpack(ARGV, 3)
local row = redis.call('HMGET', ROW, 'rd', 'granted', 'uses', 'rows', 'grantLineage')
if row[1] ~= rd or not row[2] or tonumber(row[2]) <= tonumber(now) or row[5] ~= lineage() then return false end
local uses = tonumber(row[3]) + tonumber(add)
local rows = math.max(0, tonumber(row[4]) + tonumber(addRows))
if uses > tonumber(max) or rows > tonumber(maxRows) then return false end
local texts = {string.format('%.0f', uses), string.format('%.0f', rows)}
redis.call('HSET', ROW, 'uses', texts[1], 'rows', texts[2])
announce(rid)
return texts`,
);

/** rid → its agent, or nil if it has no grant */
export const revoke = script(
  'revoke',
  `
if redis.call('HDEL', ROW, 'granted') == 0 then return false end
announce(ARGV[1])
return redis.call('HGET', ROW, 'agent')`,
);

/** → the lineage of the server that has this slot; empty where it does not tell */
export const lineage = script('lineage', 'return lineage()');

export const rowScripts: readonly Script[] = [
  create,
  get,
  peek,
  hold,
  vote,
  consume,
  finish,
  grant,
  granted,
  spend,
  revoke,
  lineage,
];
