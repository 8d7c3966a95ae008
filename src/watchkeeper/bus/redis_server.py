"""One Redis server: connected to, asked, and never quoted with its password."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from watchkeeper.errors import ConfigError, Retryable
from watchkeeper.telemetry import Secret

Stream = tuple[bytes, Sequence[tuple[bytes, Mapping[bytes, bytes]]]]
"""A stream's name and some of its entries: id and fields."""

_RETRIES: Final = 3
"""Of one call over a broken connection; every call that we make may be repeated."""
_IN_A_CRASH: Final = "may lose what was acknowledged when it crashes"
_WANTED: Final = {"maxmemory-policy": ("noeviction", "may drop what was acknowledged")}
_WANTED_DURABLE: Final = {
    "appendonly": ("yes", _IN_A_CRASH),
    "appendfsync": ("always", _IN_A_CRASH),
}


class RedisBusConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which server, and how much it keeps."""

    url: Annotated[
        Secret,
        Meta(description="redis://[user:password@]host:port/database, or rediss:// or unix://."),
    ] = msgspec.field(default_factory=lambda: Secret("redis://127.0.0.1:6379/0"))
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+$", description="Before every key.")] = (
        "watchkeeper"
    )
    stream_limit: Annotated[
        int,
        Meta(
            ge=100, description="Messages kept per partition; beyond it senders are told to retry."
        ),
    ] = 20_000
    event_limit: Annotated[
        int, Meta(ge=1, description="Events kept for followers that come back.")
    ] = 20_000
    body_limit: Annotated[
        int,
        Meta(ge=1, description="Bodies of the last ten minutes that are known to all, at most."),
    ] = 200_000
    take_limit: Annotated[
        int, Meta(ge=1, description="Messages per partition handed to a reader at once.")
    ] = 128
    timeout_s: Annotated[float, Meta(gt=1, description="How long the server may take.")] = 5.0
    durable: Annotated[
        bool,
        Meta(
            description="Insist that the server syncs each write (appendonly yes, appendfsync "
            "always). Without it a crash of the server loses samples that were acknowledged."
        ),
    ] = True


class Server:
    """Every fault of the server or of the way there is Retryable."""

    def __init__(self, config: RedisBusConfig, section: str = "bus") -> None:
        """`section` is where its settings stand."""
        self._durable = config.durable
        self._section = section
        self._client = _connect(config, section)
        settings: Mapping[str, Any] = self._client.connection_pool.connection_kwargs
        self.place = str(
            settings.get("path") or f"{settings.get('host')}:{settings.get('port', 6379)}"
        )
        self._password: str | None = settings.get("password")
        self._n_asking = 0
        self._idle = asyncio.Event()

    async def check(self) -> None:
        """Raises ConfigError, with every fault, where it is not set up to keep what it is given."""
        settings: dict[str, str] = {}
        async with self._asking("read its configuration"):
            for name in (*_WANTED, *_WANTED_DURABLE):
                reply: Mapping[Any, Any] = await self._client.config_get(name)
                settings |= {_text(name): _text(value) for name, value in reply.items()}
        wanted = _WANTED | (_WANTED_DURABLE if self._durable else {})
        faults = [
            f"bus redis: the server at {self.place} has {name} '{settings.get(name)}' and {why}; "
            f"run CONFIG SET {name} {value}, and put it into its file"
            for name, (value, why) in wanted.items()
            if settings.get(name) != value
        ]
        if faults:
            raise ConfigError(faults)

    async def run(self, script: str, base: str, *arguments: Any) -> Any:
        """A script's answer; see redis_scripts.py."""
        async with self._asking("run a script"):
            return await self._client.register_script(script)(keys=[base], args=arguments)

    async def read(
        self, after: Mapping[str, int], *, limit: int, block_s: float
    ) -> Sequence[Stream]:
        """Up to `limit` entries of each stream behind a position; waits if there is none.

        All of one moment. Whoever had to wait is handed one stream alone by servers older than 7.2,
        with entries that are newer than those of others: so what ends a wait is read again.
        """
        streams: Any = {name: f"{max(0, position)}-0" for name, position in after.items()}
        block_ms = max(1, round(block_s * 1000)) if block_s > 0 else None
        async with self._asking("read"):
            reply: Any = await self._client.xread(streams, count=limit, block=block_ms)
            if block_ms and len(reply) == 1 and len(streams) > 1:
                reply = await self._client.xread(streams, count=limit)
        found: Sequence[Stream] = reply
        return found

    async def number(self, key: str) -> int:
        async with self._asking("read"):
            return int(await self._client.get(key) or 0)

    async def fields(self, key: str, names: Sequence[bytes | str]) -> Sequence[bytes | None]:
        async with self._asking("read"):
            found: Any = await self._client.hmget(key, list(names))
        values: Sequence[bytes | None] = found
        return values

    async def close(self) -> None:
        """After all that is being asked was answered: a connection in use cannot be closed."""
        while self._n_asking:
            self._idle.clear()
            await self._idle.wait()
        await self._client.aclose()

    @asynccontextmanager
    async def _asking(self, what: str) -> AsyncIterator[None]:
        self._n_asking += 1
        try:
            yield
        except RedisError as error:
            text = str(error).replace(self._password or "\0", "***")
            # The cause is left out, for it may hold what the text must not.
            raise Retryable(
                f"{self._section} redis: cannot {what} at {self.place}: {type(error).__name__}: "
                f"{text}; check the server and {self._section}.url"
            ) from None
        finally:
            self._n_asking -= 1
            self._idle.set()


def _connect(config: RedisBusConfig, section: str) -> Redis:
    try:
        return Redis.from_url(
            config.url.reveal(),
            protocol=2,
            socket_timeout=config.timeout_s,
            socket_connect_timeout=config.timeout_s,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), _RETRIES),
        )
    except ValueError:
        raise ConfigError(
            f"{section} redis: {section}.url is no address of a server; write "
            "redis://host:port/database"
        ) from None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
