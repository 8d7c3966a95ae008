"""Faults of a shop of real processes: users feel them, and nothing of them is left."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

pytest.importorskip("flask")
pytest.importorskip("supervisor")

from shop.breaks.__main__ import main
from tests.breaking import left_of, open_shop

SEED = 1
OF_INVENTORY = ["bandwidth", "hang"]
"""What users feel of a shop that has nothing but a gateway and this."""


def test_users_feel_faults_that_leave_nothing(tmp_path: Path) -> None:
    chosen = random.Random(SEED).sample(OF_INVENTORY, 2)
    done = []

    with open_shop(tmp_path, ["gateway", "inventory"]) as home:
        at = ["--home", str(home)]
        for name in chosen:
            statuses = [
                main(["start", name, *at, "--intensity", "1"]),
                main(["check", name, *at]),
                main(["stop", name, *at]),
            ]
            done.append((statuses, left_of(home, name)))

    assert done == [([0, 0, 0], [])] * 2
    assert list((tmp_path / "breaks").iterdir()) == []
