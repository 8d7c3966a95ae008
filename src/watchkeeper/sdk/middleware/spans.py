"""What was done, as spans of a body: many at once, by the thread that sends.

A request that says nothing of its own is a tuple, which is less to make, to keep and to encode
than the piece of work that it was. Each that is encoded here is counted by its shape too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from watchkeeper.sdk.middleware import otlp
from watchkeeper.sdk.middleware.otlp import END, PARENT, SPAN, START, TRACE
from watchkeeper.sdk.middleware.shapes import BOUNDS_NS, UNNAMED, Shape, Shapes
from watchkeeper.sdk.middleware.work import Work

Plain = tuple[str, str, int, bytes, bytes, int, int]
"""A request's method, route, status, ids of trace and span, parent, start and duration."""


def encoded(done: Iterable[Work | Plain], shapes: Shapes) -> list[bytes]:
    """Spans as items of a body. A request counts even where whoever called does not want its trace
    to be kept."""
    items: list[bytes] = []
    tell, known = items.append, shapes.known
    for one in done:
        if not isinstance(one, tuple):
            shape = UNNAMED if one.outcome is None else shapes.of(*one.outcome)
            shape.count(one.duration_ns)
            if one.sampled:
                tell(_by_itself(one, shape))
            continue
        method, route, status, ids, parent, start_ns, duration_ns = one
        shape = known.get((method, route, status)) or shapes.of(method, route, status)
        shape.counts[bisect_left(BOUNDS_NS, duration_ns)] += 1
        shape.total_ns += duration_ns
        span, end_ns = ids[16:], start_ns + duration_ns
        if parent:
            pack, head = shape.child
            span += PARENT + parent
        else:
            pack, head = shape.root
        tell(pack(head, ids[:16], SPAN, span, START, start_ns, END, end_ns, shape.tail))
    return items


def _by_itself(work: Work, shape: Shape) -> bytes:
    own = work.ids
    body = TRACE + own[:16] + SPAN + own[16:]
    if work.parent:
        body += PARENT + work.parent
    if work.state:
        body += otlp.text(3, work.state)
    body += otlp.span_times(work.start_ns, work.start_ns + work.duration_ns)
    given = {**shape.said, **(work.attributes or {})}
    failed = shape.failed or work.failure is not None
    body += otlp.span_tail(shape.name or work.name, work.kind, given, work.failure, failed=failed)
    for event in work.events or ():
        body += otlp.event(*event)
    return otlp.framed(body)
