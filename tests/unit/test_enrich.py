"""Whom a series speaks of: by its labels, then by rules."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from watchkeeper.errors import ConfigError
from watchkeeper.ingest.enrich import Enrich, EnrichConfig
from watchkeeper.model.series import Entity


def enrich(*rules: dict[str, Any], **settings: Any) -> Enrich:
    return Enrich(msgspec.convert({"rules": rules, **settings}, EnrichConfig))


@pytest.mark.parametrize(
    ("labels", "entity"),
    [
        ({}, Entity()),
        ({"service": "shop", "job": "pods"}, Entity(service="shop")),
        ({"job": "node-exporter", "instance": "n1:9100"}, Entity("node-exporter", node="n1:9100")),
        ({"app_kubernetes_io_name": "cart", "app": "x"}, Entity(service="cart")),
        ({"service.name": "cart", "host.name": "n1"}, Entity(service="cart", node="n1")),
        ({"env": "live", "cluster": "eu"}, Entity(environment="live")),
        ({"cluster": "eu", "team": "a"}, Entity(environment="eu", owner="a")),
    ],
)
def test_labels_say_whom_a_series_speaks_of(labels: dict[str, str], entity: Entity) -> None:
    assert Enrich()(labels) == entity


def test_which_labels_say_it_can_be_configured() -> None:
    known = enrich(service_labels=["component"])

    assert known({"component": "cart", "service": "shop"}) == Entity(service="cart")


def test_a_rule_says_something_of_series_that_fit_in_all_it_asks() -> None:
    known = enrich({"match": {"namespace": "pay", "zone": "/eu-.*/"}, "set": {"owner": "payments"}})

    assert known({"namespace": "pay", "zone": "eu-1"}).owner == "payments"
    assert known({"namespace": "pay", "zone": "us-1"}).owner == ""
    assert known({"namespace": "pays", "zone": "eu-1"}).owner == ""
    assert known({"zone": "eu-1"}).owner == ""


def test_a_regular_expression_must_fit_the_whole_value() -> None:
    known = enrich({"match": {"service": "/pay/"}, "set": {"owner": "payments"}})

    assert known({"service": "pay"}).owner == "payments"
    assert known({"service": "payment"}).owner == ""


def test_a_value_without_slashes_is_taken_as_it_is() -> None:
    known = enrich({"match": {"service": "a.b"}, "set": {"owner": "x"}})

    assert known({"service": "a.b"}).owner == "x"
    assert known({"service": "aab"}).owner == ""


def test_later_rules_build_on_earlier_ones() -> None:
    known = enrich(
        {"match": {"job": "legacy-7"}, "set": {"service": "billing"}},
        {"match": {"service": "billing"}, "set": {"owner": "finance", "environment": "live"}},
        {"match": {"service": "billing", "zone": "test"}, "set": {"environment": "test"}},
    )

    assert known({"job": "legacy-7"}) == Entity("billing", "live", "", "finance")
    assert known({"job": "legacy-7", "zone": "test"}).environment == "test"


def test_an_empty_value_fits_a_label_that_is_absent_and_can_be_said() -> None:
    known = enrich({"match": {"team": ""}, "set": {"owner": "nobody", "service": ""}})

    assert known({"service": "shop"}) == Entity(owner="nobody")


def test_nothing_but_relevant_labels_is_looked_at() -> None:
    known = enrich({"match": {"zone": "/eu.*/", "owner": "x"}, "set": {"owner": "y"}})

    assert {"service", "service.name", "zone", "owner", "instance"} <= set(known.relevant_labels)
    assert "pod" not in known.relevant_labels
    assert len(set(known.relevant_labels)) == len(known.relevant_labels)


def test_all_faults_of_the_rules_are_told_at_once() -> None:
    rules = [{"match": {"a": "/(/", "b": "/[/"}, "set": {}}, {"match": {"c": "/*/"}, "set": {}}]

    with pytest.raises(ConfigError) as refusal:
        enrich(*rules)

    assert len(refusal.value.faults) == 3
    assert "enrich.rules[1].match.c" in refusal.value.faults[2]


@pytest.mark.parametrize(
    "rule", [{"match": {}, "set": {}}, {"match": {"a": "b"}, "set": {"color": "red"}}]
)
def test_a_rule_that_cannot_be_meant_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        enrich(rule)
