"""`watchkeeper slos` and `watchkeeper detection noisy`: what people and programs are shown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stub import Reply, Stub, serving
from watchkeeper import cli
from watchkeeper.cli.exits import Exit

NOISY, SLOS = "/api/v1/detection/noisy", "/api/v1/slos"
AT = "2026-01-05T10:00:00Z"
SERVICE = {"service": "shop", "environment": "", "paged": 3, "held_back": 2, "last_at": AT}
SERIES: dict[str, Any] = {
    "series": "ab" * 16,
    "metric": "queue_depth",
    "labels": {"__name__": "queue_depth"},
    "service": "cart",
    "environment": "",
    "anomalies": 7,
    "evidence": 4,
    "last_at": AT,
}
PROMISE: dict[str, Any] = {
    "service": "shop",
    "objective": "availability 99.9 %",
    "kind": "availability",
    "percent": 99.9,
    "threshold_s": None,
}
RATES = [
    {"limit": limit, "pages": limit > 3, "long_minutes": long, "short_minutes": short,
     "long": limit + 1, "short": limit + 2, "since": AT if limit > 6 else None}
    for limit, long, short in ((14.4, 60, 5), (6.0, 360, 30), (3.0, 1440, 120), (1.0, 4320, 360))
]  # fmt: skip
ITEM = {
    **PROMISE,
    "environment": "prod",
    "requests": 12_345.0,
    "bad": 5.0,
    "budget_left": 0.595,
    "counted_from": AT,
    "counted_to": AT,
    "burning": True,
    "burn_rates": RATES,
}
Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WATCHKEEPER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving({}) as found:
        yield found


def ran(said: Said, stub: Stub, *argv: str) -> tuple[int, str, str]:
    """(status, output, errors)"""
    status = cli.main([*argv, "--url", stub.url])
    out, err = said.readouterr()
    return status, out, err


def digest(*, services: list[Any], series: list[Any]) -> Reply:
    told = {"since": AT, "services": services, "series": series, "more": False, "complete": True}
    return Reply(200, told)


def test_objectives_are_shown_with_what_is_left_and_how_fast_they_burn(
    stub: Stub, capsys: Said
) -> None:
    stub.routes[SLOS] = Reply(200, {"items": [ITEM], "waiting": []})

    status, out, _ = ran(capsys, stub, "slos")

    (row,) = out.splitlines()[1:]
    assert status == Exit.OK
    assert row.split() == [
        *("shop", "(prod)", "availability", "99.9", "%", "59.5", "%", "5", "of", "12.35k"),
        *("15.4x", "7x", "4x", "2x", "2026-01-05", "10:00:00"),
    ]


def test_an_objective_that_does_not_burn_says_so(stub: Stub, capsys: Said) -> None:
    calm = {**ITEM, "burn_rates": [{**rate, "since": None} for rate in RATES], "burning": False}
    stub.routes[SLOS] = Reply(200, {"items": [calm], "waiting": []})

    _, out, _ = ran(capsys, stub, "slos")

    assert out.splitlines()[1].split()[-1] == "-"


def test_an_objective_that_waits_is_told_beside_the_table(stub: Stub, capsys: Said) -> None:
    stub.routes[SLOS] = Reply(200, {"items": [], "waiting": [PROMISE]})

    status, out, err = ran(capsys, stub, "slos")

    assert (status, out) == (Exit.OK, "")
    assert "shop: availability 99.9 %: no request was counted yet" in err


def test_without_objectives_it_says_where_they_are_set(stub: Stub, capsys: Said) -> None:
    stub.routes[SLOS] = Reply(200, {"items": [], "waiting": []})

    status, out, err = ran(capsys, stub, "slos")

    assert (status, out) == (Exit.OK, "")
    assert "set `slos` of the watcher `symptoms`" in err


def test_who_is_noisy_is_shown_services_first(stub: Stub, capsys: Said) -> None:
    stub.routes[NOISY] = digest(services=[SERVICE], series=[SERIES])

    status, out, _ = ran(capsys, stub, "detection", "noisy", "--at-least", "5")

    rows = [line.split() for line in out.splitlines()]
    assert status == Exit.OK
    assert stub.asked[0].params == {"at_least": "5", "limit": "100"}
    assert ["shop", "3", "2", "2026-01-05", "10:00:00"] in rows
    assert ["queue_depth", "cart", "7", "4", "2026-01-05", "10:00:00", "ab" * 16] in rows


def test_a_quiet_week_is_told_as_such(stub: Stub, capsys: Said) -> None:
    stub.routes[NOISY] = digest(services=[], series=[])

    status, out, err = ran(capsys, stub, "detection", "noisy")

    assert (status, out) == (Exit.OK, "")
    assert "nobody spoke too often since 2026-01-05 10:00:00" in err


@pytest.mark.parametrize(
    ("words", "path", "reply"),
    [
        (["slos"], SLOS, Reply(200, {"items": [ITEM], "waiting": [PROMISE]})),
        (["detection", "noisy"], NOISY, digest(services=[SERVICE], series=[SERIES])),
    ],
    ids=["slos", "noisy"],
)
def test_programs_are_told_all_of_it_in_json(
    stub: Stub, capsys: Said, words: list[str], path: str, reply: Reply
) -> None:
    stub.routes[path] = reply

    _, out, _ = ran(capsys, stub, *words, "--json")

    assert json.loads(out) == reply.body


@pytest.mark.parametrize("words", [["slos"], ["detection", "noisy"]], ids=["slos", "noisy"])
def test_a_server_that_does_not_judge_is_an_error_with_its_words(
    stub: Stub, capsys: Said, words: list[str]
) -> None:
    told = {"type": "about:blank", "title": "Not Found", "detail": "does not judge", "status": 404}
    stub.routes[SLOS] = stub.routes[NOISY] = Reply(404, told)

    status, out, err = ran(capsys, stub, *words)

    assert (status != Exit.OK, out) == (True, "")
    assert "does not judge" in err
