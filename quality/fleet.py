"""False pages of a fleet: 20,000 mixed series in which nothing happens, in services of twenty, for
seven days after seven days of learning; and whether the same settings page when something does.

The null fleet sends once a minute, everything through the tiers and the watcher of symptoms as the
product runs them. Incidents (errors five times, latency twice, traffic down by 80 %, silence) come
to a smaller fleet that sends every 15 s, judged as strictly as if it had as many services.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.report import print_table, progress
from quality import services
from quality.services import Incident, Service
from quality.suite import Measured, Options
from quality.tiers import START_NS
from watchkeeper.analyze.detectors.base import EVIDENCE, OPENED, Findings, Points
from watchkeeper.analyze.detectors.basic import Basic
from watchkeeper.analyze.detectors.dials import plain
from watchkeeper.analyze.detectors.fk import FK
from watchkeeper.analyze.watchers.base import Seen, Sighting
from watchkeeper.analyze.watchers.budget import BudgetConfig
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import (
    DEFAULT_TENANT,
    I32,
    N_PARTITIONS,
    U8,
    U64,
    Entity,
    Kind,
    Series,
    SeriesId,
)

TARGETS: Final = {"false_pages_per_day": ("<=", 1.0), "detected_share": (">=", 0.9)}
KEPT: Final = ()
"""Made-up series have targets; draws differ by seed, so there is nothing to remember."""

DAY_NS: Final = 86_400 * NS_PER_S
LEARNING_DAYS, COUNTED_DAYS = 7, 7
N_SERIES, N_QUICK = 20_000, 400
N_STRUCK, N_STRUCK_QUICK = 80, 8
STRUCK_STEP_S: Final = 15.0
STRUCK_DAYS: Final = 2
STRUCK_FOR_S: Final = 600.0
GROUP: Final = 16
N_OF_PARTS: Final = services.N_SERIES - services.N_PLAIN
SOON_S: Final = 60.0
Episode = tuple[str, str, int]
"""Service, symptom, and when it began."""


@dataclass(slots=True)
class Catalog:
    """Series of made-up services, as detection knows them."""

    n_services: int
    kind: U8 = field(init=False)
    partition: U8 = field(init=False)
    identity: U64 = field(init=False)
    labels: list[Mapping[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        one = np.full(services.N_SERIES, Kind.GAUGE, np.uint8)
        one[:2], one[2 : services.COUNTED.stop] = Kind.COUNTER, Kind.UNSCORED
        n = self.n_services * services.N_SERIES
        self.kind = np.tile(one, self.n_services)
        of = np.arange(self.n_services) % N_PARTITIONS
        self.partition = np.repeat(of, services.N_SERIES).astype(np.uint8)
        self.identity = np.stack([np.arange(1, n + 1), np.zeros(n)], 1).astype(np.uint64)

    def series_of(self, slots: I32) -> list[Series]:
        return [self.series(slot) for slot in slots.tolist()]

    def series(self, slot: int) -> Series:
        name = f"service-{slot // services.N_SERIES}"
        labels = services.labels(name)[slot % services.N_SERIES]
        identity = SeriesId(self.identity[slot].tobytes())
        kind = Kind(int(self.kind[slot]))
        return Series(identity, DEFAULT_TENANT, labels, kind, Entity(service=name))

    def lookup(self, identity: U64) -> I32:
        return (identity[:, 0].astype(np.int64) - 1).astype(np.int32)


class Product:
    """The tiers and the watcher over a fleet, in the order in which the product runs them."""

    def __init__(self, catalog: Catalog, config: Symptoms.Config, *, with_tiers: bool) -> None:
        n = len(catalog.kind)
        self._catalog = catalog
        self._basic, self._fk = Basic(capacity=n), FK(capacity=n)
        self._dials = plain(n)
        self._with_tiers = with_tiers
        self._symptoms = Symptoms(config, catalog=catalog)
        self._all = np.ones(N_PARTITIONS + 192, np.bool_)
        self.n_evidence = 0
        self.counted_from_ns = 0
        self.seconds: Counter[str] = Counter()

    def see(self, points: Points) -> None:
        began = time.process_time()
        found: list[tuple[str, Findings]] = []
        cells = points
        kind = self._catalog.kind
        if self._with_tiers:
            swept = self._basic.sweep(points, kind, self._dials)
            cells = swept.cells.points
            found = [("basic", swept.findings), ("fk", self._fk.step(cells, kind, self._dials))]
        self.seconds["tiers"] += time.process_time() - began
        began = time.process_time()
        self._symptoms.see(Seen(DEFAULT_TENANT, points, cells, found))
        self.seconds["symptoms"] += time.process_time() - began
        for _, said in found:
            fresh = (said.change == OPENED) & (said.severity >= EVIDENCE)
            self.n_evidence += int((fresh & (said.time_ns >= self.counted_from_ns)).sum())

    def tick(self, now_ns: int) -> Sequence[Sighting]:
        began = time.process_time()
        told = self._symptoms.tick(now_ns, self._all)
        self.seconds["symptoms"] += time.process_time() - began
        return told


def run(options: Options) -> Measured:
    """Null fleet first, then the struck one."""
    n_series = N_QUICK if options.quick else options.n_series or N_SERIES
    n_services = max(1, n_series // services.N_SERIES)
    days = (2, 1) if options.quick else (LEARNING_DAYS, COUNTED_DAYS)
    figures, by_symptom = null_fleet(n_services, days, options.seed)
    print_table(("symptom", "evidence a day", "pages a day"), by_symptom)
    n_struck = N_STRUCK_QUICK if options.quick else N_STRUCK
    found, by_kind = struck_fleet(n_struck, n_services, options.seed)
    print_table(("incident", "services", "within 10 min", "within 60 s", "median s"), by_kind)
    return {**figures, **found}, ["seven days of learning are not counted"]


def null_fleet(
    n_services: int, days: tuple[int, int], seed: int
) -> tuple[dict[str, float], list[tuple[str, str, str]]]:
    """Run it, and count what it raises in the days after learning."""
    learning, counted = days
    progress(f"{n_services * services.N_SERIES} series, {learning} + {counted} days at 60 s")
    product = Product(Catalog(n_services), Symptoms.Config(), with_tiers=True)
    product.counted_from_ns = START_NS + learning * DAY_NS
    evidence: Counter[str] = Counter()
    pages: Counter[str] = Counter()
    paged: set[Episode] = set()
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        fleet = _written(Path(folder) / "values", n_services, learning + counted, seed)
        progress(f"made in {time.process_time() - began:.0f} s")
        for now_ns, points in _minutes(fleet):
            product.see(points)
            for one in product.tick(now_ns):
                if now_ns < product.counted_from_ns or one.change == 3:
                    continue
                evidence[one.labels["symptom"]] += one.change == OPENED
                pages[one.labels["symptom"]] += _is_new_page(one, paged)
    total = time.process_time() - began
    progress(f"CPU {total:.0f} s: {dict(product.seconds)}")
    rows = [
        (name, f"{evidence[name] / counted:.2f}", f"{pages[name] / counted:.2f}")
        for name in sorted(evidence | pages)
    ]
    return {
        "false_pages_per_day": sum(pages.values()) / counted,
        "symptoms_per_day": sum(evidence.values()) / counted,
        "series_evidence_per_day": product.n_evidence / counted,
        "n_series": float(n_services * services.N_SERIES),
        "cpu_s": total,
    }, rows


def _is_new_page(one: Sighting, paged: set[Episode]) -> bool:
    """Whether a sighting turned its episode into a page; it is added to those that did."""
    key = (one.entity.service, one.labels["symptom"], one.started_ns)
    if one.severity is not Severity.PAGE or key in paged:
        return False
    paged.add(key)
    return True


def struck_fleet(
    n_services: int, judged_as: int, seed: int
) -> tuple[dict[str, float], list[tuple[str, str, str, str, str]]]:
    """Each service has one incident, at its own time; how soon it pages. In groups, because an
    installation in which everything fails in one night pages by another count."""
    progress(f"{n_services} services at {STRUCK_STEP_S:g} s, {STRUCK_DAYS} days, one incident each")
    kinds = [services.KINDS[k % len(services.KINDS)] for k in range(n_services)]
    took: list[float] = []
    for first in range(0, n_services, GROUP):
        took += _took(kinds[first : first + GROUP], seed * 10_000 + 5_000 + first, judged_as)
    rows = []
    for kind in services.KINDS:
        own = np.array([one for one, of in zip(took, kinds, strict=True) if of == kind])
        shares = (f"{(own <= STRUCK_FOR_S).mean():.2f}", f"{(own <= SOON_S).mean():.2f}")
        rows.append((kind, str(len(own)), *shares, f"{np.median(own):.0f}"))
    return {
        "detected_share": float((np.array(took) <= STRUCK_FOR_S).mean()),
        "detected_within_60s_share": float((np.array(took) <= SOON_S).mean()),
    }, rows


def _took(kinds: Sequence[str], seed: int, judged_as: int) -> list[float]:
    """Seconds to the page of each service's incident; infinity for none."""
    n = round(STRUCK_DAYS * 86_400 / STRUCK_STEP_S)
    last = round(STRUCK_FOR_S / STRUCK_STEP_S)
    first = [n - last - 80 * k - 1 for k in range(len(kinds))]
    fleet = [
        services.make(
            seed + k, step_s=STRUCK_STEP_S, n=n, incident=Incident(kind, first[k], first[k] + last)
        )
        for k, kind in enumerate(kinds)
    ]
    config = Symptoms.Config(budget=BudgetConfig(least_services=judged_as))
    product = Product(Catalog(len(kinds)), config, with_tiers=False)
    took = [np.inf] * len(kinds)
    for now_ns, told in _played(product, fleet, n):
        for one in (said for said in told if said.entity.service):
            k = int(one.entity.service.split("-")[1])
            began_ns = START_NS + round(first[k] * STRUCK_STEP_S) * NS_PER_S
            if one.severity is Severity.PAGE and now_ns >= began_ns:
                took[k] = min(took[k], (now_ns - began_ns) / NS_PER_S)
    return took


def _played(
    product: Product, fleet: Sequence[Service], n: int
) -> Iterator[tuple[int, Sequence[Sighting]]]:
    """Samples of all, with a tick every five seconds."""
    step_ns = round(STRUCK_STEP_S * NS_PER_S)
    total = np.zeros((len(fleet), services.N_SERIES))
    slot = np.arange(total.size, dtype=np.int32)
    offset = np.repeat(np.arange(len(fleet)) * 7 % 15, services.N_SERIES) * NS_PER_S
    for k in range(n):
        values = np.array([one.values[:, k] for one in fleet])
        resets = np.array([bool(one.resets[k]) for one in fleet])
        current = _advanced(total, values, resets).ravel()
        sent = ~np.isnan(current)
        sent &= np.tile(np.arange(services.N_SERIES) < N_OF_PARTS, len(fleet))
        for third in range(3):
            from_ns = third * 5 * NS_PER_S
            now = sent & (offset >= from_ns) & (offset < from_ns + 5 * NS_PER_S)
            at = START_NS + k * step_ns
            product.see(Points(slot[now], at + offset[now], current[now]))
            now_ns = at + from_ns + 5 * NS_PER_S
            yield now_ns, product.tick(now_ns)


def _advanced(total: Any, values: Any, resets: Any) -> Any:
    """What is sent: gauges as they are, of counters the sums so far, from 0 after a deploy."""
    counted = services.COUNTED
    total[resets, counted] = 0.0
    total[:, counted] += np.nan_to_num(values[:, counted])
    sent = values.copy()
    sent[:, counted] = np.where(np.isnan(values[:, counted]), np.nan, total[:, counted])
    return sent


@dataclass(frozen=True, slots=True)
class _Written:
    """A fleet on disk, by day, so that memory does not grow with its length."""

    days: Any
    """(day, service, series, minute) in single precision; of counters what was added."""
    resets: Any


def _written(path: Path, n_services: int, n_days: int, seed: int) -> _Written:
    shape = (n_days, n_services, services.N_SERIES, 1_440)
    days = np.memmap(path, np.float32, "w+", shape=shape)
    resets = np.zeros((n_days * 1_440, n_services), np.bool_)
    for k in range(n_services):
        one = services.make(seed * 100_000 + k, step_s=60.0, n=n_days * 1_440)
        resets[:, k] = one.resets
        split = one.values.reshape(services.N_SERIES, n_days, 1_440)
        days[:, k] = split.transpose(1, 0, 2)
        if k % 200 == 199:
            progress(f"{k + 1} services made")
    return _Written(days, resets)


def _minutes(fleet: _Written) -> Iterator[tuple[int, Points]]:
    """(when it is over, what was sent) of each minute."""
    n_days, n_services = fleet.days.shape[:2]
    total = np.zeros((n_services, services.N_SERIES))
    slot = np.arange(total.size, dtype=np.int32)
    offset = np.repeat(np.arange(n_services) * 7 % 60, services.N_SERIES) * NS_PER_S
    for day in range(n_days):
        values = np.ascontiguousarray(fleet.days[day].transpose(2, 0, 1)).astype(np.float64)
        for minute in range(1_440):
            k = day * 1_440 + minute
            sent = _advanced(total, values[minute], fleet.resets[k])
            at = START_NS + k * 60 * NS_PER_S
            yield at + 60 * NS_PER_S, Points(slot, at + offset, sent.ravel())
        if n_services >= 50:
            progress(f"day {day + 1} of {n_days}")
