"""The class of a series, by its name, the unit in it, its kind and some labels.

Names follow conventions: Prometheus' (units and `_total` at the end), those of its exporters, and
OpenTelemetry's, which arrive in the same form. What no convention tells is `other`; a rule of the
configuration says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import METRIC_NAME, Kind

_C = MetricClass
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BETWEEN: Final = re.compile(r"[^a-z0-9]+")

_QUANTILES: Final = frozenset({"p50", "p75", "p90", "p95", "p98", "p99", "p999", "median"})
_SECONDS: Final[Mapping[str, float]] = {
    **dict.fromkeys(("seconds", "second", "secs", "sec", "s"), 1.0),
    **dict.fromkeys(("milliseconds", "millisecond", "millis", "msec", "ms"), 1e3),
    **dict.fromkeys(("microseconds", "microsecond", "micros", "usec", "us"), 1e6),
    **dict.fromkeys(("nanoseconds", "nanosecond", "nanos", "ns"), 1e9),
}
"""Units of time: how many of each are in a second."""
_UNITS: Final[Mapping[str, str]] = {
    "bytes": "bytes", "ratio": "ratio", "percent": "%", "celsius": "°C", "volts": "V",
    "watts": "W", "joules": "J", "hertz": "Hz", "meters": "m", "amperes": "A",
}  # fmt: skip
_TIMES: Final = frozenset({
    "duration", "latency", "latencies", "elapsed", "wait", "delay", "rtt", "ttfb",
    "roundtrip",
})  # fmt: skip
_STATE: Final = frozenset({
    "up", "ready", "healthy", "health", "alive", "replicas", "leader", "phase", "condition",
    "enabled", "state", "status", "success", "available", "unavailable", "desired",
})  # fmt: skip
_LOGS: Final = frozenset({
    "log", "logs", "logline", "loglines", "logback", "log4j", "log4j2", "template",
    "templates",
})  # fmt: skip
_LOG_COUNTS: Final = frozenset({
    "lines", "messages", "entries", "events", "records", "rate", "count", "total",
})  # fmt: skip
_ERRORS: Final = frozenset({
    "error", "errors", "err", "errs", "fail", "fails", "failed", "failure", "failures",
    "exception", "exceptions", "panic", "panics", "drop", "drops", "dropped", "discards",
    "discarded", "timeout", "timeouts", "rejected", "denied", "aborted", "abort", "aborts",
    "fault", "faults", "5xx", "4xx", "oom", "ooms", "conflicts", "deadlocks", "crashes",
    "unhandled", "retransmissions", "retrans", "retries",
})  # fmt: skip
_NO_ERRORS: Final = frozenset({"budget", "pgfault", "pagefault", "page", "minor", "major"})
"""Beside these an error is none: a budget that is left, a page that is not in memory."""
_QUEUES: Final = frozenset({
    "queue", "queued", "queues", "queuelength", "backlog", "lag", "pending", "waiting",
    "waiters", "unacked", "unacknowledged", "outstanding", "behind",
})  # fmt: skip
_ASKED: Final = frozenset({
    "requests", "request", "rpc", "rpcs", "calls", "queries", "qps", "rps", "tps",
    "statements",
})  # fmt: skip
_TRAFFIC: Final = frozenset({
    "messages", "message", "events", "operations", "ops", "throughput", "hits", "visits",
    "sessions", "session", "connections", "connection", "handled", "produced", "consumed",
    "published", "delivered", "processed", "received", "sent", "records", "commits",
    "transactions", "commands", "lookups", "reads", "writes", "invocations", "streams",
    "sum_rate", "rate",
})  # fmt: skip
_BUSINESS: Final = frozenset({
    "order", "orders", "revenue", "payment", "payments", "signup", "signups", "checkout",
    "checkouts", "cart", "carts", "purchase", "purchases", "booking", "bookings", "sale",
    "sales", "subscription", "subscriptions", "conversion", "conversions", "refund",
    "refunds", "login", "logins", "registration", "registrations", "invoice", "invoices",
    "gmv", "turnover", "basket", "baskets", "customers", "downloads", "installs", "trades",
    "bids", "shipments",
})  # fmt: skip
_RESOURCES: Final = frozenset({
    "cpu", "memory", "mem", "heap", "disk", "filesystem", "fs", "network", "bytes",
    "utilization", "usage", "used", "free", "avail", "load", "load1", "load5", "load15",
    "swap", "threads", "thread", "goroutines", "fds", "descriptors", "inodes",
    "temperature", "celsius", "power", "watts", "energy", "fan", "volts", "percent",
    "ratio", "saturation", "throttled", "rss", "gc", "limit", "capacity",
})  # fmt: skip
_EXPORTERS: Final = frozenset({
    "node", "container", "process", "system", "machine", "jvm", "go", "hw", "windows",
    "host", "vm", "cadvisor", "kubelet",
})  # fmt: skip
_STATEFUL: Final = frozenset({"kube", "probe"})
"""Exporters that tell of states."""
_BAD_WORDS: Final = frozenset({
    "error", "errors", "fail", "failed", "failure", "false", "ko", "exception",
})  # fmt: skip
_OUTCOMES: Final = (
    "outcome", "result", "otel_status_code", "status", "status_code", "code", "http_status_code",
    "http_response_status_code", "grpc_code", "rpc_grpc_status_code", "error_type",
)  # fmt: skip
"""Labels by which a part of the requests are failed ones."""


def classify(labels: Mapping[str, str], kind: Kind) -> MetricClass:
    """The class that a series' name and labels tell."""
    name = labels.get(METRIC_NAME, "")
    found = _by_name(name, kind == Kind.COUNTER, "quantile" in labels)
    if found is _C.TRAFFIC and _failed(labels):
        return _C.ERRORS
    return found


@lru_cache(maxsize=1 << 16)
def per_second(name: str) -> float:
    """How many of a metric's unit are in a second; 0 where it tells no unit of time."""
    words = [word for word in _words(name) if word not in _QUANTILES]
    return next((_SECONDS[word] for word in reversed(words[-2:]) if word in _SECONDS), 0.0)


def unit_of(name: str) -> str:
    """What a metric's name says of its unit: `time`, `bytes`, `ratio`, `%` or nothing."""
    words = [word for word in _words(name) if word not in _QUANTILES and word != "total"]
    last = words[-1] if words else ""
    if last in _SECONDS and len(words) > 1:
        return "time"
    return _UNITS.get(last, "")


def is_rate(name: str) -> bool:
    """Whether a metric's name says that it counts up, so that its rate is what is judged."""
    return _words(name)[-1:] == ("total",)


@lru_cache(maxsize=1 << 16)
def _words(name: str) -> tuple[str, ...]:
    return tuple(word for word in _BETWEEN.split(_CAMEL.sub("_", name).lower()) if word)


@lru_cache(maxsize=1 << 16)
def _by_name(name: str, is_counter: bool, is_quantile: bool) -> MetricClass:
    words = _words(name)
    of = frozenset(words)
    is_quantile = is_quantile or bool(of & _QUANTILES)
    last = words[-1] if words else ""
    time = _of_time(of, words, is_counter, is_quantile)
    if time is not None:
        return time
    if of & _LOGS and of & _LOG_COUNTS:
        return _C.LOG_RATE
    if of & _ERRORS and not of & _NO_ERRORS:
        return _C.ERRORS
    if of & _QUEUES:
        return _C.QUEUE
    if last in _STATE or words[:1] == ("up",) or (of & _STATEFUL and of & _STATE):
        return _C.STATE
    return _by_subject(of, words)


def _of_time(
    of: frozenset[str], words: tuple[str, ...], is_counter: bool, is_quantile: bool
) -> MetricClass | None:
    """What a name says that speaks of how long something takes. The `_count` of a histogram of
    times is how often, and its `_sum`, as a rate, how many are at it."""
    spoken = bool(of & _TIMES) or ("response" in of and "time" in of)
    if not spoken and not (is_quantile and of & _SECONDS.keys()):
        return None
    last = words[-1]
    if last == "count" or last == "rate":
        return _C.TRAFFIC
    if is_counter or last in ("sum", "total"):
        return _C.RESOURCE if words[0] in _EXPORTERS else _C.OTHER
    return _C.LATENCY


def _by_subject(of: frozenset[str], words: tuple[str, ...]) -> MetricClass:
    if words and words[0] in _EXPORTERS:
        return _C.RESOURCE
    if of & _ASKED and "bytes" not in of:
        return _C.TRAFFIC
    if of & _BUSINESS and not of & _RESOURCES - {"ratio", "usage", "used"}:
        return _C.BUSINESS
    if of & _RESOURCES:
        return _C.RESOURCE
    return _C.TRAFFIC if of & _TRAFFIC else _C.OTHER


def _failed(labels: Mapping[str, str]) -> bool:
    told = (labels[name].lower() for name in _OUTCOMES if name in labels)
    return any(value in _BAD_WORDS or (len(value) == 3 and value[0] == "5") for value in told)
