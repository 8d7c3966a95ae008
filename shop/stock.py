"""Where the shop keeps things: SQLite on disk, and a cache in memory before it."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

ITEMS = 50
FULL = 1_000_000
CACHE_S = 1.0


class Stock:
    """How much is left of each item. A connection a call: SQLite's are of one thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with closing(self._open()) as db, db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE IF NOT EXISTS stock (item INTEGER PRIMARY KEY, n INTEGER)")
            db.executemany(
                "INSERT OR IGNORE INTO stock VALUES (?, ?)", [(k, FULL) for k in range(ITEMS)]
            )

    def left(self, item: int) -> int | None:
        with closing(self._open()) as db:
            row = db.execute("SELECT n FROM stock WHERE item = ?", (item,)).fetchone()
        return None if row is None else int(row[0])

    def take(self, item: int) -> bool:
        """Whether there was one to take."""
        with closing(self._open()) as db, db:
            found = db.execute("UPDATE stock SET n = n - 1 WHERE item = ? AND n > 0", (item,))
            return found.rowcount == 1

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=5.0)


class Cache:
    """A few values for a short time."""

    def __init__(self, keep_s: float = CACHE_S, size: int = 1_000) -> None:
        self._keep_s, self._size = keep_s, size
        self._kept: dict[str, tuple[float, object]] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> object | None:
        with self._lock:
            until, value = self._kept.get(key, (0.0, None))
        return value if time.monotonic() < until else None

    def put(self, key: str, value: object) -> None:
        with self._lock:
            if len(self._kept) >= self._size:
                self._kept.clear()
            self._kept[key] = time.monotonic() + self._keep_s, value
