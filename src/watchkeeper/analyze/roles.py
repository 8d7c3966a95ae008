"""Which part a series plays for its service: a request counter, an error counter, a bucket of
latencies, a share of a resource, a queue. Decided by name, labels and kind, once per series.

What a service sends of itself is told in several ways at once: a counter of requests, a histogram
of their durations, spans. They are not added up: `rank` says who is listened to, the least first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from watchkeeper.model.series import METRIC_NAME, Kind


class Part(IntEnum):
    REQUESTS = 1
    FAILED_REQUESTS = 2
    """Counted by a label of the request counter: they are requests too."""
    ERRORS = 3
    """A counter of its own, beside that of the requests."""
    BUCKET = 4
    """Requests that took up to `bound` seconds."""
    SHARE = 5
    """What is used of something limited; 1 is all of it."""
    QUEUE = 6


@dataclass(frozen=True, slots=True)
class Role:
    part: Part
    rank: int = 0
    """Among those who tell the same: who is listened to, the least first."""
    bound: float = math.nan
    """Of a bucket, in seconds."""
    scale: float = 1.0
    """What a value is to be multiplied with: seconds of what was sent, shares of percents."""


_STATUS: Final = (
    *("http_response_status_code", "http_status_code", "status_code", "status", "code"),
    *("response_code", "grpc_code", "rpc_grpc_status_code", "grpc_status"),
)
_FAULT: Final = re.compile(
    r"5\d\d|5xx|(server_?)?errors?|failed|failure|fault|unknown|deadline_?exceeded|unimplemented"
    r"|internal|unavailable|data_?loss|2|4|12|13|14|15",
    re.IGNORECASE,
)
"""Codes of HTTP and words and numbers of gRPC that say: it was the server. A 2 or 4 is gRPC's."""
_CLIENT: Final = re.compile(r"(^|_)(client|outgoing|upstream|egress)(_|$)")
_DURATION: Final = re.compile(
    r"((^|_)(http|rpc|grpc|request|requests|server|handling|response|span)_.*)?"
    r"(duration|latency|handling|response_time|requests|request_time)"
    r"(_seconds|_milliseconds|_ms|_s)?(?P<part>_bucket|_count)"
)
_REQUESTS: Final = re.compile(r"(.*_)?(requests|calls|server_handled|responses)(_total|_count)?")
_ERRORS: Final = re.compile(r"(.*_)?(errors|failures|exceptions|5xx)(_total|_count)?")
_SHARE: Final = re.compile(
    r".*(cpu|memory|mem|heap|disk|filesystem|fs|pool|connections|threads|fd|descriptors|swap|quota)"
    r".*_(utili[sz]ation|ratio|percent|percentage|saturation|usage_ratio|used_ratio)"
)
_FREE: Final = re.compile(r"(^|_)(free|available|idle|remaining|limit|hit|hits)(_|$)")
_QUEUE: Final = re.compile(
    r"(.*_)?(queue|backlog|pending|lag|in_?flight)(_(depth|size|length|messages|requests|records))?"
)
_SPANS: Final = "span_"
_SERVED: Final = ("", "server", "consumer", "2", "5")
"""Kinds of spans that are requests to a service, as words and as OpenTelemetry numbers them."""
_LIMIT_OF_NAMES: Final = 200
"""A longer name is nobody's convention, and is not looked at."""

_RANK_HISTOGRAM, _RANK_COUNTER, _RANK_SPANS, _RANK_BARE_HISTOGRAM, _RANK_BARE_COUNTER = range(5)


def role_of(labels: Mapping[str, str], kind: Kind) -> Role | None:
    """The part of a series; None for most."""
    name = labels.get(METRIC_NAME, "")
    if not name or len(name) > _LIMIT_OF_NAMES or ("derived" in labels and _SPANS not in name):
        return None
    if name.startswith("span_") and labels.get("span_kind", "").lower() not in _SERVED:
        return None
    if name.startswith("edge_") or _CLIENT.search(name):
        return None
    if kind is Kind.GAUGE:
        return _gauge(name)
    if kind is Kind.UNSCORED:
        return _bucket(name, labels)
    return _counter(name, labels)


def _gauge(name: str) -> Role | None:
    if _SHARE.fullmatch(name) and not _FREE.search(name):
        return Role(Part.SHARE, scale=0.01 if "percent" in name else 1.0)
    return Role(Part.QUEUE) if _QUEUE.fullmatch(name) else None


def _bucket(name: str, labels: Mapping[str, str]) -> Role | None:
    found = _DURATION.fullmatch(name)
    if found is None or found["part"] != "_bucket":
        return None
    try:
        bound = float(labels.get("le", "nan"))
    except ValueError:
        return None
    if math.isnan(bound):
        return None
    unit = 1e-3 if re.search(r"_(milliseconds|ms)_bucket$", name) else 1.0
    rank = _RANK_SPANS if name.startswith(_SPANS) else _RANK_HISTOGRAM
    return Role(Part.BUCKET, rank, bound * unit, unit)


def _counter(name: str, labels: Mapping[str, str]) -> Role | None:
    if name.startswith(_SPANS):
        if _ERRORS.fullmatch(name):
            return Role(Part.ERRORS, _RANK_SPANS)
        return Role(Part.REQUESTS, _RANK_SPANS) if name.endswith("_count") else None
    duration = _DURATION.fullmatch(name)
    if duration is None and _ERRORS.fullmatch(name):
        return Role(Part.ERRORS, _RANK_BARE_COUNTER)
    if duration is None and not _REQUESTS.fullmatch(name):
        return None
    status = next((labels[one] for one in _STATUS if labels.get(one)), None)
    if duration is not None:
        rank = _RANK_HISTOGRAM if status else _RANK_BARE_HISTOGRAM
    else:
        rank = _RANK_COUNTER if status else _RANK_BARE_COUNTER
    failed = status is not None and _FAULT.fullmatch(status) is not None
    return Role(Part.FAILED_REQUESTS if failed else Part.REQUESTS, rank)
