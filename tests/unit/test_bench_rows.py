"""The bodies of lines and spans that the doors suite sends."""

from __future__ import annotations

import cramjam
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.rows import RARE, ROWS_PER_BODY, SPANS_PER_TRACE, Lines, Spans

START_NS = 1_700_000_000_000_000_000


def read_lines(body: bytes) -> ExportLogsServiceRequest:
    return ExportLogsServiceRequest.FromString(bytes(cramjam.gzip.decompress(body)))


def test_lines_have_times_of_their_own_and_ids_that_no_other_has() -> None:
    maker = Lines(seed=1)

    first, second = (read_lines(maker.body(START_NS, 1000)) for _ in range(2))

    lines = first.resource_logs[0].scope_logs[0].log_records
    assert [line.time_unix_nano for line in lines] == [
        START_NS + 1000 * row for row in range(ROWS_PER_BODY)
    ]
    assert RARE in lines[0].body.string_value
    said = {line.body.string_value for line in lines}
    others = second.resource_logs[0].scope_logs[0].log_records
    assert len(said) == ROWS_PER_BODY
    assert said.isdisjoint(line.body.string_value for line in others)


def test_spans_form_traces_with_one_root_each() -> None:
    maker = Spans(seed=1)

    request = ExportTraceServiceRequest.FromString(
        bytes(cramjam.gzip.decompress(maker.body(START_NS, 1000)))
    )

    spans = [span for one in request.resource_spans for span in one.scope_spans[0].spans]
    traces: dict[bytes, list[bytes]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span.parent_span_id)
        assert span.end_time_unix_nano > span.start_time_unix_nano
    assert len(traces) == ROWS_PER_BODY // SPANS_PER_TRACE
    roots = {span.trace_id: span.span_id for span in spans if not span.parent_span_id}
    assert all(set(parents[1:]) == {roots[trace]} for trace, parents in traces.items())
    assert maker.newest_trace == spans[0].trace_id.hex()
