"""What the suite of the middleware makes of its turns."""

from __future__ import annotations

import os
import time

import pytest

from bench import middleware


def test_overhead_is_the_share_of_throughput_that_is_lost_in_the_middle_round() -> None:
    found = middleware.figures("json", [100.0, 90.0, 120.0], [125.0, 100.0, 130.0])

    assert found["overhead"] == pytest.approx(0.1)
    assert found["bare_us"] == 100.0
    assert found["overhead_us"] == 25.0


def test_what_costs_nothing_loses_nothing() -> None:
    assert middleware.figures("json", [100.0] * 2, [100.0] * 2)["overhead"] == 0.0


def test_the_mark_is_a_twentieth_of_what_the_shop_does() -> None:
    assert middleware.TARGETS["overhead"] == ("<=", 0.05)
    assert middleware.VIEWS[0] is middleware.CHECKOUT


def test_whoever_checkout_asks_is_answered() -> None:
    assert set(middleware.SAID) == set(middleware.ASKED)


def test_the_clock_of_a_process_is_what_it_has_used() -> None:
    before = time.process_time_ns()

    found = middleware.cpu_ns(os.getpid())

    assert before <= found <= time.process_time_ns()
