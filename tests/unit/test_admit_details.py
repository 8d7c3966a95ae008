"""Admission of native histograms and exemplars, and their bytes in the log."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import NS_PER_S, START_NS
from watchkeeper.errors import BadInput
from watchkeeper.ingest.admit import Admission, AdmitConfig
from watchkeeper.ingest.admit_details import AdmittedHistograms
from watchkeeper.model import wire
from watchkeeper.model.family import Families, Family, MetricType
from watchkeeper.model.row import texts
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.model.signal import (
    ExemplarBatch,
    HistogramBatch,
    WireExemplars,
    WireHistograms,
    take,
)

Given = tuple[int, float, bytes]
"""(slot, seconds from now, payload)."""


@pytest.fixture
def admission() -> Admission:
    return Admission(AdmitConfig(), n_slots=16)


def at(seconds: list[float]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([START_NS + round(one * NS_PER_S) for one in seconds], np.int64)


def admit(admission: Admission, *rows: Given) -> AdmittedHistograms:
    """Slots are rows here; -1 is a series that the catalog refused."""
    slots = np.array([slot for slot, _, _ in rows], np.int32)
    given = WireHistograms(
        np.arange(len(rows), dtype=np.int32),
        at([seconds for _, seconds, _ in rows]),
        texts(payload for _, _, payload in rows),
    )
    return admission.admit_histograms(
        DEFAULT_TENANT, given, slots, body_hash=b"body", now_ns=START_NS
    )


def told(admitted: AdmittedHistograms) -> tuple[list[bytes], int, dict[str, int]]:
    """(what was taken, how many were there already, what was refused)."""
    batch = admitted.batch
    taken = [] if batch is None else [batch.payload[row] for row in range(len(batch))]
    return taken, admitted.n_duplicates, {one.reason: one.count for one in admitted.rejects}


def test_a_histogram_is_taken_once(admission: Admission) -> None:
    first = admit(admission, (3, 0, b"one"))
    again = admit(admission, (3, 0, b"one"))

    assert told(first) == ([b"one"], 0, {})
    assert told(again) == ([], 1, {})


@pytest.mark.parametrize(
    ("row", "reason"),
    [((3, 0, b"two"), "conflict"), ((3, 700, b"x"), "future"), ((3, -4000, b"x"), "too_old")],
)
def test_a_histogram_is_judged_as_a_sample_is(
    admission: Admission, row: Given, reason: str
) -> None:
    admit(admission, (3, 0, b"one"))

    assert told(admit(admission, row)) == ([], 0, {reason: 1})


def test_a_bad_histogram_costs_itself(admission: Admission) -> None:
    found = admit(admission, (1, 0, b"a"), (2, 700, b"b"), (3, 0, b"c"), (-1, 0, b"d"))

    assert told(found) == ([b"a", b"c"], 0, {"future": 1})
    assert found.batch is not None
    assert found.batch.slot.tolist() == [1, 3]


def test_what_was_taken_back_is_new_again(admission: Admission) -> None:
    admit(admission, (3, 0, b"one"))
    admission.take_back(admit(admission, (3, 15, b"two")))

    assert told(admit(admission, (3, 15, b"other"))) == ([b"other"], 0, {})


def test_the_log_brings_back_what_was_taken(admission: Admission) -> None:
    taken = admit(admission, (3, 0, b"one")).batch
    restarted = Admission(AdmitConfig(), n_slots=16)
    assert taken is not None

    restarted.follow(taken)

    assert told(admit(restarted, (3, 0, b"one"))) == ([], 1, {})
    assert told(admit(restarted, (3, 0, b"two"))) == ([], 0, {"conflict": 1})


@pytest.mark.parametrize(("seconds", "reason"), [(700, "future"), (-500 * 86400, "too_old")])
def test_an_exemplar_out_of_time_costs_itself(
    admission: Admission, seconds: float, reason: str
) -> None:
    given = exemplars([seconds, 0, -3000, seconds])  # the last of a series that was refused
    slots = np.array([1, 1, 2, -1], np.int32)

    batch, rejects = admission.admit_exemplars(
        DEFAULT_TENANT, given, slots, body_hash=b"", now_ns=START_NS
    )

    assert batch is not None
    assert batch.slot.tolist() == [1, 2]
    assert [(one.reason, one.count) for one in rejects] == [(f"exemplar_{reason}", 1)]


def exemplars(seconds: list[float]) -> WireExemplars:
    n = len(seconds)
    return WireExemplars(
        np.arange(n, dtype=np.int32),
        at(seconds),
        np.arange(n, dtype=np.float64),
        np.arange(2 * n, dtype=np.uint64).reshape(n, 2),
        texts([b'{"trace_id":"1"}'] * n),
    )


# The bytes in the log

ROWS = st.lists(
    st.tuples(st.integers(0, 2**31 - 1), st.integers(-(2**62), 2**62), st.binary(max_size=60)),
    max_size=20,
)


def histogram_batch(rows: list[tuple[int, int, bytes]]) -> HistogramBatch:
    return HistogramBatch(
        np.array([slot for slot, _, _ in rows], np.int32),
        np.array([time_ns for _, time_ns, _ in rows], np.int64),
        texts(payload for _, _, payload in rows),
        TenantId("tür"),
        b"0123456789abcdef",
    )


def content(batch: HistogramBatch | ExemplarBatch) -> list[bytes]:
    columns = [getattr(batch, name).tobytes() for name in batch.COLUMNS]
    for name in batch.TEXTS:
        column = getattr(batch, name)
        columns += [column[row] for row in range(len(column))]
    return [*columns, batch.tenant.encode(), batch.body_hash]


@given(rows=ROWS)
def test_histograms_come_back_bit_for_bit(rows: list[tuple[int, int, bytes]]) -> None:
    batch = histogram_batch(rows)

    back = wire.decode(wire.encode(batch))

    assert isinstance(back, HistogramBatch)
    assert content(back) == content(batch)


@given(rows=ROWS.filter(bool))
def test_exemplars_come_back_bit_for_bit(rows: list[tuple[int, int, bytes]]) -> None:
    like = histogram_batch(rows)
    n = len(like)
    trace = np.arange(2 * n, dtype=np.uint64).reshape(n, 2)
    batch = ExemplarBatch(like.slot, like.time_ns, np.full(n, np.nan), trace, like.payload)

    back = wire.decode(bytearray(wire.encode(batch)))

    assert isinstance(back, ExemplarBatch)
    assert content(back) == content(batch)


@given(rows=ROWS.filter(bool), data=st.data())
def test_histograms_cut_short_are_refused(
    rows: list[tuple[int, int, bytes]], data: st.DataObject
) -> None:
    payload = wire.encode(histogram_batch(rows))
    cut = data.draw(st.integers(0, len(payload) - 1))

    with pytest.raises(BadInput):
        wire.decode(payload[:cut])


def test_descriptions_come_back_as_they_were() -> None:
    said = Families(TenantId("a"), (Family("rpc", MetricType.SUMMARY, "What, größer", "s"),))

    assert wire.decode(wire.encode(said)) == said


def test_some_rows_of_a_batch_keep_their_order_and_texts() -> None:
    batch = histogram_batch([(1, 10, b"a"), (2, 20, b""), (3, 30, b"ccc")])

    some = take(batch, np.array([2, 0]))

    assert content(some) == content(
        replace(histogram_batch([(3, 30, b"ccc"), (1, 10, b"a")]), tenant=batch.tenant)
    )
