"""A case is gathered of all that is kept, and its causes are found.

Everything that is read is bounded, so that an answer takes a second however large the installation
is: of many spans, those of the newest traces of each piece of the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

import numpy as np

from watchkeeper.analyze.causes import of_reading
from watchkeeper.analyze.examine import examine
from watchkeeper.analyze.explainers.base import Explainer
from watchkeeper.analyze.gathering import lines as line_columns
from watchkeeper.analyze.gathering import metrics
from watchkeeper.analyze.gathering import spans as span_columns
from watchkeeper.analyze.gathering.assembling import (
    Parts,
    Wanted,
    assembled,
    changed,
    findings,
    onset,
    troubles,
    wanted,
)
from watchkeeper.analyze.gathering.metrics import Answered
from watchkeeper.analyze.gathering.stretch import BACK_NS, Looked, Stretch, look
from watchkeeper.analyze.gathering.words import one_of
from watchkeeper.analyze.rank import Ranks
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake.base import Frame, Readings, SampleQuery, TooManyRows
from watchkeeper.lake.tables.base import RowQuery, Searchable
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus
from watchkeeper.model.case import Case, LineColumns, SpanColumns
from watchkeeper.model.cause import Answer
from watchkeeper.model.change import Change
from watchkeeper.model.examination import Examination
from watchkeeper.model.series import Entity, Matcher, TenantId
from watchkeeper.model.signal import LogBatch, SpanBatch
from watchkeeper.model.topology import Topology
from watchkeeper.store.base import Filter, Store

T = TypeVar("T")

NO_FRAME: Final = Frame((), np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0))
_PIECES: Final = {"now": 4, "before": 8}
_SPANS: Final = {"now": 5_000, "before": 2_500}
"""Of each piece of the time; 20,000 of each stretch."""
_LINES: Final = {"now": 1_500, "before": 750}
_CHANGES_NS: Final = 3_600 * NS_PER_S
"""So long before it began a change may still be why."""
_RECORDS: Final = 500
"""Of anomalies, and of changes."""
_COARSE_NS: Final = 60 * NS_PER_S
_STRANGE: Final = 0.5
"""A node of which more is strange than not is affected."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where it is read."""

    lake: Readings
    spans: Searchable[SpanBatch]
    logs: Searchable[LogBatch]
    store: Store
    topology: Callable[[TenantId, int], Awaitable[Topology]]
    """As it was at a time."""
    entity_of: Callable[[Mapping[str, str]], Entity]
    """Whom a series with these labels speaks of."""
    naming_labels: Collection[str]
    """Labels that this looks at."""


class Gatherer:
    """Called by anyone who wants to know why. Has no state."""

    def __init__(
        self,
        kept: Kept,
        explainers: Sequence[Explainer],
        executor: Executor,
        config: Ranks | None = None,
    ) -> None:
        self._kept = kept
        self._explainers = explainers
        self._executor = executor
        self._config = config

    async def onset_of(self, tenant: TenantId, nodes: Sequence[str], now_ns: int) -> int:
        """When the oldest anomaly began that is open and more than shown: of these nodes and those
        they depend on, or of all. Two minutes ago where there is none."""
        around = Filter(tenant, status=AnomalyStatus.OPEN, until_ns=now_ns, limit=_RECORDS)
        found = (await self._kept.store.list(Anomaly, around)).items
        about = wanted(nodes, await self._kept.topology(tenant, now_ns))
        return onset(found, about, now_ns)

    async def causes_of(
        self, tenant: TenantId, nodes: Sequence[str], onset_ns: int, now_ns: int
    ) -> Answer:
        """Why something is the matter with these nodes since then, as far as is known now. All
        that is known is looked at where no node is named."""
        looked, case = await self._gathered(tenant, nodes, onset_ns, now_ns)
        return await self._run(partial(self._answer, looked, case))

    async def examine(
        self, tenant: TenantId, nodes: Sequence[str], onset_ns: int, now_ns: int
    ) -> Examination:
        """How they fare, and nobody is blamed."""
        looked, case = await self._gathered(tenant, nodes, onset_ns, now_ns)
        return await self._run(lambda: examine(Reading(case), looked))

    async def gather(
        self, tenant: TenantId, nodes: Sequence[str], onset_ns: int, now_ns: int
    ) -> Case:
        """All that explainers look at."""
        return (await self._gathered(tenant, nodes, onset_ns, now_ns))[1]

    async def _gathered(
        self, tenant: TenantId, nodes: Sequence[str], onset_ns: int, now_ns: int
    ) -> tuple[Looked, Case]:
        store = self._kept.store
        around = Filter(tenant, since_ns=onset_ns - BACK_NS, until_ns=now_ns, limit=_RECORDS)
        anomalies = (await store.list(Anomaly, around)).items
        changing = replace(around, since_ns=onset_ns - _CHANGES_NS)
        changes = (await store.list(Change, changing)).items
        looked = look(onset_ns, now_ns, troubles(anomalies, onset_ns))
        about = wanted(nodes, await self._kept.topology(tenant, now_ns))
        case = await self._run(partial(self._read, tenant, about, looked, onset_ns))
        found = findings(anomalies, looked, case.names)
        return looked, replace(case, changes=changed(changes), findings=found)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _answer(self, looked: Looked, case: Case) -> Answer:
        reading = Reading(case)
        ranking = of_reading(reading, self._explainers, self._config)
        affected = {one for one, chance in reading.strangeness.items() if chance > _STRANGE}
        if not ranking.abstains:
            affected |= reading.graph.ancestors(ranking.causes[0].node).keys()
        kinds = {one.node: case.topology.kind(one.node) for one in ranking.causes}
        return Answer(
            ranking,
            case.onset_ns,
            (looked.now.start_ns, looked.now.end_ns),
            (looked.before.start_ns, looked.before.end_ns),
            case.healthy_s,
            case.entry,
            tuple(sorted(affected)),
            {node: kind.value for node, kind in kinds.items() if kind is not None},
            {
                "spans": len(case.spans),
                "spans_before": len(case.spans_before),
                "lines": len(case.lines),
                "lines_before": len(case.lines_before),
                "series": sum(len(one.rows) for one in case.metrics),
                "changes": len(case.changes),
                "anomalies": len(case.findings),
            },
        )

    def _read(self, tenant: TenantId, about: Wanted, looked: Looked, onset_ns: int) -> Case:
        parts = Parts()
        whose = (one_of("service", about.nodes),) if about.nodes else ()
        self._read_spans(parts, tenant, whose, looked)
        self._read_lines(parts, tenant, whose, looked)
        self._read_metrics(parts, tenant, about, looked)
        return assembled(parts, about, looked, onset_ns)

    def _read_spans(
        self, parts: Parts, tenant: TenantId, whose: Sequence[Matcher], looked: Looked
    ) -> None:
        reader = span_columns.SpanReader(parts.names, parts.operations)

        def read(when: Stretch, sort: str) -> SpanColumns:
            table, texts, n = self._kept.spans, span_columns.TEXTS, _SPANS[sort]
            found = [
                table.search(_rows(tenant, whose, piece, texts, n))
                for piece in when.cut(_PIECES[sort])
            ]
            return reader.read([span_columns.Piece(one.batch, one.cursor is None) for one in found])

        before, now = read(looked.before, "before"), read(looked.now, "now")
        parts.spans_before, parts.spans = reader.named(before), reader.named(now)
        parts.hosts |= reader.hosts
        _since(parts, None if not len(before) else int(before.start_ns.min()))

    def _read_lines(
        self, parts: Parts, tenant: TenantId, whose: Sequence[Matcher], looked: Looked
    ) -> None:
        reader = line_columns.LineReader(parts.names)

        def read(when: Stretch, sort: str) -> LineColumns:
            table, texts, n = self._kept.logs, line_columns.TEXTS, _LINES[sort]
            return reader.read([
                table.search(_rows(tenant, whose, piece, texts, n)).batch
                for piece in when.cut(_PIECES[sort])
            ])  # fmt: skip

        before, now = read(looked.before, "before"), read(looked.now, "now")
        parts.lines_before, parts.lines = reader.templated(before), reader.templated(now)
        parts.templates = reader.texts()
        _since(parts, None if not len(before) else int(before.time_ns.min()))

    def _read_metrics(self, parts: Parts, tenant: TenantId, about: Wanted, looked: Looked) -> None:
        names = about.nodes or frozenset(parts.names.all) | set(about.topology.names)
        hosts = {host for service, host in parts.hosts if service in names}
        whom = frozenset(names) | hosts
        if not whom:
            return
        whole = Stretch(looked.before.start_ns, looked.now.end_ns)
        queries = [metrics.about(tenant, one, whom, whole) for one in self._kept.naming_labels]
        answers = [
            Answered(one.fold, self._asked(one.before), self._asked(one.now))
            for whose in queries
            if (known := self._kept.lake.series(whose))
            for one in metrics.questions(known, whose, looked.before, looked.now)
        ]
        entity_of = self._kept.entity_of
        found = metrics.matrix(
            answers,
            parts.names,
            entity_of=entity_of,
            wanted=whom,
            before=looked.before,
            now=looked.now,
        )
        parts.metrics = () if found is None else (found,)
        _since(parts, metrics.earliest_ns(answers))

    def _asked(self, query: SampleQuery) -> Frame:
        """Coarser where that is too much, and nothing where even that is."""
        for step_ns in (query.step_ns, _COARSE_NS):
            try:
                return self._kept.lake.query(replace(query, step_ns=step_ns))
            except TooManyRows:
                continue
        return NO_FRAME


def _since(parts: Parts, time_ns: int | None) -> None:
    known = [one for one in (parts.known_since_ns, time_ns) if one is not None]
    parts.known_since_ns = min(known, default=None)


def _rows(
    tenant: TenantId, whose: Sequence[Matcher], when: Stretch, texts: tuple[str, ...], limit: int
) -> RowQuery:
    return RowQuery(tenant, when.start_ns, when.end_ns, tuple(whose), limit=limit, texts=texts)
