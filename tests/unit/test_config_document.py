"""A document keeps its lines, takes variables from the environment, and names its faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from watchkeeper.config import document
from watchkeeper.config.node import Faults, Node, dotted, merge, planted


def parsed(text: str, **environment: str) -> tuple[Any, list[str]]:
    faults: Faults = []
    node = document.parse(text, "a.yaml", environment, faults)
    return node.plain(), [str(fault) for fault in faults]


def test_every_value_knows_its_line() -> None:
    node = document.parse("lake:\n  use: disk\n\n  keep:\n    - 1\n    - 2\n", "a.yaml", {}, [])

    assert {dotted(path): leaf.origin for path, leaf in node.leaves()} == {
        "lake.use": "a.yaml:2",
        "lake.keep": "a.yaml:5",
    }


def test_an_empty_document_is_no_settings_and_no_fault() -> None:
    assert parsed("") == ({}, [])
    assert parsed("# only a comment\n") == ({}, [])


def test_a_variable_is_filled_in() -> None:
    assert parsed("key: ${KEY}\nurl: http://${HOST}:${PORT}/", KEY="k", HOST="h", PORT="1") == (
        {"key": "k", "url": "http://h:1/"},
        [],
    )


@pytest.mark.parametrize("environment", [{}, {"HOST": ""}])
def test_a_default_stands_in_for_an_unset_or_empty_variable(environment: dict[str, str]) -> None:
    assert parsed("host: ${HOST:-localhost}", **environment) == ({"host": "localhost"}, [])


def test_a_default_may_be_empty_and_a_variable_may_be_empty() -> None:
    assert parsed("a: ${A:-}\nb: ${B}", B="") == ({"a": "", "b": ""}, [])


def test_a_doubled_dollar_is_a_plain_one() -> None:
    assert parsed("a: $${HOME}\nb: $5") == ({"a": "${HOME}", "b": "$5"}, [])


def test_missing_variables_are_all_named_with_position_and_remedy() -> None:
    _, faults = parsed("x: 1\na:\n  b: ${ONE}\n  c: [2, '${TWO}']\n")

    assert faults == [
        "a.b: the environment variable ONE is not set; set it, or write ${ONE:-a default} "
        "(a.yaml:3)",
        "a.c[1]: the environment variable TWO is not set; set it, or write ${TWO:-a default} "
        "(a.yaml:4)",
    ]


def test_what_a_variable_holds_is_never_yaml() -> None:
    assert parsed("a: ${A}", A="{b: 1}\nc: 2") == ({"a": "{b: 1}\nc: 2"}, [])


def test_a_repeated_key_is_a_fault() -> None:
    _, faults = parsed("a:\n  b: 1\n  c: 2\n  b: 3\n")

    assert faults == ["a.b: is given twice, first in line 2; delete one (a.yaml:4)"]


def test_anchors_and_merges_work_and_what_is_said_here_wins() -> None:
    text = "base: &base {x: 1, y: 2}\nother:\n  <<: *base\n  y: 3\n"

    assert parsed(text) == ({"base": {"x": 1, "y": 2}, "other": {"x": 1, "y": 3}}, [])


def test_an_anchor_inside_itself_is_a_fault_and_not_a_crash() -> None:
    _, faults = parsed("a: &a\n  b: *a\n")

    assert len(faults) == 1
    assert "an anchor may contain itself" in faults[0]


@pytest.mark.parametrize("text", ["a: [1, 2", "a: 'x", "a:\n\t- b", "a: b: c", "--- a\n--- b", "%"])
def test_what_is_no_yaml_is_one_fault_with_its_line(text: str) -> None:
    _, faults = parsed(text)

    assert len(faults) == 1
    assert faults[0].startswith("is no YAML: ")
    assert "(a.yaml:" in faults[0]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    faults: Faults = []

    document.read(tmp_path / "no.yaml", {}, faults)

    assert [str(fault) for fault in faults] == [
        f"{tmp_path}/no.yaml: cannot be read: No such file or directory; name another --config"
    ]


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"a: \xff\xfe")
    faults: Faults = []

    document.read(tmp_path / "x.yaml", {}, faults)

    assert "is not UTF-8 (byte 3); save it as UTF-8" in str(faults[0])


def leaf(value: Any, origin: str = "here") -> Node:
    return Node(value, origin)


def test_merging_joins_mappings_and_replaces_everything_else() -> None:
    lower = Node({"a": Node({"x": leaf(1), "y": leaf("l")}, "l"), "b": leaf(1)}, "l")
    upper = Node(
        {"a": Node({"y": Node([leaf(3)], "u"), "z": leaf(4)}, "u"), "b": Node({}, "u")}, "u"
    )

    assert merge(lower, upper).plain() == {"a": {"x": 1, "y": [3], "z": 4}, "b": {}}
    assert lower.plain() == {"a": {"x": 1, "y": "l"}, "b": 1}


def test_a_planted_leaf_is_found_where_it_was_planted() -> None:
    tree = planted(("a", "b"), leaf(7))

    found = tree.at(("a", "b"))
    assert found is not None
    assert found.value == 7
    assert tree.at(("a", "c")) is None
    assert tree.at(("a", "b", "c")) is None
