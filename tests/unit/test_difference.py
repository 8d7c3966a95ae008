"""Two runs over the same records, compared anomaly by anomaly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests import make
from tests.make import NS_PER_S, START_NS
from watchkeeper.analyze.difference import Difference, Kind, differences
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus, Severity

REACHED = 1000
MINUTE_NS = 60 * NS_PER_S


def at(minute: float, lasting: float | None = 5, **fields: Any) -> Anomaly:
    """An anomaly that begins at a minute, and may have ended."""
    started_ns = START_NS + round(minute * MINUTE_NS)
    ended: dict[str, Any] = {}
    if lasting is not None:
        ended_ns = started_ns + round(lasting * MINUTE_NS)
        ended = {"ended_ns": ended_ns, "status": AnomalyStatus.CLOSED}
    return make.anomaly(started_ns=started_ns, **ended, **fields)


def compared(before: list[Anomaly], after: list[Anomaly]) -> list[Difference]:
    return differences(before, after, reached=REACHED)


def kinds(before: list[Anomaly], after: list[Anomaly]) -> list[Kind]:
    return [one.kind for one in compared(before, after)]


def test_equal_runs_differ_in_nothing() -> None:
    assert kinds([at(0), at(30)], [at(30), at(0)]) == [Kind.SAME, Kind.SAME]


@pytest.mark.parametrize(
    ("minute", "kind"), [(-3, Kind.EARLIER), (3, Kind.LATER), (14.9, Kind.LATER)]
)
def test_an_episode_that_begins_at_another_time_is_the_same_episode(
    minute: float, kind: Kind
) -> None:
    (told,) = compared([at(0)], [at(minute)])

    assert told == Difference(kind, at(0), at(minute))


@pytest.mark.parametrize(
    "other",
    [at(15.1), at(-15.1), at(3, detector="rex"), at(3, series="another"), at(3, tenant="another")],
    ids=["too late", "too early", "another detector", "another series", "another tenant"],
)
def test_what_has_nothing_to_do_with_each_other_is_fewer_and_more(other: Anomaly) -> None:
    assert sorted(kinds([at(0)], [other])) == [Kind.FEWER, Kind.MORE]


def test_one_that_never_ended_meets_whatever_begins_later() -> None:
    assert kinds([at(0, None)], [at(600)]) == [Kind.LATER]


def test_each_episode_stands_for_one_other_the_nearest_first() -> None:
    told = compared([at(0), at(8)], [at(7), at(9)])

    pairs = [(one.before, one.after) for one in told]
    assert sorted(pairs, key=str) == sorted([(at(8), at(7)), (at(0), at(9))], key=str)


def test_what_is_left_over_is_more() -> None:
    assert kinds([at(0)], [at(1), at(2)]) == [Kind.LATER, Kind.MORE]


def test_another_grade_is_told_apart_from_other_numbers() -> None:
    graver = replace(at(0), severity=Severity.EVIDENCE)
    one = replace(at(0), severity=Severity.INFO)

    assert kinds([one], [graver]) == [Kind.SEVERITY]
    assert kinds([one], [replace(one, value=one.value + 1)]) == [Kind.CHANGED]
    assert kinds([one], [replace(one, position=one.position + 1)]) == [Kind.CHANGED]


def test_what_was_learned_behind_the_end_of_the_replay_is_no_difference() -> None:
    live = at(0, 60, position=REACHED + 1)
    still_open = at(0, None, position=REACHED - 5)

    assert kinds([live], [still_open]) == [Kind.SAME]
    assert kinds([live], [at(0, 2, position=REACHED - 5)]) == [Kind.CHANGED]
    assert kinds([replace(live, position=REACHED)], [still_open]) == [Kind.CHANGED]


def test_anomalies_of_services_are_told_apart_by_what_they_are_about() -> None:
    cart = at(0, series="", labels={"service": "cart", "symptom": "errors"})
    payment = at(1, series="", labels={"service": "payment", "symptom": "errors"})

    assert sorted(kinds([cart], [payment])) == [Kind.FEWER, Kind.MORE]


def test_differences_are_told_in_order_of_time() -> None:
    told = compared([at(50), at(0, detector="rex")], [at(100), at(50)])

    assert [one.anomaly.started_ns for one in told] == sorted(
        one.anomaly.started_ns for one in told
    )
