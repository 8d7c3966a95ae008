"""The lake while 200,000 samples arrive each second: bytes on disk, and how long reading takes.

In one process and without HTTP: what is measured is the lake, with its catalog, its maintenance and
a writer that never pauses. Afterwards everything is compacted and weighed. Before that, 100 million
samples stream through a lake of their own, and memory is watched.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from bench import bodies, fleet, peers
from bench.fleet import STEP_MS
from bench.latency import percentile
from bench.readback import Different, selector
from bench.report import Target, progress
from bench.suite import Measured, Options, scratch
from watchkeeper.clock import NS_PER_S, SystemClock
from watchkeeper.errors import Retryable
from watchkeeper.ingest.enrich import Enrich, EnrichConfig
from watchkeeper.ingest.receivers.remote_write import RemoteWrite
from watchkeeper.lake.base import Fold, Frame, SampleQuery
from watchkeeper.lake.disk import DiskLake
from watchkeeper.lake.disk_config import DiskLakeConfig
from watchkeeper.lake.selector import parse_selector
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.model.series import DEFAULT_TENANT, I32
from watchkeeper.model.signal import SampleBatch

TARGETS: Final[dict[str, Target]] = {
    "bytes_per_sample": ("<=", 3),
    "series_24h_ms": ("<=", 10),
    "aggregate_ms": ("<=", 30),
    # A full head that waits to be written is 100 MiB, and may not have waited in the first half.
    "rss_growth_mib": ("<=", 128),
}
HOUR_NS: Final = 3600 * NS_PER_S
NS_PER_MS: Final = 1_000_000
STEPS_AT_ONCE: Final = 60
MAINTAIN_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    n_series: int
    n_samples: int
    """There when reading begins."""
    streamed: int
    """Through a lake of its own, for memory."""
    seconds: float
    """Of reading, half for each kind of query."""
    seed: int
    samples_per_s: int = 200_000


class Stream:
    """A fleet written to a lake in order of time, without HTTP and log."""

    def __init__(self, folder: Path, plan: Plan, *, start_ms: int) -> None:
        self.folder = folder / "lake"
        self.n_sent = 0
        self.now_ms = start_ms
        """Event time of the newest sample, of the series that is scraped first."""
        now_ns = SystemClock().now_ns()
        self.catalog = Catalog(bytes(range(16)), CatalogConfig(), Enrich(EnrichConfig()))
        self.catalog.open(folder / "catalog", now_ns)
        self.lake = DiskLake(DiskLakeConfig(), directory=self.folder, catalog=self.catalog)
        self._position = 0
        self._walk = fleet.Walk(plan.n_series, seed=plan.seed, start_ms=start_ms)
        self._slots = self._register(plan.n_series, now_ns)
        self.batches = self._make()

    def _register(self, n_series: int, now_ns: int) -> I32:
        """The slot of every series of the fleet, through the door that they use in life."""
        runs = bodies.label_runs(range(n_series))
        times = np.full((n_series, 1), self.now_ms)
        receiver = RemoteWrite()
        slots = []
        for body in bodies.RemoteWrite(runs, series_per_body=2000).encode(times, times * 0.0):
            wire = receiver.decode(body, bodies.LOWER_CASE_HEADERS, now_ns=now_ns)
            resolved = self.catalog.resolve(DEFAULT_TENANT, wire, now_ns)
            slots.append(resolved.slots[wire.row])
        return np.concatenate(slots)

    def _make(self) -> Iterator[SampleBatch]:
        """One scrape of all series after the other, for ever; what is taken counts as sent."""
        while True:
            times, values = self._walk.take(STEPS_AT_ONCE)
            for step in range(STEPS_AT_ONCE):
                time_ns = np.ascontiguousarray(times[:, step]) * NS_PER_MS
                yield SampleBatch(
                    DEFAULT_TENANT, self._slots, time_ns, np.ascontiguousarray(values[:, step])
                )
                self.now_ms = int(times[0, step])

    def append(self, batch: SampleBatch) -> None:
        """As the store's stage does it: wait while heads are being written out."""
        self._position += 1
        while True:
            try:
                self.lake.append(batch, self._position)
                break
            except Retryable:
                time.sleep(0.01)
        self.n_sent += len(batch)

    @contextmanager
    def maintained(self) -> Iterator[None]:
        """Maintenance once a second, on a thread of its own."""
        over = threading.Event()

        def maintain() -> None:
            while not over.wait(MAINTAIN_EVERY_S):
                self.lake.maintain(SystemClock().now_ns())

        thread = threading.Thread(target=maintain)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def run(options: Options) -> Measured:
    plan = (
        Plan(500, 500_000, 4_000_000, 4.0, options.seed)
        if options.quick
        else Plan(2604, 15_000_000, 100_000_000, 40.0, options.seed)
    )
    with scratch("lake", options) as folder:
        growth_bytes = stream_through(plan, folder / "streamed")
        stream = prepare(plan, folder / "read")
        singles, aggregates, rate = read_while_writing(plan, stream)
        total_bytes, raw_bytes = weigh(stream)
    figures = {
        "bytes_per_sample": total_bytes / stream.n_sent,
        "series_24h_ms": 1000 * median(singles),
        "aggregate_ms": 1000 * median(aggregates),
        "rss_growth_mib": growth_bytes / 2**20,
        "series_24h_p95_ms": 1000 * percentile(singles, 0.95),
        "aggregate_p95_ms": 1000 * percentile(aggregates, 0.95),
        "samples_only_bytes_per_sample": raw_bytes / stream.n_sent,
        "written_samples_per_s": rate,
    }
    return figures, [
        f"{plan.n_samples} samples of {plan.n_series} series, then {plan.samples_per_s}/s more "
        f"while {len(singles)} times 24 h of one series and {len(aggregates)} times 5-minute means "
        "of 100 series over 6 h were read (medians).",
        f"Memory: over {plan.streamed} samples, its greatest in the second half over that in the "
        "first.",
    ]


def stream_through(plan: Plan, folder: Path) -> int:
    """How much more memory the second half of a long stream took than the first."""
    progress(f"{plan.streamed} samples stream through")
    length_ms = plan.streamed // plan.n_series * STEP_MS
    stream = Stream(folder, plan, start_ms=_now_ms() - length_ms)
    greatest = [0, 0]
    with stream.maintained():
        for batch in stream.batches:
            stream.append(batch)
            half = 2 * stream.n_sent // plan.streamed
            if half > 1:
                break
            greatest[half] = max(greatest[half], peers.rss_bytes())
    stream.lake.close()
    stream.catalog.close()
    return greatest[1] - greatest[0]


def prepare(plan: Plan, folder: Path) -> Stream:
    """The samples that are there when reading begins; the last to come will be of about now."""
    n_more = plan.seconds * plan.samples_per_s
    length_ms = int((plan.n_samples + n_more) / plan.n_series * STEP_MS)
    stream = Stream(folder, plan, start_ms=_now_ms() - length_ms)
    progress(f"{plan.n_samples} samples to read from")
    with stream.maintained():
        for batch in stream.batches:
            stream.append(batch)
            if stream.n_sent >= plan.n_samples:
                break
    return stream


def read_while_writing(plan: Plan, stream: Stream) -> tuple[list[float], list[float], float]:
    """Seconds per query of both kinds, and the samples per second that were written meanwhile."""
    progress("reading while writing")
    over = threading.Event()
    writer = threading.Thread(target=write_on, args=(plan, stream, over))
    before, began = stream.n_sent, time.perf_counter()
    with stream.maintained():
        writer.start()
        try:
            # The first query of a kind may have to compile.
            many_series(plan, stream, seconds=0)
            one_series(plan, stream, seconds=0)
            singles = one_series(plan, stream, seconds=plan.seconds / 2)
            aggregates = many_series(plan, stream, seconds=plan.seconds / 2)
        finally:
            over.set()
            writer.join()
    rate = (stream.n_sent - before) / (time.perf_counter() - began)
    return singles, aggregates, rate


def write_on(plan: Plan, stream: Stream, over: threading.Event) -> None:
    """At the rate of the plan, each batch at its time."""
    began, sent = time.perf_counter(), 0
    for batch in stream.batches:
        due = began + sent / plan.samples_per_s
        if over.wait(max(0.0, due - time.perf_counter())):
            return
        stream.append(batch)
        sent += len(batch)


def one_series(plan: Plan, stream: Stream, *, seconds: float) -> list[float]:
    """The last 24 hours of one series after another."""
    numbers = np.random.default_rng(plan.seed).permutation(plan.n_series)
    taken: list[float] = []
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or not taken:
        number = int(numbers[len(taken) % plan.n_series])
        end_ns = stream.now_ms * NS_PER_MS
        text = selector(fleet.labels(number))
        frame = timed(taken, stream, text, (end_ns - 24 * HOUR_NS, end_ns), step_ns=None)
        steps = min(24 * 3600 * 1000 // STEP_MS, plan.n_samples // plan.n_series)
        check(frame, 1, steps - 2)
    return taken


def many_series(plan: Plan, stream: Stream, *, seconds: float) -> list[float]:
    """Five-minute means of all series of a pod over the last six hours."""
    pods = plan.n_series // fleet.SERIES_PER_POD
    taken: list[float] = []
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or not taken:
        pod = fleet.place(len(taken) % pods * fleet.SERIES_PER_POD).pod
        end_ns = stream.now_ms * NS_PER_MS
        text = selector({"pod": pod})
        frame = timed(taken, stream, text, (end_ns - 6 * HOUR_NS, end_ns), step_ns=300 * NS_PER_S)
        hours = min(6.0, plan.n_samples / plan.n_series * STEP_MS / 3_600_000)
        check(frame, fleet.SERIES_PER_POD, int(hours * 12 - 1) * fleet.SERIES_PER_POD)
    return taken


def timed(
    taken: list[float],
    stream: Stream,
    text: str,
    span_ns: tuple[int, int],
    *,
    step_ns: int | None,
) -> Frame:
    query = SampleQuery(
        tenant=DEFAULT_TENANT,
        matchers=parse_selector(text),
        start_ns=span_ns[0],
        end_ns=span_ns[1],
        step_ns=step_ns,
        over_time=Fold.AVG,
    )
    began = time.perf_counter()
    frame = stream.lake.query(query)
    taken.append(time.perf_counter() - began)
    time.sleep(0.02)  # a reader, not a mill
    return frame


def check(frame: Frame, n_series: int, n_rows: int) -> None:
    """All that was asked for is in the answer, or its time means nothing."""
    if len(frame.labels) != n_series or len(frame.value) < n_rows:
        raise Different(
            f"lake: {len(frame.labels)} series with {len(frame.value)} rows were read, "
            f"not {n_series} with {n_rows}"
        )


def weigh(stream: Stream) -> tuple[int, int]:
    """Bytes of the lake, and of its samples alone, after everything was written and compacted."""
    progress("compacting")
    later_ns = stream.now_ms * NS_PER_MS + 26 * HOUR_NS
    sizes: dict[Path, int] = {}
    while sizes != (sizes_now := _sizes(stream)):  # a merge under way shows in its file's size
        sizes = sizes_now
        for _ in range(3):
            stream.lake.maintain(later_ns, everything=True)
            later_ns += 2 * HOUR_NS
    samples = sum(size for file, size in sizes.items() if file.suffixes == [".parquet"])
    return sum(sizes.values()), samples


def _sizes(stream: Stream) -> dict[Path, int]:
    return {path: path.stat().st_size for path in stream.folder.rglob("*") if path.is_file()}


def _now_ms() -> int:
    return SystemClock().now_ns() // NS_PER_MS
