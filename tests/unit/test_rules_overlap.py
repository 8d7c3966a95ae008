"""Several rules for one series: which of them speak, and who has the last word in what."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.plan import SHIFTS, Plan, Route
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import Entity, Kind

FK, REX = 1, 2
MEMORY = {"__name__": "process_resident_memory_bytes", "service": "cart", "pod": "cart-7f"}
NOBODY = Entity()
ANY = {"__name__": "*"}


def plan(*rules: Mapping[str, Any], **content: Any) -> Plan:
    return Plan(msgspec.convert({**content, "rules": list(rules)}, DetectionConfig))


def route(*rules: Mapping[str, Any], entity: Entity = NOBODY, **content: Any) -> Route:
    return plan(*rules, **content).route(MEMORY, Kind.GAUGE, entity)


def rule(match: Mapping[str, str] = ANY, **said: Any) -> dict[str, Any]:
    return {"match": dict(match), **said}


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"__name__": "process_resident_memory_bytes"}, True),
        ({"__name__": "process_*"}, True),
        ({"__name__": "*_bytes"}, True),
        ({"__name__": "process"}, False),
        ({"__name__": "PROCESS_*"}, False),
        ({"__name__": ""}, False),
        ({"pod": "cart-??"}, True),
        ({"pod": "cart-?"}, False),
        ({"pod": "cart-[0-9]f"}, True),
        ({"pod": "cart-[!0-9]f"}, False),
        ({"pod": "cart.7f"}, False),
        ({"region": ""}, True),
        ({"region": "*"}, True),
        ({"region": "?*"}, False),
        ({"class": "resource"}, True),
        ({"class": "lat*"}, False),
        ({"service": "cart", "pod": "cart-*"}, True),
        ({"service": "cart", "pod": "other-*"}, False),
        ({"service": "cart\n"}, False),
    ],
)
def test_a_rule_fits_where_every_label_does(match: dict[str, str], fits: bool) -> None:
    assert plan(rule(match)).fitting(MEMORY, Kind.GAUGE, NOBODY) == ([0] if fits else [])


@pytest.mark.parametrize(
    ("entity", "match", "fits"),
    [
        (Entity(service="shop"), {"service": "shop"}, True),
        (Entity(service="shop"), {"service": "cart"}, False),
        (Entity(), {"service": "cart"}, True),
        (Entity(environment="prod"), {"environment": "prod"}, True),
        (Entity(environment="prod"), {"environment": "test"}, False),
        (Entity(node="n1", owner="ops"), {"node": "n?", "owner": "ops"}, True),
        (Entity(node="n1", owner="ops"), {"node": "n?", "owner": "dev"}, False),
        (Entity(service="shop"), {"pod": "cart-*"}, True),
    ],
)
def test_whom_a_series_speaks_of_goes_before_its_labels(
    entity: Entity, match: dict[str, str], fits: bool
) -> None:
    assert plan(rule(match)).fitting(MEMORY, Kind.GAUGE, entity) == ([0] if fits else [])


def test_namesakes_in_two_environments_have_rules_of_their_own() -> None:
    of = plan(rule({"service": "cart", "environment": "test"}, muted=True))

    routes = {
        name: of.route(MEMORY, Kind.GAUGE, Entity(service="cart", environment=name))
        for name in ("prod", "test", "")
    }

    assert {name: one.dial.muted for name, one in routes.items()} == {
        "prod": False, "test": True, "": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "first", "second", "read"),
    [
        ("sensitivity", "low", "high", lambda one: one.dial.shift == SHIFTS["high"]),
        ("direction", "up", "down", lambda one: one.dial.direction == -1),
        ("direction", "down", "both", lambda one: one.dial.direction == 0),
        ("least_ratio", 0.5, 0.0, lambda one: one.dial.least_ratio == 0.0),
        ("least_change", 9.0, 3.0, lambda one: one.dial.least_change == 3.0),
        ("detectors", ["fk"], ["rex"], lambda one: one.detectors == REX),
        ("detectors", ["fk", "rex"], [], lambda one: one.detectors == 0),
        ("class", "queue", "business", lambda one: one.metric_class is MetricClass.BUSINESS),
    ],
)
def test_the_later_rule_has_the_last_word(field: str, first: Any, second: Any, read: Any) -> None:
    assert read(route(rule(**{field: first}), rule(**{field: second})))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_rules_that_speak_of_different_things_may_stand_in_any_order(order: tuple[int]) -> None:
    said = [rule(sensitivity="high"), rule(direction="up"), rule(least_change=7.0)]

    dial = route(*(said[at] for at in order)).dial

    assert (dial.shift, dial.direction, dial.least_change) == (SHIFTS["high"], 1, 7.0)
    assert dial.least_ratio == pytest.approx(0.1)


@pytest.mark.parametrize("muted", [(True, False), (False, True), (True, True)])
def test_one_rule_is_enough_to_mute(muted: tuple[bool, bool]) -> None:
    assert route(*(rule(muted=one) for one in muted)).dial.muted


def test_a_rule_that_fits_nothing_says_nothing() -> None:
    assert route(rule({"service": "shop"}, muted=True, sensitivity="low")) == route()


def test_a_later_rule_may_ask_for_the_class_that_an_earlier_one_gave() -> None:
    given_class = rule({"service": "cart"}, **{"class": "queue"})
    asks = rule({"class": "queue"}, least_change=5.0)

    assert route(given_class, asks).dial.least_change == 5.0
    assert route(asks, given_class).dial.least_change == 0.0


def test_the_class_of_a_rule_brings_what_is_usual_of_that_class() -> None:
    found = route(rule(**{"class": "business"}))

    assert found.detectors == FK | REX
    assert (found.dial.least_ratio, found.dial.direction) == (pytest.approx(0.1), 0)


def test_what_a_rule_says_goes_before_what_its_class_says() -> None:
    found = route(
        rule(**{"class": "latency"}, direction="both"),
        classes={"latency": {"sensitivity": "low", "least_ratio": 0.9}},
    )

    assert (found.dial.direction, found.dial.least_ratio) == (0, 0.9)
    assert found.dial.shift == SHIFTS["low"]


@pytest.mark.parametrize("sensitivity", ["low", "normal", "high"])
def test_the_sensitivity_of_a_rule_is_whole(sensitivity: str) -> None:
    """It adds to nothing, so that a rule means the same under any document."""
    found = route(
        rule(sensitivity=sensitivity),
        sensitivity="high",
        classes={"resource": {"sensitivity": "low"}},
    )

    assert found.dial.shift == SHIFTS[sensitivity]


FIELDS = st.fixed_dictionaries(
    {"match": st.sampled_from([{"service": "cart"}, {"__name__": "*"}, {"service": "x"}])},
    optional={
        "sensitivity": st.sampled_from(["low", "normal", "high"]),
        "direction": st.sampled_from(["up", "down", "both"]),
        "least_ratio": st.sampled_from([0.0, 0.5]),
        "least_change": st.sampled_from([0.0, 3.0]),
        "muted": st.booleans(),
        "class": st.sampled_from(["queue", "latency", "other"]),
        "detectors": st.sampled_from([[], ["fk"], ["rex"], ["rex", "fk"]]),
    },
)


@settings(max_examples=25, deadline=None)
@given(st.lists(FIELDS, max_size=5))
def test_a_rule_twice_is_as_good_as_once(rules: list[dict[str, Any]]) -> None:
    assert route(*[one for one in rules for _ in range(2)]) == route(*rules)


@settings(max_examples=25, deadline=None)
@given(st.lists(FIELDS, max_size=5), st.integers(0, 5))
def test_a_rule_that_fits_nothing_may_stand_anywhere(rules: list[dict[str, Any]], at: int) -> None:
    stranger = rule({"service": "nobody"}, muted=True, sensitivity="low", detectors=[])

    assert route(*rules[:at], stranger, *rules[at:]) == route(*rules)


@settings(max_examples=25, deadline=None)
@given(st.lists(FIELDS, max_size=5))
def test_a_document_means_the_same_after_its_journey(rules: list[dict[str, Any]]) -> None:
    document = msgspec.convert({"rules": rules}, DetectionConfig)
    read = msgspec.json.decode(msgspec.json.encode(document), type=DetectionConfig)

    assert read == document
    found, again = (Plan(one).route(MEMORY, Kind.GAUGE, NOBODY) for one in (document, read))
    assert again == found
