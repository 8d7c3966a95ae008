"""The bench's account of what was lost, what is there twice, and how its disk forgets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench import aftermath, fleet
from bench.aftermath import Found
from bench.client import Door
from bench.durability import SERIES_PER_SHARD, TROUBLE_STEPS, Troubled
from bench.frail import Pages
from bench.row_shards import LineShard, RowShard, SpanShard, compared
from bench.sender import Delivered, Shard

START_MS = 1_767_607_200_000


def points(*rows: tuple[int, float]) -> tuple[fleet.I64, fleet.F64]:
    times, values = zip(*rows, strict=True) if rows else ((), ())
    return np.array(times, np.int64), np.array(values, np.float64)


SENT = points((1, 0.1), (2, 0.2), (3, 0.3))


@pytest.mark.parametrize(
    ("there", "lost", "duplicated"),
    [
        (points((1, 0.1), (2, 0.2), (3, 0.3)), 0, 0),
        (points((1, 0.1), (3, 0.3)), 1, 0),
        (points((1, 0.1), (2, 0.2), (2, 0.2), (3, 0.3)), 0, 1),
        (points((1, 0.1), (2, 0.9), (3, 0.3)), 1, 1),
        (points((1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)), 0, 1),
        (points(), 3, 0),
    ],
)
def test_samples_are_found_missing_changed_or_twice(
    there: tuple[fleet.I64, fleet.F64], lost: int, duplicated: int
) -> None:
    assert aftermath.compare_series(SENT, there) == (lost, duplicated)


def test_differences_count_what_is_missing_on_either_side_or_unequal() -> None:
    assert aftermath.differences({"a": 1, "b": 2, "c": 3}, {"b": 2, "c": 4, "d": 5}) == 3


def test_a_shard_gives_the_same_bytes_again_and_the_samples_that_they_hold() -> None:
    shard = Troubled(1, seed=1, start_ms=START_MS)
    first, third = shard.body(0), shard.body(2)

    times, values = shard.sent(3)

    assert (shard.body(0), shard.body(2)) == (first, third)
    assert times.shape == values.shape == (SERIES_PER_SHARD, 3)
    assert first != third


def test_now_and_then_a_gauge_of_a_shard_leaves_its_place() -> None:
    shard, calm = Troubled(0, seed=1, start_ms=START_MS), fleet.Walk(
        SERIES_PER_SHARD, seed=1, start_ms=START_MS
    )  # fmt: skip
    n_steps = 8 * TROUBLE_STEPS
    shard.body(n_steps - 1)

    _, values = shard.sent(n_steps)

    _, usual = calm.take(n_steps, step_ms=60_000)
    struck = (values != usual).any(axis=1)
    assert 0 < struck.sum() < SERIES_PER_SHARD / 20


class Disk:
    """A file, and pages that forget."""

    def __init__(self, path: Path) -> None:
        self.pages = Pages(tear_at=0)
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT)

    def content(self) -> bytes:
        return os.pread(self.fd, 100, 0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    opened = Disk(tmp_path / "file")
    yield opened
    os.close(opened.fd)


def test_a_frail_disk_has_nothing_before_the_sync(disk: Disk) -> None:
    disk.pages.write(disk.fd, [b"abc", b"def"], 0)
    before = disk.content()

    disk.pages.sync(disk.fd)

    assert before == b""
    assert disk.content() == b"abcdef"


def test_a_sync_on_a_frail_disk_writes_everything_that_waits_in_order(disk: Disk) -> None:
    disk.pages.write(disk.fd, [b"abcdef"], 0)
    disk.pages.write(disk.fd, [b"XY"], 2)

    disk.pages.sync(disk.fd)

    assert disk.content() == b"abXYef"


class Flaky:
    """A server that answers what it is told, and keeps what it acknowledged."""

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)
        self.seen: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                size = int(head.split("content-length: ")[1].split("\r\n")[0])
                self.seen.append(await reader.readexactly(size))
                status = self.answers.pop(0) if self.answers else 204
                if status is None:
                    return
                writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\nno".encode())
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()


async def send_to(flaky: Flaky, n_bodies: int) -> Delivered:
    server = await asyncio.start_server(flaky.serve, "127.0.0.1", 0)
    async with server:
        door = Door(server.sockets[0].getsockname()[1], "/write", {})
        shard = Shard(door, lambda index: b"body %d" % index, Delivered())
        await shard.send(n_bodies.__gt__, per_second=None)
    return shard.delivered


async def test_a_sender_repeats_the_same_body_until_it_is_taken() -> None:
    flaky = Flaky(503, None, 204)

    delivered = await send_to(flaky, 2)

    assert flaky.seen == [b"body 0", b"body 0", b"body 0", b"body 1"]
    assert (delivered.acknowledged, delivered.retries, delivered.dropped) == (2, 2, 0)


async def test_a_sender_drops_what_is_refused_for_good_and_says_why() -> None:
    delivered = await send_to(Flaky(400), 2)

    assert (delivered.acknowledged, delivered.retries, delivered.dropped) == (1, 0, 1)
    assert delivered.refusal == "400: no"


def test_each_once_is_neither_lost_nor_doubled() -> None:
    assert compared({"a", "b"}, {"a": 1, "b": 1}) == Found(0, 0)


def test_what_is_missing_doubled_or_besides_is_told() -> None:
    assert compared({"a", "b", "c"}, {"a": 2, "x": 1}) == Found(lost=2, duplicated=2)


@pytest.mark.parametrize("shard", [LineShard("s", 0), SpanShard("s", 0)], ids=["lines", "spans"])
def test_a_body_is_the_same_whenever_it_is_asked_and_no_other_is(shard: RowShard) -> None:
    assert shard.body(3) == shard.body(3)
    assert shard.body(3) != shard.body(4)
