"""Any two runs compared: nobody is lost, nobody is told twice, and no order matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from tests.make import NS_PER_S, START_NS
from watchkeeper.analyze.difference import NEAR_NS, Kind, differences
from watchkeeper.model.anomaly import Anomaly, AnomalyId, AnomalyStatus, Severity
from watchkeeper.model.series import TenantId

REACHED = 1_000
FEW = settings(max_examples=20, deadline=None)
ALONE = {Kind.MORE, Kind.FEWER}


def _episode(
    minute: int, lasting: int | None, detector: str, series: str, severity: Severity
) -> Anomaly:
    started_ns = START_NS + minute * 60 * NS_PER_S
    one = make.anomaly(
        id=AnomalyId(f"{detector}/{series}/{minute}"),
        started_ns=started_ns,
        detector=detector,
        series=series,
        severity=severity,
    )
    if lasting is None:
        return one
    ended_ns = started_ns + lasting * 60 * NS_PER_S
    return replace(one, status=AnomalyStatus.CLOSED, ended_ns=ended_ns)


EPISODES = st.builds(
    _episode,
    st.integers(0, 90),
    st.none() | st.integers(0, 20),
    st.sampled_from(["fk", "rex"]),
    st.sampled_from(["aa", "bb"]),
    st.sampled_from([Severity.INFO, Severity.EVIDENCE]),
)
RUNS = st.lists(EPISODES, max_size=10, unique_by=lambda one: one.id)


@FEW
@given(RUNS, RUNS)
def test_every_anomaly_of_either_run_is_told_once(
    before: list[Anomaly], after: list[Anomaly]
) -> None:
    told = differences(before, after, reached=REACHED)

    assert Counter(one.before.id for one in told if one.before) == Counter(one.id for one in before)
    assert Counter(one.after.id for one in told if one.after) == Counter(one.id for one in after)


@FEW
@given(RUNS)
def test_a_run_differs_from_itself_in_nothing(run: list[Anomaly]) -> None:
    told = differences(run, run[::-1], reached=REACHED)

    assert {one.kind for one in told} <= {Kind.SAME}
    assert len(told) == len(run)


@FEW
@given(RUNS)
def test_against_nothing_all_is_fewer_or_more(run: list[Anomaly]) -> None:
    lost = differences(run, [], reached=REACHED)
    came = differences([], run, reached=REACHED)

    assert [one.kind for one in lost] == [Kind.FEWER] * len(run)
    assert [one.kind for one in came] == [Kind.MORE] * len(run)


@FEW
@given(RUNS, RUNS)
def test_what_is_told_fits_its_kind(before: list[Anomaly], after: list[Anomaly]) -> None:
    for one in differences(before, after, reached=REACHED):
        if one.kind in ALONE:
            assert (one.before is None) == (one.kind is Kind.MORE)
            assert (one.after is None) == (one.kind is Kind.FEWER)
            continue
        old, new = one.before, one.after
        assert old is not None
        assert new is not None
        assert (old.detector, old.series) == (new.detector, new.series)
        assert (old.id == new.id) == (one.kind not in {Kind.EARLIER, Kind.LATER})
        assert (new.started_ns < old.started_ns) == (one.kind is Kind.EARLIER)


@FEW
@given(RUNS, RUNS)
def test_those_that_are_taken_for_one_another_overlap_or_nearly(
    before: list[Anomaly], after: list[Anomaly]
) -> None:
    for one in differences(before, after, reached=REACHED):
        if one.before is None or one.after is None or one.before.id == one.after.id:
            continue
        first, second = sorted((one.before, one.after), key=lambda each: each.started_ns)
        assert first.ended_ns is None or second.started_ns - first.ended_ns <= NEAR_NS


@FEW
@given(RUNS, RUNS)
def test_who_is_left_alone_on_both_sides_is_not_near(
    before: list[Anomaly], after: list[Anomaly]
) -> None:
    told = differences(before, after, reached=REACHED)

    lost = [one.before for one in told if one.before and one.after is None]
    came = [one.after for one in told if one.after and one.before is None]
    for old in lost:
        for new in came:
            if (old.detector, old.series) == (new.detector, new.series):
                first, second = sorted((old, new), key=lambda each: each.started_ns)
                assert first.ended_ns is not None
                assert second.started_ns - first.ended_ns > NEAR_NS


@FEW
@given(RUNS, RUNS)
def test_turned_about_earlier_is_later_and_fewer_is_more(
    before: list[Anomaly], after: list[Anomaly]
) -> None:
    turned = {
        Kind.EARLIER: Kind.LATER,
        Kind.LATER: Kind.EARLIER,
        Kind.MORE: Kind.FEWER,
        Kind.FEWER: Kind.MORE,
    }

    there = Counter(one.kind for one in differences(before, after, reached=REACHED))
    back = Counter(one.kind for one in differences(after, before, reached=REACHED))

    assert back == Counter({turned.get(kind, kind): n for kind, n in there.items()})


@FEW
@given(RUNS, RUNS)
def test_differences_are_in_order_of_time(before: list[Anomaly], after: list[Anomaly]) -> None:
    told = [one.anomaly for one in differences(before, after, reached=REACHED)]

    assert told == sorted(told, key=lambda one: (one.started_ns, one.id))


@FEW
@given(RUNS, RUNS)
def test_tenants_are_compared_apart(before: list[Anomaly], after: list[Anomaly]) -> None:
    def moved(run: Sequence[Anomaly]) -> list[Anomaly]:
        return [replace(one, tenant=TenantId("acme"), id=AnomalyId(f"x{one.id}")) for one in run]

    ours = Counter(one.kind for one in differences(before, after, reached=REACHED))
    both = differences([*before, *moved(before)], [*after, *moved(after)], reached=REACHED)

    assert Counter(one.kind for one in both) == Counter({k: 2 * n for k, n in ours.items()})


@FEW
@given(RUNS, st.integers(-3, 3))
def test_behind_the_end_only_what_is_still_open_there_is_the_same(
    run: list[Anomaly], behind: int
) -> None:
    live = [replace(one, position=REACHED + behind, value=9.0) for one in run]

    told = differences(live, run, reached=REACHED)

    for one in told:
        assert one.after is not None
        is_open = one.after.status is AnomalyStatus.OPEN
        assert (one.kind is Kind.SAME) == (is_open and behind > 0)
