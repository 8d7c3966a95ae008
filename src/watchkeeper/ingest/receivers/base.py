"""The contract of a receiver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, Protocol

from watchkeeper.model.signal import Wire

PATH_NAME: Final = ":name"
"""Among the headers: the name in the path of a door with a pattern. No sender can set it."""

Noun = Literal["samples", "lines", "spans", "changes", "alerts"]


class Receiver(Protocol):
    """Decodes one protocol's bodies. Pure: no I/O, no clock; equal input, equal output.

    Instances may keep a compiled kernel and reusable buffers, and are used by one thread at a time;
    the columns handed out are the caller's and are never written again.
    """

    makes: ClassVar[Noun]
    """What comes of its bodies. All but samples may be decoded in another process."""

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> Wire:
        """What the body holds; header names are lower case.

        `now_ns` stands in where the protocol allows an item without a time. Raises BadInput if the
        body as a whole is unusable (status 415 for an unknown encoding or content type), TooLarge
        if it decompresses beyond the limit; one bad item among good ones becomes a Reject.
        """
        ...
