"""Statements for the shop's database past its services: PostgreSQL, or SQLite in a file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shop.breaks.processes import Failed
from shop.directory import Directory
from shop.stores import POSTGRES

if TYPE_CHECKING:
    import psycopg

SQLITE = "shop.db"
WAIT_S = 10


def connected(shop: Directory) -> psycopg.Connection[Any]:
    """To PostgreSQL, as services are. Raises psycopg's errors."""
    import psycopg

    at = shop.stores[POSTGRES]
    return psycopg.connect(
        host=at.host,
        port=at.port,
        user="shop",
        dbname="postgres",
        connect_timeout=WAIT_S,
        autocommit=True,
        application_name="shop.breaks",
    )


def execute(shop: Directory, home: Path, statements: Sequence[str]) -> None:
    """One after the other. Raises Failed."""
    if POSTGRES not in shop.stores:
        _sqlite(home / SQLITE, statements)
        return
    import psycopg

    try:
        with connected(shop) as db:
            for statement in statements:
                db.execute(statement.encode())
    except psycopg.Error as error:
        raise Failed(f"PostgreSQL refuses: {' '.join(str(error).split())}") from error


def _sqlite(file: Path, statements: Sequence[str]) -> None:
    try:
        with closing(sqlite3.connect(file, timeout=WAIT_S)) as db, db:
            for statement in statements:
                db.execute(statement)
    except sqlite3.Error as error:
        raise Failed(f"{file}: {error}") from error
