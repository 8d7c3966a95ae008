"""What the suite of the middleware makes of its turns."""

from __future__ import annotations

import pytest

from bench import middleware


def test_overhead_is_the_share_of_throughput_that_is_lost_in_the_middle_round() -> None:
    found = middleware.figures([100.0, 90.0, 120.0], [125.0, 100.0, 130.0])

    assert found["overhead"] == pytest.approx(0.1)
    assert found["bare_us"] == 100.0
    assert found["overhead_us"] == 25.0


def test_what_costs_nothing_loses_nothing() -> None:
    assert middleware.figures([100.0] * 2, [100.0] * 2)["overhead"] == 0.0


def test_the_mark_is_a_twentieth() -> None:
    assert middleware.TARGETS["overhead"] == ("<=", 0.05)
