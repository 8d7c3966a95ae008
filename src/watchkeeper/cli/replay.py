"""`watchkeeper replay`: what is recorded is judged once more, by other settings, and compared."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchkeeper.cli import times, words
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Column, Output, harmless, labels_text
from watchkeeper.clock import NS_PER_S, SystemClock
from watchkeeper.errors import ConfigError

if TYPE_CHECKING:  # the server's imports take a second, which --help need not spend
    from watchkeeper.analyze.difference import Difference
    from watchkeeper.parts.replay import Outcome, Run

_LIMIT = 40
KINDS = ("same", "earlier", "later", "more", "fewer", "severity", "changed")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="since", metavar="TIME", help="begin here: 6h (ago), a date (the earliest)"
    )
    parser.add_argument(
        "--to", dest="until", metavar="TIME", help="end here: 1h (ago), a date (now)"
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the settings to try: a configuration, or its `detection:` alone; without it, those "
        "that were in force",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="of the installation (data_dir)")
    parser.add_argument(
        "--expect",
        choices=("same",),
        help="exit with status 1 where anything differs",
    )
    parser.add_argument(
        "--all", action="store_true", help=f"print every difference, not the first {_LIMIT}"
    )


def run(given: argparse.Namespace) -> int:
    from watchkeeper.config.loading import load, section
    from watchkeeper.parts import replay

    output = Output(as_json=given.json)
    now_ns = SystemClock().now_ns()
    flags = {} if given.data_dir is None else {"data_dir": (given.data_dir, "--data-dir")}
    config = load(None, flags=flags).config
    asked = replay.Asked(
        from_ns=_time_ns(given.since, "--from", now_ns),
        to_ns=_time_ns(given.until, "--to", now_ns),
        detection=None if given.config is None else section(given.config, "detection"),
    )
    with output.progress("replaying", 1.0) as steps:
        outcome = asyncio.run(
            replay.replay(config, asked, lambda run: steps.to(run.share, _speed(run)))
        )
    if output.as_json:
        output.json(as_json(outcome))
    else:
        show(outcome, output, None if given.all else _LIMIT)
    return status(given, outcome)


def status(given: argparse.Namespace, outcome: Outcome) -> Exit:
    """No, only where somebody expected something."""
    differs = any(one.kind != "same" for one in outcome.differences)
    return Exit.NO if given.expect and differs else Exit.OK


def _time_ns(text: str | None, name: str, now_ns: int) -> int | None:
    if text is None:
        return None
    time_ns = round(times.time_s(text, name, now_ns=now_ns) * NS_PER_S)
    if name == "--from" and time_ns > now_ns:
        raise ConfigError(f"{name}: {text} is yet to come; begin at a time that is recorded: 6h")
    return time_ns


def _speed(run: Run) -> str:
    """`2.1M samples of 7d in 41s`."""
    length = words.lasting(max(0, run.newest_ns - run.oldest_ns) / NS_PER_S)
    return f"{words.number(run.n_samples)} samples of {length} in {words.lasting(run.took_s)}"


# For people.


def show(outcome: Outcome, output: Output, limit: int | None) -> None:
    output.say(f"replayed {_speed(outcome.run)}; {_begin(outcome)}", "dim")
    if outcome.run.n_missing:
        output.say(f"{outcome.run.n_missing} damaged records are missing", "yellow")
    if not outcome.differences:
        output.say("no anomalies, then or now")
        return
    counted = by_service(outcome.differences)
    columns = [Column("service"), Column("class"), Column("detector")]
    columns += [Column(kind, is_number=True) for kind in KINDS]
    output.table(columns, [
        (*map(harmless, key), *_numbers(count)) for key, count in counted.items()
    ])  # fmt: skip
    told = [one for one in outcome.differences if one.kind != "same"]
    if told:
        output.print()
        output.table(_COLUMNS, [_row(one) for one in told[:limit]])
    if limit is not None and len(told) > limit:
        output.say(f"the first {limit} of {len(told)}; --all prints every one")


def _begin(outcome: Outcome) -> str:
    snapshot = outcome.begin.snapshot
    if snapshot is None:
        return "from the beginning of the record, where nothing was known"
    return f"with what was known at {words.moment_of(snapshot.taken_ns / NS_PER_S)}"


def by_service(found: Sequence[Difference]) -> dict[tuple[str, str, str], Counter[str]]:
    """(service, class, detector) -> how many of each kind."""
    counted: dict[tuple[str, str, str], Counter[str]] = {}
    for one in found:
        anomaly = one.anomaly
        key = (anomaly.entity.service, str(anomaly.metric_class), anomaly.detector)
        counted.setdefault(key, Counter())[one.kind] += 1
    return dict(sorted(counted.items()))


def _numbers(count: Mapping[str, int]) -> list[str]:
    return [str(count[kind] or "") for kind in KINDS]


_COLUMNS = (
    Column("what"),
    Column("began (UTC)"),
    Column("now"),
    Column("severity"),
    Column("series", may_shrink=True),
    Column("value", is_number=True),
    Column("by"),
    Column("id", may_shrink=True),
)


def _row(one: Difference) -> tuple[str, ...]:
    before, after = one.before, one.after
    severities = [str(side.severity) for side in (before, after) if side is not None]
    return (
        one.kind,
        "" if before is None else words.moment_of(before.started_ns / NS_PER_S),
        "" if after is None else _shift(one),
        " > ".join(dict.fromkeys(severities)),
        labels_text(one.anomaly.labels),
        words.number(one.anomaly.value),
        one.anomaly.detector,
        one.anomaly.id,
    )


def _shift(one: Difference) -> str:
    """When it begins now; by how much that is another time."""
    assert one.after is not None  # noqa: S101 - the caller has looked
    if one.before is None:
        return words.moment_of(one.after.started_ns / NS_PER_S)
    shift_s = (one.after.started_ns - one.before.started_ns) / NS_PER_S
    return f"{'-' if shift_s < 0 else '+'}{words.lasting(abs(shift_s))}" if shift_s else ""


# For programs.


def as_json(outcome: Outcome) -> dict[str, Any]:
    from watchkeeper.api.anomalies import to_json
    from watchkeeper.api.times import iso

    run, snapshot = outcome.run, outcome.begin.snapshot
    counted = by_service(outcome.differences)
    total: Counter[str] = sum(counted.values(), Counter())
    return {
        "from": iso(outcome.from_ns) if outcome.from_ns else None,
        "reached": iso(run.now_ns),
        "position": run.position,
        "knew": None if snapshot is None else iso(snapshot.taken_ns),
        "records": run.n_records,
        "samples": run.n_samples,
        "missing": run.n_missing,
        "oldest": iso(run.oldest_ns) if run.n_samples else None,
        "newest": iso(run.newest_ns) if run.n_samples else None,
        "took_s": run.took_s,
        "counts": {kind: total[kind] for kind in KINDS},
        "services": [
            dict(zip(("service", "class", "detector"), key, strict=True))
            | {kind: count[kind] for kind in KINDS}
            for key, count in counted.items()
        ],
        "differences": [
            {
                "kind": one.kind,
                "before": None if one.before is None else to_json(one.before),
                "after": None if one.after is None else to_json(one.after),
            }
            for one in outcome.differences
            if one.kind != "same"
        ],
    }
