"""Laws of the configuration: what wins, what comes through, and that nothing breaks it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from watchkeeper.config import document, reference, units
from watchkeeper.config.loading import load
from watchkeeper.config.node import Faults, Node, merge, planted
from watchkeeper.config.sections import Config
from watchkeeper.errors import ConfigError

KEYS = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(KEYS, min_size=1, max_size=4).map(tuple)
LEAVES = st.integers(0, 9) | st.lists(st.integers(0, 3), max_size=2) | st.none()
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)
MAPPINGS = st.dictionaries(KEYS, TREES, max_size=3)

WORDS = st.text(st.characters(categories=["L", "N", "P", "Sm", "Zs"]), max_size=20)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS
DOCUMENTS = st.dictionaries(
    WORDS.filter(bool),
    st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3)
                 | st.dictionaries(WORDS.filter(bool), inner, max_size=3), max_leaves=10),
    max_size=4,
)  # fmt: skip

SETTINGS = [key.path for key in reference.describe() if "[" not in key.path]
"""Every setting that there is, by its path."""


def node(plain: Any, origin: str) -> Node:
    if isinstance(plain, dict):
        return Node({key: node(child, origin) for key, child in plain.items()}, origin)
    if isinstance(plain, list):
        return Node([node(child, origin) for child in plain], origin)
    return Node(plain, origin)


def parsed(text: str, environment: Mapping[str, str] | None = None) -> Any:
    faults: Faults = []
    read = document.parse(text, "a.yaml", environment or {}, faults)
    assert faults == []
    return read.plain()


def as_variable(path: str) -> str:
    return "WATCHKEEPER_" + path.upper().replace(".", "__")


def outcome(file: Path | None, environment: Mapping[str, str]) -> Config | list[str]:
    """A configuration or the faults; whatever else comes out is a fault of ours."""
    try:
        return load(file, environment=environment).config
    except ConfigError as error:
        return error.faults


# Joining what several sources say


@given(MAPPINGS)
def test_nothing_joined_to_a_tree_changes_it(tree: dict[str, Any]) -> None:
    given_tree, nothing = node(tree, "file"), Node({}, "")

    assert merge(given_tree, nothing).plain() == tree
    assert merge(nothing, given_tree).plain() == tree


@given(MAPPINGS)
def test_a_tree_joined_to_itself_is_itself(tree: dict[str, Any]) -> None:
    assert merge(node(tree, "file"), node(tree, "environment")).plain() == tree


@given(MAPPINGS, MAPPINGS)
def test_what_the_upper_says_is_so_and_knows_that_it_said_it(
    low: dict[str, Any], high: dict[str, Any]
) -> None:
    upper = node(high, "upper")

    joined = merge(node(low, "lower"), upper)

    for path, leaf in upper.leaves():
        assert joined.at(path) == leaf


@given(MAPPINGS, MAPPINGS)
def test_what_the_upper_leaves_open_is_the_lowers(
    low: dict[str, Any], high: dict[str, Any]
) -> None:
    lower, upper = node(low, "lower"), node(high, "upper")

    joined = merge(lower, upper)

    for path, leaf in lower.leaves():
        ways = [upper.at(path[:n]) for n in range(1, len(path) + 1)]
        if not any(way is not None and not way.is_mapping for way in ways) and ways[-1] is None:
            assert joined.at(path) == leaf


@given(MAPPINGS, MAPPINGS)
def test_joining_changes_neither_source(low: dict[str, Any], high: dict[str, Any]) -> None:
    lower, upper = node(low, "lower"), node(high, "upper")

    merge(lower, upper)

    assert (lower, upper) == (node(low, "lower"), node(high, "upper"))


@given(PATHS, LEAVES)
def test_a_planted_leaf_is_all_that_there_is(path: tuple[str, ...], leaf: Any) -> None:
    tree = planted(path, Node(leaf, "flag"))

    assert list(tree.leaves()) == [(path, Node(leaf, "flag"))]
    assert tree.at((*path, "deeper")) is None


@given(MAPPINGS)
def test_planting_all_leaves_anew_gives_the_tree_again(tree: dict[str, Any]) -> None:
    whole = Node({}, "")
    for path, leaf in node(tree, "file").leaves():
        whole = merge(whole, planted(path, leaf))

    assert list(whole.leaves()) == list(node(tree, "file").leaves())


# Documents


@given(DOCUMENTS)
@example({"on": True, "1.10": "1.10", "~": None})
def test_a_document_is_read_as_yaml_means_it(tree: dict[str, Any]) -> None:
    text = yaml.safe_dump(tree, allow_unicode=True)

    assert parsed(text) == tree


@given(st.text(st.characters(codec="utf-8"), max_size=40))
@example("a: [b")
@example("${NONE}")
@example("*id: 3")
def test_whatever_a_variable_holds_comes_through_as_one_text(value: str) -> None:
    """It is filled in after the document was read: no value can add keys or become a number."""
    assert parsed("key: ${GIVEN}\nother: 1", {"GIVEN": value}) == {"key": value, "other": 1}


@given(st.text(st.characters(codec="utf-8", exclude_characters="$}'\n\r\x85\u2028\u2029\0"),
               min_size=1, max_size=20))  # fmt: skip
def test_a_default_is_taken_as_it_is_written(text: str) -> None:
    quoted = yaml.safe_dump("${NONE:-" + text + "}", allow_unicode=True, width=1000)

    assert parsed(f"key: {quoted}") == {"key": text}


# Values


@settings(max_examples=25)
@given(st.floats(0.001, 1e9).map(lambda seconds: round(seconds, 3)))
def test_a_duration_is_shown_so_that_it_loads_to_itself(seconds: float) -> None:
    shown = str(units.show(seconds, "s"))

    found = load(environment={"WATCHKEEPER_RUNTIME__LEASE_S": shown}).config

    assert found.runtime.lease_s == seconds


@settings(max_examples=25)
@given(st.integers(1, 2**50))
def test_a_size_is_shown_so_that_it_loads_to_itself(size: int) -> None:
    shown = str(units.show(size, "bytes"))

    found = load(environment={"WATCHKEEPER_SERVER__BODY_BYTES": shown}).config

    assert found.server.body_bytes == size


@given(
    st.dictionaries(
        st.sampled_from(SETTINGS),
        st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=12)
        | st.sampled_from(["", "0", "-1", "1e999", "inf", "nan", "true", "[", "[1, 2]", "{a: 1}"])
        | st.integers(1, 500).map(lambda n: "9" * n + "s"),
        max_size=3,
    )
)
@example({"server.body_bytes": "9" * 400 + "B"})
@example({"runtime.lease_s": "9" * 400 + "s"})
@example({"detection.detectors": "[{use: fk, basic: {}}]"})
def test_no_value_of_any_setting_ends_in_anything_but_a_fault(given_by: dict[str, str]) -> None:
    environment = {as_variable(path): text for path, text in given_by.items()}

    found = outcome(None, environment)

    if isinstance(found, list):
        assert found
        assert all(fault.strip() for fault in found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("runtime.lease_s", ".inf"),
        ("runtime.lease_s", "-.inf"),
        ("runtime.lease_s", ".nan"),
        ("runtime.lease_s", "1e999"),
        ("runtime.lease_s", "9" * 400 + "s"),
        ("server.body_bytes", "9" * 400 + "B"),
        ("server.body_bytes", "100000000TiB"),
        ("store.record_limit", str(2**63)),
        ("store.record_limit", str(10**30)),
    ],
    ids=lambda text: text[:12],
)
@pytest.mark.parametrize("source", ["file", "environment"])
def test_a_number_that_nothing_could_hold_is_a_fault(
    tmp_path: Path, name: str, value: str, source: str
) -> None:
    """It would pass the check and end the process in the middle of its start."""
    section, key = name.split(".")
    file = tmp_path / "given.yaml"
    file.write_text(f"{section}: {{{key}: {value}}}" if source == "file" else "{}")
    environment = {as_variable(name): value} if source == "environment" else {}

    found = outcome(file, environment)

    assert isinstance(found, list)
    (fault,) = found
    assert fault.startswith(f"{name}: '")


def test_the_greatest_number_that_a_table_holds_is_none_too_great() -> None:
    found = load(environment={"WATCHKEEPER_STORE__RECORD_LIMIT": str(2**63 - 1)}).config

    assert getattr(found.store.settings, "record_limit") == 2**63 - 1  # noqa: B009 - of a plugin


# The whole

NUMBERS = {
    "server.port": st.integers(0, 65535),
    "store.record_limit": st.integers(1, 10**9),
    "runtime.checkpoint_records": st.integers(1, 10**9),
    "runtime.dead_limit": st.integers(1, 10**6),
    "bus.event_limit": st.integers(1, 10**6),
}
CHOICES = st.fixed_dictionaries({}, optional=NUMBERS)


@settings(max_examples=12)
@given(CHOICES, CHOICES, CHOICES)
def test_flags_win_over_the_environment_and_that_over_the_file(
    in_file: dict[str, int], in_environment: dict[str, int], by_flag: dict[str, int]
) -> None:
    tree: dict[str, Any] = {}
    for path, number in in_file.items():
        section, key = path.split(".")
        tree.setdefault(section, {})[key] = number
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "given.yaml"
        file.write_text(yaml.safe_dump(tree))
        found = load(
            file,
            environment={as_variable(path): str(n) for path, n in in_environment.items()},
            flags={path: (str(n), "--set") for path, n in by_flag.items()},
        )

    told = {value.path: value for value in reference.values(found)}
    for path, number in {**in_file, **in_environment, **by_flag}.items():
        assert told[path].value == number
        source = "flag" if path in by_flag else "environ" if path in in_environment else folder
        assert told[path].origin.startswith(source)
    untold = set(NUMBERS) - {*in_file, *in_environment, *by_flag}
    assert {told[path].origin for path in untold} <= {"default"}


@settings(max_examples=12)
@given(CHOICES)
def test_what_is_shown_as_a_file_loads_to_the_same(chosen: dict[str, int]) -> None:
    environment = {as_variable(path): str(number) for path, number in chosen.items()}
    first = load(environment=environment)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "shown.yaml"
        file.write_text(reference.to_yaml(first))
        second = load(file, environment={})

    assert reference.tree(second) == reference.tree(first)
    assert msgspec.structs.asdict(second.config.runtime) == msgspec.structs.asdict(
        first.config.runtime
    )


def test_loading_reads_the_environment_and_writes_nothing_to_it() -> None:
    before = dict(os.environ)

    load(environment={"WATCHKEEPER_SERVER__PORT": "1"})

    assert dict(os.environ) == before
