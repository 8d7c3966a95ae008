"""Rows of a service: columns that come and go, and what lies of them in a checkpoint."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from watchkeeper.analyze.watchers.services import Subject
from watchkeeper.analyze.watchers.zforest_rows import (
    MAX_METRICS,
    Episode,
    Known,
    Service,
    kept_of,
    known_of,
)
from watchkeeper.model.series import DEFAULT_TENANT

SHOP = Subject(DEFAULT_TENANT, "shop", "prod")


def service(*rows: list[float], metrics: int = 3) -> Service:
    """A row a minute, with a value per metric."""
    one = Service(SHOP, 7, metrics={bytes([at]) * 16: f"m{at}" for at in range(metrics)})
    for minute, values in enumerate(rows):
        row = np.full(MAX_METRICS, np.nan, np.float32)
        row[: len(values)] = values
        one.rows[minute * 60] = row
    return one


def test_a_metric_without_values_leaves_its_column_to_the_next() -> None:
    one = service([1.0, np.nan, 3.0], [4.0, np.nan, np.nan])

    one.release()

    assert list(one.metrics.values()) == ["m0", "m2"]
    assert one.matrix([0, 60], 2).tolist()[0] == [1.0, 3.0]
    assert np.isnan(one.matrix([0, 60], 3)[:, 2]).all()


def test_metrics_that_all_have_values_stay_where_they_are() -> None:
    one = service([1.0, np.nan, 3.0], [np.nan, 2.0, np.nan])
    before = one.matrix([0, 60], MAX_METRICS)

    one.release()

    assert list(one.metrics.values()) == ["m0", "m1", "m2"]
    assert np.array_equal(one.matrix([0, 60], MAX_METRICS), before, equal_nan=True)


def test_without_rows_there_are_no_metrics() -> None:
    one = service()

    one.release()

    assert one.metrics == {}
    assert one.matrix([], 2).shape == (0, 2)


@pytest.mark.parametrize(
    ("first", "end", "want"), [(0, 180, [0, 60, 120]), (60, 120, [60]), (61, 120, []), (0, 0, [])]
)
def test_rows_of_a_time_are_in_its_order(first: int, end: int, want: list[int]) -> None:
    one = service([1.0], [2.0], [3.0])
    one.rows = dict(reversed(one.rows.items()))

    assert one.between(first, end) == want


@pytest.mark.parametrize("episode", [None, Episode(60, 0.7, 0.5, 2)])
def test_a_checkpoint_holds_all_but_the_forest_which_follows(episode: Episode | None) -> None:
    one = service([1.0, 2.0, np.nan], [np.nan, 5.0, 6.0])
    one.judged_ns, one.fitted_ns, one.n_fitted, one.episode = 120, 60, 2, episode

    content = msgspec.msgpack.encode(kept_of(one))
    other = known_of(msgspec.msgpack.decode(content, type=Known), 7)

    assert msgspec.msgpack.encode(kept_of(other)) == content
    assert (other.subject, other.partition) == (SHOP, 7)
    assert (other.judged_ns, other.fitted_ns, other.n_fitted) == (120, 60, 2)
    assert other.episode == episode
    assert other.baseline is None
    assert list(other.metrics.items()) == list(one.metrics.items())


def test_rows_out_of_a_checkpoint_can_be_written_to() -> None:
    one = known_of(kept_of(service([1.0, 2.0, 3.0])), 7)

    one.rows[0][1] = 9.0

    assert one.matrix([0], 3).tolist() == [[1.0, 9.0, 3.0]]


def test_the_order_in_which_rows_came_does_not_show_in_a_checkpoint() -> None:
    one, other = service([1.0], [2.0]), service([1.0], [2.0])
    other.rows = dict(reversed(other.rows.items()))

    assert kept_of(one) == kept_of(other)
