"""What must happen on the Redis server in one step, all of it or nothing.

KEYS[1] is the base of all keys that a script touches, with a hash tag, so they live in one place:

    <base>:<partition>               stream of SAMPLES, entries `<position>-0`: b = position of the
                                     entry before it in this stream, f = producer, d = payload
    <base>:installation              whose all this is
    <base>:last                      position of the newest record of the topic
    <base>:newest, <base>:count      hashes by partition: newest position, entries ever added
    <base>:series:<partition>:<gen>  hash: identity -> registration
    <base>:producer:<id>             the last group of a producer and its position
    <base>:events                    stream of events: as above, and p = partition
    <base>:bodies                    sorted set: body hash -> when it was published, in ms
    <base>:members:<group>           hash: member -> until and since when (ms), 1 call or 2
    <base>:leases:<group>            hash: partition -> member; good while that is one
    <base>:needs                     hash: process -> position up to which it needs nothing, until
    <base>:fence:<group>             hash: partition -> newest token
    <base>:checkpoint:<group>        hash: partition -> position (8 bytes), state
    <base>:covered:<group>           hash: partition -> that position, in decimals

A generation of a partition is `n_limit` entries. A stream never holds more than that, nor does a
group, so what is in the stream refers to one of the newest three generations; the hash of an older
one is dropped.
"""

from __future__ import annotations

from typing import Final

PUBLISH_SAMPLES: Final = """
-- ARGV: producer, group, n_limit, body_ms, body_limit, then counted runs of
--       (partition, generation, n_messages), (body_hash), (partition, identity, registration), and
--       the rest (partition, number of the body or 0, payload).
local base = KEYS[1]
local n_limit = tonumber(ARGV[3])
local producer = base .. ':producer:' .. ARGV[1]
local done = redis.call('GET', producer)
if done then
    local group, last = string.match(done, '^(%d+) (%d+)$')
    if group == ARGV[2] then return {'done', tonumber(last), 0} end
end
local at = 7
local generation = {}
local stale = {'stale'}
for _ = 1, tonumber(ARGV[6]) do
    local partition, expected, n = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local count = tonumber(redis.call('HGET', base .. ':count', partition) or '0')
    generation[partition] = math.floor(count / n_limit)
    if generation[partition] ~= expected then
        stale[#stale + 1] = tonumber(partition)
        stale[#stale + 1] = generation[partition]
    end
    if redis.call('XLEN', base .. ':' .. partition) + n > n_limit then
        return {'full', tonumber(partition)}
    end
    at = at + 3
end
if #stale > 1 then return stale end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local oldest_ms = now_ms - tonumber(ARGV[4])
local bodies = base .. ':bodies'
local known = {}
local n_known = 0
local n_bodies = tonumber(ARGV[at])
at = at + 1
for number = 1, n_bodies do
    local seen_ms = redis.call('ZSCORE', bodies, ARGV[at])
    if seen_ms and tonumber(seen_ms) > oldest_ms then
        known[tostring(number)] = true
        n_known = n_known + 1
    else
        redis.call('ZADD', bodies, now_ms, ARGV[at])
    end
    at = at + 1
end
if n_bodies > 0 then
    redis.call('ZREMRANGEBYSCORE', bodies, '-inf', oldest_ms)
    redis.call('ZREMRANGEBYRANK', bodies, 0, -1 - tonumber(ARGV[5]))
end
local n_registrations = tonumber(ARGV[at])
at = at + 1
for _ = 1, n_registrations do
    local partition = ARGV[at]
    local series = base .. ':series:' .. partition .. ':' .. generation[partition]
    redis.call('HSET', series, ARGV[at + 1], ARGV[at + 2])
    at = at + 3
end
local position = tonumber(redis.call('GET', base .. ':last') or '0')
while at < #ARGV do
    if not known[ARGV[at + 1]] then
        local partition = ARGV[at]
        position = redis.call('INCR', base .. ':last')
        local before = redis.call('HGET', base .. ':newest', partition) or '0'
        local here = string.format('%.0f', position)
        redis.call('XADD', base .. ':' .. partition, here .. '-0',
            'b', before, 'f', ARGV[1], 'd', ARGV[at + 2])
        redis.call('HSET', base .. ':newest', partition, here)
        local count = redis.call('HINCRBY', base .. ':count', partition, 1)
        if count % n_limit == 0 then
            local unused = string.format('%.0f', count / n_limit - 3)
            redis.call('UNLINK', base .. ':series:' .. partition .. ':' .. unused)
        end
    end
    at = at + 3
end
redis.call('SET', producer, ARGV[2] .. ' ' .. string.format('%.0f', position), 'EX', 86400)
return {'ok', position, n_known}
"""

PUBLISH_EVENTS: Final = """
-- ARGV: n_limit, then (sequence, partition, payload).
local base = KEYS[1]
local last = tonumber(redis.call('GET', base .. ':last') or '0')
for at = 2, #ARGV, 3 do
    local sequence = tonumber(ARGV[at])
    if sequence > last then
        -- Before the first event here, others may have been published and forgotten.
        local before = last
        if redis.call('EXISTS', base .. ':events') == 0 then before = sequence - 1 end
        redis.call('XADD', base .. ':events', 'MAXLEN', '~', ARGV[1], ARGV[at] .. '-0',
            'b', string.format('%.0f', before), 'p', ARGV[at + 1], 'd', ARGV[at + 2])
        last = sequence
    end
end
redis.call('SET', base .. ':last', string.format('%.0f', last))
return last
"""

CLAIM: Final = """
-- ARGV: installation. Whose this is: the first one's who came.
redis.call('SETNX', KEYS[1] .. ':installation', ARGV[1])
return redis.call('GET', KEYS[1] .. ':installation')
"""

LEASE: Final = """
-- ARGV: group, member, ttl in ms, n_partitions. Returns the fair share, then (partition, fence) of
-- what the member owns.
local base = KEYS[1]
local me, n_partitions = ARGV[2], tonumber(ARGV[4])
local members = base .. ':members:' .. ARGV[1]
local leases = base .. ':leases:' .. ARGV[1]
local fences = base .. ':fence:' .. ARGV[1]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local joined_ms, calls = now_ms, 1
local mine = redis.call('HGET', members, me)
if mine then
    joined_ms = tonumber(string.match(mine, '^%d+ (%d+)'))
    calls = 2
end
-- Shares add up to all partitions: what does not divide goes to those who joined first. Others
-- count from their second call on, so that nobody lets go of anything for one who died at once.
local alive = {[me] = true}
local n, rank = 1, 0
local known = redis.call('HGETALL', members)
for at = 1, #known, 2 do
    local member = known[at]
    local till_ms, since_ms, n_calls = string.match(known[at + 1], '^(%d+) (%d+) (%d)$')
    if member ~= me and tonumber(till_ms) <= now_ms then
        redis.call('HDEL', members, member)
    elseif member ~= me then
        alive[member] = true
        if n_calls == '2' then
            n = n + 1
            since_ms = tonumber(since_ms)
            local is_first = since_ms < joined_ms or (since_ms == joined_ms and member < me)
            if is_first then rank = rank + 1 end
        end
    end
end
redis.call('HSET', members, me,
    string.format('%.0f %.0f %d', now_ms + tonumber(ARGV[3]), joined_ms, calls))
local share = math.floor(n_partitions / n)
if rank < n_partitions % n then share = share + 1 end
local owner = {}
local held = redis.call('HGETALL', leases)
for at = 1, #held, 2 do owner[held[at]] = held[at + 1] end
local owned, free = {share}, {}
for partition = 0, n_partitions - 1 do
    local name = tostring(partition)
    if owner[name] == me then
        owned[#owned + 1] = partition
        owned[#owned + 1] = tonumber(redis.call('HGET', fences, name))
    elseif not alive[owner[name] or ''] then
        free[#free + 1] = partition
    end
end
for _, partition in ipairs(free) do
    if #owned > 2 * share then break end
    redis.call('HSET', leases, partition, me)
    owned[#owned + 1] = partition
    owned[#owned + 1] = redis.call('HINCRBY', fences, partition, 1)
end
return owned
"""

UNLEASE: Final = """
-- ARGV: group, member, 1 to leave the group, then partitions. What another owns is left alone.
local leases = KEYS[1] .. ':leases:' .. ARGV[1]
for at = 4, #ARGV do
    if redis.call('HGET', leases, ARGV[at]) == ARGV[2] then
        redis.call('HDEL', leases, ARGV[at])
    end
end
if ARGV[3] == '1' then redis.call('HDEL', KEYS[1] .. ':members:' .. ARGV[1], ARGV[2]) end
return 1
"""

CHECKPOINT: Final = """
-- ARGV: group, partition, fence, position, content. Returns the newest fence; the content was kept
-- if that is the one given.
local base = KEYS[1]
local newest = redis.call('HGET', base .. ':fence:' .. ARGV[1], ARGV[2]) or '0'
if newest == ARGV[3] then
    redis.call('HSET', base .. ':checkpoint:' .. ARGV[1], ARGV[2], ARGV[5])
    redis.call('HSET', base .. ':covered:' .. ARGV[1], ARGV[2], ARGV[4])
end
return tonumber(newest)
"""

RELEASE: Final = """
-- ARGV: n_partitions, position, process, ms to remember it, then groups. What others said that they
-- need counts too. Returns how far all partitions were released.
local base = KEYS[1]
local needs = base .. ':needs'
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', needs, ARGV[3], string.format('%s %.0f', ARGV[2], now_ms + tonumber(ARGV[4])))
local needed = tonumber(ARGV[2])
local known = redis.call('HGETALL', needs)
for at = 1, #known, 2 do
    local position, till_ms = string.match(known[at + 1], '^(%d+) (%d+)$')
    if tonumber(till_ms) <= now_ms then
        redis.call('HDEL', needs, known[at])
    else
        needed = math.min(needed, tonumber(position))
    end
end
local lowest = needed
for partition = 0, tonumber(ARGV[1]) - 1 do
    local position = needed
    for at = 5, #ARGV do
        local covered = redis.call('HGET', base .. ':covered:' .. ARGV[at], partition) or '0'
        position = math.min(position, tonumber(covered))
    end
    local first_kept = string.format('%.0f-0', position + 1)
    redis.call('XTRIM', base .. ':' .. partition, 'MINID', first_kept)
    lowest = math.min(lowest, position)
end
return lowest
"""
