"""Label blocks in canonical form, and what follows from names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tests import make
from watchkeeper.errors import BadInput
from watchkeeper.lake import series_canon_kernel as canon
from watchkeeper.lake.series_config import CatalogConfig
from watchkeeper.lake.series_limits import Budget
from watchkeeper.lake.series_rules import (
    Canon,
    Rules,
    Scope,
    Tenants,
    plain,
    read_labels,
    read_name,
)
from watchkeeper.model.series import DEFAULT_TENANT, Kind, LabelBlock, TenantId

KEY = bytes(range(16))
Row = Mapping[str, str] | Sequence[tuple[str, str]]


def canonical(*rows: Row, relevant: Sequence[str] = (), **settings: Any) -> Canon:
    rules = Rules(CatalogConfig(**settings), KEY, relevant)
    kinds = np.full(len(rows), Kind.BY_NAME, np.uint8)
    return rules.canonicalise(rules.scope(0, DEFAULT_TENANT), make.label_block(*rows), kinds)


def series(**labels: str) -> dict[str, str]:
    return make.labels("memory_bytes", **labels)


def test_canonical_labels_are_sorted_by_the_bytes_of_their_names() -> None:
    found = canonical([("é", "1"), ("zone", "2"), ("__name__", "m"), ("Z", "3"), ("zo", "4")])

    assert make.read_labels(found.labels, 0) == [
        ("Z", "3"), ("__name__", "m"), ("zo", "4"), ("zone", "2"), ("é", "1"),
    ]  # fmt: skip


def test_tidy_labels_stay_byte_for_byte() -> None:
    row = series(pod="a", zone="x" * 200)

    found = canonical(row)

    start, end = found.labels.start[0], found.labels.end[0]
    assert found.labels.buffer[start:end].tobytes() == make.label_run(row)
    assert found.pairs(0) == row == read_labels(found.labels, 0)


@pytest.mark.parametrize(
    "row",
    [
        make.labels("up"),
        make.labels("m" * 300, zone="x"),
        {"A": "first", "Zone": "y" * 200, **make.labels("requests_total", pod="a")},
        make.labels("température_°C", pod="é"),
    ],
    ids=["alone", "long", "not first", "beyond ascii"],
)
def test_the_name_is_read_without_the_other_labels(row: dict[str, str]) -> None:
    found = canonical(make.labels("before"), row, make.labels("behind"))

    assert read_name(found.labels, 1) == row["__name__"]
    assert [read_name(found.labels, at) for at in (0, 2)] == ["before", "behind"]


def test_what_has_no_name_has_none() -> None:
    block = make.label_block({"pod": "nameless"}, {})

    assert [read_name(block, row) for row in (0, 1)] == ["", ""]


def test_rows_stand_one_behind_the_other_and_bad_ones_take_no_room() -> None:
    found = canonical(series(pod="a"), {"pod": "nameless"}, series(pod="b"))

    assert found.verdict.tolist() == [canon.SOUND, canon.UNNAMED, canon.SOUND]
    assert found.labels.start.tolist()[1:] == found.labels.end.tolist()[:-1]
    assert found.labels.start[1] == found.labels.end[1]
    assert [found.pairs(row)["pod"] for row in (0, 2)] == ["a", "b"]


def test_there_may_be_no_rows() -> None:
    assert len(canonical().verdict) == 0


@pytest.mark.parametrize(
    "other",
    [
        series(service="shop", pod="b"),
        series(service="shop", pod="a", instance="10.0.0.1:80"),
        series(service="shop", node="n7"),
        series(service="shop"),
    ],
)
def test_instances_of_one_thing_have_one_role(other: dict[str, str]) -> None:
    roles = canonical(series(service="shop", pod="a"), other).role

    assert roles[0] == roles[1]


@pytest.mark.parametrize(
    "other",
    [
        series(service="cart", pod="a"),
        series(service="shop", pod="a", container="proxy"),
        make.labels("cpu_seconds_total", service="shop", pod="a"),
        series(pod="a"),
    ],
)
def test_other_things_have_other_roles(other: dict[str, str]) -> None:
    roles = canonical(series(service="shop", pod="a"), other).role

    assert roles[0] != roles[1]


def test_which_labels_name_an_instance_can_be_configured() -> None:
    rows = series(shard="1", pod="a"), series(shard="2", pod="a"), series(shard="1", pod="b")

    roles = canonical(*rows, instance_labels=("shard",)).role.tolist()

    assert roles[0] == roles[1] != roles[2]


def test_which_labels_join_pairs_of_senders_can_be_configured() -> None:
    rows = series(ha="1", prometheus_replica="a"), series(ha="2", prometheus_replica="a")

    joined = canonical(*rows, replica_labels=("ha",))
    apart = canonical(*rows, replica_labels=())

    assert joined.identity[0].tolist() == joined.identity[1].tolist()
    assert joined.pairs(0) == series(prometheus_replica="a")
    assert apart.identity[0].tolist() != apart.identity[1].tolist()


def test_a_replica_label_may_come_twice_since_it_is_dropped() -> None:
    found = canonical([("__replica__", "a"), ("__name__", "m"), ("__replica__", "b")])

    assert found.verdict.tolist() == [canon.SOUND]
    assert found.pairs(0) == {"__name__": "m"}


def test_enrichment_sees_a_difference_in_relevant_labels_alone() -> None:
    found = canonical(
        series(service="shop", pod="a", zone="x"),
        series(service="shop", pod="b", zone="y"),
        series(service="cart", pod="a"),
        series(pod="a"),
        series(team="shop"),
        relevant=("service", "team"),
    ).relevant.tolist()

    assert found[0] == found[1]
    assert len(set(found)) == 4


def test_suffixes_can_be_configured() -> None:
    rows = make.labels("jobs_done"), make.labels("jobs_secret"), make.labels("jobs_total")

    found = canonical(*rows, counter_suffixes=("_done",), unscored_suffixes=("_secret",))

    assert found.kind.tolist() == [Kind.COUNTER, Kind.UNSCORED, Kind.GAUGE]


def test_a_name_shorter_than_a_suffix_does_not_have_it() -> None:
    assert canonical(make.labels("al"), make.labels("_total")).kind.tolist() == [
        Kind.GAUGE,
        Kind.COUNTER,
    ]


@pytest.mark.parametrize("n", [63, 64, 65])
def test_the_limit_of_labels_counts_those_with_values(n: int) -> None:
    row = [("__name__", "m"), *((f"l{k:03}", "x") for k in range(n - 1)), ("empty", "")]

    (verdict,) = canonical(row).verdict

    assert (verdict == canon.SOUND) == (n <= 64)


@pytest.mark.parametrize(("size", "verdict"), [(16_384, canon.SOUND), (16_385, canon.TOO_LONG)])
def test_the_limit_of_a_value_is_its_last_byte(size: int, verdict: int) -> None:
    assert canonical(series(pod="x" * size)).verdict.tolist() == [verdict]


@pytest.mark.parametrize(("size", "verdict"), [(1024, canon.SOUND), (1025, canon.TOO_LONG)])
def test_the_limit_of_a_name_is_its_last_byte(size: int, verdict: int) -> None:
    assert canonical({"__name__": "m", "x" * size: "1"}).verdict.tolist() == [verdict]


def test_many_rows_of_all_sorts_come_out_as_one_by_one() -> None:
    """Rows must not see each other through the scratch that they share."""
    rows: list[Row] = [
        series(pod=f"pod-{k}", service="shop" * (k % 5)) if k % 3 else {"pod": "bad", "x": "y" * k}
        for k in range(200)
    ]

    together = canonical(*rows)

    for row, alone in enumerate(canonical(one) for one in rows):
        assert together.verdict[row] == alone.verdict[0]
        if alone.verdict[0] == canon.SOUND:
            assert together.identity[row].tolist() == alone.identity[0].tolist()
            assert together.role[row] == alone.role[0]
            assert together.pairs(row) == alone.pairs(0)


def test_columns_that_cannot_be_written_to_are_copied_and_others_are_not() -> None:
    block = make.label_block(series())
    frozen = LabelBlock(block.buffer.copy(), block.start, block.end)
    frozen.buffer.flags.writeable = False

    assert plain(block).buffer is block.buffer
    assert plain(frozen).buffer.flags.writeable
    assert plain(frozen).buffer.tolist() == block.buffer.tolist()


def test_a_tenants_keys_follow_from_its_name_and_the_installations_key() -> None:
    rules = Rules(CatalogConfig(), KEY, ())
    ours, theirs = rules.scope(0, DEFAULT_TENANT), rules.scope(1, TenantId("other"))
    again = Rules(CatalogConfig(), KEY, ()).scope(5, DEFAULT_TENANT)

    secrets = [*ours.keys[:4].tolist(), *ours.salt.tolist(), *ours.partition_key]
    assert len(set(secrets)) == len(secrets)
    assert not set(secrets) & {*theirs.keys[:4].tolist(), *theirs.salt.tolist()}
    assert again.keys.tolist() == ours.keys.tolist()


def test_tenants_keep_their_numbers() -> None:
    known = Tenants(Rules(CatalogConfig(), KEY, ()), most=2)

    first, second = known.scope(TenantId("a")), known.scope(TenantId("b"))

    assert known.scope(TenantId("a")) is first
    assert [scope.number for scope in (first, second)] == [0, 1]
    assert known.names == ["a", "b"]
    assert known.known(TenantId("c")) is None
    with pytest.raises(BadInput, match="'c' would be tenant number 3") as refusal:
        known.scope(TenantId("c"))
    assert refusal.value.status == 403


def test_a_budget_fills_with_time_up_to_its_burst() -> None:
    budget = Budget(CatalogConfig(new_series_burst=10, new_series_per_s=2.0))
    start = make.START_NS

    assert budget.left(start) == 10
    budget.spend(10)
    assert budget.left(start) == 0
    assert budget.left(start + make.NS_PER_S) == 2
    assert budget.left(start) == 2, "a clock that goes back takes nothing away and gives nothing"
    assert budget.left(start + make.NS_PER_S) == 2
    assert budget.left(start + 100 * make.NS_PER_S) == 10


def scopes_differ(left: Scope, right: Scope) -> bool:
    return left.keys.tolist() != right.keys.tolist()


def test_tenants_whose_names_run_into_each_other_are_apart() -> None:
    rules = Rules(CatalogConfig(), KEY, ())

    assert scopes_differ(rules.scope(0, TenantId("a")), rules.scope(0, TenantId("a\0")))
    assert scopes_differ(rules.scope(0, TenantId("")), rules.scope(0, TenantId("\0")))
