"""What is kept of one service's lines, as it lies in checkpoints."""

from __future__ import annotations

import msgspec

from watchkeeper.analyze.log_episodes import EpisodeState
from watchkeeper.analyze.log_novelty import Novelty
from watchkeeper.analyze.log_session_watch import SessionState


class Known(msgspec.Struct, array_like=True):
    """Of a template."""

    n_lines: int
    last_ns: int
    severity: int
    slot: int = -1


class ServiceState(msgspec.Struct, array_like=True):
    """As it is kept: rows of rates in the order of their templates."""

    began_ns: int
    now_ns: int
    closed_ns: int
    deployed_ns: int
    minutes: dict[int, dict[int, tuple[int, int]]]
    known: dict[int, Known]
    novelty: Novelty
    sessions: SessionState
    episodes: EpisodeState
    rows: dict[str, tuple[tuple[int, ...], bytes]]
