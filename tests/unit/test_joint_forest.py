"""The forest tells strange rows from usual ones, in batches, and always the same."""

from __future__ import annotations

import numpy as np
import pytest

from watchkeeper.analyze.joint import eigen_kernel
from watchkeeper.analyze.joint.forest import MIN_BATCH, Forest
from watchkeeper.analyze.joint.history import N_LAST, N_PAST, History
from watchkeeper.errors import Permanent
from watchkeeper.model.series import F64


def usual(n: int, members: int = 5, seed: int = 1) -> F64:
    return np.random.default_rng(seed).standard_normal((n, members))


def test_rows_far_from_all_others_score_highest() -> None:
    rows = usual(500)
    asked = np.concatenate([usual(95, seed=2), np.full((5, 5), 8.0)])

    scores = Forest.fit(rows, seed=1).scores(asked)

    assert set(np.argsort(-scores)[:5].tolist()) == {95, 96, 97, 98, 99}
    assert ((scores > 0.0) & (scores < 1.0)).all()
    assert scores[95:].min() > 0.6


@pytest.mark.parametrize("n", [0, 1, MIN_BATCH - 1])
def test_single_rows_are_refused_to_learn_from_and_to_judge(n: int) -> None:
    forest = Forest.fit(usual(200), seed=1)

    with pytest.raises(Permanent, match=f"{n} rows are too few; give it {MIN_BATCH} or more"):
        forest.scores(usual(200)[:n])
    with pytest.raises(Permanent, match="too few"):
        Forest.fit(usual(200)[:n], seed=1)


def test_equal_rows_and_seeds_give_equal_scores_and_others_do_not() -> None:
    rows = usual(300)

    one, again, other = (Forest.fit(rows, seed=seed).scores(rows) for seed in (7, 7, 8))

    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()


def test_the_score_of_a_row_does_not_depend_on_its_batch() -> None:
    rows = usual(300)
    forest = Forest.fit(rows, seed=1)

    assert forest.scores(rows)[:100].tolist() == forest.scores(rows[:100]).tolist()


def test_missing_values_and_constant_members_give_finite_scores() -> None:
    rows = usual(300)
    rows[:, 1] = 3.0
    rows[:, 2] = np.nan
    rows[::7, 3] = np.nan

    scores = Forest.fit(rows, seed=1).scores(rows)

    assert np.isfinite(scores).all()


def test_rows_that_are_all_alike_score_alike() -> None:
    rows = np.full((100, 3), 4.0)

    scores = Forest.fit(rows, seed=1).scores(rows)

    assert len(set(scores.tolist())) == 1


def test_learning_changes_no_row() -> None:
    rows = usual(100)
    before = rows.copy()

    Forest.fit(rows, seed=1).scores(rows)

    assert (rows == before).all()


@pytest.mark.parametrize("n", [1, 2, 5, 38])
def test_eigenvectors_rebuild_their_matrix(n: int) -> None:
    root = np.random.default_rng(n).standard_normal((n, n))
    matrix = root @ root.T
    values, vectors = np.empty(n), np.empty((n, n))

    eigen_kernel.decompose(matrix.copy(), values, vectors)

    assert np.allclose(vectors.T @ np.diag(values) @ vectors, matrix, atol=1e-9)
    assert np.allclose(vectors @ vectors.T, np.eye(n), atol=1e-12)
    assert (np.diff(values) <= 0.0).all()
    assert np.allclose(values[::-1], np.linalg.eigvalsh(matrix), atol=1e-9)


# The rows that it learns from


def test_the_past_is_kept_evenly_and_the_last_rows_whole() -> None:
    rows = np.arange(5_000.0)[:, None]
    history = History()

    history.add(np.arange(5_000), rows)

    steps = np.diff(history.past[:, 0])
    assert N_PAST / 2 <= len(history.past) < N_PAST
    assert history.past[0, 0] == 0.0
    assert len(set(steps.tolist())) == 1
    assert history.last[0].tolist() == list(range(5_000 - N_LAST, 5_000))


def test_how_rows_come_changes_nothing_and_a_dumped_history_goes_on() -> None:
    rows = usual(1_000)
    whole, parts, twin = History(), History(), History()
    whole.add(np.arange(1_000), rows)

    for begin in range(0, 600, 7):
        parts.add(np.arange(begin, min(begin + 7, 600)), rows[begin : min(begin + 7, 600)])
    twin.load(parts.dump())
    twin.add(np.arange(600, 1_000), rows[600:])

    assert twin.dump() == whole.dump()


def test_a_new_member_is_missing_from_what_was_kept_before() -> None:
    history = History()
    history.add(np.arange(3), usual(3, members=2))

    history.add(np.arange(3, 5), usual(2, members=4))
    history.forget(0)

    assert np.isnan(history.past[:3, 2:]).all()
    assert np.isfinite(history.past[3:, 2:]).all()
    assert np.isnan(history.last[1][:, 0]).all()
