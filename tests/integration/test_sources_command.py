"""`watchkeeper sources` against a real server: a test event by every protocol, and who sent it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bench import client
from tests.integration.conftest import Shared
from watchkeeper import cli
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.probe import WAYS
from watchkeeper.ingest.own_traces_stage import PROTOCOL
from watchkeeper.plugins import BUILTIN, load

Said = pytest.CaptureFixture[str]


def ran(said: Said, shared: Shared, *argv: str) -> Any:
    """By a tenant of the test's own."""
    there = ("--url", f"http://{client.HOST}:{shared.server.port}", "--tenant", shared.service)
    assert cli.main(["sources", *argv, *there, "--json"]) == Exit.OK
    return msgspec.json.decode(said.readouterr().out)


def test_a_test_event_of_every_protocol_is_read_back_and_its_sender_is_listed(
    shared: Shared, capsys: Said
) -> None:
    for protocol in WAYS:
        assert ran(capsys, shared, "--test", protocol)["protocol"] == protocol

    listed = [one for one in ran(capsys, shared)["items"] if one["protocol"] != PROTOCOL]
    assert {one["protocol"]: one["accepted"] for one in listed} == dict.fromkeys(WAYS, 1)
    assert all(one["sender"].startswith("python-httpx") for one in listed)


ALERTS = {one for one in BUILTIN["receiver"] if load("receiver", one).makes == "alerts"}


def test_every_protocol_that_speaks_json_or_is_ours_has_a_test_event() -> None:
    """But for alerts, of which one would be an incident, and changes in the words of others."""
    without = {"changes_json", "cloudevents", "git_webhook", "jaeger_thrift"}

    assert set(WAYS) == set(BUILTIN["receiver"]) - without - ALERTS
