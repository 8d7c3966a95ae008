"""Ids of traces and spans, and W3C's `traceparent`, in which they travel."""

from __future__ import annotations

import os
import random
import re
from typing import Final

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_FORM: Final = re.compile(
    r"(?!ff)(?:00|(?P<later>(?!00)[0-9a-f]{2}))-((?!0{32})[0-9a-f]{32})"
    r"-((?!0{16})[0-9a-f]{16})-[0-9a-f]([0-9a-f])(?(later)(?:-.*)?)"
)
_SAMPLED: Final = "13579bdf"
"""The last digit of flags whose lowest bit is set."""
_chance: Final = random.Random(os.urandom(32))  # noqa: S311 - ids have to differ, not to be secret
new_bits: Final = _chance.getrandbits
os.register_at_fork(after_in_child=lambda: _chance.seed(os.urandom(32)))


Parent = tuple[bytes, bytes, bool, str]
"""Where a request comes from: ids of trace and span, whether the trace is kept, and what other
vendors say of it, which is passed on as it came."""


def parse(header: str, state: str = "") -> Parent | None:
    """None where it is no `traceparent` of a version that can be read."""
    found = _FORM.fullmatch(header.strip())
    if found is None:
        return None
    _, trace, span, flags = found.groups()
    return bytes.fromhex(trace), bytes.fromhex(span), flags in _SAMPLED, state


def written(ids: bytes, *, sampled: bool) -> str:
    """Of a trace, and then of a span in it."""
    digits = ids.hex()
    return f"00-{digits[:32]}-{digits[32:]}-{'01' if sampled else '00'}"
