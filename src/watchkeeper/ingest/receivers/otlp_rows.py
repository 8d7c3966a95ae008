"""What OTLP's logs and traces share: resources as origins, attributes as a JSON object of texts.

Names stay as OpenTelemetry writes them, with their dots. Text that is not UTF-8 is shown as such
and costs nobody a line or a span.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.bounds import check_messages
from watchkeeper.ingest.receivers.content import Inflater, content_type
from watchkeeper.ingest.receivers.otlp_naming import value_text
from watchkeeper.model.row import Origin, origin

JSON: Final = "application/json"
_MEDIA: Final = ("", "application/x-protobuf", JSON)
_SCOPE: Final = "otel.scope."
_encode: Final = msgspec.json.Encoder().encode


def inflated(body: bytes, headers: Mapping[str, str], inflater: Inflater) -> tuple[bytes, bool]:
    """The plain body of a request, and whether it is JSON."""
    media, _ = content_type(headers)
    if media not in _MEDIA:
        raise BadInput(
            f"content-type: '{media}' is not known here; OTLP/HTTP uses "
            "application/x-protobuf or application/json",
            status=415,
        )
    return inflater.inflate(body, headers), media == JSON


def parsed(raw: bytes, message: str) -> Any:
    """A request in protobuf, as the message of `schema.otlp()` that it is."""
    with refusing(message):
        return schema.otlp()[message].FromString(raw)


@contextmanager
def refusing(message: str) -> Iterator[None]:
    """What is malformed in here costs the body."""
    try:
        yield
    except DecodeError as error:
        raise BadInput(f"the body is not an {message}: its protobuf is malformed") from error


def origin_of(resource: Any, scope: Any) -> Origin:
    """A resource's attributes, and the scope's under `otel.scope.`."""
    try:
        check_messages([resource.SerializeToString()], "Resource")
        check_messages([scope.SerializeToString()], "InstrumentationScope")
    except ValueError as error:
        raise BadInput(f"a resource or its scope: {error}") from error
    labels = [
        (_SCOPE + "name", _text(scope.name)),
        (_SCOPE + "version", _text(scope.version)),
        *((_SCOPE + _text(one.key), text_of(one.value)) for one in scope.attributes),
        *((_text(one.key), text_of(one.value)) for one in resource.attributes),
    ]
    return origin(labels)


def attributes_text(attributes: Iterable[Any]) -> bytes:
    """A JSON object of texts, or nothing where there is nothing in it."""
    texts = {
        # Most values are texts, and to ask which sort a value is costs more than to read one.
        one.key.decode(errors="replace"): (
            text.decode(errors="replace")
            if (text := one.value.string_value)
            else text_of(one.value)
        )
        for one in attributes
    }
    return _encode(texts) if texts else b""


def text_of(value: Any) -> str:
    """An AnyValue as text: a text as it is, a number as it is read, others as JSON."""
    return value_text(value, errors="replace")


def _text(run: bytes) -> str:
    return run.decode(errors="replace")
