"""The parts of one installation, killed under load: `make bench SUITE=processes` in small."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench import processes
from bench.postgres import Cluster
from bench.processes import SIX, THREE
from bench.servers import redis_server


@pytest.fixture
def shared(program: Callable[[str], Path], tmp_path: Path) -> Iterator[Mapping[str, Any]]:
    """Settings that all processes have."""
    with redis_server(program("redis-server"), tmp_path / "redis") as redis, Cluster() as database:
        yield processes.settings(redis, database.url)


@pytest.mark.parametrize("parts", [THREE, SIX], ids=["three", "six"])
def test_parts_that_are_killed_under_load_lose_nothing_and_find_what_one_process_finds(
    shared: Mapping[str, Any], tmp_path: Path, parts: Any
) -> None:
    figures, _ = processes.rehearse(tmp_path, parts, shared, n_kills=len(parts), seed=3)

    assert {name: figures[name] for name in ("lost", "duplicated", "anomaly_mismatches")} == {
        "lost": 0,
        "duplicated": 0,
        "anomaly_mismatches": 0,
    }
    assert figures["anomalies_compared"] > 0
    assert figures["bodies_sent_again"] > 0
