"""What the suites of several series read, count and choose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quality import data, quiet, skab, smd
from quality.spaces import Dials, frozen_scores, learned, live_scores
from quality.suite import Options, Unmeasurable
from watchkeeper.model.series import F64

MINUTE_NS = 60 * 10**9


def machine(n: int = 800, *, seed: int = 1) -> dict[str, F64]:
    """Four series of one cause; in the last quarter, two part for a while."""
    chance = np.random.default_rng(seed)
    rows = chance.standard_normal((n, 1)) + 0.2 * chance.standard_normal((n, 4))
    strange = np.zeros(n)
    strange[-100:-60] = 1.0
    rows[-100:-60, 1] += 9.0
    rows[-100:-60, 2] -= 9.0
    tested = (np.arange(n) >= n // 2).astype(np.float64)
    return {"test": tested, "label": strange, **{f"m{i}": rows[:, i] for i in range(4)}}


@pytest.fixture
def machines(tmp_path: Path) -> Path:
    for i in range(2):
        pq.write_table(pa.table(machine(seed=i)), tmp_path / f"machine-{i}.parquet")
    return tmp_path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    parts = []
    for i in range(4):
        made = machine(seed=i)
        columns = {name: made[name] for name in made if name.startswith("m")}
        parts.append(
            pa.table(
                {
                    "file": [f"run/{i}"] * 800,
                    "timestamp": 1_000 + np.arange(800),
                    "anomaly": made["label"] * (i < 3),
                    "changepoint": np.zeros(800),
                    **columns,
                }
            )
        )
    pq.write_table(pa.concat_tables(parts), tmp_path / "runs.parquet")
    return tmp_path


def test_a_machine_per_file_has_its_history_first_and_a_row_a_minute(machines: Path) -> None:
    one, other = data.labelled_machines(machines)

    assert (one.name, other.name) == ("machine-0", "machine-1")
    assert one.n_history == 400
    assert one.rows.shape == (800, 4)
    assert set(np.diff(one.time_ns).tolist()) == {MINUTE_NS}
    assert np.flatnonzero(one.strange).tolist() == list(range(700, 740))


def test_runs_are_told_by_their_file_and_those_without_an_event_are_left_out(runs: Path) -> None:
    found = data.labelled_runs(runs)

    assert [one.name for one in found] == ["run/0", "run/1", "run/2"]
    assert found[0].rows.shape == (800, 4)
    assert found[0].time_ns[0] == 1_000 * 10**9
    assert found[0].n_history == data.N_HISTORY


@pytest.mark.parametrize("read", [data.labelled_machines, data.labelled_runs])
def test_a_folder_without_such_files_cannot_be_measured(tmp_path: Path, read: object) -> None:
    with pytest.raises(Unmeasurable, match="no Parquet file"):
        read(tmp_path)  # type: ignore[operator]


def test_rows_that_part_rank_first_frozen_and_live(machines: Path) -> None:
    one = data.labelled_machines(machines)[0]
    state = learned(one)

    frozen, live = frozen_scores(one, state, Dials()), live_scores(one, state, Dials())

    for scores in (frozen[400:], live):
        assert scores[300:340].min() > np.median(scores) * 3.0


def test_the_suite_of_machines_beats_chance_and_tells_the_forest_beside_it(machines: Path) -> None:
    figures, _ = smd.run(Options(data=machines))

    assert figures["vus_pr"] > 0.9
    assert figures["vus_pr_random"] < 0.4
    assert {"auc_pr", "vus_pr_forest", "vus_pr_live", "vus_pr_split_half"} <= set(figures)
    assert figures["points"] == 1_600.0


def test_the_suite_of_runs_finds_them_all_and_says_what_flagging_all_earns(runs: Path) -> None:
    figures, _ = skab.run(Options(data=runs))

    assert figures["f1"] > 0.6
    assert figures["f1_all"] == pytest.approx(2 * 120 / (2_400 + 120))
    assert figures["far"] < 0.05
    assert figures["mar"] < 0.3


def test_the_threshold_is_where_f1_is_highest_and_equal_scores_go_together() -> None:
    score = np.array([0.9, 0.5, 0.5, 0.1])
    strange = np.array([True, True, False, False])

    least = skab.threshold(score, strange)

    assert least == 0.5
    assert skab.counted_at(score, strange, least) == (0.8, 0.5, 0.0)


def test_halves_are_scored_by_what_was_chosen_on_the_other_half() -> None:
    """Each dial is right for two machines; whoever sees those is wrong on the others."""
    searched = {Dials(0.8, 0.0): [1.0, 1.0, 0.0, 0.0], Dials(0.9, 0.0): [0.0, 0.0, 1.0, 1.0]}

    assert smd.split_half(searched) < 0.5


def test_little_is_raised_of_services_in_which_nothing_happens() -> None:
    one = quiet.quiet_service(weeks=2.0, seed=4)

    assert quiet.FEWEST <= len(one.families) <= quiet.MOST
    assert set(one.opened) == {"distance", "count"}
    assert sum(len(times) for times in one.opened.values()) <= 2
