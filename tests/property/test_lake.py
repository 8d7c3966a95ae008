"""Whatever happens to a lake, in whatever order: it answers as a list of all samples would."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import lakes, make
from tests.lakes import CELL, DAY, HOUR, MINUTE, NOON, S, ask, read
from watchkeeper import plugins
from watchkeeper.lake import page_kernel, segment_kernel
from watchkeeper.lake.base import Fold
from watchkeeper.model.signal import SampleBatch

N_SERIES = 5

TIMES = st.one_of(
    st.integers(0, 200).map(lambda i: NOON + i * 15 * S),
    st.integers(0, 40).map(lambda i: NOON + DAY // 2 - 20 * S + i * S),
    st.integers(0, 4 * HOUR).map(lambda ns: NOON + ns),
)
VALUES = st.one_of(
    st.integers(-1000, 1000).map(lambda i: i / 100),
    st.integers(0, 10**6).map(float),
    st.floats(-(2.0**20), 2.0**20, width=32),
    st.sampled_from([float("nan"), lakes.STALE, 0.0, -0.0, 1 / 3]),
)
SAMPLES = st.tuples(st.integers(0, N_SERIES - 1), TIMES, VALUES)
STEPS = st.one_of(
    st.lists(SAMPLES, min_size=1, max_size=40).map(lambda rows: make.samples(*rows)),
    st.sampled_from(["maintain", "write out", "settle", "kill", "stop"]),
)
QUERIES = st.builds(
    lambda start, length, **fields: ask(start, start + length, **fields),
    st.integers(-10, 100).map(lambda i: NOON + i * 37 * S) | st.just(NOON),
    st.sampled_from([MINUTE, HOUR, HOUR + 13 * S, 2 * DAY]),
    step_ns=st.sampled_from([None, 30 * S, CELL, HOUR]),
    over_time=st.sampled_from([fold for fold in Fold if fold is not Fold.SUM]),
)


class Life:
    """A lake through stops, kills and restarts, beside the reference."""

    def __init__(self, name: str, directory: Path) -> None:
        self.catalog = lakes.fleet(N_SERIES)
        self.reference = lakes.Reference(self.catalog)
        self._name = name
        self._directory = directory
        self._log: list[SampleBatch] = []
        self._now_ns = NOON
        self.lake: Any = None
        self._open()

    def step(self, step: Any) -> None:
        self._now_ns += MINUTE
        if isinstance(step, SampleBatch):
            self._log.append(step)
            self.reference.append(step)
            self._append(len(self._log))
        elif step == "settle":
            for _ in range(3):
                self._now_ns += DAY
                self.lake.maintain(self._now_ns, everything=True)
        elif step in ("kill", "stop"):
            if step == "stop":
                self.lake.maintain(self._now_ns, everything=True)
            self.lake.close()
            self._open()
        else:
            self.lake.maintain(self._now_ns, everything=step == "write out")

    def _open(self) -> None:
        self.lake = lakes.build(
            self._name, self._directory, self.catalog,
            head_rows=50, compact_fan_in=2, raw_retention_s=1e9, rollup_retention_s=1e9,
        )  # fmt: skip
        for position in range(self.lake.stored() + 1, len(self._log) + 1):
            self._append(position)

    def _append(self, position: int) -> None:
        if self.lake.room() < len(self._log[position - 1]):
            self.lake.maintain(self._now_ns)
        self.lake.append(self._log[position - 1], position)


@pytest.mark.parametrize("name", sorted(plugins.BUILTIN["lake"]))
@given(steps=st.lists(STEPS, max_size=25), queries=st.lists(QUERIES, min_size=1, max_size=4))
def test_a_lake_answers_as_a_list_of_all_samples_would(
    name: str, steps: list[Any], queries: list[Any]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        life = Life(name, Path(directory))
        for step in steps:
            life.step(step)

        everything = ask(0, 2 * NOON)
        got, want = read(life.lake.query(everything)), life.reference.query(everything)
        assert lakes.bits(got) == lakes.bits(want)
        for query in queries:
            lakes.assert_close(read(life.lake.query(query)), life.reference.query(query))
        life.lake.close()


@given(st.lists(st.one_of(VALUES, st.floats()), min_size=1, max_size=50), st.integers(0, 3))
def test_values_become_numbers_and_come_back_bit_by_bit(values: list[float], cut: int) -> None:
    value = np.array(values)
    cut = min(cut, len(values))
    offset = np.array([0, cut, len(values)])
    number, code = value.copy(), np.full(2, segment_kernel.UNDECIDED, np.uint8)

    segment_kernel.encode_runs(number, number.view(np.int64), offset, code)
    back = np.empty(len(values))
    segment_kernel.decode_runs(
        number.view(np.int64), offset[:-1], offset[1:], code, offset, back, back.view(np.int64)
    )

    assert back.tobytes() == value.tobytes()


@given(st.binary(max_size=200), st.integers(0, 300))
def test_a_damaged_page_is_called_broken_and_never_read_beyond(page: bytes, n: int) -> None:
    padded = np.frombuffer(page + bytes(16), np.uint8)
    out, room = np.full(n + 1, 7), np.empty(64 + 16, np.uint8)

    assert page_kernel.unpack_deltas(padded, 0, len(page), out, 0, n, n) <= len(page)
    assert page_kernel.unpack_lz4(padded, 0, len(page), room, 64) <= 64
    assert page_kernel.page_header(padded, 0, len(page))[0] <= len(page)
    assert out[n] == 7
