"""OpenTelemetry's names and attributes as Prometheus' metric names and labels.

The rules are those of OpenTelemetry's page "Prometheus and OpenMetrics compatibility": characters
that Prometheus does not take become `_`, the unit is spelled out behind the name, `_total` follows
what only grows, and nothing is said twice.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np

from watchkeeper.ingest.receivers import otlp_point_kernel as kernel
from watchkeeper.ingest.receivers import schema
from watchkeeper.model.series import METRIC_NAME

IDENTIFYING: Final[Mapping[str, str]] = {
    "service.name": "service",
    "service.namespace": "service_namespace",
    "service.instance.id": "instance",
    "deployment.environment": "environment",
    "deployment.environment.name": "environment",  # the newer name; it wins where both are given
    "host.name": "node",
}
"""Resource attributes that say who speaks, and their labels. Others are dropped, because they would
start new series at each deployment (process ids, command lines, SDK versions)..."""
IDENTIFYING_PREFIXES: Final = ("k8s.", "container.", "cloud.")
"""... except these, which become labels under their own names."""

_UNITS: Final[Mapping[str, str]] = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "kBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
    "1": "",
}
_PER: Final[Mapping[str, str]] = {
    "s": "second",
    "m": "minute",
    "min": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "y": "year",
}
_WORDS: Final = re.compile(r"[A-Za-z0-9:]+")
_NOT_IN_LABELS: Final = re.compile(r"[^A-Za-z0-9_]")
_CACHED_BYTES: Final = 200
_CACHED_RESOURCE_BYTES: Final = 8 << 10
"""What is longer is not kept for the next time, so that the caches stay small whoever sends."""
_SUFFIXES: Final = {kernel.COUNT: "_count", kernel.SUM: "_sum", kernel.BUCKET: "_bucket"}


def metric_name(name: bytes, unit: bytes, what: int) -> str:
    """`http.server.duration`, `ms`, a histogram -> `http_server_duration_milliseconds`."""
    if len(name) + len(unit) > _CACHED_BYTES:
        return _metric_name(name, unit, what)
    return _known_metric_name(name, unit, what)


def label_name(key: bytes) -> str:
    """`http.method` -> `http_method`. Names that Prometheus keeps for itself get a prefix."""
    return _known_label_name(key) if len(key) <= _CACHED_BYTES else _label_name(key)


def labels_of_resource(resource: bytes) -> dict[str, str]:
    """As `resource_labels`, of a resource in protobuf. The dict is not the caller's to change."""
    if len(resource) > _CACHED_RESOURCE_BYTES:
        return _labels_of_resource(resource)
    return _known_labels_of_resource(resource)


def resource_labels(attributes: Iterable[Any]) -> dict[str, str]:
    """The labels of what a resource's attributes identify."""
    identifying = [
        (attribute.key, attribute.value)
        for attribute in attributes
        if (key := attribute.key.decode()) in IDENTIFYING or key.startswith(IDENTIFYING_PREFIXES)
    ]
    # In the order of the keys, so that the newer name of the environment comes last.
    identifying.sort(key=lambda pair: pair[0])
    return {
        IDENTIFYING.get(key.decode()) or label_name(key): value_text(value)
        for key, value in identifying
    }


def attribute_labels(attributes: Iterable[Any]) -> dict[str, str]:
    """The labels of a data point's attributes. Where two fall on one name, both are kept in it."""
    labels: dict[str, str] = {}
    for key, value in sorted(
        (attribute.key, value_text(attribute.value)) for attribute in attributes
    ):
        name = label_name(key)
        labels[name] = f"{labels[name]};{value}" if name in labels else value
    return labels


def series_labels(own: Mapping[str, str], metric: str, part: int, bound: float) -> dict[str, str]:
    """The labels of one of a point's series; `own` are those of its resource and attributes."""
    labels = {**own, METRIC_NAME: metric + _SUFFIXES.get(part, "")}
    if part == kernel.BUCKET:
        labels["le"] = bound_text(bound)
    elif part == kernel.QUANTILE:
        labels["quantile"] = bound_text(bound)
    return labels


def bound_text(number: float) -> str:
    """As Prometheus' clients write it: the shortest digits, without an exponent."""
    if math.isfinite(number):
        return np.format_float_positional(number, trim="-")
    return "NaN" if math.isnan(number) else ("+Inf" if number > 0 else "-Inf")


def value_text(value: Any, errors: str = "strict") -> str:
    """An AnyValue as a label's value: scalars as they are read, others as JSON.

    `errors` says, as Python does, what becomes of text that is not UTF-8.
    """
    plain = _plain(value, errors)
    if isinstance(plain, str):
        return plain
    if isinstance(plain, float):
        return repr(plain).removesuffix(".0")
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any, errors: str) -> Any:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value.decode(errors=errors)
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case "array_value":
            return [_plain(item, errors) for item in value.array_value.values]
        case "kvlist_value":
            return {
                item.key.decode(errors=errors): _plain(item.value, errors)
                for item in value.kvlist_value.values
            }
    return ""


def _metric_name(name: bytes, unit: bytes, what: int) -> str:
    words = _WORDS.findall(name.decode())
    main, _, per = unit.decode().partition("/")
    for suffix in (_unit(main, _UNITS), _per(per)):
        if suffix and suffix not in words:
            words.append(suffix)
    if what == kernel.COUNTER:
        words = [*(word for word in words if word != "total"), "total"]
    if what == kernel.GAUGE and unit == b"1":
        words = [*(word for word in words if word != "ratio"), "ratio"]
    joined = "_".join(words)
    return f"_{joined}" if not joined or joined[0].isdigit() else joined


def _label_name(key: bytes) -> str:
    name = _NOT_IN_LABELS.sub("_", key.decode())
    if not name or name[0].isdigit():
        return f"key_{name}"
    return f"key{name}" if name.startswith("__") else name


def _labels_of_resource(resource: bytes) -> dict[str, str]:
    return resource_labels(schema.otlp()["Resource"].FromString(resource).attributes)


_known_metric_name = lru_cache(maxsize=10_000)(_metric_name)
_known_label_name = lru_cache(maxsize=10_000)(_label_name)
_known_labels_of_resource = lru_cache(maxsize=1_000)(_labels_of_resource)


def _unit(text: str, names: Mapping[str, str]) -> str:
    text = text.strip()
    if "{" in text or "}" in text:  # an annotation such as {packets}: for people
        return ""
    return "_".join(_WORDS.findall(names.get(text, text)))


def _per(text: str) -> str:
    name = _unit(text, _PER)
    return f"per_{name}" if name else ""
