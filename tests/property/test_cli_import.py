"""Laws of what a command reads and sends: all of a history once and in order, however it comes."""

from __future__ import annotations

import random
from collections.abc import Sequence

import httpx
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests import make
from watchkeeper.cli.history import History, TooMuch
from watchkeeper.cli.import_ import bodies, windows
from watchkeeper.cli.send import generated
from watchkeeper.clock import FakeClock
from watchkeeper.ingest.receivers.remote_write import RemoteWrite
from watchkeeper.sdk import Retry, Sample, TimeSeries, remote_write, series_of
from watchkeeper.sdk.series import count

START_S = 1_700_000_000.0


class Past:
    """A Prometheus of one selector, as its query API answers: raw, or resampled by steps."""

    def __init__(self, samples_s: Sequence[float], *, limit: int = 10**9) -> None:
        self.samples_s = sorted(samples_s)
        self.limit = limit
        self.asked: list[tuple[float, float]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        given_by = dict(httpx.QueryParams(request.read().decode()))
        if request.url.path == "/api/v1/query":
            end_s = float(given_by["time"])
            length_ms = int(given_by["query"].rpartition("[")[2].removesuffix("ms]"))
            inside = [t for t in self.samples_s if end_s - length_ms / 1000 < t <= end_s]
        else:
            step, first, end_s = (float(given_by[name]) for name in ("step", "start", "end"))
            length_ms = round((end_s - first) * 1000)
            n_steps = int((end_s - first) / step + 1e-6) + 1
            inside = [first + step * n for n in range(n_steps)] if end_s >= first else []
        self.asked.append((end_s, length_ms))
        if len(inside) > self.limit:
            body = {"status": "error", "error": "too many samples"}
            return httpx.Response(422, json=body)
        values = [[t, str(round(t))] for t in inside]
        result = [{"metric": {"__name__": "m"}, "values": values}] if values else []
        return httpx.Response(200, json={"status": "success", "data": {"result": result}})

    def history(self, step_s: float | None = None) -> History:
        http = httpx.Client(transport=httpx.MockTransport(self))
        return History("http://past", "m", http=http, step_s=step_s, retry=Retry(attempts=1))


OFFSETS = st.lists(st.integers(1, 7200 * 1000).map(lambda ms: ms / 1000), max_size=60, unique=True)


@given(OFFSETS, st.integers(1, 7200), st.integers(3, 40))
@example([1.0, 1.001, 1.002], 60, 3)
def test_windows_bring_every_sample_once_in_order_whatever_the_source_refuses(
    offsets: list[float], length_s: int, limit: int
) -> None:
    past = Past([START_S + offset for offset in offsets], limit=limit)
    end_s = START_S + length_s
    times: list[int] = []
    reached: list[float] = []

    try:
        for until_s, series in windows(past.history(), START_S, end_s):
            reached.append(until_s)
            times += [int(t) for one in series for t in one.time_ms]
    except TooMuch:
        densest = max(sum(t - 1.0 <= other <= t for other in offsets) for t in offsets)
        assert densest > limit, "given up although a second would have been answered"
        return

    wanted = [round(t * 1000) for t in past.samples_s if START_S < t <= end_s]
    assert times == wanted
    assert reached == sorted(set(reached))
    assert reached[-1] == end_s


@given(st.integers(1, 7200), st.sampled_from([1.0, 15.0, 60.0, 300.0]))
def test_resampled_windows_meet_without_gap_or_double_point(length_s: int, step_s: float) -> None:
    past = Past([])
    end_s = START_S + length_s

    times = [
        int(t)
        for _, series in windows(past.history(step_s), START_S, end_s)
        for one in series
        for t in one.time_ms
    ]

    n_points = int(length_s // step_s)
    assert times == sorted(set(times))
    assert abs(len(times) - n_points) <= 1


@given(OFFSETS)
def test_no_window_is_longer_than_half_an_hour_or_shorter_than_a_second(
    offsets: list[float],
) -> None:
    past = Past([START_S + offset for offset in offsets], limit=5)

    try:
        for _ in windows(past.history(), START_S, START_S + 7200):
            pass
    except TooMuch:
        pass

    lengths_ms = [length_ms for _, length_ms in past.asked[:-1]]  # the last is what was left
    assert all(1000 <= length_ms <= 1_800_000 for length_ms in lengths_ms)


SERIES = st.lists(st.integers(0, 12), max_size=12).map(
    lambda sizes: [
        TimeSeries(
            {"__name__": "m", "n": str(n)},
            np.arange(size, dtype=np.int64),
            np.full(size, float(n)),
        )
        for n, size in enumerate(sizes)
    ]
)


@given(SERIES, st.integers(1, 20))
def test_portions_hold_every_series_once_in_order_within_the_limit(
    series: list[TimeSeries], limit: int
) -> None:
    portions = list(bodies(series, limit))

    assert [one for portion in portions for one in portion] == series
    assert all(portion for portion in portions)
    assert all(count(portion) <= limit or len(portion) == 1 for portion in portions)


# Samples on their way

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=2)
SAMPLES = st.lists(
    st.builds(
        Sample,
        st.sampled_from(["up", "down"]),
        st.integers(-5, 5).map(float),
        st.integers(0, 20).map(float),
        LABELS,
    ),
    max_size=30,
)


@given(SAMPLES)
def test_sorting_into_series_loses_and_adds_nothing(samples: list[Sample]) -> None:
    series = series_of(samples)

    told = [
        (tuple(sorted(one.labels.items())), int(time_ms), float(value))
        for one in series
        for time_ms, value in zip(one.time_ms, one.value, strict=True)
    ]
    wanted = [
        (
            tuple(sorted({**sample.labels, "__name__": sample.name}.items())),
            round(sample.time_s * 1000),
            sample.value,
        )
        for sample in samples
    ]
    assert sorted(told) == sorted(wanted)
    assert len({tuple(sorted(one.labels.items())) for one in series}) == len(series)


@given(SAMPLES)
def test_each_series_is_in_order_of_time_and_ties_as_they_came(samples: list[Sample]) -> None:
    for one in series_of(samples):
        times = one.time_ms.tolist()
        of_series = [
            sample for sample in samples if {**sample.labels, "__name__": sample.name} == one.labels
        ]

        assert times == sorted(times)
        by_time = sorted(of_series, key=lambda sample: sample.time_s)
        assert one.value.tolist() == [sample.value for sample in by_time]


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 129, 16_383, 16_384])
def test_lengths_are_written_in_their_shortest_form(length: int) -> None:
    """The server takes labels as runs of bytes: another form of a length is another series."""
    labels = {"__name__": "m", "path": "x" * length}
    one = TimeSeries(labels, np.array([1_700_000_000_000], np.int64), np.array([1.0]))

    wire = RemoteWrite(RemoteWrite.Config()).decode(
        remote_write.encode([one]), remote_write.HEADERS, now_ns=make.START_NS
    )

    block = wire.describe(np.zeros(1, np.int64))
    assert block.buffer[block.start[0] : block.end[0]].tobytes() == make.label_run(labels)


# Generated samples


def rounds(n_series: int, n_rounds: int, seed: int = 1) -> list[list[Sample]]:
    clock, found = FakeClock(), []
    for batch in generated(n_series, n_rounds, clock, random.Random(seed)):
        found.append(batch)
        clock.advance(3600)
    return found


@given(st.integers(1, 20), st.integers(1, 30))
def test_each_round_has_every_series_once_at_its_time(n_series: int, n_rounds: int) -> None:
    found = rounds(n_series, n_rounds)

    assert len(found) == n_rounds
    for number, batch in enumerate(found):
        assert [sample.labels["series"] for sample in batch] == [str(i) for i in range(n_series)]
        assert {sample.time_s for sample in batch} == {START_S + 3600 * number}


def test_a_generated_series_has_a_daily_curve_and_its_own_phase() -> None:
    found = rounds(2, 96)

    curves = np.array([[sample.value for sample in batch] for batch in found]).T
    for curve in curves:
        assert 25 < curve.min() < 35 < 65 < curve.max() < 75
        same_hour_next_day = np.corrcoef(curve[:-24], curve[24:])[0, 1]
        assert same_hour_next_day > 0.9
    assert np.corrcoef(curves)[0, 1] < -0.9  # half a day apart


def test_generated_samples_can_be_repeated_by_their_seed() -> None:
    assert rounds(3, 5) == rounds(3, 5)
    assert rounds(3, 5) != rounds(3, 5, seed=2)
