"""What the demo says as it goes, each line with its time: of the demo, then of the fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from watchkeeper.cli import words
from watchkeeper.cli.demo.verdict import Sense, Verdict
from watchkeeper.cli.output import Output, harmless
from watchkeeper.evaluate.records import Found
from watchkeeper.evaluate.scenarios import Scenario
from watchkeeper.evaluate.watch_stage import Pace
from watchkeeper.sdk import FoundSpan

WIDTH: Final = 100
_STAMP: Final = 14
_PAGE: Final = "bold white on red"


class Narrator:
    """Nothing is said to programs."""

    def __init__(self, output: Output, pace: Pace) -> None:
        self.output = output
        for console in (output.err, output.out):
            if console.width > WIDTH or not console.is_terminal:
                console.width = WIDTH
        self._pace = pace
        self._began_s = pace.now_s()
        self._fault_s: float | None = None

    def begin(self, at_s: float) -> None:
        """From here on seconds are those of the fault."""
        self._fault_s = at_s

    def say(self, text: str | Text, style: str = "") -> None:
        """With the time, the continued lines below the first."""
        self._line(self._stamp(), text, style)

    def add(self, text: str | Text, style: str = "dim") -> None:
        """To what was said last."""
        self._line("", text, style)

    def page(self, found: Found) -> None:
        head = Text.assemble((" PAGE ", _PAGE), "  ", (f"{found.service}: {found.metric}", "bold"))
        self.say(head)
        self.add(harmless(found.explanation))

    def _stamp(self) -> str:
        now_s = self._pace.now_s()
        if self._fault_s is None:
            return f"{now_s - self._began_s:.1f} s"
        return f"fault {now_s - self._fault_s:+.1f} s"

    def _line(self, stamp: str, text: str | Text, style: str) -> None:
        if self.output.as_json:
            return
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", width=_STAMP, style="cyan", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row(stamp, text if isinstance(text, Text) else Text(text, style=style))
        self.output.err.print(table)


def card(scenario: Scenario, verdict: Verdict, course: str) -> Panel:
    """What was done, what was found of it, and what to think of that."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for name, text in _rows(scenario, verdict):
        rows.add_row(name, harmless(text))
    if course:
        rows.add_row("its course", Text(course, style="bold red"))
    style = "green" if verdict.is_true else "red"
    said = "what it found is true" if verdict.is_true else "what it found is not true"
    title = Text(said, style=f"bold {style}")
    return Panel(rows, title=title, border_style=style)


def _rows(scenario: Scenario, verdict: Verdict) -> list[tuple[str, str]]:
    whose = " and ".join(scenario.truth.services) or "nobody's"
    rows = [("the truth", scenario.says or scenario.name),
            ("whose fault", f"{whose} ({scenario.truth.kind})")]  # fmt: skip
    for n, one in enumerate(verdict.findings):
        about = f"{one.page.service}, {one.page.metric}, after {one.took_s:.1f} s: {one.sense}"
        if one.sense is Sense.BEFORE:
            about = f"{one.page.service}, {one.page.metric}: {one.sense}"
        rows.append(("" if n else "found", about))
    if not verdict.findings:
        rows.append(("found", "nothing that pages"))
    return [*rows, ("so", verdict.says)]


def failure(spans: Sequence[FoundSpan]) -> str:
    """A trace that failed, from who was asked to where it began: who has no part of it that failed
    is left out."""
    failing = [one for one in spans if one.status == "error" and one.kind in ("server", "")]
    if not failing:
        return ""
    failing.sort(key=lambda one: one.start)
    steps = [f"{one.service} {one.name}" for one in failing]
    said = f": {failing[-1].message}" if failing[-1].message else ""
    return " > ".join(steps) + said


def lasting(seconds: float) -> str:
    return words.lasting(max(0.001, seconds))
