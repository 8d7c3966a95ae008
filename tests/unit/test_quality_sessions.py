"""The suites of log lines: sessions from files, and services where nothing happens."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from quality import log_nulls, sessions
from quality.log_nulls import KINDS, Plan
from quality.suite import Options, Unmeasurable
from watchkeeper.analyze.log_watch_config import LogWatchConfig
from watchkeeper.model.anomaly import Severity


def write(folder: Path, name: str, lines: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / name, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines))


def test_half_of_the_normal_sessions_teach_and_the_others_are_judged(tmp_path: Path) -> None:
    normal = ["a b", "b a", "a b c", "a b", "a b b", "a b", "a b", "a b"]
    write(tmp_path / "made", "x_normal.txt.gz", normal)
    write(tmp_path / "made", "x_abnormal.txt.gz", ["a", "a b", "a b z", ""])

    figures, _ = sessions.run(Options(data=tmp_path))

    assert figures["recall"] == pytest.approx(2 / 3)
    assert figures["false_share"] == 0.25
    assert figures["points"] == 11


@pytest.mark.parametrize(
    ("recall", "false_share", "f1"),
    [(1.0, 0.0, 1.0), (0.0, 0.0, 0.0), (1.0, 1.0, 2 * sessions.SHARE / (1 + sessions.SHARE))],
)
def test_f1_is_for_the_share_of_abnormal_sessions_that_the_whole_set_had(
    recall: float, false_share: float, f1: float
) -> None:
    assert sessions.Score(recall, false_share, 0.0).f1 == pytest.approx(f1)


def test_without_a_pair_of_files_nothing_is_measured(tmp_path: Path) -> None:
    write(tmp_path, "x_normal.txt.gz", ["a"])

    with pytest.raises(Unmeasurable, match="abnormal"):
        sessions.run(Options(data=tmp_path))


@pytest.mark.parametrize("name", list(KINDS))
def test_every_kind_of_service_says_lines_of_its_own_and_the_same_again(name: str) -> None:
    make, n = KINDS[name]

    one, same = (make(np.random.default_rng(1), n) for _ in range(2))

    drawn = [one.counts(minute) for minute in range(50)]
    assert drawn == [same.counts(minute) for minute in range(50)]
    assert sum(sum(counts.values()) for counts in drawn) > 10


def test_something_that_happens_is_found_where_the_suite_finds_nothing() -> None:
    """Its driver would see it."""

    class Broken(log_nulls.Program):
        def counts(self, minute: int) -> dict[int, int]:
            return super().counts(minute) | ({99: 1} if minute > 1600 else {})

    broken = Broken(np.random.default_rng(1), 3)

    found = log_nulls.findings(broken, LogWatchConfig(), Plan(0.025), "steady")

    assert ("log_new", Severity.EVIDENCE) in found
