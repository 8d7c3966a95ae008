"""Bodies for the decoders, and the judge that holds a compiled decoder to its reference."""

from __future__ import annotations

import ctypes
import math
import mmap
import random
import struct
from collections import Counter
from typing import Any

import cramjam
import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tests import protobuf_trees as trees
from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import (
    otlp_attribute_kernel,
    otlp_metrics_kernel,
    reference,
    remote_write_kernel,
    schema,
)
from watchkeeper.ingest.receivers import otlp_point_kernel as point
from watchkeeper.ingest.receivers.otlp_metrics import OtlpMetrics
from watchkeeper.ingest.receivers.remote_write import RemoteWrite
from watchkeeper.model.signal import WireSamples

START_MS = 1_700_000_000_000
VALUES = (0.0, -0.0, 1.5, math.nan, math.inf, -math.inf, 5e-324, 1e308, reference.STALE)
WORDS = ("service", "checkout", "http.method", "GET", "größe", "温度", "9lives", "__x", "", "a b")

Fact = tuple[tuple[tuple[bytes, bytes], ...], int, int, bytes]
"""A sample as it is compared: (labels, kind, with a high bit for a delta, time_ns, the bytes of its
value)."""


def write_request(rng: random.Random) -> bytes:
    """A sound remote write body, decompressed."""
    request = schema.remote_write()["WriteRequest"]()
    for _ in range(rng.randrange(5)):
        series = request.timeseries.add()
        for _ in range(rng.randrange(5)):
            name, value = (rng.choice(trees.TEXTS), rng.choice(trees.TEXTS))
            series.labels.add(name=name, value=value)
        for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 7))):
            timestamp = rng.choice(
                (START_MS, START_MS, 0, -1, 2**63 - 1, -(2**63), rng.getrandbits(42))
            )
            series.samples.add(value=rng.choice(VALUES), timestamp=timestamp)
        for _ in range(rng.choice((0, 0, 0, 1))):
            series.histograms.append(rng.randbytes(8))
    raw: bytes = request.SerializeToString()
    return raw


def metrics_request(rng: random.Random) -> bytes:
    """A sound OTLP body of the published schema."""
    request = ExportMetricsServiceRequest()
    for _ in range(rng.randrange(1, 3)):
        resource_metrics = request.resource_metrics.add(schema_url="x")
        _add_attributes(resource_metrics.resource.attributes, rng, 4)
        scope_metrics = resource_metrics.scope_metrics.add()
        scope_metrics.scope.name = "library"
        for _ in range(rng.randrange(1, 5)):
            _add_metric(scope_metrics.metrics.add(), rng)
    raw: bytes = request.SerializeToString()
    return raw


def odd(raw: bytes, message: Any, rng: random.Random) -> bytes:
    """The same body in a form that is legal, or nearly, and that nobody sends."""
    fields = trees.parse(raw, message.DESCRIPTOR)
    oddity = rng.choice((0.02, 0.1, 0.3))
    return trees.encode(trees.scramble(fields, rng, oddity), rng, rng.choice((0.0, 0.05)))


def facts_of(wire: WireSamples) -> tuple[list[Fact], Counter[str]]:
    block = wire.describe(wire.row.astype(np.int64))
    is_delta = np.zeros(len(wire.key), bool) if wire.is_delta is None else wire.is_delta
    samples = [
        (
            reference.labels_of(block, n),
            _sort(int(wire.kind[wire.row[n]]), is_delta[wire.row[n]]),
            int(wire.time_ns[n]),
            wire.value[n].tobytes(),
        )
        for n in range(len(wire))
    ]
    return samples, Counter({reject.reason: reject.count for reject in wire.rejects})


def facts_of_reference(decoded: reference.Decoded) -> tuple[list[Fact], Counter[str]]:
    samples = [
        (
            sample.labels,
            _sort(sample.kind, sample.is_delta),
            sample.time_ns,
            struct.pack("<d", sample.value),
        )
        for sample in decoded.samples
    ]
    return samples, decoded.rejects


def _sort(kind: int, is_delta: Any) -> int:
    return int(kind) | 0x100 * bool(is_delta)


class Judge:
    """Decodes with both, and counts what it saw, so that a fuzz that tests nothing shows."""

    def __init__(self) -> None:
        self._remote_write = RemoteWrite(seed=1)
        self._otlp = OtlpMetrics(seed=1)
        self._memory = GuardedMemory(1 << 20)
        self.seen: Counter[str] = Counter()

    def remote_write(self, raw: bytes) -> None:
        body = bytes(cramjam.snappy.compress_raw(raw))
        headers = {"content-encoding": "snappy"}
        expected = self._ask(lambda: facts_of_reference(reference.remote_write(raw)))
        got = self._ask(lambda: facts_of(self._remote_write.decode(body, headers, now_ns=0)))
        assert got == expected, raw
        code = self._decode_guarded_remote_write(raw)
        assert (code == remote_write_kernel.MALFORMED) == (expected is None), raw
        self.seen["refused" if expected is None else "accepted"] += 1
        self.seen["rewritten"] += code == remote_write_kernel.NO_ROOM_BEHIND

    def otlp_metrics(self, raw: bytes) -> None:
        expected = self._ask(lambda: facts_of_reference(reference.otlp_metrics(raw)))
        got = self._ask(lambda: facts_of(self._otlp.decode(raw, {}, now_ns=0)))
        assert got == expected, raw
        code = self._decode_guarded_otlp(raw)
        self.seen["refused" if expected is None else "accepted"] += 1
        self.seen["unusual"] += code == otlp_attribute_kernel.UNUSUAL
        self.seen["samples"] += len(expected[0]) if expected else 0

    def _ask(self, decode: Any) -> tuple[list[Fact], Counter[str]] | None:
        try:
            found: tuple[list[Fact], Counter[str]] = decode()
        except BadInput:
            return None
        return found

    def _decode_guarded_remote_write(self, raw: bytes) -> int:
        """Decode where a byte too far is a crash, into columns that are checked for overruns."""
        columns = [
            np.full((4096, 2), 7, np.uint64),
            *(np.full(4096, 7, np.int64) for _ in range(4)),
        ]
        value = np.full(4096, 7.0)
        small = [column[:5] for column in columns]
        counts = np.zeros(remote_write_kernel.N_COUNTS, np.int64)
        code: int = remote_write_kernel.FULL
        for room in (0, remote_write_kernel.ROOM_BEHIND * len(raw) + READ_SLACK):
            array = self._memory.place(raw, room)
            for rows, samples in (
                (tuple(small[:3]), (small[3], small[4], value[:5])),
                (tuple(columns[:3]), (columns[3], columns[4], value)),
            ):
                code = remote_write_kernel.decode(
                    array, len(raw), np.uint64(1), rows, samples, counts
                )
                if rows[1] is small[1]:
                    assert all((column[5:] == 7).all() for column in (*columns, value)), raw
                for column in (*columns, value):
                    column[:] = 7
            if code != remote_write_kernel.NO_ROOM_BEHIND:
                return (
                    code
                    if room == 0 or code == remote_write_kernel.MALFORMED
                    else (remote_write_kernel.NO_ROOM_BEHIND)
                )
        raise AssertionError("there was room behind, and it was not enough")

    def _decode_guarded_otlp(self, raw: bytes) -> int:
        array = self._memory.place(raw, 0)
        rows = np.full((4096, point.ROW_COLUMNS), 7, np.int64)
        metrics = np.full((4096, otlp_metrics_kernel.METRIC_COLUMNS), 7, np.int64)
        scratch = (
            np.zeros(point.N_STATE, np.int64),
            np.zeros(otlp_attribute_kernel.STACK_SIZE, np.int64),
        )
        seed = np.uint64(1)
        otlp_metrics_kernel.decode(array, len(raw), seed, rows[:5], metrics[:2], scratch)
        assert (rows[5:] == 7).all(), raw
        assert (metrics[2:] == 7).all(), raw
        code: int = otlp_metrics_kernel.decode(array, len(raw), seed, rows, metrics, scratch)
        return code


class GuardedMemory:
    """Memory between two pages that nobody may touch."""

    def __init__(self, size: int) -> None:
        page = mmap.PAGESIZE
        self._size = -(-size // page) * page
        self._pages = mmap.mmap(-1, self._size + 2 * page)
        self._array = np.frombuffer(self._pages, np.uint8)
        libc = ctypes.CDLL(None, use_errno=True)
        address = self._array.ctypes.data
        for guard in (address, address + page + self._size):
            failed = libc.mprotect(ctypes.c_void_p(guard), page, mmap.PROT_READ * 0)
            assert not failed, ctypes.get_errno()

    def place(self, raw: bytes, room: int) -> Any:
        """`raw`, its slack and `room` more bytes, right in front of the guard."""
        end = mmap.PAGESIZE + self._size
        array = self._array[end - len(raw) - READ_SLACK - room : end]
        array[: len(raw)] = np.frombuffer(raw, np.uint8)
        array[len(raw) :] = 0xAA  # what lies behind must not matter
        return array


def _add_attributes(to: Any, rng: random.Random, n_most: int) -> None:
    for _ in range(rng.randrange(n_most + 1)):
        key = rng.choice((*WORDS, "service.name", "host.name", "k8s.pod.name", "process.pid"))
        _set_value(to.add(key=key).value, rng, 2)


def _set_value(value: Any, rng: random.Random, depth: int) -> None:
    sort = rng.randrange(9 if depth else 7)
    if sort < 3:
        value.string_value = rng.choice(WORDS)
    elif sort == 3:
        value.int_value = rng.choice((0, -1, 200, 2**63 - 1))
    elif sort == 4:
        value.bool_value = rng.random() < 0.5
    elif sort == 5:
        value.double_value = rng.choice((0.0, 1.5, 1e300))
    elif sort == 6:
        value.bytes_value = b"\xff\x00"
    elif sort == 7:
        value.array_value.SetInParent()
        for _ in range(rng.randrange(3)):
            _set_value(value.array_value.values.add(), rng, depth - 1)
    else:
        value.kvlist_value.SetInParent()
        for _ in range(rng.randrange(3)):
            _set_value(value.kvlist_value.values.add(key=rng.choice(WORDS)).value, rng, depth - 1)


def _add_metric(metric: Any, rng: random.Random) -> None:
    metric.name = rng.choice(("http.server.duration", "jobs", "größe", "a..b", "", "x_total"))
    metric.unit = rng.choice(("", "ms", "By/s", "1", "{packets}", "größe"))
    metric.description = "what it is"
    sort = rng.choice(("gauge", "sum", "histogram", "exponential_histogram", "summary"))
    data = getattr(metric, sort)
    data.SetInParent()
    if sort not in ("gauge", "summary"):
        data.aggregation_temporality = rng.choice((2, 2, 2, 2, 1, 0))
    if sort == "sum":
        data.is_monotonic = rng.random() < 0.6
    for _ in range(rng.choice((0, 1, 1, 2, 6))):
        one = data.data_points.add(
            time_unix_nano=rng.choice((0, 2**64 - 1, *[START_MS * 10**6] * 8)),
            start_time_unix_nano=1,
            flags=rng.choice((0, 0, 0, 0, 1, 2**32 - 1)),
        )
        _add_attributes(one.attributes, rng, 3)
        _FILLERS[sort](one, rng)


def _fill_number(one: Any, rng: random.Random) -> None:
    if rng.random() < 0.5:
        one.as_double = rng.choice(VALUES)
    elif rng.random() < 0.9:
        one.as_int = rng.choice((0, -1, 2**63 - 1))
    if rng.random() < 0.2:
        one.exemplars.add(as_double=1.0, span_id=b"12345678")


def _fill_histogram(one: Any, rng: random.Random) -> None:
    n_bounds = rng.choice((0, 0, 1, 5))
    one.explicit_bounds.extend(sorted(rng.choice((0.005, 1.0, 25.0, 1e9)) for _ in range(n_bounds)))
    one.bucket_counts.extend(
        rng.choice((0, 3, 2**64 - 1)) for _ in range(n_bounds + rng.choice((0, 1, 1, 1)))
    )
    _fill_distribution(one, rng)
    if rng.random() < 0.7:
        one.sum = rng.choice(VALUES)


def _fill_exponential(one: Any, rng: random.Random) -> None:
    one.scale = -2
    one.positive.bucket_counts.extend((1, 2, 3))
    _fill_distribution(one, rng)
    if rng.random() < 0.7:
        one.sum = rng.choice(VALUES)


def _fill_summary(one: Any, rng: random.Random) -> None:
    for quantile in (0.0, 0.5, 0.99)[: rng.randrange(4)]:
        one.quantile_values.add(quantile=quantile, value=rng.choice(VALUES))
    one.sum = rng.choice(VALUES)
    _fill_distribution(one, rng)


def _fill_distribution(one: Any, rng: random.Random) -> None:
    one.count = rng.choice((0, 10, 2**64 - 1))


_FILLERS = {
    "gauge": _fill_number,
    "sum": _fill_number,
    "histogram": _fill_histogram,
    "exponential_histogram": _fill_exponential,
    "summary": _fill_summary,
}
