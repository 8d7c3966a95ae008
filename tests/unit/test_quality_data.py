"""Formats are known by their columns; figures that were better before are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quality import __main__ as driver
from quality import baseline, data, kpi, loghub
from quality.suite import Options, Unmeasurable


def write(folder: Path, name: str = "any.parquet", **columns: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / name)
    return folder


@pytest.mark.parametrize("key", ["kpi", "series", "whatever"])
def test_the_one_further_column_names_the_series(tmp_path: Path, key: str) -> None:
    columns = {
        key: ["b", "a", "b"],
        "timestamp": [60, 0, 120],
        "value": [1.0, 2.0, np.nan],
        "label": [0, 1, 1],
    }

    one, other = data.labelled_series(write(tmp_path, **columns))

    assert (one.name, other.name) == ("a", "b")
    assert other.time_ns.tolist() == [60 * 10**9, 120 * 10**9]
    assert np.array_equal(other.value, [1.0, np.nan], equal_nan=True)
    assert other.strange.tolist() == [False, True]


def test_numbers_name_series_too_and_several_files_are_one_set(tmp_path: Path) -> None:
    for number in (7, 12):
        name = f"{number}.parquet"
        columns = {"timestamp": [0, 1], "value": [1.0, 2.0], "label": [0, 0]}
        write(tmp_path, name, series=[number] * 2, **columns)

    assert [one.name for one in data.labelled_series(tmp_path)] == ["12", "7"]


def test_a_folder_without_the_columns_says_where_they_are_described(tmp_path: Path) -> None:
    write(tmp_path, a=[1], b=[2])

    with pytest.raises(Unmeasurable, match=r"quality/data\.py"):
        data.labelled_series(tmp_path)


def test_a_suite_looks_into_the_folder_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "kpi").mkdir()

    assert data.folder_for("kpi", tmp_path) == tmp_path / "kpi"
    assert data.folder_for("wsd", tmp_path) == tmp_path
    with pytest.raises(Unmeasurable, match="no folder"):
        data.folder_for("kpi", tmp_path / "nowhere")
    with pytest.raises(Unmeasurable, match="--data"):
        data.folder_for("kpi", None)


def test_windows_are_needed_and_must_fit_the_file(tmp_path: Path) -> None:
    stamps = np.array(["2020-01-01T00:00", "2020-01-01T00:05"], "datetime64[us]")
    write(tmp_path, file=["a", "a"], timestamp=stamps, value=[1.0, 2.0])
    with pytest.raises(Unmeasurable, match="combined_windows"):
        data.windowed_series(tmp_path)

    labels = tmp_path / "labels"
    labels.mkdir()
    file = labels / "combined_windows.json"
    file.write_text('{"a": [["2020-01-01 00:00:00", "2020-01-01 00:05:00.000000"]]}')
    assert data.windowed_series(tmp_path)[0].windows == ((0, 1),)

    file.write_text('{"a": [["2020-01-01 00:01:00", "2020-01-01 00:05:00"]]}')
    with pytest.raises(Unmeasurable, match="no point at 2020-01-01 00:01:00"):
        data.windowed_series(tmp_path)
    file.write_text("{}")
    with pytest.raises(Unmeasurable, match="says nothing of 'a'"):
        data.windowed_series(tmp_path)


def test_a_labelled_outage_is_found_and_counted(tmp_path: Path) -> None:
    n = 16 * 1_440
    value = 100.0 + np.random.default_rng(1).standard_normal(n)
    label = np.zeros(n, np.int8)
    value[20_000:20_040] += 60.0
    label[20_000:20_040] = 1
    timestamp = 1_699_920_000 + np.arange(n) * 60
    write(tmp_path, key=["only"] * n, timestamp=timestamp, value=value, label=label)

    figures, _ = kpi.run(Options(data=tmp_path))

    assert (figures["recall"], figures["precision"], figures["share_le_1"]) == (1.0, 1.0, 1.0)
    assert figures["fp_per_series_week"] == 0.0
    assert figures["micro_f1"] > 0.8
    assert figures["points"] == n


def test_lines_are_grouped_by_what_the_product_calls_them(tmp_path: Path) -> None:
    lines = [f"user {i} logged in" for i in range(5)] + ["disk full", "disk full"]
    statements = ["E1"] * 5 + ["E2"] * 2
    write(tmp_path, system=["s"] * 7, content=lines, event_id=statements)

    figures, _ = loghub.run(Options(data=tmp_path, quick=True))

    assert (figures["ga"], figures["fga"]) == (1.0, 1.0)
    assert figures["lines_per_s"] > 0


@pytest.mark.parametrize(
    ("name", "was", "now", "kept"),
    [
        ("recall", 0.40, 0.395, True),
        ("recall", 0.40, 0.38, False),
        ("recall", 0.40, 0.90, True),
        ("standard", 72.0, 71.6, True),
        ("standard", 72.0, 71.4, False),
        ("fp_per_series_week", 0.02, 0.01, True),
        ("fp_per_series_week", 0.02, 0.04, False),
        ("recall", 0.40, None, False),
    ],
)
def test_a_figure_may_be_better_or_a_little_worse(
    name: str, was: float, now: float | None, kept: bool
) -> None:
    assert baseline.is_kept(name, now, was) is kept


def test_what_was_lost_is_told_and_figures_of_other_data_are_not_compared(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    baseline.store("s", {"recall": 0.5, "speed": 9.0, "points": 100.0}, ("recall",), file)

    assert baseline.losses("s", {"recall": 0.3, "points": 101.0}, file) == []
    assert baseline.losses("s", {"recall": 0.5, "points": 100.0}, file) == []
    assert baseline.losses("other", {"recall": 0.1, "points": 100.0}, file) == []
    (told,) = baseline.losses("s", {"recall": 0.3, "points": 100.0}, file)
    assert told == "lost: recall is 0.3, was 0.5 (tolerance 0.01)"


def test_a_run_that_lost_something_ends_with_2_until_it_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(baseline.store, "__defaults__", (tmp_path / "b.json",))
    monkeypatch.setattr(baseline.losses, "__defaults__", (tmp_path / "b.json",))
    folder = tmp_path / "lines"
    write(folder, system=["s"] * 2, content=["one 1", "one 2"], event_id=["E1", "E1"])
    asked = ["loghub", "--quick", "--data", str(folder)]

    assert driver.main([*asked, "--store"]) == 0
    write(folder, system=["s"] * 2, content=["one 1", "two 2"], event_id=["E1", "E1"])
    assert driver.main(asked) == 2
    assert "lost: ga is 0, was 1" in capsys.readouterr().out
    assert driver.main([*asked, "--store"]) == 1
