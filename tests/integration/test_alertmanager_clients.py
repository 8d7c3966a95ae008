"""A real amtool and a real Prometheus speak to us as to an Alertmanager."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import client, peers
from bench.peers import Recipe, Server
from tests.integration.conftest import Shared

NEVER = "vector(0) > 1"


class Amtool:
    """Asked as its user asks it."""

    def __init__(self, program: Path, port: int) -> None:
        self._command = [str(program), f"--alertmanager.url=http://{client.HOST}:{port}"]

    def __call__(self, *words: str) -> str:
        told = subprocess.run(
            [*self._command, *words], capture_output=True, text=True, check=False, timeout=60
        )
        assert told.returncode == 0, told.stderr
        return told.stdout.strip()

    def states(self, service: str) -> dict[str, str]:
        """By name, of all alerts of a service, silenced or not."""
        alerts: list[Any] = []
        for more in ((), ("--silenced",)):
            words = ("alert", "query", "-o", "json", *more, f"service={service}")
            alerts += json.loads(self(*words)) or []
        return {one["labels"]["alertname"]: one["status"]["state"] for one in alerts}


@pytest.fixture
def amtool(shared: Shared, program: Callable[[str], Path]) -> Amtool:
    return Amtool(program("amtool"), shared.server.port)


def rule(service: str, expression: str) -> str:
    labels = {"service": service, "severity": "critical"}
    one = {"alert": "AlwaysOn", "expr": expression, "labels": labels}
    return yaml.safe_dump({"groups": [{"name": "all", "rules": [one]}]})


@pytest.fixture
def prometheus(shared: Shared, tmp_path: Path, program: Callable[[str], Path]) -> Iterator[Server]:
    """Has one alert, which fires, and tells us of it every second."""
    folder = tmp_path / "prometheus"
    folder.mkdir()
    port = peers.free_port()
    settings, address = folder / "prometheus.yml", f"{client.HOST}:{port}"
    (folder / "rules.yml").write_text(rule(shared.service, "vector(1)"))
    us = {"static_configs": [{"targets": [f"{client.HOST}:{shared.server.port}"]}]}
    settings.write_text(
        yaml.safe_dump(
            {
                "global": {"evaluation_interval": "1s"},
                "alerting": {"alertmanagers": [us]},
                "rule_files": [str(folder / "rules.yml")],
            }
        )
    )
    command = [
        str(program("prometheus")),
        f"--config.file={settings}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--web.enable-lifecycle",
        "--rules.alert.resend-delay=1s",
    ]
    recipe = Recipe("prometheus", command, port, "/-/ready", {})
    with Server(recipe, folder, core=None) as running:
        yield running.wait_ready()


def becomes(look: Callable[[], Any], wanted: Any) -> bool:
    return client.wait_until(lambda: look() == wanted, timeout_s=90, every_s=0.5)


def test_an_alert_of_a_real_prometheus_arrives_is_silenced_and_resolves(
    shared: Shared, prometheus: Server, amtool: Amtool, tmp_path: Path
) -> None:
    def states() -> dict[str, str]:
        return amtool.states(shared.service)

    arrived = becomes(states, {"AlwaysOn": "active"})
    assert arrived, prometheus.tail()

    words = ("silence", "add", f"service={shared.service}", "-c", "disks", "-a", "ann", "-d", "1h")
    silence = amtool(*words)
    assert states() == {"AlwaysOn": "suppressed"}
    amtool("silence", "expire", silence)
    assert states() == {"AlwaysOn": "active"}

    (tmp_path / "prometheus" / "rules.yml").write_text(rule(shared.service, NEVER))
    client.post_form(prometheus.port, "/-/reload", {})
    assert becomes(states, {}), prometheus.tail()


def test_amtool_finds_all_that_it_asks_for(shared: Shared, amtool: Amtool) -> None:
    named = f"service={shared.service}"
    amtool("alert", "add", "Slow", named, "severity=warning", "--annotation=summary=p99")

    silence = amtool("silence", "add", named, "-c", "why", "-a", "ann", "-d", "1h")
    longer = amtool("silence", "update", "-d", "2h", silence)

    assert amtool.states(shared.service) == {"Slow": "suppressed"}
    assert silence in longer
    assert silence in amtool("silence", "query", named)
    amtool("silence", "expire", silence)
    assert silence in amtool("silence", "query", "--expired", named)
    assert "receiver: watchkeeper" in amtool("config", "show")
    assert amtool("config", "routes", "test", named) == "watchkeeper"
    assert "disabled" in amtool("cluster", "show")
