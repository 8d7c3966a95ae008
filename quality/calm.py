"""Seven days of a shop in which nothing is broken: whatever pages is a false alarm.

Nobody waits seven days. Real telemetry of the real shop is recorded while its day is compressed,
and seven days of a clock are laid out of its minutes: every value, trace and line of them was sent
by a running shop, about as many buyers a second as at that hour. They pass the stages that judge in
a server, in the order of its log, as fast as these can. Then a service is silent for ten minutes,
which has to page: a watch that sleeps is calm as well.

The folder holds such a recording, or gets one first.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from bench import client, evaluate, peers
from bench.peers import Server
from bench.report import print_table, progress
from quality.felt_minutes import calm
from quality.recorded_minutes import MINUTE_NS, Recorded, cut
from quality.shop_days import DAY_MINUTES, Judging, Laying, drawn, played
from quality.suite import Measured, Options, Unmeasurable
from shop.load import rate
from watchkeeper.clock import NS_PER_S
from watchkeeper.config.loading import load
from watchkeeper.errors import WatchkeeperError
from watchkeeper.lake.recording.recording import Recording
from watchkeeper.model import wire
from watchkeeper.model.anomaly import Anomaly, Severity
from watchkeeper.model.series import Mask
from watchkeeper.model.severity import SpanKind
from watchkeeper.model.signal import LogBatch, Logged, NewSeries, SampleBatch, SpanBatch, take
from watchkeeper.store.installation import installation_key

TARGETS: Final = {"calm_days_pages": ("<=", 0), "calm_days": (">=", 7), "control_pages": (">=", 1)}
KEPT: Final = ()
"""Machines differ, and so do recordings."""

DAYS: Final = 7
START_NS: Final = 1_767_571_200 * NS_PER_S
"""A Monday at 00:00."""
CONTROL_MINUTES: Final = 10
COMPRESSED_S: Final = 1200.0
"""How long the shop's day is while it is recorded."""
LEAVE_S: Final = 180.0
"""A shop that has just opened is another."""
RECORD_S: Final = LEAVE_S + 2 * COMPRESSED_S + 120.0
CALM_SHARE: Final = 0.75
"""Of the recorded minutes; a shop that is felt more often is no calm one."""
QUICK_RECORD_S: Final = LEAVE_S + 240.0
QUICK_MINUTES: Final = 30
TOLD_MINUTES: Final = 180
FILE: Final = "calm.json"


class Meta(msgspec.Struct, frozen=True):
    """What a recording does not say of itself."""

    day_s: float


def run(options: Options) -> Measured:
    if options.data is None:
        raise Unmeasurable(
            "calm: name a folder for the recording, which is made if it is not there"
        )
    if not (options.data / FILE).exists():
        record(options.data, QUICK_RECORD_S if options.quick else RECORD_S)
    return asyncio.run(judged(options.data, _minutes(options), options.seed))


def record(folder: Path, lasts_s: float) -> None:
    """Let a server and a shop run, as anybody runs them; what the server logs is the recording."""
    progress(f"recording a shop for {lasts_s / 60:.0f} minutes, into {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    with Server(peers.watchkeeper(folder), folder, core=None) as server:
        url = f"http://{client.HOST}:{server.wait_ready().port}"
        with evaluate.shop(folder / "shop", url, "--day", f"{COMPRESSED_S:g}"):
            time.sleep(lasts_s)
    (folder / FILE).write_bytes(msgspec.json.encode(Meta(COMPRESSED_S)))


def _minutes(options: Options) -> int:
    return QUICK_MINUTES if options.quick else DAYS * DAY_MINUTES


async def judged(folder: Path, n_minutes: int, seed: int) -> Measured:
    """Days out of a recording, what was told of them, and what of a failure behind them."""
    began_s = time.process_time()
    whole = read(folder)
    recorded = unfelt(whole)
    chance = np.random.default_rng(seed)
    numbers = drawn(loads(recorded, folder), wanted(n_minutes + CONTROL_MINUTES), chance)
    config = load(None, environment={}, flags={"data_dir": (str(folder / "data"), "DATA")}).config
    judging = Judging(config, installation_key(config.data_dir), recorded.series)
    laying = Laying(recorded, chance)
    await judging.begin()
    for begin in range(0, n_minutes, TOLD_MINUTES):
        some = numbers[begin : min(n_minutes, begin + TOLD_MINUTES)]
        await played(judging, laying, (START_NS + begin * MINUTE_NS, some))
        days = (begin + len(some)) / DAY_MINUTES
        progress(f"{days:.2f} days, {len(pages(await judging.found()))} pages")
    found = await judging.found()
    broken = busiest(recorded)
    slots = slots_of(recorded.series, broken)
    since_ns = START_NS + n_minutes * MINUTE_NS
    await played(
        judging,
        laying,
        (since_ns, numbers[n_minutes:]),
        change=lambda record: without(record, broken, slots),
    )
    behind = [one for one in await judging.found() if one.started_ns >= since_ns]
    judging.end()
    told(found)
    return {
        "calm_days_pages": float(len(pages(found))),
        "calm_days": n_minutes / DAY_MINUTES,
        "control_pages": float(len([one for one in pages(behind) if _speaks_of(one, broken)])),
        "evidence_per_day": _per_day(found, Severity.EVIDENCE, n_minutes),
        "info_per_day": _per_day(found, Severity.INFO, n_minutes),
        "recorded_minutes": float(len(recorded.minutes)),
        "felt_minutes": float(len(whole.minutes) - len(recorded.minutes)),
        "spans": float(sum(recorded.minutes[n].n_spans for n in numbers[:n_minutes].tolist())),
        "samples": float(sum(recorded.minutes[n].n_samples for n in numbers[:n_minutes].tolist())),
        "series": float(sum(map(len, recorded.series))),
        "cpu_s": time.process_time() - began_s,
    }, [f"seed {seed}; behind the calm {broken} is silent for {CONTROL_MINUTES} min"]


def read(folder: Path) -> Recorded:
    try:
        return cut(_records(folder), leave_s=LEAVE_S)
    except WatchkeeperError as error:
        raise Unmeasurable(f"calm: {error}") from error


def unfelt(whole: Recorded) -> Recorded:
    """Without the minutes in which users felt something. Raises Unmeasurable for many of them."""
    minutes, n = calm(whole.minutes), len(whole.minutes)
    if len(minutes) < CALM_SHARE * n:
        raise Unmeasurable(
            f"calm: in {n - len(minutes)} of {n} recorded minutes users felt something; record on "
            "a machine that does nothing else"
        )
    return replace(whole, minutes=minutes)


def _records(folder: Path) -> Iterator[Logged]:
    recording = Recording(folder / "data" / "log")
    if recording.first != 1 or not recording.last:
        raise Unmeasurable(f"calm: the recording in {folder} has no beginning; record anew")
    for _, payload in recording.read(0):
        yield wire.decode(payload)


def loads(recorded: Recorded, folder: Path) -> Sequence[float]:
    """How many buyers came, by the shop's own clock; not how many there happened to be."""
    meta = msgspec.json.decode((folder / FILE).read_bytes(), type=Meta)
    middles_s = [(one.began_ns + MINUTE_NS // 2) / NS_PER_S for one in recorded.minutes]
    return [rate(1.0, at_s / meta.day_s % 1.0) for at_s in middles_s]


def wanted(n_minutes: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Buyers by minute of the days that are laid."""
    return np.array([rate(1.0, (n + 0.5) / DAY_MINUTES % 1.0) for n in range(n_minutes)])


def busiest(recorded: Recorded) -> str:
    """The service that answers most."""
    counts: Counter[str] = Counter()
    for minute in recorded.minutes[:1]:
        for second in minute.seconds.values():
            if second.spans is not None:
                served = second.spans.origin[second.spans.kind == SpanKind.SERVER]
                names = [one.entity.service for one in second.spans.origins]
                counts.update(names[n] for n in served.tolist())
    return counts.most_common(1)[0][0]


def without(record: Logged, service: str, slots: Mask) -> Logged:
    """The same, but that nothing comes of a service, whose series have these slots."""
    if isinstance(record, SampleBatch):
        rows = np.flatnonzero(~slots[record.slot])
        return SampleBatch(
            record.tenant, record.slot[rows], record.time_ns[rows], record.value[rows]
        )
    if isinstance(record, SpanBatch | LogBatch):
        others = np.array([one.entity.service != service for one in record.origins], np.bool_)
        return take(record, np.flatnonzero(others[record.origin]))
    return record


def slots_of(series: Sequence[NewSeries], service: str) -> Mask:
    """By slot: whether its series speaks of a service."""
    found: Mask = np.zeros(1 + max(int(one.slot.max()) for one in series), np.bool_)
    for one in series:
        own = np.array([entity[0] == service for entity in one.entities], np.bool_)
        found[one.slot] = own[one.entity]
    return found


def pages(found: Sequence[Anomaly]) -> list[Anomaly]:
    return [one for one in found if one.severity is Severity.PAGE]


def _per_day(found: Sequence[Anomaly], severity: Severity, n_minutes: int) -> float:
    return sum(one.severity is severity for one in found) * DAY_MINUTES / n_minutes


def _speaks_of(one: Anomaly, service: str) -> bool:
    return service in (one.entity.service, *one.labels.values())


def told(found: Sequence[Anomaly]) -> None:
    """What was found, by who found it; of pages each."""
    counts = Counter((str(one.severity), one.detector) for one in found)
    print_table(
        ("severity", "found by", "anomalies"),
        [(*key, str(n)) for key, n in sorted(counts.items())],
    )
    for one in pages(found):
        at = (one.started_ns - START_NS) / MINUTE_NS
        print(
            f"day {at // DAY_MINUTES:.0f} {at % DAY_MINUTES / 60:.2f} h: {one.entity.service} "
            f"{dict(one.labels)} {one.detector} {one.value:g} ({one.expected_low:g} to "
            f"{one.expected_high:g}), p {one.p_value:.2g}"
        )
