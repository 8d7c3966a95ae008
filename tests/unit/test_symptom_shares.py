"""Shares of requests: what is a blink, what is far slower, and what is learned of faults."""

from __future__ import annotations

import numpy as np
import pytest

from tests.serving import NOTHING, Known, requests
from watchkeeper.analyze.detectors.base import Points
from watchkeeper.analyze.watchers.base import Seen
from watchkeeper.analyze.watchers.in_order import in_order
from watchkeeper.analyze.watchers.service_rows import (
    N_BINS,
    N_COLUMNS,
    SERVICE,
    SYMPTOM,
    Settings,
    State,
)
from watchkeeper.analyze.watchers.shares_kernel import (
    _is_blink,
    _learn_error_bin,
    brief_errors,
    far_bound,
    worst_errors,
    worst_latency,
)
from watchkeeper.analyze.watchers.symptom_episode_kernel import (
    BIN_NS,
    C_BOUNDS,
    C_COVER,
    C_ERRORS,
    C_REQUESTS,
    DAY_NS,
    TRAFFIC,
)
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.analyze.watchers.traffic_kernel import _is_back, lack_of_seconds
from watchkeeper.model.series import DEFAULT_TENANT, F64

SECOND = 1_000_000_000
SETTINGS = Settings(5.0, 7.0, 0, 0, 0, 20.0, 2.0, 0.0, 1.2, 0.0, 0.4, 1.0, 0.95)
OF_ERRORS = ((C_REQUESTS, C_ERRORS, False), 0.001)


def bins(*errors: float, requests: float = 50.0) -> F64:
    """The newest ones; all before were well."""
    found = np.zeros((N_BINS, N_COLUMNS))
    found[:, C_REQUESTS] = requests
    found[len(found) - len(errors) :, C_ERRORS] = errors
    return found


@pytest.mark.parametrize(
    ("errors", "is_blink"),
    [
        ((9.0,), True),
        ((4.0, 5.0), True),
        ((5.0, 0.0, 0.0, 5.0), False),
        ((4.0, 5.0, 3.0), False),
        ((9.0, 9.0, 0.0, 0.0, 0.0), True),
    ],
)
def test_what_two_neighbouring_bins_hold_is_a_blink(
    errors: tuple[float, ...], is_blink: bool
) -> None:
    service = np.zeros(1, SERVICE)[0]
    service["interval_s"] = 1.0

    assert _is_blink(service, bins(*errors), N_BINS - 1, 30, OF_ERRORS) == is_blink


def test_of_who_tells_by_the_minute_nobody_knows_how_long_it_was() -> None:
    service = np.zeros(1, SERVICE)[0]
    service["interval_s"] = 60.0

    assert not _is_blink(service, bins(9.0), N_BINS - 1, 30, OF_ERRORS)


def test_the_share_that_has_to_go_is_that_of_the_window_in_which_it_is_greatest() -> None:
    """Five minutes hold a tenth of what half a minute shows."""
    usually = 0.001, 0.1, SETTINGS.least_requests

    _, value, _, share = worst_errors(
        bins(25.0, 25.0, 25.0), N_BINS - 1, 30, (3, 12, 30), usually, SETTINGS
    )

    assert (value, share) == (0.5, 0.5)
    assert worst_errors(bins(25.0), N_BINS - 1, 30, (1, 30), usually, SETTINGS)[3] == 0.5


def slow(share_slow: float, share_far: float) -> F64:
    """Thirty requests a second; bounds of 0.1 and 1 s."""
    found = np.zeros((N_BINS, N_COLUMNS))
    found[:, C_BOUNDS] = 30.0
    found[:, C_BOUNDS + 1] = 30.0 * (1.0 - share_slow)
    found[:, C_BOUNDS + 2] = 30.0 * (1.0 - share_far)
    return found


def test_who_scatters_is_slow_all_the_same_if_many_are_far_slower() -> None:
    bounds, high = np.array([np.inf, 0.1, 1.0]), 0.1
    usually = 0.05, 20.0, high, SETTINGS.least_requests, 0.002
    of = bounds, 3, 1, 2

    near, far = (
        worst_latency(slow(0.3, share), N_BINS - 1, 30, (3,), of, usually, SETTINGS)[0]
        for share in (0.0, 0.3)
    )

    assert near < SETTINGS.open_at
    assert far > SETTINGS.page_at


def test_far_is_the_bound_that_hardly_any_exceed() -> None:
    bounds = np.array([np.inf, 0.1, 0.5, 1.0])

    assert far_bound(bounds, np.array([1e4, 9_500.0, 9_950.0, 9_999.0]), 4) == 2


def test_a_row_of_faults_makes_nobody_deaf() -> None:
    """What is strange is learned as scatter, but little of it."""
    service = np.zeros(1, SERVICE)[0]
    service["interval_s"] = 1.0
    counts = bins(25.0)[-1]

    for _ in range(60):
        _learn_error_bin(service, counts, 0.001, 0.25)
    strange = brief_errors(service)
    for _ in range(60):
        _learn_error_bin(service, counts, 0.001, 1.0)

    assert strange < 0.5
    assert brief_errors(service) > 10.0


def asked(per_s: float, newest: float, *, seconds: int = 12) -> tuple[State, int]:
    """A service that is known for two days, and how many came in its newest seconds."""
    state, last = State.room(1), 3 * DAY_NS // SECOND + 600
    service = state.service[0]
    service["traffic_blocks"], service["newest_ns"] = 1_000.0, last * SECOND
    service["traffic_bins"], service["interval_s"] = 1_000.0, 1.0
    service["first_bin"] = DAY_NS // BIN_NS
    state.profile[0] = np.log(per_s)
    state.looks[0, :, C_REQUESTS], state.looks[0, :, C_COVER] = per_s, 1.0
    for one in range(last - seconds + 1, last + 1):
        state.looks[0, one % len(state.looks[0]), C_REQUESTS] = newest
    return state, last


def test_requests_that_stay_away_are_missed_within_seconds() -> None:
    state, last = asked(8.0, 0.5)

    score, value, n, *_, share = lack_of_seconds(state, 0, last, 300, SETTINGS)

    assert score > SETTINGS.page_at + 1.3
    assert (value, n, share) == (0.5, 5.0, pytest.approx(1.0 - 0.5 / 8.0))


@pytest.mark.parametrize(("newest", "seconds"), [(5.0, 12), (0.0, 4)])
def test_fewer_requests_and_a_blink_without_any_are_left_to_bins(
    newest: float, seconds: int
) -> None:
    state, last = asked(8.0, newest, seconds=seconds)

    assert lack_of_seconds(state, 0, last, 300, SETTINGS)[0] == 0.0


def test_seconds_that_nobody_told_of_are_not_seconds_without_requests() -> None:
    state, last = asked(8.0, 0.0)
    state.looks[0, last % len(state.looks[0]), C_COVER] = 0.0

    assert lack_of_seconds(state, 0, last, 300, SETTINGS)[0] == 0.0


def test_traffic_of_a_new_service_is_not_missed_in_its_first_day() -> None:
    state, last = asked(8.0, 0.0)
    state.service["first_bin"] = last // 10 - 100

    assert lack_of_seconds(state, 0, last, 300, SETTINGS)[0] == 0.0


@pytest.mark.parametrize(("newest", "is_back"), [(48.0, True), (20.0, False)])
def test_traffic_is_back_when_little_of_it_is_missing(newest: float, is_back: bool) -> None:
    symptom = np.zeros(1, SYMPTOM)[0]
    symptom["is_open"], symptom["share"] = 1, 0.8
    ring = bins(requests=newest)
    ring[:, C_COVER] = 1.0

    assert _is_back(symptom, ring, N_BINS - 1, 3, 5.0) == is_back


def test_traffic_that_is_not_told_of_is_not_back() -> None:
    state = State.room(1)
    state.symptom[0, TRAFFIC]["is_open"], state.symptom[0, TRAFFIC]["share"] = 1, 0.8

    assert not _is_back(state.symptom[0, TRAFFIC], bins(), N_BINS - 1, 3, 5.0)


def test_history_that_comes_series_by_series_counts_as_if_it_came_by_time() -> None:
    """An hour of each of two counters in one request."""
    n, labels = 360, requests("shop")
    times = np.arange(1, n + 1) * BIN_NS
    values = np.cumsum(np.random.default_rng(1).poisson(40.0, (2, n)), axis=1, dtype=float)
    slots = np.repeat(np.arange(2, dtype=np.int32), n)
    by_series = Points(slots, np.tile(times, 2), values.ravel())
    order = np.argsort(by_series.time_ns, kind="stable")
    by_time = Points(slots[order], by_series.time_ns[order], by_series.value[order])
    dumps = []

    for points in (by_series, by_time):
        watcher = Symptoms(catalog=Known(labels))
        watcher.see(Seen(DEFAULT_TENANT, points, NOTHING, []))
        watcher.tick(int(times[-1]) + 60 * SECOND, np.ones(256, np.bool_))
        dumps.append(watcher.dump(0))

    assert dumps[0] == dumps[1]


def test_what_is_live_is_taken_as_it_comes() -> None:
    points = Points(np.array([1, 0], np.int32), np.array([9, 5], np.int64), np.array([1.0, 2.0]))

    slots, times, _ = in_order(points)

    assert (slots.tolist(), times.tolist()) == ([1, 0], [9, 5])
