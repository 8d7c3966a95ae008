"""As few roots as explain the rest, on tables small enough to try all choices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from watchkeeper.analyze.groupers import settle_kernel
from watchkeeper.model.series import F64, I64


def table(seed: int, n: int = 7) -> tuple[F64, F64]:
    chance = np.random.default_rng(seed)
    worth = np.where(chance.random((n, n)) < 0.4, chance.uniform(0.0, 6.0, (n, n)), 0.0)
    np.fill_diagonal(worth, 0.0)
    return worth, chance.uniform(1.0, 6.0, n)


def total(worth: F64, cost: F64, root: I64) -> float:
    """What an answer wins."""
    explains = {int(r) for j, r in enumerate(root) if r != j}
    won = sum(float(worth[r, j]) for j, r in enumerate(root) if r != j)
    return won - sum(float(cost[r]) for r in explains)


def best(worth: F64, cost: F64) -> float:
    """By trying every set of roots."""
    found, n = 0.0, len(cost)
    for k in range(1, n):
        for roots in itertools.combinations(range(n), k):
            others = [j for j in range(n) if j not in roots]
            won = worth[np.ix_(roots, others)].max(0).sum() - cost[list(roots)].sum()
            found = max(found, float(won))
    return found


def test_what_explains_nothing_is_alone() -> None:
    root = settle_kernel.settle(np.zeros((3, 3)), np.ones(3))

    assert root.tolist() == [0, 1, 2]


def test_a_root_that_wins_more_than_it_costs_is_one() -> None:
    worth = np.array([[0.0, 3.0, 3.0], [0.0, 0.0, 5.0], [0.0, 0.0, 0.0]])

    dear, cheap = (settle_kernel.settle(worth, np.full(3, cost)) for cost in (6.5, 5.5))

    assert dear.tolist() == [0, 1, 2]
    assert cheap.tolist() == [0, 0, 0]


@pytest.mark.parametrize("seed", range(12))
def test_no_answer_loses_and_few_are_far_from_the_best(seed: int) -> None:
    worth, cost = table(seed)

    root = settle_kernel.settle(worth, cost)

    assert total(worth, cost, root) >= 0.7 * best(worth, cost)
    assert all(worth[r, j] > 0.0 for j, r in enumerate(root) if r != j)
    assert all(root[r] == r for r in root)
