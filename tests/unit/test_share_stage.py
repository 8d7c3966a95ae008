"""Sharing tells what there is, within its budget, and holds nobody up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from watchkeeper.act.share_stage import Budget, ShareAnomalies, ShareRecords
from watchkeeper.bus.base import ANOMALIES, MIXED, Delivery
from watchkeeper.bus.share import Fields, Recent, ShareConfig, Told
from watchkeeper.clock import NS_PER_S, FakeClock
from watchkeeper.errors import Retryable
from watchkeeper.model.event import Event
from watchkeeper.model.series import DEFAULT_TENANT, Entity, Kind, Series, SeriesId, TenantId


class Shop:
    """A catalog in which every slot is a series of its own."""

    def series(self, slot: int) -> Series:
        labels = make.labels("up", n=str(slot))
        return Series(SeriesId(bytes(16)), DEFAULT_TENANT, labels, Kind.GAUGE, Entity("shop"))


class Board:
    """Where it is put, in memory."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Told]] = []
        self.anomalies: list[tuple[int, Sequence[Recent]]] = []
        self.baselines: list[Mapping[tuple[str, str], Fields]] = []
        self.n_refusals = 0

    async def reached(self) -> tuple[int, int]:
        return 0, 0

    async def tell(self, position: int, told: Told) -> None:
        self._refuse()
        self.told.append((position, told))

    async def tell_anomalies(self, position: int, recent: Sequence[Recent]) -> None:
        self._refuse()
        self.anomalies.append((position, recent))

    async def tell_baselines(self, baselines: Mapping[tuple[str, str], Fields]) -> None:
        self.baselines.append(baselines)

    async def close(self) -> None:
        return

    def _refuse(self) -> None:
        if self.n_refusals:
            self.n_refusals -= 1
            raise Retryable("share redis: cannot run a script")


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def stage(board: Board, clock: FakeClock, per_s: int = 10) -> ShareRecords:
    config = ShareConfig(metrics_per_s=per_s, logs_per_s=per_s)
    return ShareRecords(config, share=board, catalog=Shop(), clock=clock)


def at(position: int, record: object) -> Delivery:
    return Delivery(MIXED, position, record)


def n_samples(n: int) -> object:
    return make.samples(*((slot, make.START_NS, 1.0) for slot in range(n)))


async def test_samples_lines_and_deployments_are_told_together(
    board: Board, clock: FakeClock
) -> None:
    records = [n_samples(2), make.logs((make.START_NS, 9, b"line")), make.change(), make.tick()]

    await stage(board, clock).handle([at(n, record) for n, record in enumerate(records, 5)])

    ((position, told),) = board.told
    assert position == 8
    assert [point["metric_name"] for point in told.metrics] == ["up", "up"]
    assert [line["message"] for line in told.logs] == ["line"]
    assert [(service, time_s) for service, time_s, _ in told.deployments] == [
        ("shop", make.START_NS / NS_PER_S)
    ]


async def test_what_nobody_reads_is_not_told(board: Board, clock: FakeClock) -> None:
    others = replace(make.logs((make.START_NS, 9, b"line")), tenant=TenantId("other"))
    records = [make.tick(), others, make.change(kind="feature_flag"), make.spans((1, 2, b"GET"))]

    await stage(board, clock).handle([at(n, record) for n, record in enumerate(records)])

    assert board.told == []


async def test_no_more_is_told_in_a_second_than_is_allowed(board: Board, clock: FakeClock) -> None:
    sharing = stage(board, clock, per_s=10)

    await sharing.handle([at(1, n_samples(100))])
    await sharing.handle([at(2, n_samples(100)), at(3, make.change())])
    clock.advance(0.5)
    await sharing.handle([at(4, n_samples(100))])

    assert [len(told.metrics) for _, told in board.told] == [10, 0, 5]


async def test_what_was_refused_is_told_once_the_server_is_back_and_costs_no_more(
    board: Board, clock: FakeClock
) -> None:
    sharing = stage(board, clock, per_s=10)
    board.n_refusals = 2
    deliveries = [at(1, n_samples(8))]

    for _ in range(2):
        with pytest.raises(Retryable):
            await sharing.handle(deliveries)
    await sharing.handle(deliveries)
    await sharing.handle([at(2, n_samples(8))])

    assert [(position, len(told.metrics)) for position, told in board.told] == [(1, 8), (2, 2)]


async def test_anomalies_of_the_tenant_are_told_with_the_newest_position(board: Board) -> None:
    sharing = ShareAnomalies(ShareConfig(), board)
    assert sharing.topic == ANOMALIES
    anomalies = [make.anomaly(), make.anomaly(tenant=TenantId("other")), make.anomaly(value=3.0)]

    await sharing.handle([at(n, Event(n, one)) for n, one in enumerate(anomalies, 7)])

    ((position, recent),) = board.anomalies
    assert position == 9
    assert [one.service for one in recent] == ["checkout"] * 2


@given(
    st.integers(0, 20),
    st.lists(st.tuples(st.integers(0, 60), st.floats(0, 3)), max_size=30),
)
def test_a_budget_is_never_overdrawn_and_picks_rows_that_there_are(
    per_s: int, turns: list[tuple[int, float]]
) -> None:
    budget, now_ns, n_picked = Budget(per_s, 0), 0, 0

    for n, passed_s in turns:
        now_ns += round(passed_s * NS_PER_S)
        picked = budget.pick(n, now_ns)
        assert len(set(picked.tolist())) == len(picked)
        assert set(picked.tolist()) <= set(range(n))
        n_picked += len(picked)

        assert n_picked <= per_s * (1 + now_ns / NS_PER_S) + 1e-6


def test_a_budget_that_suffices_picks_all_in_order() -> None:
    assert Budget(10, 0).pick(7, 0).tolist() == list(range(7))


def test_every_row_has_its_turn_where_not_all_can_be_picked() -> None:
    budget = Budget(3, 0)

    seen = np.concatenate([budget.pick(10, second * NS_PER_S) for second in range(20)])

    assert set(seen.tolist()) == set(range(10))
