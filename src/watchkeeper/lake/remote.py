"""The lake and its tables as a process reads them that keeps none: asked of the one that does.

An answer comes whole or not at all: an owner that is away, or does not know us, is Retryable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic

import httpx
import msgspec

from watchkeeper.errors import BadInput, Retryable, TooLarge
from watchkeeper.lake.base import Frame, SampleQuery, SeriesQuery, TooManyRows
from watchkeeper.lake.remote_config import RemoteConfig
from watchkeeper.lake.remote_form import MANY_ROWS, REFUSAL, read_found, read_frame
from watchkeeper.lake.tables.base import B, Found, RowQuery
from watchkeeper.lake.tables.definition import Definition
from watchkeeper.model.series import TenantId

PREFIX: Final = "/internal/v1"
_OURS: Final = frozenset({400, 413, 422})
"""Answers that say something of the question; every other one says something of the owner."""
_CONNECTIONS: Final = 16


class Owner:
    """The process that keeps telemetry. For any thread."""

    def __init__(
        self,
        config: RemoteConfig,
        tenant_header: str,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`transport` carries the questions; a connection of httpx's own where none is given."""
        self._place = config.url
        self._tenant_header = tenant_header
        key = "" if config.key is None else config.key.reveal()
        self._http = httpx.Client(
            base_url=config.url,
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=config.timeout_s,
            limits=httpx.Limits(max_connections=_CONNECTIONS),
            trust_env=False,
            transport=transport,
        )

    def ask(self, path: str, question: Any, tenant: TenantId | None = None) -> bytes:
        """Raises what the owner raised, or Retryable."""
        headers = {} if tenant is None else {self._tenant_header: tenant}
        content = msgspec.msgpack.encode(question)
        try:
            answer = self._http.post(f"{PREFIX}/{path}", content=content, headers=headers)
        except httpx.HTTPError as error:
            raise Retryable(
                f"remote: the process that keeps telemetry does not answer at {self._place}: "
                f"{str(error) or type(error).__name__}; see that it runs, and check remote.url"
            ) from error
        if answer.status_code == 200:
            return answer.content
        raise self._refusal(answer)

    def close(self) -> None:
        """Safe twice and without use."""
        self._http.close()

    def _refusal(self, answer: httpx.Response) -> BadInput | Retryable:
        said = _detail(answer)
        if answer.status_code == 413:
            return TooLarge(said)
        if answer.status_code in _OURS:
            if answer.headers.get(REFUSAL) == MANY_ROWS:
                return TooManyRows(said)
            return BadInput(said, status=answer.status_code)
        return Retryable(
            f"remote: the process that keeps telemetry at {self._place} answered "
            f"{answer.status_code}: {said}; check remote.url and remote.key, and its log"
        )


class RemoteLake:
    """What is read of a `Lake`."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def query(self, query: SampleQuery) -> Frame:
        return read_frame(self._owner.ask("samples", query, query.tenant))

    def series(self, query: SeriesQuery) -> Sequence[Mapping[str, str]]:
        found = self._owner.ask("series", query, query.tenant)
        return msgspec.msgpack.decode(found, type=list[dict[str, str]])


class RemoteTable(Generic[B]):
    """What is read of a `Table`."""

    def __init__(self, owner: Owner, definition: Definition[B]) -> None:
        self._owner = owner
        self._definition = definition

    def search(self, query: RowQuery) -> Found[B]:
        found = self._owner.ask(f"rows/{self._definition.name}", query, query.tenant)
        return read_found(found, self._definition)


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
