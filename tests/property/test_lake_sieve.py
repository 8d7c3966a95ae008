"""A sieve leaves out samples and nothing else; series are those that have samples in a time."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import lakes, make
from tests.lakes import DAY, HOUR, MINUTE, NOON, S, ask, read
from watchkeeper import plugins
from watchkeeper.errors import BadInput
from watchkeeper.lake.base import Fold, SeriesQuery, Sieve
from watchkeeper.model.series import DEFAULT_TENANT, Matcher, MatchOp

LAKES = pytest.mark.parametrize("name", sorted(plugins.BUILTIN["lake"]))
TIMES = st.one_of(
    st.integers(0, 400).map(lambda i: NOON + i * 15 * S),
    st.integers(0, 2 * HOUR).map(lambda ns: NOON + ns),
)
SAMPLES = st.tuples(st.integers(0, 3), TIMES, st.integers(0, 9).map(float))
BATCHES = st.lists(
    st.lists(SAMPLES, min_size=1, max_size=40).map(lambda rows: make.samples(*rows)), max_size=6
)
SIEVES = st.builds(
    Sieve,
    st.sampled_from([1, 10 * S, MINUTE, 7 * MINUTE + 1, HOUR]),
    st.sampled_from([1, S, 15 * S + 1, 5 * MINUTE]),
)
NAMED_M = (Matcher("__name__", MatchOp.EQUAL, "m"),)


def filled(name: str, folder: Path, batches: list[Any], n_written: int) -> Any:
    """A lake whose first batches are in files and whose others are in memory."""
    lake = lakes.build(name, folder, lakes.fleet(4), raw_retention_s=1e9)
    for position, batch in enumerate(batches, 1):
        if lake.room() < len(batch) or position == n_written + 1:
            lake.maintain(NOON, everything=True)
        lake.append(batch, position)
    return lake


@LAKES
@given(
    batches=BATCHES,
    n_written=st.integers(0, 6),
    sieve=SIEVES,
    start=st.integers(-MINUTE, HOUR).map(lambda ns: NOON + ns),
)
def test_a_sieve_lets_through_the_beginning_of_every_stretch(
    name: str, batches: list[Any], n_written: int, sieve: Sieve, start: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = filled(name, Path(folder), batches, n_written)

        everything = read(lake.query(ask(start, start + HOUR)))
        sifted = read(lake.query(ask(start, start + HOUR, sieve=sieve)))

        wanted = {
            labels: [row for row in rows if (row[0] - start) % sieve.every_ns < sieve.length_ns]
            for labels, rows in everything.items()
        }
        assert sifted == {labels: rows for labels, rows in wanted.items() if rows}
        lake.close()


@LAKES
def test_a_sieve_and_a_step_do_not_go_together(name: str, tmp_path: Path) -> None:
    lake = lakes.build(name, tmp_path, lakes.fleet(1))

    with pytest.raises(BadInput, match="leave out either"):
        lake.query(ask(0, HOUR, step_ns=MINUTE, over_time=Fold.AVG, sieve=Sieve(HOUR, MINUTE)))

    lake.close()


@LAKES
@pytest.mark.parametrize("is_written", [False, True])
def test_series_of_a_time_are_those_with_samples_in_it(
    name: str, is_written: bool, tmp_path: Path
) -> None:
    lake = lakes.build(name, tmp_path, lakes.fleet(3), raw_retention_s=1e9)
    lake.append(make.samples((2, NOON, 1.0), (0, NOON, 1.0)), 1)
    lake.append(make.samples((1, NOON + 3 * DAY, 1.0)), 2)
    lake.maintain(NOON, everything=is_written)

    found = lake.series(SeriesQuery(DEFAULT_TENANT, NAMED_M, NOON - HOUR, NOON + HOUR))

    assert sorted(labels["host"] for labels in found) == ["0", "2"]
    lake.close()


@LAKES
def test_series_of_nobody_are_none(name: str, tmp_path: Path) -> None:
    lake = lakes.build(name, tmp_path, lakes.fleet(3))

    assert not lake.series(SeriesQuery(DEFAULT_TENANT, NAMED_M, NOON, NOON + HOUR))

    lake.close()
