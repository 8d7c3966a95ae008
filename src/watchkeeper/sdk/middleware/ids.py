"""Ids of traces and spans, and W3C's `traceparent`, in which they travel."""

from __future__ import annotations

import os
import random
import re
from typing import Final, NamedTuple

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_FORM: Final = re.compile(
    r"(?!ff)(?:00|(?P<later>(?!00)[0-9a-f]{2}))-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?(later)(?:-.*)?)"
)
_chance: Final = random.Random(os.urandom(32))  # noqa: S311 - ids have to differ, not to be secret
new_bits: Final = _chance.getrandbits
os.register_at_fork(after_in_child=lambda: _chance.seed(os.urandom(32)))


class Parent(NamedTuple):
    """Where a request comes from."""

    trace: bytes
    span: bytes
    sampled: bool
    state: str = ""
    """What other vendors say of the trace; passed on as it came."""


def parse(header: str, state: str = "") -> Parent | None:
    """None where it is no `traceparent` of a version that can be read."""
    found = _FORM.fullmatch(header.strip())
    if found is None:
        return None
    trace, span = bytes.fromhex(found["trace"]), bytes.fromhex(found["span"])
    if not any(trace) or not any(span):
        return None
    return Parent(trace, span, bool(int(found["flags"], 16) & 1), state)


def written(trace: bytes, span: bytes, *, sampled: bool) -> str:
    return f"00-{trace.hex()}-{span.hex()}-{'01' if sampled else '00'}"
