"""The SQL of the PostgreSQL store."""

from __future__ import annotations

from functools import cache, partial
from typing import Final

from watchkeeper.store import sql

_PACKAGE: Final = "watchkeeper.store.postgres"

queries = partial(sql.queries, _PACKAGE)
migrations = partial(sql.migrations, _PACKAGE)


@cache
def query(name: str) -> bytes:
    """A statement by name, as the driver takes one that is no literal."""
    return queries()[name].encode()
