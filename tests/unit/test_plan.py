"""What the detection document means for a series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from tests import make
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.detectors.dials import Dial
from watchkeeper.analyze.detectors.seasons import Mode, packed
from watchkeeper.analyze.detectors.zones import number_of
from watchkeeper.analyze.plan import Plan, Route, read
from watchkeeper.errors import ConfigError
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import Entity, Kind

FK, REX = 1, 2
NOBODY = Entity()
LATENCY = make.labels("http_request_duration_seconds:p95", service="checkout")


def document(**content: Any) -> DetectionConfig:
    return msgspec.convert(content, DetectionConfig)


def route(labels: Mapping[str, str] = LATENCY, *, entity: Entity = NOBODY, **content: Any) -> Route:
    return Plan(document(**content)).route(labels, Kind.GAUGE, entity)


def test_of_a_series_of_no_class_nothing_is_asked_but_fk() -> None:
    found = route(make.labels("conveyor_belt_tension"))

    assert found.metric_class is MetricClass.OTHER
    assert found.detectors == FK
    assert found.dial == Dial(0.0, 0.0, 0.0, 0, False)


@pytest.mark.parametrize(
    ("name", "detectors", "ratio", "change", "direction"),
    [
        ("http_request_duration_seconds:p95", FK | REX, 0.2, 0.02, 1),
        ("request_latency_ms", FK | REX, 0.2, 20.0, 1),
        ("latency_p95", FK | REX, 0.2, 0.0, 1),
        ("http_requests_total", FK, 0.2, 0.0, 0),
        ("process_resident_memory_bytes", FK, 0.1, 0.0, 0),
        ("http_errors_total", FK, 0.0, 0.0, 1),
        ("queue_depth", FK | REX, 0.0, 0.0, 1),
        ("orders_total", FK | REX, 0.1, 0.0, 0),
        ("up", FK, 0.0, 0.0, 0),
        ("log_messages_total", FK, 0.0, 0.0, 0),
    ],
)
def test_a_class_says_who_judges_and_what_of_it_is_told(
    name: str, detectors: int, ratio: float, change: float, direction: int
) -> None:
    found = route(make.labels(name))

    assert found.detectors == detectors
    assert found.dial == Dial(0.0, ratio, change, direction, False)


def test_what_the_document_leaves_out_of_a_class_stays_as_it_is_usual() -> None:
    found = route(classes={"latency": {"least_ratio": 0.5}})

    assert found.dial == Dial(0.0, 0.5, 0.02, 1, False)
    assert found.detectors == FK | REX


@pytest.mark.parametrize(
    ("whole", "of_class", "shift"),
    [
        ("normal", "normal", 0.0),
        ("low", "normal", -1.0),
        ("high", "high", 1.0),
        ("low", "high", -0.5),
    ],
)
def test_sensitivities_add_up(whole: str, of_class: str, shift: float) -> None:
    found = route(sensitivity=whole, classes={"latency": {"sensitivity": of_class}})

    assert found.dial.shift == shift


def test_a_rule_says_otherwise_for_the_series_that_it_fits() -> None:
    rule = {"match": {"__name__": "http_*", "service": "check*"}, "detectors": ["fk"],
            "sensitivity": "high", "direction": "both", "least_ratio": 0.0,
            "least_change": 0.001}  # fmt: skip

    fitting = route(rules=[rule])
    other = route(make.labels("http_request_duration_seconds:p95", service="cart"), rules=[rule])

    assert fitting == Route(MetricClass.LATENCY, FK, fitting.dial)
    assert fitting.dial == Dial(0.5, 0.0, 0.001, 0, False)
    assert other == route()


def test_a_rule_may_give_a_series_another_class() -> None:
    rule = {"match": {"__name__": "widgets_made"}, "class": "business"}

    found = route(make.labels("widgets_made"), rules=[rule])

    assert found.metric_class is MetricClass.BUSINESS
    assert found.detectors == FK | REX
    assert found.dial.least_ratio == 0.1


def test_a_rule_may_ask_for_the_class() -> None:
    rules = [{"match": {"class": "latency"}, "muted": True}]

    assert route(rules=rules).dial.muted
    assert not route(make.labels("up"), rules=rules).dial.muted


def test_later_rules_go_before_earlier_ones_in_what_they_say() -> None:
    rules = [
        {"match": {"__name__": "*"}, "direction": "down", "least_ratio": 0.3},
        {"match": {"service": "checkout"}, "direction": "both"},
    ]

    found = route(rules=rules)

    assert (found.dial.direction, found.dial.least_ratio) == (0, 0.3)


def test_whom_a_series_speaks_of_may_be_known_from_elsewhere_than_its_labels() -> None:
    rules = [{"match": {"service": "shop", "node": "n?"}, "muted": True}]
    labels = make.labels("depth", job="x")

    assert route(labels, entity=Entity(service="shop", node="n1"), rules=rules).dial.muted
    assert not route(labels, entity=Entity(service="shop", node="n10"), rules=rules).dial.muted


@pytest.mark.parametrize(
    ("rules", "asks"),
    [([], False), ([{"match": {"service": "x"}}], True), ([{"match": {"__name__": "x"}}], False)],
)
def test_entities_are_looked_up_where_a_rule_asks_for_them(
    rules: list[dict[str, Any]], asks: bool
) -> None:
    assert Plan(document(rules=rules)).asks_entity is asks


def test_who_is_made_for_no_class_judges_all_and_who_is_named_judges_those() -> None:
    detectors = [{"use": "basic"}, {"use": "rex"}, {"use": "fk"}]

    plain = route(make.labels("up"), detectors=detectors)
    named = route(make.labels("up"), detectors=detectors, classes={"state": {"detectors": ["rex"]}})

    assert plain.detectors == 0b10
    assert named.detectors == 0b01


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"detectors": [{"use": "fk"}]}, "begins with 'fk'"),
        ({"detectors": [{"use": "basic"}, {"use": "fk"}, {"use": "fk"}]},
         "detection.detectors[2]: 'fk' is there already"),
        ({"classes": {"latancy": {}}}, "detection.classes.latancy: there is no such class; known"),
        ({"classes": {"queue": {"detectors": ["arima"]}}},
         "detection.classes.queue.detectors: 'arima' is none of the detectors of the grid (fk, "),
        ({"rules": [{"match": {"a": "b"}, "detectors": ["ar"]}]},
         "detection.rules[0].detectors: 'ar' is none"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_told_with_its_place(content: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Plan(document(**content))

    assert fault in str(raised.value)


def test_every_fault_is_told_at_once() -> None:
    wrong = document(classes={"x": {}, "y": {}}, rules=[{"match": {"a": "b"}, "detectors": ["z"]}])

    with pytest.raises(ConfigError) as raised:
        Plan(wrong)

    assert len(str(raised.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b'{"sensitivity": "loud"}', "$.sensitivity"),
        (b'{"classes": {"queue": {"least_ratio": -1}}}', "$.classes[...].least_ratio"),
        (b'{"rules": [{"match": {}}]}', "$.rules[0].match"),
        (b'{"sensitive": "low"}', "sensitive"),
        (b"{", "truncated"),
    ],
)
def test_a_document_that_is_none_is_refused_with_the_path(content: bytes, fault: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(content)

    assert fault in str(raised.value)


def test_a_document_is_read_as_it_is_written() -> None:
    wanted = document(sensitivity="low", rules=[{"match": {"a": "b"}, "class": "queue"}])

    assert read(msgspec.json.encode(wanted)) == wanted


@pytest.mark.parametrize("name", ["http_requests_total", "orders_total", "conveyor_belt_tension"])
def test_the_universal_day_repeats_where_nobody_says_otherwise(name: str) -> None:
    assert route(make.labels(name)).dial.season == packed(Mode.DAILY, 0)


@pytest.mark.parametrize(
    ("word", "mode"), [("none", Mode.NONE), ("daily", Mode.DAILY), ("weekly", Mode.WEEKLY)]
)
def test_a_class_says_what_repeats_in_it(word: str, mode: Mode) -> None:
    found = route(classes={"latency": {"seasonality": word}})

    assert found.dial.season == packed(mode, 0)


def test_a_rule_says_what_repeats_and_by_whose_clocks() -> None:
    berlin = {"match": {"service": "checkout"}, "time_zone": "Europe/Berlin"}
    weekly = {"match": {"class": "latency"}, "seasonality": "weekly"}

    found = route(classes={"latency": {"seasonality": "none"}}, rules=[berlin, weekly])

    assert found.dial.season == packed(Mode.WEEKLY, number_of("Europe/Berlin"))


def test_a_rule_that_says_nothing_of_the_season_leaves_it_as_its_class_has_it() -> None:
    of_class = {"seasonality": "weekly", "time_zone": "Asia/Tokyo"}
    rules = [{"match": {"service": "checkout"}, "direction": "both"}]

    found = route(classes={"latency": of_class}, rules=rules)

    assert found.dial.season == packed(Mode.WEEKLY, number_of("Asia/Tokyo"))


def test_a_rule_may_bring_a_series_back_to_the_universal_day() -> None:
    of_class = {"seasonality": "weekly", "time_zone": "Asia/Tokyo"}
    rules = [{"match": {"service": "checkout"}, "seasonality": "daily", "time_zone": "UTC"}]

    assert route(classes={"latency": of_class}, rules=rules).dial.season == 0


def test_time_zones_that_do_not_exist_are_named_with_their_places() -> None:
    content = {
        "classes": {"traffic": {"time_zone": "Berlin"}},
        "rules": [{"match": {"service": "*"}, "time_zone": "Mars/North"}],
    }

    with pytest.raises(ConfigError) as caught:
        Plan(document(**content))

    assert [str(fault).split("; ")[0] for fault in caught.value.faults] == [
        "detection.classes.traffic: time_zone 'Berlin' is not known",
        "detection.rules[0]: time_zone 'Mars/North' is not known",
    ]
