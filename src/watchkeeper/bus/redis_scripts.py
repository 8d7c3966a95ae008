"""What must happen on the Redis server in one step, all of it or nothing.

KEYS[1] is the base of all keys that a script touches, with a hash tag, so they live in one place:

    <base>:<partition>               stream of SAMPLES, entries `<position>-0`: b = position of the
                                     entry before it in this stream, f = producer, d = payload
    <base>:last                      position of the newest record of the topic
    <base>:newest, <base>:count      hashes by partition: newest position, entries ever added
    <base>:series:<partition>:<gen>  hash: identity -> registration
    <base>:producer:<id>             the last group of a producer and its position
    <base>:events                    stream of events: as above, and p = partition
    <base>:fence:<group>, <base>:lease:<group>:<partition>
    <base>:checkpoint:<group>        hash: partition -> position (8 bytes), state
    <base>:covered:<group>           hash: partition -> that position, in decimals

A generation of a partition is `n_limit` entries. A stream never holds more than that, nor does a
group, so what is in the stream refers to one of the newest three generations; the hash of an older
one is dropped.
"""

from __future__ import annotations

from typing import Final

PUBLISH_SAMPLES: Final = """
-- ARGV: producer, group, n_limit, then counted runs of
--       (partition, generation, n_messages), (partition, identity, registration), and the rest
--       (partition, payload).
local base = KEYS[1]
local n_limit = tonumber(ARGV[3])
local producer = base .. ':producer:' .. ARGV[1]
local done = redis.call('GET', producer)
if done then
    local group, last = string.match(done, '^(%d+) (%d+)$')
    if group == ARGV[2] then return {'done', tonumber(last)} end
end
local at = 5
local generation = {}
local stale = {'stale'}
for _ = 1, tonumber(ARGV[4]) do
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
local n_registrations = tonumber(ARGV[at])
at = at + 1
for _ = 1, n_registrations do
    local partition = ARGV[at]
    local series = base .. ':series:' .. partition .. ':' .. generation[partition]
    redis.call('HSET', series, ARGV[at + 1], ARGV[at + 2])
    at = at + 3
end
local position = 0
while at < #ARGV do
    local partition = ARGV[at]
    position = redis.call('INCR', base .. ':last')
    local before = redis.call('HGET', base .. ':newest', partition) or '0'
    local here = string.format('%.0f', position)
    redis.call('XADD', base .. ':' .. partition, here .. '-0',
        'b', before, 'f', ARGV[1], 'd', ARGV[at + 1])
    redis.call('HSET', base .. ':newest', partition, here)
    local count = redis.call('HINCRBY', base .. ':count', partition, 1)
    if count % n_limit == 0 then
        local unused = string.format('%.0f', count / n_limit - 3)
        redis.call('UNLINK', base .. ':series:' .. partition .. ':' .. unused)
    end
    at = at + 2
end
redis.call('SET', producer, ARGV[2] .. ' ' .. string.format('%.0f', position), 'EX', 86400)
return {'ok', position}
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

LEASE: Final = """
-- ARGV: group, partition, owner, ttl in ms.
local base = KEYS[1]
local lease = base .. ':lease:' .. ARGV[1] .. ':' .. ARGV[2]
local owner = redis.call('GET', lease)
if owner and owner ~= ARGV[3] then return false end
local fences = base .. ':fence:' .. ARGV[1]
local fence
if owner then
    fence = tonumber(redis.call('HGET', fences, ARGV[2]))
else
    fence = redis.call('HINCRBY', fences, ARGV[2], 1)
end
redis.call('SET', lease, ARGV[3], 'PX', ARGV[4])
return fence
"""

RETURN_LEASES: Final = """
-- ARGV: owner, then (group, partition). What another one owns by now is left alone.
for at = 2, #ARGV, 2 do
    local lease = KEYS[1] .. ':lease:' .. ARGV[at] .. ':' .. ARGV[at + 1]
    if redis.call('GET', lease) == ARGV[1] then redis.call('DEL', lease) end
end
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
-- ARGV: n_partitions, position, then groups. Returns how far all partitions were released.
local base = KEYS[1]
local lowest = tonumber(ARGV[2])
for partition = 0, tonumber(ARGV[1]) - 1 do
    local position = tonumber(ARGV[2])
    for at = 3, #ARGV do
        local covered = redis.call('HGET', base .. ':covered:' .. ARGV[at], partition) or '0'
        position = math.min(position, tonumber(covered))
    end
    local first_kept = string.format('%.0f-0', position + 1)
    redis.call('XTRIM', base .. ':' .. partition, 'MINID', first_kept)
    lowest = math.min(lowest, position)
end
return lowest
"""
