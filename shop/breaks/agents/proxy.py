"""Between a service and whoever asks it: later, slower, cut off, or nothing at all."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from shop.breaks.agent import May

CHUNK = 16_384
LOOK_S = 0.2
FIRST_RETRY_S = 0.2
"""As TCP waits before it sends again what was lost, and twice as long each further time."""
MOST_RETRIES = 4
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for no time at all: closing answers with a reset."""


@dataclass(frozen=True, kw_only=True)
class Harm:
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    lost: float = 0.0
    """Share of chunks that have to be sent again, as TCP does it."""
    bytes_per_s: float = 0.0
    """0: as fast as it goes."""
    reset: float = 0.0
    """Share of connections that are cut off."""
    silent: float = 0.0
    """Share of connections on which nothing ever comes."""
    chance: random.Random = field(default_factory=random.Random)

    def wait_s(self, n_bytes: int) -> float:
        """How much later a chunk comes."""
        wait_s = max(0.0, self.delay_ms + self.jitter_ms * self.chance.uniform(-1, 1)) / 1e3
        retries = 0
        while retries < MOST_RETRIES and self.chance.random() < self.lost:
            wait_s += FIRST_RETRY_S * 2**retries
            retries += 1
        return wait_s + (n_bytes / self.bytes_per_s if self.bytes_per_s else 0.0)


def run(may: May, *, fd: int, host: str, port: int, **harm: float) -> None:
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(may, socket.socket(fileno=fd), (host, port), Harm(**harm)))  # type: ignore[arg-type]  # numbers alone


async def _run(may: May, door: socket.socket, to: tuple[str, int], harm: Harm) -> None:
    async with serving(door, to, harm):
        may.ready()
        while may:  # noqa: ASYNC110  # a file that goes tells nobody
            await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def serving(door: socket.socket, to: tuple[str, int], harm: Harm) -> AsyncIterator[None]:
    """Whoever connects is joined to `to`, with that harm; in the end all are cut off."""
    joined: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        joined.add(task)
        task.add_done_callback(joined.discard)
        try:
            await _treat(reader, writer, to, harm)
        except (OSError, asyncio.CancelledError):
            _cut(writer)  # as the other side did, or we do
        finally:
            writer.close()

    async with await asyncio.start_server(pass_on, sock=door):
        yield
    for task in joined:
        task.cancel()
    if joined:
        await asyncio.wait(joined)


async def _treat(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: tuple[str, int], harm: Harm
) -> None:
    drawn = harm.chance.random()
    if drawn < harm.reset:
        await reader.read(CHUNK)
        _cut(writer)
    elif drawn < harm.reset + harm.silent:
        while await reader.read(CHUNK):
            continue
    else:
        await _join(reader, writer, to, harm)


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    to: tuple[str, int],
    harm: Harm,
) -> None:
    far_reader, far_writer = await asyncio.open_connection(*to)
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, far_writer, harm))
            both.create_task(_pump(far_reader, writer, harm))
    except* OSError:
        _cut(writer)
    finally:
        far_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, harm: Harm) -> None:
    while chunk := await reader.read(CHUNK):
        if wait_s := harm.wait_s(len(chunk)):
            await asyncio.sleep(wait_s)
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof() and not writer.is_closing():
        writer.write_eof()


def _cut(writer: asyncio.StreamWriter) -> None:
    near = writer.get_extra_info("socket")
    if near is not None:
        with suppress(OSError):
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
