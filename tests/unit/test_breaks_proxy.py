"""A proxy that stands between two services, before a server that answers what it was told."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from shop.breaks.agents.proxy import CHUNK, Harm, serving

ASKED = b"GET / HTTP/1.1\r\n\r\n"


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[str, int]]:
    """A server that says everything again."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(CHUNK):
                writer.write(chunk)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()


@asynccontextmanager
async def proxied(
    **harm: float,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection through the proxy to such a server."""
    door = socket.create_server(("127.0.0.1", 0))
    given = Harm(chance=random.Random(1), **harm)  # type: ignore[arg-type]  # numbers alone
    async with echoing() as to, serving(door, to, given):
        reader, writer = await asyncio.open_connection(*door.getsockname())
        yield reader, writer
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_what_is_said_comes_back_and_the_end_of_it_too() -> None:
    async with proxied() as (reader, writer):
        writer.write(b"x" * 100_000)
        writer.write_eof()

        assert await reader.read(-1) == b"x" * 100_000


async def test_a_delay_is_felt_on_the_way_there_and_on_the_way_back() -> None:
    async with proxied(delay_ms=30.0) as (reader, writer):
        began = time.perf_counter()
        writer.write(ASKED)
        came = await reader.readexactly(len(ASKED))

        assert came == ASKED
        assert time.perf_counter() - began >= 0.06


async def test_a_connection_is_cut_off_by_a_reset() -> None:
    async with proxied(reset=1.0) as (reader, writer):
        writer.write(ASKED)

        with pytest.raises(ConnectionResetError):
            await reader.read(1)


async def test_a_connection_on_which_nothing_comes_stays_open() -> None:
    async with proxied(silent=1.0) as (reader, writer):
        writer.write(ASKED)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        assert not reader.at_eof()


async def test_a_server_that_is_not_there_is_none_behind_the_proxy_either() -> None:
    door = socket.create_server(("127.0.0.1", 0))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        to = nobody.getsockname()
    async with serving(door, to, Harm()):
        reader, writer = await asyncio.open_connection(*door.getsockname())

        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def test_what_is_lost_is_sent_again_later_and_later() -> None:
    always = Harm(lost=1.0, chance=random.Random(1))
    sometimes = Harm(lost=0.2, chance=random.Random(1))

    waits = [sometimes.wait_s(100) for _ in range(2_000)]

    assert always.wait_s(100) == pytest.approx(0.2 + 0.4 + 0.8 + 1.6)
    assert sum(wait > 0 for wait in waits) / 2_000 == pytest.approx(0.2, abs=0.03)
    assert {round(wait, 1) for wait in waits} <= {0.0, 0.2, 0.6, 1.4, 3.0}


def test_a_narrow_way_takes_as_long_as_there_is_to_carry() -> None:
    assert Harm(bytes_per_s=500.0).wait_s(250) == 0.5
    assert Harm().wait_s(10**9) == 0.0


def test_jitter_is_around_the_delay_and_never_before_it_was_sent() -> None:
    steady = Harm(delay_ms=100.0, jitter_ms=40.0, chance=random.Random(1))
    wild = Harm(delay_ms=10.0, jitter_ms=100.0, chance=random.Random(1))

    waits = [steady.wait_s(1) for _ in range(1_000)]

    assert 0.06 <= min(waits) < 0.07
    assert 0.13 < max(waits) <= 0.14
    assert min(wild.wait_s(1) for _ in range(100)) == 0.0
