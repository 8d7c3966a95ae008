"""What people decide, in a whole app: in force at once, and after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.rhythm import latency
from tests.scenario.shop import Shop, shop

QUEUE = {"__name__": "queue_length", "service": "cart"}
SETTINGS = "/api/v1/config/detection"
SPIKE = 200


async def fed(one: Shop, first: int, last: int) -> None:
    """Minutes of a queue, with one spike."""
    rows = [(QUEUE, m, 9000.0 if m == SPIKE else latency(m)) for m in range(first, last)]
    answer = await one.write(rows)
    assert answer.status_code == 204, answer.text
    await one.settled()


async def version_judged_by(one: Shop) -> float:
    lines = (await one.http.get("/metrics")).text.splitlines()
    (line,) = [at for at in lines if at.startswith("watchkeeper_detect_settings_version ")]
    return float(line.split()[1])


async def test_settings_windows_and_verdicts_are_in_force_before_and_after_a_restart(
    tmp_path: Path,
) -> None:
    document: dict[str, Any] = {"detectors": [{"use": "basic"}], "sensitivity": "high"}
    async with shop(tmp_path / "data", minute=SPIKE + 60) as one:
        await fed(one, 0, 150)
        before = (await one.get(SETTINGS))["version"]
        put = await one.http.put(SETTINGS, json=document, params={"expected": "0"})
        window = await one.http.post(
            "/api/v1/maintenance",
            json={
                "match": {"service": "cart"},
                "start": "2026-01-05T03:00:00Z",
                "duration": "2h",
                "reason": "disks",
            },
        )
        await fed(one, 150, 260)
        found = await one.anomalies()
        path = f"/api/v1/anomalies/{found[0]['id']}/verdict"
        said = await one.http.post(path, json={"verdict": "not_useful"})
        judged = await one.get(f"/api/v1/detection/series/{found[0]['series']}")
        now = await version_judged_by(one)
    async with shop(tmp_path / "data", minute=SPIKE + 61) as again:
        await fed(again, 260, 262)
        after = await again.get(SETTINGS)
        kept = await again.get(path)
        health = (await again.get("/health"))["checks"]["settings"]
        later = await version_judged_by(again)
        trail = (await again.get("/api/v1/audit"))["items"]

    assert (put.status_code, window.status_code, said.status_code) == (200, 201, 200)
    assert (before, now, later) == (0, 1.0, 1.0)
    assert {one["muted"] for one in found} == {"maintenance: disks"}
    assert {one["severity"] for one in found} == {"info"}
    assert judged["detectors"] == ["basic"]
    assert round(judged["limit"]["together"], 6) == 1.0
    assert (after["version"], after["document"]["sensitivity"]) == (1, "high")
    assert [one["verdict"] for one in kept["items"]] == ["not_useful"]
    assert health["ok"]
    assert "version 1, set by local; the configuration file says otherwise" in health["detail"]
    assert [one["action"] for one in trail] == [
        "verdict.give",
        "maintenance.add",
        "detection.set",
    ]
