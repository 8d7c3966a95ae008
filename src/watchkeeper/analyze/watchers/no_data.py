"""`no_data`: tells once of a metric that a service stopped sending, and of a service gone silent.

What is awaited is a metric of a service, heard when any of its series is: a pod that leaves is no
news, the last one is. How long to wait follows from how long the pauses were so far. A metric is
missed only while its service is heard otherwise; when the whole service is silent, that is one
message, not one for each metric.

Time is that of the coming, by ticks, so a sender's wrong clock is no silence. An hour of learning
comes first. What stays away for a day is awaited no more.

Blind to: what was heard for less than an hour; a metric that others of its name still send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta

from watchkeeper.analyze.detectors.base import CLOSED, OPENED
from watchkeeper.analyze.known_series import KnownSeries
from watchkeeper.analyze.watchers.base import Open, Seen, Sighting
from watchkeeper.analyze.watchers.slots_kernel import mark
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import I32, I64, N_PARTITIONS, U64, Entity, Mask, Series, TenantId

CHECK_NS: Final = 10 * NS_PER_S
"""Ticks are looked at so often: pauses are known to this."""
FORGOTTEN_S: Final = 86_400.0
USUAL, LONGEST = 5.0, 2.0
"""A pause is a silence from so many usual ones on, and so many of the longest that there was."""
FADE_S: Final = 86_400.0
"""Memory of the longest pause."""
MIN_PAUSES: Final = 60
"""Known before anything is missed."""
SLOWEST: Final = 0.02
"""Weight of a new pause among the usual ones."""
ASLEEP: Final = 12
"""Checks after whose absence nobody was listening here, so that nothing was silent."""
MAX_AWAITED: Final = 1 << 18
DERIVED: Final = (":p50", ":p95", ":p99", ":rate")
"""Ends of names of what follows from others, and ends with them."""

ROW = np.dtype(
    [
        ("first_ns", "i8"),  # tick of the first check that found it heard
        ("last_ns", "i8"),  # ... of the last one
        ("since_ns", "i8"),  # last_ns of the silence that is told; 0 is none
        ("usual_s", "f8"),
        ("longest_s", "f8"),
        ("n", "i8"),  # pauses
        ("of", "i4"),  # the row of the whole service
        ("partition", "u1"),
        ("pending", "?"),  # heard since the last check
        ("alive", "?"),  # the row is somebody's
    ]
)
_KEPT: Final = ("first_ns", "last_ns", "since_ns", "usual_s", "longest_s", "n", "pending")


class Awaited(msgspec.Struct, frozen=True, array_like=True):
    """Who is waited for. Without a metric, the whole service."""

    tenant: str
    service: str
    environment: str
    metric: str

    @property
    def whole(self) -> Awaited:
        return Awaited(self.tenant, self.service, self.environment, "")

    @property
    def labels(self) -> dict[str, str]:
        named = {"__name__": self.metric, "environment": self.environment, "service": self.service}
        return {name: text for name, text in named.items() if text} | {"symptom": "no_data"}


_decoder = msgspec.msgpack.Decoder(tuple[int, list[tuple[Awaited, list[Any]]]])


class NoData:
    """Rows of who is awaited; for one thread."""

    name = "no_data"
    version = 1

    class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Settings of the watcher `no_data`."""

        least_s: Annotated[float, Meta(ge=30.0)] = 120.0
        """No shorter pause is called a silence."""
        learn_s: Annotated[float, Meta(ge=600.0)] = 3600.0
        """What has been heard for less is not missed."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        catalog: KnownSeries,
        class_of: Callable[[int], MetricClass] | None = None,
    ) -> None:
        self._config = config or self.Config()
        self._catalog = catalog
        n = len(catalog.kind)
        self._heard: Mask = np.zeros(n, np.bool_)
        """By slot: since rows were last told of it."""
        self._row: I32 = np.full(n, -1, np.int32)
        self._whose: U64 = np.zeros(n, np.uint64)
        """By slot: whose row that is, the low half of the series' identity."""
        self._rows = np.zeros(1024, ROW)
        self._names: list[Awaited | None] = []
        self._number: dict[Awaited, int] = {}
        self._free: list[int] = []
        self._checked: I64 = np.zeros(N_PARTITIONS, np.int64)
        """By partition: the newest check, in CHECK_NS."""

    def see(self, seen: Seen) -> None:
        mark(seen.samples.slot, self._heard)

    def tick(self, now_ns: int, partitions: Mask) -> Sequence[Sighting]:
        check = now_ns // CHECK_NS
        due = partitions & (self._checked < check)
        if not due.any():
            return ()
        self._note()
        mine = self._rows["alive"] & due[self._rows["partition"]]
        self._wake(check, due)
        return [
            *self._returned(mine, now_ns),
            *self._missed(mine, now_ns),
            *self._let_go(mine, now_ns),
        ]

    def holds(self, one: Open) -> bool:
        metric = one.labels.get("__name__", "")
        at = self._number.get(Awaited(one.tenant, one.service, one.environment, metric))
        return at is not None and int(self._rows["since_ns"][at]) == one.started_ns

    def dump(self, partition: int) -> bytes:
        self._note()
        mine = np.flatnonzero(self._rows["alive"] & (self._rows["partition"] == partition))
        kept = sorted(
            ((self._names[at], [self._rows[name][at].item() for name in _KEPT]) for at in mine),
            key=lambda one: msgspec.json.encode(one[0]),
        )
        if not kept and not self._checked[partition]:
            return b""
        return msgspec.msgpack.encode((int(self._checked[partition]), kept))

    def load(self, partition: int, state: bytes) -> None:
        self._note()
        mine = self._rows["alive"] & (self._rows["partition"] == partition)
        for at in np.flatnonzero(mine).tolist():
            self._forget(at)
        self._checked[partition] = 0
        if not state:
            return
        checked, kept = _decoder.decode(state)
        self._checked[partition] = checked
        for who, values in kept:
            at = self._find(who, partition)
            for name, value in zip(_KEPT, values, strict=True):
                self._rows[name][at] = value

    # Below: who is who.

    def _note(self) -> None:
        """Tell rows of what was heard."""
        slots = np.flatnonzero(self._heard).astype(np.int32)
        if not len(slots):
            return
        self._heard[slots] = False
        identity = self._catalog.identity[slots, 0]
        strange = slots[self._whose[slots] != identity]
        known = self._catalog.series_of(strange) if len(strange) else ()
        for slot, series in zip(strange.tolist(), known, strict=True):
            self._row[slot] = self._awaited(series, int(self._catalog.partition[slot]))
        self._whose[slots] = identity
        rows = np.unique(self._row[slots])
        rows = rows[rows >= 0]
        self._rows["pending"][rows] = True
        self._rows["pending"][self._rows["of"][rows]] = True

    def _awaited(self, series: Series, partition: int) -> int:
        """The row of a series; -1 for one that nobody waits for."""
        metric = series.labels.get("__name__", "")
        if not series.entity.service or metric.endswith(DERIVED):
            return -1
        who = _who(series, metric)
        full = len(self._number) + 2 > MAX_AWAITED
        if full and who not in self._number:
            return -1
        return self._find(who, partition)

    def _find(self, who: Awaited, partition: int) -> int:
        at = self._number.get(who)
        if at is None:
            at = self._place(who)
            whole = at if not who.metric else self._find(who.whole, partition)
            self._rows[at] = 0
            self._rows["of"][at] = whole
            self._rows["partition"][at] = partition
            self._rows["alive"][at] = True
        return at

    def _place(self, who: Awaited) -> int:
        if self._free:
            at = self._free.pop()
            self._names[at] = who
        else:
            at = len(self._names)
            self._names.append(who)
            if at == len(self._rows):
                self._rows = np.concatenate([self._rows, np.zeros(at, ROW)])
        self._number[who] = at
        return at

    def _forget(self, at: int) -> None:
        who = self._names[at]
        if who is None:
            return
        del self._number[who]
        self._names[at] = None
        self._rows[at] = 0
        self._free.append(at)
        self._whose[self._row == at] = 0

    # Below: who is late.

    def _wake(self, check: int, due: Mask) -> None:
        """Time in which nobody listened counts for nobody."""
        missed = np.where(due & (self._checked > 0), check - self._checked, 0)
        self._checked[due] = check
        slept_ns = np.where(missed > ASLEEP, (missed - 1) * CHECK_NS, 0)
        if slept_ns.any():
            heard = self._rows["last_ns"] > 0
            self._rows["last_ns"] += np.where(heard, slept_ns[self._rows["partition"]], 0)

    def _returned(self, mine: Mask, now_ns: int) -> Iterator[Sighting]:
        """Those that were heard; learns their pauses."""
        at = np.flatnonzero(mine & self._rows["pending"])
        rows = self._rows[at]
        new = rows["last_ns"] == 0
        pause_s = np.where(new, 0.0, (now_ns - rows["last_ns"]) / NS_PER_S)
        back = at[rows["since_ns"] > 0]
        told = [self._sighting(int(one), now_ns, CLOSED) for one in back]
        weight = np.maximum(SLOWEST, 1.0 / (rows["n"] + 1.0))
        rows["usual_s"] += np.where(new, 0.0, weight * (pause_s - rows["usual_s"]))
        faded = rows["longest_s"] * np.exp(-pause_s / FADE_S)
        rows["longest_s"] = np.maximum(faded, pause_s)
        rows["n"] += ~new
        rows["first_ns"] = np.where(new, now_ns, rows["first_ns"])
        rows["last_ns"] = now_ns
        rows["since_ns"] = 0
        rows["pending"] = False
        self._rows[at] = rows
        yield from self._in_order(back, told)

    def _missed(self, mine: Mask, now_ns: int) -> Iterator[Sighting]:
        rows = self._rows
        limit_s = self._limit_s(rows)
        known = (rows["n"] >= MIN_PAUSES) & (
            rows["last_ns"] - rows["first_ns"] >= self._config.learn_s * NS_PER_S
        )
        late = mine & known & (rows["since_ns"] == 0)
        late &= now_ns - rows["last_ns"] > limit_s * NS_PER_S
        whole = rows["of"] == np.arange(len(rows))
        heard_since = rows["last_ns"][rows["of"]] > rows["last_ns"] + 2 * CHECK_NS
        at = np.flatnonzero(late & (whole | heard_since))
        rows["since_ns"][at] = rows["last_ns"][at]
        yield from self._in_order(at, [self._sighting(int(one), now_ns, OPENED) for one in at])

    def _let_go(self, mine: Mask, now_ns: int) -> Iterator[Sighting]:
        """Of who has been away for a day; a service is heard whenever a metric of it is."""
        gone = mine & (now_ns - self._rows["last_ns"] > FORGOTTEN_S * NS_PER_S)
        missed = np.flatnonzero(gone & (self._rows["since_ns"] > 0))
        yield from self._in_order(
            missed, [self._sighting(int(at), now_ns, CLOSED) for at in missed]
        )
        for at in np.flatnonzero(gone).tolist():
            self._forget(at)

    def _limit_s(self, rows: Any) -> Any:
        usual = np.maximum(USUAL * rows["usual_s"], LONGEST * rows["longest_s"])
        return np.maximum(usual, self._config.least_s)

    def _in_order(self, at: I64, told: list[Sighting]) -> list[Sighting]:
        """By name: row numbers are those of one process."""
        names = [msgspec.json.encode(self._names[int(one)]) for one in at]
        return [told[place] for place in np.argsort(np.array(names, object), kind="stable")]

    def _sighting(self, at: int, now_ns: int, change: int) -> Sighting:
        who, row = self._names[at], self._rows[at]
        assert who is not None  # noqa: S101 - only rows that are somebody's come here
        started_ns = int(row["since_ns"])
        silent_s = (now_ns - started_ns) / NS_PER_S
        return Sighting(
            tenant=TenantId(who.tenant),
            entity=Entity(service=who.service, environment=who.environment),
            labels=who.labels,
            started_ns=started_ns,
            time_ns=now_ns,
            change=change,
            severity=Severity.EVIDENCE,
            value=silent_s,
            expected_low=0.0,
            expected_high=float(self._limit_s(row)),
            p_value=1.0 / (int(row["n"]) + 1.0),
            evidence={
                "silent_s": silent_s,
                "usual_s": round(float(row["usual_s"]), 3),
                "longest_s": round(float(row["longest_s"]), 3),
            },
        )


def _who(series: Series, metric: str) -> Awaited:
    return Awaited(series.tenant, series.entity.service, series.entity.environment, metric)
