"""The templates of all services, partition by partition.

What is known depends on the records alone, and their order: on the fingerprints of lines as the
log has them, and on ticks. It is kept by no more than one process for a partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import numpy as np

from watchkeeper import telemetry
from watchkeeper.analyze.template_groups import Groups, TemplatesConfig
from watchkeeper.model.series import I64, U64, TenantId
from watchkeeper.model.signal import LogBatch
from watchkeeper.model.template import OTHER, Template

_OTHER: Final = telemetry.counter(
    "watchkeeper_analyze_other_lines_total",
    "Log lines whose patterns were too many to be kept: they are `<other>`.",
)
_Key = tuple[TenantId, str]


class Templates:
    """A state machine over log batches and ticks, each given once and in order."""

    def __init__(
        self, config: TemplatesConfig, partition_of: Callable[[TenantId, str], int]
    ) -> None:
        self._config = config
        self._partition_of = partition_of
        self._groups: dict[int, dict[_Key, Groups]] = {}
        self._n_patterns: dict[int, int] = {}

    def take(self, batch: LogBatch, is_new: Callable[[int], bool] = lambda _: True) -> None:
        """Lines of the partitions of which this batch is new."""
        if not len(batch):
            return
        services = [origin.entity.service for origin in batch.origins]
        numbers = {service: number for number, service in enumerate(dict.fromkeys(services))}
        of_row = np.array([numbers[service] for service in services], np.int64)[batch.origin]
        runs = _Runs(of_row, batch.template, batch.time_ns)
        for number, service in enumerate(numbers):
            partition = self._partition_of(batch.tenant, service)
            if is_new(partition):
                self._count(partition, (batch.tenant, service), batch, runs.of(number))

    def _count(
        self,
        partition: int,
        key: _Key,
        batch: LogBatch,
        runs: Iterator[tuple[int, int, int, int, int]],
    ) -> None:
        groups = self._groups.get(partition, {}).get(key)
        for fingerprint, row, n_lines, first_ns, last_ns in runs:
            if groups is None or not groups.knows(fingerprint):
                groups = self._met(partition, key, fingerprint, batch.body.text(row))
            if groups is None or not groups.count(fingerprint, n_lines, first_ns, last_ns):
                _OTHER.add(n_lines)

    def _met(self, partition: int, key: _Key, fingerprint: int, line: str) -> Groups | None:
        """The service, which knows the fingerprint now if there is room for one more; None where
        there is no room for the service."""
        groups = self._groups.setdefault(partition, {})
        n_patterns = self._n_patterns.get(partition, 0)
        if n_patterns >= self._config.patterns_per_partition:
            return groups.get(key)
        one = groups.setdefault(key, Groups(self._config))
        if one.meet(fingerprint, line):
            self._n_patterns[partition] = n_patterns + 1
        return one

    def tick(self, now_ns: int, is_new: Callable[[int], bool] = lambda _: True) -> None:
        """Compare and forget where it is time for it."""
        for partition, groups in self._groups.items():
            if not is_new(partition):
                continue
            ticked = [one.tick(now_ns) for one in groups.values()]
            if any(ticked):
                self._n_patterns[partition] = sum(len(one) for one in groups.values())
        for groups in self._groups.values():
            for key in [key for key, one in groups.items() if not len(one)]:
                del groups[key]

    def templates(self, tenant: TenantId, service: str | None = None) -> list[Template]:
        """Those that stand for a tenant's lines now."""
        return [
            template
            for (of, name), groups in self._all()
            if of == tenant and service in (None, name)
            for template in groups.templates(name)
        ]

    def template_of(self, tenant: TenantId, service: str, fingerprint: int) -> int:
        """The template that has a fingerprint now; OTHER where none is known."""
        groups = self._groups.get(self._partition_of(tenant, service), {}).get((tenant, service))
        return OTHER if groups is None else groups.template_of(fingerprint)

    def fingerprints(self, tenant: TenantId, template: int) -> set[int]:
        """What a template means in all services of a tenant; nothing where nobody knows it."""
        found: set[int] = set()
        for (of, _), groups in self._all():
            if of == tenant:
                found |= groups.fingerprints(template)
        return found

    def dump(self, partition: int) -> bytes:
        groups = self._groups.get(partition, {})
        return msgspec.msgpack.encode([(*key, one.dump()) for key, one in groups.items()])

    def load(self, partition: int, state: bytes) -> None:
        """Instead of what is known of the partition; b"" forgets it."""
        kept = msgspec.msgpack.decode(state, type=list[tuple[str, str, bytes]]) if state else []
        loaded: dict[_Key, Groups] = {}
        for tenant, service, groups in kept:
            one = loaded[TenantId(tenant), service] = Groups(self._config)
            one.load(groups)
        self._groups[partition] = loaded
        self._n_patterns[partition] = sum(len(one) for one in loaded.values())

    def _all(self) -> Iterator[tuple[_Key, Groups]]:
        for partition in sorted(self._groups):
            yield from self._groups[partition].items()


class _Runs:
    """Rows of one service and fingerprint, together."""

    def __init__(self, service: I64, fingerprint: U64, time_ns: I64) -> None:
        order = np.lexsort((fingerprint, service))
        service, fingerprint = service[order], fingerprint[order]
        differs = (service[1:] != service[:-1]) | (fingerprint[1:] != fingerprint[:-1])
        begins = np.flatnonzero(np.r_[True, differs])
        time_ns = time_ns[order]
        self._service = service[begins]
        self._columns = (
            fingerprint[begins],
            order[begins],
            np.diff(np.r_[begins, len(order)]),
            np.minimum.reduceat(time_ns, begins),
            np.maximum.reduceat(time_ns, begins),
        )

    def of(self, service: int) -> Iterator[tuple[int, int, int, int, int]]:
        """(fingerprint, first row, rows, first and last time) of each run of a service, by its
        first row: so it does not matter which lines came together."""
        here = np.arange(*np.searchsorted(self._service, [service, service + 1]))
        here = here[np.argsort(self._columns[1][here])]
        return zip(*(column[here].tolist() for column in self._columns), strict=True)
