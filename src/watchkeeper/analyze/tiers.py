"""The detectors and watchers of a plan: what each record means to all of them, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from watchkeeper import plugins, telemetry
from watchkeeper.analyze.absent import States
from watchkeeper.analyze.detection_config import SPECIALISTS
from watchkeeper.analyze.detectors.base import Detector, Findings, Points
from watchkeeper.analyze.detectors.basic import Basic
from watchkeeper.analyze.detectors.some import Some
from watchkeeper.analyze.judge import (
    GRID_TIER,
    SAMPLE_TIER,
    Judge,
    WatcherJudge,
    believed,
    gone,
)
from watchkeeper.analyze.known_series import KnownSeries
from watchkeeper.analyze.plan import Plan
from watchkeeper.analyze.routes import Routes
from watchkeeper.analyze.watchers.base import Belief, OfSeries, Open, Seen, Sighting, Watcher
from watchkeeper.model.anomaly import Anomaly, AnomalyId, AnomalyStatus, Gone
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import F64, I32, I64, N_PARTITIONS, Mask, Series, TenantId

_SAMPLES = telemetry.counter(
    "watchkeeper_detect_samples_total", "Samples judged, by tier.", ("tier",)
)
Spec = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SeriesChange:
    """A change of one episode of one series."""

    judge: Judge
    findings: Findings
    row: int
    series: Series
    metric_class: MetricClass

    @property
    def by(self) -> str:
        return self.judge.detector

    @property
    def tenant(self) -> TenantId:
        return self.series.tenant

    @property
    def service(self) -> str:
        return self.series.entity.service

    @property
    def key(self) -> AnomalyId:
        return self.judge.id_of(self.series, int(self.findings.started_ns[self.row]))

    def anomaly(self, position: int, known: Anomaly | None) -> Anomaly:
        return self.judge.judge(
            self.findings,
            self.row,
            series=self.series,
            position=position,
            known=known,
            metric_class=self.metric_class,
        )


@dataclass(frozen=True, slots=True)
class SubjectChange:
    """A change of one episode of what a watcher watches."""

    judge: WatcherJudge
    sighting: Sighting
    metric_class: MetricClass = MetricClass.OTHER

    @property
    def by(self) -> str:
        return self.judge.watcher

    @property
    def tenant(self) -> TenantId:
        return self.sighting.tenant

    @property
    def service(self) -> str:
        return self.sighting.entity.service

    @property
    def key(self) -> AnomalyId:
        return self.judge.id_of(self.sighting)

    def anomaly(self, position: int, known: Anomaly | None) -> Anomaly:
        return self.judge.judge(
            self.sighting, position=position, known=known, metric_class=self.metric_class
        )


@dataclass(frozen=True, slots=True)
class BeliefChange:
    """What a watcher has to say of an anomaly that is there."""

    by: str
    belief: Belief
    service: str = ""

    @property
    def tenant(self) -> TenantId:
        return self.belief.tenant

    @property
    def key(self) -> AnomalyId:
        return self.belief.anomaly

    def anomaly(self, position: int, known: Anomaly | None) -> Anomaly | None:
        """Nothing, where the anomaly is not known or has ended."""
        if known is None or known.status is AnomalyStatus.CLOSED:
            return None
        return believed(self.belief, position, known)


@dataclass(frozen=True, slots=True)
class GoneChange:
    """The end of an anomaly that nobody watches any longer."""

    by: str
    tenant: TenantId
    key: AnomalyId
    reason: Gone
    now_ns: int
    service: str = ""

    def anomaly(self, position: int, known: Anomaly | None) -> Anomaly | None:
        """Nothing, where the anomaly is not known or has ended."""
        if known is None or known.status is AnomalyStatus.CLOSED:
            return None
        return gone(self.reason, self.now_ns, position, known)


Change = SeriesChange | SubjectChange | BeliefChange | GoneChange


class Tiers:
    """State is by slot. For one thread."""

    def __init__(self, plan: Plan, catalog: KnownSeries) -> None:
        self._catalog = catalog
        self.routes = Routes(plan, catalog)
        self._detectors: dict[str, tuple[Spec, Detector]] = {}
        self._watchers: dict[str, tuple[Spec, Watcher]] = {}
        self._build(plan)

    @property
    def detectors(self) -> Sequence[Detector]:
        """The sample tier first."""
        return [one for _, one in self._detectors.values()]

    @property
    def watchers(self) -> Sequence[Watcher]:
        return [one for _, one in self._watchers.values()]

    @property
    def basic(self) -> Basic | None:
        """The sample tier; without it, nothing is judged."""
        return cast("Basic", self.detectors[0]) if self._detectors else None

    @property
    def versions(self) -> Mapping[str, int]:
        return {one.name: one.version for one in self.detectors}

    def arrange(self, plan: Plan) -> None:
        """Go on by another plan. Who stays keeps what it has learned, with other settings, too."""
        self._build(plan)
        self.routes.arrange(plan)
        for number, detector in enumerate(self.detectors[1:]):
            if isinstance(detector, Some):
                detector.release(self.routes.spared(number))

    def judge(self, tenant: TenantId, points: Points) -> list[Change]:
        """What detectors say of samples, and the cells of the grid that these closed."""
        basic = self.basic
        if basic is None or not len(points):
            return []
        self.routes.meet(points.slot)
        swept = basic.sweep(points, self._catalog.kind, self.routes.dials)
        _SAMPLES.add(len(points), "sample")
        found = [(cast("Detector", basic), swept.findings)]
        cells = swept.cells.points
        for number, detector in enumerate(self.detectors[1:] if len(cells) else ()):
            own = self._own(cells, number)
            found.append((detector, detector.step(own, self._catalog.kind, self.routes.dials)))
            _SAMPLES.add(len(own), "grid")
        if self._watchers:
            seen = Seen(tenant, points, cells, [(one.name, said) for one, said in found])
            for watcher in self.watchers:
                watcher.see(seen)
        return [change for one, said in found for change in self._changes(one, said)]

    def tick(self, now_ns: int, partitions: Mask) -> list[Change]:
        """What watchers say now."""
        return [
            _told(one, said)
            for one in (self.watchers if self._detectors else ())
            for said in one.tick(now_ns, partitions)
        ]

    def asks(self, by: str, slots: I32) -> Mask:
        """Whether a detector judges these series; of a watcher, whether there is one."""
        found: Mask = np.full(len(slots), bool(self._detectors) and by in self._watchers)
        names = list(self._detectors)
        if by in names:
            found[:] = True
        if by in names[1:]:
            here = slots >= 0
            self.routes.meet(slots[here])
            found[here] = self.routes.judged_by(slots[here], names.index(by) - 1)
        return found

    def holds(self, by: str, episodes: Sequence[Open], slots: I32) -> Mask:
        """Which of these go on, by whoever found them; of series that are all known here."""
        if by in self._detectors:
            started_ns: I64 = np.array([one.started_ns for one in episodes], np.int64)
            return self._detectors[by][1].holds(slots, started_ns)
        watcher = self._watchers[by][1]
        return np.array([watcher.holds(one) for one in episodes], np.bool_)

    def let_go(self, by: str, episodes: Sequence[Open], slots: I32) -> None:
        """End these, and tell nothing of it."""
        if by in self._detectors:
            self._detectors[by][1].let_go(slots[slots >= 0])
            return
        watcher = self._watchers[by][1] if by in self._watchers else None
        if isinstance(watcher, OfSeries):
            for one in episodes:
                watcher.let_go(one.series)

    def heard(self, slots: I32) -> tuple[I64, F64]:
        """The newest samples of these series, and how far theirs are apart, in seconds."""
        if self.basic is None:
            return np.zeros(len(slots), np.int64), np.zeros(len(slots))
        return self.basic.heard(slots)

    def admit(self, slots: I32, donors: I32) -> None:
        """Series that begin here."""
        self.routes.forget(slots)
        for detector in self.detectors:
            detector.admit(slots, donors)

    def dump(self, slots: I32) -> States:
        return {one.name: one.dump(slots) for one in self.detectors}

    def load(self, slots: I32, states: States) -> None:
        """Of those detectors that there are states of."""
        for one in self.detectors:
            if one.name in states:
                one.load(slots, states[one.name])

    def dump_watchers(self, partition: int) -> Mapping[str, tuple[int, bytes]]:
        return {one.name: (one.version, one.dump(partition)) for one in self.watchers}

    def load_watchers(self, partition: int, kept: Mapping[str, tuple[int, bytes]]) -> None:
        """Those of another version, and those that are new, have nothing to go on from."""
        for one in self.watchers:
            version, state = kept.get(one.name, (one.version, b""))
            one.load(partition, state if version == one.version else b"")

    def _own(self, cells: Points, number: int) -> Points:
        mine = self.routes.judged_by(cells.slot, number)
        if mine.all():
            return cells
        return Points(cells.slot[mine], cells.time_ns[mine], cells.value[mine])

    def _changes(self, detector: Detector, findings: Findings) -> Iterator[Change]:
        if not len(findings):
            return
        tier = SAMPLE_TIER if detector.name == Basic.name else GRID_TIER
        judge = Judge(detector.name, detector.streams, tier, detector.version, detector.claims)
        known = self._catalog.series_of(findings.slot)
        for row, (slot, series) in enumerate(zip(findings.slot.tolist(), known, strict=True)):
            yield SeriesChange(judge, findings, row, series, self.routes.class_of(slot))

    def _build(self, plan: Plan) -> None:
        """All that may fail first, then the exchange."""
        document = plan.document
        detectors = {
            str(spec.get("use")): self._kept(self._detectors, spec) or (spec, self._detector(spec))
            for spec in document.detectors
        }
        watchers = {
            str(spec.get("use")): self._kept(self._watchers, spec) or (spec, self._watcher(spec))
            for spec in document.watchers
        }
        for name, (_, detector) in detectors.items():
            self._inherit(detector, self._detectors.get(name))
        for name, (_, watcher) in watchers.items():
            self._take_over(watcher, self._watchers.get(name))
        self._detectors, self._watchers = detectors, watchers

    @staticmethod
    def _kept(there: Mapping[str, tuple[Spec, Any]], spec: Spec) -> tuple[Spec, Any] | None:
        found = there.get(str(spec.get("use")))
        return found if found is not None and found[0] == spec else None

    def _detector(self, spec: Spec) -> Detector:
        capacity = len(self._catalog.kind)
        detector: Detector = plugins.build("detector", spec, capacity=capacity)
        return Some(detector, capacity) if detector.name in SPECIALISTS else detector

    def _watcher(self, spec: Spec) -> Watcher:
        watcher: Watcher = plugins.build(
            "watcher", spec, catalog=self._catalog, class_of=self.routes.class_of
        )
        return watcher

    def _inherit(self, detector: Detector, before: tuple[Spec, Detector] | None) -> None:
        """What was learned with other settings, unless these are kept in another form."""
        if before is None or before[1] is detector or before[1].version != detector.version:
            return
        nobody = np.empty(0, np.int32)
        if _forms(before[1].dump(nobody)) != _forms(detector.dump(nobody)):
            return
        partition = self._catalog.partition[: self._catalog.high_slot]
        for number in np.unique(partition[partition < N_PARTITIONS]).tolist():
            slots = np.flatnonzero(partition == number).astype(np.int32)
            detector.load(slots, before[1].dump(slots))

    @staticmethod
    def _take_over(watcher: Watcher, before: tuple[Spec, Watcher] | None) -> None:
        if before is None or before[1] is watcher or before[1].version != watcher.version:
            return
        for partition in range(N_PARTITIONS):
            watcher.load(partition, before[1].dump(partition))


def _told(watcher: Watcher, said: Sighting | Belief) -> Change:
    if isinstance(said, Belief):
        return BeliefChange(watcher.name, said)
    return SubjectChange(WatcherJudge(watcher.name, watcher.version), said)


def _forms(state: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, tuple[Any, ...]]:
    return {name: (array.dtype, array.shape[1:]) for name, array in state.items()}
