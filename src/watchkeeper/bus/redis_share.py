"""Telemetry, baselines and anomalies in a Redis where other programs look for them.

    <prefix>events:metrics, events:logs, events:deployments   streams
    <prefix>deployments:<service>                             sorted set, by time in seconds
    <prefix>baseline:<service>:<metric>                       hash
    <prefix>recent_anomalies:<service>                        list, the newest first
    <prefix>watchkeeper:<installation>                        hash: how far each topic was put here

Several processes may put the same things here: each position counts once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from watchkeeper.bus.redis_server import RedisBusConfig, Server
from watchkeeper.bus.share import Fields, Recent, ShareConfig, Told
from watchkeeper.errors import Retryable
from watchkeeper.telemetry import Secret

_TELL: Final = """
-- ARGV: position, commands in msgpack. Nothing, if the position was reached before.
if tonumber(ARGV[1]) <= tonumber(redis.call('HGET', KEYS[1], 'records') or '-1') then return 0 end
for _, command in ipairs(cmsgpack.unpack(ARGV[2])) do redis.call(unpack(command)) end
redis.call('HSET', KEYS[1], 'records', ARGV[1])
return 1
"""

_TELL_ANOMALIES: Final = """
-- ARGV: position, n_kept, seconds to keep, then (key, id, content).
if tonumber(ARGV[1]) <= tonumber(redis.call('HGET', KEYS[1], 'anomalies') or '-1') then
    return 0
end
for at = 4, #ARGV, 3 do
    local place = nil
    for index, content in ipairs(redis.call('LRANGE', ARGV[at], 0, -1)) do
        local is_json, read = pcall(cjson.decode, content)
        if is_json and type(read) == 'table' and read['id'] == ARGV[at + 1] then
            place = index - 1
        end
    end
    if place then
        redis.call('LSET', ARGV[at], place, ARGV[at + 2])
    else
        redis.call('LPUSH', ARGV[at], ARGV[at + 2])
        redis.call('LTRIM', ARGV[at], 0, ARGV[2] - 1)
    end
    redis.call('EXPIRE', ARGV[at], ARGV[3])
end
redis.call('HSET', KEYS[1], 'anomalies', ARGV[1])
return 1
"""

_RUN: Final = """
-- ARGV: commands in msgpack.
for _, command in ipairs(cmsgpack.unpack(ARGV[1])) do redis.call(unpack(command)) end
return 1
"""

Command = list[str]


class RedisShare:
    """Implements `bus.share.Share`. `installation` tells whose positions these are."""

    def __init__(self, config: ShareConfig, installation: str) -> None:
        url = config.url or Secret("")
        bus = RedisBusConfig(url=url, timeout_s=config.timeout_s, durable=False)
        self._config = config
        self._server = Server(bus, section="share")
        self._reached = f"{config.prefix}watchkeeper:{installation}"
        self._keep_s = str(max(1, round(config.keep_s)))

    async def reached(self) -> tuple[int, int]:
        records, anomalies = await self._server.fields(self._reached, ["records", "anomalies"])
        return int(records or 0), int(anomalies or 0)

    async def tell(self, position: int, told: Told) -> None:
        commands = [
            *self._added("events:metrics", told.metrics),
            *self._added("events:logs", told.logs),
            *self._added("events:deployments", [entry for _, _, entry in told.deployments]),
        ]
        for service, time_s, entry in told.deployments:
            commands += self._deployed(service, time_s, entry)
        await self._run(_TELL, position, msgspec.msgpack.encode(commands))

    async def tell_anomalies(self, position: int, recent: Sequence[Recent]) -> None:
        arguments: list[str | int] = [position, self._config.anomalies, self._keep_s]
        for one in recent:
            arguments += (self._key(f"recent_anomalies:{one.service}"), one.id, one.content)
        await self._run(_TELL_ANOMALIES, *arguments)

    async def tell_baselines(self, baselines: Mapping[tuple[str, str], Fields]) -> None:
        commands: list[Command] = []
        for (service, metric), fields in baselines.items():
            key = self._key(f"baseline:{service}:{metric}")
            commands.append(["HSET", key, *_flat(fields)])
            commands.append(["EXPIRE", key, self._keep_s])
        if commands:
            await self._run(_RUN, msgspec.msgpack.encode(commands))

    async def close(self) -> None:
        await self._server.close()

    async def _run(self, script: str, *arguments: Any) -> None:
        """In the time given, tries and all: a stop waits for it."""
        try:
            async with asyncio.timeout(self._config.timeout_s):
                await self._server.run(script, self._reached, *arguments)
        except TimeoutError:
            raise Retryable(
                f"share redis: no answer from {self._server.place} in "
                f"{self._config.timeout_s:g} s; check the server and share.url"
            ) from None

    def _key(self, name: str) -> str:
        return self._config.prefix + name

    def _added(self, stream: str, entries: Sequence[Fields]) -> Iterator[Command]:
        limit = str(self._config.stream_limit)
        for entry in entries:
            yield ["XADD", self._key(stream), "MAXLEN", "~", limit, "*", *_flat(entry)]

    def _deployed(self, service: str, time_s: float, entry: Fields) -> Iterator[Command]:
        key = self._key(f"deployments:{service}")
        member = {**entry, "metadata": json.loads(entry["metadata"])}
        yield ["ZADD", key, repr(time_s), json.dumps(member, ensure_ascii=False)]
        yield ["ZREMRANGEBYRANK", key, "0", str(-1 - self._config.deployments)]
        yield ["EXPIRE", key, self._keep_s]


def _flat(fields: Fields) -> Iterator[str]:
    for name, value in fields.items():
        yield name
        yield value
