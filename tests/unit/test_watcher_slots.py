"""What every sample costs a watcher: is its slot still whose it was, and has it been heard."""

from __future__ import annotations

import numpy as np
import pytest

from watchkeeper.analyze.watchers import intake_kernel
from watchkeeper.analyze.watchers.service_rows import SERIES
from watchkeeper.analyze.watchers.slots_kernel import has_stranger, mark

N = 8


@pytest.mark.parametrize(
    ("slots", "changed", "want"),
    [([0, 3, 7], None, False), ([0, 3, 7], 7, True), ([0, 3, 7], 4, False), ([], 0, False)],
)
def test_a_slot_has_a_stranger_when_another_series_has_moved_in(
    slots: list[int], changed: int | None, want: bool
) -> None:
    identity = np.arange(1, 2 * N + 1, dtype=np.uint64).reshape(N, 2)
    rows = np.zeros(N, SERIES)
    rows["identity"] = whose = identity[:, 0].copy()
    if changed is not None:
        identity[changed, 0] += np.uint64(100)
    asked = np.array(slots, np.int32)

    assert has_stranger(asked, whose, identity) is want
    assert intake_kernel.has_stranger(asked, identity, rows) is want


def test_a_slot_without_a_row_is_a_stranger() -> None:
    identity = np.zeros((N, 2), np.uint64)

    assert intake_kernel.has_stranger(np.array([5], np.int32), identity, np.zeros(5, SERIES))
    assert not intake_kernel.has_stranger(np.array([4], np.int32), identity, np.zeros(5, SERIES))


def test_marks_are_set_for_these_slots_alone() -> None:
    column = np.zeros(N, np.bool_)

    mark(np.array([6, 1, 6], np.int32), column)

    assert np.flatnonzero(column).tolist() == [1, 6]
