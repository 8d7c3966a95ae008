"""The watcher of several series: whom it takes for a service, when it judges, what it says."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from tests.watching import EVERYWHERE, WatchedCatalog
from watchkeeper.analyze.detectors.base import CLOSED, INFO, OPENED, Findings, Points
from watchkeeper.analyze.joint.service import MAX_OPEN
from watchkeeper.analyze.joint.space import MAX_MEMBERS
from watchkeeper.analyze.judge import Judge
from watchkeeper.analyze.watchers.base import Belief, Seen, Sighting
from watchkeeper.analyze.watchers.joint import FORGOTTEN_NS, Joint
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import DEFAULT_TENANT, F64, I32, N_PARTITIONS

MINUTE_NS = 60 * make.NS_PER_S
START_NS = make.START_NS // MINUTE_NS * MINUTE_NS
DAY = 1_440
NOTHING = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))


class Watched:
    """A joint watcher with one service, whose rows it is given."""

    def __init__(self, members: int = 6, **labels: str) -> None:
        self.catalog = WatchedCatalog()
        names = [{"__name__": f"m{i}", "service": "shop", **labels} for i in range(members)]
        self.slots: I32 = self.catalog.register(*names).slot
        self.joint = Joint(catalog=self.catalog, class_of=self.catalog.class_of)
        self.said: list[Sighting | Belief] = []

    def rows(self, rows: F64, first: int = 0, *, lag: int = 5) -> None:
        """All cells of some minutes, and a tick so many minutes later."""
        time_ns = START_NS + (first + np.arange(len(rows))) * MINUTE_NS
        slots = np.tile(self.slots[: rows.shape[1]], len(rows))
        cells = Points(slots, np.repeat(time_ns, rows.shape[1]), rows.ravel())
        here = np.isfinite(cells.value)
        cells = Points(cells.slot[here], cells.time_ns[here], cells.value[here])
        self.joint.see(Seen(DEFAULT_TENANT, NOTHING, cells, ()))
        self.tick(first + len(rows) + lag)

    def tick(self, minute: int) -> None:
        self.said += self.joint.tick(START_NS + minute * MINUTE_NS, EVERYWHERE)

    def find(self, change: int, member: int, minute: int) -> str:
        """A detector's finding of one member; the anomaly's name."""
        findings = finding(change, int(self.slots[member]), minute)
        self.joint.see(Seen(DEFAULT_TENANT, NOTHING, NOTHING, [("fk", findings)]))
        series = self.catalog.series(int(self.slots[member]))
        return Judge("fk", ()).id_of(series, int(findings.started_ns[0]))

    @property
    def sightings(self) -> list[Sighting]:
        return [one for one in self.said if isinstance(one, Sighting)]

    @property
    def beliefs(self) -> list[Belief]:
        return [one for one in self.said if isinstance(one, Belief)]

    def state(self) -> list[bytes]:
        return [self.joint.dump(partition) for partition in range(N_PARTITIONS)]


def finding(change: int, slot: int, minute: int) -> Findings:
    at = np.array([START_NS + minute * MINUTE_NS])
    columns = dict.fromkeys(Findings.__slots__, np.zeros(1)) | {
        "slot": np.array([slot], np.int32),
        "started_ns": at,
        "time_ns": at,
        "change": np.array([change], np.uint8),
        "severity": np.array([INFO], np.uint8),
        "streams": np.zeros((1, 1)),
    }
    return Findings(**columns)


def usual(n: int, members: int = 6, seed: int = 1) -> F64:
    chance = np.random.default_rng(seed)
    cause = chance.standard_normal((n, 1))
    return np.asarray(100.0 + cause + 0.2 * chance.standard_normal((n, members)))


def eventful(n: int = DAY + 300) -> F64:
    """Two members part for twenty minutes near the end."""
    rows = usual(n)
    rows[n - 200 : n - 180, 1] += 40.0
    rows[n - 200 : n - 180, 4] -= 40.0
    return rows


def test_a_joint_finding_names_its_service_and_the_series_that_spoke() -> None:
    watched = Watched()

    watched.rows(eventful())

    first = watched.sightings[0]
    assert dict(first.labels) == {"service": "shop", "joint": "distance"}
    assert (first.entity.service, first.series, first.change) == ("shop", "", OPENED)
    assert first.severity is Severity.EVIDENCE
    assert first.started_ns == START_NS + (DAY + 100) * MINUTE_NS
    assert list(first.evidence)[:2] in (["m1", "m4"], ["m4", "m1"])
    assert first.p_value < 1e-5
    assert watched.sightings[-1].change == CLOSED


def test_series_of_one_metric_are_told_apart_by_their_labels() -> None:
    watched = Watched()
    names = [{"__name__": "cpu", "service": "shop", "pod": pod} for pod in "abcdef"]
    watched.slots = watched.catalog.register(*names).slot

    watched.rows(eventful())

    assert {'cpu{pod="b"}', 'cpu{pod="e"}'} <= set(watched.sightings[0].evidence)


def test_a_row_waits_for_cells_that_may_still_close() -> None:
    """A minute, and the time that the sample takes which closes its last cell."""
    watched = Watched()
    rows = eventful()
    watched.rows(rows[: DAY + 100])

    watched.rows(rows[DAY + 100 : DAY + 101], DAY + 100, lag=0)
    early = list(watched.sightings)
    watched.tick(DAY + 104)

    assert early == []
    assert [one.change for one in watched.sightings] == [OPENED]


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(1, DAY + 299), max_size=5))
def test_how_rows_are_cut_into_records_and_ticks_changes_nothing(cuts: list[int]) -> None:
    rows = eventful()
    whole, parts = Watched(), Watched()
    whole.rows(rows)

    edges = [0, *sorted(set(cuts)), len(rows)]
    for begin, end in pairwise(edges):
        parts.rows(rows[begin:end], begin)

    assert parts.said == whole.said
    assert parts.joint.dump(0) == whole.joint.dump(0)


def test_a_dumped_watcher_goes_on_alike_with_what_waits_and_what_is_open() -> None:
    rows = eventful()
    one, twin = Watched(), Watched()
    one.rows(rows[: DAY + 110])
    one.rows(rows[DAY + 110 : DAY + 115], DAY + 110, lag=0)
    one.find(OPENED, 1, DAY + 100)

    for partition, state in enumerate(one.state()):
        twin.joint.load(partition, state)
    one.said.clear()

    for each in (one, twin):
        each.rows(rows[DAY + 115 :], DAY + 115)
    assert twin.said == one.said
    assert one.beliefs
    assert twin.state() == one.state()


def test_series_of_no_service_and_those_of_a_state_have_no_part() -> None:
    watched = Watched()
    nobody = watched.catalog.register({"__name__": "lonely"}).slot
    state = watched.catalog.register({"__name__": "up", "service": "shop"}).slot
    watched.rows(usual(10))
    before = watched.joint.n_bytes

    at = np.full(1, START_NS + 20 * MINUTE_NS)
    for slot in (nobody, state):
        cells = Points(slot, at, np.ones(1))
        watched.joint.see(Seen(DEFAULT_TENANT, NOTHING, cells, ()))
    watched.tick(60)

    assert watched.joint.n_bytes == before


def test_of_a_crowd_those_are_judged_that_came_first_and_memory_is_bounded() -> None:
    watched = Watched(members=MAX_MEMBERS + 40)

    watched.rows(usual(300, MAX_MEMBERS + 40))

    assert watched.joint.n_bytes < 200_000


def test_a_service_without_rows_is_forgotten_after_a_week() -> None:
    watched = Watched()
    watched.rows(usual(10))
    assert watched.joint.n_bytes > 0

    later = START_NS + FORGOTTEN_NS + DAY * MINUTE_NS
    watched.joint.tick(later, EVERYWHERE)

    assert watched.joint.n_bytes == 0


def test_a_series_that_left_makes_room_for_another() -> None:
    watched = Watched(members=MAX_MEMBERS + 1)
    rows = usual(3 * DAY, MAX_MEMBERS + 1, seed=2)
    rows[DAY // 2 :, 3] = np.nan

    watched.rows(rows[: 2 * DAY])
    watched.rows(rows[2 * DAY :], 2 * DAY)

    members = msgspec.msgpack.decode(watched.joint.dump(watched_partition(watched)))[1][0]
    assert watched.catalog.identity[watched.slots[-1]].tobytes() in members
    assert watched.catalog.identity[watched.slots[3]].tobytes() not in members


def watched_partition(watched: Watched) -> int:
    return int(watched.catalog.partition[watched.slots[0]])


# What it says of open anomalies


def test_an_anomaly_in_which_others_join_is_believed() -> None:
    watched = Watched()
    rows = eventful()
    watched.rows(rows[: DAY + 100])

    anomaly = watched.find(OPENED, 1, DAY + 100)
    watched.rows(rows[DAY + 100 :], DAY + 100)

    first = watched.beliefs[0]
    assert (first.anomaly, first.tenant) == (anomaly, DEFAULT_TENANT)
    assert first.confidence > 0.9
    assert first.evidence["joint"] == 1.0
    assert first.evidence["forest"] > 0.8


def test_an_anomaly_that_nothing_else_shows_is_doubted_and_goes_on() -> None:
    watched = Watched()
    rows = usual(DAY + 60)
    watched.rows(rows[:DAY])

    anomaly = watched.find(OPENED, 2, DAY)
    watched.rows(rows[DAY:], DAY)

    (doubt,) = watched.beliefs
    assert doubt.anomaly == anomaly
    assert 0.25 <= doubt.confidence <= 0.75
    assert doubt.time_ns == START_NS + (DAY + 10) * MINUTE_NS


def test_an_anomaly_that_ended_is_not_looked_at_again() -> None:
    watched = Watched()
    rows = usual(DAY + 60)
    watched.rows(rows[:DAY])

    watched.find(OPENED, 2, DAY)
    watched.find(CLOSED, 2, DAY)
    watched.rows(rows[DAY:], DAY)

    assert watched.beliefs == []


def test_with_few_rows_the_forest_is_not_asked() -> None:
    watched = Watched()
    watched.rows(usual(30))

    watched.find(OPENED, 2, 25)
    watched.rows(usual(20), 30)

    (belief,) = watched.beliefs
    assert belief.confidence == 0.5
    assert dict(belief.evidence) == {"joint": 0.5}


@pytest.mark.parametrize("change", [OPENED, CLOSED])
def test_findings_of_series_of_no_service_are_passed_over(change: int) -> None:
    watched = Watched()
    watched.slots = watched.catalog.register({"__name__": "lonely"}).slot

    watched.find(change, 0, 5)
    watched.tick(60)

    assert watched.said == []


def test_open_anomalies_of_a_service_are_remembered_up_to_a_limit() -> None:
    watched = Watched()
    watched.rows(usual(100))

    for minute in range(MAX_OPEN + 20):
        watched.find(OPENED, 2, 100 + minute)
    watched.rows(usual(1), 100 + MAX_OPEN + 100)

    assert len(watched.beliefs) == MAX_OPEN
