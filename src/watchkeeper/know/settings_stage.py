"""Settings of detection at run time: which are in force, which were, and how others come to be.

What is wanted goes into the log. Whoever reads the log decides there whether it takes effect, and
gives it its version; here it is waited for.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from watchkeeper.clock import Clock
from watchkeeper.errors import BadInput
from watchkeeper.know.decisions_stage import newest_settings
from watchkeeper.model.principal import INSTALLATION
from watchkeeper.model.ruling import FROM_FILE, DetectionSet
from watchkeeper.model.series import Series, SeriesId, TenantId
from watchkeeper.model.signal import Logged
from watchkeeper.model.topology_set import TopologyDocument
from watchkeeper.store.base import Filter, Store

_LONGEST: Final = 2000
"""Of what the audit trail tells of a change, in characters."""
_MISSING: Final = object()


class Writing(Protocol):
    """The log, for what people decide."""

    async def log(self, record: Logged) -> int:
        """Make it durable; its position. Raises Retryable."""
        ...

    async def caught_up(self, position: int) -> bool:
        """Wait until what lies up to there is in the store; whether it is."""
        ...

    def partition_of(self, tenant: TenantId, service: str) -> int:
        """Where all meets that speaks of a service."""
        ...

    def series(self, identity: SeriesId) -> Series | None:
        """A series that this process knows."""
        ...

    def read(self, body: bytes, media: str) -> str:
        """A whole document of settings, checked, as JSON. Raises ConfigError with every fault."""
        ...

    def read_topology(self, body: bytes, media: str) -> TopologyDocument:
        """What people say of the topology, checked. Raises ConfigError with every fault."""
        ...

    @property
    def file(self) -> str:
        """What the configuration file says, as JSON."""
        ...


@dataclass(frozen=True, slots=True)
class By:
    """Who wants something, and in which request."""

    principal: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that is, or would be, another."""

    path: str
    before: Any
    after: Any


class Settings:
    """Of one installation."""

    def __init__(self, store: Store, clock: Clock, writing: Writing) -> None:
        self._store = store
        self._clock = clock
        self._writing = writing

    async def current(self) -> DetectionSet:
        """What was set last; what the file says, if nothing was."""
        return await newest_settings(self._store) or self.of_file()

    def of_file(self) -> DetectionSet:
        return DetectionSet("file", "", 0, "file", "detection.file")

    def text(self, settings: DetectionSet) -> str:
        """Its document as JSON."""
        return settings.document or self._writing.file

    async def versions(self, limit: int) -> Sequence[DetectionSet]:
        """Newest first; the file's is the oldest."""
        page = await self._store.list(DetectionSet, Filter(INSTALLATION, limit=limit))
        return [*page.items, self.of_file()][:limit]

    async def version(self, number: int) -> DetectionSet:
        if number == FROM_FILE:
            return self.of_file()
        found = await self._store.get(DetectionSet, INSTALLATION, f"{number:019d}")
        if found is None:
            raise BadInput(
                f"detection: there is no version {number}; GET /api/v1/config/detection/versions "
                "lists them",
                status=404,
            )
        return found

    async def expect(self, expected: int | None) -> DetectionSet:
        """What is in force. Raises BadInput (412) where that is not what was expected."""
        now = await self.current()
        if expected is not None and now.version != expected:
            raise _overtaken(expected, now)
        return now

    async def set(
        self, document: str, by: By, *, expected: int | None, action: str = "detection.set"
    ) -> DetectionSet:
        """The version that this document came to be. Where it is in force already, nothing is
        done. Raises BadInput (412) where another version is in force than was expected."""
        now = await self.expect(expected)
        if document == now.document:
            return now
        wanted = DetectionSet(
            id=secrets.token_hex(16),
            document=document,
            time_ns=self._clock.now_ns(),
            principal=by.principal,
            action=action,
            expected=expected,
            request_id=by.request_id,
            changed=told(differences(self.text(now), document or self._writing.file)),
        )
        position = await self._writing.log(wanted)
        await self._writing.caught_up(position)
        page = await self._store.list(DetectionSet, Filter(INSTALLATION, limit=100))
        for one in page.items:
            if one.id == wanted.id:
                return one
        newest = await self.current()
        if expected is not None and newest.version != expected:
            raise _overtaken(expected, newest)
        return wanted  # in the log, and soon in force


def differences(before: str, after: str) -> list[Difference]:
    """Setting by setting, from one document to another; a list is one setting."""
    return list(_differences("", json.loads(before), json.loads(after)))


def source(settings: DetectionSet | None, file: str) -> str:
    """In a sentence, whose settings are in force, and how they differ from the file's."""
    if settings is None:
        return "of detection: what the configuration file says"
    if not settings.document:
        return f"of detection: the configuration file's, by version {settings.version}"
    differ = ", ".join(one.path for one in differences(file, settings.document)[:5])
    said = f"of detection: version {settings.version}, set by {settings.principal}"
    if not differ:
        return f"{said}; equal to the configuration file's"
    return (
        f"{said}; the configuration file says otherwise of {differ}, and does not count until "
        "`watchkeeper detection restore 0`"
    )


def told(found: Sequence[Difference]) -> str:
    """In few words."""
    text = "; ".join(f"{one.path}: {_short(one.before)} -> {_short(one.after)}" for one in found)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 4] + " ..."


def _differences(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            deeper = f"{path}.{key}" if path else key
            yield from _differences(deeper, before.get(key, _MISSING), after.get(key, _MISSING))
    elif before != after:
        yield Difference(path, *(None if one is _MISSING else one for one in (before, after)))


def _short(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _overtaken(expected: int, now: DetectionSet) -> BadInput:
    return BadInput(
        f"detection: version {expected} is not in force, {now.version} is, set by "
        f"{now.principal}; read it, and set yours again if it is still wanted",
        status=412,
    )
