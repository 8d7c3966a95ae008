"""Windows over midnight, over changes of the clock, over each other; and what a restart keeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from watchkeeper.analyze.maintenance import (
    MaintenanceWindow,
    Subject,
    Windows,
    holding,
    matches,
    told_reason,
)
from watchkeeper.analyze.rulings import MAX_VERDICTS, Rulings, without_settings
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import AnomalyId
from watchkeeper.model.ruling import Word
from watchkeeper.model.series import DEFAULT_TENANT, Entity, TenantId

SHOP = Subject(DEFAULT_TENANT, Entity(service="shop", environment="prod"), {"region": "eu"})
DAY_NS = 86_400 * NS_PER_S
OF = make.anomaly()


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


def window(**fields: Any) -> MaintenanceWindow:
    return msgspec.convert(fields, MaintenanceWindow)


@pytest.mark.parametrize(
    ("weekly", "time", "holds"),
    [
        ("mon 22:00-06:00", "2026-03-02T22:00", True),
        ("mon 22:00-06:00", "2026-03-03T05:59", True),
        ("mon 22:00-06:00", "2026-03-03T06:00", False),
        ("mon 22:00-06:00", "2026-03-02T05:00", False),
        ("sun 22:00-06:00", "2026-03-02T05:00", True),
        ("mon 00:00-24:00", "2026-03-02T23:59", True),
        ("mon 00:00-24:00", "2026-03-03T00:00", False),
        ("mon 08:00-08:00", "2026-03-02T08:00", True),
        ("mon 08:00-08:00", "2026-03-03T07:59", True),
        ("mon 08:00-08:00", "2026-03-03T08:00", False),
        ("sat-mon 01:00-02:00", "2026-03-01T01:30", True),
        ("sat-mon 01:00-02:00", "2026-03-02T01:30", True),
        ("sat-mon 01:00-02:00", "2026-03-03T01:30", False),
        ("fri-thu 01:00-02:00", "2026-03-04T01:30", True),
        ("mon,wed 9:00-10:00", "2026-03-04T09:30", True),
        ("mon,wed 9:00-10:00", "2026-03-03T09:30", False),
        ("  MON , WED  9:00 - 10:00 ", "2026-03-04T09:30", True),
        ("mon-wed, sat 9:00-10:00", "2026-03-07T09:30", True),
    ],
)
def test_days_and_times_of_a_week(weekly: str, time: str, holds: bool) -> None:
    assert holding(window(weekly=weekly))(at(time)) == holds


@pytest.mark.parametrize(
    ("zone", "time", "holds"),
    [
        ("Europe/Berlin", "2026-03-29T00:59", True),  # 01:59 there
        ("Europe/Berlin", "2026-03-29T01:00", False),  # 03:00 there: two o'clock is left out
        ("Europe/Berlin", "2026-10-25T00:30", False),  # 02:30, for the first time
        ("Europe/Berlin", "2026-10-24T23:30", True),
        ("Asia/Kolkata", "2026-03-28T19:30", True),
        ("Asia/Kolkata", "2026-03-28T20:30", False),
        ("America/New_York", "2026-03-29T05:30", True),
        ("America/New_York", "2026-03-29T06:30", False),
        ("UTC", "2026-03-29T01:30", True),
    ],
)
def test_a_week_is_that_of_the_clock_on_the_wall(zone: str, time: str, holds: bool) -> None:
    assert holding(window(weekly="sun 01:00-02:00", time_zone=zone))(at(time)) == holds


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, "needs `from` and `to`, or `weekly`"),
        ({"from": "2026-03-01T22:00:00Z"}, "needs `from` and `to`, or `weekly`"),
        ({"weekly": "mon 1:00-2:00", "to": "2026-03-01T22:00:00Z"}, "give one of them"),
        ({"weekly": "mon 1-2"}, "is not understood; write `sat, sun 02:00-04:00`"),
        ({"weekly": ""}, "is not understood"),
        ({"weekly": "xyz 01:00-02:00"}, "'xyz' is no day; use mon, tue"),
        ({"weekly": "mon-xyz 01:00-02:00"}, "'xyz' is no day"),
        ({"weekly": "mon 25:00-26:00"}, "25:00 is no time of a day"),
        ({"weekly": "mon 24:01-25:00"}, "24:01 is no time of a day"),
        ({"weekly": "mon 01:60-02:00"}, "01:60 is no time of a day"),
        ({"weekly": "mon 01:00-02:00", "time_zone": "Mars/Olympus"}, "'Mars/Olympus' is not known"),
        ({"weekly": "mon 01:00-02:00", "time_zone": "../../etc/passwd"}, "is not known"),
        ({"weekly": "mon 01:00-02:00", "time_zone": ""}, "is not known"),
        ({"from": "now", "to": "2026-03-01T22:00:00Z"}, "'now' is no time"),
        ({"from": "2026-03-01T22:00", "to": "2026-03-01T22:00"}, "before it begins"),
        ({"from": "2026-03-01T22:00Z", "to": "2026-03-01T22:30+01:00"}, "before it begins"),
    ],
)
def test_what_is_no_window_says_what_it_lacks(fields: dict[str, str], fault: str) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        window(**fields)

    assert fault in str(raised.value)


def test_of_windows_that_overlap_the_first_tells_the_reason() -> None:
    windows = Windows([
        window(weekly="mon 01:00-03:00", reason="first", match={"service": "shop"}),
        window(weekly="mon 02:00-04:00", reason="second"),
    ])  # fmt: skip

    reasons = [windows.reason(SHOP, at(f"2026-03-02T0{hour}:30")) for hour in range(5)]

    assert reasons == ["", "first", "first", "second", ""]


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"tenant": DEFAULT_TENANT}, True),
        ({"tenant": "other"}, False),
        ({"service": "sh*", "region": "eu"}, True),
        ({"service": "sh*", "region": "us"}, False),
        ({"region": "EU"}, False),
        ({"node": ""}, True),
        ({"node": "*"}, True),
        ({"node": "?"}, False),
    ],
)
def test_whom_a_window_is_for(match: Mapping[str, str], fits: bool) -> None:
    assert matches(match, SHOP) == fits


@pytest.mark.parametrize("tenant", [DEFAULT_TENANT, TenantId("other")])
def test_what_a_tenant_told_holds_for_nobody_else(tenant: TenantId) -> None:
    told = make.maintenance(tenant=tenant, match={})

    reason = told_reason([told], SHOP, make.START_NS)

    assert bool(reason) == (tenant == DEFAULT_TENANT)


@pytest.mark.parametrize(
    ("began_ns", "holds"),
    [(-1, False), (0, True), (3_600 * NS_PER_S - 1, True), (3_600 * NS_PER_S, False)],
)
def test_what_was_told_holds_from_its_beginning_to_before_its_end(
    began_ns: int, holds: bool
) -> None:
    told = make.maintenance(match={})

    assert bool(told_reason([told], SHOP, make.START_NS + began_ns)) == holds


# What is in force, through restarts.

RECORDS = st.lists(
    st.tuples(st.sampled_from(["settle", "hold", "note", "tick"]), st.integers(0, 5)), max_size=15
)


def apply(rulings: Rulings, kind: str, number: int) -> None:
    """One record of the log, for partition 0."""
    match kind:
        case "settle":
            rulings.settle(make.settings(f'{{"rules":[],"sensitivity":"{number}"}}'), [0])
        case "hold":
            from_ns = make.START_NS + number * DAY_NS
            told = make.maintenance(id=f"m{number % 3}", from_ns=from_ns, to_ns=from_ns + DAY_NS)
            rulings.hold(told, [0])
        case "note":
            word = list(Word)[number % len(Word)]
            rulings.note(make.verdict(word, anomaly=AnomalyId(str(number % 2)), partition=0))
        case _:
            rulings.tick(make.START_NS + number * DAY_NS)


@given(RECORDS, st.integers(0, 15))
def test_a_restart_at_any_record_decides_alike(records: list[tuple[str, int]], cut: int) -> None:
    one, other = Rulings(), Rulings()
    for record in records:
        apply(one, *record)

    for record in records[:cut]:
        apply(other, *record)
    twin = Rulings()
    twin.load(0, other.dump(0))
    for record in records[cut:]:
        apply(twin, *record)

    assert twin.dump(0) == one.dump(0)
    assert (twin.version(0), twin.document(0)) == (one.version(0), one.document(0))
    assert twin.shift(0, OF.series) == one.shift(0, OF.series)


@settings(max_examples=30, deadline=None)
@given(RECORDS)
def test_without_settings_windows_and_verdicts_stay(records: list[tuple[str, int]]) -> None:
    one, bare = Rulings(), Rulings()
    for record in records:
        apply(one, *record)
        if record[0] != "settle":
            apply(bare, *record)

    assert without_settings(one.dump(0)) == bare.dump(0)


def test_partitions_know_nothing_of_each_other() -> None:
    rulings = Rulings()
    rulings.settle(make.settings("{}"), [1, 2])
    rulings.hold(make.maintenance(), [2])
    rulings.note(make.verdict(Word.NOT_USEFUL, partition=3))

    empty = Rulings().dump(0)

    assert [rulings.version(partition) for partition in range(4)] == [0, 1, 1, 0]
    assert [rulings.shift(partition, OF.series) for partition in range(4)] == [0, 0, 0, -0.5]
    assert [rulings.dump(partition) == empty for partition in range(4)] == [
        True, False, False, False,
    ]  # fmt: skip


def test_verdicts_on_a_subject_are_bounded() -> None:
    rulings = Rulings()
    for number in range(MAX_VERDICTS + 50):
        rulings.note(make.verdict(Word.REAL, anomaly=AnomalyId(str(number)), partition=0))

    kept = Rulings()
    kept.load(0, rulings.dump(0))

    assert len(kept.dump(0)) == len(rulings.dump(0))
    assert kept.dump(0).count(b"user:ops") == MAX_VERDICTS
