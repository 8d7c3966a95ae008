"""`watchkeeper incidents`: list them, show one, and do something about them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, Final

from rich.text import Text

from watchkeeper import cli
from watchkeeper.cli import connection, numbers, words
from watchkeeper.cli.exits import MEANINGS, Exit
from watchkeeper.cli.output import Column, Output, harmless
from watchkeeper.sdk import Client, Incident, IncidentAlert, IncidentEvent, Joined

_STATUSES: Final = (
    "active", "open", "acknowledged", "mitigating", "resolved", "closed", "merged",
)  # fmt: skip
_URGENCIES: Final = ("info", "warning", "error", "critical")
_STYLES: Final = {"critical": "bold white on red", "error": "bold red", "warning": "yellow"}
_LIMIT: Final = 50
_TURNS: Final[Mapping[str, tuple[str, str]]] = {
    "ack": ("acknowledge", "Somebody looks at them."),
    "mitigate": ("mitigate", "Somebody does something about them."),
    "resolve": ("resolve", "They are over."),
    "close": ("close", "Nobody has anything left to do about them."),
    "reopen": ("reopen", "They are not over."),
}
"""Verbs that several incidents take, each with what the API calls it."""


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    listing = _verb(verbs, "list", "Those that match, newest first.")
    listing.add_argument("--status", choices=_STATUSES, help="only these; active: not resolved")
    listing.add_argument("--urgency", choices=_URGENCIES, help="only these")
    for name in ("service", "rule", "assignee", "text", "since", "until"):
        listing.add_argument(f"--{name}", metavar=name.upper(), help=_HELP[name])
    listing.add_argument("--limit", type=numbers.whole(1), default=_LIMIT, metavar="N",
                         help=f"at most so many ({_LIMIT})")  # fmt: skip
    _named(_verb(verbs, "show", "One with its alerts, each with why it joined."))
    _named(_verb(verbs, "timeline", "All that happened to one, newest first."))
    for name, (_, says) in _TURNS.items():
        turn = _verb(verbs, name, says)
        turn.add_argument("ids", nargs="+", metavar="ID", help="as `incidents list` shows it")
        _reasoned(turn)
    _reasoned(_named(_verb(verbs, "assign", "Whose it is."))).add_argument(
        "assignee", nargs="?", default="", help="nobody's without"
    )
    _reasoned(_named(_verb(verbs, "snooze", "Nobody is notified for a while."))).add_argument(
        "duration", nargs="?", help="30m, 2h, 1d; without: from now on again"
    )
    _named(_verb(verbs, "comment", "Say something.")).add_argument(
        "comment", metavar="TEXT", help="what is to be said"
    )
    _reasoned(_named(_verb(verbs, "merge", "It is part of another one."))).add_argument(
        "into", help="the incident that it becomes"
    )
    for name, says in (
        ("split", "These alerts are an incident of their own."),
        ("unlink", "Each of these alerts is an incident of its own."),
    ):
        _reasoned(_named(_verb(verbs, name, says))).add_argument(
            "alerts", nargs="+", metavar="ALERT", help="as `incidents show` shows it"
        )


_HELP: Final = {
    "service": "of which an alert speaks of it",
    "rule": "of which an alert is by it",
    "assignee": "whose they are",
    "text": "in the title, a service or a rule",
    "since": "not resolved before: a date",
    "until": "begun before: a date",
}


def _verb(verbs: Any, name: str, says: str) -> argparse.ArgumentParser:
    found: argparse.ArgumentParser = verbs.add_parser(
        name, help=says, description=says, epilog=MEANINGS, allow_abbrev=False
    )
    cli.add_everywhere(found)
    connection.arguments(found)
    return found


def _named(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("id", help="as `incidents list` shows it")
    return parser


def _reasoned(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--comment", default="", metavar="TEXT", help="why")
    return parser


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    with connection.connect(given) as client:
        match given.verb:
            case "list":
                return _list(given, client, output)
            case "show":
                return _show(client.incident(given.id), output)
            case "timeline":
                return _timeline(client.incident_timeline(given.id, limit=1000).items, output)
            case verb if verb in _TURNS:
                return _told([_turned(client, one, given) for one in given.ids], output)
            case verb:
                done = client.handle_incident(given.id, verb, **_said(given))
                return _told([done], output)


def _turned(client: Client, identity: str, given: argparse.Namespace) -> Incident:
    return client.handle_incident(identity, _TURNS[given.verb][0], comment=given.comment)


def _said(given: argparse.Namespace) -> dict[str, Any]:
    """What the API takes with the verb."""
    named = ("comment", "assignee", "duration", "into", "alerts")
    said = {name: getattr(given, name, None) for name in named}
    return {name: value for name, value in said.items() if value is not None}


def _list(given: argparse.Namespace, client: Client, output: Output) -> int:
    named = ("status", "urgency", "service", "rule", "assignee", "text", "since", "until", "limit")
    page = client.incidents(**{name: getattr(given, name) for name in named})
    if output.as_json:
        output.json({"items": page.items, "cursor": page.cursor})
    elif page.items:
        output.table(_COLUMNS, [_row(one) for one in page.items])
        if page.cursor is not None:
            output.say(f"the newest {len(page.items)}; --limit prints more")
    else:
        output.say("no incidents")
    return Exit.OK


_COLUMNS: Final = (
    Column("id"),
    Column("began (UTC)"),
    Column("urgency"),
    Column("status"),
    Column("alerts", is_number=True),
    Column("title", may_shrink=True),
    Column("services", may_shrink=True),
    Column("assignee"),
)


def _row(one: Incident) -> list[str | Text]:
    shown = one.services[:4]
    more = f" +{len(one.services) - len(shown)}" if len(one.services) > len(shown) else ""
    return [
        one.id,
        words.moment(one.started_at),
        _urgency(one.urgency),
        one.status,
        f"{one.firing}/{one.alerts}",
        harmless(one.title),
        harmless(", ".join(shown)) + more,
        harmless(one.assignee),
    ]


def _show(one: Incident, output: Output) -> int:
    if output.as_json:
        output.json(one)
        return Exit.OK
    rows: list[list[str | Text]] = [
        ["status", one.status],
        ["urgency", _urgency(one.urgency)],
        ["title", harmless(one.title)],
        ["began (UTC)", words.moment(one.started_at)],
        ["services", harmless(", ".join(one.services))],
        ["assignee", harmless(one.assignee) or "nobody"],
    ]
    if one.merged_into is not None:
        rows.append(["is now", one.merged_into])
    output.table([Column("incident"), Column(one.id, may_shrink=True)], rows)
    output.table(_ALERTS, [_alert(member) for member in one.members], title="alerts")
    return Exit.OK


_ALERTS: Final = (
    Column("id"),
    Column("began (UTC)"),
    Column("ended"),
    Column("urgency"),
    Column("rule"),
    Column("service"),
    Column("fired", is_number=True),
    Column("why", may_shrink=True),
)


def _alert(one: IncidentAlert) -> list[str | Text]:
    return [
        one.id,
        words.moment(one.started_at),
        "fires" if one.ended_at is None else words.moment(one.ended_at),
        _urgency(one.urgency),
        harmless(one.rule),
        harmless(one.service),
        str(one.firings),
        "speaks for all" if one.is_representative else _why(one.joined),
    ]


def _why(joined: Joined) -> str:
    named = ("time", "topology", "text", "labels")
    said = (f"{name} {getattr(joined, name):+.1f}" for name in named if getattr(joined, name))
    return f"{', '.join(said)}; {joined.hops} steps away"


def _timeline(entries: tuple[IncidentEvent, ...], output: Output) -> int:
    if output.as_json:
        output.json({"items": entries})
        return Exit.OK
    for one in entries:
        text = f": {harmless(one.text)}" if one.text else ""
        output.print(f"{words.moment(one.time)}  {one.what:<12}  {harmless(one.by)}{text}")
    return Exit.OK


def _told(done: list[Incident], output: Output) -> int:
    if output.as_json:
        output.json({"items": done})
        return Exit.OK
    for one in done:
        whose = f", {harmless(one.assignee)}'s" if one.assignee else ""
        into = f" into {one.merged_into}" if one.merged_into else ""
        output.print(f"{one.id}: {one.status}{into}{whose}, {one.firing} of {one.alerts} fire")
    return Exit.OK


def _urgency(word: str) -> Text:
    return Text(word, style=_STYLES.get(word, ""))
