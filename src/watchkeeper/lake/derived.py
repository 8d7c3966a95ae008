"""What we derive of histograms: how these series are called, and of which slots they come.

Of a classic histogram, whose buckets are counters, `<name>:p50`, `:p95` and `:p99` are derived; its
rate is what `<name>_count` is scored as already. A native histogram has no such counter, and gives
`<name>:rate` too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.model.series import F64, I32, METRIC_NAME, LabelBlock

LABEL: Final = "derived"
"""Marks a series that nobody sent; says of what it was made."""
BUCKETS: Final = "buckets"
NATIVE: Final = "native"
SPANS: Final = "spans"
"""Of these the histograms themselves are derived (see `red.py`)."""
QUANTILES: Final = (0.5, 0.95, 0.99)
PARTS: Final = ("p50", "p95", "p99", "rate")
RATE: Final = 3
"""Which of the parts is no quantile."""
_BUCKET: Final = "_bucket"
_BOUND: Final = "le"


@dataclass(frozen=True, slots=True)
class Links:
    """Of some slots, what is derived of the histogram that each belongs to."""

    derived: I32
    """(n, 4): the slots of the parts; -1 where there is none."""
    bound: F64
    """Of a bucket, `le`; else NaN."""


def bucket(labels: Mapping[str, str]) -> tuple[dict[str, str], float] | None:
    """(the labels of the histogram, the bound) of a bucket; None for what is none."""
    name = labels.get(METRIC_NAME, "")
    if not name.endswith(_BUCKET) or _BOUND not in labels:
        return None
    if labels.get(LABEL, SPANS) != SPANS:
        return None
    try:
        bound = float(labels[_BOUND])
    except ValueError:
        return None
    if math.isnan(bound):
        return None
    own = {label: value for label, value in labels.items() if label != _BOUND}
    return own | {METRIC_NAME: name.removesuffix(_BUCKET)}, bound


def parts_of(histogram: Mapping[str, str], origin: str) -> list[dict[str, str]]:
    """The labels of all that is derived of a histogram, in the order of PARTS."""
    name = histogram[METRIC_NAME]
    parts = PARTS if origin == NATIVE else PARTS[:RATE]
    return [{**histogram, METRIC_NAME: f"{name}:{part}", LABEL: origin} for part in parts]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be registered or found for some slots."""

    labels: tuple[Mapping[str, str], ...]
    first: I32
    """By slot, which of `labels` is the first of its histogram's parts; -1 for no histogram."""
    n_parts: int
    bound: F64

    def links(self, slots: I32) -> Links:
        """`slots` is where each of `labels` is."""
        derived = np.full((len(self.first), len(PARTS)), -1, np.int32)
        for part in range(self.n_parts):
            there = self.first >= 0
            derived[there, part] = slots[self.first[there] + part]
        return Links(derived, self.bound)


def plan(labels: Sequence[Mapping[str, str]], *, origin: str) -> Plan:
    """Of series with these labels: buckets, or native histograms."""
    found: dict[tuple[tuple[str, str], ...], int] = {}
    wanted: list[Mapping[str, str]] = []
    first = np.full(len(labels), -1, np.int32)
    bound = np.full(len(labels), math.nan)
    for row, one in enumerate(labels):
        if origin == BUCKETS:
            member = bucket(one)
            if member is None:
                continue
            histogram, bound[row] = member
        elif METRIC_NAME in one and LABEL not in one:
            histogram = dict(one)
        else:
            continue
        key = tuple(sorted(histogram.items()))
        if key not in found:
            found[key] = len(wanted)
            wanted += parts_of(histogram, origin)
        first[row] = found[key]
    n_parts = len(PARTS) if origin == NATIVE else RATE
    return Plan(tuple(wanted), first, n_parts, bound)


def block(labels: Sequence[Mapping[str, str]]) -> LabelBlock:
    """Labels in the form in which receivers hand them on."""
    runs = [b"".join(_label(*pair) for pair in one.items()) for one in labels]
    end = np.cumsum([len(run) for run in runs], dtype=np.int64)
    start = end - np.array([len(run) for run in runs], np.int64)
    buffer = np.frombuffer(bytearray().join([*runs, bytes(READ_SLACK)]), np.uint8)
    return LabelBlock(buffer, start, end)


def _label(name: str, value: str) -> bytes:
    pair = _sized(0x0A, name.encode()) + _sized(0x12, value.encode())
    return _sized(0x0A, pair)


def _sized(tag: int, content: bytes) -> bytes:
    head = bytearray([tag])
    size = len(content)
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + content
