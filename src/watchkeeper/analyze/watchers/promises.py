"""Objectives of the services that are watched: counted from their bins, told when they burn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from watchkeeper.analyze.detectors.base import CLOSED, OPENED
from watchkeeper.analyze.watchers.base import Open, Sighting
from watchkeeper.analyze.watchers.objectives import (
    RULES,
    Account,
    Burn,
    Rule,
    Slo,
    SloKind,
    burns,
    loaded,
)
from watchkeeper.analyze.watchers.service_rows import N_BINS
from watchkeeper.analyze.watchers.services import Services, Subject
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity

SYMPTOM: Final = "slo"
_MINUTE_NS: Final = 60 * NS_PER_S
_BINS_PER_MINUTE: Final = 6
_PAST: Final = N_BINS // 2
"""Judged bins that the ring still holds."""
_REQUESTS, _ERRORS, _BOUNDS = 0, 1, 5

Key = tuple[Subject, str]
Kept = list[tuple[str, str, str, str, int, tuple[bytes, bytes, int, list[int]]]]
"""(tenant, service, environment, objective, the last bin, its account)."""


@dataclass(slots=True)
class _Promise:
    account: Account = field(default_factory=Account)
    last_bin: int = 0
    """The newest that was counted."""


class Promises:
    """By service and objective; each belongs to its service's partition."""

    def __init__(self, slos: Sequence[Slo], services: Services) -> None:
        self.slos = slos
        self._services = services
        self._promises: dict[Key, _Promise] = {}

    def tick(self, indices: Sequence[int]) -> Iterator[Sighting]:
        """Count what was judged since the last tick, of the services in these rows."""
        by_service: dict[str, list[int]] = {}
        for index in indices if self.slos else ():
            by_service.setdefault(self._services.subject(index).service, []).append(index)
        for slo in self.slos:
            for index in by_service.get(slo.service, ()):
                yield from self._count(slo, index)

    def left(self) -> list[tuple[Subject, Slo, Account]]:
        """All objectives with their accounts, for people."""
        return [
            (subject, slo, promise.account)
            for (subject, name), promise in sorted(self._promises.items())
            for slo in self.slos
            if slo.service == subject.service and slo.name == name
        ]

    def _count(self, slo: Slo, index: int) -> Iterator[Sighting]:
        subject = self._services.subject(index)
        promise = self._promises.setdefault((subject, slo.name), _Promise())
        account, service = promise.account, self._services.state.service[index]
        next_bin = int(service["next_bin"])
        first = max(promise.last_bin + 1, next_bin - _PAST, int(service["first_bin"]))
        for one in range(first, next_bin):
            minute = one // _BINS_PER_MINUTE
            if account.newest and minute > account.newest:
                yield from (_told(subject, slo, burn) for burn in burns(account, slo))
            account.count(minute, *self._of_bin(slo, index, one))
        promise.last_bin = max(promise.last_bin, next_bin - 1)

    def _of_bin(self, slo: Slo, index: int, one: int) -> tuple[float, float]:
        """(requests, bad ones)."""
        counts = self._services.state.ring[index, one % N_BINS]
        if slo.kind is SloKind.AVAILABILITY:
            return float(counts[_REQUESTS]), float(counts[_ERRORS])
        n = int(self._services.state.service[index]["n_bounds"])
        if not n:
            return 0.0, 0.0
        far = np.abs(self._services.state.bounds[index, :n] - np.float32(slo.threshold_s))
        requests = float(counts[_BOUNDS])
        return requests, max(0.0, requests - float(counts[_BOUNDS + int(np.argmin(far))]))

    def holds(self, subject: Subject, one: Open) -> bool:
        """Whether an objective that is still promised burns since then."""
        for slo in self.slos:
            if (slo.service, slo.name) == (subject.service, one.labels.get("objective")):
                promise = self._promises.get((subject, slo.name), _Promise())
                return any(
                    minute * _MINUTE_NS == one.started_ns and _pace(rule) == one.labels.get("burn")
                    for rule, minute in zip(RULES, promise.account.burning, strict=True)
                )
        return False

    def dump(self, partition: int) -> Kept:
        """The accounts of a partition's services."""
        ours = set(self._services.subjects(partition))
        return [
            (*subject, name, promise.last_bin, promise.account.dump())
            for (subject, name), promise in sorted(self._promises.items())
            if subject in ours
        ]

    def forget(self, subjects: Sequence[Subject]) -> None:
        gone = set(subjects)
        for key in [one for one in self._promises if one[0] in gone]:
            del self._promises[key]

    def load(self, kept: Kept) -> None:
        """Of a partition whose services are known again."""
        for tenant, service, environment, name, last_bin, account in kept:
            subject = Subject.of(tenant, service, environment)
            self._promises[subject, name] = _Promise(loaded(account), last_bin)


def _pace(rule: Rule) -> str:
    return f"{rule.times:g}x"


def _told(subject: Subject, slo: Slo, burn: Burn) -> Sighting:
    return Sighting(
        tenant=subject.tenant,
        entity=subject.entity,
        labels={
            "service": subject.service,
            "symptom": SYMPTOM,
            "objective": slo.name,
            "burn": _pace(burn.rule),
            **({"environment": subject.environment} if subject.environment else {}),
        },
        started_ns=burn.since * _MINUTE_NS,
        time_ns=burn.now * _MINUTE_NS,
        change=CLOSED if burn.is_over else OPENED,
        severity=Severity.PAGE if burn.rule.is_page else Severity.EVIDENCE,
        value=burn.times,
        expected_low=0.0,
        expected_high=burn.rule.times,
        p_value=1.0,
        evidence={"burn": burn.times, "long_minutes": float(burn.rule.long_minutes)},
    )
