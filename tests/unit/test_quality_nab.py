"""NAB's rules, beside scores worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quality import nab, nab_score
from quality.data import WindowedSeries
from quality.nab_entries import ENTRIES
from quality.nab_score import PROFILES, Field
from quality.suite import Options
from watchkeeper.analyze.detectors.rex import REX
from watchkeeper.model.series import F64

STANDARD = PROFILES["standard"]


def sigmoid(position: float) -> float:
    return 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def scores(n: int, **at: float) -> F64:
    """Of `n` rows, 0 but at those named: `row_40=1.0`."""
    score = np.zeros(n)
    for name, value in at.items():
        score[int(name.removeprefix("row_"))] = value
    return score


def best(fields: list[Field], told: list[F64], profile: str = "standard") -> float:
    board = nab_score.board(fields, told, PROFILES[profile])
    return board.score(board.best())


def test_silence_scores_nothing_and_an_alarm_where_each_window_begins_a_hundred() -> None:
    field = nab_score.field(200, [(60, 79), (150, 159)])

    silent = nab_score.board([field], [scores(200)], STANDARD)
    perfect = nab_score.board([field], [scores(200, row_60=1.0, row_150=1.0)], STANDARD)

    assert silent.score(silent.best()) == 0.0
    assert perfect.score(perfect.best()) == pytest.approx(100.0)


@pytest.mark.parametrize("late", [0, 1, 5, 9])
def test_an_alarm_is_worth_less_the_later_it_comes_in_a_window(late: int) -> None:
    """Positions run from -1 at a window's first row to -1/width at its last."""
    field = nab_score.field(200, [(60, 69)])

    assert field.worth[60 + late] == pytest.approx(sigmoid(-(10 - late) / 10) / sigmoid(-1.0))


def test_an_alarm_after_a_window_costs_the_more_the_farther_it_is() -> None:
    field = nab_score.field(200, [(60, 70)])

    assert field.worth[59] == -1.0
    assert field.worth[71] == pytest.approx(sigmoid(1 / 10))
    assert field.worth[100] == pytest.approx(sigmoid(3.0))
    assert field.worth[101] == -1.0


def test_the_cost_of_a_false_alarm_counts_from_the_last_window_only() -> None:
    field = nab_score.field(300, [(60, 70), (200, 220)])

    assert field.worth[199] == -1.0
    assert field.worth[230] == pytest.approx(sigmoid(10 / 20))


@pytest.mark.parametrize(("n", "n_unscored"), [(100, 15), (333, 49), (5_000, 750), (9_000, 750)])
def test_the_first_part_of_a_file_is_not_scored(n: int, n_unscored: int) -> None:
    field = nab_score.field(n, [(n - 10, n - 1)])
    early, late = scores(n), scores(n)
    early[n_unscored - 1] = late[n_unscored] = 1.0

    raw = [nab_score.raw_by_threshold(field, told, STANDARD)[1] for told in (early, late)]

    assert raw[0].tolist() == [-1.0]
    assert raw[1].tolist() == [-1.0, -1.11]


def test_a_window_that_is_not_scored_is_not_missed() -> None:
    assert nab_score.field(100, [(3, 9), (50, 59)]).n_windows == 1


def test_only_the_best_alarm_of_a_window_counts() -> None:
    field = nab_score.field(200, [(60, 69)])
    told = scores(200, row_65=3.0, row_61=2.0, row_68=1.0)

    thresholds, raw = nab_score.raw_by_threshold(field, told, STANDARD)

    assert thresholds.tolist() == [np.inf, 3.0, 2.0, 1.0]
    worth = field.worth
    assert raw == pytest.approx([-1.0, worth[65], worth[61], worth[61]])


def test_rows_of_one_score_are_alarms_together() -> None:
    field = nab_score.field(200, [(60, 69)])

    thresholds, raw = nab_score.raw_by_threshold(
        field, scores(200, row_40=1.0, row_60=1.0), STANDARD
    )

    assert thresholds.tolist() == [np.inf, 1.0]
    assert raw == pytest.approx([-1.0, 1.0 - 0.11])


@pytest.mark.parametrize(
    ("profile", "score"),
    [
        # One of two windows found at its beginning, one false alarm before any window:
        # 100 * (hit - miss - false + 2 miss) / (2 hit + 2 miss).
        ("standard", 100 * (1 - 1 - 0.11 + 2) / 4),
        ("low_fp", 100 * (1 - 1 - 0.22 + 2) / 4),
        ("low_fn", 100 * (1 - 2 - 0.11 + 4) / 6),
    ],
)
def test_profiles_weigh_misses_and_false_alarms(profile: str, score: float) -> None:
    field = nab_score.field(200, [(60, 69), (120, 129)])

    assert best([field], [scores(200, row_40=1.0, row_60=1.0)], profile) == pytest.approx(score)


def test_one_threshold_serves_the_whole_corpus() -> None:
    """What would be best for each file alone is not what both get."""
    field = nab_score.field(100, [(60, 69)])
    low, high = scores(100, row_60=1.0), scores(100, row_60=3.0)
    for row in range(20, 40):
        high[row] = 1.0

    together = nab_score.board([field, field], [low, high], STANDARD)

    assert best([field], [low]) == best([field], [high]) == pytest.approx(100.0)
    assert together.score(together.best()) == pytest.approx(50.0)


def test_a_half_is_scored_with_the_threshold_of_the_other() -> None:
    """The threshold that is best for the first file drowns the second in false alarms."""
    field = nab_score.field(100, [(60, 69)])
    low, noisy = scores(100, row_60=1.0), scores(100, row_60=3.0)
    for row in range(20, 40):
        noisy[row] = 1.0
    board = nab_score.board([field, field], [low, noisy], STANDARD)

    assert nab.split_half(board, [([0], [1])]) == pytest.approx(100 * (1 - 20 * 0.11 + 1) / 2)
    assert nab.split_half(board, [([1], [0])]) == 0.0


def test_alarms_of_a_dial_score_as_scores_that_say_the_same() -> None:
    field = nab_score.field(200, [(60, 69)])
    alarms = [[np.array([60, 100]), np.array([65])]]

    board = nab_score.board_of_alarms([field], alarms, STANDARD)

    assert board.raw[0] == pytest.approx([1.0 + 0.11 * field.worth[100], field.worth[65]])
    assert board.best() == 0


def test_halves_share_out_each_folder_and_are_used_both_ways() -> None:
    names = ["a/1", "a/2", "a/3", "a/4", "b/1", "b/2"]

    halves = list(nab.halvings(names, seed=1))

    for one, other in halves:
        assert sorted(one + other) == list(range(6))
        assert [len([i for i in half if i < 4]) for half in (one, other)] == [2, 2]
    assert halves[0] == halves[1][::-1]


@pytest.mark.parametrize(
    ("entry", "dial"),
    [("basic", 30.0), ("fk", 30.0), ("rex", 0.5), ("tuned", 0.8), ("tuned_fixed", 0.8)],
)
def test_scores_of_a_prefix_are_the_prefix_of_the_scores(entry: str, dial: float) -> None:
    """A later point changes no alarm, so nobody learns the end of a file at its beginning. What an
    entry is told of the file beforehand, it is told of the prefix, too."""
    rng = np.random.default_rng(1)
    value = 100.0 + rng.standard_normal(4_000)
    value[rng.integers(1_200, 4_000, 12)] += 15.0
    value[2_500:2_600] += 9.0
    whole = WindowedSeries("f", np.arange(4_000) * 300 * 10**9, value, ())

    alarms = nab.alarms_of(entry, whole, dial)

    assert len(alarms) > 3
    for n in (1_300, 2_501, 2_550, 3_999):
        part = WindowedSeries("f", whole.time_ns[:n], value[:n], ())
        told = nab.alarms_of(entry, part, dial, probation=600)
        assert told.tolist() == alarms[alarms < n].tolist()


@pytest.mark.parametrize(
    ("n", "memory"), [(10, 5.0), (1_000, 90.0), (4_032, 362.4), (5_000, 450.0), (22_695, 450.0)]
)
def test_one_entry_remembers_as_long_as_the_probation_lets_it(n: int, memory: float) -> None:
    settings = ENTRIES["tuned"].settings(0.8, nab_score.probation(n))

    assert settings["memory_points"] == pytest.approx(memory)
    assert settings["threshold"] == 0.8


@pytest.mark.parametrize("name", ["basic", "fk", "rex", "tuned_fixed"])
def test_the_others_are_told_nothing_of_a_file(name: str) -> None:
    one, other = (ENTRIES[name].settings(1.0, probation) for probation in (10, 750))

    assert one == other


def test_the_entry_that_stands_for_the_product_has_its_settings() -> None:
    assert ENTRIES[nab.ENTRY].settings(2.2, 750) == {"threshold": 2.2}


def test_tuned_entries_are_settings_of_one_detector() -> None:
    """All that may be set, and nothing else: no file has a name here."""
    tuned = {name: ENTRIES[name] for name in ("tuned", "tuned_fixed")}

    assert {one.detector for one in tuned.values()} == {"rex"}
    for one in tuned.values():
        known = set(REX.Config.__struct_fields__)
        assert set(one.settings(0.8, 600)) <= known
    assert set(tuned["tuned"].settings(0.8, 600)) - set(
        tuned["tuned_fixed"].settings(0.8, 600)
    ) == {"memory_points"}


def test_the_suite_reads_files_with_windows_and_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n = 1_500
    rng = np.random.default_rng(1)
    value = 50.0 + rng.standard_normal((2, n))
    value[0, 1_400] += 40.0
    time = np.datetime64("2020-01-01", "us") + np.arange(n) * np.timedelta64(300, "s")
    pq.write_table(
        pa.table(
            {
                "file": ["x/a.csv"] * n + ["x/b.csv"] * n,
                "timestamp": np.concatenate([time, time]),
                "value": value.reshape(-1),
            }
        ),
        tmp_path / "all.parquet",
    )
    (tmp_path / "labels").mkdir()
    window = [str(time[i]).replace("T", " ") for i in (1_395, 1_420)]
    windows = {"x/a.csv": [window], "x/b.csv": []}
    (tmp_path / "labels" / "combined_windows.json").write_text(json.dumps(windows))

    figures, _ = nab.run(Options(data=tmp_path, quick=True))

    assert figures["points"] == 2 * n
    assert figures["standard"] > 50.0
    assert figures["tuned_standard"] > 50.0
    assert {f"tuned_{name}" for name in nab.FIGURES} <= set(nab.KEPT) & set(figures)
    shown = capsys.readouterr().out
    assert "split_half" in shown
    assert "tuned_fixed" in shown
