"""The templates of all services, partition by partition.

What is known depends on the records alone, and their order: on the fingerprints of lines as the
log has them, and on ticks. It is kept by no more than one process for a partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from watchkeeper import telemetry
from watchkeeper.analyze.template_groups import Groups, TemplatesConfig
from watchkeeper.analyze.template_runs import Run, Runs
from watchkeeper.model.series import TenantId
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
        if len(batch):
            self.take_runs(batch, Runs(batch), is_new)

    def take_runs(self, batch: LogBatch, runs: Runs, is_new: Callable[[int], bool]) -> None:
        """The same of a batch whose runs are known."""
        for number, service in enumerate(runs.services):
            partition = self._partition_of(batch.tenant, service)
            if is_new(partition):
                self._count(partition, (batch.tenant, service), batch, runs.of(number))

    def _count(
        self,
        partition: int,
        key: _Key,
        batch: LogBatch,
        runs: Sequence[Run],
    ) -> None:
        groups = self._groups.get(partition, {}).get(key)
        n_other = 0
        for run in runs:
            fingerprint = run.fingerprint
            if groups is None or not groups.knows(fingerprint):
                if self._has_room(partition, groups):
                    groups = self._met(partition, key, fingerprint, batch.body.text(run.row))
                else:
                    n_other += run.n_lines
            if groups is not None:
                groups.count(fingerprint, run.n_lines, run.first_ns, run.last_ns)
        if n_other:
            _OTHER.add(n_other)

    def _has_room(self, partition: int, groups: Groups | None) -> bool:
        """For one more fingerprint of a service. Without it no line is looked at."""
        n_patterns = self._n_patterns.get(partition, 0)
        if n_patterns >= self._config.patterns_per_partition:
            return False
        return groups is None or len(groups) < self._config.patterns_per_service

    def _met(self, partition: int, key: _Key, fingerprint: int, line: str) -> Groups:
        """The service, which knows the fingerprint now."""
        one = self._groups.setdefault(partition, {}).setdefault(key, Groups(self._config))
        one.meet(fingerprint, line)
        self._n_patterns[partition] = self._n_patterns.get(partition, 0) + 1
        return one

    def tick(
        self, now_ns: int, is_new: Callable[[int], bool] = lambda _: True
    ) -> Sequence[tuple[TenantId, str]]:
        """Compare and forget where it is time for it; the services where it was."""
        compared: list[_Key] = []
        for partition, groups in self._groups.items():
            if not is_new(partition):
                continue
            ticked = [key for key, one in groups.items() if one.tick(now_ns)]
            if ticked:
                self._n_patterns[partition] = sum(len(one) for one in groups.values())
            compared += ticked
        for groups in self._groups.values():
            for key in [key for key, one in groups.items() if not len(one)]:
                del groups[key]
        return compared

    def groups(self, partition: int, key: tuple[TenantId, str]) -> Groups | None:
        """What is known of a service of a tenant."""
        return self._groups.get(partition, {}).get(key)

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
