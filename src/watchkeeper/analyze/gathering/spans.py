"""Spans of a table, in columns as explainers read them: numbers for names, and who is whose peer.

A name under which a service was called, or an address, means whoever answered under it: so that
it is known who was called where nobody answers any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from watchkeeper.analyze.gathering.words import NONE, Words
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake.red_groups import operation_name
from watchkeeper.lake.red_peers import ADDRESS, Peers
from watchkeeper.lake.red_services import Service, Services
from watchkeeper.model.case import SpanColumns
from watchkeeper.model.row import Texts
from watchkeeper.model.series import I32, I64, U64, Mask
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import SpanBatch

TEXTS: Final = ("name", "attributes")
"""What is read of a span besides its numbers."""
_CUT_NS: Final = 2 * NS_PER_S
"""So near to where reading ended, a trace may be there in part."""
_NOT_ITS_FAULT: Final = frozenset({"1", "3", "5", "6", "7", "9", "11", "16"})
"""gRPC's codes of requests that were given up, wrong, or not allowed."""
_BUSY: Final = "429"
"""The one answer of its kind that is about who gives it."""
_attributes = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True)
class Piece:
    """What one search found."""

    batch: SpanBatch
    is_whole: bool
    """There is no more of this stretch."""


class SpanReader:
    """Turns pieces into columns. Words are shared with whatever else is in the case."""

    def __init__(self, names: Words, operations: Words) -> None:
        self._names = names
        self._operations = operations
        self._services = Services(lambda _tenant, _service: 0)
        self._peers = Peers(self._services)
        self._known: dict[bytes, int] = {}
        self._called = Words()
        self._answered: Counter[tuple[int, int]] = Counter()
        """How often a service answered under a name."""
        self.hosts: set[tuple[str, str]] = set()
        """Services, and what they run on."""

    def read(self, pieces: Sequence[Piece]) -> SpanColumns:
        """`peer` is to be asked of `named` when all is read."""
        parts = [self._columns(one.batch) for one in pieces if len(one.batch)]
        if not parts:
            return SpanColumns()
        spans = SpanColumns(
            *(
                np.concatenate([getattr(one, name) for one in parts])
                for name in SpanColumns.__dataclass_fields__
            )
        )
        spans = spans.take(~_torn(spans, pieces))
        self._learn(spans)
        return spans

    def named(self, spans: SpanColumns) -> SpanColumns:
        """With names of nodes as peers, in place of those under which they were called."""
        who: dict[int, int] = {}
        for (called, service), _ in sorted(
            self._answered.items(), key=lambda one: (one[1], -one[0][1])
        ):
            who[called] = service
        words = self._called.all
        node = np.full(len(words) + 1, NONE, np.int32)  # the last one is that of NONE
        for called, word in enumerate(words):
            if called in who:
                node[called] = who[called]
            elif not word.startswith(f"{ADDRESS}:"):
                node[called] = self._names.number(word)
        rows = {name: getattr(spans, name) for name in SpanColumns.__dataclass_fields__}
        return SpanColumns(**{**rows, "peer": node[spans.peer]})

    def _columns(self, batch: SpanBatch) -> SpanColumns:
        owners = [one.entity for one in batch.origins]
        numbers = np.array([self._names.number(one.service) for one in owners], np.int32)
        for at in np.unique(batch.origin).tolist():
            if owners[at].service and owners[at].node:
                self.hosts.add((owners[at].service, owners[at].node))
        rows = np.flatnonzero(numbers[batch.origin] >= 0)
        return SpanColumns(
            trace_keys(batch.trace),
            batch.span,
            batch.parent,
            numbers[batch.origin],
            self._operations_of(batch.name),
            self._peers_of(batch),
            batch.kind,
            _failed(batch),
            batch.start_ns,
            batch.duration_ns,
        ).take(rows)

    def _operations_of(self, names: Texts) -> I32:
        known, found = self._known, np.empty(len(names), np.int32)
        for row in range(len(names)):
            name = names[row]
            number = known.get(name)
            if number is None:
                number = known[name] = self._operations.number(operation_name(name))
            found[row] = number
        return found

    def _peers_of(self, batch: SpanBatch) -> I32:
        """By what each client calls its other end."""
        services = self._services.numbers(
            [Service(batch.tenant, one.entity.service or "?", "") for one in batch.origins]
        )
        key, sort = self._peers.named(batch, services)
        calls = (batch.kind == SpanKind.CLIENT) | (batch.kind == SpanKind.PRODUCER)
        found = np.full(len(batch), NONE, np.int32)
        of_key: dict[int, str] = {}
        for row in np.flatnonzero(calls & (sort > 0)).tolist():
            number = int(key[row])
            name = of_key.get(number)
            if name is None:
                name = of_key[number] = self._peers.name(number)
            if name == ADDRESS:
                told = attributes(batch.attributes[row])
                where = (told.get("server.address"), told.get("server.port"))
                name = ":".join((ADDRESS, *(one for one in where if one)))
            found[row] = self._called.number(name)
        return found

    def _learn(self, spans: SpanColumns) -> None:
        """Who answers under which name."""
        if not len(spans):
            return
        key = _mixed(spans.trace, spans.span)
        order = np.argsort(key, kind="stable")
        wanted = _mixed(spans.trace, spans.parent)
        at = np.minimum(np.searchsorted(key[order], wanted), max(len(key) - 1, 0))
        rows = np.flatnonzero((spans.parent != 0) & (key[order][at] == wanted))
        above = order[at[rows]]
        says = (spans.peer[above] >= 0) & (spans.service[rows] != spans.service[above])
        pairs, counts = np.unique(
            np.stack((spans.peer[above][says], spans.service[rows][says])),
            axis=1,
            return_counts=True,
        )
        for called, service, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
            self._answered[called, service] += count


def trace_keys(trace: U64) -> I64:
    """One number for both halves of a trace's id, the same for lines and spans; -1 for none."""
    mixed = trace[:, 0] * np.uint64(0x9E3779B97F4A7C15) ^ trace[:, 1]
    found = (mixed & np.uint64(2**63 - 1)).astype(np.int64)
    found[~trace.any(axis=1)] = -1
    return found


def attributes(text: bytes) -> dict[str, str]:
    """Nothing where they are no such."""
    try:
        return _attributes.decode(text) if text else {}
    except msgspec.MsgspecError:
        return {}


def _failed(batch: SpanBatch) -> Mask:
    failed: Mask = batch.status == SpanStatus.ERROR
    for row in np.flatnonzero(failed).tolist():
        failed[row] = not _excused(attributes(batch.attributes[row]))
    return failed


def _excused(told: dict[str, str]) -> bool:
    """Whether the request was to blame, or its sender gave it up."""
    code = told.get("http.response.status_code") or told.get("http.status_code") or ""
    if len(code) == 3 and code[0] == "4" and code != _BUSY:
        return True
    return told.get("rpc.grpc.status_code", "") in _NOT_ITS_FAULT


def _mixed(trace: I64, span: U64) -> U64:
    mixed: U64 = trace.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ span
    return mixed * np.uint64(0xC2B2AE3D27D4EB4F)


def _torn(spans: SpanColumns, pieces: Iterable[Piece]) -> Mask:
    """Which spans are of traces that were cut off where reading ended."""
    edges = [int(one.batch.start_ns.min()) for one in pieces if not one.is_whole and len(one.batch)]
    torn = np.zeros(len(spans), np.bool_)
    if not edges:
        return torn
    orphan = (spans.parent != 0) & ~np.isin(
        _mixed(spans.trace, spans.parent), _mixed(spans.trace, spans.span)
    )
    near = np.zeros(len(spans), np.bool_)
    for edge in edges:
        near |= (spans.start_ns >= edge) & (spans.start_ns <= edge + _CUT_NS)
    torn |= np.isin(spans.trace, spans.trace[orphan & near])
    return torn
