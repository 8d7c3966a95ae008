"""`watchkeeper incidents` against a server that answers from a table, and both clients with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.stub import Reply, Stub, serving
from watchkeeper import cli
from watchkeeper.cli.exits import Exit
from watchkeeper.sdk import AsyncClient, Client

PATH = "/api/v1/incidents"
NAME = "INC-1767607200-1"
JOINED = {
    "because_of": "c1", "odds": 2.5, "time": 2.0, "topology": -0.5, "text": 0.0, "labels": 1.0,
    "hops": 1,
}  # fmt: skip
ROOT: dict[str, Any] = {
    "id": "c1",
    "rule": "ErrorRate",
    "service": "bank",
    "urgency": "critical",
    "started_at": "2026-01-05T10:00:00Z",
    "firings": 1,
    "joined": JOINED | {"odds": 0.0},
    "is_representative": True,
}
CHILD = ROOT | {
    "id": "c2",
    "service": "web\x1b[2J",
    "ended_at": "2026-01-05T10:07:00Z",
    "firings": 3,
    "joined": JOINED,
    "is_representative": False,
}
INCIDENT: dict[str, Any] = {
    "id": NAME,
    "status": "open",
    "urgency": "critical",
    "title": "ErrorRate of bank",
    "started_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:08:00Z",
    "services": ["a", "b", "c", "d", "e", "f"],
    "alerts": 2,
    "firing": 1,
    "assignee": "ann",
}
ENTRY = {
    "id": "7-0",
    "time": "2026-01-05T10:00:00Z",
    "what": "acknowledged",
    "by": "user:ann",
    "text": "mine",
}
Said = pytest.CaptureFixture[str]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    with serving({}) as found:
        monkeypatch.setenv("WATCHKEEPER_URL", found.url)
        yield found


def ran(said: Said, *argv: str) -> tuple[int, str, str]:
    status = cli.main(["incidents", *argv])
    out, err = said.readouterr()
    return status, out, err


def test_a_list_is_a_table_of_what_somebody_has_to_know(stub: Stub, capsys: Said) -> None:
    stub.routes[PATH] = Reply(body={"items": [INCIDENT], "cursor": "more"})

    status, out, err = ran(capsys, "list", "--status", "active", "--service", "bank")

    assert status == Exit.OK
    assert stub.asked[0].params == {"status": "active", "service": "bank", "limit": "50"}
    _, row = out.splitlines()
    assert row.split() == [
        NAME, "2026-01-05", "10:00:00", "critical", "open", "1/2", "ErrorRate", "of", "bank",
        "a,", "b,", "c,", "d", "+2", "ann",
    ]  # fmt: skip
    assert "--limit prints more" in err


def test_where_there_is_none_it_says_so(stub: Stub, capsys: Said) -> None:
    stub.routes[PATH] = Reply(body={"items": []})

    status, out, err = ran(capsys, "list")

    assert (status, out, err) == (Exit.OK, "", "no incidents\n")


def test_a_program_gets_the_list_as_it_is(stub: Stub, capsys: Said) -> None:
    stub.routes[PATH] = Reply(body={"items": [INCIDENT], "cursor": "more"})

    _, out, _ = ran(capsys, "list", "--json")

    told = json.loads(out)
    assert told["cursor"] == "more"
    assert told["items"][0]["id"] == NAME


def test_one_is_shown_with_why_each_alert_is_there(stub: Stub, capsys: Said) -> None:
    stub.routes[f"{PATH}/{NAME}"] = Reply(body=INCIDENT | {"members": [ROOT, CHILD]})

    status, out, _ = ran(capsys, "show", NAME)

    assert status == Exit.OK
    assert "speaks for all" in out
    assert "time +2.0, topology -0.5, labels +1.0; 1 steps away" in out
    assert "fires" in out
    assert "\x1b" not in out


def test_what_became_another_one_says_which(stub: Stub, capsys: Said) -> None:
    gone = INCIDENT | {"status": "merged", "merged_into": "INC-1-2"}
    stub.routes[f"{PATH}/{NAME}"] = Reply(body=gone)

    _, out, _ = ran(capsys, "show", NAME)

    assert "INC-1-2" in out


def test_a_timeline_is_a_line_for_each_thing(stub: Stub, capsys: Said) -> None:
    stub.routes[f"{PATH}/{NAME}/timeline"] = Reply(body={"items": [ENTRY]})

    _, out, _ = ran(capsys, "timeline", NAME)

    assert out == "2026-01-05 10:00:00  acknowledged  user:ann: mine\n"


@pytest.mark.parametrize("verb", ["show", "timeline"])
def test_a_program_gets_it_whole(stub: Stub, capsys: Said, verb: str) -> None:
    stub.routes[f"{PATH}/{NAME}"] = Reply(body=INCIDENT)
    stub.routes[f"{PATH}/{NAME}/timeline"] = Reply(body={"items": [ENTRY]})

    _, out, _ = ran(capsys, verb, NAME, "--json")

    assert json.loads(out)


@pytest.mark.parametrize(
    ("argv", "verb", "said"),
    [
        (["ack", NAME], "acknowledge", {"comment": ""}),
        (["mitigate", NAME], "mitigate", {"comment": ""}),
        (["resolve", NAME, "--comment", "done"], "resolve", {"comment": "done"}),
        (["close", NAME], "close", {"comment": ""}),
        (["reopen", NAME], "reopen", {"comment": ""}),
        (["assign", NAME, "bob"], "assign", {"comment": "", "assignee": "bob"}),
        (["assign", NAME], "assign", {"comment": "", "assignee": ""}),
        (["snooze", NAME, "2h"], "snooze", {"comment": "", "duration": "2h"}),
        (["snooze", NAME], "snooze", {"comment": ""}),
        (["comment", NAME, "hm"], "comment", {"comment": "hm"}),
        (["merge", NAME, "INC-1-2"], "merge", {"comment": "", "into": "INC-1-2"}),
        (["split", NAME, "c1", "c2"], "split", {"comment": "", "alerts": ["c1", "c2"]}),
        (["unlink", NAME, "c1"], "unlink", {"comment": "", "alerts": ["c1"]}),
    ],
)
def test_a_verb_is_sent_with_what_was_said(
    stub: Stub, capsys: Said, argv: list[str], verb: str, said: dict[str, Any]
) -> None:
    stub.routes[f"{PATH}/{NAME}/{verb}"] = Reply(body=INCIDENT)

    status, out, _ = ran(capsys, *argv)

    (asked,) = stub.asked
    assert status == Exit.OK
    assert json.loads(asked.body) == said
    assert len(asked.headers["idempotency-key"]) == 16
    assert out == f"{NAME}: open, ann's, 1 of 2 fire\n"


def test_several_are_turned_at_once(stub: Stub, capsys: Said) -> None:
    for name in ("a", "b"):
        stub.routes[f"{PATH}/{name}/resolve"] = Reply(body=INCIDENT | {"id": name})

    _, out, _ = ran(capsys, "resolve", "a", "b", "--json")

    assert [one["id"] for one in json.loads(out)["items"]] == ["a", "b"]


def test_a_refusal_is_told_with_its_remedy(stub: Stub, capsys: Said) -> None:
    said = "incident x: is open; resolve it before you close it"
    stub.routes[f"{PATH}/x/close"] = Reply(409, {"detail": said})

    status, _, err = ran(capsys, "close", "x")

    assert status != Exit.OK
    assert said in err


async def test_both_clients_ask_the_same(stub: Stub) -> None:
    stub.routes[PATH] = Reply(body={"items": [INCIDENT], "facets": {"status": {"open": 1}}})
    stub.routes[f"{PATH}/{NAME}"] = Reply(body=INCIDENT | {"members": [ROOT]})
    stub.routes[f"{PATH}/{NAME}/timeline"] = Reply(body={"items": [ENTRY]})
    stub.routes[f"{PATH}/{NAME}/resolve"] = Reply(body=INCIDENT | {"status": "resolved"})

    with Client(stub.url) as one:
        plain = (
            one.incidents(facets=True, status=None),
            one.incident(NAME),
            one.incident_timeline(NAME, cursor="c"),
            one.handle_incident(NAME, "resolve", expected=3),
        )
    async with AsyncClient(stub.url) as other:
        awaited = (
            await other.incidents(facets=True, status=None),
            await other.incident(NAME),
            await other.incident_timeline(NAME, cursor="c"),
            await other.handle_incident(NAME, "resolve", expected=3),
        )

    assert plain == awaited
    assert plain[0].facets == {"status": {"open": 1}}
    assert plain[1].members[0].joined.because_of == "c1"
    assert stub.asked[0].params == {"facets": "true"}
    assert stub.asked[2].params == {"limit": "100", "cursor": "c"}
