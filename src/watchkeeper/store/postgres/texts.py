"""What PostgreSQL cannot hold of our texts, and how it is kept nevertheless. Pure.

A text may hold any character but NUL, in tables as in JSON.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from watchkeeper.store.records import Row

_SHOWN: Final = frozenset({"anomaly"})
"""Kinds that a view shows. Of keys and users nothing is laid open."""
_ESCAPE: Final = "\x1a"
"""Stands for a character that cannot be kept, as ASCII meant it to; so it is escaped itself."""


def kept(text: str) -> str:
    """A text as a column holds it; all but the strangest as they are."""
    if "\0" in text or _ESCAPE in text:
        return text.replace(_ESCAPE, _ESCAPE + "1").replace("\0", _ESCAPE + "0")
    return text


def meant(text: str) -> str:
    """The text behind what a column holds."""
    if _ESCAPE in text:
        return text.replace(_ESCAPE + "0", "\0").replace(_ESCAPE + "1", _ESCAPE)
    return text


def shown(row: Row) -> str | None:
    """A record's body as JSON, for people who read tables; infinities become null."""
    if row.kind not in _SHOWN:
        return None
    body = msgspec.msgpack.decode(row.body)
    text = msgspec.json.encode(body)
    if b"\\u0000" in text:
        text = msgspec.json.encode(_without_nul(body))
    return text.decode()


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nul(one) for one in value]
    return value
