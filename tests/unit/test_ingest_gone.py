"""Senders that do not wait for their answer, as those whose deadline has passed."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from tests.doors import body, house
from watchkeeper.errors import Retryable
from watchkeeper.ingest.decode_stage import Decoding
from watchkeeper.ingest.prepare import Accepted, Request
from watchkeeper.ingest.stage import Ingest, IngestConfig
from watchkeeper.model.series import DEFAULT_TENANT

BODY = body(("queue", 0, 1.0))


@dataclass
class Slow:
    """Decoding that takes until it is let go."""

    entered: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def decoded(self, request: Request, _now_ns: int) -> Request:
        self.entered.set()
        await self.go_on.wait()
        return request


async def test_a_body_whose_sender_left_while_it_was_decoded_waits_no_more(tmp_path: Path) -> None:
    """It was counted as waiting for ever, until nobody was let in any more."""
    slow = Slow()
    with ThreadPoolExecutor(1) as executor:
        async with house(tmp_path) as one:
            door = Ingest(
                IngestConfig(queue_bytes=len(BODY)),
                one.preparer,
                decoding=cast("Decoding", slow),
                bus=one.gate,
                clock=one.clock,
                executor=executor,
            )
            left = asyncio.create_task(door.accept(request()))
            await slow.entered.wait()
            with pytest.raises(Retryable, match="queue_bytes"):
                await door.accept(request())

            left.cancel()
            await asyncio.gather(left, return_exceptions=True)
            slow.go_on.set()
            accepting = asyncio.create_task(door.run())

            assert await asyncio.wait_for(door.accept(request()), 10) == Accepted(1)
            door.close()
            await accepting


def request() -> Request:
    return Request("metrics_json", BODY, {}, DEFAULT_TENANT)
