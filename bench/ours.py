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
NO_TRACES: Mapping[str, object] = {"telemetry": {"trace_share": 0.0}}
"""None of its own, which are of requests drawn by chance, and become series."""
UNTRACED: Mapping[str, object] = {**T1_AND_FK, **NO_TRACES}
"""T1 and FK, where two runs are to find the same."""
