"""Turns, their cost, and how bodies are dealt to connections."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from bench import client, peers, readback
from bench.contest import Contestant, Turn
from bench.ingest import make_plan
from bench.ledger import Ledger
from bench.peers import Server
from bench.suite import Options

NOWHERE = client.Door(0, "/", {})
NOTHING = Ledger(np.empty(0, np.int64))


def contestant(*turns: Turn) -> Contestant:
    return Contestant("x", cast(Server, None), {0}, NOWHERE, NOTHING, turns=list(turns))


def test_the_cost_per_sample_is_over_all_turns_and_the_end() -> None:
    played = contestant(Turn(1_000_000, 1.0, 0.5), Turn(1_000_000, 3.0, 1.0))
    played.end_cpu_s = 2.0

    assert played.cpu_us == 3.0
    assert played.wall_rate == 1_500_000


def test_the_first_sight_of_a_series_is_counted_per_series() -> None:
    played = contestant()
    played.first_sights = [Turn(1000, 0.010, 1.0), Turn(1000, 0.030, 1.0)]

    assert played.first_sight_us == pytest.approx(20.0)


def test_body_i_of_every_step_meets_the_same_connection() -> None:
    first, second = [b"a0", b"a1", b"a2", b"a3", b"a4"], [b"b0", b"b1", b"b2", b"b3", b"b4"]

    for one, two in zip(client.shards(first), client.shards(second), strict=True):
        assert [body[1:] for body in one] == [body[1:] for body in two]


def test_a_ledger_gives_back_all_that_was_sent_of_a_watched_series() -> None:
    ledger = Ledger(np.array([0, 2]))
    ledger.note(np.array([[1], [2], [3]]), np.array([[0.1], [0.2], [0.3]]))
    ledger.note(np.array([[4], [5], [6]]), np.array([[0.4], [0.5], [0.6]]))

    times, values = ledger.series(1)

    assert times.tolist() == [3, 6]
    assert values.tolist() == [0.3, 0.6]
    assert (ledger.start_ms, ledger.end_ms, ledger.n_samples) == (1, 6, 6)


def test_a_plan_ends_before_now_so_that_no_server_sees_the_future() -> None:
    plan = make_plan(Options())

    last_ms = plan.start_ms + plan.length_ms + 15_000
    assert plan.history >= 1500
    assert 0 <= time.time() * 1000 - last_ms < 60_000


def test_a_selector_quotes_what_labels_may_contain() -> None:
    assert readback.selector({"a": 'b"c', "d": "e\\f"}) == '{a="b\\"c",d="e\\\\f"}'


def test_the_cpu_clock_of_a_process_counts_its_work() -> None:
    before = peers.process_cpu_s(os.getpid())
    busy_until = time.process_time() + 0.05
    while time.process_time() < busy_until:
        pass

    assert 0.05 <= peers.process_cpu_s(os.getpid()) - before < 1.0


def test_a_missing_program_names_its_package() -> None:
    with pytest.raises(peers.Unmeasurable, match="apt-get install nosuch-package"):
        peers.binary("nosuch-program", "nosuch-package")


def test_a_recipe_of_ours_listens_on_this_machine_only(tmp_path: Path) -> None:
    recipe = peers.watchkeeper(tmp_path / "a", {"detection": {"detectors": []}})

    written = (tmp_path / "a" / "watchkeeper.yaml").read_text()
    assert "host: 127.0.0.1" in written
    assert f"port: {recipe.port}" in written
