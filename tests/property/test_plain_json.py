"""Plain JSON over all that it may say: times in every unit, values of every size, labels of any
text. A sender's number must not become another one on the way."""

from __future__ import annotations

import json
import math
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.errors import TooLarge
from watchkeeper.ingest.receivers.limits import Limits
from watchkeeper.ingest.receivers.metric_points import MetricPoints
from watchkeeper.ingest.receivers.metrics_json import MetricsJson
from watchkeeper.ingest.receivers.reference import samples_of
from watchkeeper.model.signal import WireSamples

NOW_NS = 1_767_607_200_123_456_789
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
FIRST_S, LAST_S = 10**8, 9_223_372_036
"""1973, from when on a number says by its size which unit it is in, to 2262, where nanoseconds in
64 bits end."""
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
NAMES = WORDS.filter(lambda name: name != "__name__")


def decode(*items: dict[str, Any]) -> WireSamples:
    return MetricsJson(seed=1).decode(json.dumps(list(items)).encode(), {}, now_ns=NOW_NS)


def item(**fields: Any) -> dict[str, Any]:
    return {"name": "m", "value": 1, **fields}


@given(seconds=st.integers(FIRST_S, LAST_S), unit=st.sampled_from(sorted(UNITS)))
def test_a_whole_number_of_any_unit_is_the_same_moment(seconds: int, unit: str) -> None:
    number = seconds * 10**9 // UNITS[unit]

    assert decode(item(timestamp=number)).time_ns.tolist() == [seconds * 10**9]


@given(time_ns=st.integers(FIRST_S * 10**9, LAST_S * 10**9))
def test_nanoseconds_are_kept_to_the_last(time_ns: int) -> None:
    assert decode(item(timestamp=time_ns)).time_ns.tolist() == [time_ns]


@given(milliseconds=st.integers(FIRST_S * 1000, 4_102_444_800_000))
def test_seconds_with_decimals_are_exact_to_the_millisecond(milliseconds: int) -> None:
    """Until the year 2100: a double of seconds has no more than microseconds to give."""
    (time_ns,) = decode(item(timestamp=milliseconds / 1000)).time_ns.tolist()

    assert time_ns == milliseconds * 10**6


@given(
    moment=st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001
    hours=st.integers(-12, 14),
)
def test_a_written_time_means_the_same_in_every_zone(moment: datetime, hours: int) -> None:
    utc = moment.replace(tzinfo=UTC)
    elsewhere = utc.astimezone(timezone(timedelta(hours=hours)))

    (time_ns,) = decode(item(timestamp=elsewhere.isoformat())).time_ns.tolist()

    assert time_ns == (utc - EPOCH) // timedelta(microseconds=1) * 1000


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server whose machine keeps another time."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_a_written_time_without_a_zone_is_utc_wherever_the_server_stands() -> None:
    wire = decode(item(timestamp="2026-01-05T10:00:00"))

    assert wire.time_ns.tolist() == [1_767_607_200 * 10**9]


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_all_of_its_bits(value: float) -> None:
    (found,) = decode(item(value=value)).value.tolist()

    assert struct.pack("<d", found) == struct.pack("<d", value)


@given(value=st.integers(-(2**80), 2**80))
def test_a_whole_number_is_rounded_as_doubles_are(value: int) -> None:
    assert decode(item(value=value)).value.tolist() == [float(value)]


@given(labels=st.dictionaries(NAMES, WORDS, max_size=5))
def test_any_text_may_be_a_label(labels: dict[str, str]) -> None:
    ((found, _, _),) = samples_of(decode(item(labels=labels)))

    assert found == {**labels, "__name__": "m"}


@given(
    given_labels=st.dictionaries(NAMES, WORDS, max_size=4),
    others=st.dictionaries(NAMES, WORDS, max_size=4),
)
def test_series_have_one_key_if_and_only_if_their_labels_are_the_same(
    given_labels: dict[str, str], others: dict[str, str]
) -> None:
    wire = decode(item(labels=given_labels), item(labels=others))

    same_key = wire.key[0].tolist() == wire.key[1].tolist()
    assert same_key == (list(given_labels.items()) == list(others.items()))


@given(
    sound=st.lists(st.booleans(), max_size=12),
    bad=st.sampled_from([{}, {"name": 7, "value": 1}, "text", None, 5, [], item(value="x")]),
)
def test_every_item_is_either_taken_or_told(sound: list[bool], bad: Any) -> None:
    items = [item(timestamp=n + 1) if good else bad for n, good in enumerate(sound)]

    wire = decode(*items)

    assert wire.time_ns.tolist() == [(n + 1) * 10**9 for n, good in enumerate(sound) if good]
    assert sum(reject.count for reject in wire.rejects) == sound.count(False)


def test_the_first_bad_item_is_the_one_that_is_told() -> None:
    wire = decode(item(), item(value="many"), item(timestamp="soon"))

    (reject,) = wire.rejects
    assert reject.count == 2
    assert reject.detail.startswith("item 1: ")
    assert "many" in reject.detail


@given(n=st.integers(0, 6))
def test_as_many_samples_as_allowed_are_taken_and_not_one_more(n: int) -> None:
    receiver = MetricsJson(Limits(samples=5), seed=1)
    body = json.dumps([item(timestamp=k + 1) for k in range(n)]).encode()

    if n <= 5:
        assert len(receiver.decode(body, {}, now_ns=NOW_NS)) == n
        return
    with pytest.raises(TooLarge):
        receiver.decode(body, {}, now_ns=NOW_NS)


@given(
    labels=st.dictionaries(NAMES, WORDS, max_size=3),
    seconds=st.integers(FIRST_S, LAST_S),
    value=st.floats(allow_nan=False),
)
def test_both_forms_of_plain_json_say_the_same(
    labels: dict[str, str], seconds: int, value: float
) -> None:
    shown = value if math.isfinite(value) else ("+Inf" if value > 0 else "-Inf")
    told = {"value": shown, "timestamp": seconds, "labels": labels}

    one = decode({"name": "m", **told})
    point = json.dumps({"metric_name": "m", **told}).encode()
    other = MetricPoints(seed=1).decode(point, {}, now_ns=NOW_NS)

    assert samples_of(one) == samples_of(other)
    assert one.key.tolist() == other.key.tolist()
