"""Labelled data from files. A format is known by its columns, never by a name of a data set.

Labelled series: Parquet files with the columns `timestamp` (epoch seconds, or a date and time),
`value` (NaN where a value is missing) and `label` (not 0 where it is strange), and one more column
that names the series.

Windowed series: Parquet files with the columns `file`, `timestamp` and `value`, and beside them
`labels/combined_windows.json`: file -> list of [first, last] timestamps.

Labelled rows, of several series at once. Either Parquet files, one for each machine, with the
columns `test` (0 in its history, 1 where it is judged) and `label`, and a column for each series, a
row per minute; or one with the columns `file` (which run of a machine), `timestamp` and `anomaly`,
a column for each series, and perhaps `changepoint`; the first 400 rows of a run are its history.

Labelled lines: Parquet files with the columns `system`, `content` and `event_id`, the statement
that printed the line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from quality.suite import Unmeasurable
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import F64, I64, Mask

WINDOWS: Final = Path("labels") / "combined_windows.json"
START_NS: Final = 1_700_006_400 * NS_PER_S
MINUTE_NS: Final = 60 * NS_PER_S
"""When rows begin and how they follow that have no time of their own."""
N_HISTORY: Final = 400
"""Of a run, where the file does not say."""


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """One series, and which of its points people called strange."""

    name: str
    time_ns: I64
    value: F64
    strange: Mask

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True, slots=True)
class WindowedSeries:
    """One series, and the stretches in which an alarm is right: first and last row."""

    name: str
    time_ns: I64
    value: F64
    windows: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Several series of one machine, a row per time, and which rows people called strange."""

    name: str
    time_ns: I64
    rows: F64
    strange: Mask
    n_history: int
    """Rows to learn from, at the beginning."""

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class LabelledLines:
    """Lines of one program, and which statement printed each."""

    name: str
    lines: list[str]
    statements: list[str]


def folder_for(suite: str, data: Path | None) -> Path:
    """The folder that was given, or the one within it that is called as the suite is."""
    if data is None:
        raise Unmeasurable(f"{suite} needs labelled data: give --data a folder of it")
    if not data.is_dir():
        raise Unmeasurable(f"no folder {data}: give --data a folder of labelled data")
    return data / suite if (data / suite).is_dir() else data


def labelled_series(folder: Path) -> list[LabelledSeries]:
    """Every series of the folder, in order of name, each in order of time."""
    told = {"timestamp", "value", "label"}
    return [
        LabelledSeries(name, time_ns, value, label != 0)
        for name, (time_ns, value, label) in _columns(folder, ("timestamp", "value", "label"), told)
    ]


def windowed_series(folder: Path) -> list[WindowedSeries]:
    """Every series of the folder, in order of name, each in the order of its file."""
    file = folder / WINDOWS
    if not file.is_file():
        raise Unmeasurable(f"no {WINDOWS} in {folder}: it says in which windows an alarm is right")
    windows = json.loads(file.read_text(encoding="utf-8"))
    found = []
    for name, (time_ns, value) in _columns(folder, ("timestamp", "value"), {"timestamp", "value"}):
        if name not in windows:
            raise Unmeasurable(f"{file}: says nothing of '{name}'; an empty list is an answer")
        rows = tuple(_rows(time_ns, window, name) for window in windows[name])
        found.append(WindowedSeries(name, time_ns, value, rows))
    return found


def labelled_machines(folder: Path) -> list[LabelledRows]:
    """A machine per file, in order of its name."""
    told = {"test", "label"}
    files = [one for one in sorted(folder.glob("*.parquet")) if told <= _names(one)]
    found = []
    for file in files:
        table = pq.read_table(file)
        tested = _plain(table.column("test")) != 0.0
        order = np.argsort(tested, kind="stable")
        time_ns = START_NS + np.arange(len(order)) * MINUTE_NS
        strange = (_known(table.column("label")) != 0.0) & tested
        n_history = int(np.count_nonzero(~tested))
        found.append(
            LabelledRows(
                file.stem, time_ns, _members(table, told)[order], strange[order], n_history
            )
        )
    if not found:
        raise Unmeasurable(f"no Parquet file in {folder} has the columns {sorted(told)}")
    return found


def labelled_runs(folder: Path) -> list[LabelledRows]:
    """A run per name in `file`; those in which nothing was called strange are left out."""
    told = {"file", "timestamp", "anomaly"}
    table = _table(folder, lambda names: told <= names)
    names, group = np.unique(table.column("file").to_numpy(), return_inverse=True)
    time_ns = _nanoseconds(table.column("timestamp"))
    rows = _members(table, told | {"changepoint"})
    strange = _known(table.column("anomaly")) != 0.0
    found = []
    for i, name in enumerate(names):
        own = np.flatnonzero(group == i)
        own = own[np.argsort(time_ns[own], kind="stable")]
        if strange[own].any():
            found.append(LabelledRows(str(name), time_ns[own], rows[own], strange[own], N_HISTORY))
    return found


def labelled_lines(folder: Path) -> list[LabelledLines]:
    """The lines of every program, in order of its name."""
    table = _table(folder, lambda names: {"system", "content", "event_id"} <= names)
    systems = table.column("system").to_pylist()
    found = []
    for name in sorted(set(systems)):
        own = table.filter(pc.equal(table.column("system"), name))
        found.append(
            LabelledLines(
                name, own.column("content").to_pylist(), own.column("event_id").to_pylist()
            )
        )
    return found


def _columns(
    folder: Path, wanted: tuple[str, ...], told: set[str]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """By series: its columns as numpy arrays, the first as nanoseconds."""
    table = _table(folder, lambda names: told <= names and len(names) == len(told) + 1)
    (by,) = set(table.column_names) - told
    keys = table.column(by).cast(pa.string()).to_numpy()
    columns = [_nanoseconds(table.column(wanted[0]))]
    columns += [_plain(table.column(name)) for name in wanted[1:]]
    names, group = np.unique(keys, return_inverse=True)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group))
    for name, rows in zip(names, np.split(order, ends[:-1]), strict=True):
        yield str(name), tuple(column[rows] for column in columns)


def _table(folder: Path, fits: Callable[[set[str]], bool]) -> pa.Table:
    files = [one for one in sorted(folder.glob("*.parquet")) if fits(_names(one))]
    if not files:
        raise Unmeasurable(f"no Parquet file in {folder} has the columns that quality/data.py says")
    return pa.concat_tables([pq.read_table(one) for one in files], promote_options="permissive")


def _names(file: Path) -> set[str]:
    return set(pq.read_schema(file).names)


def _nanoseconds(column: pa.ChunkedArray[Any]) -> I64:
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("ns")).to_numpy().astype(np.int64)
    return column.to_numpy().astype(np.int64) * NS_PER_S


def _members(table: pa.Table, told: set[str]) -> F64:
    """The columns that are series, in order of their names."""
    names = sorted(set(table.column_names) - told)
    return np.stack([_plain(table.column(name)) for name in names], axis=1)


def _known(column: pa.ChunkedArray[Any]) -> F64:
    """Where nothing is said, 0."""
    return np.nan_to_num(_plain(column))


def _plain(column: pa.ChunkedArray[Any]) -> F64:
    return column.cast(pa.float64()).to_numpy().astype(np.float64)


def _rows(time_ns: I64, window: list[str], name: str) -> tuple[int, int]:
    """The first rows that bear the timestamps of a window."""
    found = []
    for stamp in window:
        at = np.flatnonzero(time_ns == np.datetime64(stamp, "ns").astype(np.int64))
        if len(at) == 0:
            raise Unmeasurable(f"{WINDOWS}: '{name}' has no point at {stamp}")
        found.append(int(at[0]))
    return found[0], found[1]
