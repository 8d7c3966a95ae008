"""Servers that several contract suites talk to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.servers import redis_server


@pytest.fixture(scope="session")
def redis_url(
    program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with redis_server(program("redis-server"), tmp_path_factory.mktemp("redis")) as url:
        yield url
