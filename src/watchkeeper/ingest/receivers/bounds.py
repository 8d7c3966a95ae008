"""Bounds on what a body becomes in memory, held before it is decoded.

The smallest items take the most memory for their bytes: a list of nothing but ones fifty times as
much. So in what is large enough to matter, they are counted first; small bodies are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

import numpy as np

from watchkeeper.compiled.memory import padded
from watchkeeper.errors import TooLarge
from watchkeeper.ingest.receivers import bounds_kernel as kernel
from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.limits import BodyLimit
from watchkeeper.model.series import I64

MAX_VALUES: Final = 100_000
"""In one item: in a line, a span, a sample or a change with all that they say, or in a resource."""
MAX_BODY_VALUES: Final = 4_000_000
"""In a body of protobuf: attributes and their values, as deep as they nest."""
SMALL_BYTES: Final = 1 << 20
"""Bodies and items that are not larger are not counted: they become a hundred MiB at worst."""


def check_lists(body: bytes, depths: Sequence[int], limits: BodyLimit) -> None:
    """That lists of these depths have, each depth for itself, no more elements than a body may have
    items, and that the body is no object of countless members."""
    if len(body) <= SMALL_BYTES:
        return
    in_lists, in_objects = _json_counts(body)
    limits.check_items(int(in_lists[list(depths)].max()))
    if in_objects[1] > MAX_VALUES:
        raise TooLarge(f"the body is an object of more than {MAX_VALUES} members; send a list")


def check_item(item: bytes | memoryview) -> None:
    """Raises ValueError if an item in JSON has more than MAX_VALUES values."""
    if len(item) > SMALL_BYTES:
        in_lists, in_objects = _json_counts(item)
        if in_lists.sum() + in_objects.sum() > MAX_VALUES:
            raise ValueError(_too_many())


def check_messages(several: Sequence[bytes], name: str) -> None:
    """Raises ValueError if one of these messages of OTLP has more than MAX_VALUES values."""
    if max(map(len, several), default=0) > SMALL_BYTES:
        for raw in several:
            if _n_values(_message_counts(raw, name)) > MAX_VALUES:
                raise ValueError(_too_many())


def check_request(raw: bytes, name: str, limits: BodyLimit) -> None:
    """That a request in protobuf has no more rows, and no more of what holds them, than a body may
    have items, and no more than MAX_BODY_VALUES values."""
    if len(raw) <= SMALL_BYTES:
        return
    counts = _message_counts(raw, name)
    if _n_values(counts) > MAX_BODY_VALUES:
        raise TooLarge(
            f"the body has more than {MAX_BODY_VALUES} attributes and values; send smaller batches"
        )
    limits.check_items(max(counts.get(one, 0) for one in _ROWS))


def _too_many() -> str:
    return f"it has more than {MAX_VALUES} values; send less in one item"


def _json_counts(body: bytes | memoryview) -> tuple[I64, I64]:
    in_lists, in_objects = np.zeros((2, kernel.DEPTHS), np.int64)
    kernel.count_json(np.frombuffer(body, np.uint8), in_lists, in_objects)
    return in_lists, in_objects


_VALUES: Final = ("AnyValue", "KeyValue")
_ROWS: Final = (
    *("ResourceLogs", "ScopeLogs", "LogRecord"),
    *("ResourceSpans", "ScopeSpans", "Span"),
    *("Stream", "Entry"),
)
_ROOTS: Final = {"PushRequest": schema.LOKI, "ListOfSpans": schema.ZIPKIN}
"""What is not of OTLP."""
_UNREAD: Final = {
    ("LogRecord", "attributes"): "KeyValue",
    ("ScopeSpans", "spans"): "Span",
    ("ListOfSpans", "spans"): "Span",
    ("Span", "attributes"): "KeyValue",
    ("Span", "events"): "SpanEvent",
    ("Span", "links"): "SpanLink",
    ("SpanEvent", "attributes"): "KeyValue",
    ("SpanLink", "attributes"): "KeyValue",
}
"""Fields that are messages, and bytes to the schema."""


def _n_values(counts: Mapping[str, int]) -> int:
    return sum(counts.get(name, 0) for name in _VALUES)


def _message_counts(raw: bytes, name: str) -> dict[str, int]:
    names, children = _children(name if name in _ROOTS else "")
    counts = np.zeros(len(names), np.int64)
    kernel.count_messages(padded(raw), len(raw), children, names.index(name), counts)
    return dict(zip(names, counts.tolist(), strict=True))


@cache
def _children(root: str) -> tuple[list[str], I64]:
    """The messages of a protocol, and of each field of each which of them it is, or -1."""
    messages = _ROOTS.get(root, schema.OTLP)
    names = list(messages)
    children = np.full((len(names), 16), -1, np.int64)
    for row, (message, fields) in enumerate(messages.items()):
        for field in fields.split(", "):
            number, kind, name = field.split()
            child = _UNREAD.get((message, name), kind.rstrip("*?|"))
            if child in names:
                children[row, int(number)] = names.index(child)
    return names, children
