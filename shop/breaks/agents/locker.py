"""Holds a lock that a service has to have: of a table in PostgreSQL, of all writers in SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from shop import directory
from shop.breaks.agent import May
from shop.breaks.sql import SQLITE, WAIT_S, connected
from shop.stores import POSTGRES

LOOK_S = 0.2


def run(may: May, *, table: str, on_s: float, off_s: float) -> None:
    """For so long at a time, with so long between. A process that ends lets go."""
    shop = directory.read(may.home)
    execute: Callable[[str], object]
    if POSTGRES in shop.stores:
        server = connected(shop)
        lock: tuple[str, ...] = ("BEGIN", f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        execute = lambda statement: server.execute(statement.encode())  # noqa: E731
    else:
        file = sqlite3.connect(may.home / SQLITE, timeout=WAIT_S, isolation_level=None)
        lock = ("BEGIN IMMEDIATE",)
        execute = file.execute
    is_first = True
    while may:
        for statement in lock:
            execute(statement)
        if is_first:
            may.ready()
            is_first = False
        _wait(may, on_s)
        execute("ROLLBACK")
        _wait(may, off_s)


def _wait(may: May, for_s: float) -> None:
    until = time.monotonic() + for_s
    while may and time.monotonic() < until:
        time.sleep(min(LOOK_S, for_s))
