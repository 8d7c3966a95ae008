"""What a process imports before it is needed, everybody pays at every start."""

from __future__ import annotations

import subprocess
import sys

import pytest

DRIVERS = {"duckdb", "redis", "psycopg", "opentelemetry.sdk"}
"""Optional, or needed by what few ask for."""
SERVER = {"numba", "llvmlite", "pyarrow", "fastapi", "pydantic", "uvicorn", "grpc", "google"}
SETTINGS = {"watchkeeper.config.loading", "watchkeeper.plugins", "watchkeeper.store"}
"""A server's, which whoever talks to one need not know."""
CLIENT = {"numpy", "httpx", "rich", "yaml", "msgspec", "asyncio"}

HELP = """
from contextlib import suppress
from watchkeeper.cli import main
with suppress(SystemExit):
    main("{} --help".split())
"""


def imported_by(code: str) -> set[str]:
    tell = "import sys; print(*sys.modules, sep='\\n', file=sys.stderr)"
    command = [sys.executable, "-c", f"{code}\n{tell}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        pytest.param(HELP.format(""), CLIENT | SERVER | DRIVERS, id="help"),
        pytest.param(HELP.format("query"), SERVER | SETTINGS | DRIVERS, id="query"),
        pytest.param("import watchkeeper.app, watchkeeper.cli.ahead", DRIVERS, id="server"),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code: str, heavy: set[str]) -> None:
    imported = imported_by(code)

    assert "watchkeeper" in imported
    assert heavy & imported == set()
