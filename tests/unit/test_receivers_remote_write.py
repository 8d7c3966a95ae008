"""Remote write beyond the contract: its headers, its rarer forms, its memory."""

from __future__ import annotations

import json
import struct

import cramjam
import numpy as np
import pytest

from tests import make
from watchkeeper.errors import BadInput, TooLarge
from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.limits import Limits
from watchkeeper.ingest.receivers.reference import samples_of
from watchkeeper.ingest.receivers.remote_write import RemoteWrite
from watchkeeper.model.family import Family, MetricType
from watchkeeper.model.signal import WireSamples

T_MS = 1_700_000_000_000


def field(number: int, payload: bytes) -> bytes:
    """A sized field. A short label run in the form of `make` gives sizes their shortest form."""
    size = bytearray()
    n = len(payload)
    while n > 0x7F:
        size.append(n & 0x7F | 0x80)
        n >>= 7
    size.append(n)
    return bytes([number << 3 | 2]) + bytes(size) + payload


def sample(value: float = 1.0, ms: int = T_MS) -> bytes:
    varint = bytearray()
    n = ms % 2**64
    while n > 0x7F:
        varint.append(n & 0x7F | 0x80)
        n >>= 7
    varint.append(n)
    return field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + bytes(varint))


def make_histogram(count: int) -> bytes:
    """One bucket that all is in."""
    one = schema.histogram()(count_int=count, sum=1.5, timestamp=T_MS, positive_deltas=[count])
    one.positive_spans.add(offset=2, length=1)
    raw: bytes = one.SerializeToString()
    return raw


def body(*series: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(b"".join(field(1, one) for one in series)))


def decode(*series: bytes) -> WireSamples:
    return RemoteWrite(seed=1).decode(body(*series), {}, now_ns=0)


UP = make.label_run({"__name__": "up", "job": "shop"})


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-protobuf",
        "application/x-protobuf;proto=prometheus.WriteRequest",
        'Application/X-Protobuf; charset=utf-8; proto="prometheus.WriteRequest"',
        "",
    ],
)
def test_version_one_is_spoken_under_all_its_names(content_type: str) -> None:
    headers = {"content-type": content_type, "x-prometheus-remote-write-version": "0.1.0"}

    assert len(RemoteWrite().decode(body(UP + sample()), headers, now_ns=0)) == 1


def test_another_message_is_refused_with_the_setting_that_helps() -> None:
    headers = {"content-type": "application/x-protobuf;proto=io.prometheus.write.v3.Request"}

    with pytest.raises(BadInput, match=r"protobuf_message: prometheus\.WriteRequest") as refusal:
        RemoteWrite().decode(body(UP + sample()), headers, now_ns=0)
    assert refusal.value.status == 415


def test_framed_snappy_is_refused() -> None:
    framed = bytes(cramjam.snappy.compress(field(1, UP + sample())))

    with pytest.raises(BadInput, match="block format, not framed"):
        RemoteWrite().decode(framed, {}, now_ns=0)


def test_a_size_that_snappy_cannot_reach_is_refused_before_memory_is_spent() -> None:
    claim = b"\xff\xff\xff\x07" + b"\x00" * 10  # 16 MB, from ten bytes

    with pytest.raises(BadInput, match="cannot become"):
        RemoteWrite().decode(claim, {}, now_ns=0)


def test_snappy_of_the_best_ratio_is_read() -> None:
    run = make.label_run({"__name__": "up", "padding": "x" * 1_000_000})

    assert len(decode(run + sample())) == 1


def test_a_zero_value_or_time_may_be_left_out() -> None:
    wire = decode(UP + field(2, b"") + field(2, b"\x10\x05"))

    assert wire.time_ns.tolist() == [0, 5_000_000]
    assert wire.value.tolist() == [0.0, 0.0]


def test_times_before_1970_are_kept() -> None:
    assert decode(UP + sample(ms=-1)).time_ns.tolist() == [-1_000_000]


def test_the_last_millisecond_that_fits_is_kept_and_the_next_is_not() -> None:
    last = (2**63 - 1) // 1_000_000
    wire = decode(UP + b"".join(sample(ms=ms) for ms in (last, last + 1, -last, -last - 1)))

    assert wire.time_ns.tolist() == [last * 1_000_000, -last * 1_000_000]
    assert [(reject.reason, reject.count) for reject in wire.rejects] == [("timestamp_range", 2)]


def test_a_histogram_is_kept_as_the_bytes_that_came() -> None:
    raw = make_histogram(3)

    wire = decode(UP + sample(), UP + field(4, raw))

    assert wire.histograms is not None
    assert wire.histograms.row.tolist() == [1]
    assert wire.histograms.time_ns.tolist() == [T_MS * 1_000_000]
    assert wire.histograms.payload[0] == raw
    assert wire.rejects == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"\x08",
        b"\x20\x12",  # schema 9
        b"\x08\x05" + field(11, b"\x10\x02") + field(12, b"\x02"),  # a span of two, one count
        b"\x08\x01" + field(11, b"\x10\x01") + field(12, b"\x04"),  # counts of 2 of 1 in all
        b"\x08\x05" + field(11, b"\x10\x01") + field(12, b"\x01"),  # a count of -1
    ],
)
def test_a_histogram_that_contradicts_itself_costs_itself(raw: bytes) -> None:
    wire = decode(UP + field(4, raw) + field(4, make_histogram(1)) + sample())

    assert wire.histograms is not None
    assert len(wire.histograms.row) == len(wire) == 1
    assert [(one.reason, one.count) for one in wire.rejects] == [("bad_histogram", 1)]


def test_a_resolution_beyond_32_bits_is_cut_as_protobuf_cuts_it() -> None:
    wide = make_histogram(3) + b"\x20\x80\x80\x80\x80\x80\x10"  # 2 to the 39

    assert decode(UP + field(4, wide)).rejects == ()


def test_an_exemplar_names_its_trace() -> None:
    trace = make.label_run({"trace_id": "0af7651916cd43dd8448eb211c80319c", "zone": "é"})
    exemplar = trace + b"\x11" + struct.pack("<d", 1.5) + b"\x18" + sample()[12:]

    found = decode(UP + sample(), UP + field(3, exemplar)).exemplars

    assert found is not None
    assert found.row.tolist() == [1]
    assert (found.time_ns.tolist(), found.value.tolist()) == ([T_MS * 1_000_000], [1.5])
    assert found.trace.tolist() == [[0x0AF7651916CD43DD, 0x8448EB211C80319C]]
    assert json.loads(found.labels[0])["zone"] == "é"


def test_an_exemplar_without_sound_labels_costs_itself() -> None:
    wire = decode(UP + sample() + field(3, field(1, field(1, b"\xff"))))

    assert (len(wire), wire.exemplars) == (1, None)
    assert [(one.reason, one.count) for one in wire.rejects] == [("bad_exemplar", 1)]


def test_metadata_describe_their_families_and_cost_no_sample() -> None:
    metadata = b"\x08\x03" + field(2, b"rpc_seconds") + field(4, b"How long") + field(5, b"s")
    raw = field(1, UP + sample()) + field(3, metadata) + field(3, b"\xff")

    wire = RemoteWrite().decode(bytes(cramjam.snappy.compress_raw(raw)), {}, now_ns=0)

    assert wire.families is not None
    assert wire.families(np.empty(0, np.int64)) == (
        Family("rpc_seconds", MetricType.HISTOGRAM, "How long", "s"),
    )
    assert (len(wire), wire.rejects) == (1, ())


@pytest.mark.parametrize(
    "series",
    [
        sample() + UP,
        make.label_run({"__name__": "up"}) + sample() + make.label_run({"job": "shop"}),
        field(1, field(2, b"up") + field(1, b"__name__"))
        + make.label_run({"job": "shop"})
        + sample(),
        field(1, field(1, b"no") + field(1, b"__name__") + field(2, b"up"))
        + make.label_run({"job": "shop"})
        + sample(),
        # the label's size, then the name's, take more bytes than they need
        b"\x0a\x8e\x00" + UP[2:16] + UP[16:] + sample(),
        b"\x0a\x0f\x0a\x88\x00__name__\x12\x02up" + make.label_run({"job": "shop"}) + sample(),
        field(1, field(1, b"__name__") + field(2, b"up") + b"\x18\x01")
        + make.label_run({"job": "shop"})
        + sample(),
    ],
    ids=[
        "samples first",
        "labels apart",
        "value before name",
        "name twice",
        "long size of a label",
        "long size of a name",
        "unknown field in a label",
    ],
)
def test_labels_in_any_legal_form_are_one_series(series: bytes) -> None:
    wire = decode(UP + sample(), series)

    assert samples_of(wire)[1] == ({"__name__": "up", "job": "shop"}, T_MS * 1_000_000, 1.0)
    assert (wire.key[0] == wire.key[1]).all(), "written anew, they have the key of the short form"


def test_empty_names_and_values_are_handed_on_for_the_catalog_to_judge() -> None:
    run = field(1, field(1, b"") + field(2, b"x")) + field(1, field(1, b"y"))

    wire = decode(run + sample())

    assert make.read_labels(wire.describe(np.array([0])), 0) == [("", "x"), ("y", "")]


@pytest.mark.parametrize("size", [100, 123, 124, 125, 127, 128, 200, 16_383, 16_384, 100_000])
def test_labels_of_any_length_are_read(size: int) -> None:
    labels = {"__name__": "up", "n" * size: "short", "short": "v" * size}

    assert samples_of(decode(make.label_run(labels) + sample()))[0][0] == labels


def test_many_odd_series_find_room_behind_the_body() -> None:
    odd = [sample(value=float(n)) + make.label_run({"__name__": f"m{n}"}) for n in range(3000)]

    wire = decode(*odd)

    assert [labels["__name__"] for labels, _, _ in samples_of(wire)] == [
        f"m{n}" for n in range(3000)
    ]


def test_a_series_may_come_in_several_rows() -> None:
    wire = decode(UP + sample(1.0), UP + sample(2.0, T_MS + 1))

    assert (wire.key[0] == wire.key[1]).all()
    assert wire.value.tolist() == [1.0, 2.0]


def test_memory_is_used_again_once_nobody_needs_it() -> None:
    receiver = RemoteWrite(seed=1)
    one = body(UP + sample())

    def address() -> int:
        block = receiver.decode(one, {}, now_ns=0).describe(np.array([0]))
        return int(block.buffer.ctypes.data)

    assert address() == address()
    kept = receiver.decode(one, {}, now_ns=0)
    assert address() != kept.describe(np.array([0])).buffer.ctypes.data


def test_a_great_body_leaves_no_great_memory_behind() -> None:
    receiver = RemoteWrite(Limits(decompressed_bytes=64 << 20), seed=1)
    run = make.label_run({"__name__": "up", "padding": "x" * (8 << 20)})

    great = receiver.decode(body(run + sample()), {}, now_ns=0)
    small = receiver.decode(body(UP + sample()), {}, now_ns=0)

    assert len(great.describe(np.array([0])).buffer) > 8 << 20
    assert len(small.describe(np.array([0])).buffer) <= 4 << 20


def test_series_without_end_are_refused_before_they_fill_memory() -> None:
    flood = b"\x0a\x02\x12\x00" * 200_000  # each a series without a label, of one sample

    with pytest.raises(TooLarge, match="1000 samples"):
        RemoteWrite(Limits(samples=1000)).decode(
            bytes(cramjam.snappy.compress_raw(flood)), {}, now_ns=0
        )
