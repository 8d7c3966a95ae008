"""The names under which senders say whom a series speaks of."""

from __future__ import annotations

from watchkeeper.ingest.normalize import SERVICE_LABELS, first_value, spellings


def test_names_are_looked_up_with_underscores_and_with_dots() -> None:
    assert spellings(["host_name", "node", "host_name"]) == ("host_name", "host.name", "node")


def test_the_first_label_that_says_something_counts() -> None:
    labels = {"job": "kubernetes-pods", "app": "cart", "service": ""}

    assert first_value(labels, SERVICE_LABELS) == "cart"
    assert first_value({}, SERVICE_LABELS) == ""
