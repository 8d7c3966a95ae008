"""Loki's push: streams of lines as JSON or protobuf, in today's form or that of before 2019.

A stream's labels are the origin of its lines, what a line brings besides (structured metadata) its
attributes. How grave a line is, is taken from a label or from metadata, and so is its trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Final

import cramjam
import msgspec
from google.protobuf.message import DecodeError
from msgspec import Raw, Struct

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import ids, schema
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.bounds import check_item, check_lists, check_request
from watchkeeper.ingest.receivers.content import Inflater, content_encoding, content_type
from watchkeeper.ingest.receivers.json_items import LabelValue, as_texts, time_ns_of
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.lines import Lines
from watchkeeper.ingest.receivers.loki_labels import labels_of
from watchkeeper.model.row import Origin, origin
from watchkeeper.model.severity import Severity, severity_of
from watchkeeper.model.signal import WireRows

LEVELS: Final = ("level", "severity", "detected_level", "lvl")
"""Names under which a level is found, first one first."""

_PROTOBUF: Final = ("", "application/x-protobuf")
_JSON: Final = ("application/json", "text/json")
_NS_PER_S: Final = 1_000_000_000
_MAX_RATIO: Final = 22
"""A copy of at most 64 bytes takes 3, so what claims to grow more is not snappy."""
_CACHED_BYTES: Final = 1000
"""What is longer is not kept for the next time, so that the caches stay small whoever sends."""
_BAD: Final = (msgspec.DecodeError, DecodeError, ValueError, OverflowError, RecursionError)

Metadata = dict[str, str]
_Entry = tuple[int, bytes, Metadata]
"""Time, line, structured metadata."""


_NONE: Final = Raw(b"null")


class _Value(Struct, array_like=True):
    time_ns: str | int
    line: str
    metadata: dict[str, LabelValue] | None = None


class _OldEntry(Struct):
    ts: str
    line: str


class _Stream(Struct):
    stream: Raw = _NONE
    values: list[Raw] | None = None
    labels: str = ""
    """Of the older form, which has `entries`."""
    entries: list[Raw] | None = None


class _Push(Struct):
    streams: list[_Stream]


_decode_push = msgspec.json.Decoder(_Push).decode
_decode_labels = msgspec.json.Decoder(dict[str, LabelValue] | None).decode
_decode_value = msgspec.json.Decoder(_Value).decode
_decode_old_entry = msgspec.json.Decoder(_OldEntry).decode
_encode = msgspec.json.Encoder().encode


class Loki:
    """The receiver of `POST /loki/api/v1/push`. A bad stream or line costs itself only."""

    Config = RowLimits
    makes: ClassVar[Noun] = "lines"

    def __init__(self, config: RowLimits | None = None) -> None:
        self._limits = config or RowLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        media, _ = content_type(headers)
        if media not in (*_PROTOBUF, *_JSON):
            raise BadInput(
                f"content-type: '{media}' is not known here; use application/json or "
                "application/x-protobuf",
                status=415,
            )
        lines = Lines(self._limits)
        if media in _JSON:
            plain = self._plain_json(body, headers)
            check_lists(plain, (2, 4), self._limits)
            _read_json(plain, lines)
        else:
            plain = self._plain_protobuf(body, headers)
            check_request(plain, "PushRequest", self._limits)
            _read_protobuf(plain, lines)
        return lines.take()

    def _plain_json(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        if content_encoding(headers) == "snappy":
            return self._from_snappy(body)
        return self._inflater.inflate(body, headers)

    def _plain_protobuf(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        encoding = content_encoding(headers)
        if encoding in ("", "snappy"):
            return self._from_snappy(body)
        plain = self._inflater.inflate(body, headers)
        if encoding == "identity":
            return plain
        try:  # Loki itself expects snappy within gzip; who does not know that, sends none
            return self._from_snappy(plain)
        except BadInput:
            return plain

    def _from_snappy(self, body: bytes) -> bytes:
        try:
            size: int = cramjam.snappy.decompress_raw_len(body)
            if size > self._limits.decompressed_bytes:
                raise self._limits.too_many_bytes()
            if size <= len(body) * _MAX_RATIO:
                return bytes(cramjam.snappy.decompress_raw(body))
        except cramjam.DecompressionError as error:
            raise BadInput(f"the body is not sound snappy (block format): {error}") from error
        raise BadInput(
            f"the body is not sound snappy (block format): {len(body)} bytes cannot become the "
            f"{size} that they claim"
        )


def _read_json(plain: bytes, lines: Lines) -> None:
    try:
        push = _decode_push(plain)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadInput(f"the body is not a push of Loki: {error}") from error
    for stream in push.streams:
        values, entries = stream.values or [], stream.entries or []
        try:
            check_item(stream.stream)
            found = origin(as_texts(_decode_labels(stream.stream) or {}).items())
            if stream.labels:
                found = origin(labels_of(stream.labels).items())
        except _BAD as error:
            lines.reject("bad_labels", str(error), len(values) + len(entries))
            continue
        _add(lines, found, values, _value)
        _add(lines, found, entries, _old_entry)


def _read_protobuf(plain: bytes, lines: Lines) -> None:
    try:
        push = schema.loki()["PushRequest"].FromString(plain)
    except DecodeError as error:
        raise BadInput("the body is not a PushRequest: its protobuf is malformed") from error
    for stream in push.streams:
        try:
            found = _origin_of(stream.labels)
        except ValueError as error:
            lines.reject("bad_labels", str(error), len(stream.entries))
            continue
        _add(lines, found, stream.entries, _entry)


def _add(lines: Lines, found: Origin, items: Iterable[Any], read: Any) -> None:
    lines.come_from(found)
    usual = _severity(dict(found.labels))
    for item in items:
        try:
            time_ns, line, metadata = read(item)
        except _BAD as error:
            lines.reject("bad_item", f"a line of {str(dict(found.labels))[:200]}: {error}")
            continue
        if metadata:
            lines.add(
                line,
                time_ns,
                severity=_severity(metadata) or usual,
                attributes=_encode(metadata),
                trace=_id(metadata, "trace_id", ids.trace_id, ids.NO_TRACE),
                span=_id(metadata, "span_id", ids.span_id, ids.NO_SPAN),
            )
        else:
            lines.add(line, time_ns, severity=usual)


def _value(item: Raw) -> _Entry:
    check_item(item)
    value = _decode_value(item)
    metadata = as_texts(value.metadata) if value.metadata else {}
    return int(value.time_ns), value.line.encode(), metadata


def _old_entry(item: Raw) -> _Entry:
    entry = _decode_old_entry(item)
    return time_ns_of(entry.ts, 0), entry.line.encode(), {}


def _entry(item: Any) -> _Entry:
    at = item.timestamp
    metadata = dict(
        [_known_pair(raw) if len(raw) <= _CACHED_BYTES else _pair(raw) for raw in item.metadata]
    )
    return at.seconds * _NS_PER_S + at.nanos, item.line, metadata


def _severity(words: Mapping[str, str]) -> Severity:
    for name in LEVELS:
        if word := words.get(name):
            return severity_of(word)
    return Severity.UNKNOWN


def _id(metadata: Metadata, name: str, read: Callable[[str], bytes], none: bytes) -> bytes:
    """Of metadata that is an id; it may as well be anything else."""
    text = metadata.get(name)
    if not text:
        return none
    try:
        return read(text)
    except ValueError:
        return none


def _pair(raw: bytes) -> tuple[str, str]:
    pair = schema.loki()["LabelPair"].FromString(raw)
    return pair.name.decode(errors="replace"), pair.value.decode(errors="replace")


def _origin_of(labels: bytes) -> Origin:
    return _known_origin(labels) if len(labels) <= _CACHED_BYTES else _origin(labels)


def _origin(labels: bytes) -> Origin:
    return origin(labels_of(labels.decode(errors="replace")).items())


_known_pair = lru_cache(maxsize=20_000)(_pair)
_known_origin = lru_cache(maxsize=5_000)(_origin)
