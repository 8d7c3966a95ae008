"""The `watchkeeper` command. Light on purpose: a command's own imports wait until it is called."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, cast

from watchkeeper.cli import interrupts
from watchkeeper.cli.exits import MEANINGS, Exit, exit_of
from watchkeeper.errors import ConfigError, WatchkeeperError


class Command(Protocol):
    """What a command's module offers."""

    def arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, given: argparse.Namespace) -> int: ...


@dataclass(frozen=True, slots=True)
class _Entry:
    says: str
    module: str
    has_verbs: bool = False
    """Its verbs take the flags that every command takes, and not the command before them."""


COMMANDS: Final = {
    "run": _Entry("Start the server.", "run"),
    "demo": _Entry("Show it at work: a real shop is broken, and it tells what it sees.", "demo"),
    "send": _Entry("Send samples from a file, standard input, or generated.", "send"),
    "query": _Entry("Read samples: select, fold over time, fold across series.", "query"),
    "logs": _Entry("Search log lines by words, labels, severity and trace.", "logs"),
    "templates": _Entry("List what log lines have in common, by service.", "templates"),
    "traces": _Entry("List traces, or show one as a tree.", "traces"),
    "anomalies": _Entry("List anomalies, or follow them as they come.", "anomalies"),
    "incidents": _Entry("List incidents, show one, and handle them.", "incidents", has_verbs=True),
    "detection": _Entry("Show, set and take back how is judged.", "detection", has_verbs=True),
    "causes": _Entry("Say why something is the matter, with the evidence.", "causes"),
    "topology": _Entry("Show who depends on whom; say more of it.", "topology", has_verbs=True),
    "slos": _Entry("List what services promise, and what is left of it.", "slos"),
    "maintenance": _Entry("Let detection be quiet for a while.", "maintenance", has_verbs=True),
    "sources": _Entry("Who sends, what was not taken and why; send a test event.", "sources"),
    "replay": _Entry("Judge what is recorded by other settings, and compare.", "replay"),
    "evaluate": _Entry("Break a system on purpose, and score what is told of it.", "evaluate"),
    "import": _Entry("Learn from the history of a Prometheus.", "import_"),
    "doctor": _Entry("Check this installation, and say what to do about it.", "doctor"),
    "config": _Entry("Check, show and describe the configuration.", "config", has_verbs=True),
    "keys": _Entry("Make, list and revoke the keys of programs.", "keys", has_verbs=True),
    "users": _Entry("Let people in, list them, disable them.", "users", has_verbs=True),
    "audit": _Entry("Who changed what, and is the trail whole.", "audit", has_verbs=True),
    "compile": _Entry("Compile what serves, so that no first request waits for it.", "compile"),
    "completions": _Entry("Print the completion script of a shell.", "completions"),
    "version": _Entry("Say which version this is.", "version"),
}


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands, or of one (the others then take no arguments)."""
    parser = argparse.ArgumentParser(
        prog="watchkeeper",
        description="Watchkeeper: a self-hosted AIOps engine.",
        epilog=MEANINGS,
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, entry in COMMANDS.items():
        command = subparsers.add_parser(
            name, help=entry.says, description=entry.says, epilog=MEANINGS, allow_abbrev=False
        )
        if only in (None, name):
            _load(name).arguments(command)
            if not entry.has_verbs:
                add_everywhere(command)
    return parser


def add_everywhere(parser: argparse.ArgumentParser) -> None:
    """The flags that every command takes."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--debug", action="store_true", help="print the traceback of an error")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    name = next((word for word in words if not word.startswith("-")), "")
    given = build_parser(only=name).parse_args(words)
    previous = sys.excepthook
    if not given.debug:
        sys.excepthook = _mistake
    status = _run(name, given)
    sys.excepthook = previous
    return status


def _run(name: str, given: argparse.Namespace) -> int:
    command = _load(name)
    try:
        if name == "run":  # a server has signals of its own
            return command.run(given)
        with interrupts.heard():
            return command.run(given)
    except WatchkeeperError as error:
        if given.debug:
            raise
        _tell(name, error, as_json=given.json)
        return exit_of(error)
    except KeyboardInterrupt:
        return Exit.STOPPED
    except BrokenPipeError:  # whoever read us, such as `head`, has seen enough
        # What is still buffered goes nowhere, or the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


def _load(name: str) -> Command:
    return cast("Command", importlib.import_module(f"watchkeeper.cli.{COMMANDS[name].module}"))


def _tell(name: str, error: WatchkeeperError, *, as_json: bool) -> None:
    faults = error.faults if isinstance(error, ConfigError) else [str(error)]
    if as_json:
        kind = type(error).__name__
        print(json.dumps({"error": {"kind": kind, "messages": faults}}), file=sys.stderr)
        return
    for fault in faults:
        print(f"watchkeeper {name}: {fault}", file=sys.stderr)


def _mistake(kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    print(
        f"watchkeeper: a mistake of ours: {kind.__name__}: {error}; "
        "run it again with --debug and report what it prints",
        file=sys.stderr,
    )
