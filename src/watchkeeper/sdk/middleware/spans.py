"""What was done, as spans of a body: many at once, by the thread that sends.

A request or a call that says nothing of its own is a tuple, which is less to make, to keep and to
encode than the piece of work that it was. Each request is counted by its shape too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from watchkeeper.sdk.middleware import otlp
from watchkeeper.sdk.middleware.otlp import END, PARENT, SPAN, START, TRACE
from watchkeeper.sdk.middleware.shapes import BOUNDS_NS, UNNAMED, Form, Plain, Shape, Shapes
from watchkeeper.sdk.middleware.work import Work


def encoded(done: Iterable[Work | Plain], shapes: Shapes) -> list[bytes]:
    """Spans as items of a body. A request counts even where whoever called does not want its trace
    to be kept."""
    items: list[bytes] = []
    tell, known, calls = items.append, shapes.known, shapes.calls
    for one in done:
        if not isinstance(one, tuple):
            shape = UNNAMED if one.outcome is None else shapes.of(*one.outcome)
            shape.count(one.duration_ns)
            if one.sampled:
                tell(_by_itself(one, shape))
            continue
        key, ids, parent, start_ns, duration_ns = one
        form: Form
        if len(key) == 4:
            form = calls.get(key) or shapes.of_call(key)
        else:
            form = shape = known.get(key) or shapes.of(*key)
            shape.counts[bisect_left(BOUNDS_NS, duration_ns)] += 1
            shape.total_ns += duration_ns
        span, end_ns = ids[16:], start_ns + duration_ns
        if parent:
            pack, head = form.child
            span += PARENT + parent
        else:
            pack, head = form.root
        tell(pack(head, ids[:16], SPAN, span, START, start_ns, END, end_ns, form.tail))
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
