"""CloudEvents 1.0 over HTTP: structured, in batches, or binary."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers.content import Inflater, content_type
from watchkeeper.ingest.receivers.json_items import JSON_TYPES, read_items

_ONE: Final = "application/cloudevents+json"
_BATCH: Final = "application/cloudevents-batch+json"
_REQUIRED: Final = ("id", "source", "specversion", "type")
_PREFIX: Final = "ce-"
_PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


class Event(Struct):
    """As it is read; `check` says whether it is whole."""

    id: str = ""
    source: str = ""
    specversion: str = ""
    type: str = ""
    subject: str | None = None
    time: str | None = None
    data: Raw = Raw(b"{}")
    data_base64: bytes | None = None

    def content(self) -> bytes:
        """Its data, which is to be JSON."""
        if self.data_base64 is not None:
            return self.data_base64
        return bytes(self.data)


_decode = msgspec.json.Decoder(Event).decode


def read_events(body: bytes, headers: Mapping[str, str], inflater: Inflater) -> list[Raw]:
    """Each event as a JSON object. Raises BadInput: 415 for a form that is none of the three."""
    media, _ = content_type(headers)
    if media in (_ONE, _BATCH):
        return read_items(
            body,
            headers,
            inflater,
            is_single_allowed=media == _ONE,
            listed_under="",
            media_types=(media,),
        )
    if not any(name.startswith(_PREFIX) for name in headers):
        raise BadInput(
            f"content-type: '{media}' is no CloudEvent; use {_ONE}, {_BATCH} or headers ce-*",
            status=415,
        )
    if media not in JSON_TYPES:
        raise BadInput(
            f"content-type: data as '{media}' is not read; use application/json", status=415
        )
    return [_binary(inflater.inflate(body, headers), headers)]


def event_of(raw: Raw) -> Event:
    """Raises ValueError where an attribute is missing that each must have."""
    event = _decode(raw)
    missing = [name for name in _REQUIRED if not getattr(event, name)]
    if missing:
        raise ValueError(f"the event has no {', '.join(missing)}")
    if not event.specversion.startswith("1."):
        raise ValueError(f"the event is of version '{event.specversion}'; 1.0 is known")
    return event


def _binary(data: bytes, headers: Mapping[str, str]) -> Raw:
    if _PREFIX + "datacontenttype" in headers:
        raise BadInput("ce-datacontenttype: says what content-type is there to say; leave it out")
    event: dict[str, Any] = {
        name.removeprefix(_PREFIX): _header(name, text)
        for name, text in headers.items()
        if name.startswith(_PREFIX)
    }
    if data.strip():
        event["data"] = Raw(data)
    return Raw(msgspec.json.encode(event))


def _header(name: str, text: str) -> str:
    """Percent-decoded, once."""
    try:
        raw = text.strip('"').encode("latin-1")
        return _PERCENT.sub(lambda found: bytes([int(found[1], 16)]), raw).decode()
    except UnicodeError as error:
        raise BadInput(f"{name}: is no UTF-8 once decoded") from error
