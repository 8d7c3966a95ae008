"""How series of spans are called, which are told from those of senders; steps of a band."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.api.band import _identity, _numbers, _step
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import BadInput
from watchkeeper.lake import red
from watchkeeper.lake.derived import LABEL, SPANS
from watchkeeper.lake.red import Group
from watchkeeper.model.family import MetricType
from watchkeeper.model.series import DEFAULT_TENANT, METRIC_NAME, Kind

T = DEFAULT_TENANT
GROUPS = {
    "an operation": red.operation(T, "shop", "prod", "GET /cart", "server"),
    "an operation without a place": red.operation(T, "shop", "", "GET /cart", "server"),
    "an operation of no kind": red.operation(T, "shop", "", "job", ""),
    "an edge": red.edge(T, "web", "shop", "prod"),
    "an edge without a place": red.edge(T, "web", "shop", ""),
}


@pytest.mark.parametrize("case", GROUPS)
def test_a_group_has_a_histogram_and_a_counter_of_failures(case: str) -> None:
    group = GROUPS[case]

    names = [one[METRIC_NAME] for one in group.series()]

    stem = f"{group.sort}_duration_seconds"
    assert names[: red.N_BUCKETS] == [f"{stem}_bucket"] * red.N_BUCKETS
    assert names[red.COUNT] == f"{stem}_count"
    assert names[red.SUM] == f"{stem}_sum"
    assert names[red.ERRORS] == f"{group.sort}_errors_total"
    assert len(names) == red.N_SERIES


@pytest.mark.parametrize("case", GROUPS)
def test_only_buckets_have_a_bound_and_they_rise_to_infinity(case: str) -> None:
    found = GROUPS[case].series()

    bounds = [float(one["le"]) for one in found if "le" in one]

    assert bounds == [*red.BOUNDS_S, float("inf")]
    assert all("le" not in one for one in found[red.N_BUCKETS :])


@pytest.mark.parametrize("case", GROUPS)
def test_the_head_of_a_group_is_its_counter_of_failures(case: str) -> None:
    group = GROUPS[case]

    assert group.head() == group.series()[red.ERRORS]


@pytest.mark.parametrize("case", GROUPS)
def test_every_series_of_a_group_is_marked_as_made_of_spans(case: str) -> None:
    for one in GROUPS[case].series():
        assert one[LABEL] == SPANS
        assert red.is_red(one)
        assert "" not in one.values()


def test_no_two_groups_have_a_series_in_common() -> None:
    every = [tuple(sorted(one.items())) for group in GROUPS.values() for one in group.series()]

    assert len(set(every)) == len(GROUPS) * red.N_SERIES


@pytest.mark.parametrize(
    ("labels", "is_ours"),
    [
        ({METRIC_NAME: "span_duration_seconds_count", LABEL: SPANS}, True),
        ({METRIC_NAME: "span_duration_seconds", "quantile": "0.99", LABEL: SPANS}, True),
        ({METRIC_NAME: "edge_errors_total", LABEL: SPANS}, True),
        ({METRIC_NAME: "edge_duration_seconds_bucket", "le": "1", LABEL: "quantile"}, True),
        ({METRIC_NAME: "span_duration_seconds_count"}, False),
        ({METRIC_NAME: "edge_errors_total", "service": "shop"}, False),
        ({METRIC_NAME: "http_requests_total", LABEL: SPANS}, False),
        ({METRIC_NAME: "my_span_errors_total", LABEL: SPANS}, False),
        ({METRIC_NAME: "span", LABEL: SPANS}, False),
        ({LABEL: SPANS}, False),
        ({}, False),
    ],
)
def test_only_what_we_made_of_spans_is_ours(labels: dict[str, str], is_ours: bool) -> None:
    assert red.is_red(labels) is is_ours


@pytest.mark.parametrize("n", [0, 1, 3])
def test_the_blocks_of_groups_lie_behind_one_another(n: int) -> None:
    groups = list(GROUPS.values())[:n]

    labels, kinds = red.blocks(groups)

    assert len(labels) == len(kinds) == n * red.N_SERIES
    for k, group in enumerate(groups):
        assert labels[k * red.N_SERIES : (k + 1) * red.N_SERIES] == group.series()


def test_buckets_are_not_judged_and_the_rest_are_counters() -> None:
    _, kinds = red.blocks([GROUPS["an edge"]])

    assert kinds[: red.N_BUCKETS].tolist() == [Kind.UNSCORED] * red.N_BUCKETS
    assert kinds[red.N_BUCKETS :].tolist() == [Kind.COUNTER] * 3


def test_families_are_those_of_the_series() -> None:
    told = {one.name: one.type for one in red.FAMILIES}

    for sort in (red.OPERATION, red.EDGE):
        assert told.pop(f"{sort}_duration_seconds") is MetricType.HISTOGRAM
        assert told.pop(red.ERRORS_OF[sort]) is MetricType.COUNTER
    assert told == {}


@given(st.tuples(*[st.text(max_size=8)] * 4))
def test_a_group_is_told_by_all_that_it_is_made_of(parts: tuple[str, str, str, str]) -> None:
    group = red.operation(T, *parts)

    labels = dict(group.labels)

    assert "" not in labels.values()
    names = ("service", "environment", "operation", "span_kind")
    assert tuple(labels.get(name, "") for name in names) == parts


def test_an_operation_and_an_edge_of_the_same_labels_are_two_groups() -> None:
    labels = (("client", "a"), ("server", "b"))

    one, other = (Group(T, sort, labels) for sort in (red.OPERATION, red.EDGE))

    assert one != other
    assert not {str(s) for s in one.series()} & {str(s) for s in other.series()}


# A band, in steps.

MINUTE = 60 * NS_PER_S


@pytest.mark.parametrize(
    ("length_ns", "step_ns"),
    [
        (0, MINUTE),
        (60 * MINUTE, MINUTE),
        (1_000 * MINUTE, MINUTE),
        (2_000 * MINUTE, 2 * MINUTE),
        (2_999 * MINUTE, 2 * MINUTE),
        (30 * 1_440 * MINUTE, 43 * MINUTE),
    ],
    ids=["nothing", "an hour", "a thousand minutes", "twice", "nearly thrice", "thirty days"],
)
def test_without_a_step_it_is_of_whole_minutes(length_ns: int, step_ns: int) -> None:
    assert _step(None, length_ns) == step_ns


@given(st.integers(0, 30 * 1_440 * MINUTE))
def test_without_a_step_no_range_is_too_many_points(length_ns: int) -> None:
    step_ns = _step(None, length_ns)

    assert step_ns % MINUTE == 0
    assert length_ns // step_ns <= 2_000


@pytest.mark.parametrize(
    ("text", "length_ns", "step_ns"),
    [("1m", 60 * MINUTE, MINUTE), ("90s", 60 * MINUTE, 90 * NS_PER_S), ("1h", 0, 60 * MINUTE),
     ("1s", 11_000 * NS_PER_S, NS_PER_S)],
)  # fmt: skip
def test_a_step_is_as_it_is_asked_for(text: str, length_ns: int, step_ns: int) -> None:
    assert _step(text, length_ns) == step_ns


@pytest.mark.parametrize(
    ("text", "length_ns"),
    [("1s", 11_001 * NS_PER_S), ("0s", MINUTE), ("1ms", 60 * MINUTE), ("x", 0), ("", 0),
     (None, 30 * 1_440 * MINUTE + 1), ("1h", 31 * 1_440 * MINUTE)],
    ids=["one too many", "none", "too many", "no length", "nothing", "too long", "too long, too"],
)  # fmt: skip
def test_a_step_that_cannot_be_is_refused_with_its_name(text: str | None, length_ns: int) -> None:
    with pytest.raises(BadInput, match=r"step|start"):
        _step(text, length_ns)


@pytest.mark.parametrize("text", ["", "ab", "ab" * 15, "ab" * 17, "zz" * 16, "a" * 31, "ü" * 32])
def test_an_id_has_thirty_two_hex_digits(text: str) -> None:
    with pytest.raises(BadInput, match="32 hex digits"):
        _identity(text)


@settings(max_examples=30)
@given(st.binary(min_size=16, max_size=16))
def test_every_id_is_read_as_it_is_written(identity: bytes) -> None:
    assert _identity(identity.hex()) == _identity(identity.hex().upper()) == identity


def test_what_is_no_number_is_told_as_none() -> None:
    column = np.array([1.5, np.nan, np.inf, -np.inf, 0.0, -2.0])

    assert _numbers(column) == [1.5, None, None, None, 0.0, -2.0]


def test_bounds_of_buckets_rise_and_reach_over_what_people_wait() -> None:
    assert all(one < other for one, other in itertools.pairwise(red.BOUNDS_S))
    assert (red.BOUNDS_S[0], red.BOUNDS_S[-1]) == (0.001, 10.0)
