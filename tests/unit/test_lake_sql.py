"""SQL sees the samples of a query, in head and segments alike, and nothing of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import lakes
from tests.lakes import HOUR, NOON, ask
from watchkeeper.errors import BadInput
from watchkeeper.lake.sql import run_sql

ALL = ask(NOON, NOON + HOUR)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Any]:
    """Half of its samples are in a segment."""
    lake = lakes.build("disk", tmp_path, lakes.fleet(6))
    for position, batch in enumerate(lakes.scrapes(6, 20), 1):
        lake.append(batch, position)
        if position == 10:
            lake.maintain(NOON, everything=True)
    yield lake
    lake.close()


def test_sql_sees_head_and_segments_together(lake: Any) -> None:
    answer = run_sql(lake, ALL, "SELECT count(*) AS n, sum(value) AS total FROM samples")

    frame = lake.query(ALL)
    assert answer.column("n").to_pylist() == [120] == [len(frame.row)]
    assert answer.column("total").to_pylist() == [pytest.approx(frame.value.sum())]


def test_sql_groups_by_labels_and_time(lake: Any) -> None:
    answer = run_sql(
        lake,
        ALL,
        """SELECT labels['service'] AS service, time_bucket(INTERVAL 1 MINUTE, time) AS minute,
                  count(*) AS n
           FROM samples JOIN series USING (series) GROUP BY ALL ORDER BY ALL LIMIT 2""",
    )

    assert answer.column("service").to_pylist() == ["a", "a"]
    assert answer.column("n").to_pylist() == [8, 8]


def test_times_keep_their_nanoseconds(lake: Any) -> None:
    answer = run_sql(lake, ALL, "SELECT max(epoch_ns(time)) AS t FROM samples")

    assert answer.column("t").to_pylist() == [int(lake.query(ALL).time_ns.max())]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY samples TO '/tmp/watchkeeper_test_leak.csv'",
        "ATTACH '/tmp/watchkeeper_test_leak.db'",
        "SELECT * FROM read_parquet('https://example.invalid/x.parquet')",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "SELECT * FROM lake",
        "SELECT * FROM nothing",
        "SELEC 1",
    ],
)
def test_sql_reaches_nothing_else(lake: Any, statement: str) -> None:
    with pytest.raises(BadInput, match="sql: "):
        run_sql(lake, ALL, statement)

    assert not list(Path("/tmp").glob("watchkeeper_test_leak*"))


def test_a_statement_that_takes_too_long_is_stopped(lake: Any) -> None:
    endless = "SELECT sum(a.range * b.range) FROM range(10_000_000) a, range(10_000_000) b"

    with pytest.raises(BadInput, match="took longer"):
        run_sql(lake, ALL, endless, timeout_s=0.05)


def test_a_statement_that_needs_too_much_memory_is_stopped(lake: Any) -> None:
    with pytest.raises(BadInput, match="sql: "):
        run_sql(
            lake, ALL, "SELECT list(range::VARCHAR) FROM range(10_000_000)", memory_bytes=8 << 20
        )


def test_too_many_rows_are_refused_with_the_remedy(lake: Any) -> None:
    few = ask(NOON, NOON + HOUR, limit=120)

    assert run_sql(lake, few, "FROM samples").num_rows == 120
    with pytest.raises(BadInput, match="LIMIT"):
        run_sql(lake, few, "SELECT 1 FROM samples, range(2)")
