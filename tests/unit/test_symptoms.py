"""When a service is said to be ill, how loudly, and when it is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from tests.serving import ALL, Known, Play, counted, latencies, requests, slow_ones
from watchkeeper.analyze.detectors.base import CLOSED, OPENED
from watchkeeper.analyze.watchers.base import Open, Sighting
from watchkeeper.analyze.watchers.budget import BudgetConfig
from watchkeeper.analyze.watchers.objectives import Slo, SloKind
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import F64

HOUR = 360
DAY = 24 * HOUR
"""In steps of ten seconds."""


def play(*labels: dict[str, str], step_s: int = 10) -> Play:
    return Play(Symptoms(catalog=Known(labels)), step_s)


def opened(told: Sequence[Sighting]) -> list[str]:
    return [one.labels["symptom"] for one in told if one.change == OPENED]


def pages(told: Sequence[Sighting]) -> set[str]:
    return {one.labels["symptom"] for one in told if one.severity is Severity.PAGE}


def healthy(hours: float, *, seed: int = 0) -> F64:
    """500 requests in ten seconds, one in a hundred fails."""
    return counted(round(hours * HOUR), 500.0, 0.01, seed=seed)


def rest(parts: Sequence[F64]) -> F64:
    """The parts one after the other, as counters."""
    return np.cumsum(np.concatenate(parts), axis=0)


def test_errors_five_times_as_frequent_page_within_a_minute() -> None:
    service = play(*requests("shop"))
    values = rest([healthy(2), counted(6, 500.0, 0.05)])
    service.say(values[: 2 * HOUR])

    told = service.say(values[2 * HOUR :])

    assert pages(told) == {"errors"}
    assert told[0].labels == {"service": "shop", "symptom": "errors"}
    assert told[0].value == pytest.approx(0.05, abs=0.03)
    assert (told[0].series, told[0].entity.service) == ("", "shop")


def test_what_is_as_always_is_no_symptom() -> None:
    service = play(*requests("shop"))

    told = service.say(rest([healthy(6)]))

    assert told == []


def test_a_symptom_is_evidence_until_enough_was_learned() -> None:
    service = play(*requests("shop"))
    values = rest([healthy(0.5), counted(18, 500.0, 0.2)])

    told = service.say(values)

    assert opened(told) == ["errors"]
    assert pages(told) == set()


@pytest.mark.parametrize(("asked", "failed"), [(0, 0), (1, 1), (7, 7)])
def test_few_requests_prove_nothing_however_many_fail(asked: int, failed: int) -> None:
    """The long window of five minutes sees no more than these."""
    service = play(*requests("shop"))
    calm = np.zeros((2 * HOUR, 2))
    calm[::60, 0] = 1.0
    bad = np.zeros((30, 2))
    bad[3] = (asked - failed, failed)
    silent = np.zeros((40, 2))

    told = service.say(rest([calm, silent, bad]))

    assert "errors" not in opened(told)


def test_an_episode_closes_when_errors_are_usual_again() -> None:
    service = play(*requests("shop"))
    bad = counted(12, 500.0, 0.2)

    told = service.say(rest([healthy(2), bad, healthy(1, seed=2)]))

    assert [one.change for one in told if one.change != 2] == [OPENED, CLOSED]
    assert len({(one.started_ns, *one.labels.values()) for one in told}) == 1


def test_latency_twice_the_usual_pages_within_a_minute() -> None:
    service = play(*latencies("shop"))
    usual, slow = slow_ones(2 * HOUR, 40.0, 0.1), slow_ones(6, 200.0, 0.25)
    values = rest([usual, slow])
    service.say(values[: len(usual)])

    told = service.say(values[len(usual) :])

    assert pages(told) == {"latency"}
    assert told[-1].value > 1.2 * told[-1].expected_high


def test_traffic_that_drops_by_four_fifths_pages_after_a_day() -> None:
    service = play(*requests("shop"))
    values = rest([healthy(25), counted(6, 100.0, 0.01)])
    service.say(values[: 25 * HOUR])

    told = service.say(values[25 * HOUR :])

    assert pages(told) == {"traffic"}


def test_a_surge_is_evidence_and_no_page() -> None:
    service = play(*requests("shop"))

    told = service.say(rest([healthy(25), counted(12, 3_000.0, 0.01)]))

    assert "surge" in opened(told)
    assert pages(told) == set()


def test_a_silent_service_raises_once_and_closes_when_it_speaks_again() -> None:
    service = play(*requests("shop"))
    values = rest([healthy(2.5)])
    pause = np.full((2 * HOUR, 2), np.nan)

    service.say(values[: 2 * HOUR])
    silent = service.say(pause)
    back = service.say(values[2 * HOUR :])

    assert [one.change for one in silent] == [OPENED]
    assert pages(silent) == {"silence"}
    assert silent[0].time_ns - silent[0].started_ns <= 60 * 10**9
    assert [(one.labels["symptom"], one.change) for one in back] == [("silence", CLOSED)]


def test_nobody_was_silent_while_nobody_listened() -> None:
    service = play(*requests("shop"))
    values = rest([healthy(2.5)])
    service.say(values[: 2 * HOUR])
    service.now_ns += 3_600 * 10**9

    told = service.say(values[2 * HOUR :])

    assert told == []


def test_a_resource_that_fills_up_is_a_symptom_and_one_that_was_always_full_is_none() -> None:
    names = ("process_cpu_utilization", "jvm_memory_utilization")
    service = play(*({"__name__": name, "service": name} for name in names))
    rng = np.random.default_rng(0)
    used = np.stack([0.4 + 0.02 * rng.standard_normal(DAY + 400), np.full(DAY + 400, 0.99)], 1)
    used[DAY + 370 :, 0] = 0.99

    told = service.say(used)

    assert {(one.labels["service"], one.labels["symptom"]) for one in told} == {
        ("process_cpu_utilization", "saturation")
    }


def test_a_queue_that_grows_is_saturation() -> None:
    service = play({"__name__": "jobs_queue_depth", "service": "shop"})
    rng = np.random.default_rng(0)
    depth = rng.poisson(5.0, (DAY + 400, 1)).astype(np.float64)
    depth[DAY + 300 :] = 5_000.0

    told = service.say(depth)

    assert pages(told) == {"saturation"}


def test_two_strange_series_lift_the_symptom_of_their_service_to_a_page() -> None:
    plain = [{"__name__": "plain", "n": str(n), "service": "shop"} for n in range(2)]
    service = play(*requests("shop"), *plain)
    values = np.hstack([rest([healthy(25), counted(30, 3_000.0, 0.01)]), np.ones((9030, 2))])
    service.say(values[: 25 * HOUR + 12])

    service.flag(2)
    alone = service.say(values[25 * HOUR + 12 : 25 * HOUR + 13])
    service.flag(3)
    both = service.say(values[25 * HOUR + 13 : 25 * HOUR + 14])

    assert pages(alone) == set()
    assert pages(both) == {"surge"}


def test_what_comes_at_the_same_time_of_day_is_known_in_a_week() -> None:
    service = play(*requests("shop"), step_s=60)
    day = counted(1_440, 3_000.0, 0.01)
    job = np.arange(1_440) // 30 == 6
    by_day = []
    total = np.zeros(2)
    for seed in range(9):
        values = counted(1_440, 3_000.0, 0.01, seed=seed)
        values[job] = counted(30, 3_000.0, 0.1, seed=seed)
        told = service.say(np.cumsum(values, axis=0) + total)
        total += values.sum(axis=0)
        by_day.append(opened(told))

    assert len(day) == 1_440
    assert by_day[0] == ["errors"]
    assert by_day[-3:] == [[], [], []]


def test_ten_thousand_new_series_at_once_page_nobody() -> None:
    names = [f"service-{k}" for k in range(2_500)]
    labels = [one for name in names for one in (*requests(name), *latencies(name, ("1", "+Inf")))]
    fleet = Play(Symptoms(catalog=Known(labels)))
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.poisson(20.0, (12, len(labels))), axis=0).astype(np.float64)

    told = fleet.say(values)

    assert pages(told) == set()


def test_services_beyond_the_room_are_left_out() -> None:
    config = Symptoms.Config(most_services=1)
    labels = [*requests("first"), *requests("second")]
    fleet = Play(Symptoms(config, catalog=Known(labels)))
    bad = np.hstack([rest([healthy(2), counted(12, 500.0, 0.3)])] * 2)

    told = fleet.say(bad)

    assert {one.labels["service"] for one in told} == {"first"}


def test_a_service_that_pages_too_often_is_told_in_the_digest() -> None:
    budget = BudgetConfig(per_subject_and_day=1, rearm_s=0.0)
    labels = requests("shop")
    service = Play(Symptoms(Symptoms.Config(budget=budget), catalog=Known(labels)))
    bad = [counted(12, 500.0, 0.3, seed=1), healthy(0.5, seed=2)]

    told = service.say(rest([healthy(2), *bad, *bad]))

    assert opened(told) == ["errors", "errors"]
    assert len({one.started_ns for one in told if one.severity is Severity.PAGE}) == 1
    (noisy,) = service.watcher.noisy()
    assert (noisy.subject.service, noisy.n_paged) == ("shop", 1)  # type: ignore[attr-defined]
    assert noisy.n_held >= 1


def test_a_partition_that_is_covered_is_not_judged() -> None:
    service = play(*requests("shop"))
    service.say(rest([healthy(2)]))

    told = service.watcher.tick(service.now_ns + 3_600 * 10**9, ~ALL)

    assert list(told) == []


def promised(share: float = 99.0) -> Play:
    config = Symptoms.Config(slos=[Slo(service="shop", objective=share)])
    return Play(Symptoms(config, catalog=Known(requests("shop"))))


def test_a_promise_that_is_broken_too_fast_pages_and_is_over_when_it_is_kept() -> None:
    """A quarter of all fail, of which one in a hundred may."""
    service = promised()
    bad = counted(HOUR, 500.0, 0.25)

    told = service.say(rest([healthy(1), bad, counted(HOUR, 500.0, 0.0)]))

    fast = [one for one in told if one.labels.get("burn") == "14.4x"]
    assert [one.change for one in fast] == [OPENED, CLOSED]
    assert fast[0].severity is Severity.PAGE
    assert fast[0].value > 14.4
    assert fast[0].labels["objective"] == "availability 99 %"


def test_what_is_promised_is_known_after_a_restart() -> None:
    one, other = promised(), promised()
    one.say(rest([healthy(1), counted(60, 500.0, 0.25)]))

    other.watcher.load(0, one.watcher.dump(0))

    ((subject, slo, account),) = other.watcher.promises.left()
    assert (subject.service, slo.objective) == ("shop", 99.0)
    assert account.dump() == one.watcher.promises.left()[0][2].dump()
    assert account.left(slo.allowed) < 0.0


def test_an_episode_is_held_for_as_long_as_its_objective_is_promised() -> None:
    service, other = promised(), promised(99.5)
    told = service.say(rest([healthy(0.2), counted(HOUR // 2, 500.0, 0.25)]))
    other.watcher.load(0, service.watcher.dump(0))

    (said,) = [one for one in told if one.labels.get("burn") == "14.4x"]
    burns = Open("default", "shop", "", said.labels, "", said.started_ns)

    assert service.watcher.holds(burns)
    assert not other.watcher.holds(burns)
    assert not service.watcher.holds(replace(burns, started_ns=burns.started_ns + 1))


def test_a_promise_of_latency_counts_what_took_longer() -> None:
    slo = Slo(service="shop", objective=99.0, kind=SloKind.LATENCY, threshold_s=0.25)
    config = Symptoms.Config(slos=[slo])
    service = Play(Symptoms(config, catalog=Known(latencies("shop"))))

    service.say(rest([slow_ones(HOUR, 40.0, 0.1), slow_ones(120, 40.0, 0.4)]))

    ((_, _, account),) = service.watcher.promises.left()
    assert account.bad_share(5) > 0.5
