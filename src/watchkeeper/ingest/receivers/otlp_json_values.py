"""What OTLP's signals share in JSON: resources, scopes, attributes and numbers, brought into
protobuf, and what becomes of a bad body or item.

Keys are lowerCamelCase and nothing else, 64-bit integers are strings or numbers.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.bounds import check_item
from watchkeeper.model.signal import Reject

Integer = int | str
Double = float | str


class _ArrayValue(Struct, rename="camel"):
    values: list[AnyValue] | None = None


class _KeyValueList(Struct, rename="camel"):
    values: list[KeyValue] | None = None


class AnyValue(Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Integer | None = None
    double_value: Double | None = None
    array_value: _ArrayValue | None = None
    kvlist_value: _KeyValueList | None = None
    bytes_value: str | None = None


class KeyValue(Struct, rename="camel"):
    key: str | None = None
    value: AnyValue | None = None


class _Resource(Struct, rename="camel"):
    attributes: list[KeyValue] | None = None


class _Scope(Struct, rename="camel"):
    name: str | None = None
    version: str | None = None
    attributes: list[KeyValue] | None = None


NONE: Final = Raw(b"null")
"""A resource or a scope that is not given."""
_decode_resource: Final = msgspec.json.Decoder(_Resource | None).decode
_decode_scope: Final = msgspec.json.Decoder(_Scope | None).decode
_MAX_DEPTH: Final = 32
"""Of lists and maps in an attribute; protobuf itself ends at 100, counted from the root."""
BAD: Final = (msgspec.DecodeError, ValueError, TypeError, RecursionError)
"""What a bad item raises, from here or from protobuf's own checks of ranges."""


@contextmanager
def reading(request: str) -> Iterator[None]:
    """Refuses a body that is no such request."""
    try:
        yield
    except BAD as error:
        raise BadInput(f"the body is not an {request} in JSON: {error}") from error


def sound(
    convert: Callable[[Raw, list[str]], Any], items: list[Raw] | None, faults: list[str]
) -> Iterator[Any]:
    """The items that can be converted; of the others, what is wrong with them."""
    for item in items or ():
        try:
            converted = convert(item, faults)
        except BAD as error:
            faults.append(str(error))
        else:
            yield converted


def rejected(faults: Sequence[str]) -> tuple[Reject, ...]:
    """What is said of items that were left out."""
    return (Reject("bad_item", len(faults), faults[0]),) if faults else ()


def fill_resource(to: Any, raw: Raw) -> None:
    """Write a Resource, where one is given. Raises one of BAD."""
    check_item(raw)
    given = _decode_resource(raw)
    if given is not None:
        to.attributes.extend(attributes_of(given.attributes))


def fill_scope(to: Any, raw: Raw) -> None:
    """Write an InstrumentationScope, where one is given. Raises one of BAD."""
    check_item(raw)
    given = _decode_scope(raw)
    if given is None:
        return
    to.name = (given.name or "").encode()
    to.version = (given.version or "").encode()
    to.attributes.extend(attributes_of(given.attributes))


def attributes_of(given: list[KeyValue] | None, depth: int = 0) -> list[Any]:
    key_value = schema.otlp()["KeyValue"]
    return [
        key_value(
            key=(one.key or "").encode(),
            value=value_of(one.value, depth) if one.value is not None else None,
        )
        for one in given or ()
    ]


def encoded(given: list[KeyValue] | None) -> list[bytes]:
    """Attributes as they are kept until they become text."""
    return [one.SerializeToString() for one in attributes_of(given)]


def value_of(given: AnyValue, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ValueError(f"an attribute nests deeper than {_MAX_DEPTH} levels")
    any_value = schema.otlp()["AnyValue"]
    match only(given, given.__struct_fields__):
        case "string_value":
            return any_value(string_value=(given.string_value or "").encode())
        case "bool_value":
            return any_value(bool_value=given.bool_value)
        case "int_value":
            return any_value(int_value=integer(given.int_value))
        case "double_value":
            return any_value(double_value=double(given.double_value))
        case "bytes_value":
            return any_value(bytes_value=base64.b64decode(given.bytes_value or ""))
        case "array_value":
            items = given.array_value.values if given.array_value else None
            values = [value_of(item, depth + 1) for item in items or ()]
            return any_value(array_value=schema.otlp()["ArrayValue"](values=values))
        case "kvlist_value":
            pairs = given.kvlist_value.values if given.kvlist_value else None
            values = attributes_of(pairs, depth + 1)
            return any_value(kvlist_value=schema.otlp()["KeyValueList"](values=values))
    return any_value()


def only(given: Struct, names: Iterable[str]) -> str:
    """Which of several fields, that exclude one another, is given; "" if none is."""
    found = [name for name in names if getattr(given, name) is not None]
    if len(found) > 1:
        raise ValueError(f"{' and '.join(found)} exclude one another")
    return found[0] if found else ""


def integer(value: Integer | None) -> int | None:
    return int(value) if isinstance(value, str) else value


def double(value: Double | None) -> float | None:
    return float(value) if isinstance(value, str) else value
