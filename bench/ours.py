"""Our own server's settings for measuring: which detectors run, and no limit in the way."""

from __future__ import annotations

from collections.abc import Mapping

NO_DETECTION: Mapping[str, object] = {"detection": {"detectors": []}}
T1: Mapping[str, object] = {"detection": {"detectors": [{"use": "basic"}], "watchers": []}}
T1_AND_FK: Mapping[str, object] = {
    "detection": {"detectors": [{"use": "basic"}, {"use": "fk"}], "watchers": []}
}
SHIPPED: Mapping[str, object] = {}
"""All detectors and watchers as they are by default."""
UNTRACED: Mapping[str, object] = {**T1_AND_FK, "telemetry": {"trace_share": 0.0}}
"""T1 and FK, and no traces of its own, which are of requests drawn by chance: where two runs are to
find the same."""
