"""AR: what it forecasts, what it finds by that, what it makes of gaps and of lasting changes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detecting import (
    DAY,
    MIDNIGHT_NS,
    chain,
    dials,
    judged,
    kinds,
    noise,
    opened,
    points,
    slots,
)
from tests.make import NS_PER_S
from watchkeeper.analyze.detectors.ar import AR, ROW
from watchkeeper.analyze.detectors.ar_kernel import N_LAGS, N_TERMS
from watchkeeper.analyze.detectors.base import EVIDENCE
from watchkeeper.model.series import F64


def ar(**settings: float) -> AR:
    return AR(AR.Config(**settings), capacity=4)


def wandering(n: int, seed: int = 0, *, pull: float = 0.95) -> F64:
    """Each point is most of the one before, and a little chance."""
    chance = np.random.default_rng(seed).normal(size=n)
    values = np.empty(n)
    last = 0.0
    for i in range(n):
        last = pull * last + chance[i]
        values[i] = 100.0 + last
    return values


def row_of(detector: AR, slot: int = 0) -> np.void:
    row: np.void = detector.dump(slots(slot))["row"].view(ROW)[0, 0]
    return row


def test_a_jump_is_found_that_is_within_what_the_series_does_in_an_hour() -> None:
    values = wandering(4 * DAY)
    at = 3 * DAY + int(np.argmin(values[3 * DAY : 3 * DAY + 600]))
    values[at] += 10.0
    assert values[at] < values[: 3 * DAY].max()

    told = judged(ar(), points(values))

    assert opened(told) == [at]
    assert told[0].severity == EVIDENCE


def test_the_forecast_is_fitted_to_the_series() -> None:
    detector = ar()

    detector.step(points(wandering(4 * DAY)), kinds(), dials())

    row = row_of(detector)
    assert row["weights"][N_LAGS - 1] == pytest.approx(-0.05, abs=0.04)  # back to the slow level
    assert np.abs(row["weights"][: N_LAGS - 1]).max() < 0.15
    assert row["error_dev"] == pytest.approx(0.8, abs=0.1)  # the mean size of the chance


def test_an_alternating_series_is_no_finding_and_a_missed_beat_is() -> None:
    values = noise(4 * DAY, deviation=0.5) + np.where(np.arange(4 * DAY) % 2, 10.0, -10.0)
    values[3 * DAY] = values[3 * DAY - 1]

    assert opened(judged(ar(), points(values))) == [3 * DAY]


def test_a_lasting_change_is_one_episode() -> None:
    values = wandering(6 * DAY)
    values[4 * DAY :] += 60.0

    assert opened(judged(ar(), points(values))) == [4 * DAY]


def test_nothing_is_said_of_the_points_after_a_gap() -> None:
    before = points(wandering(3 * DAY))
    start_ns = MIDNIGHT_NS + (3 * DAY + 60) * 60 * NS_PER_S
    after = points([400.0] * (N_LAGS - 1), start_ns=start_ns)
    detector = ar()
    detector.step(before, kinds(), dials())

    assert len(detector.step(after, kinds(), dials())) == 0


def test_a_series_that_stood_still_for_a_week_is_fitted_again() -> None:
    still = np.full(7 * DAY, 100.0)
    values = np.concatenate([still, wandering(3 * DAY)])
    values[9 * DAY] += 25.0
    detector = ar()

    told = opened(judged(detector, points(values)))

    assert 9 * DAY in told
    assert np.isfinite(row_of(detector)["covariance"]).all()


def test_the_band_is_around_the_forecast() -> None:
    values = wandering(3 * DAY)
    values[-1] += 30.0

    findings = ar().step(points(values), kinds(), dials())

    assert findings.low[0] < values[-2] < findings.high[0] < values[-1]
    assert findings.streams.shape == (len(findings), 1)
    assert findings.streams[0, 0] > 10.0


def test_a_newcomer_takes_over_the_coefficients_and_not_the_level() -> None:
    detector = ar()
    detector.step(points(wandering(3 * DAY), slot=0), kinds(), dials())
    values = wandering(600, seed=3) + 5_000.0
    values[500] += 30.0

    detector.admit(slots(1), slots(0))
    told = judged(detector, chain(points(values, slot=1)))

    assert opened(told) == [500]


def test_a_smaller_budget_finds_less() -> None:
    values = wandering(8 * DAY)
    values[3 * DAY :: 977] += np.linspace(2.0, 12.0, len(values[3 * DAY :: 977]))

    few = opened(judged(ar(budget_per_week=0.001), points(values)))
    many = opened(judged(ar(budget_per_week=5.0), points(values)))

    assert len(few) < len(many)


def test_the_state_holds_as_many_terms_as_the_forecast_has() -> None:
    assert ROW["weights"].shape == (N_TERMS,)
    assert ROW.itemsize % 8 == 0
