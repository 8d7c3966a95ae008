"""Searching labels: what expressions mean, how ways of searching agree, and when to ask again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from tests.unit.test_series_index import empty, enter, leave
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.lake.series_index import SeriesIndex
from watchkeeper.lake.series_search import MAX_MATCHERS, MAX_PATTERN, select, values
from watchkeeper.model.series import I32, Matcher, MatchOp


def filled(*rows: Mapping[str, str]) -> SeriesIndex:
    index = empty(n_slots=200)
    enter(index, dict(enumerate(rows, 1)))
    return index


def pods(*names: str) -> SeriesIndex:
    """One series of each name, and one without."""
    return filled(*({"m": "up", "pod": name} for name in names), {"m": "up"})


def found(index: SeriesIndex, op: str, value: str, name: str = "pod") -> set[str]:
    slots = select(index, 0, [Matcher(name, MatchOp(op), value)])
    assert slots.dtype == np.int32
    assert slots.tolist() == sorted(set(slots.tolist()))
    return {labels.get("pod", "") for labels in index.labels(slots)}


# What expressions mean


@pytest.mark.parametrize(
    ("pattern", "fitting"),
    [
        ("a", {"a"}),
        ("a|b", {"a", "b"}),
        ("a|", {"a", ""}),
        ("|", {""}),
        ("", {""}),
        ("a|b|zz", {"a", "b"}),
        ("a.", {"ab", "a\n"}),
        ("a.*", {"a", "ab", "a\n", "a|b"}),
        (r"a\|b", {"a|b"}),
        ("^a$", {"a"}),
        ("(?i)A", {"a"}),
        ("a|b.*", {"a", "b"}),
        (r"\x61", {"a"}),
        ("[ab]", {"a", "b"}),
        ("é+", {"é"}),
        (".", {"a", "b", "é"}),
        (".+", {"a", "b", "ab", "a\n", "a|b", "é"}),
        (".*", {"a", "b", "ab", "a\n", "a|b", "é", ""}),
        (r"\z", {""}),
    ],
)
def test_an_expression_must_fit_the_whole_value_and_its_opposite_is_all_else(
    pattern: str, fitting: set[str]
) -> None:
    every = {"a", "b", "ab", "a\n", "a|b", "é", ""}
    index = pods(*(every - {""}))

    assert found(index, "=~", pattern) == fitting
    assert found(index, "!~", pattern) == every - fitting


def test_a_label_that_is_absent_is_an_empty_one() -> None:
    index = pods("a")

    assert found(index, "=", "") == found(index, "=~", "x*") == {""}
    assert found(index, "!=", "") == found(index, "!~", "x*") == {"a"}
    assert found(index, "=", "", name="nobody") == {"a", ""}
    assert found(index, "!=", "", name="nobody") == set()
    assert found(index, "!~", ".*", name="nobody") == set()
    assert found(index, "=~", ".*", name="nobody") == {"a", ""}


def test_literals_and_expressions_of_the_same_meaning_agree() -> None:
    """Plain alternatives are looked up one by one, not tried on every value."""
    index = pods("a b", "a/b", "a:b", "a@b", "a-b", "x")

    for name in ("a b", "a/b", "a:b", "a@b", "a-b"):
        assert found(index, "=~", f"{name}|x") == {name, "x"} == found(index, "=~", f"({name})|x")


def test_other_tenants_are_never_found() -> None:
    index = pods("a")
    enter(index, {50: {"m": "up", "pod": "theirs"}}, tenant=1)

    assert found(index, "=~", ".+") == {"a"}
    assert found(index, "!=", "b") == {"a", ""}
    assert select(index, 1, []).tolist() == [2]
    assert select(index, 2, []).tolist() == []


def test_conditions_on_one_label_must_all_hold() -> None:
    index = pods("a1", "a2", "b1")
    both = [Matcher("pod", MatchOp.REGEX, "a."), Matcher("pod", MatchOp.NOT_EQUAL, "a1")]

    assert index.labels(select(index, 0, both)) == [{"m": "up", "pod": "a2"}]
    assert select(index, 0, [*both, Matcher("pod", MatchOp.EQUAL, "b1")]).tolist() == []


# Limits


def test_limits_are_what_is_taken_at_most() -> None:
    index = pods("a")
    one = Matcher("pod", MatchOp.NOT_EQUAL, "zz")

    assert len(select(index, 0, [one] * MAX_MATCHERS)) == 2
    with pytest.raises(BadInput, match=f"{MAX_MATCHERS + 1} matchers"):
        select(index, 0, [one] * (MAX_MATCHERS + 1))
    assert found(index, "=~", "a|" + "x" * (MAX_PATTERN - 2)) == {"a"}
    with pytest.raises(BadInput, match=f"{MAX_PATTERN + 1} characters"):
        found(index, "=~", "x" * (MAX_PATTERN + 1))


@pytest.mark.parametrize("pattern", ["(", "a)|(b", "*", "a{2,1}", "[", "\\", "(?=a)", "a**"])
def test_what_is_no_expression_is_told_with_its_label(pattern: str) -> None:
    with pytest.raises(BadInput, match="for 'pod' is no regular expression"):
        found(pods("a"), "=~", pattern)


# While series come and go


class Restless(SeriesIndex):
    """Somebody leaves each time that a search looks whether anybody left."""

    n_looks = 0
    n_moves = 0

    @property
    def n_released(self) -> int:
        self.n_looks += 1
        if self.n_looks % 2 == 0 and self.n_looks <= 2 * self.n_moves:
            self.move()
        return super().n_released

    def move(self) -> None:
        slots = np.array([self.n_looks // 2 - 1], np.int32)
        self.lock.release()
        leave(self, slots)
        self.lock.acquire()


def restless(n_moves: int) -> Restless:
    index = Restless.__new__(Restless)
    index.__dict__.update(pods(*(f"p{k}" for k in range(40))).__dict__)
    index.n_moves = n_moves
    return index


@pytest.mark.parametrize("n_moves", [0, 1, 5])
def test_a_search_that_was_overtaken_begins_again(n_moves: int) -> None:
    index = restless(n_moves)

    slots = select(index, 0, [Matcher("pod", MatchOp.REGEX, "p.*")])

    assert slots.tolist() == list(range(n_moves, 40))


def test_a_search_that_is_always_overtaken_is_to_be_asked_again() -> None:
    with pytest.raises(Retryable, match="faster than they can be searched"):
        select(restless(40), 0, [Matcher("pod", MatchOp.REGEX, "p.*")])


def test_a_list_that_is_always_overtaken_is_to_be_asked_again() -> None:
    with pytest.raises(Retryable, match="faster than they can be listed"):
        values(restless(40), 0, "pod")


# Lists of values


def test_values_are_sorted_and_each_is_told_once() -> None:
    index = filled(*({"m": "up", "pod": name, "n": str(k)} for k, name in enumerate("cabca")))

    assert values(index, 0, "pod") == ["a", "b", "c"]
    assert values(index, 0, "nobody") == []
    assert values(index, 1, "pod") == []


def test_a_value_is_told_until_its_last_series_leaves() -> None:
    index = filled({"pod": "a", "n": "1"}, {"pod": "a", "n": "2"}, {"pod": "b", "n": "3"})

    leave(index, [0])
    assert values(index, 0, "pod") == ["a", "b"]
    leave(index, [1])
    assert values(index, 0, "pod") == ["b"]


# Many series


@pytest.fixture(scope="module")
def crowd() -> SeriesIndex:
    """40,000 series: more than are walked or scanned at one time."""
    index = empty(n_slots=40_000, n_pairs=50_000, text_bytes=1 << 20)
    for first in range(0, 40_000, 4000):
        enter(
            index,
            {
                k + 1: {"app": "a", "k": str(k), "odd": str(k % 2)}
                for k in range(first, first + 4000)
            },
        )
    return index


def chosen(index: SeriesIndex, *matchers: tuple[str, str, str]) -> I32:
    return select(index, 0, [Matcher(name, MatchOp(op), value) for name, op, value in matchers])


def test_long_chains_are_searched_whole(crowd: SeriesIndex) -> None:
    assert len(chosen(crowd, ("app", "=", "a"))) == 40_000
    assert chosen(crowd, ("app", "=", "a"), ("odd", "=", "1")).tolist() == list(range(1, 40_000, 2))
    assert len(chosen(crowd, ("app", "=~", "a|b"), ("k", "!=", "7"))) == 39_999
    assert len(chosen(crowd)) == 40_000


def test_the_shortest_way_leads_to_the_same_series(crowd: SeriesIndex) -> None:
    few = chosen(crowd, ("k", "=~", "1999.|20000|nowhere"), ("app", "=", "a"), ("odd", "=", "0"))

    assert crowd.labels(few) == [
        {"app": "a", "k": str(k), "odd": "0"} for k in (19990, 19992, 19994, 19996, 19998, 20000)
    ]
