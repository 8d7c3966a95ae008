"""What senders say of metrics is kept, within bounds, and decides what their series are."""

from __future__ import annotations

import pytest

from tests import make
from watchkeeper.lake import families
from watchkeeper.lake.families import FamilyTable
from watchkeeper.model.family import Family, MetricType, metric_type
from watchkeeper.model.series import DEFAULT_TENANT, Kind, TenantId

OTHER = TenantId("other")
REQUESTS = Family("requests", MetricType.COUNTER, "How many.", "")
LOAD = Family("load", MetricType.GAUGE)


def test_only_what_is_new_or_changed_is_to_be_logged() -> None:
    table = FamilyTable()
    louder = Family("load", MetricType.GAUGE, "How much.")

    first = table.learn(DEFAULT_TENANT, [REQUESTS, LOAD])
    again = table.learn(DEFAULT_TENANT, [REQUESTS, LOAD])
    changed = table.learn(DEFAULT_TENANT, [REQUESTS, louder])

    assert first is not None
    assert first.families == (REQUESTS, LOAD)
    assert again is None
    assert changed is not None
    assert changed.families == (louder,)
    assert table.of(DEFAULT_TENANT) == [louder, REQUESTS]


def test_a_tenant_knows_its_own_descriptions_only() -> None:
    table = FamilyTable()
    table.learn(DEFAULT_TENANT, [REQUESTS])

    assert table.of(OTHER) == []
    assert table.of(DEFAULT_TENANT, "requests") == [REQUESTS]
    assert table.of(DEFAULT_TENANT, "load") == []


def test_a_tenant_with_too_many_keeps_those_that_it_has() -> None:
    table = FamilyTable()
    table.learn(DEFAULT_TENANT, [Family(f"m{n}") for n in range(families.MAX_FAMILIES + 5)])

    renewed = table.learn(DEFAULT_TENANT, [Family("m0", MetricType.GAUGE), Family("new")])

    assert len(table.of(DEFAULT_TENANT)) == families.MAX_FAMILIES
    assert renewed is not None
    assert renewed.families == (Family("m0", MetricType.GAUGE),)


def test_a_long_description_is_cut_and_is_the_same_again() -> None:
    table = FamilyTable()
    long = Family("m", help="x" * 5000)
    table.learn(DEFAULT_TENANT, [long])

    assert len(table.of(DEFAULT_TENANT)[0].help) == families.MAX_TEXT
    assert table.learn(DEFAULT_TENANT, [long]) is None


def test_a_table_goes_on_from_what_was_saved() -> None:
    table, restarted = FamilyTable(), FamilyTable()
    table.learn(DEFAULT_TENANT, [REQUESTS])
    table.learn(OTHER, [LOAD])

    restarted.load(table.dump())

    assert restarted.of(DEFAULT_TENANT) == [REQUESTS]
    assert restarted.of(OTHER) == [LOAD]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("rpc_seconds_bucket", "rpc_seconds"),
        ("rpc_seconds_count", "rpc_seconds"),
        ("rpc_seconds", "rpc_seconds"),
        ("bytes_sum", "bytes_sum"),  # of a counter that is called so
        ("load_count", "load_count"),  # load is a gauge, which has no count
        ("unknown_bucket", "unknown_bucket"),
    ],
)
def test_the_parts_of_a_histogram_belong_to_it(name: str, family: str) -> None:
    table = FamilyTable()
    histogram = Family("rpc_seconds", MetricType.HISTOGRAM)
    table.learn(DEFAULT_TENANT, [histogram, Family("bytes_sum", MetricType.COUNTER), LOAD])

    assert table.family_of(DEFAULT_TENANT, name) == family


def test_a_described_metric_is_read_as_it_is_described() -> None:
    """`requests` has no name of a counter, and `jobs_total` is a gauge in spite of its name."""
    table = FamilyTable()
    table.learn(DEFAULT_TENANT, [REQUESTS, Family("jobs_total", MetricType.GAUGE)])
    rows = [make.labels("requests"), make.labels("jobs_total"), make.labels("other")]

    kinds = table.kinds(make.new_series(0, *rows, kind=Kind.UNSCORED))

    assert kinds is not None
    assert kinds.tolist() == [Kind.COUNTER, Kind.GAUGE, Kind.UNSCORED]


def test_without_descriptions_names_decide() -> None:
    assert FamilyTable().kinds(make.new_series(0, make.labels("requests"))) is None


@pytest.mark.parametrize(("number", "kind"), [(1, "counter"), (7, "stateset"), (8, "unknown")])
def test_a_type_that_is_not_known_yet_is_unknown(number: int, kind: str) -> None:
    assert metric_type(number) == kind
    assert metric_type(-1) is MetricType.UNKNOWN
