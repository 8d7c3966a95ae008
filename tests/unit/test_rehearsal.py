"""What the rehearsal sends is enough for all that detection compiles only when it is needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.watching import EVERYWHERE, WatchedCatalog
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, Points
from watchkeeper.analyze.plan import Plan
from watchkeeper.analyze.tiers import BeliefChange, SubjectChange, Tiers
from watchkeeper.cli.rehearsal import FILLED_MINUTES, PAST_MINUTES, past
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import DEFAULT_TENANT


def points(catalog: WatchedCatalog, body: Any) -> Points:
    """A body of samples, of series that are registered as they come."""
    rows = body.value["metrics"]
    named = [{"__name__": one["name"], **one["labels"]} for one in rows]
    slot = np.array([catalog.register(one).slot[0] for one in named[:3]] * (len(rows) // 3))
    time_ns = np.array([one["timestamp"] for one in rows]) * NS_PER_S
    return Points(slot.astype(np.int32), time_ns, np.array([one["value"] for one in rows], float))


def test_a_rehearsed_past_has_a_ramp_that_ends_and_an_anomaly_that_a_forest_judges() -> None:
    catalog = WatchedCatalog()
    tiers = Tiers(Plan(DetectionConfig()), catalog)
    ramps, evidence = [], set()

    for minutes in (range(FILLED_MINUTES), range(FILLED_MINUTES, PAST_MINUTES)):
        sent = points(catalog, past(minutes))
        tiers.judge(DEFAULT_TENANT, sent)
        for one in tiers.tick(int(sent.time_ns[-1]) + 600 * NS_PER_S, EVERYWHERE):
            if isinstance(one, BeliefChange):
                evidence |= set(one.belief.evidence)
            elif isinstance(one, SubjectChange) and one.by == "ramp":
                ramps.append(one.sighting.change)

    assert ramps == [OPENED, CLOSED]
    assert "forest" in evidence
