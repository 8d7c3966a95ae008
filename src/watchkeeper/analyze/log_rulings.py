"""What people decided, for lines: settings, windows of maintenance, and verdicts, by partition.

Services are of one partition each, so each partition goes by what was decided where it has come in
the log, on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from watchkeeper import telemetry
from watchkeeper.analyze.detection_config import DOCUMENTS, DetectionConfig
from watchkeeper.analyze.log_watch import LogWatch
from watchkeeper.analyze.maintenance import Subject, Windows
from watchkeeper.analyze.rulings import Rulings
from watchkeeper.analyze.watchers.base import Sighting
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict, subject_of

_log: Final = telemetry.Log(__name__)


class LogRulings:
    """Turns what watches lines as the log says. For one thread."""

    def __init__(self, file: DetectionConfig, watch: LogWatch) -> None:
        self._file = file
        self._watch = watch
        self._rulings = Rulings()
        self._windows: dict[int, Windows] = {}

    def take(self, record: DetectionSet | Maintenance | Verdict, partitions: Sequence[int]) -> None:
        """A record of the log, for these partitions."""
        match record:
            case DetectionSet():
                for partition in self._rulings.settle(record, partitions):
                    self._arrange(partition)
            case Maintenance():
                self._rulings.hold(record, partitions)
            case Verdict() if record.partition in partitions:
                self._rulings.note(record)

    def tick(self, now_ns: int) -> None:
        self._rulings.tick(now_ns)

    def muted(self, partition: int, detector: str, sighting: Sighting) -> str:
        """Why an episode that begins by this is muted; empty if it is not."""
        return self._rulings.muted(
            partition,
            subject_of(sighting.tenant, sighting.series, sighting.labels),
            Subject(sighting.tenant, sighting.entity, sighting.labels),
            detector=detector,
            began_ns=sighting.started_ns,
            windows=self._windows.get(partition) or Windows(self._file.maintenance),
        )

    def dump(self, partition: int) -> bytes:
        return self._rulings.dump(partition)

    def load(self, partition: int, state: bytes) -> None:
        """Before what was learned there."""
        self._rulings.load(partition, state)
        self._arrange(partition)

    def _arrange(self, partition: int) -> None:
        text = self._rulings.document(partition)
        document = self._file
        try:
            if text:
                document = DOCUMENTS.decode(text)
        except msgspec.MsgspecError as error:
            _log.error(
                "settings of log lines do not fit this release; kept as they were", why=str(error)
            )
            return
        self._windows[partition] = Windows(document.maintenance)
        self._watch.configure(partition, document.logs)
