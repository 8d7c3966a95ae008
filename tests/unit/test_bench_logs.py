"""What the suite of log lines gives its contenders, and what it takes for an answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import logs
from bench.peers import Unmeasurable
from bench.suite import Options
from watchkeeper.model.row import texts


def test_known_lines_are_of_statements_that_the_cold_ones_have_all_shown() -> None:
    made = logs.kinds(Options(), 1_000)

    ours = logs.Ours()
    ours.take([texts(line.encode() for line in made["cold"])])
    n_before = len(ours.known())
    ours.take([texts(line.encode() for line in made["known"])])

    assert made["cold"] != made["known"]
    assert len(ours.known()) == n_before


def test_both_tell_one_template_for_each_line_and_the_same_for_lines_of_one_statement() -> None:
    lines = ["user 7 came", "job done", "user 8 came"]

    ours = logs.Ours().take([texts(line.encode() for line in lines)])
    drain3 = logs.Drain3().take(lines)

    for told in (ours, drain3):
        assert told[0] == told[2] != told[1]


def test_lines_of_files_take_the_place_of_made_ones(tmp_path: Path) -> None:
    pq.write_table(pa.table({"content": ["a 1", "b 2"]}), tmp_path / "x.parquet")

    made = logs.kinds(Options(data=tmp_path), 10)

    assert made == {"cold": ["a 1", "b 2"], "known": ["a 1", "b 2"]}


def test_a_folder_without_lines_cannot_be_measured(tmp_path: Path) -> None:
    pq.write_table(pa.table({"other": np.arange(2)}), tmp_path / "x.parquet")

    with pytest.raises(Unmeasurable, match="content"):
        logs.kinds(Options(data=tmp_path), 10)
