"""Silence of services beside that of others: what they share is told and paged for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from watchkeeper.analyze.detectors.base import OPENED
from watchkeeper.analyze.watchers.base import Sighting
from watchkeeper.analyze.watchers.budget import PageBudget
from watchkeeper.analyze.watchers.outage import Change, Outages, score_of, told
from watchkeeper.analyze.watchers.outage import Kept as KeptOutages
from watchkeeper.analyze.watchers.outage_census import Census
from watchkeeper.analyze.watchers.service_rows import SILENCE
from watchkeeper.analyze.watchers.services import Pages, Services, Subject
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import I64, Mask

RETRY_NS: Final = 60 * NS_PER_S
"""Senders that found nobody listening wait for up to half a minute before they try again."""
AWAY_NS: Final = 3_600 * NS_PER_S
"""Whoever was away for longer begins to learn how often services are heard of."""


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """In the checkpoint of every partition."""

    outages: KeptOutages = KeptOutages()
    pages: Sequence[tuple[tuple[str, str, str], Pages, Pages]] = ()


class Silences:
    """Of all services. For one thread."""

    def __init__(self, services: Services, budget: PageBudget, learning_ns: int) -> None:
        self._services = services
        self._budget = budget
        self._learning_ns = learning_ns
        self.outages = Outages()
        self._paged: set[Subject] = set()

    def look(self, now_ns: int, found: Any, last_tick: I64, resumed_ns: I64) -> list[Sighting]:
        """What there is to say of outages, where these findings are of this tick."""
        if self.outages.knows(now_ns):
            return []
        fresh = _fallen_silent(found)
        if not len(fresh) and not self.outages:
            self.outages.note(now_ns)
            return []
        census = Census(self._services, last_tick, resumed_ns, self._learning_ns)
        is_held = self._services.state.symptom[census.rows, SILENCE]["is_held"] > 0
        waiting = census.is_silent & (is_held | np.isin(census.rows, fresh))
        changes = self.outages.look(now_ns, census, waiting)
        return [self._told(one, now_ns) for one in changes]

    def settle(self, now_ns: int, judged: I64, found: Any) -> I64:
        """Hold back what is part of an outage, or may be; who is no more, and silent still."""
        fresh = _fallen_silent(found)
        symptom = self._services.state.symptom
        if len(fresh):
            is_held = self._held(fresh, now_ns) & (symptom["is_calibrated"][fresh, SILENCE] > 0)
            symptom["is_held"][fresh, SILENCE] = is_held
        if not self.outages.has_any:
            return judged[:0]
        rows = judged[symptom["is_held"][judged, SILENCE] > 0]
        released: I64 = rows[~self._held(rows, now_ns)]
        symptom["is_held"][released, SILENCE] = 0
        return released

    def _held(self, rows: I64, now_ns: int) -> Mask:
        stopped_ns = self._services.state.symptom["started_ns"][rows, SILENCE]
        gap_s = self._services.state.service["gap_s"][rows].astype(np.float64)
        found = np.zeros(len(rows), np.bool_)
        for one in self.outages.of(now_ns):
            own = self._services.shared.within(rows, one.tenant, one.shared)
            found |= own & one.holds(stopped_ns, gap_s, now_ns)
        return found

    def dump(self) -> Kept:
        pages = [(one, *self._budget.dump(one)) for one in sorted(self._paged)]
        return Kept(self.outages.dump(), pages)

    def load(self, kept: Kept) -> None:
        if kept.outages.newest_ns >= self.outages.newest_ns:
            for names, pages, held in kept.pages:
                subject = Subject.of(*names)
                self._paged.add(subject)
                self._budget.load(subject, pages, held)
        self.outages.load(kept.outages)

    def forget(self) -> None:
        """All of it, once there is no service any more."""
        if self._services.n:
            return
        self.outages.forget()
        for subject in self._paged:
            self._budget.forget(subject)
        self._paged.clear()

    def _told(self, one: Change, now_ns: int) -> Sighting:
        outage = one.outage
        if one.change == OPENED:
            subject = Subject.of(outage.tenant, "", outage.shared.get("environment", ""))
            reason = self._budget.decide(
                subject,
                score_of(outage),
                now_ns,
                n_services=self._services.n_before(now_ns),
                confirmed=True,
            )
            self._paged.add(subject)
            outage.is_page = reason.pages
        members = [self._services.subject(row).entity for row in one.rows]
        return told(one, members, now_ns)


def _fallen_silent(found: Any) -> I64:
    """Rows of services."""
    rows: I64 = found["service"][(found["symptom"] == SILENCE) & (found["change"] == OPENED)]
    return rows


def resume(services: Services, paused: Mask, slept_ns: I64) -> None:
    """A time in which nobody listened is no pause of any service, and is not learned as one."""
    rows = services.of(paused & (slept_ns <= AWAY_NS))
    service = services.state.service
    is_silent = services.state.symptom["is_open"][rows, SILENCE] > 0
    heard = rows[(service["arrived_ns"][rows] > 0) & ~is_silent]
    service["arrived_ns"][heard] += slept_ns[service["partition"][heard]]
