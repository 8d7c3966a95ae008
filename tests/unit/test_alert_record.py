"""What an alert is whoever sent it: fingerprints as Alertmanager makes them, how grave it is."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests import make
from watchkeeper.model.alert import Urgency, fingerprint, urgency_of


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({}, "cbf29ce484222325"),
        ({"name": "garland, briggs", "fear": "love is not enough"}, "507a62d79ee76c9a"),
        ({"severity": "warning", "job": "foo"}, "9266ef3da838ad95"),
    ],
)
def test_a_fingerprint_is_the_one_that_alertmanager_makes(
    labels: Mapping[str, str], told: str
) -> None:
    assert fingerprint(labels) == told


def test_the_order_of_labels_is_no_part_of_a_fingerprint() -> None:
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"})
    assert fingerprint({"a": "12"}) != fingerprint({"a1": "2"})


def test_an_alert_knows_the_fingerprint_of_its_labels() -> None:
    one = make.alert(labels={"severity": "page", "naïve": "ключ \udcff"})

    assert one.fingerprint == fingerprint(one.labels)
    assert len(one.fingerprint) == 16


@pytest.mark.parametrize(
    ("word", "urgency"),
    [
        ("critical", Urgency.CRITICAL),
        (" P1 ", Urgency.CRITICAL),
        ("Error", Urgency.ERROR),
        ("warn", Urgency.WARNING),
        ("informational", Urgency.INFO),
        ("", Urgency.WARNING),
        ("whatever", Urgency.WARNING),
    ],
)
def test_a_word_for_severity_is_understood_and_a_strange_one_is_a_warning(
    word: str, urgency: Urgency
) -> None:
    assert urgency_of(word) is urgency


def test_urgencies_can_be_compared() -> None:
    assert Urgency.INFO < Urgency.WARNING < Urgency.ERROR < Urgency.CRITICAL
