"""Names of episodes: the same after a replay, and in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from watchkeeper.model.anomaly import AnomalyId
from watchkeeper.model.series import Series


def id_of_series(series: Series, detector: str, started_ns: int) -> AnomalyId:
    """Of an episode that a detector found in a series."""
    return id_of((series.tenant.encode(), series.identity, detector.encode()), started_ns)


def id_of(parts: Sequence[bytes], started_ns: int) -> AnomalyId:
    digest = hashlib.blake2b(digest_size=10)
    for part in parts:
        digest.update(len(part).to_bytes(4, "little"))
        digest.update(part)
    digest.update(started_ns.to_bytes(8, "little", signed=True))
    return AnomalyId(digest.hexdigest())
