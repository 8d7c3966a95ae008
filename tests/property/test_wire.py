"""Whatever goes into the log comes out again, to the last bit."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests import make
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.model import wire
from watchkeeper.model.series import LabelBlock, TenantId
from watchkeeper.model.signal import NewSeries, SampleBatch, Tick

I32 = st.integers(-(2**31), 2**31 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
U64 = st.integers(0, 2**64 - 1)
TENANTS = st.text(max_size=20).map(TenantId)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
MS = 1_000_000


@st.composite
def times(draw: st.DrawFn, n: int) -> Any:
    """Equal, close in nanoseconds, whole milliseconds, or anything at all."""
    base = draw(I64)
    offsets = draw(
        st.sampled_from(
            [
                st.just(0),
                st.integers(-(2**31), 2**31 - 1),
                st.integers(-(2**31) + 1, 2**31 - 1).map(lambda ms: ms * MS),
                st.integers(-(2**62), 2**62),
            ]
        )
    )
    drawn = draw(st.lists(offsets, min_size=n, max_size=n))
    return np.array([(base + offset + 2**63) % 2**64 - 2**63 for offset in drawn], np.int64)


@st.composite
def batches(draw: st.DrawFn) -> SampleBatch:
    n = draw(st.integers(0, 30))
    bits = draw(hnp.arrays(np.uint64, n, elements=U64))
    return SampleBatch(
        draw(TENANTS),
        draw(hnp.arrays(np.int32, n, elements=I32)),
        draw(times(n)),
        bits.view(np.float64),
        draw(st.binary(max_size=32)),
    )


@st.composite
def series(draw: st.DrawFn) -> NewSeries:
    rows = draw(st.lists(st.lists(st.tuples(WORDS, WORDS), max_size=4), max_size=6))
    n = len(rows)
    return NewSeries(
        tenant=draw(TENANTS),
        slot=draw(hnp.arrays(np.int32, n, elements=I32)),
        identity=draw(hnp.arrays(np.uint64, (n, 2), elements=U64)),
        role=draw(hnp.arrays(np.uint64, n, elements=U64)),
        kind=draw(hnp.arrays(np.uint8, n)),
        partition=draw(hnp.arrays(np.uint8, n)),
        entity=draw(hnp.arrays(np.int32, n, elements=I32)),
        entities=tuple(draw(st.lists(st.tuples(WORDS, WORDS, WORDS, WORDS), max_size=3))),
        labels=_scattered(draw, make.label_block(*rows)),
        donor=draw(hnp.arrays(np.int32, n, elements=I32)),
    )


def _scattered(draw: st.DrawFn, block: LabelBlock) -> LabelBlock:
    """The same rows, with other bytes between them if `draw` says so."""
    gap = draw(st.integers(0, 3))
    rows = [block.buffer[a:b] for a, b in zip(block.start, block.end, strict=True)]
    start, at = [], gap
    for row in rows:
        start.append(at)
        at += len(row) + gap
    buffer = np.full(at + 16, 7, np.uint8)
    for row, begin in zip(rows, start, strict=True):
        buffer[begin : begin + len(row)] = row
    starts = np.array(start, np.int64)
    return LabelBlock(buffer, starts, starts + (block.end - block.start))


def label_runs(block: LabelBlock) -> list[bytes]:
    return [block.buffer[a:b].tobytes() for a, b in zip(block.start, block.end, strict=True)]


def same(left: Any, right: Any) -> bool:
    """Equal to the last bit, NaN payloads included."""
    return (
        left.dtype == right.dtype
        and left.shape == right.shape
        and (left.tobytes() == right.tobytes())
    )


@given(batch=batches(), room=st.booleans())
def test_a_batch_comes_back_bit_for_bit(batch: SampleBatch, room: bool) -> None:
    payload = wire.encode(batch)

    back = wire.decode(bytearray(payload) if room else payload)

    assert isinstance(back, SampleBatch)
    assert (back.tenant, back.body_hash) == (batch.tenant, batch.body_hash)
    for name in ("slot", "time_ns", "value"):
        assert same(getattr(back, name), getattr(batch, name)), name
        assert getattr(back, name).flags.behaved, f"{name}: a kernel would be compiled anew"


@given(new=series(), room=st.booleans())
def test_new_series_come_back_bit_for_bit(new: NewSeries, room: bool) -> None:
    payload = wire.encode(new)

    back = wire.decode(bytearray(payload) if room else payload)

    assert isinstance(back, NewSeries)
    assert (back.tenant, back.entities) == (new.tenant, new.entities)
    for name in ("slot", "identity", "role", "kind", "partition", "entity", "donor"):
        assert same(getattr(back, name), getattr(new, name)), name
    assert label_runs(back.labels) == label_runs(new.labels)
    assert len(back.labels.buffer) >= (back.labels.end[-1] if len(new) else 0) + 16


@given(now_ns=I64)
def test_a_tick_comes_back(now_ns: int) -> None:
    assert wire.decode(wire.encode(Tick(now_ns))) == Tick(now_ns)


@given(record=st.one_of(batches(), series(), st.builds(Tick, I64)), data=st.data())
def test_a_record_cut_short_is_refused_and_reads_nothing_beyond_it(
    record: SampleBatch | NewSeries | Tick, data: st.DataObject
) -> None:
    payload = wire.encode(record)
    cut = data.draw(st.integers(0, len(payload) - 1))

    try:
        wire.decode(payload[:cut])
    except BadInput:
        return
    raise AssertionError("it was taken for whole")


@given(junk=st.binary(max_size=200))
def test_junk_is_refused_in_our_words(junk: bytes) -> None:
    for kind in (wire.SAMPLES, wire.SERIES, wire.TICK):
        with contextlib.suppress(BadInput, Permanent):
            wire.decode(bytes([wire.VERSION, kind]) + junk)
