"""What is told of the newest seconds, before their bins are closed, and what is left to bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from tests.serving import Known, Play, counted, latencies, requests, slow_ones
from watchkeeper.analyze.detectors.base import CLOSED, OPENED
from watchkeeper.analyze.watchers.base import Sighting
from watchkeeper.analyze.watchers.budget import BudgetConfig
from watchkeeper.analyze.watchers.look_kernel import (
    SECOND_NS,
    SUSTAINED,
    _lasts,
    advance,
    fade_late,
    note_pace,
)
from watchkeeper.analyze.watchers.service_rows import (
    N_COLUMNS,
    N_SECONDS,
    SERVICE,
    SYMPTOM,
    Settings,
)
from watchkeeper.analyze.watchers.symptom_episode_kernel import C_BOUNDS, C_ERRORS, told_since
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.analyze.watchers.symptoms_kernel import _lag
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import F64

CALM_S = 420
SETTINGS = Settings(5.0, 7.0, 0, 0, 30 * SECOND_NS, 20.0, 2.0, 0.0, 1.2, 0.0, 0.4, 1.0, 0.95)


def play(*labels: Mapping[str, str], step_s: int = 1, rearm_s: float = 0.0) -> Play:
    """Of a service that everything is known of."""
    budget = BudgetConfig(per_subject_and_day=60, rearm_s=rearm_s)
    config = Symptoms.Config(learning_s=0.0, budget=budget)
    return Play(Symptoms(config, catalog=Known(labels)), step_s)


def rest(*parts: F64) -> F64:
    return np.cumsum(np.concatenate(parts), axis=0)


def paged_after_s(told: Sequence[Sighting], began_ns: int) -> float:
    """By the time of what was seen, from the beginning to the first page."""
    return min(one.time_ns - began_ns for one in told if one.severity is Severity.PAGE) / 1e9


@pytest.mark.parametrize(("per_s", "share"), [(20.0, 0.5), (5.0, 1.0), (1.5, 1.0)])
def test_gross_errors_page_within_ten_seconds(per_s: float, share: float) -> None:
    service = play(*requests("shop"))
    values = rest(counted(CALM_S, per_s, 0.002), counted(12, per_s, share, seed=1))
    service.say(values[:CALM_S])
    began_ns = service.now_ns

    told = service.say(values[CALM_S:])

    assert {one.labels["symptom"] for one in told} == {"errors"}
    assert paged_after_s(told, began_ns) <= 10.0


def test_answers_that_take_ten_times_as_long_page_within_a_quarter_of_a_minute() -> None:
    service = play(*latencies("shop"))
    values = rest(slow_ones(CALM_S, 8.0, 0.05), slow_ones(16, 8.0, 0.5, seed=1))
    service.say(values[:CALM_S])
    began_ns = service.now_ns

    told = service.say(values[CALM_S:])

    assert {one.labels["symptom"] for one in told} == {"latency"}
    assert paged_after_s(told, began_ns) <= 15.0


def test_who_is_as_always_is_told_of_nothing_however_often_one_looks() -> None:
    names = [f"service-{k}" for k in range(24)]
    services = play(*(one for name in names for one in requests(name)))
    rates = np.geomspace(0.5, 60.0, len(names))
    values = np.hstack([counted(1_200, rate, 0.01, seed=k) for k, rate in enumerate(rates)])

    told = services.say(np.cumsum(values, axis=0))

    assert told == []


def test_what_one_instance_told_alone_is_no_share_of_its_service() -> None:
    """Two instances tell every ten seconds, five apart; one of them always fails more."""
    both = [{**one, "instance": name} for name in "ab" for one in requests("shop")]
    service = play(*both, step_s=5)
    n = 200
    values = np.full((n, 4), np.nan)
    values[0::2, :2] = rest(counted(n // 2, 100.0, 0.0))
    values[1::2, 2:] = rest(counted(n // 2, 100.0, 0.2, seed=1))

    service.say(values[:60])

    told = service.say(values[60:])

    assert [one for one in told if one.change == OPENED] == []


@pytest.mark.parametrize(("live_s", "least_s", "most_s"), [(0, 0.0, 0.1), (3_600, 19.0, 20.0)])
def test_a_burst_of_what_was_kept_back_is_soon_forgotten_by_who_is_just_live(
    live_s: int, least_s: float, most_s: float
) -> None:
    service = np.zeros(1, SERVICE)[0]
    service["live_ns"], service["late_s"] = SECOND_NS, 20.0

    for second in range(1, 31):
        fade_late(service, 1.0, (1 + live_s + second) * SECOND_NS)

    assert least_s <= service["late_s"] <= most_s


@pytest.mark.parametrize(("n_bad", "is_long"), [(SUSTAINED - 1, False), (SUSTAINED, True)])
def test_a_blink_is_left_to_bins(n_bad: int, is_long: bool) -> None:
    looks = np.zeros((N_SECONDS, N_COLUMNS), np.float32)
    looks[10 : 10 + n_bad, C_ERRORS] = 50.0

    assert _lasts(looks, 15, C_ERRORS, -1) == is_long


def test_slow_seconds_are_those_of_which_the_bound_holds_less() -> None:
    looks = np.zeros((N_SECONDS, N_COLUMNS), np.float32)
    looks[:, C_BOUNDS], looks[:, C_BOUNDS + 2] = 5.0, 5.0
    quick = _lasts(looks, 40, C_BOUNDS, 2)

    looks[35:41, C_BOUNDS + 2] = 1.0

    assert (quick, _lasts(looks, 40, C_BOUNDS, 2)) == (False, True)


def test_a_symptom_ends_within_a_minute_of_its_trouble_and_is_told_again_if_it_returns() -> None:
    """The window of five minutes holds the first trouble when the second comes."""
    service = play(*requests("shop"))
    calm, bad = counted(CALM_S, 20.0, 0.002), counted(40, 20.0, 0.5, seed=1)
    well = counted(70, 20.0, 0.002, seed=2)
    values = rest(calm, bad, well, bad)

    told = service.say(values)

    ended_ns = service.now_ns - 110 * SECOND_NS
    pages = [one for one in told if one.severity is Severity.PAGE]
    changes = [one.change for one in pages if one.change in {OPENED, CLOSED}]
    closed = [one.change for one in pages].index(CLOSED)
    assert changes == [OPENED, CLOSED, OPENED]
    assert pages[closed].time_ns - ended_ns <= 60 * SECOND_NS
    assert paged_after_s(pages[closed + 1 :], ended_ns + 70 * SECOND_NS) <= 15.0


def test_what_has_ended_is_not_told_again() -> None:
    service = play(*requests("shop"))
    calm, bad = counted(CALM_S, 20.0, 0.002), counted(40, 20.0, 0.5, seed=1)

    told = service.say(rest(calm, bad, counted(360, 20.0, 0.002, seed=2)))

    assert [one.change for one in told].count(OPENED) == 1
    assert told[-1].change == CLOSED


def test_small_trouble_that_goes_on_is_not_over() -> None:
    service = play(*requests("shop"))
    calm, bad = counted(600, 20.0, 0.01), counted(200, 20.0, 0.06, seed=1)

    told = service.say(rest(calm, bad))

    assert [one.change for one in told if one.change in {OPENED, CLOSED}] == [OPENED]


@pytest.mark.parametrize(
    ("interval_s", "late_s", "lag_s"),
    [(1.0, 0.0, 5), (10.0, 0.0, 12), (1.0, 9.0, 12), (15.0, 60.0, 30), (60.0, 0.0, 62)],
)
def test_bins_wait_as_long_as_samples_come_late(
    interval_s: float, late_s: float, lag_s: int
) -> None:
    """The watermark is the most, unless the next samples come later."""
    service = np.zeros(1, SERVICE)
    service["interval_s"], service["late_s"] = interval_s, late_s

    assert _lag(service[0], SETTINGS) == lag_s * SECOND_NS


def paced(*times_s: float) -> tuple[float, float]:
    """How far apart samples are, and how late, when they come at once."""
    service = np.zeros(1, SERVICE)
    for at in times_s:
        note_pace(service[0], round(at * 1e9), round(max(times_s) * 1e9))
    return round(float(service[0]["step_s"]), 3), round(float(service[0]["late_s"]), 3)


@pytest.mark.parametrize(
    ("times_s", "step_s", "late_s"),
    [
        ((100.0, 110.0, 120.0), 10.0, 0.0),
        ((100.0, 110.0, 110.05, 120.0), 9.95, 0.0),
        ((100.0, 105.0, 110.0), 5.0, 0.0),
        ((100.0, 110.0, 103.0), 10.0, 7.0),
        ((100.0, 400.0, 110.0), 300.0, 60.0),
    ],
)
def test_the_pace_of_samples_is_that_of_the_quickest_and_the_lateness_the_worst(
    times_s: tuple[float, ...], step_s: float, late_s: float
) -> None:
    assert paced(*times_s) == (step_s, late_s)


def test_seconds_that_nobody_told_of_are_empty() -> None:
    service = np.zeros(1, SERVICE)
    looks = np.ones((N_SECONDS, N_COLUMNS), np.float32)
    service["look_second"] = 1_000

    advance(service[0], looks, 1_004 * SECOND_NS)

    empty = np.flatnonzero(looks[:, 0] == 0.0)
    assert empty.tolist() == sorted(second % N_SECONDS for second in range(1_001, 1_004))
    assert service["look_second"][0] == 1_003


def test_after_a_long_pause_all_seconds_are_empty() -> None:
    service = np.zeros(1, SERVICE)
    looks = np.ones((N_SECONDS, N_COLUMNS), np.float32)
    service["look_second"] = 1_000

    advance(service[0], looks, 9_000 * SECOND_NS)

    assert not looks.any()


@pytest.mark.parametrize(("is_open", "closed_s", "n"), [(1, 500, 300), (0, 0, 300), (0, 500, 130)])
def test_windows_reach_no_further_back_than_the_end_of_what_was_told(
    is_open: int, closed_s: int, n: int
) -> None:
    """But for the calm bins that made it an end."""
    symptom = np.zeros(1, SYMPTOM)
    symptom["is_open"], symptom["closed_ns"] = is_open, closed_s * SECOND_NS

    assert told_since(symptom[0], 599, SECOND_NS) == n
