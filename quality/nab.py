"""NAB: alarms within windows, early ones first, on one dial for a whole corpus of files.

The dial is one setting of the detector, its budget or its threshold, the same for every file.
`split_half` is the standard score with the dial set on one half of the files and scored on the
other, so that no file has a say in its own score: the mean over four ways to halve each folder,
both ways round. The figures of `tuned` are of REX as it was fitted to these very files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from bench.report import print_table, progress
from quality import nab_score
from quality.data import WindowedSeries, folder_for, windowed_series
from quality.nab_entries import ENTRIES
from quality.nab_score import PROFILES, Board, Field
from quality.suite import Measured, Options
from quality.tiers import T1, Swept, sweep, told_by
from watchkeeper.analyze.detectors.base import OPENED
from watchkeeper.model.series import I64

TARGETS: Final = {
    "standard": (">=", 72.0),
    "split_half": (">=", 68.0),
    "tuned_standard": (">=", 75.0),
    "tuned_low_fp": (">=", 67.0),
    "tuned_low_fn": (">=", 79.5),
}
FIGURES: Final = ("standard", "low_fp", "low_fn", "split_half")
KEPT: Final = (*FIGURES, *(f"tuned_{name}" for name in FIGURES))

ENTRY: Final = "rex"
"""The detector whose scores are those of the suite; the others stand beside it."""
HALVINGS: Final = 4


def run(options: Options) -> Measured:
    """Every detector on every file, at every setting of its dial."""
    corpus = windowed_series(folder_for("nab", options.data))
    progress(f"nab: {len(corpus)} files, {sum(map(len, corpus))} points")
    fields = [nab_score.field(len(one), one.windows) for one in corpus]
    halves = list(halvings([one.name for one in corpus], options.seed))
    cells = [sweep(one.time_ns, one.value) for one in corpus]
    figures: dict[str, float] = {}
    rows = []
    for name, entry in ENTRIES.items():
        dial = entry.values[::6] if options.quick else entry.values
        alarms = [
            [alarms_of(name, one, value, swept) for value in dial]
            for one, swept in zip(corpus, cells, strict=True)
        ]
        scores, at = scored(fields, alarms, halves)
        rows.append((name, *(f"{x:.2f}" for x in scores.values()), f"{dial[at]:.3g}"))
        figures |= {f"{name}_{figure}": value for figure, value in scores.items()}
        if name == ENTRY:
            figures = scores | figures
    print_table(("entry", *PROFILES, "split_half", "standard at"), rows)
    figures["points"] = float(sum(map(len, corpus)))
    return figures, [
        f"the suite's own figures are those of {ENTRY}",
        "tuned: fitted to these files, and told the length of each file's probation",
        "tuned_fixed: fitted alike, but told nothing",
    ]


def alarms_of(
    name: str,
    series: WindowedSeries,
    value: float,
    swept: Swept | None = None,
    probation: int | None = None,
) -> I64:
    """Rows at which an entry with its dial at `value` opened an episode; `swept` if known.

    `probation` is what an entry may be told of the file; by itself that of these rows.
    """
    entry = ENTRIES[name]
    if probation is None:
        probation = nab_score.probation(len(series))
    settings = entry.settings(value, probation)
    if swept is None or entry.detector == T1:
        swept = sweep(series.time_ns, series.value, **(settings if entry.detector == T1 else {}))
    told = told_by(entry.detector, swept, **settings)
    rows: I64 = told.row[told.change == OPENED]
    return rows


def scored(
    fields: Sequence[Field],
    alarms: Sequence[Sequence[I64]],
    halves: Sequence[tuple[list[int], list[int]]],
) -> tuple[dict[str, float], int]:
    """By figure; and the setting that is best by the standard profile."""
    boards = {
        profile: nab_score.board_of_alarms(fields, alarms, weights)
        for profile, weights in PROFILES.items()
    }
    found = {profile: board.score(board.best()) for profile, board in boards.items()}
    found["split_half"] = split_half(boards["standard"], halves)
    return found, boards["standard"].best()


def split_half(board: Board, halves: Sequence[tuple[list[int], list[int]]]) -> float:
    """The mean score on one half with the dial as is best for the other."""
    told = [
        board.score(board.best(one), other) for one, other in halves if board.n_windows[other].any()
    ]
    return float(np.mean(told)) if told else float("nan")


def halvings(names: Sequence[str], seed: int) -> Iterator[tuple[list[int], list[int]]]:
    """Which files to choose by, and which to score: each folder's files are dealt to both."""
    folders = [name.rpartition("/")[0] for name in names]
    rng = np.random.default_rng(seed)
    for turn in range(HALVINGS):
        halves: tuple[list[int], list[int]] = ([], [])
        for folder in sorted(set(folders)):
            files = [i for i, own in enumerate(folders) if own == folder]
            for k, i in enumerate(rng.permutation(files).tolist()):
                halves[(k + turn) % 2].append(i)
        yield halves
        yield halves[::-1]
