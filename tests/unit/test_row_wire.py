"""The bytes of log lines, spans, changes and alerts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from watchkeeper.errors import BadInput
from watchkeeper.model import wire
from watchkeeper.model.alert import AlertStatus, Urgency
from watchkeeper.model.change import Change
from watchkeeper.model.row import Origin, Texts, origin, texts
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict
from watchkeeper.model.series import Entity
from watchkeeper.model.signal import LogBatch, RowBatch, SpanBatch, take
from watchkeeper.model.silence import AlertSilence

SHOP = origin([("service", "shop"), ("env", "prod")])
NODE = Origin((("host", "n1"),), Entity(service="cart", node="n1"))


def equal(one: RowBatch, other: RowBatch) -> bool:
    """Whether two batches say the same."""
    plain = (one.origins, one.tenant, one.body_hash) == (
        other.origins,
        other.tenant,
        other.body_hash,
    )
    columns = all(
        getattr(one, name).tolist() == getattr(other, name).tolist() for name in one.COLUMNS
    )
    return plain and columns and all(said(one, name) == said(other, name) for name in one.TEXTS)


def said(batch: RowBatch, name: str) -> list[bytes]:
    column: Texts = getattr(batch, name)
    return [column[row] for row in range(len(column))]


lines = st.lists(
    st.tuples(st.integers(0, 2**62), st.integers(0, 24), st.binary(max_size=40)), max_size=30
)


def log_batch(rows: list[tuple[int, int, bytes]]) -> LogBatch:
    return make.logs(*rows, origins=(SHOP, NODE))


@given(lines)
def test_lines_come_back_as_they_were(rows: list[tuple[int, int, bytes]]) -> None:
    batch = replace(log_batch(rows), tenant=make.TenantId("é"), body_hash=b"0123456789abcdef")

    back = wire.decode(wire.encode(batch))

    assert isinstance(back, LogBatch)
    assert equal(batch, back)


def test_spans_come_back_as_they_were() -> None:
    batch = make.spans((make.START_NS, 5, b"GET /"), (make.START_NS + 1, 0, b""), origins=(NODE,))

    back = wire.decode(bytearray(wire.encode(batch)))

    assert isinstance(back, SpanBatch)
    assert equal(batch, back)


def test_a_change_comes_back_as_it_was() -> None:
    change = Change(
        "c1", "deployment", 7, "shop", version="2", details={"commit": "abc"}, entity=Entity("shop")
    )

    assert wire.decode(wire.encode(change)) == change


def test_an_alert_comes_back_as_it_was() -> None:
    alert = make.alert(
        status=AlertStatus.RESOLVED,
        ended_ns=make.START_NS + 5,
        urgency=Urgency.CRITICAL,
        summary="größer: 1.5 s",
        annotations={"description": "p99"},
        links={"rule": "http://prometheus/graph"},
    )

    assert wire.decode(wire.encode(alert)) == alert


@pytest.mark.parametrize(
    "record",
    [
        make.settings('{"a": 1}', expected=0),
        make.verdict(comment="größer"),
        make.maintenance(),
        make.silence(),
    ],
    ids=repr,
)
def test_what_people_decided_comes_back_as_it_was(
    record: DetectionSet | Verdict | Maintenance | AlertSilence,
) -> None:
    assert wire.decode(wire.encode(record)) == record


@given(lines, st.data())
def test_bytes_that_were_cut_or_changed_are_refused_or_read_never_a_crash(
    rows: list[tuple[int, int, bytes]], data: st.DataObject
) -> None:
    payload = bytearray(wire.encode(log_batch(rows)))
    at = data.draw(st.integers(8, len(payload) - 1))
    payload[at] ^= data.draw(st.integers(1, 255))

    try:
        back = wire.decode(payload[: data.draw(st.integers(8, len(payload)))])
    except BadInput:
        return

    assert isinstance(back, LogBatch)


def test_an_origin_that_is_not_there_is_refused() -> None:
    batch = log_batch([(1, 9, b"hello")])
    lost = replace(batch, origin=np.array([7], np.int32))

    with pytest.raises(BadInput, match="origin"):
        wire.decode(wire.encode(lost))


@given(lines, st.data())
def test_taking_rows_takes_just_these(
    rows: list[tuple[int, int, bytes]], data: st.DataObject
) -> None:
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10)) if rows else []

    taken = take(log_batch(rows), np.array(wanted, np.int64))

    assert equal(taken, log_batch([rows[row] for row in wanted]))


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_texts_are_what_they_were_made_of(runs: list[bytes]) -> None:
    column = texts(runs)

    assert len(column) == len(runs)
    assert [column[row] for row in range(len(column))] == runs


def test_what_is_no_text_is_shown_all_the_same() -> None:
    assert texts([b"\xffa"]).text(0) == "\N{REPLACEMENT CHARACTER}a"


def test_an_origin_is_sorted_and_has_no_empty_label() -> None:
    assert origin([("b", "2"), ("a", "1"), ("c", ""), ("b", "3")]).labels == (
        ("a", "1"),
        ("b", "3"),
    )
