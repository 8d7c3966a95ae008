"""Sections about plugins, proofs of what belongs together, and the reference of all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NewType

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Meta

from watchkeeper import plugins
from watchkeeper.config import check, document, reference
from watchkeeper.config import schema as schemas
from watchkeeper.config.loading import Loaded, load
from watchkeeper.config.node import Faults
from watchkeeper.config.sections import SECTIONS, Chosen
from watchkeeper.config.texts import text_of
from watchkeeper.errors import ConfigError
from watchkeeper.telemetry import Secret


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str) -> Loaded:
    Path("given.yaml").write_text(text, encoding="utf-8")
    return load(Path("given.yaml"), environment={})


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    return caught.value.faults


def test_every_receiver_has_settings_of_its_own() -> None:
    receivers = loaded("receivers: {remote_write: {samples: 7}}").config.receivers

    assert set(receivers) == set(plugins.BUILTIN["receiver"])
    assert isinstance(receivers["remote_write"], Chosen)
    assert receivers["remote_write"].settings.samples == 7  # type: ignore[attr-defined]
    assert receivers["otlp_metrics"].settings != receivers["remote_write"].settings
    assert all(chosen.build() for chosen in receivers.values())


def test_a_receiver_that_is_none_is_answered_with_the_nearest() -> None:
    assert faults("receivers: {remote_wrte: {samples: 7}}") == [
        "receivers.remote_wrte: unknown key; did you mean 'remote_write'? (given.yaml:1)"
    ]
    assert faults("receivers: [remote_write]") == [
        "receivers: is no mapping; write its plugins (given.yaml:1)"
    ]


def test_detectors_are_checked_as_what_they_use_and_stay_specifications() -> None:
    found = loaded(
        "detection:\n  detectors: [{use: basic}, {use: fk, rearm_s: 2h}]"
    ).config.detection

    assert found.detectors == [{"use": "basic"}, {"use": "fk", "rearm_s": 7200.0}]
    assert loaded("detection: {detectors: []}").config.detection.detectors == []


DETECTORS = ", ".join(sorted(plugins.BUILTIN["detector"]))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[fk]",
         f"detection.detectors[0]: is no mapping; write `use: <name>`, known: {DETECTORS}"),
        ("[{rearm_s: 1h}]", f"detection.detectors[0].use: is missing; known: {DETECTORS}"),
        ("[{use: fkk}]",
         f"detection.detectors[0].use: no plugin called 'fkk'; known: {DETECTORS}"),
        ("[{use: fk, rearm: 1h}]",
         "detection.detectors[0].rearm: unknown key; did you mean 'rearm_s'?"),
        ("[{use: fk, rearm_s: soon}]",
         "detection.detectors[0].rearm_s: 'soon' is not a duration such as 500ms, 30s, 5m, 48h "
         "or 7d"),
    ],
)  # fmt: skip
def test_a_wrong_detector_is_named_with_its_place(text: str, fault: str) -> None:
    assert faults(f"detection:\n  detectors: {text}") == [f"{fault} (given.yaml:2)"]


def test_settings_that_do_not_make_sense_together_are_found_before_the_start() -> None:
    (fault,) = faults("enrich: {rules: [{match: {job: '/(/'}, set: {service: a}}]}")

    assert "no regular expression" in fault


def test_a_plugin_that_cannot_be_imported_is_named_with_its_package() -> None:
    with pytest.raises(ConfigError, match="known: disk"):
        SECTIONS["lake"].type("no_such")


def test_the_bus_can_be_chosen_by_the_environment_alone() -> None:
    found = load(environment={"WATCHKEEPER_BUS__USE": "redis"}).config.bus

    assert found.use == "redis"


def test_detectors_can_be_given_by_the_environment() -> None:
    given = {"WATCHKEEPER_DETECTION__DETECTORS": "[{use: basic}, {use: fk, budget_per_week: 1}]"}

    assert load(environment=given).config.detection.detectors == [
        {"use": "basic"},
        {"use": "fk", "budget_per_week": 1.0},
    ]


# Texts.


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """Has settings that others inherit."""

    inherited: int = 1
    """From the
    base."""


class Written(Base, frozen=True, kw_only=True):
    """Says what its settings mean in both ways."""

    annotated: Annotated[int, Meta(description="Annotated.")] = 1
    """Not this."""
    below: int = 2
    """Written below."""
    silent: int = 3
    quiet: int = 4
    # A comment is no text.


def test_a_text_is_annotated_or_written_below_and_inherited() -> None:
    told = {field.name: text_of(Written, field) for field in msgspec.structs.fields(Written)}

    assert told == {
        "inherited": "From the base.",
        "annotated": "Annotated.",
        "below": "Written below.",
        "silent": "",
        "quiet": "",
    }


def test_a_type_without_source_has_no_texts_and_no_fault() -> None:
    made = msgspec.defstruct("Made", [("x", int, 1)])

    assert text_of(made, msgspec.structs.fields(made)[0]) == ""


# The reference.


class Colour(StrEnum):
    RED = "red"


Port = NewType("Port", int)


class Every(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A setting of every type there is."""

    needed: str
    colour: Colour = Colour.RED
    port: Port = Port(1)
    secret: Secret | None = None
    folder: Path = Path("x")
    keep_s: float = 60.0
    room_bytes: int = 1 << 20
    names: Sequence[str] = ("a",)
    weights: dict[str, float] = msgspec.field(default_factory=lambda: {"a": 1.0})
    anything: Any = None
    inner: Written = msgspec.field(default_factory=Written)


def test_the_reference_tells_types_and_defaults_in_words() -> None:
    told = {key.path: (key.type, key.default) for key in reference.keys_of(Every)}

    assert told == {
        "needed": ("text", "(required)"),
        "colour": ("one of: red", "red"),
        "port": ("a whole number", "1"),
        "secret": ("a secret text", "null"),
        "folder": ("a path", "x"),
        "keep_s": ("a duration such as 500ms, 30s, 5m, 48h or 7d", "1m"),
        "room_bytes": ("a size such as 512B, 64MiB or 1GB", "1MiB"),
        "names": ("a list, each text", '["a"]'),
        "weights": ("a mapping, each value a number", '{"a":1.0}'),
        "anything": ("any value", "null"),
        "inner.inherited": ("a whole number", "1"),
        "inner.annotated": ("a whole number", "1"),
        "inner.below": ("a whole number", "2"),
        "inner.silent": ("a whole number", "3"),
        "inner.quiet": ("a whole number", "4"),
    }


def test_the_schema_tells_every_type() -> None:
    said = schemas.of_struct(Every)

    assert said["required"] == ["needed"]
    told = {
        name: {key: part for key, part in one.items() if key not in ("default", "description")}
        for name, one in said["properties"].items()
    }
    assert told["needed"] == {"type": "string"}
    assert told["colour"] == {"enum": ["red"]}
    assert told["port"] == {"type": "integer"}
    assert told["secret"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert told["names"] == {"type": "array", "items": {"type": "string"}}
    assert told["weights"] == {"type": "object", "additionalProperties": {"type": "number"}}
    assert told["anything"] == {}
    assert told["room_bytes"]["anyOf"][1]["type"] == "string"
    assert told["inner"]["properties"]["below"]["description"] == "Written below."
    json.dumps(said)


# Whatever it is given.

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*SECTIONS, "data_dir", "x"]), _TREES, max_size=4))
def test_no_document_breaks_the_check(tree: dict[str, Any]) -> None:
    found: Faults = []
    node = document.parse(json.dumps(tree), "a.yaml", {}, found)

    if not found:
        for name, section in SECTIONS.items():
            child = node.at((name,))
            if child is not None and not section.kind:
                check.build(section.type(), child, (name,), found)
    assert all(str(fault) for fault in found)


@given(st.text(max_size=60) | st.text("abc01_:-{}[]&*!|>'\"#%@`,? \n\t.$", max_size=60))
@example("a: 2026-99-99")
@example("[" * 1000)
@example("\x1f")
def test_no_text_breaks_the_reader(text: str) -> None:
    found: Faults = []

    node = document.parse(text, "a.yaml", {}, found)

    assert node is not None
    assert all("a.yaml" in fault.origin for fault in found)
