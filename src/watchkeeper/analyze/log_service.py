"""What is unusual in the lines of one service, minute by minute.

- `log_new`: a template that none of its lines had, once it has been known for a day
- `log_rare`: one that hardly any had
- `log_rate`: lines of a template come faster or slower than they do at this time
- `log_errors`: errors come faster, of whatever template
- `log_stopped`: lines that always come do not
- `log_session`: more sessions than usual have counts of templates that normal ones have not

Minutes are those of the lines' own times. They are judged after their templates were compared, so
that what is joined with others at once is nothing new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from watchkeeper.analyze.detectors.base import CLOSED, EVIDENCE, Findings
from watchkeeper.analyze.log_episodes import Episodes, Strange
from watchkeeper.analyze.log_novelty import Novelty, rarity
from watchkeeper.analyze.log_rates import Dump, LogRates
from watchkeeper.analyze.log_session_watch import SessionWatch
from watchkeeper.analyze.log_state import Known, ServiceState
from watchkeeper.analyze.log_watch_config import LogWatchConfig
from watchkeeper.analyze.template_groups import Groups
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import F64, I32
from watchkeeper.model.template import OTHER

MINUTE_NS: Final = 60 * NS_PER_S
HOUR_NS: Final = 60 * MINUTE_NS
LATE_NS: Final = 30 * NS_PER_S
"""A minute is judged when its lines had so much time to come."""
NEW_P: Final = 0.5 / 168
"""Half an hour of a week may have something new that is evidence."""
MINUTE_P: Final = 0.25 / 10080
"""A quarter of a minute of a week, shared by all templates, may be evidence of silence."""
RATE_P: Final = 0.05 / 10080
"""A twentieth of one may be evidence of a rate, by what the p-values of `fk` are worth."""
ALL: Final = -1
"""In place of a template: all lines."""
ERRORS: Final = -2
"""All lines that are errors, or graver."""
_MANY: Final = 10
"""Lines that a template has before it has a row."""
_BREAK_NS: Final = 2 * MINUTE_NS
"""No ticks for so long: the process stood still, and what did not come says nothing."""
_STOPS: Final = 5
"""Of templates of a service that are told at once."""
_PATTERN: Final = 500
_FINGERPRINTS: Final = 4
"""That are counted in a minute, for each template that may have a row; others are OTHER."""
_LONG_S: Final = 3e9
"""What ends by itself is not ended by time."""


class ServiceLog:
    """A state machine: lines are counted as they come, and judged by ticks."""

    def __init__(
        self, config: LogWatchConfig, rates: LogRates, episodes: Episodes, service: str
    ) -> None:
        self._config = config
        self._room = _room(config)
        self._rates = rates
        self._service = service
        self._began_ns = self._now_ns = self._closed_ns = 0
        self._deployed_ns = -(2**62)
        self._minutes: dict[int, dict[int, tuple[int, int]]] = {}
        self._known: dict[int, Known] = {}
        self._novelty = Novelty()
        self.sessions = SessionWatch(config)
        self.episodes = episodes

    @property
    def now_ns(self) -> int:
        """The newest tick; 0 before the first, without which a line's age is not known."""
        return self._now_ns

    def count(self, fingerprint: int, severity: int, minute: int, n_lines: int) -> None:
        """Lines of a fingerprint, and of a minute since 1970; those to come are of this one."""
        counts = self._counts(minute)
        if counts is None:
            return
        known = counts.get(fingerprint)
        if known is None and len(counts) >= self._room:
            fingerprint = OTHER
            known = counts.get(OTHER)
        if known is None:
            counts[fingerprint] = n_lines, severity
        else:
            n, gravest = known
            counts[fingerprint] = n + n_lines, max(gravest, severity)

    def count_errors(self, minute: int, n_lines: int) -> None:
        """Those of the lines that are errors, or graver."""
        counts = self._counts(minute)
        if counts is not None:
            n, _ = counts.get(ERRORS, (0, 0))
            counts[ERRORS] = n + n_lines, 0

    def configure(self, config: LogWatchConfig) -> None:
        """Go on by other settings."""
        self._config, self._room = config, _room(config)
        self.sessions.configure(config)
        self.episodes.hours_per_week = config.evidence_hours_per_week

    def change(self) -> None:
        """Somebody deployed it, or set something of it."""
        self._deployed_ns = self._now_ns

    def tick(self, now_ns: int, groups: Groups, *, is_compared: bool) -> None:
        """Judge what is over, if templates were compared just now."""
        was_ns, self._now_ns = self._now_ns, now_ns
        if not was_ns or now_ns - was_ns > _BREAK_NS:
            self._began_ns = self._began_ns or now_ns
            self._minutes.clear()
            self._closed_ns = now_ns // MINUTE_NS * MINUTE_NS
        if not is_compared:
            return
        self._follow(groups)
        self._novelty.pass_to(now_ns)
        self.episodes.tick(now_ns)
        while self._closed_ns + MINUTE_NS + LATE_NS <= now_ns:
            self._close(self._closed_ns, groups)
            self._closed_ns += MINUTE_NS
        strange = self.sessions.tick(now_ns, groups, is_learning=self._is_learning)
        if strange is not None:
            labels = self._labels(groups, strange.template) | {"trace_id": strange.trace}
            labels = {name: value for name, value in labels.items() if value}
            self.episodes.see(strange.told(labels), now_ns)

    def leave(self) -> None:
        """Nothing is known of the service any more."""
        for one in self._known.values():
            self._end(one)

    def dump(self) -> ServiceState:
        slots = self._slots([template for template, one in self._known.items() if one.slot >= 0])
        return ServiceState(
            self._began_ns,
            self._now_ns,
            self._closed_ns,
            self._deployed_ns,
            self._minutes,
            self._known,
            self._novelty,
            self.sessions.dump(),
            self.episodes.dump(),
            self._rates.dump(slots) if len(slots) else {},
        )

    def load(self, state: ServiceState) -> None:
        self._began_ns, self._now_ns = state.began_ns, state.now_ns
        self._closed_ns, self._deployed_ns = state.closed_ns, state.deployed_ns
        self._minutes, self._known, self._novelty = state.minutes, state.known, state.novelty
        self.sessions.load(state.sessions)
        self.episodes.load(state.episodes)
        self._take_rows(state.rows)

    def _counts(self, minute: int) -> dict[int, tuple[int, int]] | None:
        """Of a minute, by fingerprint; None where it was judged."""
        at_ns = minute * MINUTE_NS
        if at_ns > self._now_ns:
            at_ns = self._now_ns // MINUTE_NS * MINUTE_NS
        if at_ns < self._closed_ns or not at_ns:
            return None
        counts = self._minutes.get(at_ns)
        if counts is None:
            counts = self._minutes[at_ns] = {}
        return counts

    @property
    def _is_learning(self) -> bool:
        return self._now_ns < self._began_ns + round(self._config.learning_s * NS_PER_S)

    def _take_rows(self, rows: Dump) -> None:
        with_row = [one for one in self._known.values() if one.slot >= 0]
        begun = [self._rates.begin() for _ in with_row]
        for one, slot in zip(with_row, begun, strict=True):
            one.slot = -1 if slot is None else slot
        if rows and None not in begun:
            self._rates.load(np.array(begun, np.int32), rows)

    def _follow(self, groups: Groups) -> None:
        """Templates were joined, or forgotten."""
        became = {one: groups.current(one) for one in self._known if one > OTHER}
        became = {one: now for one, now in became.items() if now != one}
        for template, now in became.items():
            known = self._known.pop(template)
            self._end(known)
            for detector in ("log_new", "log_rare", "log_rate", "log_stopped"):
                self.episodes.end(detector, template, self._now_ns)
            if now is not None:
                other = self._known.setdefault(now, Known(0, 0, 0))
                other.n_lines += known.n_lines
                other.last_ns = max(other.last_ns, known.last_ns)
                other.severity = max(other.severity, known.severity)
        self.sessions.rename({one: now for one, now in became.items() if now is not None})

    def _close(self, minute_ns: int, groups: Groups) -> None:
        counts: dict[int, tuple[int, int]] = {}
        given = self._minutes.pop(minute_ns, {})
        n_errors, _ = given.pop(ERRORS, (0, 0))
        for fingerprint, (n_lines, severity) in given.items():
            template = groups.template_of(fingerprint)
            n, gravest = counts.get(template, (0, 0))
            counts[template] = n + n_lines, max(gravest, severity)
        for template, (n_lines, severity) in counts.items():
            if template != OTHER:
                self._meet(template, n_lines, severity, groups)
        n_lines_of = {template: n for template, (n, _) in counts.items()}
        self._judge(minute_ns, n_lines_of, n_errors, groups)

    def _meet(self, template: int, n_lines: int, severity: int, groups: Groups) -> None:
        known = self._known.get(template)
        if known is None:
            self._known[template] = Known(n_lines, self._now_ns, severity)
            if self._now_ns >= self._deployed_ns + round(self._config.after_deploy_s * NS_PER_S):
                self._new(template, n_lines, severity, groups)
            return
        if self._now_ns - known.last_ns > 24 * HOUR_NS:
            self._rare(template, known, groups)
        known.n_lines += n_lines
        known.last_ns = self._now_ns
        known.severity = max(known.severity, severity)

    def _new(self, template: int, n_lines: int, severity: int, groups: Groups) -> None:
        p_value = self._novelty.meet(severity, self._now_ns)
        is_evidence = p_value <= NEW_P
        if self._is_learning or (
            self.episodes.n_open("log_new") and not (is_evidence and self._only_info("log_new"))
        ):
            return
        said = {"lines": float(n_lines), "severity": float(severity)}
        self._see("log_new", template, groups, (n_lines, 0.0, 0.0, p_value), is_evidence, said)

    def _rare(self, template: int, known: Known, groups: Groups) -> None:
        n_all = sum(one.n_lines for one in self._known.values())
        score = rarity(known.n_lines, n_all, known.severity)
        if self._is_learning or score < self._config.rare or self.episodes.n_open("log_rare"):
            return
        share = (known.n_lines + 1) / (n_all + 2)
        self._see("log_rare", template, groups, (1.0, 0.0, 0.0, share), False, {"rarity": score})

    def _judge(
        self, minute_ns: int, counts: Mapping[int, int], n_errors: int, groups: Groups
    ) -> None:
        """The rates of all that have a row, and of the others together."""
        rows = self._rows(counts)
        if not {ALL, ERRORS, OTHER} <= set(rows):
            return  # there was no room
        slots = self._slots(rows)
        n_all = sum(counts.values())
        n_own = [counts.get(template, 0) for template in rows]
        n_own[rows.index(ALL)], n_own[rows.index(ERRORS)] = n_all, n_errors
        n_own[rows.index(OTHER)] = n_all - sum(n for t, n in zip(rows, n_own, strict=True) if t > 0)
        column: F64 = np.array(n_own, np.float64)
        by_slot = dict(zip(slots.tolist(), rows, strict=True))
        findings = self._rates.judge(slots, minute_ns, column)
        gaps, missed = self._rates.listen(slots, minute_ns, column, total=rows.index(ALL))
        if self._is_learning:
            return
        for row in range(len(findings)):
            template = by_slot[int(findings.slot[row])]
            if int(findings.change[row]) == CLOSED:
                self.episodes.end(_rate_of(template), template, self._now_ns)
            else:
                self._rate(template, findings, row, groups)
        for template, n, gap, is_missed in zip(
            rows, n_own, gaps.tolist(), missed.tolist(), strict=True
        ):
            if n:
                self.episodes.end("log_stopped", template, self._now_ns)
            elif is_missed and (template == ALL or (template > OTHER and n_all)):
                self._stopped(template, gap, groups)

    def _rate(self, template: int, findings: Findings, row: int, groups: Groups) -> None:
        value = float(findings.value[row]) ** 2
        low, high = (max(0.0, float(one[row])) ** 2 for one in (findings.low, findings.high))
        usual = (low + high) / 2
        off = abs(value - usual)
        ratio = (max(value, usual) + 1.0) / (min(value, usual) + 1.0)
        if off < self._config.least_change or ratio < self._config.least_ratio:
            return
        p_value = float(findings.p_value[row])
        is_evidence = findings.severity[row] == EVIDENCE and self._is_beyond(p_value, RATE_P)
        said = dict(zip(self._rates.streams, findings.streams[row].tolist(), strict=True))
        if template == ERRORS and value < usual:
            return
        detector = _rate_of(template)
        self._see(detector, template, groups, (value, low, high, p_value), is_evidence, said)

    def _stopped(self, template: int, gap: float, groups: Groups) -> None:
        p_value = float(np.exp(-gap))
        is_evidence = self._is_beyond(p_value, MINUTE_P)
        if self.episodes.is_open("log_stopped", template):
            if not (is_evidence and self.episodes.is_info("log_stopped", template)):
                return
        elif self.episodes.n_open("log_stopped") >= _STOPS:
            return
        said = {"expected_lines": gap}
        self._see("log_stopped", template, groups, (0.0, gap, gap, p_value), is_evidence, said)

    def _see(
        self,
        detector: str,
        template: int,
        groups: Groups,
        figures: tuple[float, float, float, float],
        is_evidence: bool,
        said: Mapping[str, float],
    ) -> None:
        value, low, high, p_value = figures
        lasts_s = self._config.again_s if detector in ("log_new", "log_rare") else _LONG_S
        strange = Strange(
            detector,
            template,
            self._labels(groups, template),
            float(value),
            low,
            high,
            p_value,
            is_evidence,
            said,
            lasts_s,
        )
        self.episodes.see(strange, self._now_ns)

    def _only_info(self, detector: str) -> bool:
        return all(
            self.episodes.is_info(detector, template)
            for template in self._known
            if self.episodes.is_open(detector, template)
        )

    def _is_beyond(self, p_value: float, limit: float) -> bool:
        """Whether it is rarer than the budget has for one of so many templates."""
        n_rows = sum(one.slot >= 0 for one in self._known.values())
        return p_value * max(1, n_rows) <= limit

    def _labels(self, groups: Groups, template: int) -> dict[str, str]:
        labels = {"service": self._service}
        if template > 0:
            labels["template"] = f"{template:016x}"
            labels["pattern"] = (groups.text(template) or "")[:_PATTERN]
        elif template == OTHER:
            labels["template"] = "other"
        return labels

    def _rows(self, counts: Mapping[int, int]) -> list[int]:
        """Templates with a row, those that have one from now on among them."""
        n_rows = sum(one.slot >= 0 for one in self._known.values())
        for template in (ALL, ERRORS, OTHER, *counts):
            one = self._known.setdefault(template, Known(0, self._now_ns, 0))
            has_room = template <= OTHER or n_rows < self._config.templates_per_service + 3
            if one.slot >= 0 or not has_room or (template > 0 and one.n_lines < _MANY):
                continue
            slot = self._rates.begin()
            if slot is not None:
                one.slot = slot
                n_rows += 1
        return [template for template, one in self._known.items() if one.slot >= 0]

    def _slots(self, templates: list[int]) -> I32:
        return np.array([self._known[one].slot for one in templates], np.int32)

    def _end(self, known: Known) -> None:
        if known.slot >= 0:
            self._rates.end(known.slot)


def _rate_of(template: int) -> str:
    """The detector that judges its rate."""
    return "log_errors" if template == ERRORS else "log_rate"


def _room(config: LogWatchConfig) -> int:
    """For fingerprints of a minute."""
    return _FINGERPRINTS * max(1, config.templates_per_service)
