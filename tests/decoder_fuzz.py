"""Bodies for the decoders, and the judge that holds a compiled decoder to its reference."""

from __future__ import annotations

import ctypes
import math
import mmap
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
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
    reference_remote_write,
    remote_write_2_kernel,
    remote_write_kernel,
    schema,
)
from watchkeeper.ingest.receivers import otlp_point_kernel as point
from watchkeeper.ingest.receivers.otlp_metrics import OtlpMetrics
from watchkeeper.ingest.receivers.remote_write import V2, RemoteWrite
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
            series.samples.add(value=rng.choice(VALUES), timestamp=moment(rng))
        _add_details(series, lambda: labelled_exemplar(rng), rng)
    for _ in range(rng.choice((0, 0, 1, 3))):
        request.metadata.append(rng.choice((b"", b"\xff", described(rng))))
    raw: bytes = request.SerializeToString()
    return raw


def write_request_2(rng: random.Random) -> bytes:
    """A sound remote write 2.0 body, decompressed; now and then it names what is not there."""
    request = schema.remote_write_2()["Request"]()
    request.symbols.extend(
        [b"", *(rng.choice(trees.TEXTS) for _ in range(rng.choice((3, 9, 300))))]
    )

    def refs(n_most: int) -> list[int]:
        n = rng.randrange(n_most) * 2 + (rng.random() < 0.03)
        beyond = 1 if rng.random() < 0.03 else 0
        return [rng.randrange(len(request.symbols) + beyond) for _ in range(n)]

    def exemplar() -> bytes:
        kind = schema.remote_write_2()["Exemplar"]
        raw: bytes = kind(
            labels_refs=refs(3), value=rng.choice(VALUES), timestamp=moment(rng)
        ).SerializeToString()
        return raw

    for _ in range(rng.randrange(5)):
        series = request.timeseries.add(labels_refs=refs(6))
        for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 7))):
            sample = series.samples.add(value=rng.choice(VALUES), timestamp=moment(rng))
            if rng.random() < 0.2:
                sample.start_timestamp = START_MS
        if rng.random() < 0.6:
            series.metadata.type = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, -1, 2**31 - 1))
            series.metadata.help_ref = rng.choice((0, 1, 2, 10_000))
        _add_details(series, exemplar, rng)
    raw: bytes = request.SerializeToString()
    return raw


def moment(rng: random.Random) -> int:
    """In milliseconds."""
    return rng.choice((START_MS, START_MS, 0, -1, 2**63 - 1, -(2**63), rng.getrandbits(42)))


def _add_details(series: Any, exemplar: Callable[[], bytes], rng: random.Random) -> None:
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        sound = native_histogram(rng)
        series.histograms.append(rng.choice((sound, sound, trees.mutate(sound, rng))))
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        sound = exemplar()
        series.exemplars.append(rng.choice((sound, sound, trees.mutate(sound, rng))))


def labelled_exemplar(rng: random.Random) -> bytes:
    """Of remote write 1.0."""
    one = schema.remote_write()["Exemplar"](value=rng.choice(VALUES), timestamp=moment(rng))
    for _ in range(rng.randrange(3)):
        name = rng.choice((b"trace_id", b"traceID", *trees.TEXTS))
        one.labels.add(name=name, value=rng.choice((b"00f0", b"12" * 16, *trees.TEXTS)))
    raw: bytes = one.SerializeToString()
    return raw


def described(rng: random.Random) -> bytes:
    """Metadata of remote write 1.0."""
    kind = schema.remote_write()["MetricMetadata"]
    raw: bytes = kind(
        type=rng.choice((0, 1, 3, 99, -1)), metric_family_name=rng.choice(trees.TEXTS), help=b"what"
    ).SerializeToString()
    return raw


def native_histogram(rng: random.Random) -> bytes:
    """A sound native histogram, whole or of floats, of powers or of listed bounds."""
    one = schema.histogram()(timestamp=moment(rng), sum=rng.choice(VALUES))
    is_float = rng.random() < 0.3
    one.schema = rng.choice((-4, 0, 3, 8, 8, -53))
    sides = ("positive",) if one.schema == -53 else ("negative", "positive")
    total = 0
    for side in sides:
        counts: list[int] = []
        for number in range(rng.randrange(4)):
            length = rng.randrange(4)
            offset = rng.randrange(3) if number or one.schema == -53 else rng.randrange(-9, 9)
            getattr(one, f"{side}_spans").add(offset=offset, length=length)
            counts += [rng.choice((0, 1, 5, 10**6)) for _ in range(length)]
        total += sum(counts)
        deltas = [after - before for before, after in pairwise([0, *counts])]
        getattr(one, f"{side}_counts" if is_float else f"{side}_deltas").extend(
            counts if is_float else deltas
        )
    if one.schema == -53:
        one.custom_values.extend(0.5 * number for number in range(24))
    else:
        one.zero_threshold, in_zero = 0.001, rng.choice((0, 2))
        setattr(one, "zero_count_float" if is_float else "zero_count_int", in_zero)
        total += in_zero
    setattr(
        one, "count_float" if is_float else "count_int", total + rng.choice((0, 0, 0, 3, -1)) % 4
    )
    raw: bytes = one.SerializeToString()
    return raw


def metrics_request(rng: random.Random) -> bytes:
    """A sound OTLP body of the published schema."""
    request = ExportMetricsServiceRequest()
    for _ in range(rng.randrange(1, 3)):
        resource_metrics = request.resource_metrics.add(schema_url="x")
        add_attributes(resource_metrics.resource.attributes, rng, 4)
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


Facts = tuple[list[Fact], list[Any], Counter[str]]


def facts_of(wire: WireSamples) -> Facts:
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
    rejects: Counter[str] = Counter()
    for reject in wire.rejects:
        rejects[reject.reason] += reject.count
    return samples, list(details_of(wire)), rejects


def details_of(wire: WireSamples) -> Iterator[tuple[Any, int, bytes]]:
    """Histograms, then exemplars."""
    if wire.histograms is not None:
        block = wire.describe(wire.histograms.row.astype(np.int64))
        for n, time_ns in enumerate(wire.histograms.time_ns.tolist()):
            yield reference.labels_of(block, n), time_ns, wire.histograms.payload[n]
    if wire.exemplars is not None:
        found = wire.exemplars
        block = wire.describe(found.row.astype(np.int64))
        for n, time_ns in enumerate(found.time_ns.tolist()):
            content = found.value[n].tobytes() + found.labels[n]
            yield reference.labels_of(block, n), time_ns, content


def facts_of_reference(decoded: reference.Decoded) -> Facts:
    samples = [
        (
            sample.labels,
            _sort(sample.kind, sample.is_delta),
            sample.time_ns,
            struct.pack("<d", sample.value),
        )
        for sample in decoded.samples
    ]
    details = [
        (one.labels, one.time_ns, one.content) for one in (*decoded.histograms, *decoded.exemplars)
    ]
    return samples, details, decoded.rejects


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
        expected = self._ask(lambda: facts_of_reference(reference_remote_write.remote_write(raw)))
        got = self._ask(lambda: facts_of(self._remote_write.decode(body, headers, now_ns=0)))
        assert got == expected, raw
        code = self._decode_guarded_remote_write(raw)
        assert (code == remote_write_kernel.MALFORMED) == (expected is None), raw
        self.seen["refused" if expected is None else "accepted"] += 1
        self.seen["rewritten"] += code == remote_write_kernel.NO_ROOM_BEHIND

    def remote_write_2(self, raw: bytes) -> None:
        body = bytes(cramjam.snappy.compress_raw(raw))
        headers = {"content-type": f"application/x-protobuf;proto={V2}"}
        expected = self._ask(lambda: facts_of_reference(reference_remote_write.remote_write_2(raw)))
        got = self._ask(lambda: facts_of(self._remote_write.decode(body, headers, now_ns=0)))
        assert got == expected, raw
        code = self._decode_guarded_remote_write_2(raw)
        assert (code == remote_write_kernel.MALFORMED) == (expected is None), raw
        self.seen["refused" if expected is None else "accepted"] += 1
        if expected is not None:
            self.seen["samples"] += len(expected[0])
            self.seen["details"] += len(expected[1])
            self.seen["bad"] += expected[2]["bad_reference"]

    def otlp_metrics(self, raw: bytes) -> None:
        expected = self._ask(lambda: facts_of_reference(reference.otlp_metrics(raw)))
        got = self._ask(lambda: facts_of(self._otlp.decode(raw, {}, now_ns=0)))
        assert got == expected, raw
        code = self._decode_guarded_otlp(raw)
        self.seen["refused" if expected is None else "accepted"] += 1
        self.seen["unusual"] += code == otlp_attribute_kernel.UNUSUAL
        self.seen["samples"] += len(expected[0]) if expected else 0

    def _ask(self, decode: Any) -> Facts | None:
        try:
            found: Facts = decode()
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
        aside = np.full((4096, remote_write_kernel.ASIDE_COLUMNS), 7, np.int64)
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
                    array, len(raw), np.uint64(1), rows, samples, aside[: len(rows[1])], counts
                )
                if rows[1] is small[1]:
                    written = (*columns, value, aside)
                    assert all((column[5:] == 7).all() for column in written), raw
                for column in (*columns, value, aside):
                    column[:] = 7
            if code != remote_write_kernel.NO_ROOM_BEHIND:
                return (
                    code
                    if room == 0 or code == remote_write_kernel.MALFORMED
                    else (remote_write_kernel.NO_ROOM_BEHIND)
                )
        raise AssertionError("there was room behind, and it was not enough")

    def _decode_guarded_remote_write_2(self, raw: bytes) -> int:
        array = self._memory.place(raw, 0)
        hashes, keys = np.full((4096, 2), 7, np.uint64), np.full((4096, 2), 7, np.uint64)
        whole = [np.full(4096, 7, np.int64) for _ in range(7)]
        value = np.full(4096, 7.0)
        aside = np.full((4096, remote_write_kernel.ASIDE_COLUMNS), 7, np.int64)
        counts = np.zeros(remote_write_kernel.N_COUNTS, np.int64)
        code = remote_write_kernel.FULL
        for n in (5, 4096):
            symbols = (hashes[:4096], whole[0], whole[1])
            rows = (keys[:n], whole[2][:n], whole[3][:n], whole[4][:n])
            samples = (whole[5][:n], whole[6][:n], value[:n])
            code, _ = remote_write_2_kernel.decode(
                array, len(raw), np.uint64(1), symbols, rows, samples, aside[:n], counts
            )
            if n == 5:
                assert all((one[5:] == 7).all() for one in (keys, *whole[2:], value, aside)), raw
        return code

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


def add_attributes(to: Any, rng: random.Random, n_most: int) -> None:
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
        add_attributes(one.attributes, rng, 3)
        _FILLERS[sort](one, rng)


def _fill_number(one: Any, rng: random.Random) -> None:
    if rng.random() < 0.5:
        one.as_double = rng.choice(VALUES)
    elif rng.random() < 0.9:
        one.as_int = rng.choice((0, -1, 2**63 - 1))
    _add_exemplars(one, rng)


def _add_exemplars(one: Any, rng: random.Random) -> None:
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        exemplar = one.exemplars.add(
            span_id=b"12345678",
            trace_id=rng.choice((b"", b"1234567812345678")),
            time_unix_nano=rng.choice((0, START_MS * 10**6, START_MS * 10**6)),
        )
        if rng.random() < 0.8:
            exemplar.as_double = rng.choice(VALUES)
        add_attributes(exemplar.filtered_attributes, rng, 2)


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
    one.scale = rng.choice((-2, 0, 20, -11))
    one.positive.offset = rng.choice((0, -3, 2**31 - 1, -(2**31)))
    one.positive.bucket_counts.extend(rng.choice((0, 1, 7)) for _ in range(rng.randrange(6)))
    one.negative.bucket_counts.extend((4,) * rng.randrange(3))
    one.zero_count = rng.choice((0, 3))
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
    if hasattr(one, "exemplars"):
        _add_exemplars(one, rng)


_FILLERS = {
    "gauge": _fill_number,
    "sum": _fill_number,
    "histogram": _fill_histogram,
    "exponential_histogram": _fill_exponential,
    "summary": _fill_summary,
}
