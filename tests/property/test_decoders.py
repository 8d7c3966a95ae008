"""The compiled decoders say what the reference says, of sound bytes, odd bytes and broken bytes."""

from __future__ import annotations

import random

import cramjam
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import decoder_fuzz, protobuf_trees
from tests.examples import MANY
from watchkeeper.compiled.memory import padded
from watchkeeper.compiled.wire_kernel import hash_runs, is_ascii, is_utf8, read_varint, write_varint
from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.metric_points import MetricPoints
from watchkeeper.ingest.receivers.metrics_json import MetricsJson
from watchkeeper.ingest.receivers.otlp_json import to_protobuf
from watchkeeper.ingest.receivers.points import label_block, label_run

SEEDS = st.integers(0, 2**64 - 1).map(random.Random)
WRITE_REQUEST = schema.remote_write()["WriteRequest"]
REQUEST_2 = schema.remote_write_2()["Request"]
METRICS_REQUEST = schema.otlp()["ExportMetricsServiceRequest"]


@pytest.fixture(scope="module")
def judge() -> decoder_fuzz.Judge:
    return decoder_fuzz.Judge()


@MANY
@given(rng=SEEDS)
def test_remote_write_is_decoded_as_by_the_reference(
    judge: decoder_fuzz.Judge, rng: random.Random
) -> None:
    sound = decoder_fuzz.write_request(rng)

    judge.remote_write(sound)
    judge.remote_write(decoder_fuzz.odd(sound, WRITE_REQUEST, rng))


@MANY
@given(rng=SEEDS)
def test_broken_remote_write_is_refused_as_by_the_reference(
    judge: decoder_fuzz.Judge, rng: random.Random
) -> None:
    sound = decoder_fuzz.write_request(rng)

    judge.remote_write(protobuf_trees.mutate(sound, rng))
    judge.remote_write(protobuf_trees.mutate(decoder_fuzz.odd(sound, WRITE_REQUEST, rng), rng))


@MANY
@given(rng=SEEDS)
def test_remote_write_2_is_decoded_as_by_the_reference(
    judge: decoder_fuzz.Judge, rng: random.Random
) -> None:
    sound = decoder_fuzz.write_request_2(rng)

    judge.remote_write_2(sound)
    judge.remote_write_2(decoder_fuzz.odd(sound, REQUEST_2, rng))


@MANY
@given(rng=SEEDS)
def test_broken_remote_write_2_is_refused_as_by_the_reference(
    judge: decoder_fuzz.Judge, rng: random.Random
) -> None:
    sound = decoder_fuzz.write_request_2(rng)

    judge.remote_write_2(protobuf_trees.mutate(sound, rng))
    judge.remote_write_2(protobuf_trees.mutate(decoder_fuzz.odd(sound, REQUEST_2, rng), rng))


@MANY
@given(rng=SEEDS)
def test_otlp_is_decoded_as_by_the_reference(judge: decoder_fuzz.Judge, rng: random.Random) -> None:
    sound = decoder_fuzz.metrics_request(rng)

    judge.otlp_metrics(sound)
    judge.otlp_metrics(decoder_fuzz.odd(sound, METRICS_REQUEST, rng))


@MANY
@given(rng=SEEDS)
def test_broken_otlp_is_refused_as_by_the_reference(
    judge: decoder_fuzz.Judge, rng: random.Random
) -> None:
    sound = decoder_fuzz.metrics_request(rng)

    judge.otlp_metrics(protobuf_trees.mutate(sound, rng))
    judge.otlp_metrics(protobuf_trees.mutate(decoder_fuzz.odd(sound, METRICS_REQUEST, rng), rng))


@given(raw=st.binary(max_size=200))
def test_any_bytes_at_all_are_judged_alike(judge: decoder_fuzz.Judge, raw: bytes) -> None:
    judge.remote_write(raw)
    judge.remote_write_2(raw)
    judge.otlp_metrics(raw)


def test_the_fuzz_sees_every_branch_of_interest() -> None:
    """A fuzz whose bodies were all refused would be green, and worth nothing."""
    judge = decoder_fuzz.Judge()
    for seed in range(60):
        rng = random.Random(seed)
        judge.remote_write(decoder_fuzz.odd(decoder_fuzz.write_request(rng), WRITE_REQUEST, rng))
    assert judge.seen["accepted"] > 10
    assert judge.seen["rewritten"] > 5

    judge.seen.clear()
    for seed in range(60):
        rng = random.Random(seed)
        judge.remote_write_2(decoder_fuzz.odd(decoder_fuzz.write_request_2(rng), REQUEST_2, rng))
    assert judge.seen["accepted"] > 10
    assert judge.seen["samples"] > 50
    assert judge.seen["details"] > 20
    assert judge.seen["bad"] > 3

    judge.seen.clear()
    for seed in range(60):
        rng = random.Random(seed)
        judge.otlp_metrics(
            decoder_fuzz.odd(decoder_fuzz.metrics_request(rng), METRICS_REQUEST, rng)
        )
    assert judge.seen["accepted"] - judge.seen["unusual"] > 10
    assert judge.seen["unusual"] > 3
    assert judge.seen["samples"] > 100


@given(rng=SEEDS)
def test_broken_json_is_refused_and_nothing_worse(rng: random.Random) -> None:
    body = protobuf_trees.mutate(
        b'[{"name":"a","metric_name":"a","value":1.5,"labels":{"b":"c"},'
        b'"timestamp":"2025-12-28T10:00:00Z","type":"gauge"},{"name":"b","value":"NaN"}]',
        rng,
    )
    for receiver in (MetricsJson(seed=1), MetricPoints(seed=1)):
        try:
            wire = receiver.decode(body, {}, now_ns=1)
        except BadInput:
            continue
        assert len(wire) + sum(reject.count for reject in wire.rejects) <= len(body)


@given(rng=SEEDS)
def test_broken_otlp_json_is_refused_and_nothing_worse(rng: random.Random) -> None:
    body = protobuf_trees.mutate(
        b'{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":'
        b'{"stringValue":"a"}}]},"scopeMetrics":[{"metrics":[{"name":"m","unit":"ms","sum":'
        b'{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"timeUnixNano":"17",'
        b'"asInt":"3","attributes":[]}]}}]}]}]}',
        rng,
    )
    try:
        raw, _ = to_protobuf(body)
    except BadInput:
        return
    METRICS_REQUEST.FromString(raw)


@given(raw=st.binary(max_size=40) | st.text(max_size=20).map(str.encode))
def test_utf8_is_what_python_takes_for_it(raw: bytes) -> None:
    array = padded(raw)
    try:
        raw.decode()
        is_sound = True
    except UnicodeDecodeError:
        is_sound = False

    assert is_utf8(array.ctypes.data, 0, len(raw)) == is_sound
    assert is_ascii(array.ctypes.data, 0, len(raw)) == raw.isascii()


@given(number=st.integers(0, 2**63 - 1))
def test_a_varint_is_read_as_it_was_written(number: int) -> None:
    array = np.zeros(32, np.uint8)
    end = write_varint(array.ctypes.data, 0, number)

    assert read_varint(array.ctypes.data, 0, end) == (number, end)
    assert read_varint(array.ctypes.data, 0, end - 1)[1] == -1


@given(
    runs=st.lists(
        st.lists(st.tuples(st.binary(max_size=200), st.binary(max_size=200)), max_size=4),
        unique_by=tuple,
        max_size=6,
    )
)
def test_runs_of_labels_have_keys_of_their_own(
    runs: list[list[tuple[bytes, bytes]]],
) -> None:
    block = label_block([label_run(labels) for labels in runs])
    keys = np.zeros((len(runs), 2), np.uint64)
    hash_runs(block.buffer, block.start, block.end, np.uint64(3), keys)

    assert len({tuple(key) for key in keys.tolist()}) == len(runs)
    for number, labels in enumerate(runs):
        assert decoder_fuzz.reference.labels_of(block, number) == tuple(labels)


@given(body=st.binary(max_size=60))
def test_what_is_not_snappy_is_refused(judge: decoder_fuzz.Judge, body: bytes) -> None:
    receiver = decoder_fuzz.RemoteWrite(seed=1)
    try:
        raw = bytes(cramjam.snappy.decompress_raw(body)) if body else None
    except cramjam.DecompressionError:
        raw = None
    if raw is None:
        with pytest.raises(BadInput):
            receiver.decode(body, {}, now_ns=0)
    else:
        judge.remote_write(raw)
