"""When nobody is to be woken: windows in the settings, and those that were told by a call.

What begins within a window is found, learned from and shown as ever. It says why it is muted, and
claims no more than `info`. Decided by the time at which it began, whenever that is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from watchkeeper.clock import NS_PER_S
from watchkeeper.model.ruling import Maintenance
from watchkeeper.model.series import Entity, TenantId

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES: Final = 24 * 60
_WEEKLY: Final = re.compile(
    r"(?P<days>[a-z]{3}(?:-[a-z]{3})?(?:[, ]+[a-z]{3}(?:-[a-z]{3})?)*)\s+"
    r"(?P<begin>\d{1,2}:\d\d)\s*-\s*(?P<end>\d{1,2}:\d\d)"
)
ENTITY: Final = ("service", "environment", "node", "owner")


class MaintenanceWindow(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """A time in which nobody is woken for what it matches: once, or every week."""

    match: Annotated[
        Mapping[str, str],
        Meta(
            description="Labels with what they must be, `service`, `environment`, `node`, `owner` "
            "and `tenant` among them; `*` stands for any run. Empty matches all."
        ),
    ] = {}
    from_: Annotated[
        str | None, Meta(description="When it begins, such as 2026-03-01T22:00:00Z.")
    ] = None
    to: Annotated[str | None, Meta(description="When it is over.")] = None
    weekly: Annotated[
        str | None,
        Meta(
            description="Instead of `from` and `to`: days and times of every week, such as `sat, "
            "sun 02:00-04:00` or `mon-fri 22:00-06:00`."
        ),
    ] = None
    time_zone: Annotated[
        str, Meta(description="Of times that name none, such as Europe/Berlin.")
    ] = "UTC"
    reason: Annotated[str, Meta(description="What anomalies say of it.")] = "maintenance"

    def __post_init__(self) -> None:
        zone = _zone(self.time_zone)
        if self.weekly is not None:
            if self.from_ is not None or self.to is not None:
                raise ValueError("has both `weekly` and `from` or `to`; give one of them")
            _weekly(self.weekly)
        elif self.from_ is None or self.to is None:
            raise ValueError("needs `from` and `to`, or `weekly`")
        elif _time_ns(self.from_, zone) >= _time_ns(self.to, zone):
            raise ValueError(f"ends at '{self.to}', before it begins at '{self.from_}'")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom something is about, as far as windows ask."""

    tenant: TenantId
    entity: Entity
    labels: Mapping[str, str]

    def of(self, name: str) -> str:
        if name == "tenant":
            return self.tenant
        return (getattr(self.entity, name) if name in ENTITY else "") or self.labels.get(name, "")


@dataclass(frozen=True)
class Windows:
    """Those of the settings."""

    listed: Sequence[MaintenanceWindow] = ()

    def reason(self, subject: Subject, began_ns: int) -> str:
        """Why what began then is muted; empty if it is not."""
        for window, holds in self._checks:
            if matches(window.match, subject) and holds(began_ns):
                return window.reason
        return ""

    @cached_property
    def _checks(self) -> list[tuple[MaintenanceWindow, Callable[[int], bool]]]:
        return [(window, holding(window)) for window in self.listed]


def matches(match: Mapping[str, str], subject: Subject) -> bool:
    return all(fnmatchcase(subject.of(name), wanted) for name, wanted in match.items())


def told_reason(told: Sequence[Maintenance], subject: Subject, began_ns: int) -> str:
    """As `Windows.reason`, of those that were told by a call: each is its tenant's."""
    for window in told:
        holds = window.tenant == subject.tenant and window.from_ns <= began_ns < window.to_ns
        if holds and matches(window.match, subject):
            return window.reason
    return ""


def holding(window: MaintenanceWindow) -> Callable[[int], bool]:
    """Whether a window holds at a time."""
    zone = _zone(window.time_zone)
    if window.weekly is not None:
        days, begin, end = _weekly(window.weekly)
        return lambda time_ns: _holds_weekly(time_ns, zone, days, begin, end)
    begin_ns = _time_ns(window.from_ or "", zone)
    end_ns = _time_ns(window.to or "", zone)
    return lambda time_ns: begin_ns <= time_ns < end_ns


def _holds_weekly(time_ns: int, zone: ZoneInfo, days: frozenset[int], begin: int, end: int) -> bool:
    """By the clock on the wall there: a night in which clocks are put forward is shorter."""
    local = datetime.fromtimestamp(time_ns // NS_PER_S, zone)
    minute = local.hour * 60 + local.minute
    if begin < end:
        return local.weekday() in days and begin <= minute < end
    yesterday = (local.weekday() - 1) % 7
    return (local.weekday() in days and minute >= begin) or (yesterday in days and minute < end)


def _weekly(text: str) -> tuple[frozenset[int], int, int]:
    """(days, first minute, minute after the last); over midnight where they do not grow."""
    found = _WEEKLY.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"weekly '{text}' is not understood; write `sat, sun 02:00-04:00`")
    days: set[int] = set()
    for part in re.split(r"[, ]+", found["days"]):
        first, _, last = part.partition("-")
        wrong = [day for day in (first, last or first) if day not in _DAYS]
        if wrong:
            raise ValueError(f"weekly '{text}': '{wrong[0]}' is no day; use {', '.join(_DAYS)}")
        n_days = (_DAYS.index(last or first) - _DAYS.index(first)) % 7
        days |= {(_DAYS.index(first) + n) % 7 for n in range(n_days + 1)}
    return frozenset(days), _minute(found["begin"], text), _minute(found["end"], text)


def _minute(clock: str, text: str) -> int:
    hour, _, minute = clock.partition(":")
    found = int(hour) * 60 + int(minute)
    if int(minute) >= 60 or found > _DAY_MINUTES:
        raise ValueError(f"weekly '{text}': {clock} is no time of a day")
    return found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"time_zone '{name}' is not known; write one as Europe/Berlin") from error


def _time_ns(text: str, zone: ZoneInfo) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"'{text}' is no time; write 2026-03-01T22:00:00Z") from error
    aware = time if time.tzinfo is not None else time.replace(tzinfo=zone)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1) * 1000
