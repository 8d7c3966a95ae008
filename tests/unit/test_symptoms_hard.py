"""Symptoms where things go wrong: absurd samples, leaps of time, restarts in between, namesakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tests.serving import ALL, NOTHING, Known, Play, counted, latencies, requests
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, Points
from watchkeeper.analyze.watchers.base import Seen, Sighting
from watchkeeper.analyze.watchers.objectives import Slo
from watchkeeper.analyze.watchers.services import HOUR_NS, WEEK_NS, Subject
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import DEFAULT_TENANT, F64, Entity, Series, TenantId

HOUR = 360
"""In steps of ten seconds."""
HUGE = (1e13, 1e30, 1e300, -1e300, 1.7e308)
NOT_FINITE = (math.inf, -math.inf)


class Owned(Known):
    """... whose series have tenants and environments, by a label each."""

    def series(self, slot: int) -> Series:
        one = super().series(slot)
        entity = Entity(service=one.entity.service, environment=one.labels.get("environment", ""))
        return replace(one, tenant=TenantId(one.labels.get("owner", "default")), entity=entity)


def play(*labels: Mapping[str, str], **settings: object) -> Play:
    config = msgspec.convert(settings, Symptoms.Config)
    return Play(Symptoms(config, catalog=Owned(labels)))


def rest(*parts: F64) -> F64:
    """The parts one after the other, as counters."""
    return np.cumsum(np.concatenate(parts), axis=0)


def healthy(hours: float = 2.0, *, seed: int = 0) -> F64:
    return counted(round(hours * HOUR), 500.0, 0.01, seed=seed)


def sick(n: int = 12) -> F64:
    return counted(n, 500.0, 0.2, seed=9)


def state(one: Symptoms) -> bytes:
    return one.dump(0)


def twin_of(one: Play, labels: Sequence[Mapping[str, str]], first_slot: int = 0) -> Play:
    """Another process that goes on where this one is."""
    twin = Play(Symptoms(catalog=Owned(labels, first_slot)), one.step_s, one.now_ns)
    twin.watcher.load(0, one.watcher.dump(0))
    return twin


def symptoms_of(told: Sequence[Sighting], change: int = OPENED) -> list[str]:
    return [one.labels["symptom"] for one in told if one.change == change]


@pytest.mark.parametrize("value", [*HUGE, *NOT_FINITE])
def test_one_absurd_sample_of_requests_makes_nobody_deaf(value: float) -> None:
    """It went into sums that fade over a day, as infinity: the service was never ill again."""
    service = play(*requests("shop"))
    values = rest(healthy(), sick())
    values[HOUR, 1] = value
    well = len(values) - len(sick())
    told = service.say(values[:well])

    since = service.say(values[well:])

    assert "errors" in symptoms_of(since)
    assert all(math.isfinite(one.value) for one in [*told, *since])


@pytest.mark.parametrize("value", [*HUGE, *NOT_FINITE])
def test_one_absurd_sample_leaves_only_finite_state(value: float) -> None:
    service = play(*requests("shop"), *latencies("shop"))
    columns = np.concatenate([healthy(0.5), np.ones((180, 4))], axis=1)
    values = rest(columns)
    values[60] = value

    service.say(values)

    rows = service.watcher._services.state  # noqa: SLF001 - nothing else shows what was learned
    for name in ("requests", "errors", "error_scatter", "traffic_scatter", "recent", "drift"):
        assert math.isfinite(float(rows.service[0][name])), name
    assert np.isfinite(rows.ring[0]).all()
    assert np.isfinite(rows.usual[0]).all()


@pytest.mark.parametrize("value", [*HUGE, *NOT_FINITE])
@pytest.mark.parametrize("name", ["queue_depth", "system_memory_utilization"])
def test_one_absurd_gauge_leaves_only_finite_state(name: str, value: float) -> None:
    service = play({"__name__": name, "service": "shop"})
    values = np.full((200, 1), 0.4)
    values[100] = value

    told = service.say(values)

    row = service.watcher._services.state.service[0]  # noqa: SLF001 - as above
    for column in ("share_level", "share_dev", "queue_level", "queue_dev"):
        assert math.isfinite(float(row[column])), column
    assert told == []


@pytest.mark.parametrize("at", [10, HOUR, 2 * HOUR, 2 * HOUR + 1, 2 * HOUR + 5, 2 * HOUR + 9])
def test_a_twin_of_any_moment_says_the_same(at: int) -> None:
    """Before anything is known, while it is learned, as it opens, while it is open."""
    labels = [*requests("shop"), *latencies("shop")]
    one = play(*labels)
    mixed = np.concatenate([healthy(), sick(), healthy(0.2, seed=3)])
    values = rest(np.concatenate([mixed, np.ones((len(mixed), 4))], axis=1))
    one.say(values[:at])

    twin = twin_of(one, labels, first_slot=40)
    said, told = twin.say(values[at:], first_slot=40), one.say(values[at:])

    assert said == told
    assert symptoms_of(told) or at > 2 * HOUR
    assert state(twin.watcher) == state(one.watcher)


def leaping(service: Play, values: F64) -> None:
    """The last four come between two ticks, and the very last as one that is ten minutes younger
    than it should be, so that bins have to be judged before their tick."""
    service.say(values[:-4])
    for after_s, row in zip((0, 10, 20, 630), values[-4:], strict=True):
        time_ns = np.full(len(row), service.now_ns + after_s * NS_PER_S, np.int64)
        points = Points(np.arange(len(row), dtype=np.int32), time_ns, row)
        service.watcher.see(Seen(DEFAULT_TENANT, points, NOTHING, []))


def test_what_was_found_as_time_leapt_is_told_with_the_next_tick() -> None:
    service = play(*requests("shop"))

    leaping(service, rest(healthy(), sick(4)))

    assert symptoms_of(service.watcher.tick(service.now_ns, ALL)) == ["errors"]


def test_a_restart_between_a_leap_and_its_tick_loses_nothing() -> None:
    """What waited for the tick was in no checkpoint: the anomaly was never opened, only closed."""
    labels = requests("shop")
    one = play(*labels)
    leaping(one, rest(healthy(), sick(4)))

    twin = twin_of(one, labels)

    assert twin.watcher.dump(0) == one.watcher.dump(0)
    assert twin.watcher.tick(one.now_ns, ALL) == one.watcher.tick(one.now_ns, ALL)
    assert twin.watcher.dump(0) == one.watcher.dump(0)


def test_a_restart_between_confirmation_and_its_tick_loses_no_page() -> None:
    labels = [*requests("shop"), *({"__name__": f"m{n}", "service": "shop"} for n in (1, 2))]
    one = play(*labels, learning_s=3600.0)
    asked = rest(healthy(), counted(8, 500.0, 0.03, seed=4))
    before = one.say(np.concatenate([asked, np.ones((len(asked), 2))], axis=1))
    one.flag(2)
    one.flag(3)

    twin = twin_of(one, labels)
    told = one.watcher.tick(one.now_ns, ALL)

    assert [said.severity for said in before] == [Severity.EVIDENCE]
    assert [said.severity for said in told] == [Severity.PAGE]
    assert twin.watcher.tick(one.now_ns, ALL) == told
    assert state(twin.watcher) == state(one.watcher)


def test_what_waits_for_a_tick_is_forgotten_with_its_partition() -> None:
    one = play(*requests("shop"))
    leaping(one, rest(healthy(), sick(4)))

    one.watcher.load(0, b"")

    assert one.watcher.tick(one.now_ns, ALL) == []
    fresh = Symptoms(catalog=Owned(requests("shop")))
    fresh.tick(one.now_ns, ALL)
    assert one.watcher.dump(0) == fresh.dump(0)


def test_namesakes_in_two_environments_are_two_services() -> None:
    labels = [
        {**one, "environment": environment}
        for environment in ("prod", "test")
        for one in requests("shop")
    ]
    service = play(*labels)
    ill, well = rest(healthy(), sick()), rest(healthy(seed=1), counted(12, 500.0, 0.01, seed=5))

    told = service.say(np.concatenate([ill, well], axis=1))

    assert {one.labels.get("environment") for one in told} == {"prod"}
    assert {one.entity.environment for one in told} == {"prod"}


def test_namesakes_of_two_tenants_are_two_services() -> None:
    labels = [{**one, "owner": owner} for owner in ("acme", "globex") for one in requests("shop")]
    service = play(*labels)
    ill, well = rest(healthy(), sick()), rest(healthy(seed=1), counted(12, 500.0, 0.01, seed=5))

    told = service.say(np.concatenate([well, ill], axis=1))

    assert {one.tenant for one in told} == {"globex"}


def test_namesakes_go_on_apart_after_a_restart() -> None:
    labels = [
        {**one, "environment": environment, "owner": owner}
        for owner in ("acme", "globex")
        for environment in ("", "prod")
        for one in requests("shop")
    ]
    one = play(*labels)
    values = rest(np.concatenate([healthy(0.3, seed=seed) for seed in range(4)], axis=1))
    one.say(values)

    twin = twin_of(one, labels, first_slot=9)

    assert state(twin.watcher) == state(one.watcher)
    assert len({tuple(subject) for subject in twin.watcher._services.subjects(0)}) == 4  # noqa: SLF001


def test_each_namesake_keeps_its_own_promise() -> None:
    labels = [
        {**one, "environment": environment}
        for environment in ("prod", "test")
        for one in requests("shop")
    ]
    slo = {"service": "shop", "objective": 99.0}
    service = play(*labels, slos=[slo])
    ill, well = rest(healthy(1.0), sick(60)), rest(healthy(1.0, seed=1), healthy(1 / 6, seed=6))

    service.say(np.concatenate([ill, well], axis=1))

    left = {
        subject.environment: account.left(one.allowed)
        for subject, one, account in service.watcher.promises.left()
    }
    assert left["prod"] < 0.0 < left["prod"] + left["test"] + 10.0
    assert left["test"] > left["prod"]


def test_promises_of_nobody_who_is_watched_cost_nothing() -> None:
    service = play(*requests("shop"), slos=[{"service": "other"}])

    service.say(rest(healthy(0.1)))

    assert service.watcher.promises.left() == []


@pytest.mark.parametrize("room", [1, 2, 3])
def test_with_less_room_than_before_the_first_services_go_on_as_they_were(room: int) -> None:
    """Those for which there was none took the place of the last one."""
    labels = [one for name in ("a", "b", "c") for one in requests(name)]
    before = play(*labels)
    values = rest(np.concatenate([healthy(0.2, seed=seed) for seed in range(3)], axis=1))
    before.say(values)
    config = Symptoms.Config(most_services=room)
    after = Symptoms(config, catalog=Owned(labels))

    after.load(0, before.watcher.dump(0))

    old, new = before.watcher._services, after._services  # noqa: SLF001 - what was learned
    assert [subject.service for subject in new.subjects(0)] == ["a", "b", "c"][:room]
    for subject in new.subjects(0):
        of = old.state.service[old.row(subject)]
        assert new.state.service[new.row(subject)].tobytes() == of.tobytes()


def test_services_without_room_are_nobody_in_the_digest_either() -> None:
    labels = [one for name in ("a", "b") for one in requests(name)]
    before = play(*labels)
    before.say(rest(np.concatenate([healthy(0.2, seed=seed) for seed in range(2)], axis=1)))
    for service in ("a", "b"):
        subject = Subject.of(DEFAULT_TENANT, service, "")
        for n in range(3):
            before.watcher.budget.decide(
                subject, 30.0 + n, before.now_ns + n, n_services=2, confirmed=False
            )
    after = Symptoms(Symptoms.Config(most_services=1), catalog=Owned(labels))

    after.load(0, before.watcher.dump(0))

    assert len(before.watcher.noisy()) == 2
    assert [one.subject.service for one in after.noisy()] == ["a"]  # type: ignore[attr-defined]


def test_a_service_without_samples_for_a_week_is_let_go() -> None:
    service = play(*requests("shop"))
    service.say(rest(healthy(0.1)))
    watched = service.watcher._services  # noqa: SLF001 - who is watched

    service.watcher.tick(service.now_ns + WEEK_NS - HOUR_NS, ALL)
    before = watched.n
    service.watcher.tick(service.now_ns + WEEK_NS + 2 * HOUR_NS, ALL)

    assert (before, watched.n) == (1, 0)


@pytest.mark.parametrize("minutes", [1, 20, 59])
def test_a_restart_within_an_hour_lets_nobody_go_sooner(minutes: int) -> None:
    """Who is let go was looked up with the first tick of an hour, and again after a restart."""
    labels = requests("shop")
    one = play(*labels)
    one.say(rest(healthy(0.1)))
    hour_ns = (one.now_ns + WEEK_NS) // HOUR_NS * HOUR_NS
    one.watcher.tick(hour_ns, ALL)
    twin = twin_of(one, labels)

    now_ns = hour_ns + minutes * 60 * NS_PER_S
    one.watcher.tick(now_ns, ALL)
    twin.watcher.tick(now_ns, ALL)

    assert twin.watcher.dump(0) == one.watcher.dump(0)


def test_who_was_let_go_begins_anew() -> None:
    service = play(*requests("shop"))
    values = rest(healthy(0.2))
    service.say(values)
    service.now_ns += WEEK_NS + 2 * HOUR_NS
    service.watcher.tick(service.now_ns, ALL)

    told = service.say(values)

    assert told == []
    assert service.watcher._services.n == 1  # noqa: SLF001 - who is watched


@pytest.mark.parametrize("back_s", [1, 10, 600, 86_400])
def test_a_clock_that_is_put_back_is_no_news(back_s: int) -> None:
    service = play(*requests("shop"))
    values = rest(healthy(1.0))
    service.say(values[:-60])
    service.now_ns -= back_s * NS_PER_S

    told = service.say(values[-60:])

    assert told == []


@pytest.mark.parametrize("ahead_s", [301, 3_600, 86_400, 30 * 86_400])
def test_a_gap_in_event_time_is_no_symptom_of_errors(ahead_s: int) -> None:
    service = play(*requests("shop"))
    values = rest(healthy(1.0))
    service.say(values[:-60])
    service.now_ns += ahead_s * NS_PER_S

    told = service.say(values[-60:])

    assert symptoms_of(told) == []


def test_a_counter_that_begins_again_is_counted_from_zero() -> None:
    service = play(*requests("shop"))
    first, second = rest(healthy(1.0)), rest(healthy(1.0, seed=2))

    told = service.say(np.concatenate([first, second]))

    assert told == []


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_batches_may_be_cut_anywhere(cut: int) -> None:
    labels = [*requests("shop"), *requests("cart")]
    whole, parts = play(*labels), play(*labels)
    columns = [np.concatenate([healthy(seed=seed), sick()]) for seed in (0, 1)]
    values = rest(np.concatenate(columns, axis=1))[-HOUR:]

    told, said = whole.say(values), parts.say(values, cut=cut)

    assert said == told
    assert state(parts.watcher) == state(whole.watcher)


def test_a_duplicate_and_an_older_sample_count_for_nothing() -> None:
    labels = requests("shop")
    one, other = play(*labels), play(*labels)
    values = rest(healthy(0.3))
    one.say(values)

    for row in values:
        other.say(row[None])
        time_ns = np.full(4, other.now_ns - 10 * NS_PER_S, np.int64)
        time_ns[2:] -= 25 * NS_PER_S
        again = Points(np.array([0, 1, 0, 1], np.int32), time_ns, np.tile(row * 3.0, 2))
        other.watcher.see(Seen(DEFAULT_TENANT, again, NOTHING, []))
        other.watcher.tick(other.now_ns, ALL)

    assert other.told == one.told
    one_row = one.watcher._services.state.service[0]  # noqa: SLF001 - what was learned
    other_row = other.watcher._services.state.service[0]  # noqa: SLF001 - the same
    assert one_row["requests"] == other_row["requests"]
    assert one_row["errors"] == other_row["errors"]


def test_an_episode_has_one_end() -> None:
    service = play(*requests("shop"))
    values = rest(healthy(), sick(30), healthy(0.5, seed=4))

    told = [one for one in service.say(values) if one.labels["symptom"] == "errors"]

    assert told[0].change == OPENED
    assert [one.change for one in told].count(CLOSED) == 1
    assert told[-1].change == CLOSED
    assert {one.started_ns for one in told} == {told[0].started_ns}
    assert told[-1].severity is Severity.PAGE


def test_a_promise_is_that_of_its_name() -> None:
    slo = Slo(service="shop", objective=99.5)

    assert slo.name == "availability 99.5 %"
    assert slo.allowed == pytest.approx(0.005)
