"""Settings are checked against their types, every fault at once, in words that help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from watchkeeper.config import check, document
from watchkeeper.config.node import Faults
from watchkeeper.telemetry import Secret


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    size_bytes: int = 1024
    name: str = "inner"


class Pair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    low: float
    high: float = 10.0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}; swap them")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    port: Annotated[int, Meta(ge=1, le=65535)] = 8100
    wait_s: Annotated[float, Meta(gt=0)] = 1.0
    on: bool = True
    title: str = "x"
    colour: Colour = Colour.RED
    mode: Literal["a", "b"] = "a"
    key: Secret | None = None
    folder: Path = Path("data")
    names: Sequence[str] = ()
    waits_s: tuple[float, ...] = ()
    by_name: Mapping[str, float] = msgspec.field(default_factory=dict)
    inner: Inner = msgspec.field(default_factory=Inner)
    maybe: Inner | None = None
    pairs: list[Pair] = []
    email: str | Sequence[str] = ()


def built(text: str) -> Settings:
    faults: Faults = []
    node = document.parse(text, "a.yaml", {}, faults)
    settings = check.build(Settings, node, ("top",), faults)
    assert faults == []
    assert settings is not None
    return settings


def faults_of(text: str) -> list[str]:
    faults: Faults = []
    node = document.parse(text, "a.yaml", {}, faults)
    assert check.build(Settings, node, ("top",), faults) is None
    return [str(fault) for fault in faults]


def test_nothing_given_is_the_defaults() -> None:
    assert built("") == Settings()
    assert built("port:\ninner:\ntitle: ~\n") == Settings()


def test_values_of_every_type_are_read() -> None:
    settings = built(
        """
        port: 9000
        wait_s: 5m
        on: off
        title: hello
        colour: green
        mode: b
        key: hidden
        folder: /var/lib/x
        names: [a, b]
        waits_s: [30s, 2]
        by_name: {x: 1, y: 2.5}
        inner: {size_bytes: 64MiB}
        maybe: {name: m}
        pairs: [{low: 1}, {low: 2, high: 3}]
        email: [a@b, c@d]
        """
    )

    assert settings == Settings(
        port=9000,
        wait_s=300.0,
        on=False,
        title="hello",
        colour=Colour.GREEN,
        mode="b",
        key=Secret("hidden"),
        folder=Path("/var/lib/x"),
        names=("a", "b"),
        waits_s=(30.0, 2.0),
        by_name={"x": 1.0, "y": 2.5},
        inner=Inner(size_bytes=64 * 2**20),
        maybe=Inner(name="m"),
        pairs=[Pair(low=1.0), Pair(low=2.0, high=3.0)],
        email=("a@b", "c@d"),
    )


def test_a_secret_is_read_and_never_shown() -> None:
    settings = built("key: hidden")

    assert settings.key is not None
    assert settings.key.reveal() == "hidden"
    assert "hidden" not in repr(settings)
    assert "hidden" not in "".join(faults_of("key: [hidden]"))


def test_a_text_that_yaml_takes_for_something_else_stays_a_text() -> None:
    assert built("title: 1.10").title == "1.10"
    assert built("title: on").title == "on"
    assert built("title: 2026-01-05").title == "2026-01-05"


def test_a_number_written_as_text_is_a_number() -> None:
    assert built("port: '9000'").port == 9000
    assert built("wait_s: '1.5'").wait_s == 1.5


def test_an_unknown_key_is_answered_with_the_nearest_or_all() -> None:
    assert faults_of("prot: 1\nzzz: 2\ninner:\n  sizebytes: 3\n") == [
        "top.prot: unknown key; did you mean 'port'? (a.yaml:1)",
        "top.zzz: unknown key; known here: by_name, colour, email, folder, inner, key, maybe, "
        "mode, names, on, pairs, port, title, wait_s, waits_s (a.yaml:2)",
        "top.inner.sizebytes: unknown key; did you mean 'size_bytes'? (a.yaml:4)",
    ]


def test_every_fault_is_told_at_once_with_its_path_line_and_remedy() -> None:
    assert faults_of(
        """port: 70000
wait_s: 30x
on: maybe
colour: blue
mode: c
names: [a, [b]]
waits_s: [1s, soon]
by_name: {x: one}
inner: 3
pairs:
- high: 2
- {low: 5, high: 4}
"""
    ) == [
        "top.port: '70000' is not a whole number >= 1 and <= 65535 (a.yaml:1)",
        "top.wait_s: '30x' is not a duration such as 500ms, 30s, 5m, 48h or 7d, > 0 (a.yaml:2)",
        "top.on: 'maybe' is not true or false (a.yaml:3)",
        "top.colour: 'blue' is not one of: red, green (a.yaml:4)",
        "top.mode: 'c' is not one of: a, b (a.yaml:5)",
        "top.names[1]: a list is not text (a.yaml:6)",
        "top.waits_s[1]: 'soon' is not a duration such as 500ms, 30s, 5m, 48h or 7d (a.yaml:7)",
        "top.by_name.x: 'one' is not a number (a.yaml:8)",
        "top.inner: is no mapping; write `key: value` lines (a.yaml:9)",
        "top.pairs[0].low: is missing; give a number (a.yaml:11)",
        "top.pairs[1]: low 5.0 is above high 4.0; swap them (a.yaml:12)",
    ]


def test_a_boolean_is_no_number() -> None:
    assert faults_of("port: true\n") == [
        "top.port: 'true' is not a whole number >= 1 and <= 65535 (a.yaml:1)"
    ]


def test_a_long_value_is_cut_in_the_message() -> None:
    (fault,) = faults_of(f"port: {'x' * 500}")

    assert len(fault) < 200


def test_a_list_where_a_mapping_belongs_is_named() -> None:
    assert faults_of("by_name: [1]\nport: {a: 1}\n") == [
        "top.by_name: a list is not a mapping, each value a number (a.yaml:1)",
        "top.port: a mapping is not a whole number >= 1 and <= 65535 (a.yaml:2)",
    ]


def test_types_are_told_in_words() -> None:
    told: dict[Any, str] = {
        float: "a number",
        str | Sequence[str]: "text or a list, each text",
        Annotated[str, Meta(min_length=1, pattern="^a")]: "text of length >= 1 and like ^a",
        Mapping[str, int]: "a mapping, each value a whole number",
        Path: "a path",
        Inner: "a mapping",
        Secret | None: "a secret text",
    }

    assert {kind: check.words("", kind) for kind in told} == told
    assert check.words("keep_s", float) == "a duration such as 500ms, 30s, 5m, 48h or 7d"


class Few(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    steps: Annotated[tuple[int, ...], Meta(min_length=1, max_length=2)] = (1,)
    by_name: Annotated[Mapping[str, int], Meta(max_length=1)] = msgspec.field(default_factory=dict)
    word: Annotated[str, Meta(max_length=3)] = ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps: []", "steps: holds 0; it must be of length >= 1 and of length <= 2"),
        ("steps: [1, 2, 3]", "steps: holds 3; it must be of length >= 1 and of length <= 2"),
        ("by_name: {a: 1, b: 2}", "by_name: holds 2; it must be of length <= 1"),
        ("word: long", "word: 'long' is not text of length <= 3"),
    ],
)
def test_what_holds_too_few_or_too_many_is_refused_with_how_many_it_may(
    text: str, says: str
) -> None:
    faults: Faults = []
    node = document.parse(text, "a.yaml", {}, faults)

    assert check.build(Few, node, (), faults) is None
    assert [says in str(one) for one in faults] == [True]


@pytest.mark.parametrize(
    "text", ["steps: [1]", "steps: [1, 2]", "by_name: {}", "by_name: {a: 1}", "word: abc"]
)
def test_what_holds_as_many_as_it_may_is_taken(text: str) -> None:
    faults: Faults = []

    assert check.build(Few, document.parse(text, "a.yaml", {}, faults), (), faults) is not None
    assert faults == []
