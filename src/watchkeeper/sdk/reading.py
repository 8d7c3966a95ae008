"""Decoders of answers, also for programs that ask from several threads.

msgspec learns a type when its first decoder is made, and a second thread that needs the type in the
meantime finds half of it, which ends the process. So decoders are made by one thread at a time.
"""

from __future__ import annotations

import threading
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding JSON ends with where it is none, is no UTF-8, or is nested beyond reason."""

_decoders: Final[dict[Any, msgspec.json.Decoder[Any]]] = {}
_making: Final = threading.Lock()


def read(content: bytes | str, kind: type[T]) -> T:
    """Raises one of UNREADABLE."""
    with _making:
        if kind not in _decoders:
            _decoders[kind] = msgspec.json.Decoder(kind)
        decoder = _decoders[kind]
    found: T = decoder.decode(content)
    return found
