"""The bytes of the logged records."""

from __future__ import annotations

import numpy as np
import pytest

from tests import make
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.model import wire
from watchkeeper.model.signal import NewSeries, SampleBatch

SECOND = make.NS_PER_S
COLUMNS = 12
"""Bytes of a row without its time: a slot and a value."""


def bytes_per_row(*offsets_ns: int) -> float:
    rows = [(0, make.START_NS + offset, 1.0) for offset in offsets_ns] * 1000
    return round(len(wire.encode(make.samples(*rows))) / len(rows), 1)


def test_one_time_for_all_costs_nothing_per_row() -> None:
    assert bytes_per_row(0, 0) == COLUMNS


def test_times_two_seconds_apart_cost_four_bytes_to_the_nanosecond() -> None:
    assert bytes_per_row(0, 2 * SECOND + 1) == COLUMNS + 4


def test_whole_milliseconds_cost_four_bytes_over_weeks() -> None:
    assert bytes_per_row(0, 20 * 86400 * SECOND) == COLUMNS + 4


def test_other_times_cost_eight_bytes() -> None:
    assert bytes_per_row(0, 3 * SECOND + 1) == COLUMNS + 8


def test_columns_are_views_of_writable_bytes() -> None:
    payload = bytearray(wire.encode(make.samples((1, make.START_NS, 2.0), (2, make.START_NS, 3.0))))

    batch = wire.decode(payload)

    assert isinstance(batch, SampleBatch)
    where = np.frombuffer(payload, np.uint8)
    assert np.shares_memory(batch.value, where)
    assert np.shares_memory(batch.slot, where)


def test_a_part_of_the_callers_columns_is_written_as_that_part() -> None:
    every = make.samples(*[(slot, make.START_NS + slot, slot / 2) for slot in range(10)])
    odd = SampleBatch(every.tenant, every.slot[1::2], every.time_ns[1::2], every.value[1::2])

    back = wire.decode(wire.encode(odd))

    assert isinstance(back, SampleBatch)
    assert back.slot.tolist() == [1, 3, 5, 7, 9]
    assert (back.time_ns - make.START_NS).tolist() == [1, 3, 5, 7, 9]
    assert back.value.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]


def test_labels_come_back_with_room_to_read_ahead() -> None:
    new = make.new_series(4, make.labels("up", job="api"), make.labels("up", job="db"))

    back = wire.decode(wire.encode(new))

    assert isinstance(back, NewSeries)
    assert make.read_labels(back.labels, 1) == [("__name__", "up"), ("job", "db")]
    assert len(back.labels.buffer) == back.labels.end[-1] + 16


def test_the_kind_is_known_without_decoding() -> None:
    assert wire.kind_of(wire.encode(make.tick())) == wire.TICK
    assert wire.kind_of(wire.encode(make.samples())) == wire.SAMPLES
    assert wire.kind_of(wire.encode(make.new_series())) == wire.SERIES


@pytest.mark.parametrize(("at", "said"), [(0, "version 99"), (1, "kind 99")])
def test_bytes_of_a_newer_release_are_refused_with_the_remedy(at: int, said: str) -> None:
    payload = bytearray(wire.encode(make.tick()))
    payload[at] = 99

    with pytest.raises(Permanent, match=f"{said}.*run"):
        wire.decode(payload)


def test_an_unknown_form_of_times_is_refused() -> None:
    payload = bytearray(wire.encode(make.samples((1, 5, 2.0), (1, 6, 2.0))))
    payload[2] = 99

    with pytest.raises(BadInput, match="form 99"):
        wire.decode(payload)
