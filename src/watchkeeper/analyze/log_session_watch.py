"""Whether more sessions of a service are strange than usual.

One strange session is none: ranges that were learned from n are left by one in n or so. So the
strange ones of a minute are counted, beside the share that they have had.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from watchkeeper.analyze.log_episodes import Strange
from watchkeeper.analyze.log_open_sessions import OpenSessions, Session
from watchkeeper.analyze.log_sessions import SessionRule
from watchkeeper.analyze.log_sessions import Strange as StrangeCount
from watchkeeper.analyze.log_watch_config import LogWatchConfig
from watchkeeper.analyze.template_groups import Groups
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.template import OTHER

_FADE: Final = 1.0 - 1.0 / 10080
"""A minute's sessions are forgotten to an e-fold in a week."""
_SHOWN_P: Final = 1e-4
_EVIDENCE_P: Final = 0.25 / 10080
_LEAST: Final = 3
"""Strange sessions that are evidence."""
_MARGIN: Final = 1.5
"""Times the surprise that was there twice before."""
_HOUR_NS: Final = 3600 * NS_PER_S
_LASTS_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class StrangeSessions:
    """Of a minute, and what is strange of the first of them."""

    n_sessions: int
    n_strange: int
    usual: float
    p_value: float
    is_evidence: bool
    trace: str
    """Of the first; empty where that is no trace."""
    template: int
    count: int
    least: int
    most: int

    def told(self, labels: Mapping[str, str]) -> Strange:
        """As a finding about the service."""
        said = {
            "sessions": float(self.n_sessions),
            "lines": float(self.count),
            "least": float(self.least),
            "most": float(self.most),
        }
        return Strange(
            "log_session",
            OTHER,
            labels,
            float(self.n_strange),
            0.0,
            self.usual,
            self.p_value,
            self.is_evidence,
            said,
            _LASTS_S,
        )


class SessionState(msgspec.Struct, array_like=True):
    """As it is kept."""

    open: OpenSessions = msgspec.field(default_factory=OpenSessions)
    rule: SessionRule = msgspec.field(default_factory=SessionRule)
    n: float = 0.0
    n_strange: float = 0.0
    most: float = 0.0
    second: float = 0.0


class SessionWatch:
    """A state machine of one service."""

    def __init__(self, config: LogWatchConfig) -> None:
        self._config = config
        self._state = SessionState()

    def configure(self, config: LogWatchConfig) -> None:
        self._config = config

    def take(self, runs: Iterable[tuple[int, int, int, tuple[int, int]]], now_ns: int) -> None:
        """Lines of sessions: (hash of the session, fingerprint, lines, trace)."""
        self._state.open.take(runs, now_ns, self._config.open_sessions)

    def tick(self, now_ns: int, groups: Groups, *, is_learning: bool) -> StrangeSessions | None:
        """Judge those that ended since the last one."""
        ended = self._state.open.ended(now_ns, self._config)
        rule = self._state.rule
        found: list[tuple[Session, list[StrangeCount]]] = []
        for one in ended:
            counts: dict[int, int] = {}
            for fingerprint, n_lines in one.counts.items():
                template = groups.template_of(fingerprint)
                if template != OTHER:
                    counts[template] = counts.get(template, 0) + n_lines
            learns = is_learning or rule.n < self._config.sessions_to_learn
            strange = [] if learns else rule.judge(counts)
            if strange:
                found.append((one, strange))
                rule.meet(strange, now_ns // _HOUR_NS)
            else:
                rule.learn(counts)
        return self._judge(len(ended), found)

    def rename(self, became: Mapping[int, int]) -> None:
        """Templates were joined."""
        self._state.rule.rename(became)

    def dump(self) -> SessionState:
        return self._state

    def load(self, state: SessionState) -> None:
        self._state = state

    def _judge(
        self, n: int, found: list[tuple[Session, list[StrangeCount]]]
    ) -> StrangeSessions | None:
        state = self._state
        share = (state.n_strange + 1.0) / (state.n + 2.0)
        p_value = beyond(len(found), n, share)
        surprise = -math.log(p_value)
        is_evidence = len(found) >= _LEAST and p_value <= _EVIDENCE_P
        is_evidence = is_evidence and surprise >= _MARGIN * state.second
        state.n, state.n_strange = state.n * _FADE + n, state.n_strange * _FADE + len(found)
        state.second = max(state.second * _FADE, min(state.most, surprise))
        state.most = max(state.most * _FADE, surprise)
        if p_value > _SHOWN_P:
            return None
        first, strange = found[0]
        worst = strange[0]
        high, low = first.trace
        return StrangeSessions(
            n,
            len(found),
            n * share,
            p_value,
            is_evidence,
            f"{high:016x}{low:016x}" if high or low else "",
            worst.template,
            worst.count,
            worst.least,
            worst.most,
        )


def beyond(n_strange: int, n: int, share: float) -> float:
    """No less than the probability that so many of n are strange, or more, where `share` of all
    are: Chernoff's bound."""
    if n == 0 or n_strange <= share * n:
        return 1.0
    seen = n_strange / n
    bits = seen * math.log(seen / share)
    if seen < 1.0:
        bits += (1.0 - seen) * math.log((1.0 - seen) / (1.0 - share))
    return math.exp(-min(700.0, n * bits))
