"""Open findings of lines: when they open, worsen and end, and how many hours may have evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.analyze.detectors.base import CLOSED, OPENED, WORSENED
from watchkeeper.analyze.log_episodes import HOUR_NS, Episodes, EpisodeState, Strange
from watchkeeper.analyze.log_novelty import HOUR_NS as NOVELTY_HOUR_NS
from watchkeeper.analyze.log_novelty import Novelty, class_of, rarity
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import DEFAULT_TENANT, Entity

START_NS = 1_700_000_000 * NS_PER_S
WEEK_NS = 168 * HOUR_NS
SHOP = Entity(service="shop")


def episodes(hours_per_week: int = 3) -> Episodes:
    return Episodes(DEFAULT_TENANT, SHOP, hours_per_week=hours_per_week)


def strange(
    template: int = 1, p_value: float = 1e-6, *, detector: str = "log_rate",
    is_evidence: bool = True, lasts_s: float = 3600.0,
) -> Strange:  # fmt: skip
    return Strange(
        detector, template, {"service": "shop", "template": str(template)},
        9.0, 0.0, 3.0, p_value, is_evidence, {"lines": 9.0}, lasts_s,
    )  # fmt: skip


def changes(of: Episodes) -> list[int]:
    said = [one.change for _, one in of.said]
    of.said.clear()
    return said


def restarted(of: Episodes) -> Episodes:
    """As after a restart: through the bytes of a checkpoint."""
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(of.dump()), type=EpisodeState)
    twin = Episodes(DEFAULT_TENANT, SHOP, hours_per_week=of.hours_per_week)
    twin.load(state)
    return twin


def test_an_episode_opens_once_and_says_what_was_seen() -> None:
    one = episodes()

    one.see(strange(), START_NS)

    ((detector, said),) = one.said
    assert (detector, said.change, said.started_ns, said.time_ns) == (
        "log_rate", OPENED, START_NS, START_NS,
    )  # fmt: skip
    assert (said.value, said.expected_low, said.expected_high) == (9.0, 0.0, 3.0)
    assert (said.tenant, said.entity, said.series) == (DEFAULT_TENANT, SHOP, "")
    assert said.evidence == {"lines": 9.0}
    assert said.severity is Severity.EVIDENCE


@pytest.mark.parametrize(
    ("p_value", "is_worse"), [(1e-6, False), (1.1e-7, False), (9e-8, True), (0.0, True)]
)
def test_what_is_ten_times_less_likely_is_worse(p_value: float, is_worse: bool) -> None:
    one = episodes()
    one.see(strange(), START_NS)
    one.said.clear()

    one.see(strange(p_value=p_value), START_NS + NS_PER_S)

    assert changes(one) == ([WORSENED] if is_worse else [])


def test_a_probability_is_never_told_as_none() -> None:
    one = episodes()

    one.see(strange(p_value=0.0), START_NS)

    assert one.said[0][1].p_value == 1e-300


@pytest.mark.parametrize(
    ("after_s", "is_open"), [(0, True), (3_599, True), (3_600, False), (7_200, False)]
)
def test_an_episode_lasts_from_the_last_time_that_it_was_seen(after_s: int, is_open: bool) -> None:
    one = episodes()
    one.see(strange(), START_NS)
    one.see(strange(), START_NS + 1_000 * NS_PER_S)

    one.tick(START_NS + (1_000 + after_s) * NS_PER_S)

    assert one.is_open("log_rate", 1) == is_open
    assert changes(one) == ([OPENED] if is_open else [OPENED, CLOSED])


def test_all_that_is_open_ends_when_the_service_is_forgotten() -> None:
    one = episodes()
    one.see(strange(1), START_NS)
    one.see(strange(2), START_NS)

    one.leave(START_NS + HOUR_NS)

    assert changes(one) == [OPENED, OPENED, CLOSED, CLOSED]
    assert one.dump().open == []


def test_what_was_never_open_does_not_end() -> None:
    one = episodes()

    one.end("log_rate", 1, START_NS)
    one.tick(START_NS + WEEK_NS)

    assert one.said == []


def test_an_end_keeps_the_beginning_and_the_value() -> None:
    one = episodes()
    one.see(strange(), START_NS)

    one.end("log_rate", 1, START_NS + 5)

    closed = one.said[-1][1]
    assert (closed.change, closed.started_ns, closed.time_ns) == (CLOSED, START_NS, START_NS + 5)
    assert closed.value == 9.0


def test_detectors_and_templates_have_episodes_of_their_own() -> None:
    one = episodes()
    for detector in ("log_rate", "log_new"):
        for template in (1, 2):
            one.see(strange(template, detector=detector), START_NS)

    one.end("log_new", 2, START_NS + 1)

    assert [one.n_open(name) for name in ("log_rate", "log_new", "log_rare")] == [2, 1, 0]
    assert one.is_open("log_rate", 2)
    assert not one.is_open("log_new", 2)


def test_beyond_the_budget_findings_are_shown_and_no_more() -> None:
    one = episodes(hours_per_week=2)

    for number in range(4):
        one.see(strange(number), START_NS + number * HOUR_NS)

    severities = [said.severity for _, said in one.said]
    assert severities == [Severity.EVIDENCE] * 2 + [Severity.INFO] * 2
    assert [one.is_info("log_rate", number) for number in range(5)] == [
        False, False, True, True, False,
    ]  # fmt: skip


def test_all_of_one_hour_is_one_to_the_budget() -> None:
    one = episodes(hours_per_week=1)

    for number in range(20):
        one.see(strange(number), START_NS + number * 60 * NS_PER_S)

    assert {said.severity for _, said in one.said} == {Severity.EVIDENCE}


@pytest.mark.parametrize(
    ("apart_ns", "severity"),
    [
        (HOUR_NS - 1, Severity.EVIDENCE),
        (HOUR_NS, Severity.INFO),
        (WEEK_NS - 1, Severity.INFO),
        (WEEK_NS, Severity.EVIDENCE),
    ],
)
def test_an_hour_is_granted_again_after_a_week(apart_ns: int, severity: Severity) -> None:
    one = episodes(hours_per_week=1)
    one.see(strange(1), START_NS)

    one.see(strange(2), START_NS + apart_ns)

    assert one.said[-1][1].severity is severity


def test_what_was_shown_becomes_evidence_when_it_grows_rare_enough() -> None:
    one = episodes()
    one.see(strange(is_evidence=False), START_NS)

    one.see(strange(p_value=1e-9), START_NS + 1)

    assert [said.severity for _, said in one.said] == [Severity.INFO, Severity.EVIDENCE]


def test_evidence_does_not_become_less_within_an_episode() -> None:
    one = episodes()
    one.see(strange(), START_NS)

    one.see(strange(p_value=1e-9, is_evidence=False), START_NS + 1)

    assert one.said[-1][1].severity is Severity.EVIDENCE


def test_without_a_budget_nothing_is_evidence() -> None:
    one = episodes(hours_per_week=0)

    one.see(strange(p_value=1e-300), START_NS)

    assert one.said[0][1].severity is Severity.INFO


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([1e-5, 1e-7, 1e-9]), st.integers(0, 5_000)),
        min_size=1,
        max_size=15,
    ),
    at=st.integers(0, 15),
)
def test_a_restart_anywhere_says_the_same(steps: Sequence[tuple[int, float, int]], at: int) -> None:
    one, other = episodes(2), episodes(2)
    told, said = [], []
    now_ns = START_NS

    for number, (template, p_value, after_s) in enumerate(steps):
        now_ns += after_s * NS_PER_S
        if number == at:
            said += other.said
            other = restarted(other)
        for of in (one, other):
            of.tick(now_ns)
            of.see(strange(template, p_value), now_ns)

    told, said = one.said, said + other.said
    assert said == told
    assert msgspec.msgpack.encode(other.dump()) == msgspec.msgpack.encode(one.dump())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4_000)), max_size=20))
def test_every_episode_has_one_beginning_and_one_end(steps: list[tuple[int, int]]) -> None:
    one = episodes()
    now_ns = START_NS
    for template, after_s in steps:
        now_ns += after_s * NS_PER_S
        one.tick(now_ns)
        one.see(strange(template), now_ns)
    one.tick(now_ns + WEEK_NS)

    ends: dict[tuple[str, int], list[int]] = {}
    for _, said in one.said:
        ends.setdefault((said.labels["template"], said.started_ns), []).append(said.change)
    for told in ends.values():
        assert (told[0], told[-1]) == (OPENED, CLOSED)
        assert set(told[1:-1]) <= {WORSENED}
    assert one.dump().open == []


# What is new, and how surprising that is.


@pytest.mark.parametrize(
    ("severity", "grave"),
    [(0, 3), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (12, 3), (13, 4), (17, 5), (21, 6), (24, 6)],
)
def test_a_severity_is_of_one_of_six_classes(severity: int, grave: int) -> None:
    assert class_of(severity) == grave


@pytest.mark.parametrize("severity", range(25))
def test_the_rarer_a_template_the_rarer_it_is_said_to_be(severity: int) -> None:
    rare = [rarity(n, 1e6, severity) for n in (0, 1, 10, 1_000, 1e6)]

    assert rare == sorted(rare, reverse=True)
    assert all(math.isfinite(one) and one >= 0.0 for one in rare)


def hours(of: Novelty, n: int, *, first: int = 0, new_every: int = 0, severity: int = 9) -> Novelty:
    for number in range(first, first + n):
        now_ns = START_NS + number * NOVELTY_HOUR_NS
        of.pass_to(now_ns)
        if new_every and number % new_every == 0:
            of.meet(severity, now_ns)
    return of


def test_an_error_that_is_new_is_less_likely_than_information() -> None:
    calm = hours(Novelty(), 30)
    now_ns = START_NS + 30 * NOVELTY_HOUR_NS

    likely = [calm.meet(severity, now_ns) for severity in (5, 9, 13, 17, 21)]

    assert likely == sorted(likely, reverse=True)


@pytest.mark.parametrize("new_every", [1, 2, 4])
def test_who_says_new_things_often_surprises_nobody(new_every: int) -> None:
    busy = hours(Novelty(), 100, new_every=new_every)

    likely = busy.meet(9, START_NS + 100 * NOVELTY_HOUR_NS)

    assert likely == pytest.approx(1 / new_every, abs=0.12)


def test_what_is_graver_counts_for_what_is_less_grave_and_not_the_other_way() -> None:
    of = hours(Novelty(), 100, new_every=2, severity=17)
    now_ns = START_NS + 100 * NOVELTY_HOUR_NS

    assert of.meet(9, now_ns) > 0.4
    assert of.meet(21, now_ns) < 0.01


def test_the_first_hour_is_not_counted() -> None:
    of = Novelty()
    of.pass_to(START_NS)
    of.meet(21, START_NS)

    of.pass_to(START_NS + NOVELTY_HOUR_NS)

    assert (of.n_hours, of.gravest) == (0.0, 0)


@pytest.mark.parametrize("gap", [2_001, 5_000, 100_000, 10_000_000])
def test_a_leap_of_years_costs_no_more_than_three_months(gap: int) -> None:
    of = hours(Novelty(), 50, new_every=1)

    of.pass_to(START_NS + gap * NOVELTY_HOUR_NS)

    assert of.hour == (START_NS // NOVELTY_HOUR_NS) + gap
    assert of.n_hours <= 1.0 / (1.0 - math.exp(-1 / 672)) + 1.0
    assert 0.0 < of.meet(17, START_NS + gap * NOVELTY_HOUR_NS) < 0.01


def test_a_clock_that_is_put_back_counts_nothing_twice() -> None:
    of = hours(Novelty(), 50, new_every=1)
    before = msgspec.msgpack.encode(of)

    of.pass_to(START_NS)

    assert msgspec.msgpack.encode(of) == before


@pytest.mark.parametrize("at", [0, 1, 17, 40])
def test_novelty_goes_on_after_a_restart(at: int) -> None:
    one = hours(Novelty(), at, new_every=3)
    twin = msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Novelty)

    for of in (one, twin):
        hours(of, 30, first=at, new_every=5, severity=17)

    assert msgspec.msgpack.encode(twin) == msgspec.msgpack.encode(one)


def test_novelties_share_nothing() -> None:
    """Each has a list of its own, whatever the default is."""
    one, other = Novelty(), Novelty()

    one.with_new[3] += 1.0

    assert other.with_new == [0.0] * 7
