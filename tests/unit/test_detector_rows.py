"""Rows of state: what a copy of a donor's row is."""

from __future__ import annotations

import numpy as np

from watchkeeper.analyze.detectors.rows import Rows
from watchkeeper.model.series import I32


def slots(*numbers: int) -> I32:
    return np.array(numbers, np.int32)


def test_a_copy_of_a_row_is_equal_to_the_last_bit() -> None:
    """Words once went through numbers of 53 bits: the lowest fields of a row came out as 0."""
    rows = Rows(np.dtype([("low", "u1"), ("middle", "u2"), ("high", "u4"), ("top", "u1")]), 4)
    rows.hold(slots(0))
    rows.array[0] = (17, 4_321, 4_000_000_001, 255)

    rows.admit(slots(1), slots(0))

    assert rows.array[1] == rows.array[0]
    assert rows.array[1]["low"] == 17


def test_a_row_without_a_donor_is_cleared() -> None:
    rows = Rows(np.float32, 4, 2)
    rows.hold(slots(0))
    rows.array[0] = (1.0, 2.0)

    rows.admit(slots(0), slots(-1))

    assert rows.array[0].tolist() == [0.0, 0.0]
