"""Receivers of spans, of any spans that can be sent, and of bytes that are none."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Sequence

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests import decoder_fuzz, protobuf_trees, span_fuzz
from tests import span_senders as senders
from tests.examples import MANY
from tests.span_senders import FORMS, NS_PER_MS, Form, Sent
from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import thrift
from watchkeeper.model import wire as log_wire
from watchkeeper.model.severity import SpanKind
from watchkeeper.model.signal import WireRows

SEEDS = st.integers(0, 2**64 - 1).map(random.Random)
EVERY = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
TEXTS = st.text(max_size=8)
WORDS = TEXTS.map(lambda text: f"a{text}")


def ids(n_bytes: int) -> st.SearchStrategy[str]:
    return st.integers(1, 256**n_bytes - 1).map(lambda number: f"{number:0{2 * n_bytes}x}")


def spans(form: Form) -> st.SearchStrategy[list[Sent]]:
    """Whatever this form can say."""
    is_record = form.receiver == "telemetry_records"
    one = st.builds(
        Sent,
        trace=ids(16),
        span=ids(8),
        service=st.just("checkout") if form.has_one_service else WORDS,
        name=WORDS,
        kind=st.just(SpanKind.SERVER) if is_record else st.sampled_from(list(SpanKind)[1:]),
        start_ns=st.integers(1, 2**42).map(lambda ms: ms * NS_PER_MS),
        duration_ns=st.integers(0, 2**32).map(lambda ms: ms * NS_PER_MS),
        tags=st.just({})
        if is_record
        else st.dictionaries(WORDS.map(lambda word: f"tag {word}"), TEXTS, max_size=3),
    )
    return st.lists(one, max_size=4)


def logged(wire: WireRows) -> list[bytes]:
    return [log_wire.encode(record) for record in wire.records]


@EVERY
@given(data=st.data())
def test_any_spans_come_out_as_they_were_sent(form: Form, data: st.DataObject) -> None:
    sent = data.draw(spans(form))

    wire = span_fuzz.decode(form, form.write(sent))

    assert senders.facts_of(wire) == senders.facts_sent(sent)
    assert wire.rejects == ()
    tags = [
        {name: text for name, text in senders.attributes_of(batch, row).items() if "tag " in name}
        for batch in senders.batches(wire)
        for row in range(len(batch))
    ]
    assert tags == [dict(one.tags) for one in sent]


@EVERY
@given(data=st.data())
def test_spans_mean_the_same_in_one_body_and_in_two(form: Form, data: st.DataObject) -> None:
    first, second = data.draw(spans(form)), data.draw(spans(form))
    if form.has_one_service and not (first and second):
        return

    together = span_fuzz.decode(form, form.write([*first, *second]))

    apart = [span_fuzz.decode(form, form.write(part)) for part in (first, second)]
    assert senders.facts_of(together) == [fact for wire in apart for fact in senders.facts_of(wire)]


@given(data=st.data())
def test_zipkins_two_forms_mean_the_same(data: st.DataObject) -> None:
    items = [senders.zipkin_item(one) for one in data.draw(spans(FORMS["zipkin"]))]
    for item in items:
        item |= data.draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "parentId": ids(8),
                    "shared": st.just(value=True),
                    "remoteEndpoint": st.just({"serviceName": "s", "ipv4": "10.0.0.9", "port": 9}),
                    "annotations": st.lists(
                        st.fixed_dictionaries({"timestamp": st.integers(1, 2**52), "value": TEXTS}),
                        max_size=2,
                    ),
                },
            )
        )

    as_json = span_fuzz.decode(FORMS["zipkin"], json.dumps(items).encode())
    as_protobuf = span_fuzz.decode(FORMS["zipkin.pb"], senders.zipkin_protobuf(items))

    assert logged(as_json) == logged(as_protobuf)


@MANY
@given(rng=SEEDS)
def test_otlps_two_forms_mean_the_same(rng: random.Random) -> None:
    request = span_fuzz.otlp_request(rng)

    as_protobuf = span_fuzz.decode(FORMS["otlp_traces"], request.SerializeToString())
    as_json = span_fuzz.decode(FORMS["otlp_traces.json"], senders.otlp_json(request))

    assert logged(as_json) == logged(as_protobuf)
    assert as_json.rejects == as_protobuf.rejects


@MANY
@given(rng=SEEDS)
def test_every_way_to_write_a_protobuf_means_the_same(rng: random.Random) -> None:
    raw = span_fuzz.otlp_request(rng).SerializeToString()
    odd = decoder_fuzz.odd(raw, ExportTraceServiceRequest, rng)

    try:
        usual = ExportTraceServiceRequest.FromString(odd).SerializeToString()
    except DecodeError:  # text that is no UTF-8, which we read and the published schema does not
        return

    form = FORMS["otlp_traces"]
    assert logged(span_fuzz.decode(form, odd)) == logged(span_fuzz.decode(form, usual))


@EVERY
@MANY
@given(rng=SEEDS)
def test_broken_bodies_are_refused_or_read_in_part(form: Form, rng: random.Random) -> None:
    sent = [
        Sent(span=f"{rng.getrandbits(63) + 1:016x}", tags={"http.route": "/größe", "n": "1"})
        for _ in range(rng.randrange(4))
    ]
    body = protobuf_trees.mutate(form.write(sent), rng)

    span_fuzz.check_sound(span_fuzz.decoded(form, body))


@MANY
@given(rng=SEEDS)
def test_broken_otlp_with_all_that_it_can_say_is_refused_or_read_in_part(
    rng: random.Random,
) -> None:
    body = protobuf_trees.mutate(span_fuzz.otlp_request(rng).SerializeToString(), rng)

    span_fuzz.check_sound(span_fuzz.decoded(FORMS["otlp_traces"], body))


# Fields of Thrift that no reader knows, of every type and in every place.

Written = tuple[int, bytes]
"""A type, and a value of it as it is written."""

SCALARS: st.SearchStrategy[Written] = st.one_of(
    st.booleans().map(lambda value: (thrift.BOOL, struct.pack(">B", value))),
    st.integers(-128, 127).map(lambda value: (thrift.BYTE, struct.pack(">b", value))),
    st.floats().map(lambda value: (thrift.DOUBLE, struct.pack(">d", value))),
    st.integers(-(2**15), 2**15 - 1).map(lambda value: (thrift.I16, struct.pack(">h", value))),
    st.integers(-(2**31), 2**31 - 1).map(lambda value: (thrift.I32, struct.pack(">i", value))),
    st.integers(-(2**63), 2**63 - 1).map(lambda value: (thrift.I64, struct.pack(">q", value))),
    st.binary(max_size=9).map(lambda raw: (thrift.STRING, struct.pack(">i", len(raw)) + raw)),
)


def as_struct(fields: Sequence[Written]) -> Written:
    content = b"".join(
        struct.pack(">Bh", kind, 100 + number) + raw for number, (kind, raw) in enumerate(fields)
    )
    return thrift.STRUCT, content + senders.STOP


def as_list(kind: int, values: Sequence[Written]) -> Written:
    of = values[0][0] if values else thrift.STRING
    alike = [raw for value_kind, raw in values if value_kind == of]
    return kind, struct.pack(">Bi", of, len(alike)) + b"".join(alike)


def as_map(pair: tuple[Written, Written], n: int) -> Written:
    (key_kind, key), (kind, value) = pair
    return thrift.MAP, struct.pack(">BBi", key_kind, kind, n) + (key + value) * n


VALUES: st.SearchStrategy[Written] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(as_struct),
        st.lists(inner, max_size=3).map(lambda values: as_list(thrift.LIST, values)),
        st.lists(inner, max_size=3).map(lambda values: as_list(thrift.SET, values)),
        st.builds(as_map, st.tuples(inner, inner), st.integers(0, 2)),
    ),
    max_leaves=8,
)
UNKNOWN = st.lists(VALUES, max_size=3).map(lambda values: as_struct(values)[1][:-1])


@MANY
@given(unknown=st.tuples(UNKNOWN, UNKNOWN, UNKNOWN))
def test_fields_that_nobody_knows_change_nothing(unknown: tuple[bytes, bytes, bytes]) -> None:
    form = FORMS["jaeger_thrift"]
    of_span, of_process, of_batch = unknown
    sent = Sent(tags={"a": "b"})
    process = senders.t_string(1, "checkout") + of_process + senders.STOP
    spans = senders.t_list(2, [senders.jaeger_span(sent, more=of_span)])
    body = senders.t_struct(1, process) + of_batch + spans + senders.STOP

    assert logged(span_fuzz.decode(form, body)) == logged(
        span_fuzz.decode(form, senders.write_jaeger([sent]))
    )


@given(size=st.integers(0, 10_000))
def test_a_batch_that_is_cut_anywhere_is_refused(size: int) -> None:
    body = senders.write_jaeger(senders.many(3))

    with pytest.raises(BadInput):
        span_fuzz.decode(FORMS["jaeger_thrift"], body[: size % len(body)])
