"""What is kept of runs: JSON that can be merged with later runs, and a page for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from watchkeeper.errors import ConfigError
from watchkeeper.evaluate.figures import BASELINES, Figures, Row, figures
from watchkeeper.evaluate.matching import judge
from watchkeeper.evaluate.records import Outcome, Run
from watchkeeper.evaluate.statistics import Rate, Share

_FORMAT: Final = 1
_MIB: Final = 2**20


class _Kept(msgspec.Struct, frozen=True):
    format: int
    runs: tuple[Run, ...]


_reports: Final = msgspec.json.Decoder(_Kept)


def as_json(runs: Sequence[Run]) -> dict[str, Any]:
    """Figures for who reads them; the runs, so that figures can be made of more of them."""
    summary = figures(runs)
    return {
        "format": _FORMAT,
        "figures": {name: value for name, _, value, _ in lines(summary)}
        | {f"{name}_bounds": bounds for name, _, _, bounds in lines(summary) if bounds},
        "scenarios": msgspec.to_builtins(summary.rows),
        "runs": msgspec.to_builtins(runs),
    }


def runs_of(body: bytes, name: str) -> tuple[Run, ...]:
    """The runs of a former report."""
    try:
        kept = _reports.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--merge: {name} is no report ({error}); name a report.json of an earlier run"
        ) from error
    if kept.format != _FORMAT:
        raise ConfigError(
            f"--merge: {name} has the format {kept.format}, and {_FORMAT} is known; "
            "merge with the release that wrote it"
        )
    return kept.runs


Bounds = tuple[float, float] | None


def lines(summary: Figures) -> list[tuple[str, str, float | None, Bounds]]:
    """Every figure: its name, what it says, its value, and its bounds where it has such."""
    told: list[tuple[str, str, float | None, Bounds]] = [
        ("runs", "runs", summary.runs, None),
        ("scenarios", "faults that users felt", summary.scenarios, None),
        ("detected", "of these: detected, by a page", *_share(summary.detected)),
        ("told", "of these: told, as evidence at least", *_share(summary.told)),
        ("detect_p50_s", "seconds to the page, half of them", summary.detect_p50_s, None),
        ("detect_p95_s", "seconds to the page, 95 % of them", summary.detect_p95_s, None),
        ("false", "false pages", summary.false.n, None),
        ("fault_free_hours", "hours without a fault", summary.false.hours, None),
        ("false_per_hour", "false pages an hour", *_rate(summary.false)),
        ("stretches", "fault-free stretches", summary.stretches.of, None),
        ("stretches_paged", "of these: with a page", *_share(summary.stretches)),
    ]
    for name in BASELINES:
        said, cause = name.replace("_", " "), summary.causes[name]
        told.append((f"{name}_top1", f"cause is first, by {said}", *_share(cause.top1)))
        told.append((f"{name}_top3", f"cause among three, by {said}", *_share(cause.top3)))
    memory = None if summary.resident_bytes is None else summary.resident_bytes / _MIB
    told.append(("cpu_cores", "cores that the server took", summary.cpu_share, None))
    told.append(("memory_mib", "MiB that the server held, at most", memory, None))
    return told


def markdown(runs: Sequence[Run], pictures: Mapping[str, str]) -> str:
    """The page; `pictures` are file -> what it shows."""
    summary = figures(runs)
    when = ", ".join(f"{_moment(run.begun_s)} ({run.server}, seed {run.seed})" for run in runs)
    parts = ["# How good detection is here", "", f"Runs: {when}.", ""]
    parts += _table(("figure", "is", "95 % bounds"), (
        (said, _number(value), _bounds(bounds)) for _, said, value, bounds in lines(summary)
    ))  # fmt: skip
    parts += ["A fault counts if users felt it. It is detected if something paged in its time "
              "that had not before; times are of those that were.", ""]  # fmt: skip
    for file, shows in pictures.items():
        parts += [f"![{shows}]({file})", ""]
    parts += ["## Faults", "", *_faults(summary), *_stretches(summary), *_false(runs)]
    parts += _uncounted(runs)
    return "\n".join(parts).rstrip() + "\n"


def _faults(summary: Figures) -> Iterable[str]:
    head = ("scenario", "kind", "service", "felt", "detected", "seconds", *BASELINES)
    rows = (_fault(row) for row in summary.rows if not row.fault_free)
    return _table(tuple(name.replace("_", " ") for name in head), rows)


def _fault(row: Row) -> tuple[str, ...]:
    felt = row.outcomes.get(Outcome.MANIFESTED, 0)
    took = ", ".join(f"{seconds:.1f}" for seconds in sorted(row.detect_s))
    causes = (f"{row.top1[name]} of {felt}" if row.services else "" for name in BASELINES)
    services = ", ".join(row.services)
    return (row.scenario, row.kind, services, str(felt), str(row.detected), took, *causes)


def _stretches(summary: Figures) -> Iterable[str]:
    rows = [
        (row.scenario, str(row.outcomes.get(Outcome.MANIFESTED, 0)), str(row.pages))
        for row in summary.rows
        if row.fault_free
    ]
    return ["## Stretches without a fault", "", *_table(("stretch", "times", "pages"), rows)] \
        if rows else []  # fmt: skip


def _false(runs: Sequence[Run]) -> Iterable[str]:
    rows = [
        (_moment(one.seen_s if one.paged_s is None else one.paged_s), one.service, one.explanation)
        for run in runs
        for one in judge(run).false
    ]
    return ["## False pages", "", *_table(("at", "service", "said"), rows)] if rows else []


def _uncounted(runs: Sequence[Run]) -> Iterable[str]:
    rows = [
        (one.scenario, str(one.outcome), one.reason)
        for run in runs
        for one in run.attempts
        if one.outcome is not Outcome.MANIFESTED
    ]
    rows += [(name, "left out", "no time in this run") for run in runs for name in run.left_out]
    return ["## Not counted", "", *_table(("scenario", "why", "said"), rows)] if rows else []


def _share(share: Share) -> tuple[float | None, Bounds]:
    return share.value, share.bounds if share.of else None


def _rate(rate: Rate) -> tuple[float | None, Bounds]:
    return rate.value, rate.bounds if rate.hours else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _bounds(bounds: Bounds) -> str:
    return "" if bounds is None else f"{bounds[0]:.3g} to {bounds[1]:.3g}"


def _moment(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """What a sender wrote is no column and no line of ours."""
    told = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        cells = (" ".join(cell.split()).replace("|", r"\|") for cell in row)
        told.append(f"| {' | '.join(cells)} |")
    return [*told, ""]
