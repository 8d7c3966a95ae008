"""The page on PromQL names what the code computes, and nothing else."""

from __future__ import annotations

import re

import pytest

from tests.architecture.source import ROOT
from watchkeeper.lake.promql.aggregate import AGGREGATIONS
from watchkeeper.lake.promql.ask import MOST_POINTS
from watchkeeper.lake.promql.binary import OPERATORS
from watchkeeper.lake.promql.functions import FUNCTIONS
from watchkeeper.lake.promql.over_time import RANGE_FUNCTIONS
from watchkeeper.lake.promql.parse import MOST_CHARACTERS, MOST_DEEP, MOST_OPERATORS

PAGE = (ROOT / "docs" / "reference" / "promql.md").read_text("utf-8")
NO_NAMES = {"by", "without", "bool", "on", "ignoring", "group_left", "group_right"}


def named(title: str) -> set[str]:
    """What one section has between backticks."""
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    return set(re.findall(r"`([^`]+)`", section)) - NO_NAMES


@pytest.mark.parametrize(
    ("title", "known"),
    [
        ("Operators", OPERATORS),
        ("Aggregations", AGGREGATIONS),
        ("Functions of a range", RANGE_FUNCTIONS),
        ("Functions of a moment", FUNCTIONS | {"absent"}),
    ],
)
def test_the_page_names_what_is_computed(title: str, known: frozenset[str]) -> None:
    assert named(title) == known


def test_the_page_names_the_limits_as_they_are() -> None:
    limits = (MOST_POINTS, MOST_DEEP, MOST_OPERATORS, MOST_CHARACTERS)

    assert [limit for limit in limits if f"{limit:,}" not in PAGE.split("## Limits")[1]] == []


def test_every_supported_name_is_put_to_prometheus_as_well() -> None:
    """What has no question in the list could differ, and nobody would know."""
    questions = (ROOT / "bench/promql.txt").read_text("utf-8")
    names = AGGREGATIONS | FUNCTIONS | RANGE_FUNCTIONS
    asked = {name for name in names if re.search(rf"\b{name}\b", questions)}
    signs = {sign for sign in OPERATORS if f" {sign} " in questions}

    assert names - asked == set()
    assert OPERATORS - signs == set()
