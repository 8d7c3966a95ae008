"""Starting and stopping a whole app: in good order, in bad order, and twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import make
from tests.rhythm import BEGIN_S, body
from tests.scenario.shop import Shop, settings, shop
from watchkeeper.app import running
from watchkeeper.bus.base import Delivery
from watchkeeper.clock import FakeClock
from watchkeeper.errors import ConfigError, WatchkeeperError
from watchkeeper.runtime import Dead
from watchkeeper.sdk import remote_write

QUEUE = {"__name__": "queue_length", "service": "cart"}
OURS = ("ingest", "detect", "upkeep", "query", "bus-append", "bus-read", "store-")


def our_threads() -> list[str]:
    """Threads that a running app has, and that a stopped one must not leave."""
    return [one.name for one in threading.enumerate() if one.name.startswith(OURS)]


async def values(one: Shop, labels: Mapping[str, str] = QUEUE) -> list[float]:
    answer = await one.get(
        "/api/v1/metrics/query",
        query=f'{labels["__name__"]}{{service="{labels["service"]}"}}',
        start=str(BEGIN_S),
        end=str(BEGIN_S + 86_400),
    )
    return [value for series in answer["series"] for _, value in series["points"]]


async def test_a_second_process_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=60) as one:
        with pytest.raises(ConfigError, match="is in use by another process; stop that one, or"):
            async with running(settings(tmp_path / "data"), FakeClock()):
                pass

        answer = await one.write([(QUEUE, 1, 1.0)])

        assert answer.status_code == 204
        assert (await one.get("/health"))["status"] == "ok"
        assert await values(one) == [1.0]


def spoil_state(data: Path) -> None:
    for extra in data.glob("state.db-*"):
        extra.unlink()
    (data / "state.db").write_bytes(b"this is no database" * 100)


def tear_key(data: Path) -> None:
    (data / "installation.key").write_bytes(b"torn")


def lose_key(data: Path) -> None:
    (data / "installation.key").unlink()


def block_log(data: Path) -> None:
    """A file in the way of a folder."""
    (data / "log").rename(data / "log.moved")
    (data / "log").touch()


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (spoil_state, "file is not a database"),
        (tear_key, "holds 4 bytes, not 16; restore it from a backup"),
        (lose_key, "is missing although"),
        (block_log, "log"),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
async def test_a_start_that_fails_holds_nothing_and_the_next_one_succeeds(
    tmp_path: Path, spoil: Callable[[Path], None], refusal: str
) -> None:
    data = tmp_path / "data"
    async with shop(data, minute=60) as one:
        await one.write([(QUEUE, 1, 7.0)])
    backup = {name: (data / name).read_bytes() for name in ("state.db", "installation.key")}
    spoil(data)

    with pytest.raises(WatchkeeperError, match=refusal):
        async with running(settings(data), FakeClock()):
            pass

    assert our_threads() == []
    for name, content in backup.items():
        (data / name).write_bytes(content)
    if (data / "log.moved").exists():
        (data / "log").unlink()
        (data / "log.moved").rename(data / "log")
    async with shop(data, minute=60) as one:
        assert await values(one) == [7.0]


async def test_a_wrong_detector_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"detection\.detectors\[0\]"):
        settings(tmp_path / "data", detection={"detectors": [{"use": "no such"}]})

    assert not (tmp_path / "data").exists()


async def test_a_stop_leaves_no_thread_and_nothing_locked(tmp_path: Path) -> None:
    for _ in range(3):
        async with shop(tmp_path / "data", minute=60) as one:
            await one.write([(QUEUE, 1, 1.0)])

        assert our_threads() == []


async def test_what_is_on_its_way_at_a_stop_is_durable_or_refused(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=60) as one:
        sending = [asyncio.create_task(one.write([(QUEUE, n, float(n))])) for n in range(40)]
        await asyncio.sleep(0)
    answers: list[httpx.Response] = await asyncio.gather(*sending, return_exceptions=False)

    taken = [float(n) for n, answer in enumerate(answers) if answer.status_code == 204]
    assert {answer.status_code for answer in answers} <= {204, 503}
    async with shop(tmp_path / "data", minute=60) as one:
        found = await values(one)
        assert set(taken) <= set(found)


async def test_after_a_stop_the_door_says_so_and_when_to_come_again(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=60) as one:
        one.app.services.ingest.close()

        answer = await one.write([(QUEUE, 1, 1.0)])

        assert answer.status_code == 503
        assert "this server is stopping" in answer.text
        assert int(answer.headers["retry-after"]) >= 1


async def broken(data: Path) -> None:
    """An app in which something of its surroundings goes wrong after the first sample."""
    async with shop(data, minute=60) as one:
        assert (await one.write([(QUEUE, 1, 3.0)])).status_code == 204
        raise ZeroDivisionError


async def test_an_error_inside_still_stops_everything_in_order(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as ended:
        await broken(tmp_path / "data")

    assert ended.group_contains(ZeroDivisionError)
    assert our_threads() == []
    async with shop(tmp_path / "data", minute=60) as one:
        assert await values(one) == [3.0]


async def test_two_tenants_stay_apart_over_a_restart(tmp_path: Path) -> None:
    rows = [(QUEUE, 1, 5.0)]
    theirs = {**remote_write.HEADERS, "x-scope-orgid": "them"}
    async with shop(tmp_path / "data", minute=60) as one:
        await one.write([(QUEUE, 1, 1.0)])
        await one.http.post("/api/v1/write", content=body(rows), headers=theirs)
    async with shop(tmp_path / "data", minute=60) as one:
        answer = await one.http.get(
            "/api/v1/metrics/query",
            params={"query": "queue_length", "start": str(BEGIN_S), "end": str(BEGIN_S + 86_400)},
            headers={"x-scope-orgid": "them"},
        )

        (series,) = answer.json()["series"]
        assert [value for _, value in series["points"]] == [5.0]
        assert await values(one) == [1.0]


# Health


async def test_a_record_that_was_put_aside_makes_it_unwell(tmp_path: Path) -> None:
    async with shop(tmp_path / "data") as one:
        dead = Dead(Delivery(0, 7, make.tick()), "ZeroDivisionError: division by zero")
        one.app.loops["detect"].dead.append(dead)

        answer = await one.http.get("/health")

        checks = answer.json()["checks"]
        assert answer.status_code == 503
        assert not checks["detect"]["ok"]
        assert checks["detect"]["detail"].endswith(", 1 put aside")
        assert checks["store"]["ok"]


SMALL_LOG = {"segment_bytes": 65_536, "limit_bytes": 262_144}


async def fill(one: Shop, first: int) -> int:
    """Write until the log is full; up to which round it took everything."""
    for number in range(first, first + 200):
        answer = await one.write(
            [({"__name__": "m", "service": "cart", "i": str(i)}, number, 1.0) for i in range(500)]
        )
        if answer.status_code != 204:
            assert answer.status_code == 503
            assert "raise the limit" in answer.text
            return number
    raise AssertionError("the log was never full")


async def test_a_full_log_is_told_by_the_door_and_by_health_and_loses_nothing(
    tmp_path: Path,
) -> None:
    async with shop(tmp_path / "data", minute=3000, log=SMALL_LOG) as one:
        n_taken = await fill(one, 0)

        health = await one.http.get("/health")

        assert health.status_code == 503
        assert "log.limit_bytes" in health.json()["checks"]["log"]["detail"]
        points = await one.get(
            "/api/v1/metrics/query",
            query='m{i="0"}',
            start=str(BEGIN_S),
            end=str(BEGIN_S + 3000 * 60),
        )
        assert len(points["series"][0]["points"]) == n_taken


async def test_a_log_that_was_full_takes_more_when_its_readers_have_come_on(
    tmp_path: Path,
) -> None:
    """Nobody has to do anything: the readers' checkpoints and the lake's files make room."""
    patient: dict[str, Any] = {
        "log": SMALL_LOG,
        "runtime": {"checkpoint_s": 1},
        "upkeep": {"every_s": 1},
    }
    async with shop(tmp_path / "data", minute=3000, **patient) as one:
        n_taken = await fill(one, 0)
        async with asyncio.timeout(20):
            while (await one.write([(QUEUE, n_taken, 1.0)])).status_code != 204:
                one.clock.advance(5)
                await asyncio.sleep(0.02)

        assert await fill(one, n_taken + 1) > n_taken + 1
