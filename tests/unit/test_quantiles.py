"""Where quantiles of histograms begin, pause and end."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests import histograms
from tests.histograms import Derived, Shelf
from watchkeeper.analyze.quantiles import LOOKBACK_NS, Quantiles
from watchkeeper.ingest.receivers import schema
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import SampleBatch

BOUNDS = (1.0, 2.0, math.inf)
STALE = float(np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0])
LATER = 2**62
LOOKBACK_S = LOOKBACK_NS / 1e9


@pytest.fixture
def shelf() -> Shelf:
    return histograms.shelf()


def told(shelf: Shelf, after_s: float, totals: dict[int, float]) -> list[Derived]:
    """What follows from buckets of one time."""
    batch = histograms.samples([(slot, after_s, total) for slot, total in totals.items()])
    return shelf.told(shelf.quantiles.of_samples(batch, 0))


def three(shelf: Shelf) -> list[int]:
    found: list[int] = shelf.register(*histograms.buckets("rpc", BOUNDS)).tolist()
    return found


def test_a_first_sample_is_a_beginning_and_tells_nothing(shelf: Shelf) -> None:
    low, middle, top = three(shelf)

    assert told(shelf, 0, {low: 5, middle: 7, top: 9}) == []


def test_a_histogram_that_stands_still_has_no_quantiles(shelf: Shelf) -> None:
    low, middle, top = three(shelf)
    told(shelf, 0, {low: 5, middle: 7, top: 9})

    assert told(shelf, 15, {low: 5, middle: 7, top: 9}) == []


def test_a_fall_is_a_restart_from_zero(shelf: Shelf) -> None:
    low, middle, top = three(shelf)
    told(shelf, 0, {low: 500, middle: 500, top: 500})

    found = told(shelf, 15, {low: 0, middle: 4, top: 4})

    assert found[0] == ("rpc:p50", 15.0, 1.5)


def test_a_late_sample_changes_nothing(shelf: Shelf) -> None:
    low, middle, top = three(shelf)
    told(shelf, 0, {low: 0, middle: 0, top: 0})
    told(shelf, 30, {low: 4, middle: 4, top: 4})

    assert told(shelf, 15, {low: 100, middle: 100, top: 100}) == []
    assert told(shelf, 45, {low: 4, middle: 8, top: 8})[0] == ("rpc:p50", 45.0, 1.5)


def test_a_bucket_that_ended_is_waited_for_no_more(shelf: Shelf) -> None:
    low, middle, top = three(shelf)
    told(shelf, 0, {low: 0, middle: 0, top: 0})
    told(shelf, 15, {middle: STALE})

    assert told(shelf, 30, {low: 4, top: 4})[0] == ("rpc:p50", 30.0, 0.5)


def test_a_bucket_that_ended_counts_no_more_for_the_time_at_hand(shelf: Shelf) -> None:
    low, middle, top = three(shelf)
    told(shelf, 0, {low: 0, middle: 0, top: 0})
    told(shelf, 15, {low: 4, middle: 4})
    told(shelf, 16, {middle: STALE})

    assert told(shelf, 15, {top: 4})[0] == ("rpc:p50", 15.0, 0.5)


@pytest.mark.parametrize(("silent_s", "comes"), [(LOOKBACK_S - 30, False), (LOOKBACK_S + 30, True)])
def test_a_bucket_that_is_silent_for_long_is_waited_for_no_more(
    shelf: Shelf, silent_s: float, comes: bool
) -> None:
    low, middle, top = three(shelf)
    told(shelf, 0, {low: 0, middle: 0, top: 0})
    told(shelf, silent_s - 15, {low: 2, top: 2})

    assert bool(told(shelf, silent_s, {low: 4, top: 4})) is comes


def test_without_a_bucket_for_all_the_rest_there_are_no_quantiles(shelf: Shelf) -> None:
    low, high = shelf.register(*histograms.buckets("rpc", (1.0, 2.0))).tolist()
    told(shelf, 0, {low: 0, high: 0})

    assert told(shelf, 15, {low: 5, high: 9}) == []


def test_a_name_like_a_buckets_is_no_bucket_without_a_bound(shelf: Shelf) -> None:
    (slot,) = shelf.register({"__name__": "leaky_bucket", "job": "shop"}).tolist()

    assert told(shelf, 0, {slot: 1}) == []
    assert shelf.catalog.label_values(DEFAULT_TENANT, "__name__") == ["leaky_bucket"]


def test_derived_series_stay_in_memory_for_as_long_as_their_buckets_come(shelf: Shelf) -> None:
    low, middle, top = three(shelf)
    batch = histograms.samples([(low, 0, 1), (middle, 0, 1), (top, 0, 1)])

    shelf.quantiles.of_samples(batch, LATER)

    names = [one["__name__"] for one in shelf.catalog.labels(np.arange(6, dtype=np.int32))]
    seen = dict(zip(names, shelf.catalog.last_seen_ns[:6].tolist(), strict=True))
    assert {name: at for name, at in seen.items() if ":" in name} == {
        "rpc:p50": LATER,
        "rpc:p95": LATER,
        "rpc:p99": LATER,
    }


@pytest.mark.parametrize("now_ns", [0, 5])
def test_records_of_before_a_restart_let_no_derived_series_leave(shelf: Shelf, now_ns: int) -> None:
    """The first of them come before a tick does, and the catalog counts all as seen now."""
    slots = three(shelf)
    shelf.catalog.last_seen_ns[:] = LATER

    shelf.quantiles.of_samples(histograms.samples([(slot, 0, 1) for slot in slots]), now_ns)

    assert (shelf.catalog.last_seen_ns == LATER).all()


def test_what_is_forgotten_begins_anew(shelf: Shelf) -> None:
    low, middle, top = three(shelf)
    told(shelf, 0, {low: 0, middle: 0, top: 0})

    shelf.quantiles.forget(np.array([low, middle, top], np.int32))

    assert told(shelf, 15, {low: 4, middle: 4, top: 4}) == []
    assert told(shelf, 30, {low: 8, middle: 8, top: 8}) != []


def test_series_that_have_left_since_a_dump_are_passed_over(shelf: Shelf) -> None:
    slots = np.array(three(shelf), np.int32)
    told(shelf, 0, dict.fromkeys(slots.tolist(), 0.0))
    twin = Shelf(shelf.catalog, Quantiles(shelf.catalog, capacity=512))
    here = slots.copy()
    here[1] = -1

    twin.quantiles.load(here, shelf.quantiles.dump(slots))

    assert told(twin, 15, {int(slots[0]): 4, int(slots[2]): 4})[0][:2] == ("rpc:p50", 15.0)


# Native histograms


def native(shelf: Shelf, slot: int, after_s: float, payload: bytes) -> list[Derived]:
    batch = histograms.natives([(slot, after_s, payload)])
    found: SampleBatch | None = shelf.quantiles.of_histograms(batch, 0)
    return shelf.told(found)


def changed(payload: bytes, **fields: float) -> bytes:
    one = schema.histogram().FromString(payload)
    for name, value in fields.items():
        setattr(one, name, value)
    raw: bytes = one.SerializeToString()
    return raw


def test_a_native_histogram_that_fell_began_again(shelf: Shelf) -> None:
    (slot,) = shelf.register_native({"__name__": "rpc"}).tolist()
    native(shelf, slot, 0, histograms.payload({1: 500}))

    found = native(shelf, slot, 10, histograms.payload({1: 20}))

    assert found[-1] == ("rpc:rate", 10.0, 2.0)


def test_a_native_histogram_of_another_resolution_is_compared_with_none(shelf: Shelf) -> None:
    (slot,) = shelf.register_native({"__name__": "rpc"}).tolist()
    native(shelf, slot, 0, histograms.payload({1: 5}))

    assert native(shelf, slot, 10, histograms.payload({1: 9}, scale=1)) == []
    assert native(shelf, slot, 20, histograms.payload({1: 19}, scale=1))[-1][2] == 1.0


def test_a_native_histogram_that_ended_begins_afresh(shelf: Shelf) -> None:
    (slot,) = shelf.register_native({"__name__": "rpc"}).tolist()
    native(shelf, slot, 0, histograms.payload({1: 5}))
    native(shelf, slot, 10, changed(histograms.payload({}), sum=STALE))

    assert native(shelf, slot, 20, histograms.payload({1: 9})) == []


def test_a_gauge_of_a_distribution_has_quantiles_and_no_rate(shelf: Shelf) -> None:
    (slot,) = shelf.register_native({"__name__": "rpc"}).tolist()
    payload = changed(histograms.payload({1: 8}), reset_hint=3)

    assert [name for name, _, _ in native(shelf, slot, 0, payload)] == [
        "rpc:p50",
        "rpc:p95",
        "rpc:p99",
    ]
