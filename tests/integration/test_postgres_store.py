"""The store on a real PostgreSQL: many writers, deaths on both sides, wrong addresses, views."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from bench.postgres import Cluster, schema_of
from tests import make
from watchkeeper.errors import Retryable
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.store.base import Filter
from watchkeeper.store.postgres.store import PostgresStore
from watchkeeper.telemetry import Secret

ROOT = Path(__file__).parents[2]
PATIENCE_S = 0.5


@pytest.fixture
def mortal() -> Iterator[Cluster]:
    """One that a test may stop."""
    with Cluster() as one:
        yield one


def episodes(n: int, *, at: int = 1) -> list[Anomaly]:
    return [make.anomaly(id=f"{at}-{k}", started_ns=k, position=at) for k in range(n)]


async def read_on(store: PostgresStore, after: int, seen: list[int]) -> int:
    """One look at the outbox, as the relay takes it."""
    for event in await store.events(after, 7):
        seen.append(event.sequence)
        after = event.sequence
    return after


@contextmanager
def writer(cluster: Cluster, folder: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.integration.postgres_writer",
               cluster.url, schema_of(folder), name]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def promised(process: subprocess.Popen[str], *, at_least: int = 0) -> list[str]:
    """The ids whose saves returned: so many, or all until its end."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if at_least and len(lines) >= at_least:
            break
    return [line for line in lines if line.count("-") == 2]


async def told(store: PostgresStore) -> list[str]:
    """The ids of all events; their numbers are without holes."""
    events = await store.events(0, 1_000_000)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return [event.record.id for event in events]


# Many at once.


async def test_a_reader_beside_many_writers_sees_every_event_once_in_order(
    cluster: Cluster, tmp_path: Path
) -> None:
    writers = [cluster.store(tmp_path) for _ in range(6)]
    reader = cluster.store(tmp_path)
    seen: list[int] = []

    async def write(number: int, store: PostgresStore) -> None:
        for n in range(25):
            await store.save(episodes(1 + (n + number) % 4, at=100 * number + n))

    async def read(done: asyncio.Event) -> None:
        after = 0
        while not done.is_set() or await reader.events(after, 1):
            after = await read_on(reader, after, seen)

    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(read(done))
        await asyncio.gather(*(write(n, store) for n, store in enumerate(writers)))
        done.set()

    assert len(seen) > 6 * 25
    assert seen == list(range(1, len(seen) + 1))
    for store in (*writers, reader):
        await store.close()


async def test_of_two_who_save_one_record_the_newer_version_stays(
    cluster: Cluster, tmp_path: Path
) -> None:
    stores = [cluster.store(tmp_path) for _ in range(2)]
    versions = [make.anomaly(position=n) for n in range(40)]

    async def save(store: PostgresStore, mine: Sequence[Anomaly]) -> None:
        for one in mine:
            await store.save([one])

    await asyncio.gather(save(stores[0], versions[::2]), save(stores[1], versions[1::2][::-1]))

    found = await stores[0].get(Anomaly, DEFAULT_TENANT, versions[0].id)
    assert found == versions[-1]
    for store in stores:
        await store.close()


async def test_limits_hold_when_several_processes_save(cluster: Cluster, tmp_path: Path) -> None:
    stores = [cluster.store(tmp_path, record_limit=30, outbox_limit=20) for _ in range(3)]
    ended = [
        replace(one, status=AnomalyStatus.CLOSED, ended_ns=one.started_ns + 1)
        for one in episodes(40)
    ]

    await asyncio.gather(
        *(store.save([one]) for n, one in enumerate(ended) for store in (stores[n % 3],))
    )

    page = await stores[0].list(Anomaly, Filter(DEFAULT_TENANT, limit=100))
    events = await stores[1].events(0, 100)
    assert len(page.items) == 30
    assert [event.sequence for event in events] == list(range(21, 41))
    for store in stores:
        await store.close()


async def test_processes_that_start_at_once_make_one_schema_and_one_key(
    cluster: Cluster, tmp_path: Path
) -> None:
    stores = await asyncio.gather(*(asyncio.to_thread(cluster.store, tmp_path) for _ in range(6)))

    keys = [await store.shared_key(bytes([n]) * 16) for n, store in enumerate(stores)]

    assert len(set(keys)) == 1
    assert await asyncio.gather(*(store.save(episodes(1, at=7)) for store in stores)) == [1] * 6
    for store in stores:
        await store.close()


# Deaths.


async def test_processes_killed_while_saving_keep_what_they_promised(
    cluster: Cluster, tmp_path: Path
) -> None:
    store = cluster.store(tmp_path)
    kept: list[str] = []
    with writer(cluster, tmp_path, "steady") as steady:
        for number in range(3):
            with writer(cluster, tmp_path, f"killed{number}") as process:
                kept += promised(process, at_least=60 + 7 * number)
                process.kill()
                kept += promised(process)
        kept += promised(steady, at_least=200)

    ids = await told(store)

    assert len(set(ids)) == len(ids)
    assert set(kept) <= set(ids)
    assert {one.split("-")[0] for one in ids} == {"steady", "killed0", "killed1", "killed2"}
    assert len(ids) % 20 == 0, "a batch is saved as a whole, or not"
    await store.close()


async def test_a_server_killed_while_saving_keeps_what_was_promised(
    mortal: Cluster, tmp_path: Path
) -> None:
    with writer(mortal, tmp_path, "a") as process:
        kept = promised(process, at_least=100)
        mortal.kill()
        kept += promised(process)
    mortal.start()
    store = mortal.store(tmp_path)

    ids = await told(store)

    assert set(kept) <= set(ids)
    assert len(ids) % 20 == 0
    await store.close()


async def test_a_store_goes_on_by_itself_when_its_server_is_back(
    mortal: Cluster, tmp_path: Path
) -> None:
    store = mortal.store(tmp_path)
    await store.save(episodes(1))
    mortal.kill()

    with pytest.raises(Retryable, match=rf"127\.0\.0\.1:{mortal.port}/postgres"):
        await store.save(episodes(2))
    with pytest.raises(Retryable):
        await store.events(0, 10)

    mortal.start()
    assert await store.save(episodes(2)) == 2
    assert len(await store.events(0, 10)) == 2
    await store.close()


async def test_a_server_that_was_restarted_between_two_saves_is_not_noticed(
    mortal: Cluster, tmp_path: Path
) -> None:
    store = mortal.store(tmp_path)
    await store.save(episodes(1))
    assert len(await store.events(0, 10)) == 1

    mortal.stop()
    mortal.start()

    assert len(await store.events(0, 10)) == 1
    assert await store.save(episodes(2)) == 2
    await store.close()


async def test_a_server_that_falls_silent_is_given_up_in_time(
    cluster: Cluster, tmp_path: Path
) -> None:
    url = Secret(f"{cluster.url}?application_name=silent")
    store = cluster.store(tmp_path, url=url, timeout_s=PATIENCE_S)
    await store.save(episodes(1))
    find = "SELECT pid FROM pg_stat_activity WHERE application_name = 'silent'"
    ((pid,),) = cluster.execute(find)
    os.kill(pid, signal.SIGSTOP)
    started_s = time.monotonic()

    try:
        with pytest.raises(Retryable):
            await store.save(episodes(2))
        waited_s = time.monotonic() - started_s
    finally:
        os.kill(pid, signal.SIGCONT)

    assert waited_s < 4 * PATIENCE_S
    assert await store.save(episodes(2)) == 2
    await store.close()


async def test_a_process_that_falls_silent_inside_a_save_does_not_hold_up_the_others(
    cluster: Cluster, tmp_path: Path
) -> None:
    store = cluster.store(tmp_path, timeout_s=10 * PATIENCE_S)
    await store.save(episodes(1))
    silent = cluster.server(tmp_path, timeout_s=PATIENCE_S).connect()
    silent.execute(b"BEGIN")
    silent.execute(b"UPDATE outbox_bounds SET last = 1000")

    assert await store.save(episodes(2)) == 2

    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        silent.execute(b"COMMIT")
    await store.close()


async def test_a_save_that_nobody_waits_for_any_more_is_kept_whole(
    cluster: Cluster, tmp_path: Path
) -> None:
    store = cluster.store(tmp_path)
    saving = asyncio.create_task(store.save(episodes(30)))
    await asyncio.sleep(0)
    saving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await saving

    assert len(await told(store)) in (0, 30)
    assert await store.save(episodes(30)) == 30
    await store.close()
