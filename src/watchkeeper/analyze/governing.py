"""What people decided, at work: settings on the plan, verdicts on dials, windows on what is found.

Where one log has all partitions, those that a checkpoint covers further wait after a restart until
the others have come there; so settings are in force for all of them at one position, and what a
partition has learned under newer settings is loaded when these are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import numpy as np

from watchkeeper import telemetry
from watchkeeper.analyze import deployments
from watchkeeper.analyze.deployments import Deployment
from watchkeeper.analyze.detection_config import DOCUMENTS, DetectionConfig
from watchkeeper.analyze.known_series import KnownSeries
from watchkeeper.analyze.maintenance import Subject, Windows
from watchkeeper.analyze.rulings import Rulings
from watchkeeper.analyze.tiers import Change, SeriesChange, SubjectChange, Tiers
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import ConfigError
from watchkeeper.model import change as changes
from watchkeeper.model.anomaly import Anomaly, InfoReason, Severity
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict, subject_of
from watchkeeper.model.series import I32, N_PARTITIONS

_log: Final = telemetry.Log(__name__)
_VERSION: Final = telemetry.gauge(
    "watchkeeper_detect_settings_version",
    "Version of the settings by which is judged; 0 is the configuration file's.",
)


Ruling = DetectionSet | Maintenance | Verdict | changes.Change


@dataclass(frozen=True, slots=True)
class Hands:
    """What this does with the stage that it belongs to."""

    arrange: Callable[[DetectionConfig], None]
    """Go on by another document; raises ConfigError, and changes nothing then."""
    load: Callable[[int, bytes], None]
    """What a partition has learned."""


class Governing:
    """For one thread."""

    def __init__(
        self, file: DetectionConfig, catalog: KnownSeries, tiers: Tiers, hands: Hands,
        *, is_alone: bool,
    ) -> None:  # fmt: skip
        """`is_alone`: one log has all partitions, and no other process any of them."""
        self._rulings = Rulings()
        self._file = file
        self._catalog = catalog
        self._tiers = tiers
        self._hands = hands
        self._is_alone = is_alone
        self._windows = Windows(file.maintenance)
        self._deploy_quiet_s = file.deploy_quiet_s
        self._arranged = ""
        self._loaded: dict[int, bytes] = {}
        """By partition: what was loaded since the last record, and what is to be loaded again."""
        self._turned: dict[bytes, float] = {}

    def take(self, record: Ruling, partitions: Sequence[int]) -> None:
        """A record of the log, for these partitions."""
        match record:
            case changes.Change(kind=deployments.DEPLOYMENT):
                one = Deployment.of(record)
                partition = self._catalog.partition_of(record.tenant, one.service)
                if partition in partitions:
                    self._rulings.deploy(one, partition)
            case DetectionSet():
                if self._rulings.settle(record, partitions):
                    self._arrange()
            case Maintenance():
                self._rulings.hold(record, partitions)
            case Verdict() if record.partition in partitions:
                self._rulings.note(record)
                self._turn(record.partition, [record.subject])

    def begin(self) -> None:
        """Records come: all partitions there are were loaded."""
        if not self._loaded:
            return
        lowest = min(self._rulings.version(partition) for partition in range(N_PARTITIONS))
        self._loaded = {
            partition: state
            for partition, state in self._loaded.items()
            if self._is_alone and self._rulings.version(partition) > lowest
        }
        self._arrange()

    def tick(self, now_ns: int) -> None:
        self._rulings.tick(now_ns)

    def muted(self, change: Change, began_in: int | None) -> str:
        """Why what begins by this change is muted; empty if it is not. `began_in` is the partition
        that the record is of, where it is of one."""
        match change:
            case SeriesChange():
                series, began_ns = change.series, int(change.findings.started_ns[change.row])
                name = series.identity.hex()
                subject = Subject(series.tenant, series.entity, series.labels)
                partition = int(self._catalog.partition[int(change.findings.slot[change.row])])
            case SubjectChange():
                sighting, began_ns = change.sighting, change.sighting.started_ns
                name = subject_of(sighting.tenant, sighting.series, sighting.labels)
                subject = Subject(sighting.tenant, sighting.entity, sighting.labels)
                partition = self._place(name) if began_in is None else began_in
            case _:
                return ""
        reason = self._rulings.muted(
            partition, name, subject, detector=change.by, began_ns=began_ns, windows=self._windows
        )
        if not reason and isinstance(change, SubjectChange):
            reason = self._muted_alike(change, partition)
        return reason or self._after_deploy(change, subject, began_ns)

    def _muted_alike(self, change: SubjectChange, partition: int) -> str:
        """Why all are muted for whom this speaks; empty if one of them is not."""
        sighting, reason = change.sighting, ""
        for entity in sighting.members:
            reason = self._rulings.muted(
                partition,
                "",
                Subject(sighting.tenant, entity, {}),
                detector=change.by,
                began_ns=sighting.started_ns,
                windows=self._windows,
            )
            if not reason:
                break
        return reason

    def dump(self, partition: int) -> bytes:
        return self._rulings.dump(partition)

    def load(self, partition: int, ruled: bytes, learned: bytes) -> None:
        """Go on from a checkpoint, whose state is loaded with the settings that it was made by."""
        before = self._rulings.judged(partition)
        self._rulings.load(partition, ruled)
        self._turn(partition, [*before, *self._rulings.judged(partition)])
        self._loaded[partition] = learned
        self._arrange(are_all_known=False)
        if learned:
            self._hands.load(partition, learned)

    def _after_deploy(
        self, change: SeriesChange | SubjectChange, subject: Subject, began_ns: int
    ) -> str:
        """By which deployment it is explained; empty if by none."""
        if not self._rulings.knows_deployments:
            return ""
        if isinstance(change, SubjectChange):
            symptom = change.sighting.labels.get("symptom", "")
            if change.by != Symptoms.name or symptom not in deployments.EXPECTED:
                return ""
        elif change.metric_class in deployments.UNEXPECTED:
            return ""
        return deployments.reason(
            self._rulings.deployed(
                self._catalog.partition_of(subject.tenant, subject.entity.service)
            ),
            subject.tenant,
            subject.entity,
            began_ns=began_ns,
            quiet_ns=round(self._deploy_quiet_s * NS_PER_S),
        )

    def _arrange(self, *, are_all_known: bool = True) -> None:
        """By the settings of the partitions that are furthest behind, whose records come next. In
        several processes, where each partition has its own pace: by the newest."""
        if self._is_alone:
            of = min(
                range(N_PARTITIONS) if are_all_known else self._loaded, key=self._rulings.version
            )
        else:
            of = max(range(N_PARTITIONS), key=self._rulings.version)
        document, version = self._rulings.document(of), self._rulings.version(of)
        if document != self._arranged:
            self._go_by(document)
        _VERSION.set(version)
        if are_all_known:
            ready = [p for p in self._loaded if self._rulings.version(p) == version]
            for partition in ready:
                self._hands.load(partition, self._loaded.pop(partition))

    def _go_by(self, text: str) -> None:
        try:
            document = self._file
            if text:
                document = DOCUMENTS.decode(text)
            self._hands.arrange(document)
        except (ConfigError, msgspec.MsgspecError) as error:
            _log.error("settings of detection do not fit this release; kept as they were",
                       why=str(error))  # fmt: skip
        else:
            self._windows = Windows(document.maintenance)
            self._deploy_quiet_s = document.deploy_quiet_s
        self._arranged = text

    def _turn(self, partition: int, subjects: Sequence[str]) -> None:
        """Turn the dials of these series by all that is said of them."""
        names = [bytes.fromhex(name) for name in subjects if _is_series(name)]
        for name in names:
            shift = self._rulings.shift(partition, name.hex())
            if shift:
                self._turned[name] = shift
            else:
                self._turned.pop(name, None)
        self._tiers.routes.turned = self._turned
        if names:
            identity = np.frombuffer(b"".join(names), np.uint64).reshape(-1, 2)
            slots: I32 = self._catalog.lookup(identity)
            self._tiers.routes.again(slots)

    def _place(self, name: str) -> int:
        """Where a subject was spoken of; else where all windows are known."""
        return next((p for p in range(N_PARTITIONS) if name in self._rulings.judged(p)), 0)


def quiet(anomaly: Anomaly, reason: str) -> Anomaly:
    """The same, muted for a reason, if there is one. What a deployment explains is evidence still,
    and no page."""
    if not reason:
        return anomaly
    if deployments.is_after(reason):
        is_page = anomaly.severity is Severity.PAGE
        severity = Severity.EVIDENCE if is_page else anomaly.severity
        return replace(anomaly, muted=reason, severity=severity)
    return replace(anomaly, muted=reason, severity=Severity.INFO, info_reason=InfoReason.MUTED)


def _is_series(subject: str) -> bool:
    return len(subject) == 32 and not set(subject) - set("0123456789abcdef")
