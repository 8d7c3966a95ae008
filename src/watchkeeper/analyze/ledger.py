"""What is open, by partition: so that no anomaly stays open of which nobody will tell the end.

Whoever found an anomaly tells its end, as long as it goes on watching. Where it does not, the end
is told here, with the reason: the series has been silent for so long that it left memory, or the
settings have changed, or what was watched is forgotten. Decided on ticks, from records alone: when
a series leaves memory depends on a clock, so what counts is for how long none of its samples came.
What waits for its series behind a take-over is waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
import numpy as np

from watchkeeper.analyze.absent import Absent
from watchkeeper.analyze.detectors.base import CLOSED
from watchkeeper.analyze.known_series import KnownSeries
from watchkeeper.analyze.tiers import Change, GoneChange, SeriesChange, SubjectChange, Tiers
from watchkeeper.analyze.watchers.base import Open
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import AnomalyId, Gone
from watchkeeper.model.series import I32, N_PARTITIONS, Mask, TenantId

CHECK_NS: Final = 60 * NS_PER_S
"""So often what is open is looked at."""
SILENT_NS: Final = 3600 * NS_PER_S
"""After so long without samples series leave memory."""
ASLEEP: Final = 2
"""Checks after whose absence nobody was listening here, so that nothing was silent."""
PAUSES: Final = 3.0
"""A series is silent from so many of its usual pauses on."""


class Entry(msgspec.Struct, array_like=True):
    """An open anomaly."""

    by: str
    episode: Open
    newest_ns: int = 0
    """The newest sample of its series at the last check."""
    until_ns: int = 0
    """By the ticks: when its series will have been silent for too long; 0 before a check."""


_decoder = msgspec.msgpack.Decoder(tuple[int, dict[AnomalyId, Entry]])
"""The last check, in CHECK_NS, and what is open."""
_Row = tuple[AnomalyId, Entry]


class Ledger:
    """For one thread."""

    def __init__(self, catalog: KnownSeries, tiers: Tiers, absent: Absent | None) -> None:
        self._catalog = catalog
        self._tiers = tiers
        self._absent = absent
        self._open: dict[int, dict[AnomalyId, Entry]] = {}
        self._checked = np.zeros(N_PARTITIONS, np.int64)

    def note(self, changes: Iterable[Change], began_in: int | None) -> None:
        """What was found; `began_in` is the partition that the record is of, where it is of one.

        What was open before there was a ledger is in it from its next change on.
        """
        for change in changes:
            match change:
                case SeriesChange():
                    is_over = int(change.findings.change[change.row]) == CLOSED
                case SubjectChange():
                    is_over = change.sighting.change == CLOSED
                case _:
                    continue
            open_here = self._open.setdefault(self._place(change, began_in), {})
            if is_over:
                open_here.pop(change.key, None)
            elif (key := change.key) not in open_here:
                open_here[key] = Entry(change.by, _episode(change))

    def tick(self, now_ns: int, partitions: Mask) -> list[GoneChange]:
        """What has ended without being seen to, of these partitions."""
        check = now_ns // CHECK_NS
        told: list[GoneChange] = []
        for partition in np.flatnonzero(
            partitions[:N_PARTITIONS] & (self._checked < check)
        ).tolist():
            n_missed = check - int(self._checked[partition])
            self._checked[partition] = check
            open_here = self._open.get(partition, {})
            rows = sorted(row for row in open_here.items() if not self._waits(partition, row[1]))
            if n_missed > ASLEEP:
                _sleep((n_missed - 1) * CHECK_NS, open_here.values())
            for by in sorted({entry.by for _, entry in rows}):
                told += self._ended(by, [row for row in rows if row[1].by == by], now_ns)
            for one in told:
                open_here.pop(one.key, None)
        return told

    def dump(self, partition: int) -> bytes:
        kept = dict(sorted(self._open.get(partition, {}).items()))
        if not kept and not self._checked[partition]:
            return b""
        return msgspec.msgpack.encode((int(self._checked[partition]), kept))

    def load(self, partition: int, state: bytes) -> None:
        """Go on from here; with nothing to go on from, the partition is forgotten."""
        self._open.pop(partition, None)
        self._checked[partition] = 0
        if state:
            self._checked[partition], self._open[partition] = _decoder.decode(state)

    def _ended(self, by: str, rows: Sequence[_Row], now_ns: int) -> Iterator[GoneChange]:
        """Of what one detector or watcher found."""
        slots = self._slots([entry for _, entry in rows])
        self._listen(rows, slots, now_ns)
        reasons = self._reasons(by, [entry for _, entry in rows], slots, now_ns)
        left = [at for at, why in enumerate(reasons) if why in (Gone.SILENT, Gone.SETTINGS)]
        self._tiers.let_go(by, [rows[at][1].episode for at in left], slots[left])
        for (key, entry), why in zip(rows, reasons, strict=True):
            if why is not None:
                one = entry.episode
                yield GoneChange(by, TenantId(one.tenant), key, why, now_ns, one.service)

    def _reasons(
        self, by: str, entries: Sequence[Entry], slots: I32, now_ns: int
    ) -> list[Gone | None]:
        """Why each of these has ended; None of what goes on."""
        asked = self._tiers.asks(by, slots)
        known = [
            at
            for at, entry in enumerate(entries)
            if asked[at] and (slots[at] >= 0 or not entry.episode.series)
        ]
        held: Mask = np.ones(len(entries), np.bool_)
        if known:
            held[known] = self._tiers.holds(by, [entries[at].episode for at in known], slots[known])
        found: list[Gone | None] = []
        for at, entry in enumerate(entries):
            if not asked[at]:
                found.append(Gone.SETTINGS)
            elif not held[at]:
                found.append(Gone.UNWATCHED)
            else:
                is_silent = bool(entry.episode.series) and entry.until_ns <= now_ns
                found.append(Gone.SILENT if is_silent else None)
        return found

    def _listen(self, rows: Sequence[_Row], slots: I32, now_ns: int) -> None:
        """Note which series were heard since the last check, and how long each is waited for."""
        heard = zip(*(column.tolist() for column in self._tiers.heard(slots)), strict=True)
        for (_, entry), slot, (newest_ns, pause_s) in zip(rows, slots.tolist(), heard, strict=True):
            if slot >= 0 and newest_ns != entry.newest_ns:
                entry.newest_ns, entry.until_ns = newest_ns, 0
            if not entry.until_ns:
                wait_ns = round(PAUSES * pause_s * NS_PER_S) if slot >= 0 else 0
                entry.until_ns = now_ns + max(SILENT_NS, wait_ns)

    def _slots(self, entries: Sequence[Entry]) -> I32:
        """Where their series are; -1 of one that is not known here, and of a service."""
        slots: I32 = np.full(len(entries), -1, np.int32)
        of = [at for at, entry in enumerate(entries) if entry.episode.series]
        if of:
            names = b"".join(bytes.fromhex(entries[at].episode.series) for at in of)
            slots[of] = self._catalog.lookup(np.frombuffer(names, np.uint64).reshape(-1, 2))
        return slots

    def _waits(self, partition: int, entry: Entry) -> bool:
        """Whether what was learned of its series is still to be taken on."""
        if self._absent is None or not entry.episode.series:
            return False
        return self._absent.waits(partition, bytes.fromhex(entry.episode.series))

    def _place(self, change: SeriesChange | SubjectChange, began_in: int | None) -> int:
        if began_in is not None:
            return began_in
        if isinstance(change, SeriesChange):
            return int(self._catalog.partition[int(change.findings.slot[change.row])])
        return self._catalog.partition_of(change.tenant, change.service)


def _episode(change: SeriesChange | SubjectChange) -> Open:
    if isinstance(change, SeriesChange):
        entity, series = change.series.entity, change.series.identity.hex()
        started_ns = int(change.findings.started_ns[change.row])
        return Open(change.tenant, entity.service, entity.environment, {}, series, started_ns)
    said = change.sighting
    return Open(
        change.tenant,
        said.entity.service,
        said.entity.environment,
        said.labels,
        said.series,
        said.started_ns,
    )


def _sleep(slept_ns: int, entries: Iterable[Entry]) -> None:
    """Time in which nobody listened counts for nobody."""
    for entry in entries:
        if entry.until_ns:
            entry.until_ns += slept_ns
