"""What people decided about detection, as far as the log has come in each partition.

A partition's checkpoint holds all of it, so a restart begins with what was in force there, whatever
the log has forgotten since; and two partitions that have come differently far have each its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from watchkeeper.analyze import deployments, feedback
from watchkeeper.analyze.deployments import Deployment
from watchkeeper.analyze.maintenance import Subject, Windows, told_reason
from watchkeeper.model.ruling import FROM_FILE, DetectionSet, Maintenance, Verdict

VERSION: Final = 1
"""Of the form in checkpoints."""
MAX_VERDICTS: Final = 256
"""On one subject; the oldest are let go of."""
_KEPT_NS: Final = 86_400_000_000_000
"""A window is known for a day after its end: what began within it may come late."""


@dataclass(slots=True)
class _Ruled:
    """Of one partition."""

    version: int = FROM_FILE
    document: str = ""
    windows: dict[str, Maintenance] = field(default_factory=dict)
    verdicts: dict[str, dict[str, Verdict]] = field(default_factory=dict)
    """By subject, then by anomaly and principal."""
    deployments: dict[str, Deployment] = field(default_factory=dict)


class _Kept(msgspec.Struct, array_like=True):
    """In a checkpoint."""

    form: int
    version: int
    document: str
    windows: list[Maintenance]
    verdicts: list[Verdict]
    deployments: list[Deployment] = []


_decoder = msgspec.msgpack.Decoder(_Kept)


_encoder: Final = msgspec.msgpack.Encoder(order="deterministic")


class Rulings:
    """A state machine over the records of the log. For one thread."""

    def __init__(self) -> None:
        self._by_partition: dict[int, _Ruled] = {}

    def settle(self, settings: DetectionSet, partitions: Iterable[int]) -> list[int]:
        """Those of these partitions in which they are in force now."""
        settled = []
        for partition in partitions:
            ruled = self._of(partition)
            if settings.follows(ruled.version):
                ruled.version += 1
                ruled.document = settings.document
                settled.append(partition)
        return settled

    def hold(self, window: Maintenance, partitions: Iterable[int]) -> None:
        for partition in partitions:
            self._of(partition).windows[window.id] = window

    def note(self, verdict: Verdict) -> None:
        """It replaces what the same principal said of the same anomaly."""
        said = self._of(verdict.partition).verdicts.setdefault(verdict.subject, {})
        name = f"{verdict.anomaly}/{verdict.principal}"
        said.pop(name, None)  # so that the newest are last
        if feedback.in_force([verdict]):
            said[name] = verdict
        if len(said) > MAX_VERDICTS:
            del said[next(iter(said))]
        if not said:
            del self._of(verdict.partition).verdicts[verdict.subject]

    def deploy(self, deployment: Deployment, partition: int) -> None:
        """Of a service there, for the first time or again."""
        known = self._of(partition).deployments
        before = known.pop(deployment.id, None)
        known[deployment.id] = deployment if before is None else before.told_again(deployment)
        if len(known) > deployments.MOST:
            del known[next(iter(known))]

    @property
    def knows_deployments(self) -> bool:
        return any(ruled.deployments for ruled in self._by_partition.values())

    def deployed(self, partition: int) -> Iterable[Deployment]:
        """What is remembered of it."""
        return self._of(partition).deployments.values()

    def tick(self, now_ns: int) -> None:
        """Let go of windows that are long over, and of old deployments."""
        for ruled in self._by_partition.values():
            over = [one.id for one in ruled.windows.values() if one.to_ns + _KEPT_NS < now_ns]
            for name in over:
                del ruled.windows[name]
            old = [
                one.id
                for one in ruled.deployments.values()
                if one.last_ns + deployments.KEPT_NS < now_ns
            ]
            for name in old:
                del ruled.deployments[name]

    def version(self, partition: int) -> int:
        return self._of(partition).version

    def document(self, partition: int) -> str:
        """What is in force there; empty for what the configuration file says."""
        return self._of(partition).document

    def shift(self, partition: int, subject: str) -> float:
        """What verdicts add to log10 of the limit of a series."""
        return feedback.shift(self._of(partition).verdicts.get(subject, {}).values())

    def judged(self, partition: int) -> Sequence[str]:
        """The subjects there of which verdicts are in force."""
        return list(self._of(partition).verdicts)

    def muted(
        self, partition: int, name: str, subject: Subject, *, detector: str, began_ns: int,
        windows: Windows,
    ) -> str:  # fmt: skip
        """Why what began then is muted; empty if it is not. `name` is the subject's, `windows` are
        those of the settings."""
        ruled = self._of(partition)
        reason = windows.reason(subject, began_ns)
        reason = reason or told_reason(list(ruled.windows.values()), subject, began_ns)
        if reason:
            return f"maintenance: {reason}"
        said = ruled.verdicts.get(name, {}).values()
        when = feedback.expected(said, detector, began_ns)
        return f"expected: {when} at this time" if when else ""

    def dump(self, partition: int) -> bytes:
        ruled = self._of(partition)
        verdicts = [one for said in ruled.verdicts.values() for one in said.values()]
        kept = _Kept(
            form=VERSION,
            version=ruled.version,
            document=ruled.document,
            windows=list(ruled.windows.values()),
            verdicts=verdicts,
            deployments=list(ruled.deployments.values()),
        )
        return _encoder.encode(kept)

    def load(self, partition: int, state: bytes) -> None:
        """Go on from here; with nothing to go on from, the partition is forgotten."""
        self._by_partition.pop(partition, None)
        if not state:
            return
        kept = _decoder.decode(state)
        ruled = self._of(partition)
        ruled.version, ruled.document = kept.version, kept.document
        ruled.windows = {one.id: one for one in kept.windows}
        ruled.deployments = {one.id: one for one in kept.deployments}
        for verdict in kept.verdicts:
            self.note(verdict)

    def _of(self, partition: int) -> _Ruled:
        return self._by_partition.setdefault(partition, _Ruled())


def without_settings(state: bytes) -> bytes:
    """What `dump` made, as if nobody had set anything; windows and verdicts stay."""
    if not state:
        return state
    kept = _decoder.decode(state)
    return _encoder.encode(msgspec.structs.replace(kept, version=FROM_FILE, document=""))
