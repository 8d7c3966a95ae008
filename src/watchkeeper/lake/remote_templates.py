"""Templates as a process knows them that keeps no lines: asked of the one that does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import msgspec

from watchkeeper.lake.remote import Owner
from watchkeeper.model.series import TenantId
from watchkeeper.model.template import Template

_decoder = msgspec.msgpack.Decoder(list[Template])


class RemoteTemplates:
    """Raises what the owner raised, or Retryable."""

    def __init__(self, owner: Owner, executor: Executor) -> None:
        self._owner = owner
        self._executor = executor

    async def caught_up(self, position: int) -> bool:
        await self._ask("caught-up/templates", position, None)
        return True

    async def templates(self, tenant: TenantId, service: str | None) -> Sequence[Template]:
        found = await self._ask("templates", service, tenant)
        return _decoder.decode(found)

    async def fingerprints(self, tenant: TenantId, template: int) -> Sequence[int]:
        found = await self._ask("fingerprints", template, tenant)
        return msgspec.msgpack.decode(found, type=list[int])

    async def _ask(self, path: str, question: Any, tenant: TenantId | None) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, self._owner.ask, path, question, tenant
        )
