"""A kill under load in each way that the bench knows; `bench durability` does a hundred."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from bench import aftermath, durability, ours, peers
from bench.aftermath import Found
from bench.durability import Aftermath, Campaign, Troubled

SEED = 7
DAY_S = 86_400


@pytest.fixture(scope="module")
def shards() -> list[Troubled]:
    start_ms = (int(time.time()) - DAY_S) * 1000
    return [Troubled(number, seed=SEED, start_ms=start_ms) for number in range(2)]


def test_nothing_is_lost_and_no_score_differs_after_kills_in_every_way(
    tmp_path: Path, shards: list[Troubled]
) -> None:
    recipe = peers.watchkeeper(tmp_path / "killed", ours.T1_AND_FK)
    campaign = Campaign(tmp_path / "killed", recipe, random.Random(SEED), ways=durability.WAYS)

    delivered = asyncio.run(durability.fight(campaign, shards))
    peaceful = peers.watchkeeper(tmp_path / "peace", ours.T1_AND_FK)
    durability.make_peace(peaceful, tmp_path, shards, delivered)

    killed = Aftermath.of(recipe, tmp_path / "killed", shards, delivered)
    peace = Aftermath.of(peaceful, tmp_path / "peace", shards, delivered)
    assert sum(campaign.deaths.values()) == len(durability.WAYS)
    assert [one.dropped for one in delivered] == [0, 0]
    assert killed.samples == Found(0, 0)
    assert len(peace.states) == 2 * durability.SERIES_PER_SHARD
    assert aftermath.differences(killed.states, peace.states) == 0
    assert aftermath.differences(killed.anomalies, peace.anomalies) == 0
