"""A question asked of tables, a lake and a store that a test has filled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import make
from tests.cases import Call
from tests.fronts import Answers
from tests.telling import lines_of, spans_of, zipkin
from watchkeeper.analyze.gather_stage import Gatherer, Kept
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake.tables.config import LogsConfig, SpansConfig
from watchkeeper.lake.tables.tables import Tables, open_tables
from watchkeeper.model.case import Case
from watchkeeper.model.cause import Answer
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.model.topology import Topology
from watchkeeper.parts.explain import explainers
from watchkeeper.store.memory import MemoryStore

S = make.NS_PER_S
ONSET = make.START_NS
ONSET_S = ONSET / S
NOW = ONSET + 120 * S
FINE = Call("gateway", calls=(Call("order", calls=(Call("stock"), Call("payment"))),))


@dataclass
class World:
    """What is kept, and who asks it."""

    tables: Tables
    store: MemoryStore
    lake: Answers
    executor: ThreadPoolExecutor
    topology: Topology = field(default_factory=Topology)
    n_batches: int = 0

    @property
    def gatherer(self) -> Gatherer:
        enrich = Enrich()
        kept = Kept(
            self.lake, self.tables.spans, self.tables.logs, self.store, self._whole, enrich,
            ["service", "host"],
        )  # fmt: skip
        return Gatherer(kept, explainers(), self.executor)

    async def _whole(self, tenant: TenantId, at_ns: int) -> Topology:
        return self.topology

    def requests(
        self, *calls: Call, n: int = 40, at_s: float = ONSET_S, every_s: float = 2.0, node: str = ""
    ) -> None:
        self.n_batches += 1
        told = zipkin(*calls, at_s=at_s, n=n, every_s=every_s, first=self.n_batches)
        self.tables.spans.append(spans_of(told, node=node), self.n_batches)

    def healthy(self, call: Call = FINE, **more: Any) -> None:
        self.requests(call, at_s=ONSET_S - 700, n=130, every_s=5.0, **more)

    def spans(self, told: list[dict[str, Any]]) -> None:
        """As Zipkin tells them."""
        self.n_batches += 1
        self.tables.spans.append(spans_of(told), self.n_batches)

    def lines(self, *told: tuple[str, str, int], **more: Any) -> None:
        self.n_batches += 1
        self.tables.logs.append(lines_of(*told, **more), self.n_batches)

    async def asked(self, *nodes: str, onset_ns: int = ONSET, now_ns: int = NOW) -> Answer:
        return await self.gatherer.causes_of(DEFAULT_TENANT, nodes, onset_ns, now_ns)

    async def case(self, *nodes: str) -> Case:
        return await self.gatherer.gather(DEFAULT_TENANT, nodes, ONSET, NOW)


@asynccontextmanager
async def kept(folder: Path) -> AsyncIterator[World]:
    tables = open_tables(folder / "tables", LogsConfig(), SpansConfig())
    with ThreadPoolExecutor(1) as executor:
        yield World(tables, MemoryStore(MemoryStore.Config()), Answers(), executor)
    tables.close()


def first(answer: Answer) -> str:
    """The cause, or nothing where none is called so."""
    return "" if answer.ranking.abstains else answer.ranking.causes[0].node
