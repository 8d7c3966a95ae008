"""Lines and spans for the durability suite: bodies that can be asked for again, and read back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from bench import client
from bench.aftermath import Found
from bench.client import Door
from bench.peers import Recipe, Server

ROWS_PER_BODY: Final = 50
_JSON: Final[Mapping[str, str]] = {"Content-Type": "application/json"}
_PAGE: Final = 1000


class RowShard(Protocol):
    """What one sender sends."""

    def door(self, recipe: Recipe) -> Door: ...

    def body(self, index: int) -> bytes:
        """Equal bytes whenever it is asked."""
        ...

    def compare(self, server: Server, n_bodies: int) -> Found:
        """What of the first bodies is not there, and what is there more than once or besides."""
        ...


@dataclass(frozen=True, slots=True)
class LineShard:
    """Lines of one service, each with a number of its own."""

    service: str
    start_ms: int

    def door(self, recipe: Recipe) -> Door:
        return Door(recipe.port, "/api/v1/logs/write", _JSON)

    def body(self, index: int) -> bytes:
        lines = [
            {
                "timestamp": self.start_ms + 100 * index + row,
                "level": "info",
                "service": self.service,
                "message": f"line {index}/{row} of the order",
            }
            for row in range(ROWS_PER_BODY)
        ]
        return json.dumps({"logs": lines}).encode()

    def compare(self, server: Server, n_bodies: int) -> Found:
        wanted = {
            f"line {index}/{row} of the order"
            for index in range(n_bodies)
            for row in range(ROWS_PER_BODY)
        }
        there: Counter[str] = Counter()
        cursor: str | None = ""
        while cursor is not None:
            asked = {
                "query": f'{{service="{self.service}"}}',
                "start": str(self.start_ms / 1000 - 1),
                "limit": str(_PAGE),
                **({"cursor": cursor} if cursor else {}),
            }
            page: dict[str, Any] = json.loads(client.get(server.port, "/api/v1/logs/search", asked))
            there.update(item["body"] for item in page["items"])
            cursor = page["cursor"]
        return compared(wanted, there)


@dataclass(frozen=True, slots=True)
class SpanShard:
    """Spans, one trace a body."""

    service: str
    start_ms: int

    def door(self, recipe: Recipe) -> Door:
        return Door(recipe.port, "/api/v2/spans", _JSON)

    def body(self, index: int) -> bytes:
        return json.dumps(
            [
                {
                    "traceId": self._trace(index),
                    "id": f"{row + 1:016x}",
                    "name": f"step {row}",
                    "timestamp": 1000 * (self.start_ms + 100 * index + row),
                    "duration": 1000,
                    "localEndpoint": {"serviceName": self.service},
                }
                for row in range(ROWS_PER_BODY)
            ]
        ).encode()

    def compare(self, server: Server, n_bodies: int) -> Found:
        wanted = {f"step {row}" for row in range(ROWS_PER_BODY)}
        found = Found(0, 0)
        for index in range(n_bodies):
            found += compared(wanted, Counter(self._read(server, self._trace(index))))
        return found

    def _trace(self, index: int) -> str:
        return f"{index + 1:032x}"

    def _read(self, server: Server, trace: str) -> list[str]:
        try:
            answer = client.get(server.port, f"/api/v1/traces/{trace}")
        except client.Refused as refused:
            if refused.status == 404:
                return []
            raise
        return [span["name"] for span in json.loads(answer)["spans"]]


def compared(wanted: set[str], there: Mapping[str, int]) -> Found:
    """Each once, and nothing besides."""
    lost = sum(one not in there for one in wanted)
    return Found(lost, sum(there.values()) - (len(wanted) - lost))
