"""What a running server recorded is judged once more by the command, beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.rhythm import BEGIN_S, latency
from tests.scenario.shop import Shop, shop
from watchkeeper.api.times import iso
from watchkeeper.cli import main
from watchkeeper.lake.recording.recording import KEPT_FOLDER
from watchkeeper.lake.recording.snapshot import Snapshot, snapshots

STRANGE = 400
"""The minute from which on it is."""
SMALL: Mapping[str, Any] = {
    "log": {"segment_bytes": 1 << 14, "replay": {"snapshot_s": 30}},
    "upkeep": {"save_s": 1},
}
"""Segments that fill soon."""


async def live(one: Shop, first: int, last: int, factor: float = 1.0) -> None:
    for begin in range(first, last, 20):
        rows = [
            ({"__name__": "latency_ms", "service": f"s{n}"}, minute, factor * latency(minute, n))
            for minute in range(begin, min(last, begin + 20))
            for n in range(3)
        ]
        answer = await one.write(rows)
        assert answer.status_code == 204, answer.text


async def known(one: Shop, folder: Path) -> Snapshot:
    """The newest snapshot, once there is one of what was learned."""
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0.005)
            found = snapshots(folder / "log" / KEPT_FOLDER)
            if found and found[-1].position:
                return found[-1]


async def replay(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """(exit status, what it printed)."""
    capsys.readouterr()
    status = await asyncio.to_thread(main, ["replay", "--json", *words])
    return status, json.loads(capsys.readouterr().out)


async def test_a_running_server_is_replayed_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    monkeypatch.setenv("WATCHKEEPER_CONFIG", str(tmp_path / "data.yaml"))
    tried = tmp_path / "tried.yaml"
    tried.write_text("detectors: [{use: basic, budget_per_week: 0.001}]")
    async with shop(folder, minute=STRANGE, **SMALL) as one:
        await live(one, 0, STRANGE)
        await one.settled()
    async with shop(folder, minute=STRANGE, **SMALL) as one:
        one.clock.advance(30)
        snapshot = await known(one, folder)
        one.clock.advance(60 * 60)
        await live(one, STRANGE + 1, STRANGE + 20, factor=5.0)
        await live(one, STRANGE + 20, STRANGE + 50)
        await one.settled()
        found = await one.anomalies(limit="1000")

        whole = await replay(capsys, "--expect", "same")
        since = await replay(capsys, "--from", f"{BEGIN_S + 60 * STRANGE + 59}")
        other = await replay(capsys, "--config", str(tried), "--expect", "same")

    assert found
    assert whole[0] == since[0] == 0
    assert whole[1]["counts"]["same"] == len(found)
    assert whole[1]["knew"] is None
    assert since[1]["counts"] == whole[1]["counts"] | {"same": since[1]["counts"]["same"]}
    assert since[1]["counts"]["same"] > 0
    assert since[1]["knew"] == iso(snapshot.taken_ns)
    assert other[0] == 1
    assert other[1]["counts"]["fewer"] > 0
    assert {one["after"] for one in other[1]["differences"] if one["kind"] == "fewer"} == {None}
