"""Bodies of spans for the decoders, and what stages may rely on whatever came in."""

from __future__ import annotations

import json
import random
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests import decoder_fuzz
from tests import span_senders as senders
from tests.span_senders import FORMS, NOW_NS, Form
from watchkeeper import plugins
from watchkeeper.errors import BadInput
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import WireRows

RECEIVERS = {
    name: plugins.load("receiver", name)() for name in {form.receiver for form in FORMS.values()}
}


def decode(form: Form, body: bytes) -> WireRows:
    wire = RECEIVERS[form.receiver].decode(body, form.headers, now_ns=NOW_NS)
    assert isinstance(wire, WireRows)
    return wire


def check_sound(wire: WireRows) -> None:
    """Whatever came in, this is what stages may rely on."""
    for batch in senders.batches(wire):
        assert len(batch)
        assert (batch.duration_ns >= 0).all()
        assert (batch.start_ns.astype(object) + batch.duration_ns.astype(object) < 2**63).all()
        assert set(batch.kind.tolist()) <= set(SpanKind)
        assert set(batch.status.tolist()) <= set(SpanStatus)
        assert batch.trace.any(axis=1).all()
        assert batch.span.all()
        for row in range(len(batch)):
            assert batch.name[row].decode() is not None
            attributes = senders.attributes_of(batch, row)
            assert all(isinstance(text, str) for text in attributes.values())
            for event in json.loads(batch.events.text(row) or "[]"):
                assert event.keys() == {"time_ns", "name", "attributes"}
                assert -(2**63) <= event["time_ns"] < 2**63
            for link in json.loads(batch.links.text(row) or "[]"):
                assert link.keys() == {"trace_id", "span_id", "attributes"}
    assert all(reject.reason.isidentifier() and reject.count for reject in wire.rejects)


def decoded(form: Form, body: bytes) -> WireRows:
    """Nothing, of a body that is refused for what is in it, in a sentence."""
    try:
        return decode(form, body)
    except BadInput as refusal:
        if refusal.status != 400 or len(str(refusal)) > 500:
            raise
        return WireRows(())


def otlp_request(rng: random.Random) -> Any:
    """A sound request of the published schema, with all that it can say."""
    request = ExportTraceServiceRequest()
    for _ in range(rng.randrange(1, 3)):
        given = request.resource_spans.add(schema_url="x")
        decoder_fuzz.add_attributes(given.resource.attributes, rng, 4)
        scope = given.scope_spans.add()
        scope.scope.name = rng.choice(("", "library"))
        decoder_fuzz.add_attributes(scope.scope.attributes, rng, 1)
        for _ in range(rng.randrange(4)):
            add_span(scope.spans.add(), rng)
    return request


def add_span(span: Any, rng: random.Random) -> None:
    span.trace_id = rng.choice((rng.randbytes(16), bytes(16)))
    span.span_id = rng.randbytes(8)
    span.parent_span_id = rng.choice((b"", rng.randbytes(8)))
    span.trace_state = rng.choice(("", "a=1"))
    span.name = rng.choice(("", "GET /", "größe"))
    span.kind = rng.randrange(6)
    span.start_time_unix_nano = rng.choice((0, 1, NOW_NS, NOW_NS, 2**63, 2**64 - 1))
    span.end_time_unix_nano = rng.choice((0, NOW_NS, NOW_NS + 5, 2**64 - 1))
    span.dropped_attributes_count = rng.choice((0, 0, 3))
    span.dropped_events_count = rng.choice((0, 0, 2**32 - 1))
    span.dropped_links_count = rng.choice((0, 0, 1))
    span.flags = rng.choice((0, 1))
    decoder_fuzz.add_attributes(span.attributes, rng, 4)
    for _ in range(rng.choice((0, 0, 1, 2))):
        event = span.events.add(name="e", time_unix_nano=rng.choice((0, NOW_NS, 2**64 - 1)))
        decoder_fuzz.add_attributes(event.attributes, rng, 2)
    for _ in range(rng.choice((0, 0, 1))):
        link = span.links.add(trace_id=rng.randbytes(16), span_id=rng.randbytes(8))
        decoder_fuzz.add_attributes(link.attributes, rng, 2)
    if rng.random() < 0.5:
        span.status.code = rng.randrange(3)
        span.status.message = rng.choice(("", "größe"))
