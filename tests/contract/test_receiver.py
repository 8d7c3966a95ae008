"""What every metric receiver promises: columns that last, and an answer to every fault."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cramjam
import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tests import decoder_fuzz
from tests.conftest import Golden, golden_cases
from watchkeeper import plugins
from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.errors import BadInput, TooLarge
from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.base import Receiver
from watchkeeper.ingest.receivers.limits import Limits
from watchkeeper.ingest.receivers.reference import samples_of
from watchkeeper.model.series import Kind
from watchkeeper.model.signal import WireSamples

NOW_NS = 1_767_607_200 * 1_000_000_000
STALE_BITS = 0x7FF0000000000002
Given = tuple[Mapping[str, str], int, float]
"""What is sent: (labels, time_ns, value)."""


@dataclass(frozen=True)
class Protocol:
    """How a sender of one protocol writes its bodies."""

    name: str
    write: Callable[[Sequence[Given]], bytes]
    content_type: str
    encodings: tuple[str, ...]
    """What it may say of compression; the first is what `write` did."""
    bad_item: Given
    """A sample that cannot be taken."""
    empty_is_sound: bool
    has_bits: bool = True
    """Whether a NaN keeps its bits on the way."""
    needs_headers: bool = False
    """Whether another protocol is meant where a body says nothing of itself."""

    @property
    def headers(self) -> dict[str, str]:
        return {"content-type": self.content_type, "content-encoding": self.encodings[0]}


def write_remote_write(given: Sequence[Given]) -> bytes:
    request = schema.remote_write()["WriteRequest"]()
    for labels, time_ns, value in given:
        series = request.timeseries.add()
        for name, text in sorted(labels.items()):
            series.labels.add(name=name.encode(), value=text.encode())
        series.samples.add(value=value, timestamp=time_ns // 1_000_000)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def otlp_request(given: Sequence[Given]) -> Any:
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    for labels, time_ns, value in given:
        point = metrics.add(name=labels["__name__"]).gauge.data_points.add(
            time_unix_nano=time_ns, as_double=value
        )
        for name, text in labels.items():
            if name != "__name__":
                point.attributes.add(key=name).value.string_value = text
    return request


def write_otlp(given: Sequence[Given]) -> bytes:
    raw: bytes = otlp_request(given).SerializeToString()
    return raw


def json_value(value: float) -> float | str:
    return value if np.isfinite(value) else ("NaN" if value != value else f"{value:+}")


def write_metrics_json(given: Sequence[Given]) -> bytes:
    items = [
        {
            "name": labels["__name__"],
            "labels": {name: text for name, text in labels.items() if name != "__name__"},
            "value": json_value(value),
            "timestamp": time_ns // 1_000_000,
        }
        for labels, time_ns, value in given
    ]
    return json.dumps({"metrics": items}).encode()


def write_metric_points(given: Sequence[Given]) -> bytes:
    items = json.loads(write_metrics_json(given))["metrics"]
    return json.dumps([{"metric_name": item.pop("name"), **item} for item in items]).encode()


def write_remote_write_2(given: Sequence[Given]) -> bytes:
    request = schema.remote_write_2()["Request"](symbols=[b""])
    number: dict[str, int] = {"": 0}

    def ref(text: str) -> int:
        if text not in number:
            number[text] = len(request.symbols)
            request.symbols.append(text.encode())
        return number[text]

    for labels, time_ns, value in given:
        series = request.timeseries.add()
        for name, text in sorted(labels.items()):
            series.labels_refs.extend((ref(name), ref(text)))
        series.samples.add(value=value, timestamp=time_ns // 1_000_000)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


OUT_OF_TIME = ({"__name__": "bad"}, (2**63 - 1) // 1_000_000 * 2_000_000, 1.0)
PROTOCOLS = {
    "remote_write": Protocol(
        name="remote_write",
        write=write_remote_write,
        content_type="application/x-protobuf",
        encodings=("snappy",),
        bad_item=OUT_OF_TIME,
        empty_is_sound=False,
    ),
    "remote_write_2": Protocol(
        name="remote_write",
        write=write_remote_write_2,
        content_type="application/x-protobuf;proto=io.prometheus.write.v2.Request",
        encodings=("snappy",),
        bad_item=OUT_OF_TIME,
        empty_is_sound=False,
        needs_headers=True,
    ),
    "otlp_metrics": Protocol(
        name="otlp_metrics",
        write=write_otlp,
        content_type="application/x-protobuf",
        encodings=("identity", "gzip", "zstd", "deflate"),
        bad_item=({"__name__": "bad"}, 0, 1.0),
        empty_is_sound=True,
    ),
    "metrics_json": Protocol(
        name="metrics_json",
        write=write_metrics_json,
        content_type="application/json",
        encodings=("identity", "gzip", "zstd", "deflate"),
        bad_item=({"__name__": ""}, NOW_NS, 1.0),
        empty_is_sound=False,
        has_bits=False,
    ),
    "metric_points": Protocol(
        name="metric_points",
        write=write_metric_points,
        content_type="application/json; charset=utf-8",
        encodings=("identity", "gzip", "zstd", "deflate"),
        bad_item=({"__name__": ""}, NOW_NS, 1.0),
        empty_is_sound=False,
        has_bits=False,
    ),
}
EVERY = pytest.mark.parametrize(
    "name",
    sorted(
        [
            "remote_write_2",
            *(
                name
                for name in plugins.BUILTIN["receiver"]
                if plugins.load("receiver", name).makes == "samples"
            ),
        ]
    ),
)
"""Of samples; those of rows have suites of their own."""


@pytest.fixture
def protocol(name: str) -> Protocol:
    return PROTOCOLS[name]


def build(protocol: Protocol, **limits: int) -> Receiver:
    receiver: Receiver = plugins.load("receiver", protocol.name)(Limits(**limits), seed=1)
    return receiver


def given(n: int = 3, prefix: str = "m") -> list[Given]:
    return [
        ({"__name__": f"{prefix}{k}", "job": "shop", "zone": "é"}, NOW_NS + k * 10**9, k + 0.5)
        for k in range(n)
    ]


def decode(protocol: Protocol, body: bytes, **limits: int) -> WireSamples:
    return build(protocol, **limits).decode(body, protocol.headers, now_ns=NOW_NS)


def compress(encoding: str, plain: bytes) -> bytes:
    if encoding == "deflate":
        return zlib.compress(plain)
    codec = {"gzip": cramjam.gzip, "zstd": cramjam.zstd}.get(encoding)
    return bytes(codec.compress(plain)) if codec else plain


@EVERY
def test_what_is_sent_comes_out(protocol: Protocol) -> None:
    sent = given(5)

    assert samples_of(decode(protocol, protocol.write(sent))) == sent


@EVERY
def test_columns_are_aligned_and_of_their_types(protocol: Protocol) -> None:
    wire = decode(protocol, protocol.write(given(5)))

    assert wire.key.dtype == np.uint64
    assert wire.key.shape == (len(wire.kind), 2)
    assert wire.kind.dtype == np.uint8
    assert set(wire.kind.tolist()) <= set(Kind)
    assert (wire.row.dtype, wire.time_ns.dtype, wire.value.dtype) == (
        np.int32,
        np.int64,
        np.float64,
    )
    assert len(wire.row) == len(wire.time_ns) == len(wire.value) == len(wire) == 5
    assert wire.row.min() >= 0
    assert wire.row.max() < len(wire.key)
    for column in (wire.key, wire.kind, wire.row, wire.time_ns, wire.value):
        assert column.flags.c_contiguous
        assert column.flags.writeable


@EVERY
def test_labels_can_be_asked_for_in_any_order_and_often(protocol: Protocol) -> None:
    wire = decode(protocol, protocol.write(given(4)))
    names = {row: labels["__name__"] for row, (labels, _, _) in enumerate(samples_of(wire))}
    rows = [3, 0, 3, 1]

    block = wire.describe(wire.row[rows].astype(np.int64))

    assert len(block) == 4
    assert block.buffer.dtype == np.uint8
    assert block.buffer.flags.writeable, "kernels are compiled for writable arrays"
    assert block.end.max() + READ_SLACK <= len(block.buffer)
    for at, row in enumerate(rows):
        run = block.buffer[block.start[at] : block.end[at]].tobytes()
        assert names[row].encode() in run
    assert len(wire.describe(np.zeros(0, np.int64))) == 0


@EVERY
def test_equal_series_have_equal_keys_and_others_do_not(protocol: Protocol) -> None:
    receiver = build(protocol)
    body = protocol.write(given(3))

    first = receiver.decode(body, protocol.headers, now_ns=NOW_NS)
    again = receiver.decode(body, protocol.headers, now_ns=NOW_NS)
    other = receiver.decode(protocol.write(given(3, "n")), protocol.headers, now_ns=NOW_NS)

    assert (first.key == again.key).all()
    assert (first.key == decode(protocol, body).key).all(), "keys depend on the seed alone"
    keys = {tuple(key) for wire in (first, other) for key in wire.key.tolist()}
    assert len(keys) == 6


@EVERY
def test_what_was_handed_out_is_not_touched_by_later_bodies(protocol: Protocol) -> None:
    receiver = build(protocol)
    sent = [given(40, prefix) for prefix in ("first", "second", "third")]

    wires = [receiver.decode(protocol.write(one), protocol.headers, now_ns=NOW_NS) for one in sent]
    block = wires[0].describe(np.arange(40))
    run = block.buffer[block.start[7] : block.end[7]]
    before = run.tobytes()
    del block, wires[1:]  # of the block, only a view of its buffer is left
    receiver.decode(protocol.write(sent[2]), protocol.headers, now_ns=NOW_NS)

    assert run.tobytes() == before
    assert samples_of(wires[0]) == sent[0]


@EVERY
def test_a_refused_body_leaves_the_receiver_as_it_was(protocol: Protocol) -> None:
    receiver = build(protocol)
    body = protocol.write(given(3))
    for broken in (body[:-1], body[:5], b"\xff" * 40):
        with pytest.raises(BadInput):
            receiver.decode(broken, protocol.headers, now_ns=NOW_NS)

    wire = receiver.decode(body, protocol.headers, now_ns=NOW_NS)

    assert samples_of(wire) == given(3)


@EVERY
def test_a_wrong_content_type_is_415(protocol: Protocol) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        with pytest.raises(BadInput, match=content_type) as refusal:
            build(protocol).decode(
                protocol.write(given()),
                {**protocol.headers, "content-type": content_type},
                now_ns=NOW_NS,
            )
        assert refusal.value.status == 415


@EVERY
def test_headers_may_be_missing_and_in_any_case(protocol: Protocol) -> None:
    body = protocol.write(given())
    shouted = {name: value.upper() for name, value in protocol.headers.items()}
    if protocol.needs_headers:  # of which the parameters' values are as they are
        shouted["content-type"] = protocol.content_type.replace("application", "APPLICATION")
    else:
        assert len(build(protocol).decode(body, {}, now_ns=NOW_NS)) == 3
    assert len(build(protocol).decode(body, shouted, now_ns=NOW_NS)) == 3


@EVERY
def test_an_unknown_encoding_is_415(protocol: Protocol) -> None:
    with pytest.raises(BadInput, match="'br'") as refusal:
        build(protocol).decode(
            protocol.write(given()), {**protocol.headers, "content-encoding": "br"}, now_ns=NOW_NS
        )

    assert refusal.value.status == 415


@EVERY
def test_every_encoding_of_the_protocol_is_read(protocol: Protocol) -> None:
    plain = protocol.write(given())
    for encoding in protocol.encodings:
        wire = build(protocol).decode(
            compress(encoding, plain),
            {**protocol.headers, "content-encoding": encoding},
            now_ns=NOW_NS,
        )
        assert samples_of(wire) == given()


@EVERY
def test_a_truncated_body_is_400_wherever_it_ends(protocol: Protocol) -> None:
    receiver = build(protocol)
    plain = protocol.write(given())
    for encoding in protocol.encodings:
        body = compress(encoding, plain)
        for size in range(1, len(body), 7):
            if encoding == "identity" and protocol.name == "otlp_metrics":
                continue  # protobuf may end at any field; what is cut in two is tested by the fuzz
            with pytest.raises(BadInput) as refusal:
                receiver.decode(
                    body[:size], {**protocol.headers, "content-encoding": encoding}, now_ns=NOW_NS
                )
            assert refusal.value.status == 400


@EVERY
def test_an_empty_body(protocol: Protocol) -> None:
    if protocol.empty_is_sound:
        assert len(decode(protocol, b"")) == 0
        return
    with pytest.raises(BadInput) as refusal:
        decode(protocol, b"")
    assert refusal.value.status == 400


@EVERY
def test_an_empty_list_is_accepted(protocol: Protocol) -> None:
    wire = decode(protocol, protocol.write([]))

    assert len(wire) == 0
    assert wire.rejects == ()


@EVERY
def test_one_bad_item_in_a_thousand_costs_itself(protocol: Protocol) -> None:
    sent = given(1000)
    bad = [*sent[:500], protocol.bad_item, *sent[500:]]

    wire = decode(protocol, protocol.write(bad))

    assert samples_of(wire) == sent
    assert [reject.count for reject in wire.rejects] == [1]
    assert wire.rejects[0].reason.isidentifier(), "it is a metric's label"
    assert len(wire.rejects[0].detail) > 10


@EVERY
def test_a_bomb_is_413_before_it_fills_memory(protocol: Protocol) -> None:
    plain = b"\x00" * (16 << 20)
    bombs = {
        "snappy": lambda: bytes(cramjam.snappy.compress_raw(plain)),
        "gzip": lambda: gzip.compress(plain, 1),
        "zstd": lambda: bytes(cramjam.zstd.compress(plain)),
        "deflate": lambda: zlib.compress(plain, 1),
        "identity": lambda: plain,
    }
    receiver = build(protocol, decompressed_bytes=1 << 20)
    for encoding in protocol.encodings:
        with pytest.raises(TooLarge, match=f"{1 << 20} bytes") as refusal:
            receiver.decode(
                bombs[encoding](),
                {**protocol.headers, "content-encoding": encoding},
                now_ns=NOW_NS,
            )
        assert refusal.value.status == 413


@EVERY
def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not(protocol: Protocol) -> None:
    plain = protocol.write(given())
    size = len(plain)
    if protocol.encodings == ("snappy",):
        size = cramjam.snappy.decompress_raw_len(plain)
    for encoding in protocol.encodings:
        headers = {**protocol.headers, "content-encoding": encoding}
        body = compress(encoding, plain)

        exact = build(protocol, decompressed_bytes=size)
        assert len(exact.decode(body, headers, now_ns=NOW_NS)) == 3
        with pytest.raises(TooLarge):
            build(protocol, decompressed_bytes=size - 1).decode(body, headers, now_ns=NOW_NS)


@EVERY
def test_more_samples_than_allowed_are_413(protocol: Protocol) -> None:
    body = protocol.write(given(11))

    assert len(decode(protocol, body, samples=11)) == 11
    with pytest.raises(TooLarge, match="10 samples"):
        decode(protocol, body, samples=10)


@EVERY
def test_columns_grow_with_the_body(protocol: Protocol) -> None:
    receiver = build(protocol)
    sent = given(20_000)

    wire = receiver.decode(protocol.write(sent), protocol.headers, now_ns=NOW_NS)

    assert len(wire) == 20_000
    assert wire.value.tolist() == [value for _, _, value in sent]
    assert len(receiver.decode(protocol.write(given(2)), protocol.headers, now_ns=NOW_NS)) == 2


@EVERY
def test_values_keep_their_bits(protocol: Protocol) -> None:
    stale: float = struct.unpack("<d", STALE_BITS.to_bytes(8, "little"))[0]
    values = [0.0, -0.0, float("nan"), float("inf"), float("-inf"), 5e-324, 1.7e308, 0.1]
    if protocol.has_bits:
        values.append(stale)
    sent = [({"__name__": "x", "n": str(n)}, NOW_NS, value) for n, value in enumerate(values)]

    wire = decode(protocol, protocol.write(sent))

    assert wire.value.view(np.int64).tolist() == np.array(values).view(np.int64).tolist()


@EVERY
def test_a_megabyte_of_label_value_is_handed_on_whole(protocol: Protocol) -> None:
    """Whether a label is too long is the catalog's to say."""
    sent = [*given(2), ({"__name__": "long", "text": "x" * (1 << 20)}, NOW_NS, 1.0), *given(1, "n")]

    assert samples_of(decode(protocol, protocol.write(sent))) == sent


@EVERY
def test_text_that_is_not_utf8_harms_nobody_else(protocol: Protocol) -> None:
    sent = [*given(2), ({"__name__": "bad", "text": "####"}, NOW_NS, 1.0), *given(1, "n")]
    body = protocol.write(sent)
    if protocol.encodings == ("snappy",):
        raw = bytes(cramjam.snappy.decompress_raw(body)).replace(b"####", b"\xff\xc0\x80\xed")
        body = bytes(cramjam.snappy.compress_raw(raw))
    else:
        body = body.replace(b"####", b"\xff\xc0\x80\xed")

    wire = decode(protocol, body)

    assert len(wire) + sum(reject.count for reject in wire.rejects) == 4
    block = wire.describe(np.arange(len(wire.key)))
    assert len(block) == len(wire.key)


HEADERS_BY_FORM = {
    "json": ("content-type", "application/json"),
    "pb": ("content-type", "application/x-protobuf"),
    "gz": ("content-encoding", "gzip"),
    "zst": ("content-encoding", "zstd"),
    "snappy": ("content-encoding", "snappy"),
    "v2": ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
}


@pytest.mark.parametrize(
    "case", [case for case in golden_cases(__file__) if case.startswith("receivers/")]
)
def test_golden_bodies_are_read_as_reviewed(case: str, golden: Golden) -> None:
    _, name, file = case.split("/")
    _, *forms = file.split(".")
    headers = dict(HEADERS_BY_FORM[form] for form in forms)

    wire = build(PROTOCOLS[name]).decode(golden.given(case), headers, now_ns=NOW_NS)

    golden.check(case, rendered(wire))


def rendered(wire: WireSamples) -> str:
    """One line for each sample and each reject."""
    lines = []
    for n, (labels, time_ns, value) in enumerate(samples_of(wire)):
        series = ", ".join(f'{name}="{text}"' for name, text in sorted(labels.items()))
        is_stale = int(wire.value[n : n + 1].view(np.int64)[0]) == STALE_BITS
        shown = "stale" if is_stale else repr(value)
        kind = Kind(wire.kind[wire.row[n]]).name
        if wire.is_delta is not None and wire.is_delta[wire.row[n]]:
            kind += " DELTA"
        lines.append(f"{time_ns} {shown} {kind} {{{series}}}")
    if wire.families is not None:
        lines += [f"{one}" for one in wire.families(np.arange(len(wire.key)))]
    lines += [
        f"{time_ns} {content!r} {dict(labels)}"
        for labels, time_ns, content in decoder_fuzz.details_of(wire)
    ]
    lines += [f"rejected {one.count}: {one.reason}: {one.detail}" for one in wire.rejects]
    return "\n".join([*lines, ""])
