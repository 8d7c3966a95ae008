"""Maintenance windows: when they hold, for whom, and which are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests import make
from watchkeeper.analyze.maintenance import (
    MaintenanceWindow,
    Subject,
    Windows,
    holding,
    told_reason,
)
from watchkeeper.model.series import DEFAULT_TENANT, Entity, TenantId

SHOP = Subject(
    DEFAULT_TENANT,
    Entity(service="shop", environment="prod", node="n1"),
    {"__name__": "up", "region": "eu-west", "service": "in a label"},
)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * make.NS_PER_S


def once(**fields: Any) -> MaintenanceWindow:
    usual = {"from_": "2026-03-02T10:00:00Z", "to": "2026-03-02T12:00:00Z"}
    return MaintenanceWindow(**{**usual, **fields})


def weekly(text: str, **fields: Any) -> MaintenanceWindow:
    return MaintenanceWindow(weekly=text, **fields)


@pytest.mark.parametrize(
    ("time", "holds"),
    [("09:59:59", False), ("10:00:00", True), ("11:59:59", True), ("12:00:00", False)],
)
def test_a_window_holds_from_its_beginning_to_before_its_end(time: str, holds: bool) -> None:
    assert holding(once())(at(f"2026-03-02T{time}")) == holds


def test_a_time_without_a_zone_is_that_of_the_window() -> None:
    window = once(from_="2026-03-02T10:00", to="2026-03-02T11:00", time_zone="Europe/Berlin")

    holds = holding(window)

    assert holds(at("2026-03-02T09:30:00"))
    assert not holds(at("2026-03-02T10:30:00"))


@pytest.mark.parametrize(
    ("text", "time", "holds"),
    [
        ("mon 10:00-12:00", "2026-03-02T11:00:00", True),  # a Monday
        ("tue 10:00-12:00", "2026-03-02T11:00:00", False),
        ("sat, sun 02:00-04:00", "2026-03-01T03:59:59", True),
        ("sat sun 02:00-04:00", "2026-03-01T04:00:00", False),
        ("mon-fri 22:00-06:00", "2026-03-02T23:00:00", True),
        ("mon-fri 22:00-06:00", "2026-03-07T05:59:00", True),  # of Friday's night
        ("mon-fri 22:00-06:00", "2026-03-02T05:00:00", False),  # of Sunday's
        ("fri-mon 00:00-24:00", "2026-03-01T12:00:00", True),
        ("fri-mon 00:00-24:00", "2026-03-03T12:00:00", False),
        ("MON 10:00 - 12:00", "2026-03-02T11:00:00", True),
    ],
)
def test_a_weekly_window_holds_on_its_days(text: str, time: str, holds: bool) -> None:
    assert holding(weekly(text))(at(time)) == holds


@pytest.mark.parametrize(
    ("time", "holds"),
    [
        ("2026-03-22T01:30:00", True),  # 02:30 in winter
        ("2026-03-22T02:30:00", False),
        ("2026-03-29T00:30:00", False),  # 01:30, before clocks are put forward
        ("2026-03-29T01:30:00", False),  # 03:30: there is no half past two in this night
        ("2026-04-05T00:30:00", True),  # 02:30 in summer
        ("2026-10-25T00:30:00", True),  # 02:30, the first time
        ("2026-10-25T01:30:00", True),  # 02:30, the second time
    ],
)
def test_a_weekly_window_goes_by_the_clock_on_the_wall(time: str, holds: bool) -> None:
    window = weekly("sun 02:00-03:00", time_zone="Europe/Berlin")

    assert holding(window)(at(time)) == holds


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ({}, True),
        ({"service": "shop"}, True),
        ({"service": "shop", "environment": "test"}, False),
        ({"service": "s*", "region": "eu-*"}, True),
        ({"service": "in a label"}, False),
        ({"tenant": "other"}, False),
        ({"tenant": DEFAULT_TENANT}, True),
        ({"pod": "*"}, True),
        ({"pod": "?*"}, False),
    ],
)
def test_a_window_is_for_what_it_matches(match: dict[str, str], holds: bool) -> None:
    windows = Windows([once(match=match, reason="disks")])

    assert windows.reason(SHOP, at("2026-03-02T11:00:00")) == ("disks" if holds else "")


def test_a_window_that_was_told_is_its_tenants_alone() -> None:
    ours = make.maintenance(match={"service": "shop"})
    theirs = make.maintenance(match={"service": "shop"}, tenant=TenantId("other"))

    assert told_reason([ours], SHOP, ours.from_ns) == "disks are exchanged"
    assert told_reason([ours], SHOP, ours.to_ns) == ""
    assert told_reason([theirs], SHOP, ours.from_ns) == ""


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"from_": "2026-03-02T10:00:00Z"}, "needs `from` and `to`"),
        ({"weekly": "mon 10:00-11:00", "to": "2026-03-02T10:00:00Z"}, "has both"),
        ({"from_": "2026-03-02T10:00Z", "to": "2026-03-02T10:00Z"}, "before it begins"),
        ({"from_": "tomorrow", "to": "2026-03-02T10:00Z"}, "'tomorrow' is no time"),
        ({"weekly": "always"}, "not understood"),
        ({"weekly": "mon-xyz 10:00-11:00"}, "'xyz' is no day"),
        ({"weekly": "mon 10:00-25:00"}, "25:00 is no time"),
        ({"weekly": "mon 10:60-11:00"}, "10:60 is no time"),
        ({"weekly": "mon 10:00-11:00", "time_zone": "Mars/Base"}, "'Mars/Base' is not known"),
        ({"weekly": "mon 10:00-11:00", "time_zone": "../etc/passwd"}, "is not known"),
    ],
)
def test_what_is_no_window_is_refused_with_the_remedy(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        MaintenanceWindow(**fields)
