"""What the tutorial shows is what there is: configurations, the application, and every name."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cramjam
import pytest
import yaml

from tests.architecture.source import ROOT
from tests.docs.test_pages import DOCS, fenced
from tests.make import START_NS
from watchkeeper.api.door_table import DOORS
from watchkeeper.config.loading import load
from watchkeeper.ingest.receivers.alerts_json import AlertsJson
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.limits import BodyLimit
from watchkeeper.sdk.middleware import Recorder

PAGE = DOCS / "tutorial" / "your-own-telemetry.md"
SIGNALS = {"metrics", "logs", "traces"}


def shown(language: str, name: str) -> str:
    """The block that begins with the name of its file. Clients in tests/integration send by the
    same protocols what real programs encode."""
    (block,) = (one for one in fenced(PAGE, language) if one.startswith(f"# {name}"))
    return block


def lines() -> list[str]:
    return "".join(fenced(PAGE, "sh")).splitlines()


def test_prometheus_sends_to_a_door_of_the_server_that_runs_by_default() -> None:
    (remote,) = yaml.safe_load(shown("yaml", "prometheus.yml"))["remote_write"]

    url = urlsplit(remote["url"])

    assert url.path in DOORS
    assert (url.hostname, url.port) == address()


def test_prometheus_itself_takes_the_configuration(
    tmp_path: Path, program: Callable[[str], Path]
) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(shown("yaml", "prometheus.yml"))

    told = subprocess.run(
        [program("promtool"), "check", "config", file], capture_output=True, text=True, check=False
    )

    assert told.returncode == 0, told.stdout + told.stderr


def test_the_collector_sends_every_signal_to_a_door_in_words_that_are_read() -> None:
    whole = yaml.safe_load(shown("yaml", "otel-collector.yaml"))

    pipelines = whole["service"]["pipelines"]
    (exporter,) = whole["exporters"].values()
    url = urlsplit(exporter["endpoint"])

    assert set(pipelines) == SIGNALS
    for one in pipelines.values():
        for kind in ("receivers", "processors", "exporters"):
            assert one[kind]
            assert set(one[kind]) <= set(whole[kind])
    assert {f"{url.path}/v1/{signal}" for signal in SIGNALS} <= set(DOORS)
    assert (url.hostname, url.port) == address()
    packed = bytes(getattr(cramjam, exporter["compression"]).compress(b"telemetry"))
    headers = {"content-encoding": exporter["compression"]}
    assert Inflater(BodyLimit()).inflate(packed, headers) == b"telemetry"


def test_the_alert_that_is_shown_comes_in_whole() -> None:
    (shown_body,) = re.findall(r"/api/v1/alerts/ingest .*?-d '(.*?)'", "".join(lines()), re.DOTALL)
    receiver = AlertsJson()

    wire = receiver.decode(shown_body.encode(), {}, now_ns=START_NS)

    assert [reject.detail for reject in wire.rejects] == []
    assert len(wire.records) == 1


def test_the_application_that_is_shown_answers_and_fails_as_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("flask")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "app"}
    exec(compile(shown("python", "app.py"), "app.py", "exec"), names)
    app = names["app"]
    recorder: Recorder = app.wsgi_app.recorder
    browser = app.test_client()

    paths = [urlsplit(line.split()[1]).path for line in lines() if line.startswith("curl http")]
    answers = [browser.get(path, buffered=True) for path in paths]

    recorder.close()
    assert [one.status_code for one in answers] == [HTTPStatus.OK, HTTPStatus.INTERNAL_SERVER_ERROR]
    assert answers[0].json == {"celsius": 12}
    asked = [line for line in lines() if "kettle" in line and line.startswith("watchkeeper")]
    assert recorder.settings.service == "kettle"
    assert len(asked) == 3


def test_what_is_run_of_the_shop_has_these_flags_and_faults() -> None:
    commands = re.findall(r"-m (shop[\w.]*) (.+)", "\n".join(lines()))
    faults = (ROOT / "shop" / "scenarios.yaml").read_text(encoding="utf-8")

    for module, words in commands:
        folder = ROOT.joinpath(*module.split("."))
        file = folder / "__main__.py" if folder.is_dir() else folder.with_suffix(".py")
        for flag in re.findall(r"--[\w-]+", words):
            assert f'"{flag}"' in file.read_text(encoding="utf-8"), f"{module} {flag}"
    named = {
        *re.findall(r"--only ([\w-]+)", "\n".join(lines())),
        *(words.split()[1] for module, words in commands if module == "shop.breaks"),
    }
    assert len(commands) == 3
    assert {name for name in named if f"- name: {name}\n" not in faults} == set()


def address() -> tuple[str, int]:
    """Where a server listens that is told nothing."""
    server = load(None, environment={}).config.server
    return server.host, server.port
