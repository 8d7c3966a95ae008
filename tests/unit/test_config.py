"""The configuration as a whole: where it comes from, what wins, and what is said of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
import yaml

from watchkeeper.config import loading, reference
from watchkeeper.config.environment import client_settings
from watchkeeper.config.loading import Loaded, load
from watchkeeper.config.schema import schema
from watchkeeper.config.sections import SECTIONS, Chosen, Config, Top
from watchkeeper.errors import ConfigError
from watchkeeper.store.memory import MemoryStore

AIOPS = Path(__file__).parent / "testdata" / "aiops.yaml"
HOOKS = {"SLACK_WEBHOOK_URL": "https://hooks.example/T0/B0", "PAGERDUTY_KEY": "pd-key"}


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of the machine that runs the tests is found."""
    monkeypatch.chdir(tmp_path)


def write(tmp_path: Path, text: str, name: str = "given.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def loaded(text: str, tmp_path: Path, **environment: str) -> Loaded:
    return load(write(tmp_path, text), environment=environment)


def faults(text: str, tmp_path: Path, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(text, tmp_path, **environment)
    return [fault.replace(f"{tmp_path}/", "") for fault in caught.value.faults]


def origins(found: Loaded) -> Mapping[str, str]:
    return {value.path: value.origin for value in reference.values(found)}


def test_nothing_given_is_the_defaults_and_they_are_sound() -> None:
    found = load(environment={})

    assert found.file is None
    assert found.config.data_dir == Path("data")
    assert found.config.store.use == "sqlite"
    assert set(origins(found).values()) == {"default"}


def test_the_table_of_sections_and_the_config_agree() -> None:
    top = {field.name for field in msgspec.structs.fields(Top)}

    assert {field.name for field in dataclasses.fields(Config)} == {*SECTIONS, *top}


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "telemetry: {level: debug, format: json}\nstore: {record_limit: 1, outbox_limit: 2}",
    )
    environment = {"WATCHKEEPER_TELEMETRY__LEVEL": "error", "WATCHKEEPER_STORE__OUTBOX_LIMIT": "3"}

    found = load(file, flags={"telemetry.level": ("warning", "--set")}, environment=environment)

    assert found.config.telemetry.level == "warning"
    assert origins(found) == origins(load(environment={})) | {
        "telemetry.level": "flag --set",
        "telemetry.format": f"{file}:1",
        "store.record_limit": f"{file}:2",
        "store.outbox_limit": "environment WATCHKEEPER_STORE__OUTBOX_LIMIT",
    }


def test_the_file_is_found_by_flag_then_variable_then_here(tmp_path: Path) -> None:
    here = write(tmp_path, "data_dir: here", "watchkeeper.yaml")
    named = write(tmp_path, "data_dir: named", "named.yaml")
    given = write(tmp_path, "data_dir: given", "given.yaml")
    by_variable = {"WATCHKEEPER_CONFIG": str(named)}

    assert load(given, environment=by_variable).config.data_dir == Path("given")
    assert load(environment=by_variable).config.data_dir == Path("named")
    assert load(environment={}).config.data_dir == Path("here")
    here.unlink()
    assert load(environment={}).config.data_dir == Path("data")
    assert Path("/etc/watchkeeper/watchkeeper.yaml") == loading.SYSTEM_FILE


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml: cannot be read: No such file"):
        load(tmp_path / "no.yaml", environment={})


def test_every_fault_of_every_source_is_told_at_once(tmp_path: Path) -> None:
    text = "servr: {}\nstore:\n  use: sqlit\ntelemetry:\n  level: ${LEVEL}\n  colour: red\n"

    found = faults(text, tmp_path, WATCHKEEPER_STORE__NO="1", WATCHKEEPER_NO__SUCH="2")

    assert found == [
        "telemetry.level: the environment variable LEVEL is not set; set it, or write "
        "${LEVEL:-a default} (given.yaml:5)",
        "servr: unknown key; did you mean 'server'? (given.yaml:1)",
        f"no: unknown key; known here: {', '.join(sorted([*SECTIONS, 'data_dir', 'parts']))} "
        "(environment WATCHKEEPER_NO__SUCH)",
        "store.use: no plugin called 'sqlit'; known: memory, postgres, sqlite (given.yaml:3)",
        "telemetry.colour: unknown key; known here: format, level, trace_share (given.yaml:6)",
    ]


def test_a_plugins_settings_are_checked_as_its_own(tmp_path: Path) -> None:
    found = loaded("store: {use: memory, record_limit: 5}", tmp_path).config.store

    assert found == Chosen("store", "memory", MemoryStore.Config(record_limit=5))
    assert isinstance(found.build(data_dir=tmp_path), MemoryStore)
    assert faults("store:\n  use: memory\n  busy_timeout_s: 1\n", tmp_path) == [
        "store.busy_timeout_s: unknown key; known here: outbox_limit, record_limit (given.yaml:3)"
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("- 1\n", "is no mapping; write `section:` lines (given.yaml:1)"),
        ("store: sqlite\n", "store: is no mapping; write `use: sqlite` and its settings below it "
         "(given.yaml:1)"),
        ("telemetry: 3\n", "telemetry: is no mapping; write `key: value` lines (given.yaml:1)"),
        ("a: [\n", "is no YAML: expected the node content, but found '<stream end>' "
         "(given.yaml:2)"),
    ],
)  # fmt: skip
def test_what_has_the_wrong_shape_is_one_fault(tmp_path: Path, text: str, fault: str) -> None:
    assert faults(text, tmp_path) == [fault]


def test_an_empty_section_is_its_defaults(tmp_path: Path) -> None:
    assert loaded("store:\ntelemetry:\n", tmp_path).config == load(environment={}).config


def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_setting() -> None:
    variables = {"WATCHKEEPER_PORT": "tcp://10.0.0.1:8100", "WATCHKEEPER_SERVICE_HOST": "10.0.0.1"}

    assert load(environment=variables).config == load(environment={}).config


def test_the_environment_sets_lists_and_what_stands_at_the_top() -> None:
    found = load(
        environment={
            "WATCHKEEPER_DATA_DIR": "/var/lib/watchkeeper",
            "WATCHKEEPER_AIOPS__NOTIFICATIONS__EMAIL_RECIPIENTS": "[a@example, b@example]",
        }
    )

    assert found.config.data_dir == Path("/var/lib/watchkeeper")
    assert found.config.aiops.notifications.email_recipients == ("a@example", "b@example")


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("WATCHKEEPER___LEVEL", "x", "WATCHKEEPER___LEVEL: names no setting"),
        ("WATCHKEEPER_TELEMETRY__LEVEL", "[a", "'[a' is no list or mapping; write [a, b]"),
        ("WATCHKEEPER_TELEMETRY", "x", None),
    ],
)
def test_a_variable_that_cannot_be_meant_is_a_fault(
    name: str, value: str, fault: str | None
) -> None:
    if fault is None:
        assert load(environment={name: value}).config == load(environment={}).config
        return
    with pytest.raises(ConfigError) as caught:
        load(environment={name: value})
    assert fault in caught.value.faults[0]


def test_the_aiops_document_loads_as_it_is() -> None:
    aiops = load(AIOPS, environment=HOOKS).config.aiops

    assert aiops.enabled
    assert aiops.ingestion.metrics_interval == 30.0
    assert aiops.models.failure_predictor.prediction_window == 48 * 3600.0
    assert aiops.models.failure_predictor.retrain_interval == 7 * 86400.0
    assert aiops.models.threat_detector.sensitivity == "high"
    assert list(aiops.models.capacity_forecaster.forecast_periods) == [
        days * 86400.0 for days in (30, 60, 90)
    ]
    assert not aiops.remediation.approval_required
    assert aiops.remediation.actions.pod_restart
    assert not aiops.remediation.actions.security_patch
    assert aiops.notifications.slack_webhook is not None
    assert aiops.notifications.slack_webhook.reveal() == HOOKS["SLACK_WEBHOOK_URL"]
    assert aiops.notifications.email_recipients == "ops@company.com"


def test_the_aiops_document_without_its_variables_names_both() -> None:
    with pytest.raises(ConfigError) as caught:
        load(AIOPS, environment={})

    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "aiops.notifications.slack_webhook",
        "aiops.notifications.pagerduty_key",
    ]


def test_what_no_layer_uses_yet_is_told_and_what_is_used_is_not() -> None:
    unused = load(AIOPS, environment=HOOKS).unused()

    assert "aiops.remediation.actions.pod_restart" in unused
    assert unused["aiops.enabled"] == f"{AIOPS}:2"
    assert "aiops.ingestion.log_level" not in unused
    assert load(environment={}).unused() == {}


def test_the_aiops_log_level_stands_in_unless_telemetry_says_its_own(tmp_path: Path) -> None:
    aiops = "aiops: {ingestion: {log_level: debug}}\n"

    assert loaded(aiops, tmp_path).config.telemetry.level == "debug"
    assert loaded(aiops + "telemetry: {level: error}", tmp_path).config.telemetry.level == "error"


def test_what_is_shown_has_stars_for_secrets_and_units_for_durations() -> None:
    found = load(AIOPS, environment=HOOKS)

    shown = reference.to_yaml(found)

    assert not any(secret in shown for secret in HOOKS.values())
    assert yaml.safe_load(shown)["aiops"]["notifications"]["slack_webhook"] == "***"
    assert "prediction_window: 48h" in shown
    json.dumps(reference.tree(found))


def test_what_is_shown_loads_again_to_the_same(tmp_path: Path) -> None:
    found = loaded("store: {record_limit: 7}\naiops: {enabled: false}\n", tmp_path)

    again = loaded(reference.to_yaml(found), tmp_path)

    assert again.config == found.config


def test_defaults_of_sections_that_nobody_gave_and_nothing_uses_are_not_shown() -> None:
    assert "aiops" not in reference.tree(load(environment={}))


def test_every_setting_has_a_text_a_type_and_a_default() -> None:
    keys = reference.describe()

    assert [key.path for key in keys if not (key.text and key.type)] == []
    assert len({(key.path, key.text) for key in keys}) == len(keys)
    assert {key.path.partition(".")[0] for key in keys} == {"data_dir", "parts", *SECTIONS}


def test_the_schema_has_every_setting_and_takes_text_for_units() -> None:
    said = schema()

    properties = said["properties"]
    assert set(properties) == {"data_dir", "parts", *SECTIONS}
    assert [choice["properties"]["use"]["const"] for choice in properties["store"]["anyOf"]] == [
        "memory",
        "postgres",
        "sqlite",
    ]
    window = properties["aiops"]["properties"]["models"]["properties"]["failure_predictor"][
        "properties"
    ]["prediction_window"]
    assert window["default"] == "48h"
    assert {"type": "number", "exclusiveMinimum": 0} in window["anyOf"]
    hook = properties["aiops"]["properties"]["notifications"]["properties"]["slack_webhook"]
    assert hook["anyOf"] == [{"type": "string"}, {"type": "null"}]
    json.dumps(said)


def test_a_command_learns_from_the_environment_whom_to_talk_to() -> None:
    assert client_settings({}).url == "http://127.0.0.1:8100"
    assert client_settings({"WATCHKEEPER_URL": "http://w:1"}).url == "http://w:1"
    assert client_settings({}).tenant is None
    assert client_settings({"WATCHKEEPER_TENANT": "shop"}).tenant == "shop"
