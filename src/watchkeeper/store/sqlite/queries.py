"""The SQL of the SQLite store."""

from __future__ import annotations

from functools import partial
from typing import Final

from watchkeeper.store import sql
from watchkeeper.store.sql import Migration as Migration

_PACKAGE: Final = "watchkeeper.store.sqlite"

queries = partial(sql.queries, _PACKAGE)
migrations = partial(sql.migrations, _PACKAGE)
