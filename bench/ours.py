"""Our own server's settings for measuring: which detectors run, and no limit in the way."""

from __future__ import annotations

from collections.abc import Mapping

NO_DETECTION: Mapping[str, object] = {"detection": {"detectors": []}}
T1: Mapping[str, object] = {"detection": {"detectors": [{"use": "basic"}]}}
T1_AND_FK: Mapping[str, object] = {"detection": {"detectors": [{"use": "basic"}, {"use": "fk"}]}}
