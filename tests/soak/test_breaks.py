"""Every fault there is, on a whole shop: users feel it, and nothing of it is left, even of one that
was interrupted or killed."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("flask")
pytest.importorskip("supervisor")

from shop.breaks.__main__ import main
from shop.breaks.catalogue import FAULTS
from shop.breaks.fault import Fault
from shop.services import NAMES, THIRD_PARTIES
from shop.stores import chosen
from tests.breaking import interrupted, left_of, open_shop

RECOVERY_S = 5.0
LACKS = 3


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("shop")
    with open_shop(folder, (*NAMES, *THIRD_PARTIES), chosen("auto", "auto")) as home:
        yield home


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_users_feel_it_and_nothing_of_it_is_left(fault: Fault, home: Path) -> None:
    time.sleep(RECOVERY_S)
    intensity = random.random()
    at = ["--home", str(home)]

    begun = main(["start", fault.name, *at, "--intensity", str(intensity)])
    if begun == LACKS:
        pytest.skip(f"this machine lacks the means for {fault.name}")
    shown = main(["check", fault.name, *at])
    ended = main(["stop", fault.name, *at])

    assert (begun, shown, ended) == (0, 0, 0), f"intensity {intensity:g}"
    assert left_of(home, fault.name) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_what_is_interrupted_or_killed_leaves_nothing_either(
    fault: Fault, number: signal.Signals, home: Path
) -> None:
    after_s = random.choice([0.0, random.uniform(0.0, 0.3), 2.0])

    begun = interrupted(home, fault.name, number, after_s)
    if begun == LACKS:
        pytest.skip(f"this machine lacks the means for {fault.name}")
    was_there = left_of(home, fault.name) if begun not in (0, -signal.SIGKILL) else []
    ended = main(["stop", fault.name, "--home", str(home)])

    assert (was_there, ended, left_of(home, fault.name)) == ([], 0, []), f"{begun} at {after_s:g} s"
