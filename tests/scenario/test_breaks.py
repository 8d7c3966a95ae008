"""Faults of a shop of real processes: users feel them, and nothing of them is left."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("flask")
pytest.importorskip("supervisor")

from shop.breaks.__main__ import main
from tests.breaking import interrupted, left_of, open_shop

SEED = 1
OF_INVENTORY = ["bandwidth", "hang"]
"""What users feel of a shop that has nothing but a gateway and this."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with open_shop(tmp_path_factory.mktemp("shop"), ["gateway", "inventory"]) as home:
        yield home


def test_users_feel_faults_that_leave_nothing(home: Path) -> None:
    chosen = random.Random(SEED).sample(OF_INVENTORY, 2)
    at = ["--home", str(home)]
    done = []

    for name in chosen:
        statuses = [
            main(["start", name, *at, "--intensity", "1"]),
            main(["check", name, *at]),
            main(["stop", name, *at]),
        ]
        done.append((statuses, left_of(home, name)))

    assert done == [([0, 0, 0], [])] * 2
    assert list((home / "breaks").iterdir()) == []


def test_a_fault_whose_beginning_is_interrupted_leaves_nothing(home: Path) -> None:
    chance = random.Random(SEED)
    name, number = chance.choice(OF_INVENTORY), chance.choice([signal.SIGINT, signal.SIGTERM])

    status = interrupted(home, name, number, chance.uniform(0.0, 0.1))
    stopped = main(["stop", name, "--home", str(home)]) if status == 0 else 0

    assert (status in (0, 1), stopped, left_of(home, name)) == (True, 0, [])


def test_a_fault_whose_beginning_is_killed_leaves_nothing_once_it_is_stopped(home: Path) -> None:
    chance = random.Random(SEED)
    name = chance.choice(OF_INVENTORY)

    status = interrupted(home, name, signal.SIGKILL, chance.uniform(0.0, 0.1))
    stopped = main(["stop", name, "--home", str(home)])

    assert (status in (0, -signal.SIGKILL), stopped, left_of(home, name)) == (True, 0, [])
