"""Fixed limits for services: when they are said to be passed, and when not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tests.serving import MIDNIGHT_NS, Known, Play, latencies, requests
from watchkeeper import plugins
from watchkeeper.analyze.detectors.base import CLOSED, OPENED
from watchkeeper.analyze.watchers.base import Sighting
from watchkeeper.analyze.watchers.service_rules import (
    ERRORS,
    GIVEN_UP_NS,
    PAUSE_NS,
    SILENT,
    TIMEOUTS,
    ServiceRule,
)
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import ConfigError
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import F64

NAMES = {ERRORS, TIMEOUTS, SILENT}
SETTLED = 30
"""Steps of ten seconds in which nothing is the matter."""


def play(labels: Sequence[Mapping[str, str]], *rules: ServiceRule, step_s: int = 10) -> Play:
    config = Symptoms.Config(rules=list(rules))
    return Play(Symptoms(config, catalog=Known(labels)), step_s)


def steps(n: int, answered: float, failed: float = 0.0) -> F64:
    return np.tile([answered, failed], (n, 1)).astype(np.float64)


def counters(*parts: F64) -> F64:
    """The parts one after the other, as counters."""
    return np.cumsum(np.concatenate(parts), axis=0)


def by_rules(told: Sequence[Sighting]) -> list[tuple[str, int]]:
    return [(name, one.change) for one in told if (name := one.labels["symptom"]) in NAMES]


def opened(told: Sequence[Sighting]) -> set[str]:
    return {name for name, change in by_rules(told) if change == OPENED}


def test_more_errors_than_the_limit_are_told_once_and_end() -> None:
    service = play(requests("shop"), ServiceRule())

    told = service.say(counters(steps(SETTLED, 10), steps(12, 7, 3), steps(60, 10)))

    assert by_rules(told) == [(ERRORS, OPENED), (ERRORS, CLOSED)]
    first = next(one for one in told if one.labels["symptom"] == ERRORS)
    assert first.labels == {"service": "shop", "symptom": ERRORS}
    assert (first.entity.service, first.series) == ("shop", "")
    assert 0.2 < first.value <= 0.3
    assert first.expected_high == 0.2


def test_what_rules_find_is_evidence_and_no_page() -> None:
    service = play(requests("shop"), ServiceRule(silence_s=60))

    told = service.say(counters(steps(SETTLED, 10), steps(12, 0, 10), steps(60, 0)))

    assert opened(told) == {ERRORS, SILENT}
    assert {one.severity for one in told if one.labels["symptom"] in NAMES} == {Severity.EVIDENCE}


def test_without_rules_nothing_is_found_by_them() -> None:
    service = play(requests("shop"))

    told = service.say(counters(steps(SETTLED, 10), steps(30, 0, 10), steps(60, 0)))

    assert by_rules(told) == []


@pytest.mark.parametrize(
    ("answered", "failed", "want"),
    [(4, 1, {ERRORS}), (8, 2, set()), (2.5, 0.8, set()), (2.5, 0.9, {ERRORS})],
    ids=["beyond", "at the limit", "too few", "just enough"],
)
def test_shares_are_taken_of_enough_requests_only(
    answered: float, failed: float, want: set[str]
) -> None:
    """Of five requests one failure is a fifth; of twenty, four have to fail."""
    rule = ServiceRule(error_share=0.2 if failed != 1 else 0.19)
    service = play(requests("shop"), rule)

    told = service.say(counters(steps(2, answered), steps(30, answered, failed)))

    assert opened(told) == want


@pytest.mark.parametrize(
    ("timeout_s", "share", "want"),
    [(0.3, 0.05, {TIMEOUTS}), (0.3, 0.4, set()), (0.5, 0.05, {TIMEOUTS}), (0.6, 0.05, set()),
     (None, 0.05, set())],
)  # fmt: skip
def test_requests_that_take_too_long_are_told(
    timeout_s: float | None, share: float, want: set[str]
) -> None:
    """A third takes longer than half a second, beyond which no bound tells how long."""
    rule = ServiceRule(error_share=None, timeout_s=timeout_s, timeout_share=share)
    service = play(latencies("shop"), rule)

    told = service.say(np.cumsum(np.tile([10.0, 15.0, 20.0, 30.0], (SETTLED, 1)), axis=0))

    assert opened(told) == want


def test_a_busy_service_without_requests_is_told_until_they_come_again() -> None:
    service = play(requests("shop"), ServiceRule(silence_s=120))

    told = service.say(counters(steps(SETTLED, 10), steps(30, 0), steps(12, 10)))

    assert by_rules(told) == [(SILENT, OPENED), (SILENT, CLOSED)]
    first = next(one for one in told if one.labels["symptom"] == SILENT)
    assert first.value > first.expected_high == 120.0
    assert first.time_ns == MIDNIGHT_NS + ((SETTLED - 1) * 10 + 130) * NS_PER_S


def test_a_service_that_sends_nothing_at_all_is_told_too() -> None:
    service = play(requests("shop"), ServiceRule(silence_s=120))

    told = service.say(np.vstack([counters(steps(SETTLED, 10)), np.full((30, 2), np.nan)]))

    assert by_rules(told) == [(SILENT, OPENED)]


def test_who_was_not_busy_is_not_missed() -> None:
    service = play(requests("shop"), ServiceRule(silence_s=120))

    told = service.say(counters(steps(SETTLED, 1), steps(60, 0)))

    assert by_rules(told) == []


def test_who_is_heard_of_every_minute_is_not_silent_in_between() -> None:
    service = play(requests("shop"), ServiceRule(silence_s=30))
    minutes = np.full((20 * 6, 2), np.nan)
    minutes[::6] = counters(steps(20, 100))

    assert by_rules(service.say(minutes)) == []


def test_after_a_day_of_silence_nobody_expects_a_request() -> None:
    service = play(requests("shop"), ServiceRule(silence_s=120))
    service.say(counters(steps(SETTLED, 10), steps(30, 0)))

    service.now_ns += GIVEN_UP_NS
    told = service.say(np.full((40, 2), np.nan))

    assert by_rules(told) == [(SILENT, CLOSED)]


def test_an_episode_ends_when_nothing_was_wrong_for_a_window_and_a_pause() -> None:
    service = play(requests("shop"), ServiceRule(window_s=30))

    told = service.say(counters(steps(SETTLED, 10), steps(12, 0, 10), steps(60, 10)))

    begin, end = (one.time_ns for one in told if one.labels["symptom"] == ERRORS)
    assert end - begin > PAUSE_NS + 30 * NS_PER_S


@pytest.mark.parametrize(
    ("rules", "want"),
    [
        ([ServiceRule(services=["sh*"])], {ERRORS}),
        ([ServiceRule(services=["cart", "shop"])], {ERRORS}),
        ([ServiceRule(services=["cart"])], set()),
        ([ServiceRule(services=["shop"], error_share=0.9), ServiceRule()], set()),
        ([ServiceRule(services=["cart"], error_share=0.9), ServiceRule()], {ERRORS}),
    ],
    ids=["glob", "one of two", "another's", "the first that names it", "the second"],
)
def test_a_service_is_judged_by_the_first_rule_that_names_it(
    rules: list[ServiceRule], want: set[str]
) -> None:
    service = play(requests("shop"), *rules)

    told = service.say(counters(steps(SETTLED, 10), steps(20, 7, 3)))

    assert opened(told) == want


def test_a_restart_in_an_episode_changes_nothing() -> None:
    rule = ServiceRule(silence_s=120)
    one, other = play(requests("shop"), rule), play(requests("shop"), rule)
    values = counters(steps(SETTLED, 10), steps(12, 7, 3), steps(40, 0), steps(30, 10))
    first, rest = values[: SETTLED + 10], values[SETTLED + 10 :]
    one.say(first)

    other.watcher.load(0, one.watcher.dump(0))
    other.now_ns = one.now_ns

    assert by_rules(one.say(rest))
    assert other.say(rest) == one.told[-len(other.told) :]
    assert other.watcher.dump(0) == one.watcher.dump(0)


def test_an_episode_whose_rule_is_gone_ends() -> None:
    before, after = play(requests("shop"), ServiceRule()), play(requests("shop"))
    values = counters(steps(SETTLED, 10), steps(52, 7, 3))
    before.say(values[: SETTLED + 12])

    after.watcher.load(0, before.watcher.dump(0))
    after.now_ns = before.now_ns

    assert by_rules(after.say(values[SETTLED + 12 :])) == [(ERRORS, CLOSED)]


def test_batches_and_slots_make_no_difference() -> None:
    rule = ServiceRule(silence_s=60)
    values = counters(steps(SETTLED, 10), steps(12, 7, 3), steps(40, 0))
    whole, cut = play(requests("shop"), rule), play(requests("shop"), rule)

    want = whole.say(values)

    assert cut.say(values, cut=1) == want
    assert cut.watcher.dump(0) == whole.watcher.dump(0)


@pytest.mark.parametrize(
    "fields", [{"window_s": 301}, {"error_share": 0.0}, {"silence_s": 29}, {"least_requests": 0}]
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"rules.*{next(iter(fields))}"):
        plugins.build(
            "watcher", {"use": "symptoms", "rules": [fields]}, catalog=Known([]), class_of=None
        )
