"""The rare ways in which a configuration is wrong: each is one fault, told where it stands."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from watchkeeper.config import document, reference
from watchkeeper.config.environment import client_settings
from watchkeeper.config.loading import Loaded, load
from watchkeeper.config.node import Faults, Node
from watchkeeper.config.schema import of_struct, schema
from watchkeeper.config.sections import SECTIONS
from watchkeeper.errors import ConfigError


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def broken_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that announces a receiver, and needs another that is not there."""
    about = tmp_path / "packages" / "far-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: far\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[watchkeeper.receiver]\nfar = far_away.module:Far")
    monkeypatch.syspath_prepend(str(about.parent))
    yield
    sys.modules.pop("far_away", None)


def parsed(text: str) -> tuple[Node, list[str]]:
    faults: Faults = []
    return document.parse(text, "a.yaml", {}, faults), [str(fault) for fault in faults]


def faults_of(environment: dict[str, str] | None = None, /, **flags: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        loaded(environment, **flags)
    return refused.value.faults


def loaded(environment: dict[str, str] | None = None, /, **flags: str) -> Loaded:
    by_path = {name.replace("__", "."): (text, "--set") for name, text in flags.items()}
    return load(environment=environment or {}, flags=by_path)


# Documents


@pytest.mark.parametrize("key", ["? [a, b]", "? {a: 1}"])
def test_a_key_that_is_no_text_is_a_fault_in_its_line(key: str) -> None:
    _, faults = parsed(f"port: 1\n{key}\n: 2\n")

    assert faults == ["has a key that is no text (a.yaml:2)"]


def test_a_byte_that_yaml_does_not_know_is_a_fault() -> None:
    _, faults = parsed("port: \x00")

    (fault,) = faults
    assert fault.startswith("is no YAML: unacceptable character")
    assert "\n" not in fault


def test_brackets_without_end_are_a_fault_and_no_crash() -> None:
    _, faults = parsed("[" * 1_100)

    (fault,) = faults
    assert fault.startswith("is no YAML")
    assert "a.yaml" in fault


@pytest.mark.parametrize(("depth", "n_faults"), [(32, 0), (33, 1)])
def test_nesting_ends_at_a_depth_that_no_setting_has(depth: int, n_faults: int) -> None:
    _, faults = parsed("".join(f"{'  ' * n}k{n}:\n" for n in range(depth)) + "  " * depth + "1")

    assert len(faults) == n_faults
    assert all("is nested too deep" in fault for fault in faults)


def test_a_fault_in_the_document_hides_no_other(tmp_path: Path) -> None:
    """What could be read is checked on, so that one round of corrections is enough."""
    file = tmp_path / "given.yaml"
    file.write_text("server:\n  port: ${NONE}\n  porte: 1\nlog: 7\n")

    with pytest.raises(ConfigError) as refused:
        load(file, environment={"WATCHKEEPER_RUNTIME__RETRY_S": "soon"})

    told = [fault.replace(f"{tmp_path}/", "") for fault in refused.value.faults]
    assert [fault.split(":")[0] for fault in told] == [
        "server.port",
        "server.porte",
        "log",
        "runtime.retry_s",
    ]
    assert told[0].endswith("(given.yaml:2)")
    assert told[3].endswith("(environment WATCHKEEPER_RUNTIME__RETRY_S)")


def test_a_variable_that_is_not_set_is_told_once_and_not_as_a_wrong_value(tmp_path: Path) -> None:
    file = tmp_path / "given.yaml"
    file.write_text("server:\n  port: ${NONE}\n")

    with pytest.raises(ConfigError) as refused:
        load(file, environment={})

    assert len(refused.value.faults) == 1
    assert "the environment variable NONE is not set" in refused.value.faults[0]


def test_a_file_that_is_not_text_is_told_once(tmp_path: Path) -> None:
    file = tmp_path / "given.yaml"
    file.write_bytes(b"server: {host: \xff}")

    with pytest.raises(ConfigError) as refused:
        load(file, environment={})

    assert refused.value.faults == [f"{file}: is not UTF-8 (byte 15); save it as UTF-8"]


@pytest.mark.parametrize("text", ["[1, 2]", "text", "7"])
def test_a_document_that_is_no_mapping_is_told_once(tmp_path: Path, text: str) -> None:
    file = tmp_path / "given.yaml"
    file.write_text(text)

    with pytest.raises(ConfigError) as refused:
        load(file, environment={})

    assert refused.value.faults == [f"is no mapping; write `section:` lines ({file}:1)"]


def test_a_folder_is_no_file_of_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory; name another --config"):
        load(tmp_path, environment={})


# The environment


def test_nothing_in_a_list_of_the_environment_is_nothing() -> None:
    (fault,) = faults_of({"WATCHKEEPER_DETECTION__DETECTORS": "[null]"})

    assert fault.startswith("detection.detectors[0]: is no mapping; write `use: <name>`")


def test_a_list_that_does_not_end_is_cut_in_the_message() -> None:
    text = "[" + "x" * 200

    (fault,) = faults_of({"WATCHKEEPER_DETECTION__DETECTORS": text})

    assert f"'{text[:80]}' is no list or mapping; write [a, b]" in fault


@pytest.mark.parametrize(
    "name", ["WATCHKEEPER_SERVER__", "WATCHKEEPER___PORT", "WATCHKEEPER_SERVER____PORT"]
)
def test_a_variable_with_a_gap_in_its_name_is_a_fault(name: str) -> None:
    assert faults_of({name: "1"}) == [f"{name}: names no setting; write WATCHKEEPER_SECTION__KEY"]


@pytest.mark.parametrize("name", ["WATCHKEEPER_PORT", "WATCHKEEPER_URL", "WATCHKEEPERSERVER__X"])
def test_a_variable_that_is_none_of_ours_is_passed_over(name: str) -> None:
    assert loaded({name: "tcp://10.0.0.1:80"}).given.plain() == {}


def test_a_later_name_of_the_environment_joins_the_section_of_an_earlier() -> None:
    found = loaded({"WATCHKEEPER_SERVER__HOST": "::1", "WATCHKEEPER_SERVER__PORT": "8"})

    assert (found.config.server.host, found.config.server.port) == ("::1", 8)


def test_commands_read_the_process_environment_unless_they_are_given_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WATCHKEEPER_URL", "http://from-the-process")

    assert client_settings().url == "http://from-the-process"
    assert client_settings({}).url == "http://127.0.0.1:8100"


# Checks


@pytest.mark.parametrize("value", ["[tok-en]", "{tok-en: 1}"])
def test_a_secret_of_the_wrong_shape_is_in_no_fault(value: str) -> None:
    (fault,) = faults_of(aiops__notifications__slack_webhook=value)

    assert fault == (
        "aiops.notifications.slack_webhook: the value is not a secret text (flag --set)"
    )


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("server__port", "70000", "a whole number >= 0 and <= 65535"),
        ("server__port", "8100.5", "a whole number >= 0 and <= 65535"),
        ("server__port", "true", "a whole number >= 0 and <= 65535"),
        ("runtime__retry_s", "0", "a duration such as 500ms, 30s, 5m, 48h or 7d, > 0"),
        ("aiops__ingestion__trace_sampling", "1.5", "a number >= 0 and <= 1"),
        ("aiops__models__capacity_forecaster__confidence_level", "1", "a number > 0 and < 1"),
        ("telemetry__level", "loud", "one of: debug, info, warning, error"),
        ("server__body_bytes", "64 MBit", "a size such as 512B, 64MiB or 1GB, >= 1"),
    ],
)
def test_a_fault_says_what_would_be_right(setting: str, value: str, words: str) -> None:
    path = setting.replace("__", ".")

    assert faults_of(**{setting: value}) == [f"{path}: '{value}' is not {words} (flag --set)"]


def test_a_setting_given_as_nothing_is_its_default(tmp_path: Path) -> None:
    file = tmp_path / "given.yaml"
    file.write_text("server: {port: , host: ~}\nruntime:\n")

    found = load(file, environment={}).config

    assert (found.server.port, found.server.host) == (8100, "127.0.0.1")


@pytest.mark.usefixtures("broken_receiver")
def test_a_receiver_from_outside_that_cannot_be_imported_is_a_fault() -> None:
    (fault,) = faults_of()

    assert fault == (
        "receiver: 'far' needs a package that is not installed (far_away); install watchkeeper[far]"
    )


@pytest.mark.usefixtures("broken_receiver")
def test_the_reference_and_the_schema_do_without_what_cannot_be_imported() -> None:
    paths = {key.path for key in reference.describe()}

    assert not any(path.startswith("receivers.far") for path in paths)
    assert "far" not in schema()["properties"]["receivers"]["properties"]


# The schema


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every part of a schema that describes a mapping."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for part in schema.values():
            yield from objects(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects(part)


def test_an_editor_warns_of_every_unknown_key_as_the_check_does() -> None:
    closed = [one for one in objects(schema()) if "properties" in one]

    assert len(closed) > len(SECTIONS)
    assert all(one["additionalProperties"] is False for one in closed)


def test_the_schema_counts_the_items_of_lists_and_the_letters_of_texts() -> None:
    """Editors know a length of texts alone."""

    class Bounded(msgspec.Struct):
        word: Annotated[str, msgspec.Meta(min_length=2, max_length=9)]
        words: Annotated[list[str], msgspec.Meta(min_length=1, max_length=3)]
        named: Annotated[dict[str, int], msgspec.Meta(max_length=4)]

    told = of_struct(Bounded)["properties"]

    assert (told["word"]["minLength"], told["word"]["maxLength"]) == (2, 9)
    assert (told["words"]["minItems"], told["words"]["maxItems"]) == (1, 3)
    assert told["named"]["maxProperties"] == 4


def test_the_schema_takes_a_section_without_its_default_plugin_named() -> None:
    required = {
        one["properties"]["use"]["const"]: one.get("required", [])
        for one in schema()["properties"]["bus"]["anyOf"]
    }

    assert "use" not in required["memory"]
    assert "use" in required["redis"]


def test_the_schema_has_the_same_keys_as_the_reference() -> None:
    told = {key.path for key in reference.describe() if key.path.startswith("server.")}

    properties = schema()["properties"]["server"]["properties"]

    assert {f"server.{name}" for name in properties} == told


def test_the_schema_is_json_and_says_its_dialect() -> None:
    said = schema()

    assert json.loads(json.dumps(said)) == said
    assert said["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_default_in_the_schema_is_what_a_file_may_say() -> None:
    """An editor writes the default that it is told; that must load to what there was before."""
    server = schema()["properties"]["server"]["properties"]
    told = {name: one["default"] for name, one in server.items()}
    flags = {f"server__{name}": str(one) for name, one in told.items() if one is not None}

    assert loaded(**flags).config.server == loaded().config.server
