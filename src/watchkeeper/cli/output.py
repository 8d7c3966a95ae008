"""What a command prints: data on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

_AS_IT_IS: Final[Mapping[str, Any]] = {"highlight": False, "markup": False, "emoji": False}
"""Labels are whatever a sender says: a bracket or a colon in them is no command to the printer."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    is_number: bool = False
    may_shrink: bool = False


class Output:
    """For people, or with `as_json` for programs. Colour follows the terminal and NO_COLOR."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.out = Console(soft_wrap=not sys.stdout.isatty(), **_AS_IT_IS)
        self.err = Console(stderr=True, **_AS_IT_IS)

    def json(self, value: Any) -> None:
        """One line of JSON."""
        print(msgspec.json.encode(value, enc_hook=str).decode(), flush=True)

    def print(self, *parts: Any) -> None:
        """Data for people."""
        self.out.print(*parts)

    def say(self, text: str, style: str = "") -> None:
        """A remark beside the data."""
        if not self.as_json:
            self.err.print(Text(text, style=style))

    def table(
        self, columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], title: str = ""
    ) -> None:
        """A table for people; one that fits the terminal, and is not cut where there is none."""
        table = Table(box=None, title=title or None, title_justify="left", pad_edge=False)
        for column in columns:
            table.add_column(
                column.name,
                justify="right" if column.is_number else "left",
                no_wrap=not column.may_shrink,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*row)
        if self.out.is_terminal:
            self.out.print(table)
        else:
            Console(file=sys.stdout, width=10_000, **_AS_IT_IS).print(table)

    @contextmanager
    def progress(self, task: str, total: float | None) -> Iterator[Steps]:
        """A bar with the time that is left; silent for programs and without a terminal."""
        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn() if total and total < 1e6 else TextColumn("{task.percentage:.0f}%"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.err,
            disable=self.as_json or not self.err.is_terminal,
            transient=True,
        )
        with bar:
            yield Steps(bar, bar.add_task(task, total=total, note=""))


class Steps:
    """How far a task has come."""

    def __init__(self, bar: Progress, task: Any) -> None:
        self._bar = bar
        self._task = task

    def to(self, done: float, note: str = "") -> None:
        self._bar.update(self._task, completed=done, note=note)


def labels_text(labels: Mapping[str, str]) -> str:
    """As a selector that may be asked for as it is: name{a="b"}."""
    inside = ", ".join(f"{name}={_quoted(value)}" for name, value in sorted(labels.items())
                       if name != "__name__")  # fmt: skip
    metric = labels.get("__name__", "")
    return f"{metric}{{{inside}}}" if inside or not metric else metric


def harmless(text: str) -> str:
    """What a sender wrote, without what would steer a terminal; lines stay lines."""
    return "".join(
        one if one.isprintable() or one == "\n" else "  " if one == "\t" else _escaped(ord(one))
        for one in text
    )


def _quoted(value: str) -> str:
    """In the escapes that selectors know; what would steer a terminal is one of them."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else _escaped(ord(one)) for one in text)


def _escaped(number: int) -> str:
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
