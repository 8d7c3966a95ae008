"""Which messages are one alert: by a fingerprint without what changes from firing to firing.

An alert that fires again is the same complaint and is counted: that is flapping. Silent for longer
than the session window it is judged afresh, since it may be a consequence of something else now;
its count goes on for as long as its TTL. Order does not matter within the session window.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from watchkeeper.clock import NS_PER_S
from watchkeeper.model.alert import Alert, AlertStatus
from watchkeeper.model.incident import ComplaintKey

N_STARTS: Final = 32
"""Firings of a complaint that are told apart from repeated messages."""
N_EARLY: Final = 1024
"""Ends that came before their beginnings and are remembered."""
_MAX_TEXT: Final = 1024


class DedupeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages are the same alert."""

    volatile: Annotated[
        tuple[str, ...], Meta(description="Labels that change although the alert is the same.")
    ] = ("pod", "instance", "container", "container_id", "replica", "uid", "severity", "value")
    ttl_s: Annotated[
        float, Meta(gt=0, description="An alert that was silent for longer is a new one.")
    ] = 900.0
    session_s: Annotated[
        float,
        Meta(gt=0, description="One that was silent for longer may belong somewhere else now."),
    ] = 300.0
    silent_s: Annotated[
        float, Meta(gt=0, description="One of which nothing was said for so long has ended.")
    ] = 14400.0


class Complaint(msgspec.Struct, array_like=True):
    """One alert, from its first firing until nobody waits for it any more."""

    key: ComplaintKey
    fingerprint: str
    rule: str
    node: str
    urgency: int
    joined_urgency: int
    """When it was first heard; see `notice`."""
    started_ns: int
    """Event time of the earliest firing."""
    last_ns: int
    """Event time of the newest."""
    heard_ns: int
    """By the ticks: when something was last said of it."""
    labels: dict[str, str]
    summary: str
    n_firings: int = 1
    n_before: int = 0
    """Firings of the complaints that it was before."""
    ended_ns: int | None = None
    until_ns: int | None = None
    """When it counts as ended unless it is said again."""
    starts: list[int] = []
    """Of the newest firings."""
    before: ComplaintKey | None = None
    """The complaint that it was until it was silent for a session window."""
    minutes: int = 0
    """In which of the last it fired, a bit each, the newest lowest; see `suppress`."""
    n_minutes: int = 0
    """The most of them at once."""

    @property
    def is_firing(self) -> bool:
        return self.ended_ns is None


class Heard(StrEnum):
    """What a message was."""

    NEW = "new"
    AGAIN = "again"
    """A complaint fired anew."""
    REPEATED = "repeated"
    """Nothing new: said before."""
    ENDED = "ended"
    UNKNOWN = "unknown"
    """The end of something that nobody spoke of."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was made of a message."""

    complaint: Complaint | None
    """None for the end of nothing."""
    heard: Heard
    absorbed: ComplaintKey | None = None
    """A complaint that turned out to be this one: a late firing closed the gap between them."""


class _State(msgspec.Struct, array_like=True):
    complaints: list[Complaint]
    newest: dict[str, ComplaintKey]
    early: dict[str, int]


_decoder = msgspec.msgpack.Decoder(_State)


def identity_of(alert: Alert, node: str, volatile: tuple[str, ...]) -> str:
    """Hex of a hash of tenant, source, rule, node and the labels that last."""
    labels = alert.labels
    parts = [alert.tenant, alert.source, alert.rule, node]
    for name in sorted(set(labels).difference(volatile)):
        parts += [name, labels[name]]
    return _digest(parts)


class Complaints:
    """A state machine: what is known of all alerts that somebody may speak of again."""

    def __init__(self, config: DedupeConfig) -> None:
        self._config = config
        self._complaints: dict[ComplaintKey, Complaint] = {}
        self._newest: dict[str, ComplaintKey] = {}
        self._early: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._complaints)

    def __iter__(self) -> Iterator[Complaint]:
        return iter(self._complaints.values())

    def __contains__(self, key: ComplaintKey) -> bool:
        return key in self._complaints

    def of(self, key: ComplaintKey) -> Complaint:
        return self._complaints[key]

    def take(self, alert: Alert, node: str, now_ns: int) -> Sight:
        """What a message says of which complaint."""
        identity = identity_of(alert, node, self._config.volatile)
        newest = self._complaints.get(self._newest.get(identity, ComplaintKey("")))
        known = self._stretch(newest, alert.started_ns)
        if alert.status is AlertStatus.RESOLVED:
            return self._end(alert, identity, known, now_ns)
        if known is not None and alert.started_ns in known.starts:
            return Sight(known, self._repeat(known, alert, now_ns))
        if known is not None and self._is_same(known, alert.started_ns):
            self._again(known, alert, now_ns)
            return self._bridge(known)
        complaint = self._complaint(alert, node, identity, now_ns)
        self._follow(complaint, newest)
        return Sight(complaint, Heard.NEW)

    def tick(self, now_ns: int) -> list[Complaint]:
        """Those that ended because nobody said them again."""
        silent_ns = round(self._config.silent_s * NS_PER_S)
        ended = []
        for complaint in self._complaints.values():
            until_ns = complaint.until_ns or complaint.heard_ns + silent_ns
            if complaint.is_firing and until_ns <= now_ns:
                complaint.ended_ns = max(complaint.last_ns, until_ns)
                ended.append(complaint)
        return ended

    def forget(self, key: ComplaintKey) -> None:
        complaint = self._complaints.pop(key)
        if self._newest.get(complaint.fingerprint) == key:
            del self._newest[complaint.fingerprint]

    def dump(self) -> bytes:
        kept = _State(list(self._complaints.values()), self._newest, self._early)
        return msgspec.msgpack.encode(kept)

    def load(self, state: bytes) -> None:
        kept = _decoder.decode(state)
        self._complaints = {complaint.key: complaint for complaint in kept.complaints}
        self._newest, self._early = kept.newest, kept.early

    def _stretch(self, newest: Complaint | None, started_ns: int) -> Complaint | None:
        """Of a complaint and what it was before, the one that a firing falls in; or the newest."""
        known = newest
        while known is not None and not self._is_same(known, started_ns):
            known = self._complaints.get(known.before) if known.before is not None else None
        return known if known is not None else newest

    def _is_same(self, complaint: Complaint, started_ns: int) -> bool:
        window_ns = round(self._config.session_s * NS_PER_S)
        return complaint.started_ns - window_ns <= started_ns <= complaint.last_ns + window_ns

    def _bridge(self, complaint: Complaint) -> Sight:
        """One complaint, if the gap to the one before is no session window any more."""
        before = self._complaints.get(complaint.before) if complaint.before is not None else None
        if before is None or not self._is_same(before, complaint.started_ns):
            return Sight(complaint, Heard.AGAIN)
        before.n_firings += complaint.n_firings
        before.starts = sorted([*before.starts, *complaint.starts])[-N_STARTS:]
        before.urgency = max(before.urgency, complaint.urgency)
        before.heard_ns = max(before.heard_ns, complaint.heard_ns)
        before.last_ns, before.ended_ns = complaint.last_ns, complaint.ended_ns
        before.until_ns = complaint.until_ns
        was_newest = self._newest.get(complaint.fingerprint) == complaint.key
        self.forget(complaint.key)
        if was_newest:
            self._newest[before.fingerprint] = before.key
        return Sight(before, Heard.AGAIN, complaint.key)

    def _repeat(self, complaint: Complaint, alert: Alert, now_ns: int) -> Heard:
        complaint.heard_ns = now_ns
        risen = complaint.urgency < alert.urgency
        complaint.urgency = max(complaint.urgency, int(alert.urgency))
        if complaint.is_firing:
            complaint.until_ns = alert.ended_ns
        return Heard.AGAIN if risen else Heard.REPEATED

    def _again(self, complaint: Complaint, alert: Alert, now_ns: int) -> None:
        complaint.heard_ns = now_ns
        complaint.n_firings += 1
        complaint.urgency = max(complaint.urgency, int(alert.urgency))
        complaint.starts = sorted([*complaint.starts, alert.started_ns])[-N_STARTS:]
        ended_ns = self._ended(complaint.fingerprint, alert)
        if alert.started_ns > complaint.last_ns:
            complaint.ended_ns, complaint.until_ns = ended_ns, alert.ended_ns
            complaint.last_ns = alert.started_ns
        complaint.started_ns = min(complaint.started_ns, alert.started_ns)

    def _complaint(self, alert: Alert, node: str, identity: str, now_ns: int) -> Complaint:
        return Complaint(
            key=ComplaintKey(_digest([identity, str(alert.started_ns)])),
            fingerprint=identity,
            rule=alert.rule,
            node=node,
            urgency=int(alert.urgency),
            joined_urgency=int(alert.urgency),
            started_ns=alert.started_ns,
            last_ns=alert.started_ns,
            heard_ns=now_ns,
            labels=dict(alert.labels),
            summary=alert.summary[:_MAX_TEXT],
            ended_ns=self._ended(identity, alert),
            until_ns=alert.ended_ns,
            starts=[alert.started_ns],
        )

    def _follow(self, complaint: Complaint, newest: Complaint | None) -> None:
        """Keep a complaint, and what it was before if it flaps; one that comes late is what the
        newest was before."""
        self._complaints[complaint.key] = complaint
        ttl_ns = round(self._config.ttl_s * NS_PER_S)
        if newest is None or newest.last_ns < complaint.started_ns:
            self._newest[complaint.fingerprint] = complaint.key
            if newest is not None and complaint.started_ns - newest.last_ns <= ttl_ns:
                complaint.before = newest.key
                complaint.n_before = newest.n_firings + newest.n_before
        elif newest.before is None and newest.started_ns - complaint.last_ns <= ttl_ns:
            newest.before, newest.n_before = complaint.key, complaint.n_firings

    def _end(self, alert: Alert, identity: str, known: Complaint | None, now_ns: int) -> Sight:
        """The end of the newest firing is the complaint's; that of an earlier one says nothing."""
        ended_ns = max(alert.started_ns, alert.ended_ns or now_ns)
        if known is None or alert.started_ns not in known.starts:
            self._early[_digest([identity, str(alert.started_ns)])] = ended_ns
            while len(self._early) > N_EARLY:
                del self._early[next(iter(self._early))]
            return Sight(None, Heard.UNKNOWN)
        known.heard_ns = now_ns
        if not known.is_firing or alert.started_ns < known.last_ns:
            return Sight(known, Heard.REPEATED)
        known.ended_ns = ended_ns
        return Sight(known, Heard.ENDED)

    def _ended(self, identity: str, alert: Alert) -> int | None:
        """When a firing ended of which that was said before it was itself."""
        return self._early.pop(_digest([identity, str(alert.started_ns)]), None)


def is_flapping(complaint: Complaint, n_firings: int = 4) -> bool:
    """Whether it fired more often than anybody wants to hear."""
    return complaint.n_firings + complaint.n_before >= n_firings


def _digest(parts: Sequence[str]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        digest.update(len(text).to_bytes(4, "little"))
        digest.update(text)
    return digest.hexdigest()
