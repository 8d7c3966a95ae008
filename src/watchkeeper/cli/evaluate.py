"""`watchkeeper evaluate`: a system is broken on purpose, and what is told of it is scored."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.text import Text

from watchkeeper.cli import connection, numbers, words
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Column, Output, harmless
from watchkeeper.clock import NS_PER_S, SystemClock
from watchkeeper.errors import ConfigError

if TYPE_CHECKING:
    from watchkeeper.evaluate.records import Run
    from watchkeeper.evaluate.scenarios import Scenario

_DAY_S: Final = 86_400


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("scenarios", nargs="?", type=Path, metavar="SCENARIOS.yaml",
        help="what to break and how; without it, only --merge is read")  # fmt: skip
    add("--server", dest="url", metavar="URL", help="the same as --url")
    add("--home", default="", metavar="DIR", help="what {home} in commands stands for")
    add("--runs", type=numbers.whole(1, 1000), default=1, metavar="N", help="so many runs, merged")
    add("--seed", type=numbers.whole(0), default=1, metavar="N",
        help="of the order and the intensities")  # fmt: skip
    add("--only", action="append", default=[], metavar="NAME",
        help="this scenario; may be repeated")  # fmt: skip
    seconds = numbers.amount(0, _DAY_S)
    add("--warm-up", type=seconds, default=600.0, metavar="S", help="watch before the first run")
    add("--cool-down", type=seconds, default=60.0, metavar="S", help="recover after each scenario")
    add("--merge", nargs="+", type=Path, default=[], metavar="FILE",
        help="count report.json of earlier runs as well")  # fmt: skip
    add("--report", type=Path, metavar="DIR", help="write report.json, report.md and pictures here")
    connection.arguments(parser)


def run(given: argparse.Namespace) -> int:
    from watchkeeper.evaluate import report, scenarios

    output = Output(as_json=given.json)
    runs = [run for file in given.merge for run in report.runs_of(_read(file), str(file))]
    if given.scenarios is not None:
        name = str(given.scenarios)
        listed = scenarios.read(_read(given.scenarios).decode("utf-8", "replace"), name)
        asked = scenarios.chosen(listed, given.only)
        if scenarios.needs_home(asked) and not given.home:
            raise ConfigError(f"{name}: commands name {{home}}; say --home DIR")
        for done in _runs(given, asked, output, tuple(runs)):
            runs.append(done)
            if given.report is not None:
                write(runs, given.report)  # at once: a later run may not come to its end
    if not runs:
        raise ConfigError("nothing to evaluate; name SCENARIOS.yaml, or --merge report.json")
    if given.report is not None:
        if given.scenarios is None:
            write(runs, given.report)
        output.say(f"written: {given.report / 'report.md'}")
    if output.as_json:
        output.json(report.as_json(runs))
    else:
        show(runs, output)
    return status(runs)


def status(runs: Sequence[Run]) -> Exit:
    """No, where there was nothing that counts."""
    from watchkeeper.evaluate.records import Outcome

    if runs[-1].interrupted:
        return Exit.STOPPED
    counted = any(one.outcome is Outcome.MANIFESTED for run in runs for one in run.attempts)
    return Exit.OK if counted else Exit.NO


class RealTime:
    """Time as it passes."""

    def __init__(self) -> None:
        self._clock = SystemClock()

    def now_s(self) -> float:
        return self._clock.now_ns() / NS_PER_S

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def _runs(
    given: argparse.Namespace, listed: Sequence[Scenario], output: Output, earlier: Sequence[Run]
) -> Iterator[Run]:
    """One after the other, until one is interrupted; what one had no time for comes first then.
    Those of earlier sittings count as if they had just been made."""
    from watchkeeper.evaluate.commands_stage import Interrupts
    from watchkeeper.evaluate.course_stage import Asked, Course
    from watchkeeper.evaluate.watch_stage import Watch

    def tell(text: str) -> None:
        moment = words.moment_of(pace.now_s())
        output.err.print(Text(f"{moment}  {harmless(text)}"), soft_wrap=True)

    pace, interrupts = RealTime(), Interrupts()
    asked = Asked(listed, given.seed, given.home, given.warm_up, given.cool_down)
    left_out = earlier[-1].left_out if earlier else ()
    first = 1 + len(earlier)
    with connection.connect(given, attempts=2) as client, interrupts.heard():
        client.health()
        for number in range(first, first + given.runs):
            course = Course(asked, Watch(client, pace, tell), pace, interrupts, tell)
            done = course.run(number, left_out)
            yield done
            if done.interrupted:
                return
            left_out = done.left_out
            asked = asked._replace(warm_up_s=given.cool_down)  # it is warm


def write(runs: Sequence[Run], folder: Path) -> None:
    """The report, and what it shows."""
    import msgspec

    from watchkeeper.evaluate import pictures, report
    from watchkeeper.evaluate.figures import figures

    drawn = {
        "detection-times.svg": ("Seconds to detection", pictures.detection_times(figures(runs)))
    }
    for number, one in enumerate(runs, 1):
        drawn[f"timeline-{number}.svg"] = (f"Run {number}", pictures.timeline(one))
        drawn[f"usage-{number}.svg"] = (f"CPU and memory in run {number}", pictures.usage(one))
    shows: Mapping[str, str] = {file: said for file, (said, _) in drawn.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, (_, picture) in drawn.items():
            (folder / file).write_text(picture, encoding="utf-8")
        (folder / "report.md").write_text(report.markdown(runs, shows), encoding="utf-8")
        (folder / "report.json").write_bytes(msgspec.json.encode(report.as_json(runs)))
    except OSError as error:
        raise ConfigError(f"--report: {folder}: {error.strerror}; name another folder") from error


def show(runs: Sequence[Run], output: Output) -> None:
    """For people: figures, then each scenario."""
    from watchkeeper.evaluate import report
    from watchkeeper.evaluate.figures import figures

    summary = figures(runs)
    columns = (Column("figure"), Column("value", is_number=True), Column("95 % bounds"))
    output.table(columns, [
        (said, "" if value is None else words.number(value),
         "" if bounds is None else f"{words.number(bounds[0])} to {words.number(bounds[1])}")
        for _, said, value, bounds in report.lines(summary)
    ])  # fmt: skip
    output.print()
    scenarios = (Column("scenario"), Column("what came of it"), Column("detected", is_number=True),
               Column("seconds"), Column("pages", is_number=True))  # fmt: skip
    output.table(scenarios, [
        (harmless(row.scenario),
         ", ".join(f"{n} {outcome.replace('_', ' ')}" for outcome, n in row.outcomes.items()),
         "" if row.fault_free else str(row.detected),
         ", ".join(f"{took_s:.1f}" for took_s in sorted(row.detect_s)),
         str(row.pages) if row.fault_free else "")
        for row in summary.rows
    ])  # fmt: skip


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; name a file that can be read") from error
