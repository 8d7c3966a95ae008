"""The third tier: the series of a service as rows, a row per cell of the grid.

It finds what no series shows alone (`analyze/joint/space.py` says how, and where it is blind), and
says of open anomalies of single series how far the other series of the service support them: they
have part in a joint finding, or an Isolation Forest over the service's rows sets these rows apart.
That changes an anomaly's confidence, and never ends it.

A row is judged once the time is past in which its cells may still close. Services with fewer than
three series are not judged; of a service with more than 64 those are that came first. Series of
the class `state` have rules of their own, and no part in rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Final, cast

import msgspec
import numpy as np
from msgspec import Meta

from watchkeeper import telemetry
from watchkeeper.analyze.anomaly_ids import id_of_series
from watchkeeper.analyze.detectors.base import CLOSED, EVIDENCE, OPENED, Findings, Points
from watchkeeper.analyze.joint.pending import Pending, Ready, Row
from watchkeeper.analyze.joint.places_kernel import ALONE, CROWDED, UNKNOWN, collect
from watchkeeper.analyze.joint.service import VOICES, Member, Opinion, Service, Subject
from watchkeeper.analyze.joint.space import MAX_MEMBERS, Finding, Settings
from watchkeeper.analyze.known_series import KnownSeries
from watchkeeper.analyze.watchers.base import Belief, Open, Seen, Sighting
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import F64, I32, I64, N_PARTITIONS, Entity, Mask, Series, TenantId

SWEEP_NS: Final = 3600 * NS_PER_S
FORGOTTEN_NS: Final = 7 * 86_400 * NS_PER_S
"""A service without a row for so long."""
MAX_PARTS: Final = 5
Room = tuple[I64, I64, F64]

_CROWDED = telemetry.counter(
    "watchkeeper_detect_joint_cells_crowded_total",
    "Closed cells of series for which their service's rows have no room.",
)


class _Kept(msgspec.Struct, array_like=True):
    """A partition in a checkpoint."""

    swept_ns: int
    services: list[bytes]
    pending: list[Row]
    now_ns: int


_decoder = msgspec.msgpack.Decoder(_Kept)


class Joint:
    """Rows of services, judged on ticks."""

    name = "joint"
    version = 2

    class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Settings of the watcher `joint`."""

        grid_s: Annotated[float, Meta(gt=0)] = 60.0
        """Cells of one row: as wide as those of the grid."""
        lateness_s: Annotated[float, Meta(ge=0)] = 90.0
        """After its end, how long a row waits: a cell closes with the sample that follows it."""
        explained: Annotated[float, Meta(ge=0, lt=1)] = 0.9
        """The share of variance that is taken for how the series usually move together; 0 judges
        by the distance from what is usual alone."""
        smoothing_s: Annotated[float, Meta(ge=0)] = 120.0
        """Memory of the distance that is judged."""
        refit_s: Annotated[float, Meta(gt=0)] = 21600.0
        """Time between two looks at how the series move together."""
        budget_per_week: Annotated[float, Meta(gt=0)] = 0.1
        """Episodes per service and week by the nominal p-value, of each of both voices."""
        rearm_s: Annotated[float, Meta(ge=0)] = 3600.0
        """Quiet time after an episode before an equally strange one counts as another."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        catalog: KnownSeries,
        class_of: Callable[[int], MetricClass],
    ) -> None:
        config = config or self.Config()
        self._settings = self.settings(config)
        self._grid_ns = round(config.grid_s * NS_PER_S)
        self._wait_ns = self._grid_ns + round(config.lateness_s * NS_PER_S)
        self._catalog = catalog
        self._class_of = class_of
        self._services: list[Service | None] = []
        self._partition = np.empty(0, np.uint8)
        """By service."""
        self._index: dict[Subject, int] = {}
        self._place = np.empty(0, np.int64)
        """By slot: the service's number times 64, and the member's."""
        self._known = np.empty((0, 2), np.uint64)
        """By slot: whose place that is."""
        self._pending = Pending()
        self._swept_ns = np.zeros(N_PARTITIONS, np.int64)
        self._now_ns = np.zeros(N_PARTITIONS, np.int64)
        """By partition: its newest tick."""

    @staticmethod
    def settings(config: Config) -> Settings:
        """As a space takes them."""
        return Settings(
            config.explained,
            config.smoothing_s,
            config.refit_s,
            config.budget_per_week,
            round(config.rearm_s * NS_PER_S),
        )

    @property
    def n_bytes(self) -> int:
        """Of what is known of services."""
        return sum(service.n_bytes for service in self._services if service is not None)

    def see(self, seen: Seen) -> None:
        if len(seen.cells):
            self._collect(seen.tenant, seen.cells)
        for detector, findings in seen.findings:
            if len(findings):
                self._follow(seen.tenant, detector, findings)

    def tick(self, now_ns: int, partitions: Mask) -> Sequence[Sighting | Belief]:
        self._now_ns[partitions] = now_ns
        said: list[Sighting | Belief] = []
        before_ns = now_ns - self._wait_ns + 1
        if self._pending.oldest_ns < before_ns:
            widths = [0 if one is None else one.space.n_members for one in self._services]
            judged = partitions[self._partition]
            for ready in self._pending.take(before_ns, judged, widths):
                said += self._judge(ready)
        due = partitions & (self._swept_ns + SWEEP_NS <= now_ns)
        if due.any():
            self._sweep(due, now_ns)
        return said

    def holds(self, one: Open) -> bool:
        subject = Subject(TenantId(one.tenant), one.service, one.environment)
        number, voice = self._index.get(subject, -1), one.labels.get("joint")
        if number < 0 or voice not in VOICES:
            return False
        return self._at(number).space.speaks_since(VOICES.index(voice)) == one.started_ns

    def dump(self, partition: int) -> bytes:
        numbers = self._of(partition)
        services = [self._at(number).dump() for number in numbers]
        swept_ns, now_ns = int(self._swept_ns[partition]), int(self._now_ns[partition])
        kept = _Kept(swept_ns, services, self._pending.of(numbers), now_ns)
        return msgspec.msgpack.encode(kept)

    def load(self, partition: int, state: bytes) -> None:
        for number in self._of(partition):
            self._drop(number)
        self._swept_ns[partition] = self._now_ns[partition] = 0
        if not state:
            return
        kept = _decoder.decode(state)
        self._swept_ns[partition], self._now_ns[partition] = kept.swept_ns, kept.now_ns
        numbers = [self._put(Service.of(one, self._settings), partition) for one in kept.services]
        self._place[self._place == CROWDED] = UNKNOWN
        for number, member, time_ns, value in kept.pending:
            place = numbers[number] * MAX_MEMBERS + member
            self._pending.add(np.array([place]), np.array([time_ns]), np.array([value]))

    # Below: cells to rows.

    def _collect(self, tenant: TenantId, cells: Points) -> None:
        n = len(cells)
        room = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.float64)
        found = self._collected(cells, room)
        while found[0] < 0:  # once, unless slots change hands right now
            self._places(tenant, cells.slot)
            found = self._collected(cells, room)
        n, n_crowded = found
        if n_crowded:
            _CROWDED.add(n_crowded)
        place, time_ns, value = room
        self._pending.add(place[:n].copy(), time_ns[:n].copy(), value[:n].copy())

    def _collected(self, cells: Points, room: Room) -> tuple[int, int]:
        columns = (cells.slot, cells.time_ns, cells.value)
        at = (self._place, self._known, self._catalog.identity)
        n, n_crowded = collect(columns, *at, self._grid_ns, room)
        return int(n), int(n_crowded)

    def _places(self, tenant: TenantId, slots: I32) -> I64:
        """Where these slots' series are; each is looked at once, in order of coming."""
        top = int(slots.max()) + 1
        if top > len(self._place):
            more = max(top, 2 * len(self._place)) - len(self._place)
            self._place = np.concatenate([self._place, np.full(more, UNKNOWN, np.int64)])
            self._known = np.concatenate([self._known, np.zeros((more, 2), np.uint64)])
        changed = (self._known[slots] != self._catalog.identity[slots]).any(axis=1)
        strange = slots[changed | (self._place[slots] == UNKNOWN)]
        if len(strange):
            first = np.sort(np.unique(strange, return_index=True)[1])
            for slot in strange[first].tolist():
                self._known[slot] = self._catalog.identity[slot]
                self._place[slot] = self._place_of(tenant, slot)
        return self._place[slots]

    def _place_of(self, tenant: TenantId, slot: int) -> int:
        entity = self._catalog.entity_of(slot)
        if not entity.service or self._class_of(slot) is MetricClass.STATE:
            return ALONE
        subject = Subject(tenant, entity.service, entity.environment)
        number = self._index.get(subject, -1)
        if number < 0:
            service = Service(subject, self._settings)
            number = self._put(service, int(self._catalog.partition[slot]))
        own = self._at(number)
        member = own.place_of(self._catalog.identity[slot].tobytes())
        if member < 0 and own.has_room:
            series = self._catalog.series(slot)
            member = own.admit(Member(series.identity, _name(series)))
        return CROWDED if member < 0 else number * MAX_MEMBERS + member

    # Below: what is said.

    def _judge(self, ready: Ready) -> list[Sighting | Belief]:
        service = self._at(ready.number)
        service.heard_ns = int(self._now_ns[self._partition[ready.number]])
        found, opinions = service.judge(ready.time_ns, ready.rows)
        sightings = [_sighting(service, one) for one in found]
        return [*sightings, *(_belief(service, one) for one in opinions)]

    def _follow(self, tenant: TenantId, detector: str, findings: Findings) -> None:
        """Remember which anomalies of single series are open."""
        places = self._places(tenant, findings.slot).tolist()
        for row, place in enumerate(places):
            if place < 0 or findings.change[row] not in (OPENED, CLOSED):
                continue
            service = self._at(place // MAX_MEMBERS)
            started_ns = int(findings.started_ns[row])
            series = self._catalog.series(int(findings.slot[row]))
            anomaly = id_of_series(series, detector, started_ns)
            if findings.change[row] == OPENED:
                service.suspect(anomaly, place % MAX_MEMBERS, started_ns)
            else:
                service.acquit(anomaly)

    # Below: who there is.

    def _at(self, number: int) -> Service:
        return cast("Service", self._services[number])

    def _of(self, partition: int) -> list[int]:
        """The numbers of a partition's services, in order of their names."""
        own = [(s, i) for s, i in self._index.items() if self._partition[i] == partition]
        return [i for _, i in sorted(own)]

    def _put(self, service: Service, partition: int) -> int:
        if None not in self._services:
            self._services.append(None)
            self._partition = np.append(self._partition, np.uint8(0))
        number = self._services.index(None)
        self._services[number] = service
        self._partition[number] = partition
        self._index[service.subject] = number
        service.heard_ns = service.heard_ns or int(self._now_ns[partition])
        return number

    def _drop(self, number: int) -> None:
        """Forget a service, and what waits for it."""
        del self._index[self._at(number).subject]
        self._services[number] = None
        self._place[(self._place >= 0) & (self._place // MAX_MEMBERS == number)] = UNKNOWN
        self._pending.drop(number)

    def _sweep(self, due: Mask, now_ns: int) -> None:
        """Free the places of series that have left, and forget services that have none."""
        self._swept_ns[due] = now_ns
        for number in sorted(self._index.values()):
            if not due[self._partition[number]]:
                continue
            service = self._at(number)
            for member in service.release():
                place = number * MAX_MEMBERS + member
                self._pending.drop_place(place)
                self._place[(self._place == place) | (self._place == CROWDED)] = UNKNOWN
            if now_ns - service.heard_ns > FORGOTTEN_NS:
                self._drop(number)


def _sighting(service: Service, finding: Finding) -> Sighting:
    subject, row = service.subject, finding.row
    labels = {"service": subject.service, "joint": VOICES[int(row["voice"])]}
    if subject.environment:
        labels["environment"] = subject.environment
    return Sighting(
        tenant=subject.tenant,
        entity=Entity(service=subject.service, environment=subject.environment),
        labels=labels,
        started_ns=int(row["started_ns"]),
        time_ns=int(row["time_ns"]),
        change=int(row["change"]),
        severity=Severity.EVIDENCE if row["severity"] == EVIDENCE else Severity.INFO,
        value=float(row["value"]),
        expected_low=float(row["low"]),
        expected_high=float(row["high"]),
        p_value=float(row["p_value"]),
        evidence=service.parts(finding, MAX_PARTS),
    )


def _belief(service: Service, one: Opinion) -> Belief:
    return Belief(
        tenant=service.subject.tenant,
        anomaly=one.anomaly,
        confidence=one.confidence,
        time_ns=one.time_ns,
        evidence=one.evidence,
    )


def _name(series: Series) -> str:
    """The series as people write it, without what its service says already."""
    said = ("__name__", "service", "environment")
    rest = ",".join(f'{k}="{v}"' for k, v in sorted(series.labels.items()) if k not in said)
    return f"{series.metric}{{{rest}}}" if rest else series.metric
