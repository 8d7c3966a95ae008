"""What may run in a process of its own."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Part(StrEnum):
    """A part of the whole. A process is one of them, some, or all."""

    INGEST = "ingest"
    """The doors: bodies become records of the log."""
    STORE = "store"
    """Telemetry is kept, and answered for. One process of an installation does it."""
    DETECT = "detect"
    """Partitions are owned, and judged."""
    API = "api"
    """All that is read; keys, and the audit trail."""


EVERY: Final = tuple(Part)
