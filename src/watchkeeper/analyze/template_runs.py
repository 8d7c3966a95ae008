"""Lines of a batch by service and fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from watchkeeper.model.series import I64
from watchkeeper.model.severity import Severity
from watchkeeper.model.signal import LogBatch


class Run(NamedTuple):
    """Rows of one service and fingerprint."""

    fingerprint: int
    row: int
    """The first of them."""
    n_lines: int
    first_ns: int
    last_ns: int
    severity: int
    """The gravest of them."""
    n_errors: int
    """Those that are errors, or graver."""
    begin: int
    """Where they begin in the order of runs."""

    @property
    def end(self) -> int:
        return self.begin + self.n_lines


class Runs:
    """Rows of a batch that has some, so that those of one service and fingerprint are together."""

    def __init__(self, batch: LogBatch) -> None:
        services = [origin.entity.service for origin in batch.origins]
        numbers = {service: number for number, service in enumerate(dict.fromkeys(services))}
        self.services = tuple(numbers)
        self.service_of_row: I64 = np.array([numbers[one] for one in services], np.int64)[
            batch.origin
        ]
        order = np.lexsort((batch.template, self.service_of_row))
        service, fingerprint = self.service_of_row[order], batch.template[order]
        differs = (service[1:] != service[:-1]) | (fingerprint[1:] != fingerprint[:-1])
        begins = np.flatnonzero(np.r_[True, differs])
        self._time_ns, severity = batch.time_ns[order], batch.severity[order]
        self._service = service[begins]
        self._columns = (
            fingerprint[begins],
            order[begins],
            np.diff(np.r_[begins, len(order)]),
            np.minimum.reduceat(self._time_ns, begins),
            np.maximum.reduceat(self._time_ns, begins),
            np.maximum.reduceat(severity, begins),
            np.add.reduceat(severity >= Severity.ERROR, begins, dtype=np.int64),
            begins,
        )
        self._of: dict[int, Sequence[Run]] = {}

    def of(self, service: int) -> Sequence[Run]:
        """Those of a service, by their first rows: so it does not matter which lines came
        together."""
        known = self._of.get(service)
        if known is None:
            known = self._of[service] = self._made(service)
        return known

    def times(self, begin: int, end: int) -> I64:
        """Of the lines of a run."""
        return self._time_ns[begin:end]

    def _made(self, service: int) -> Sequence[Run]:
        here = np.arange(*np.searchsorted(self._service, [service, service + 1]))
        here = here[np.argsort(self._columns[1][here])]
        return list(map(Run, *(column[here].tolist() for column in self._columns)))
