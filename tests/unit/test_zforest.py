"""The preset of deviations and a forest against a day: what it says, and which faults it lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests import make
from tests.watching import EVERYWHERE, METRICS, SERVICES, WatchedCatalog
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, Points
from watchkeeper.analyze.watchers import zforest_baseline
from watchkeeper.analyze.watchers.base import Seen, Sighting
from watchkeeper.analyze.watchers.zforest import LEAST_ROWS, Zforest
from watchkeeper.analyze.watchers.zforest_baseline import Baseline
from watchkeeper.analyze.watchers.zforest_rows import MAX_METRICS
from watchkeeper.errors import Permanent
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import DEFAULT_TENANT, F64

START_NS = make.START_NS - make.START_NS % (86_400 * make.NS_PER_S)
MINUTE_NS = 60 * make.NS_PER_S
NOTHING = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))
QUEUE = len(METRICS) - 1
Change = Callable[[int, F64], None]


def usual(minute: int) -> F64:
    return 100.0 + np.random.default_rng(minute).standard_normal(len(METRICS))


def story(
    one: Zforest,
    catalog: WatchedCatalog,
    minutes: range,
    change: Change | None = None,
    service: int = 0,
) -> list[Sighting]:
    """Rows of one service, minute by minute, with a tick after each."""
    told: list[Sighting] = []
    slots = catalog.new.slot[service * len(METRICS) :][: len(METRICS)]
    for minute in minutes:
        row = usual(minute)
        if change is not None:
            change(minute, row)
        there = np.isfinite(row)
        time_ns = np.full(len(row), START_NS + minute * MINUTE_NS)
        cells = Points(slots[there], time_ns[there], row[there])
        one.see(Seen(DEFAULT_TENANT, NOTHING, cells, []))
        told += one.tick(START_NS + (minute + 1) * MINUTE_NS, EVERYWHERE)
    return told


def watcher(catalog: WatchedCatalog, **settings: Any) -> Zforest:
    return Zforest(Zforest.Config(**settings), catalog=catalog, class_of=catalog.class_of)


def jump(first: int, last: int, *, to: float = 150.0) -> Change:
    """Most metrics leave what is usual, the queue by far; the first stays."""

    def change(minute: int, row: F64) -> None:
        if first <= minute < last:
            row[1:QUEUE] = 110.0
            row[QUEUE] = to

    return change


def covering(told: Sequence[Sighting], minute: int) -> list[Sighting]:
    """What was opened or worsened at a minute."""
    time_ns = START_NS + minute * MINUTE_NS
    return [one for one in told if one.time_ns == time_ns and one.change != CLOSED]


def test_a_row_apart_is_told_with_the_metrics_that_set_it_apart() -> None:
    catalog = WatchedCatalog()

    told = story(watcher(catalog), catalog, range(420), jump(380, 390))

    (first, *_) = covering(told, 380)
    assert first.evidence["queue_depth"] > 30.0
    assert next(iter(first.evidence)) == "queue_depth"
    assert [name for name in first.evidence if 'status="200"' in name] == []
    assert len(first.evidence) == len(METRICS) - 1
    assert (first.entity.service, first.series) == (SERVICES[0], "")
    assert first.labels == {"service": SERVICES[0], "finding": "zforest"}
    assert first.value > first.expected_high > first.expected_low == 0.0
    assert first.p_value < 0.02


def test_it_never_claims_more_than_information() -> None:
    catalog = WatchedCatalog()

    told = story(watcher(catalog), catalog, range(420), jump(380, 400, to=1e9))

    assert told
    assert {one.severity for one in told} == {Severity.INFO}


def test_an_episode_ends_after_some_usual_rows() -> None:
    catalog = WatchedCatalog()

    told = story(watcher(catalog, contamination=0.001), catalog, range(440), jump(380, 385))

    assert next(one.change for one in told) == OPENED
    assert told[-1].change == CLOSED
    assert told[-1].started_ns == START_NS + 380 * MINUTE_NS
    assert told[-1].time_ns == START_NS + 389 * MINUTE_NS


def test_an_episode_of_a_service_that_falls_silent_ends() -> None:
    catalog = WatchedCatalog()

    def change(minute: int, row: F64) -> None:
        row[:] = np.nan if minute >= 390 else row
        jump(380, 390)(minute, row)

    told = story(watcher(catalog, contamination=0.001), catalog, range(440), change)

    assert [told[0].change, told[-1].change] == [OPENED, CLOSED]
    assert told[-1].p_value == 1.0


def test_about_the_share_of_rows_is_strange_that_the_preset_says() -> None:
    """By construction, and so nobody is called for it."""
    rows = np.array([usual(minute) for minute in range(3_000)])
    baseline = Baseline.of(rows[:1_440], contamination=0.1, seed=42)

    share = np.mean(baseline.scores(rows[1_440:]) > baseline.limit)

    assert share == pytest.approx(0.1, abs=0.04)


def test_nothing_is_said_without_history() -> None:
    catalog = WatchedCatalog()

    told = story(watcher(catalog), catalog, range(LEAST_ROWS - 10), jump(90, LEAST_ROWS))

    assert told == []


def test_rows_are_judged_in_batches_of_a_quarter_of_an_hour() -> None:
    catalog = WatchedCatalog()
    one = watcher(catalog)
    story(one, catalog, range(376))

    early = story(one, catalog, range(376, 391), jump(376, 400))
    due = story(one, catalog, range(391, 393), jump(376, 400))

    assert covering(early, 380) == []
    assert any(said.started_ns == START_NS + 376 * MINUTE_NS for said in due)


def test_what_comes_after_its_rows_were_judged_changes_nothing() -> None:
    catalog = WatchedCatalog()
    one, other = watcher(catalog), watcher(catalog)
    story(one, catalog, range(300))
    story(other, catalog, range(300))

    story(other, catalog, range(100, 101), jump(100, 101))

    partition = int(catalog.partition[catalog.new.slot[0]])
    assert one.dump(partition) == other.dump(partition)


@pytest.mark.parametrize(("globs", "n"), [(["*"], 1), (["check*"], 1), (["pay*"], 0), ([], 0)])
def test_services_are_chosen_by_name(globs: list[str], n: int) -> None:
    catalog = WatchedCatalog()

    told = story(watcher(catalog, services=globs), catalog, range(420), jump(380, 390))

    assert len(covering(told, 380)) == n


def test_services_beyond_the_most_are_not_watched() -> None:
    catalog = WatchedCatalog()
    one = watcher(catalog, most_services=1)
    story(one, catalog, range(2))

    told = story(one, catalog, range(420), jump(380, 390), service=1)

    assert told == []


def test_series_of_states_have_no_part_in_rows() -> None:
    catalog = WatchedCatalog()
    one = Zforest(catalog=catalog, class_of=lambda _: MetricClass.STATE)

    assert story(one, catalog, range(420), jump(380, 390)) == []


@pytest.mark.parametrize("value", [1e300, -1e300, np.inf])
def test_absurd_values_are_as_if_they_were_missing(value: float) -> None:
    catalog = WatchedCatalog()
    one, other = watcher(catalog), watcher(catalog)
    partition = int(catalog.partition[catalog.new.slot[0]])

    story(one, catalog, range(3), jump(1, 2, to=value))
    story(other, catalog, range(3), jump(1, 2, to=np.nan))

    assert one.dump(partition) == other.dump(partition)


def test_a_metric_that_left_makes_room_for_another() -> None:
    catalog = WatchedCatalog()
    names = [{"__name__": f"m{at}", "service": SERVICES[0]} for at in range(MAX_METRICS + 1)]
    new = catalog.register(*names)
    one = watcher(catalog)

    def say(slots: Any, minutes: range) -> list[Sighting]:
        told: list[Sighting] = []
        for minute in minutes:
            time_ns = np.full(len(slots), START_NS + minute * MINUTE_NS)
            value = np.random.default_rng(minute).standard_normal(len(slots))
            value += 1e3 * (minute == 2_000)
            one.see(Seen(DEFAULT_TENANT, NOTHING, Points(slots, time_ns, value), []))
            told += one.tick(START_NS + (minute + 1) * MINUTE_NS, EVERYWHERE)
        return told

    crowded = say(new.slot, range(2))
    say(new.slot[-2:], range(2, 1_800))
    told = say(new.slot[-2:], range(1_800, 2_040))

    assert crowded == []
    assert any(f"m{MAX_METRICS}" in one.evidence for one in covering(told, 2_000))


def test_a_service_without_rows_for_a_day_is_forgotten() -> None:
    catalog = WatchedCatalog()
    one = watcher(catalog)
    story(one, catalog, range(200))
    partition = int(catalog.partition[catalog.new.slot[0]])

    for hour in range(4, 60):
        one.tick(START_NS + hour * 60 * MINUTE_NS, EVERYWHERE)

    assert one.dump(partition) == watcher(catalog).dump(partition)


def test_what_stood_still_has_no_deviations_to_divide_by() -> None:
    rows = np.stack([np.full(200, 7.0), np.arange(200) % 5, np.full(200, 0.1)], 1)

    baseline = Baseline.of(rows, contamination=0.1, seed=42)

    away = baseline.deviations(np.array([8.0, 100.0, 0.1]))
    assert away.tolist()[0] == 0.0
    assert away[1] > zforest_baseline.NAMED
    assert away[2] == 0.0


def test_a_very_usual_row_is_no_strange_one() -> None:
    """The rule takes the distance of the score from its middle, either way."""
    rows = np.random.default_rng(1).standard_normal((1_440, 4))
    baseline = Baseline.of(rows, contamination=0.1, seed=42)

    scores = baseline.scores(np.zeros((64, 4)))

    assert (scores < np.quantile(baseline.usual, 0.05)).all()
    assert (scores <= baseline.limit).all()


def test_missing_values_are_neither_strange_nor_far() -> None:
    rows = np.random.default_rng(1).standard_normal((1_440, 3))
    rows[::2, 1] = np.nan
    baseline = Baseline.of(rows, contamination=0.1, seed=42)

    away = baseline.deviations(np.array([np.nan, np.nan, 0.0]))

    assert np.abs(away).max() < 0.2
    assert (baseline.scores(np.full((64, 3), np.nan)) <= baseline.limit).all()


def test_equal_rows_make_equal_baselines_and_another_seed_another() -> None:
    rows = np.random.default_rng(1).standard_normal((300, 3))

    first, again, other = (
        Baseline.of(rows, contamination=0.1, seed=seed).usual for seed in (42, 42, 7)
    )

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_single_rows_are_refused() -> None:
    baseline = Baseline.of(np.random.default_rng(1).standard_normal((300, 3)), contamination=0.1,
                           seed=42)  # fmt: skip

    with pytest.raises(Permanent, match="forest: 1 rows are too few"):
        baseline.scores(np.zeros((1, 3)))


def test_a_p_value_is_the_part_of_the_day_that_was_as_strange() -> None:
    baseline = Baseline.of(np.random.default_rng(1).standard_normal((999, 3)), contamination=0.1,
                           seed=42)  # fmt: skip

    assert baseline.p_value(1.0) == 1.0 / 1_000.0
    assert baseline.p_value(0.0) == 1.0
    assert baseline.p_value(baseline.limit) == pytest.approx(0.1, abs=0.005)
