"""Log lines that were read one by one, gathered into columns: what their receivers share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from watchkeeper.ingest.receivers import ids
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.model import template
from watchkeeper.model.row import Origin, Texts, texts
from watchkeeper.model.signal import LogBatch, Reject, WireRows

_TIMES: Final = range(-(2**63), 2**63)
_DETAIL: Final = 400
"""Characters; it may quote what was sent."""


class Lines:
    """One body's lines and rejects, in the order of the body."""

    def __init__(self, limits: RowLimits, rejects: tuple[Reject, ...] = ()) -> None:
        self._limits = limits
        self._n_seen = sum(one.count for one in rejects)
        self._origins: dict[Origin, int] = {}
        self._current = 0
        self._origin: list[int] = []
        self._time_ns: list[int] = []
        self._severity: list[int] = []
        self._trace: list[bytes] = []
        self._span: list[bytes] = []
        self._body: list[bytes] = []
        self._attributes: list[bytes] = []
        self.is_of_now = False
        """Whether a line without a time was given that of its coming."""
        self._rejects = {one.reason: (one.count, one.detail) for one in rejects}

    def come_from(self, origin: Origin) -> None:
        """Lines that are added from now on are of this origin."""
        self._current = self._origins.setdefault(origin, len(self._origins))

    def add(
        self,
        body: bytes,
        time_ns: int,
        *,
        severity: int = 0,
        attributes: bytes = b"",
        trace: bytes = ids.NO_TRACE,
        span: bytes = ids.NO_SPAN,
    ) -> bool:
        """A line, if its time can be counted; attributes are a JSON object of texts, or nothing."""
        if time_ns not in _TIMES:
            self.reject("timestamp_range", "outside the years 1678 to 2262")
            return False
        self._count(1)
        self._origin.append(self._current)
        self._time_ns.append(time_ns)
        self._severity.append(severity)
        self._trace.append(trace)
        self._span.append(span)
        self._body.append(body)
        self._attributes.append(attributes)
        return True

    def reject(self, reason: str, detail: str, count: int = 1) -> None:
        """Count lines that cannot be taken; the first detail of a reason is what is told."""
        self._count(count)
        n_before, first = self._rejects.get(reason, (0, detail[:_DETAIL]))
        self._rejects[reason] = (n_before + count, first)

    def _count(self, n_lines: int) -> None:
        """Good or bad: what is wrong with a line takes as long to say."""
        self._n_seen += n_lines
        if self._n_seen > self._limits.rows:
            raise self._limits.too_many_rows()

    def take(self, attributes: Texts | None = None) -> WireRows:
        """All of it; `attributes` are those of all lines, where they were not added with them."""
        body = utf8(self._body)
        batch = LogBatch(
            origins=tuple(self._origins),
            origin=np.array(self._origin, np.int32),
            time_ns=np.array(self._time_ns, np.int64),
            severity=np.array(self._severity, np.uint8),
            trace=ids.column(self._trace, ids.TRACE_BYTES),
            span=ids.column(self._span, ids.SPAN_BYTES),
            template=template.fingerprints(body),
            body=body,
            attributes=attributes or utf8(self._attributes),
        )
        return WireRows(
            (batch,) if len(batch) else (),
            tuple(
                Reject(reason, count, detail) for reason, (count, detail) in self._rejects.items()
            ),
            is_of_now=self.is_of_now,
        )


def utf8(runs: Iterable[bytes]) -> Texts:
    """Runs as a column of text: what is no UTF-8 in them is replaced."""
    column = texts(runs)
    if column.data.tobytes().isascii():
        return column
    return texts([run.decode(errors="replace").encode() for run in runs])
