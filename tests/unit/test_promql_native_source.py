"""Native histograms of a table beside the values of a lake, as PromQL reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import lakes, make
from tests.lakes import S
from tests.natives import Shape, shape_of, table
from watchkeeper.errors import BadInput
from watchkeeper.lake.base import Sieve
from watchkeeper.lake.promql.ask import LakeSource
from watchkeeper.lake.promql.parse import parse_matchers
from watchkeeper.lake.promql.values import Points, Stretch
from watchkeeper.model.series import DEFAULT_TENANT, TenantId

ONE, TWO = Shape({1: 1}), Shape({2: 2})
HOST = {"__name__": "m", "host": "0", "service": "a"}
OTHER = {"__name__": "m", "host": "0", "service": "shop"}


def source(
    folder: Path, *rows: tuple[dict[str, str], int, Shape], most: int = 1000, **where: TenantId
) -> LakeSource:
    """Of (labels, seconds after noon, shape), and a lake that has one value of `HOST` at noon."""
    lake = lakes.build("disk", folder / "lake", lakes.fleet(1), raw_retention_s=1e9)
    lake.append(make.samples((0, lakes.NOON, 7.0)), 1)
    timed = [(labels, lakes.NOON + after_s * S, shape) for labels, after_s, shape in rows]
    return LakeSource(lake, DEFAULT_TENANT, most, table(folder / "table", timed, **where))


def read(
    given: LakeSource, selector: str, *, length_s: int = 3600, sieve: Sieve | None = None
) -> Points:
    stretch = Stretch(parse_matchers(selector), lakes.NOON, lakes.NOON + length_s * S, sieve)
    return given.read(stretch)


def told(points: Points) -> list[tuple[str, int, Shape]]:
    """(the service, seconds after noon, shape) of each histogram, in order."""
    native = points.native
    if native is None:
        return []
    series = np.repeat(np.arange(len(points)), np.diff(native.offset)).tolist()
    return [
        (
            points.labels[at].get("service", ""),
            (int(native.time_ns[row]) - lakes.NOON) // S,
            shape_of(native.pool, int(native.row[row])),
        )
        for row, at in enumerate(series)
    ]


def same(*rows: tuple[str, int, Shape]) -> list[tuple[str, int, Shape]]:
    return [(who, at, Shape(one.positive, count=one.n)) for who, at, one in rows]


def test_values_and_histograms_of_a_series_stand_together(tmp_path: Path) -> None:
    found = read(source(tmp_path, (HOST, 60, ONE), (OTHER, 30, TWO), (HOST, 30, TWO)), "m")

    assert [dict(one) for one in found.labels] == [HOST, OTHER]
    assert (found.offset.tolist(), found.value.tolist()) == ([0, 1, 1], [7.0])
    assert told(found) == same(("a", 30, TWO), ("a", 60, ONE), ("shop", 30, TWO))


def test_labels_are_matched_and_not_who_they_speak_of(tmp_path: Path) -> None:
    """Tables know of services that no label names; PromQL does not."""
    given = source(tmp_path, (HOST, 0, ONE), (OTHER, 0, TWO))

    assert told(read(given, 'm{service="shop"}')) == same(("shop", 0, TWO))
    assert told(read(given, 'm{service="decided elsewhere"}')) == []
    assert told(read(given, 'm{service!="shop"}')) == same(("a", 0, ONE))


def test_of_one_time_the_first_that_came_is_read(tmp_path: Path) -> None:
    assert told(read(source(tmp_path, (HOST, 5, TWO), (HOST, 5, ONE)), "m")) == same(("a", 5, TWO))


def test_what_lies_outside_or_between_is_left_out(tmp_path: Path) -> None:
    given = source(tmp_path, *((HOST, at, ONE) for at in (-1, 0, 10, 60, 65, 119, 120)))

    found = read(given, "m", length_s=120, sieve=Sieve(60 * S, 6 * S))

    assert [at for _, at, _ in told(found)] == [0, 60, 65]


def test_another_tenants_histograms_are_not_read(tmp_path: Path) -> None:
    assert told(read(source(tmp_path, (HOST, 0, ONE), tenant=TenantId("theirs")), "m")) == []


def test_too_many_histograms_are_refused_with_the_setting(tmp_path: Path) -> None:
    given = source(tmp_path, *((HOST, at, Shape()) for at in range(6)), most=5)

    with pytest.raises(BadInput, match=r"server\.query_samples \(5\) native histograms"):
        read(given, "m")


def test_too_many_buckets_are_refused_with_the_setting(tmp_path: Path) -> None:
    given = source(tmp_path, (HOST, 0, Shape(dict.fromkeys(range(1, 7), 1))), most=5)

    with pytest.raises(BadInput, match=r"server\.query_samples \(5\) buckets"):
        read(given, "m")
