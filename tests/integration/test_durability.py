"""A kill under load in each way that the bench knows; `bench durability` does a hundred."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from bench import aftermath, durability, ours, peers
from bench.aftermath import Found
from bench.durability import Aftermath, Campaign, Load

SEED = 7
DAY_S = 86_400
WAYS = [way for way in durability.WAYS if way != durability.PLAIN]
"""Rubbish comes behind the log of one that was killed plainly."""


@pytest.fixture(scope="module")
def load() -> Load:
    return Load.of(SEED, (int(time.time()) - DAY_S) * 1000, n_shards=2)


def test_nothing_is_lost_and_no_score_differs_after_kills_in_every_way(
    tmp_path: Path, load: Load
) -> None:
    recipe = peers.watchkeeper(tmp_path / "killed", ours.UNTRACED)
    campaign = Campaign(tmp_path / "killed", recipe, random.Random(SEED), ways=WAYS)

    asyncio.run(durability.fight(campaign, load))
    peaceful = peers.watchkeeper(tmp_path / "peace", ours.UNTRACED)
    durability.make_peace(peaceful, tmp_path, load)

    killed = Aftermath.of(recipe, tmp_path / "killed", load)
    peace = Aftermath.of(peaceful, tmp_path / "peace", load)
    assert sum(campaign.deaths.values()) == len(WAYS)
    assert not load.refusals
    assert killed.found == Found(0, 0)
    assert len(peace.states) == 2 * durability.SERIES_PER_SHARD
    assert aftermath.differences(killed.states, peace.states) == 0
    assert aftermath.differences(killed.anomalies, peace.anomalies) == 0
