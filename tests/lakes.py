"""What tests of a lake share: a catalog in a dictionary, and a lake that is right and slow."""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests import make
from watchkeeper import plugins
from watchkeeper.lake.base import Fold, Frame, SampleQuery
from watchkeeper.lake.files import Files
from watchkeeper.model.series import DEFAULT_TENANT, I32, Matcher, MatchOp, TenantId
from watchkeeper.model.signal import SampleBatch

S = make.NS_PER_S
MINUTE = 60 * S
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOON = make.START_NS // DAY * DAY + 12 * HOUR
"""When lakes' tests happen: in the middle of a window, on a whole five minutes."""
CELL = 5 * MINUTE
STALE = struct.unpack("<d", (0x7FF0000000000002).to_bytes(8, "little"))[0]

Labels = Mapping[str, str]


class DictCatalog:
    """A catalog as lakes see it: slots, identities and labels, in dictionaries."""

    def __init__(self, n_slots: int = 4096) -> None:
        self.identity = np.zeros((n_slots, 2), np.uint64)
        self.n_persisted = 0
        self._labels: dict[int, tuple[TenantId, Labels]] = {}
        self._gone: dict[bytes, tuple[TenantId, Labels]] = {}

    def add(self, labels: Labels, *, slot: int | None = None, tenant: str = DEFAULT_TENANT) -> int:
        """A series, in the next slot unless one is named; who was there has left memory."""
        slot = len(self._labels) if slot is None else slot
        if slot in self._labels:
            self.forget(slot)
        name = repr((tenant, sorted(labels.items()))).encode()
        self.identity[slot] = np.frombuffer(hashlib.md5(name).digest(), np.uint64)
        self._labels[slot] = (TenantId(tenant), dict(labels))
        self._gone.pop(self.identity[slot].tobytes(), None)
        return slot

    def forget(self, slot: int) -> None:
        self._gone[self.identity[slot].tobytes()] = self._labels.pop(slot)

    def select(self, tenant: TenantId, matchers: Sequence[Matcher]) -> I32:
        found = [
            s for s, (t, labels) in self._labels.items() if t == tenant and fit(labels, matchers)
        ]
        return np.array(found, np.int32)

    def select_history(
        self, tenant: TenantId, matchers: Sequence[Matcher], since_ns: int
    ) -> list[tuple[bytes, Labels]]:
        return [
            (identity, labels)
            for identity, (of, labels) in self._gone.items()
            if of == tenant and fit(labels, matchers)
        ]

    def labels(self, slots: I32) -> list[Labels]:
        return [self._labels[slot][1] for slot in slots.tolist()]

    def persist(self, now_ns: int) -> None:
        self.n_persisted += 1


def fit(labels: Labels, matchers: Sequence[Matcher]) -> bool:
    def one(matcher: Matcher) -> bool:
        value = labels.get(matcher.name, "")
        if matcher.op in (MatchOp.EQUAL, MatchOp.NOT_EQUAL):
            return (value == matcher.value) == (matcher.op is MatchOp.EQUAL)
        return bool(re.fullmatch(matcher.value, value)) == (matcher.op is MatchOp.REGEX)

    return all(map(one, matchers))


def fleet(n: int, n_slots: int = 4096) -> DictCatalog:
    """Series m{host="0".."n-1", service="a"|"b"|"c"} in slots 0..n-1."""
    catalog = DictCatalog(n_slots)
    for i in range(n):
        catalog.add(make.labels("m", host=str(i), service="abc"[i % 3]))
    return catalog


class Unsynced(Files):
    """Files for tests that lose no power: syncing takes most of their time."""

    def reserve(self, fd: int, size_bytes: int) -> None:
        pass

    def sync(self, fd: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


def build(name: str, directory: Path, catalog: Any, *, files: Any = None, **settings: Any) -> Any:
    """A lake of the table; small unless settings say otherwise."""
    usual = {"head_rows": 64, "compact_fan_in": 4, "compact_rows": 1 << 20}
    spec = {"use": name, **usual, **settings}
    ports = {"directory": directory, "catalog": catalog, "files": files or Unsynced()}
    return plugins.build("lake", spec, **ports)


def ask(
    start_ns: int, end_ns: int, *, where: Mapping[str, str] | None = None, **fields: Any
) -> SampleQuery:
    """All series `m` of the usual tenant, unless told otherwise."""
    chosen = {"__name__": "m"} if where is None else where
    matchers = tuple(Matcher(name, MatchOp.EQUAL, value) for name, value in chosen.items())
    tenant = fields.pop("tenant", DEFAULT_TENANT)
    return SampleQuery(tenant, matchers, start_ns, end_ns, **fields)


Answer = dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]
"""Labels, sorted -> (time, value)."""


def read(frame: Frame) -> Answer:
    """A frame as a dictionary; it must be sorted, and every series must have rows."""
    assert frame.row.dtype == np.int32
    assert (np.diff(frame.row) >= 0).all()
    assert set(frame.row.tolist()) == set(range(len(frame.labels)))
    keys = [tuple(sorted(labels.items())) for labels in frame.labels]
    assert keys == sorted(keys)
    answer: Answer = {key: [] for key in keys}
    for row, time_ns, value in zip(
        frame.row.tolist(), frame.time_ns.tolist(), frame.value.tolist(), strict=True
    ):
        answer[keys[row]].append((time_ns, value))
    assert all(points == sorted(points, key=lambda p: p[0]) for points in answer.values())
    return answer


def bits(answer: Answer) -> dict[Any, list[tuple[int, bytes]]]:
    """For comparing: NaN equals NaN where all of its bits do."""
    return {
        key: [(time_ns, struct.pack("<d", value)) for time_ns, value in points]
        for key, points in answer.items()
    }


class Reference:
    """What a lake must answer: every sample in a list, every answer by the definition."""

    def __init__(self, catalog: DictCatalog) -> None:
        self._catalog = catalog
        self._samples: dict[bytes, dict[int, float]] = defaultdict(dict)
        self._labels: dict[bytes, tuple[str, Labels]] = {}

    def append(self, batch: SampleBatch) -> None:
        for slot, time_ns, value in zip(
            batch.slot.tolist(), batch.time_ns.tolist(), batch.value, strict=True
        ):
            identity = self._catalog.identity[slot].tobytes()
            tenant, labels = self._catalog._labels[slot]  # noqa: SLF001 (its double's)
            self._labels[identity] = (tenant, labels)
            self._samples[identity].setdefault(time_ns, value)

    def query(self, query: SampleQuery) -> Answer:
        found: Answer = {}
        for identity, (tenant, labels) in self._labels.items():
            if tenant == query.tenant and fit(labels, query.matchers):
                points = self._points(sorted(self._samples[identity].items()), query)
                if points:
                    found[tuple(sorted(labels.items()))] = points
        if query.across is None:
            return dict(sorted(found.items()))
        return dict(sorted(self._across(found, query).items()))

    def _points(
        self, samples: list[tuple[int, float]], query: SampleQuery
    ) -> list[tuple[int, float]]:
        if query.step_ns is None:
            return [(t, v) for t, v in samples if query.start_ns <= t < query.end_ns]
        real = [(t, v) for t, v in samples if not math.isnan(v) and t < query.end_ns]
        steps: dict[int, list[int]] = defaultdict(list)
        for i, (t, _) in enumerate(real):
            if t >= query.start_ns:
                steps[t // query.step_ns * query.step_ns].append(i)
        folded = ((t, self._fold(real, rows, query)) for t, rows in sorted(steps.items()))
        return [(t, value) for t, value in folded if value is not None]

    def _fold(
        self, real: list[tuple[int, float]], rows: list[int], query: SampleQuery
    ) -> float | None:
        if query.over_time is Fold.RATE:
            return self._rate(real, rows, max(CELL, query.step_ns or 0))
        return fold([real[i][1] for i in rows], query.over_time)

    def _rate(self, real: list[tuple[int, float]], rows: list[int], gap_ns: int) -> float | None:
        grown, elapsed_ns = 0.0, 0
        for i in rows:
            if i == 0 or real[i][0] - real[i - 1][0] > gap_ns:
                continue
            (before_ns, before), (now_ns, now) = real[i - 1], real[i]
            grown += now - before if now >= before else now
            elapsed_ns += now_ns - before_ns
        return grown / (elapsed_ns / 1e9) if elapsed_ns else None

    def _across(self, found: Answer, query: SampleQuery) -> Answer:
        groups: dict[Any, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        for key, points in found.items():
            labels = dict(key)
            group = tuple(sorted((name, labels[name]) for name in query.by if name in labels))
            for time_ns, value in points:
                groups[group][time_ns].append(value)
        assert query.across is not None
        return {
            group: [(t, fold(values, query.across)) for t, values in sorted(steps.items())]
            for group, steps in groups.items()
        }


def fold(values: list[float], how: Fold) -> float:
    match how:
        case Fold.AVG:
            return math.fsum(values) / len(values)
        case Fold.SUM:
            return math.fsum(values)
        case Fold.MIN:
            return min(values)
        case Fold.MAX:
            return max(values)
        case Fold.COUNT:
            return float(len(values))
        case _:
            return values[-1]


def assert_close(got: Answer, want: Answer) -> None:
    """Series and times equal; values up to the rounding of totals."""
    assert list(got) == list(want)
    for key, points in want.items():
        assert [t for t, _ in got[key]] == [t for t, _ in points]
        np.testing.assert_allclose(
            [v for _, v in got[key]], [v for _, v in points], rtol=1e-9, atol=1e-9
        )


def scrapes(
    n_series: int, n: int, *, start_ns: int = NOON, every_ns: int = 15 * S, seed: int = 1
) -> Iterator[SampleBatch]:
    """One batch per scrape: gauges with two decimals, every fourth a counter that resets."""
    rng = np.random.default_rng(seed)
    slots = np.arange(n_series)
    level, counted = rng.uniform(1, 100, n_series), np.zeros(n_series)
    for i in range(n):
        level += rng.normal(size=n_series)
        counted = np.where(rng.random(n_series) < 0.01, 0, counted + rng.integers(0, 9, n_series))
        value = np.where(slots % 4 == 1, counted, np.round(level, 2))
        yield SampleBatch(
            DEFAULT_TENANT,
            slots.astype(np.int32),
            start_ns + i * every_ns + slots * 7_000_000,
            value,
        )
