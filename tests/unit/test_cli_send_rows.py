"""`watchkeeper send` with a log line, or with a deployment."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.unit.stub import Reply, Stub, serving
from watchkeeper import cli
from watchkeeper.cli.exits import Exit
from watchkeeper.clock import NS_PER_S, SystemClock

ACCEPTED = Reply(200, {"status": "ok", "accepted": 1, "rejected": []})
Said = pytest.CaptureFixture[str]


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving({"/api/v1/logs/write": ACCEPTED, "/api/v1/changes": ACCEPTED}) as found:
        yield found


def is_of_now(timestamp: float) -> bool:
    return abs(timestamp - SystemClock().now_ns() / NS_PER_S) < 60


def test_a_log_line_is_sent_with_its_level(stub: Stub, capsys: Said) -> None:
    argv = ["send", "--log", "it broke", "--level", "error", "--service", "shop"]

    status = cli.main([*argv, "--url", stub.url])

    assert (status, capsys.readouterr().out) == (0, "1 lines accepted in 1 requests\n")
    (line,) = json.loads(stub.asked[0].body)
    assert is_of_now(line.pop("timestamp"))
    assert line == {"message": "it broke", "level": "error", "service": "shop"}


def test_a_deployment_is_sent_as_a_change(stub: Stub, capsys: Said) -> None:
    argv = ["send", "--deployment", "1.2", "--service", "shop"]

    status = cli.main([*argv, "--url", stub.url])

    assert (status, capsys.readouterr().out) == (0, "1 changes accepted in 1 requests\n")
    (change,) = json.loads(stub.asked[0].body)
    assert is_of_now(change.pop("timestamp"))
    assert change == {"service": "shop", "version": "1.2", "status": "success"}


def test_a_line_that_was_refused_ends_with_3(stub: Stub, capsys: Said) -> None:
    rejected = [{"reason": "too_large", "count": 1, "detail": "more than 1 byte"}]
    stub.routes["/api/v1/logs/write"] = Reply(400, {"accepted": 0, "rejected": rejected})

    status = cli.main(["send", "--log", "it broke", "--url", stub.url])

    assert status == Exit.REFUSED
    assert "1 not accepted: too_large: more than 1 byte" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--log", "x", "--deployment", "1"], "--log and --deployment exclude each other"),
        (["--log", "x", "--generate", "1"], "--generate and --log exclude each other"),
        (["points.json", "--log", "x"], "a file and --log exclude each other"),
        (["--deployment", "1"], "add --service NAME"),
    ],
)
def test_what_cannot_be_sent_together_is_refused(
    argv: list[str], message: str, capsys: Said
) -> None:
    status = cli.main(["send", *argv])

    assert status == Exit.USAGE
    assert message in capsys.readouterr().err
