"""`watchkeeper detection`: the settings of a running server, and who speaks too often by them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from watchkeeper import cli
from watchkeeper.cli import connection, numbers, words
from watchkeeper.cli.exits import MEANINGS, Exit
from watchkeeper.cli.output import Column, Output, harmless
from watchkeeper.errors import ConfigError
from watchkeeper.sdk import Client, DetectionSettings, SettingChange


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    found = {}
    for name, says in {
        "show": "What is in force, or what was: the whole document.",
        "set": "Set the whole document from a file of YAML or JSON; in force at once.",
        "versions": "What was set when, and by whom.",
        "restore": "Set again what was in force then; 0 is the configuration file.",
        "noisy": "Who spoke too often this week, and what was held back.",
    }.items():
        verb = verbs.add_parser(
            name, help=says, description=says, epilog=MEANINGS, allow_abbrev=False
        )
        cli.add_everywhere(verb)
        connection.arguments(verb)
        found[name] = verb
    found["show"].add_argument(
        "--version", type=numbers.whole(0), metavar="N", help="what was in force as version N"
    )
    found["noisy"].add_argument(
        "--at-least",
        type=numbers.whole(1),
        default=3,
        metavar="N",
        help="anomalies of a week that make a series noisy (3)",
    )
    found["set"].add_argument("file", help="the document; - for standard input")
    found["set"].add_argument(
        "--dry-run", action="store_true", help="only check, and say what would change"
    )
    found["restore"].add_argument("version", type=numbers.whole(0), help="as `versions` shows it")
    for name in ("set", "restore"):
        found[name].add_argument(
            "--expected",
            type=numbers.whole(0),
            metavar="N",
            help="only if version N is in force",
        )


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    verbs = {
        "show": _show,
        "set": _set,
        "versions": _versions,
        "restore": _restore,
        "noisy": _noisy,
    }
    with connection.connect(given) as client:
        return verbs[given.verb](given, client, output)


def _show(given: argparse.Namespace, client: Client, output: Output) -> int:
    settings = client.detection(given.version)
    if output.as_json:
        output.json(settings)
        return Exit.OK
    output.say(f"version {settings.version}, {_whose(settings)}")
    print(_plain(json.dumps(settings.document, indent=2, sort_keys=True, ensure_ascii=False)))
    return Exit.OK


def _set(given: argparse.Namespace, client: Client, output: Output) -> int:
    settings = client.set_detection(
        _text(given.file), expected=given.expected, dry_run=given.dry_run
    )
    return _told(settings, output)


def _restore(given: argparse.Namespace, client: Client, output: Output) -> int:
    return _told(client.restore_detection(given.version, expected=given.expected), output)


def _told(settings: DetectionSettings, output: Output) -> int:
    if output.as_json:
        output.json(settings)
        return Exit.OK
    for change in settings.changed:
        output.print(harmless(_line(change)))
    if settings.dry_run:
        would = "would change" if settings.changed else "nothing would change"
        output.say(f"{would}; version {settings.version} stays in force")
    elif not settings.changed:
        output.say(f"nothing changed; version {settings.version} stays in force")
    else:
        output.say(f"version {settings.version}; `watchkeeper detection restore "
                   f"{settings.version - 1}` takes it back")  # fmt: skip
    return Exit.OK


def _versions(given: argparse.Namespace, client: Client, output: Output) -> int:
    found = client.detection_versions()
    if output.as_json:
        output.json({"items": found})
        return Exit.OK
    columns = [Column("version", is_number=True), Column("since (UTC)"), Column("by"),
               Column("what"), Column("position", is_number=True)]  # fmt: skip
    output.table(columns, [
        (str(one.version), "" if one.since is None else words.moment(one.since), harmless(one.by),
         harmless(one.action), str(one.position) if one.position else "")
        for one in found
    ])  # fmt: skip
    return Exit.OK


def _noisy(given: argparse.Namespace, client: Client, output: Output) -> int:
    found = client.noisy(at_least=given.at_least)
    if output.as_json:
        output.json(found)
        return Exit.OK
    if found.services:
        columns = [Column("service", may_shrink=True), Column("pages", is_number=True),
                   Column("held back", is_number=True), Column("last (UTC)")]  # fmt: skip
        output.table(columns, [
            (harmless(one.service), str(one.paged), str(one.held_back), words.moment(one.last_at))
            for one in found.services
        ])  # fmt: skip
    if found.series:
        columns = [Column("metric", may_shrink=True), Column("service"),
                   Column("anomalies", is_number=True), Column("evidence", is_number=True),
                   Column("last (UTC)"), Column("series")]  # fmt: skip
        output.table(columns, [
            (harmless(one.metric), harmless(one.service), str(one.anomalies), str(one.evidence),
             words.moment(one.last_at), one.series)
            for one in found.series
        ])  # fmt: skip
    if not found.services and not found.series:
        output.say(f"nobody spoke too often since {words.moment(found.since)}")
    return Exit.OK


def _plain(document: str) -> str:
    """JSON that says the same, without a sign that steers a terminal."""
    return "".join(
        sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1] for sign in document
    )


def _whose(settings: DetectionSettings) -> str:
    if settings.since is None:
        return "as the configuration file says"
    back = ", back to the configuration file" if settings.source == "file" else ""
    return f"since {words.moment(settings.since)} by {harmless(settings.by)}{back}"


def _line(change: SettingChange) -> str:
    return f"{change.path}: {_short(change.before)} -> {_short(change.after)}"


def _short(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}; name a text file, or -") from error
