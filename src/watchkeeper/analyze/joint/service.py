"""One service as the joint watcher knows it: its members, their space, and what is open of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from watchkeeper.analyze.detectors.base import CLOSED, OPENED
from watchkeeper.analyze.joint.forest import MIN_BATCH, Forest
from watchkeeper.analyze.joint.history import History
from watchkeeper.analyze.joint.space import MAX_MEMBERS, Finding, Settings, Space
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import AnomalyId
from watchkeeper.model.series import F64, I64, TenantId

VOICES = ("distance", "count")
MAX_OPEN = 256
"""Open anomalies of a service's series that are remembered; more are not judged again."""
VALIDATED_AFTER_NS = 600 * NS_PER_S
"""An open anomaly is looked at again when it is this old: a handful of rows is too few."""
NEITHER = 0.5


class Subject(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A service, by name."""

    tenant: TenantId
    service: str
    environment: str


class Member(msgspec.Struct, frozen=True, array_like=True):
    """A series of the service, in its place. Without an identity the place is free."""

    identity: bytes = b""
    name: str = ""


class Suspect(msgspec.Struct, frozen=True, array_like=True):
    """An open anomaly of one member."""

    anomaly: AnomalyId
    member: int
    started_ns: int
    is_validated: bool = False
    is_joined: bool = False


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the service's rows say of an open anomaly."""

    anomaly: AnomalyId
    time_ns: int
    confidence: float
    evidence: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Scored:
    """What the forest says of the last rows, and of past ones."""

    time_ns: I64
    last: F64
    past: F64

    def rank(self, since_ns: int) -> float:
        """The probability that as many past rows are all less strange than the strangest since."""
        first = max(int(np.searchsorted(self.time_ns, since_ns, side="right")) - 1, 0)
        less = float(np.mean(self.past < self.last[first:].max()))
        return float(less ** (len(self.last) - first))


class _Kept(msgspec.Struct, array_like=True):
    subject: Subject
    members: list[Member]
    space: bytes
    history: bytes
    speaking: dict[int, list[int]]
    suspects: list[Suspect]
    last_ns: int
    heard_ns: int


_decoder = msgspec.msgpack.Decoder(_Kept)


class Service:
    """A state machine over a service's rows, in order of time."""

    def __init__(self, subject: Subject, settings: Settings) -> None:
        self.subject = subject
        self.members: list[Member] = []
        self.space = Space(settings)
        self.last_ns = 0
        self.heard_ns = 0
        """When, by the clock of ticks, there was a row."""
        self._history = History()
        self._speaking: dict[int, list[int]] = {}
        """By voice with an open episode: the members that have part in it."""
        self._suspects: list[Suspect] = []

    @property
    def n_bytes(self) -> int:
        return self.space.n_bytes + self._history.n_bytes

    @property
    def has_room(self) -> bool:
        return len(self.members) < MAX_MEMBERS or self.place_of(b"") >= 0

    def place_of(self, identity: bytes) -> int:
        """Where a series is, or -1."""
        for place, member in enumerate(self.members):
            if member.identity == identity:
                return place
        return -1

    def admit(self, member: Member) -> int:
        """Give a series a place, while there is room: the first that is free."""
        place = self.place_of(b"")
        if place >= 0:
            self.members[place] = member
            return place
        self.members.append(member)
        self.space.hold(len(self.members))
        return len(self.members) - 1

    def release(self) -> list[int]:
        """Free the places of members that are missing from the rows of a day."""
        left = self.space.left(self.last_ns)
        for place in left:
            self.space.forget(place)
            self._history.forget(place)
            self.members[place] = Member()
        self._suspects = [one for one in self._suspects if one.member not in left]
        for voice, members in self._speaking.items():
            self._speaking[voice] = [one for one in members if one not in left]
        return left

    def suspect(self, anomaly: AnomalyId, member: int, started_ns: int) -> None:
        if len(self._suspects) < MAX_OPEN:
            self._suspects.append(Suspect(anomaly, member, started_ns))

    def acquit(self, anomaly: AnomalyId) -> None:
        """The anomaly is over."""
        self._suspects = [one for one in self._suspects if one.anomaly != anomaly]

    def judge(self, time_ns: I64, rows: F64) -> tuple[list[Finding], list[Opinion]]:
        """Rows in order of time, nan where a member is missing. Those that are not newer than the
        newest before are passed over."""
        fresh = time_ns > self.last_ns
        time_ns, rows = time_ns[fresh], rows[fresh]
        found: list[Finding] = []
        opinions: list[Opinion] = []
        step = 1 if self._suspects else max(len(rows), 1)
        for i in range(0, len(rows), step):
            block = slice(i, i + step)
            new = self.space.judge(time_ns[block], rows[block])
            self._history.add(time_ns[block], rows[block])
            for one in new:
                self._note(one)
            found += new
            self.last_ns = int(time_ns[block][-1])
            opinions += self._opinions()
        return found, opinions

    def parts(self, finding: Finding, most: int) -> dict[str, float]:
        """The members that have most part in a finding, by name."""
        top = np.argsort(-finding.shares, kind="stable")[:most].tolist()
        return {
            self.members[place].name: round(float(finding.shares[place]), 4)
            for place in top
            if finding.shares[place] > 0.0
        }

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(
            _Kept(
                self.subject,
                self.members,
                self.space.dump(),
                self._history.dump(),
                self._speaking,
                self._suspects,
                self.last_ns,
                self.heard_ns,
            )
        )

    @classmethod
    def of(cls, state: bytes, settings: Settings) -> Service:
        """The service that was dumped."""
        kept = _decoder.decode(state)
        service = cls(kept.subject, settings)
        service.members = kept.members
        service.space.load(kept.space)
        service.last_ns, service.heard_ns = kept.last_ns, kept.heard_ns
        service._history.load(kept.history)
        service._speaking = kept.speaking
        service._suspects = kept.suspects
        return service

    def _note(self, finding: Finding) -> None:
        voice = int(finding.row["voice"])
        if int(finding.row["change"]) == CLOSED:
            self._speaking.pop(voice, None)
            return
        least = 1.0 / max(int(np.count_nonzero(finding.shares)), 1)
        part = np.flatnonzero((finding.shares > 0.0) & (finding.shares >= least)).tolist()
        known = [] if int(finding.row["change"]) == OPENED else self._speaking.get(voice, [])
        self._speaking[voice] = sorted({*known, *part})

    def _opinions(self) -> list[Opinion]:
        """Look again at open anomalies that have grown old, or that others have joined."""
        joined = {member for members in self._speaking.values() for member in members}
        due = [
            i
            for i, one in enumerate(self._suspects)
            if (one.member in joined and not one.is_joined)
            or (self.last_ns - one.started_ns >= VALIDATED_AFTER_NS and not one.is_validated)
        ]
        scored = self._scored() if due else None
        said = []
        for i in due:
            one = self._suspects[i]
            is_joined = one.is_joined or one.member in joined
            said.append(self._opinion(one, scored, is_joined=is_joined))
            self._suspects[i] = msgspec.structs.replace(one, is_validated=True, is_joined=is_joined)
        return said

    def _opinion(self, one: Suspect, scored: Scored | None, *, is_joined: bool) -> Opinion:
        rank = None if scored is None else scored.rank(one.started_ns)
        agreement = 1.0 if is_joined else NEITHER
        confidence = (agreement + (NEITHER if rank is None else rank)) / 2.0
        evidence = {"joint": agreement} | ({} if rank is None else {"forest": round(rank, 4)})
        return Opinion(one.anomaly, self.last_ns, round(confidence, 4), evidence)

    def _scored(self) -> Scored | None:
        times, rows = self._history.last
        past = self._history.past
        if len(past) < MIN_BATCH or len(rows) < MIN_BATCH:
            return None
        forest = Forest.fit(past, seed=1)
        return Scored(times, forest.scores(rows), forest.scores(past))
