"""Every lake over the real catalog, whose series come and go while many threads ask."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import lakes, make
from tests.contract.test_lake import beside
from tests.lakes import S, ask
from tests.make import START_NS
from tests.unit.test_series import HOUR_S, catalog, send
from watchkeeper import plugins
from watchkeeper.errors import Retryable
from watchkeeper.lake.base import Fold, Frame, SampleQuery
from watchkeeper.lake.series import Catalog
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import SampleBatch

N_PODS = 20
N_DEPLOYMENTS = 25
HOUR_NS = round(HOUR_S) * S
EVERYTHING = (0, START_NS + 1000 * HOUR_NS)


@pytest.fixture(params=sorted(plugins.BUILTIN["lake"]))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Shop:
    """Deployments of pods, an hour apart; each pod's value is its number, so mix-ups show."""

    def __init__(self, name: str, folder: Path) -> None:
        self.catalog: Catalog = catalog(max_series=3 * N_PODS, max_donors=0, donor_keep_s=0.0)
        self.catalog.open(folder / "catalog", START_NS)
        self.lake: Any = lakes.build(name, folder / "lake", self.catalog, head_rows=128)
        self._position = 0

    def deploy(self, number: int, done: threading.Event) -> None:
        pods = [str(number * N_PODS + k) for k in range(N_PODS)]
        resolved = send(
            self.catalog, *(make.labels("m", pod=pod) for pod in pods), after_s=number * HOUR_S
        )
        for i in range(3):
            self._position += 1
            batch = SampleBatch(
                DEFAULT_TENANT,
                resolved.slots,
                np.full(N_PODS, START_NS + number * HOUR_NS + i * S),
                np.array(pods, np.float64),
            )
            while self.lake.room() < N_PODS:
                done.wait(0.001)
            self.lake.append(batch, self._position)
        self.catalog.recycle(START_NS + number * HOUR_NS + HOUR_NS // 2, HOUR_S)

    def close(self) -> None:
        self.lake.close()
        self.catalog.close()


def mixed_up(frame: Frame) -> list[str]:
    """Series whose values are not those of the pod that they are called by."""
    return [
        f"{dict(labels)} has {frame.value[frame.row == row].tolist()}"
        for row, labels in enumerate(frame.labels)
        if not (frame.value[frame.row == row] == float(labels.get("pod", -1))).all()
    ]


class Asker:
    """Asks one question until it is told to end."""

    def __init__(self, lake: Any, query: SampleQuery, done: threading.Event) -> None:
        self._lake, self._query, self._done = lake, query, done
        self.faults: list[str] = []

    def __call__(self) -> None:
        while not self._done.is_set():
            try:
                self.faults += mixed_up(self._lake.query(self._query))
            except Retryable:  # series changed while they were read: the asker asks again
                continue


def keep(lake: Any, done: threading.Event) -> None:
    for step in itertools.count():
        if done.is_set():
            return
        lake.maintain(START_NS + step * S, everything=step % 5 == 0)


def test_no_answer_calls_a_series_by_another_name_or_by_none(name: str, tmp_path: Path) -> None:
    """Pods leave memory and their slots go to others between one step of a query and the next."""
    shop, done = Shop(name, tmp_path), threading.Event()
    questions = [
        ask(*EVERYTHING),
        ask(*EVERYTHING, step_ns=10**18, over_time=Fold.LAST),
        ask(*EVERYTHING, step_ns=10**18, over_time=Fold.MAX, across=Fold.MAX, by=("pod",)),
    ]
    askers = [Asker(shop.lake, query, done) for query in questions]

    with beside(*askers, lambda: keep(shop.lake, done), until=done):
        for number in range(N_DEPLOYMENTS):
            shop.deploy(number, done)

    assert [asker.faults for asker in askers] == [[], [], []]
    frame = shop.lake.query(questions[0])
    assert len(frame.labels) == N_PODS * N_DEPLOYMENTS
    assert len(frame.row) == 3 * N_PODS * N_DEPLOYMENTS
    assert mixed_up(frame) == []
    shop.close()


def test_those_who_left_are_found_after_a_restart(name: str, tmp_path: Path) -> None:
    shop, never = Shop(name, tmp_path), threading.Event()
    for number in range(6):
        shop.deploy(number, never)
        shop.lake.maintain(START_NS, everything=True)
    shop.catalog.persist(START_NS)
    shop.close()

    again = Shop(name, tmp_path)

    frame = again.lake.query(ask(*EVERYTHING))
    assert len(frame.labels) == 6 * N_PODS
    assert mixed_up(frame) == []
    again.close()
