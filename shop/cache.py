"""What is kept for a short time: in Redis, or in the memory of one process."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from shop.database import Watch, Where, nobody

if TYPE_CHECKING:
    import redis

PATIENCE_S = 3.0


class Cache(Protocol):
    def get(self, key: str) -> Any | None: ...

    def put(self, key: str, value: object, keep_s: float) -> None: ...


class Memory:
    """A few values."""

    def __init__(self, size: int = 1_000) -> None:
        self._size = size
        self._kept: dict[str, tuple[float, object]] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Any | None:
        with self._lock:
            until, value = self._kept.get(key, (0.0, None))
        return value if time.monotonic() < until else None

    def put(self, key: str, value: object, keep_s: float) -> None:
        with self._lock:
            if len(self._kept) >= self._size:
                self._kept.clear()
            self._kept[key] = time.monotonic() + keep_s, value


class Redis:
    """Whoever waits for it waits for so long at most, and fails then."""

    def __init__(self, where: Where, watch: Watch = nobody) -> None:
        self._where, self._watch = where, watch
        self._lock = threading.Lock()
        self._asked: tuple[tuple[str, int], redis.Redis] | None = None

    def get(self, key: str) -> Any | None:
        with self._watch("GET"):
            found = self._client().get(key)
        return None if found is None else json.loads(found)

    def put(self, key: str, value: object, keep_s: float) -> None:
        with self._watch("SET"):
            self._client().set(key, json.dumps(value), px=max(1, round(keep_s * 1e3)))

    def _client(self) -> redis.Redis:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        where = self._where()
        with self._lock:
            if self._asked is None or self._asked[0] != where:
                client = redis.Redis(
                    *where,
                    socket_timeout=PATIENCE_S,
                    socket_connect_timeout=PATIENCE_S,
                    retry=Retry(NoBackoff(), 0),
                )
                self._asked = where, client
            return self._asked[1]
