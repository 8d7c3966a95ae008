"""Which services there are, which series speak for them, and their rows of state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol, Self

import msgspec
import numpy as np

from watchkeeper import telemetry
from watchkeeper.analyze.detectors.rows import Rows
from watchkeeper.analyze.roles import Part, Role, role_of
from watchkeeper.analyze.watchers.base import Sighting
from watchkeeper.analyze.watchers.service_rows import FOUND, N_BOUNDS, SERIES, State
from watchkeeper.analyze.watchers.shared import Kept as KeptPlaces
from watchkeeper.analyze.watchers.shared import Shared
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import (
    I32,
    I64,
    N_PARTITIONS,
    U8,
    U64,
    Entity,
    Kind,
    Mask,
    Series,
    TenantId,
)

WEEK_NS: Final = 7 * 86_400 * NS_PER_S
HOUR_NS: Final = 3_600 * NS_PER_S
WORSENED: Final = 2
EVERYWHERE: Final = np.ones(N_PARTITIONS, np.bool_)
_LEFT_OUT: Final = telemetry.counter(
    "watchkeeper_detect_services_left_out_total",
    "Series whose service is not watched for symptoms, as there are too many services.",
)
_OF_REQUESTS: Final = (
    *("requests", "errors", "error_blocks", "error_scatter", "error_weight"),
    *("traffic_blocks", "traffic_scatter", "traffic_weight", "bucket_n", "bucket_sum"),
)
_OF_LATENCY: Final = ("n_bounds", "latency_blocks", "latency_scatter", "latency_weight")

Pages = list[tuple[int, float]]
Clock = tuple[int, int]
"""The last tick, and the one with which listening began."""


class KnownSeries(Protocol):
    """What this needs of the catalog."""

    kind: U8
    partition: U8
    identity: U64

    def series_of(self, slots: I32) -> Sequence[Series]: ...

    def lookup(self, identity: U64) -> I32: ...


class Subject(NamedTuple):
    """A service, by name."""

    tenant: TenantId
    service: str
    environment: str

    @classmethod
    def of(cls, tenant: str, service: str, environment: str) -> Self:
        return cls(TenantId(tenant), service, environment)

    @property
    def entity(self) -> Entity:
        return Entity(service=self.service, environment=self.environment)


@dataclass(frozen=True, slots=True)
class Beyond:
    """What was measured of a service, and the limit that it passed."""

    value: float
    limit: float
    p_value: float = 1.0
    evidence: Mapping[str, float] = field(default_factory=dict)


def told(
    subject: Subject,
    about: Mapping[str, str],
    span: tuple[int, int],
    change: int,
    severity: Severity,
    beyond: Beyond,
) -> Sighting:
    """A change of an episode of a service, which `about` names; `span` is from its start to now."""
    labels = {"service": subject.service, **about}
    if subject.environment:
        labels["environment"] = subject.environment
    return Sighting(
        tenant=subject.tenant,
        entity=subject.entity,
        labels=labels,
        started_ns=span[0],
        time_ns=span[1],
        change=change,
        severity=severity,
        value=beyond.value,
        expected_low=0.0,
        expected_high=beyond.limit,
        p_value=beyond.p_value,
        evidence=beyond.evidence,
    )


class _Kept(msgspec.Struct, array_like=True):
    """A partition in a checkpoint."""

    clock: Clock
    subjects: list[tuple[str, str, str]]
    ledgers: list[tuple[Pages, Pages]]
    state: list[bytes]
    identity: bytes
    rows: bytes
    """Of series; `service` is a row of `subjects`."""
    shared: list[KeptPlaces]


_decoder = msgspec.msgpack.Decoder(_Kept)


class Services:
    """Rows of services, which series find by their slot."""

    def __init__(self, catalog: KnownSeries, most: int) -> None:
        self._catalog = catalog
        self._rows = Rows(SERIES, len(catalog.kind))
        self.state = State.room(most)
        self.shared = Shared(most)
        self._index: dict[Subject, int] = {}
        self._subjects: list[Subject] = []
        """By row; of a row that is free, whose it was."""
        self._free: list[int] = []
        self._top = 0
        """Slots from here on were never looked at."""
        self._checked_hour = 0
        self._absent: dict[bytes, Any] = {}
        """Rows of series that were taken over and not met yet, by identity."""
        self._counted = (-1, 0)
        """For a tick, how many services came before it."""
        self._order: I64 | None = None
        """Rows by name; None when it has to be made again."""

    @property
    def rows(self) -> Any:
        """Of series, by slot."""
        return self._rows.array

    @property
    def n(self) -> int:
        return len(self._index)

    def subject(self, index: int) -> Subject:
        return self._subjects[index]

    def row(self, subject: Subject) -> int:
        """Of a service by name; -1 of one that is not watched."""
        return self._index.get(subject, -1)

    def subjects(self, partition: int) -> list[Subject]:
        """Sorted, so that a checkpoint is the same whoever came first."""
        of = self.state.service["partition"]
        return sorted(one for one, index in self._index.items() if of[index] == partition)

    def n_before(self, now_ns: int) -> int:
        """How many came before that tick: those that come behind it make no difference, so that
        a partition that is told again after a restart finds as many as the first time."""
        if self._counted[0] != now_ns:
            first = self.state.service["first_ns"][self.of(EVERYWHERE)]
            self._counted = now_ns, int(np.count_nonzero((first > 0) & (first < now_ns)))
        return self._counted[1]

    def index_of(self, slot: int) -> int:
        """The row of a series' service; -1 where it has none, or was not seen yet."""
        if slot >= self._top:
            return -1
        if self.rows[slot]["identity"] != self._catalog.identity[slot, 0]:
            return -1
        return int(self.rows[slot]["service"]) - 1

    def everywhere(self) -> I64:
        """The rows of all services, by name: whoever came first, or was taken over, is judged in
        the same order."""
        if self._order is None:
            order = [index for _, index in sorted(self._index.items())]
            self._order = np.array(order, np.int64)
        return self._order

    def of(self, partitions: Mask) -> I64:
        """Those of these partitions."""
        order = self.everywhere()
        found: I64 = order[partitions[self.state.service["partition"][order]]]
        return found

    def meet(self, slots: I32) -> None:
        """Make rows for those of these that were not looked at since they came."""
        self._rows.hold(slots)
        strange = self.rows["identity"][slots] != self._catalog.identity[slots, 0]
        self._acquaint(np.unique(slots[strange]))

    def _acquaint(self, slots: I32) -> None:
        names = self._catalog.identity[slots]
        slots = slots[np.lexsort((names[:, 1], names[:, 0]))]
        known = self._catalog.series_of(slots)
        for slot, series in zip(slots.tolist(), known, strict=True):
            self._top = max(self._top, slot + 1)
            row = self.rows[slot]
            row["identity"], row["last_ns"] = self._catalog.identity[slot, 0], 0
            row["part"] = row["service"] = 0
            waited = self._absent.pop(self._catalog.identity[slot].tobytes(), None)
            if waited is not None:
                self.rows[slot] = waited
                continue
            if not series.entity.service:
                continue
            index = self._row_of(series, int(self._catalog.partition[slot]))
            if index < 0:
                _LEFT_OUT.add(1)
                continue
            row["service"] = index + 1
            self.shared.meet(index, series)
            role = role_of(series.labels, Kind(int(self._catalog.kind[slot])))
            if role is not None:
                self._cast(row, index, role)

    def _row_of(self, series: Series, partition: int) -> int:
        subject = Subject(series.tenant, series.entity.service, series.entity.environment)
        index = self._index.get(subject)
        if index is not None:
            return index
        return self._begin(subject, partition)

    def _begin(self, subject: Subject, partition: int) -> int:
        if self._free:
            index = self._free.pop()
            self._subjects[index] = subject
        elif len(self._subjects) < len(self.state.service):
            index = len(self._subjects)
            self._subjects.append(subject)
        else:
            return -1
        self._index[subject], self._order, self._counted = index, None, (-1, 0)
        self.state.clear(index)
        self.shared.begin(index, subject.tenant)
        self.state.service[index]["partition"] = partition
        return index

    def _cast(self, row: Any, index: int, role: Role) -> None:
        """Give a series its part. Who tells better than others did begins anew."""
        service = self.state.service[index]
        row["part"], row["rank"], row["scale"] = role.part, role.rank, role.scale
        if role.part in {Part.REQUESTS, Part.FAILED_REQUESTS}:
            if role.rank < service["request_rank"]:
                service["request_rank"] = role.rank
                _reset(service, _OF_REQUESTS)
        elif role.part is Part.BUCKET:
            if role.rank < service["latency_rank"]:
                service["latency_rank"] = role.rank
                _reset(service, _OF_LATENCY)
                self.state.usual[index] = 0.0
                self.state.bounds[index, 0], service["n_bounds"] = np.inf, 1
            column = self._column(index, role.bound)
            row["bound"] = max(0, column)
            if column < 0 or role.rank > service["latency_rank"]:
                row["part"] = 0

    def _column(self, index: int, bound: float) -> int:
        """Where a bound is kept; -1 where there is no room for one more."""
        n = int(self.state.service[index]["n_bounds"])
        known = np.flatnonzero(self.state.bounds[index, :n] == np.float32(bound))
        if len(known):
            return int(known[0])
        if n >= N_BOUNDS:
            return -1
        self.state.bounds[index, n] = bound
        self.state.service[index]["n_bounds"] = n + 1
        self.state.service[index]["tells_latency"] = 1
        return n

    def again(self, index: int, which: int, time_ns: int) -> Any:
        """An open episode, as a finding that worsened."""
        symptom = self.state.symptom[index, which]
        found = np.zeros(1, FOUND)[0]
        found["service"], found["symptom"], found["change"] = index, which, WORSENED
        found["is_calibrated"], found["score"] = symptom["is_calibrated"], symptom["peak"]
        found["started_ns"], found["time_ns"] = symptom["started_ns"], time_ns
        for name in ("value", "low", "high"):
            found[name] = symptom[name]
        return found

    def retire(self, now_ns: int) -> list[Subject]:
        """Let go of services that were silent for a week; looked at once an hour."""
        if now_ns // HOUR_NS == self._checked_hour:
            return []
        self._checked_hour = now_ns // HOUR_NS
        arrived = self.state.service["arrived_ns"]
        before_ns = self._checked_hour * HOUR_NS - WEEK_NS  # the same after a restart in this hour
        gone = [
            (subject, index)
            for subject, index in self._index.items()
            if 0 < arrived[index] < before_ns
        ]
        self._let_go(gone)
        return [subject for subject, _ in gone]

    def forget(self, partition: int) -> list[Subject]:
        gone = self.subjects(partition)
        self._let_go([(subject, self._index[subject]) for subject in gone])
        return gone

    def _let_go(self, gone: Iterable[tuple[Subject, int]]) -> None:
        rows: list[int] = []
        self._order, self._counted = None, (-1, 0)
        for subject, index in gone:
            del self._index[subject]
            self._free.append(index)
            rows.append(index + 1)
        if rows:
            theirs = np.isin(self.rows["service"][: self._top], rows)
            self.rows[: self._top][theirs] = np.zeros((), SERIES)
            for identity in [one for one, row in self._absent.items() if row["service"] in rows]:
                del self._absent[identity]

    def dump(
        self, partition: int, clock: Clock, ledgers: Mapping[Subject, tuple[Pages, Pages]]
    ) -> bytes:
        subjects = list(ledgers)
        indices = np.array([self._index[one] for one in subjects], np.int64)
        place = np.full(len(self._subjects) + 1, -1, np.int32)
        place[indices + 1] = np.arange(len(indices))
        slots = np.flatnonzero(place[self.rows["service"][: self._top]] >= 0)
        slots = slots[self._catalog.identity[slots, 0] == self.rows["identity"][slots]]
        waiting = {one: row for one, row in self._absent.items() if place[row["service"]] >= 0}
        absent = np.frombuffer(b"".join(waiting), np.uint64).reshape(-1, 2)
        identity = np.concatenate([self._catalog.identity[slots], absent])
        order = np.lexsort((identity[:, 1], identity[:, 0]))
        rows = np.concatenate([self.rows[slots], np.array(list(waiting.values()), SERIES)])[order]
        rows["service"] = place[rows["service"]]
        return msgspec.msgpack.encode(
            _Kept(
                clock,
                [(one.tenant, one.service, one.environment) for one in subjects],
                list(ledgers.values()),
                self.state.take(indices),
                identity[order].tobytes(),
                rows.tobytes(),
                self.shared.dump(indices),
            )
        )

    def load(
        self, partition: int, state: bytes
    ) -> tuple[Clock, Mapping[Subject, tuple[Pages, Pages]]]:
        """Into a partition of which nothing is known. Series may be met later; services for which
        there is no more room are left out."""
        kept = _decoder.decode(state)
        subjects = [Subject.of(*names) for names in kept.subjects]
        indices = np.array([self._begin(one, partition) for one in subjects], np.int64)
        self.state.put(indices, kept.state)
        self.shared.load(indices, kept.shared)
        ledgers = dict(zip(subjects, kept.ledgers, strict=True))
        identity = np.frombuffer(kept.identity, np.uint64).reshape(-1, 2)
        rows = np.frombuffer(kept.rows, SERIES).copy()
        rows["service"] = indices[rows["service"]] + 1 if len(rows) else 0
        slots = self._catalog.lookup(identity)
        here = slots >= 0
        self._rows.hold(slots[here])
        self.rows[slots[here]] = rows[here]
        self._top = max(self._top, int(slots.max(initial=-1)) + 1)
        for at in np.flatnonzero(~here).tolist():
            self._absent[identity[at].tobytes()] = rows[at].copy()
        return kept.clock, {one: said for one, said in ledgers.items() if one in self._index}


def _reset(service: Any, names: Iterable[str]) -> None:
    for name in names:
        service[name] = 0
