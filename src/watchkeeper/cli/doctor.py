"""`watchkeeper doctor`: look at everything an installation needs, and say what to do."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from rich.text import Text

from watchkeeper.cli import config as config_command
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.findings import Finding, State
from watchkeeper.cli.output import Output, Steps
from watchkeeper.clock import SystemClock
from watchkeeper.errors import ConfigError

_SIGNS = {
    State.OK: ("ok", "green"),
    State.WARN: ("warn", "yellow"),
    State.BAD: ("BAD", "bold red"),
    State.SKIPPED: ("-", "dim"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    config_command.sources(parser)
    parser.add_argument("--data-dir", metavar="DIR", help="where everything is kept (data_dir)")
    parser.add_argument(
        "--quick", action="store_true", help="do not read the whole log and all segments"
    )


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    found = []
    with output.progress("looking", 1.0) as steps:
        for finding in _examine(given, steps):
            found.append(finding)
            if not output.as_json:
                output.print(_line(finding))
    n_bad = sum(finding.state is State.BAD for finding in found)
    if output.as_json:
        output.json({"ok": not n_bad, "findings": found})
    else:
        output.print(f"{n_bad} to be put right" if n_bad else "nothing to be put right")
    return Exit.NO if n_bad else Exit.OK


def _examine(given: argparse.Namespace, steps: Steps) -> Iterator[Finding]:
    # Reads what the server writes, so it needs the server's imports; --help and completions do not.
    from watchkeeper.cli import checks

    try:
        loaded = config_command.loaded(given, data_dir=given.data_dir)
    except ConfigError as error:
        for fault in error.faults:
            yield Finding("configuration", State.BAD, fault, "`watchkeeper config check` again")
        return
    config = loaded.config
    yield Finding("configuration", State.OK, str(loaded.file or "no file, defaults only"))
    yield from checks.folder(config)
    yield from checks.key(config)
    yield from checks.space(config)
    yield from checks.sync(config)
    yield from checks.port(config)
    yield from checks.peers(config)
    yield from checks.clock(config, SystemClock())
    yield from checks.limits()
    yield from checks.compiled()
    if not given.quick:
        yield from checks.log(config, lambda share: steps.to(share, "the log"))
        yield from checks.catalog(config)
        yield from checks.lake(config, lambda share: steps.to(share, "the lake"))
        yield from checks.tables(config, lambda share: steps.to(share, "the tables"))
    yield from checks.state(config)
    yield from checks.settings(config)


def _line(finding: Finding) -> Text:
    sign, style = _SIGNS[finding.state]
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    return Text.assemble(
        (f"{sign:<5}", style), f"{finding.name:<15} ", finding.detail, (remedy, "bold")
    )
