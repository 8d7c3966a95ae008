"""Entities as numbers, and the partitions that follow from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from watchkeeper.lake.series_config import CatalogConfig
from watchkeeper.lake.series_entities import NOBODY, Entities, partition
from watchkeeper.lake.series_rules import Rules, Scope
from watchkeeper.model.series import DEFAULT_TENANT, N_PARTITIONS, Entity, TenantId


class ByService:
    """Enrichment that looks at one label, and counts how often it is asked."""

    relevant_labels = ("service",)

    def __init__(self) -> None:
        self.n_asked = 0

    def __call__(self, labels: Mapping[str, str]) -> Entity:
        self.n_asked += 1
        return Entity(service=labels["service"])


def scope(tenant: str = DEFAULT_TENANT, key: bytes = bytes(16)) -> Scope:
    return Rules(CatalogConfig(), key, ()).scope(0, TenantId(tenant))


def decide(known: Entities, *services: str, within: Scope | None = None) -> list[int]:
    """The numbers of entities, of rows whose relevant labels hash to their service."""
    relevant = np.array([hash(service) & 0xFFFF_FFFF for service in services], np.uint64)
    numbers, _ = known.decide(within or scope(), relevant, lambda row: {"service": services[row]})
    return [int(number) for number in numbers]


def test_enrichment_is_asked_once_per_combination() -> None:
    enrich = ByService()
    known = Entities(enrich, 100)

    first = decide(known, "shop", "cart", "shop")
    again = decide(known, "cart", "shop")

    assert enrich.n_asked == 2
    assert first == [first[0], again[0], first[0]]
    assert [known.of(number).service for number in again] == ["cart", "shop"]


def test_equal_entities_have_one_number_whatever_they_came_from() -> None:
    known = Entities(ByService(), 100)

    (decided,) = decide(known, "shop")
    adopted = known.adopt([("shop", "", "", ""), ("", "", "", "")])

    assert adopted.tolist() == [decided, NOBODY]


def test_a_record_has_each_entity_once() -> None:
    known = Entities(ByService(), 100)
    numbers = np.array(decide(known, "shop", "cart", "shop"), np.int32)

    place, rows = known.rows(numbers)

    assert [rows[k][0] for k in place.tolist()] == ["shop", "cart", "shop"]
    assert len(rows) == 2


def test_an_entity_that_nobody_has_any_more_is_forgotten() -> None:
    enrich = ByService()
    known = Entities(enrich, 100)
    shop, cart = np.array(decide(known, "shop", "cart"), np.int32)
    for number in (shop, shop, cart):
        known.hold(np.array([number], np.int32))

    known.release(np.array([shop, cart], np.int32))

    assert len(known) == 2, "nobody, and the shop"
    assert decide(known, "mail") == [cart], "its number is used again"
    assert decide(known, "shop") == [shop]
    assert decide(known, "cart") != [cart]


def test_the_empty_entity_stays() -> None:
    known = Entities(ByService(), 100)
    nobody = np.array([NOBODY], np.int32)

    known.hold(nobody)
    known.release(nobody)

    assert known.of(NOBODY) == Entity()
    assert len(known) == 1


def test_what_was_decided_in_vain_leaves_nothing() -> None:
    known = Entities(ByService(), 100)

    known.forget(np.array(decide(known, "shop", "cart"), np.int32))

    assert len(known) == 1


def test_churn_of_services_takes_bounded_memory() -> None:
    known = Entities(ByService(), 100)
    former = np.empty(0, np.int32)
    for day in range(50):
        numbers = np.array(decide(known, *(f"job-{day}-{k}" for k in range(10))), np.int32)
        known.hold(numbers)
        known.release(former)
        former = numbers

    assert len(known) == 11
    assert former.max() <= 21


def test_remembered_combinations_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchkeeper.lake.series_entities._COMBINATIONS", 4)
    enrich = ByService()
    known = Entities(enrich, 100)

    decide(known, *"abcdefghij")
    decide(known, *"abcdefghij")

    assert 10 < enrich.n_asked <= 20


def test_a_services_partition_is_the_same_in_every_process() -> None:
    assert partition(scope(), "shop") == partition(scope(), "shop")
    assert partition(scope(), "shop") == 50, "stored checkpoints rely on it"


def test_partitions_are_spread_and_differ_by_tenant_and_installation() -> None:
    services = [f"service-{k}" for k in range(500)]
    here = [partition(scope(), service) for service in services]

    assert set(here) == set(range(N_PARTITIONS))
    assert max(here.count(number) for number in set(here)) < 25
    assert here != [partition(scope("other"), service) for service in services]
    assert here != [partition(scope(key=bytes(range(16))), service) for service in services]
