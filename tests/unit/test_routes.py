"""The plan by slot."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from tests import make
from tests.catalogs import ToyCatalog
from tests.detecting import slots
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.plan import Plan
from watchkeeper.analyze.routes import Routes
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import I32, U8, Entity, Kind

NAMES = ("request_latency_ms", "orders_total", "up", "request_latency_ms_bucket")
FK, REX = 0, 1


class Counting(ToyCatalog):
    """... which counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.kind: U8 = np.full(len(self.partition), Kind.GAUGE, np.uint8)
        self.new = self.register(*(make.labels(name, service="shop") for name in NAMES))
        self.kind[self.new.slot[-1]] = Kind.UNSCORED
        self.n_labels = 0
        self.n_entities = 0
        self.succeeded: dict[int, dict[str, str]] = {}

    def labels(self, slots: I32) -> list[dict[str, str]]:
        self.n_labels += len(slots)
        found = super().labels(slots)
        return [
            self.succeeded.get(slot, own) for slot, own in zip(slots.tolist(), found, strict=True)
        ]

    def entity_of(self, slot: int) -> Entity:
        self.n_entities += 1
        return Entity(service="shop")


def plan(**content: object) -> Plan:
    return Plan(msgspec.convert(content, DetectionConfig))


def muted(routes: Routes, which: Sequence[int]) -> list[bool]:
    return [bool(routes.dials["muted"][slot]) for slot in which]


def test_a_series_is_looked_up_once() -> None:
    catalog = Counting()
    routes = Routes(plan(), catalog)

    for _ in range(3):
        routes.meet(slots(0, 1, 2, 0, 1))

    assert catalog.n_labels == 3
    assert catalog.n_entities == 0


def test_what_nobody_judges_is_not_looked_up_but_for_its_class() -> None:
    catalog = Counting()
    routes = Routes(plan(), catalog)

    routes.meet(slots(3, 3))

    assert catalog.n_labels == 0
    assert routes.class_of(3) is MetricClass.LATENCY


def test_who_is_met_has_a_class_detectors_and_a_dial() -> None:
    routes = Routes(plan(), Counting())

    routes.meet(slots(0, 1, 2))

    found = [routes.class_of(slot) for slot in range(3)]
    assert found == [MetricClass.LATENCY, MetricClass.BUSINESS, MetricClass.STATE]
    assert routes.judged_by(slots(0, 1, 2, 0), FK).tolist() == [True, True, True, True]
    assert routes.judged_by(slots(0, 1, 2, 0), REX).tolist() == [True, True, False, True]
    assert routes.dials["direction"][:3].tolist() == [1, 0, 0]
    assert routes.dials["least_change"][0] == np.float32(20.0)


def test_another_plan_takes_effect_for_all_that_were_met() -> None:
    catalog = Counting()
    routes = Routes(plan(), catalog)
    routes.meet(slots(0, 1))

    routes.arrange(plan(rules=[{"match": {"__name__": "orders*"}, "muted": True}]))

    assert muted(routes, (0, 1)) == [False, True]
    routes.arrange(plan())
    assert muted(routes, (0, 1)) == [False, False]


def test_a_plan_that_asks_for_services_is_told_of_them() -> None:
    catalog = Counting()
    routes = Routes(plan(rules=[{"match": {"service": "shop"}, "muted": True}]), catalog)

    routes.meet(slots(0, 1))

    assert catalog.n_entities == 2
    assert muted(routes, (0, 1)) == [True, True]


def test_a_slot_that_another_series_has_is_looked_up_again() -> None:
    catalog = Counting()
    routes = Routes(plan(), catalog)
    routes.meet(slots(0))
    catalog.succeeded[0] = make.labels("queue_depth", service="shop")

    routes.forget(slots(0))
    routes.meet(slots(0))

    assert routes.class_of(0) is MetricClass.QUEUE


def test_nobody_is_nothing_to_do() -> None:
    catalog = Counting()

    Routes(plan(), catalog).meet(slots())

    assert catalog.n_labels == 0
