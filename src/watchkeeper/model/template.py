"""What log lines have in common: lines with equal fingerprints differ only in their values.

The definition, which is stored and so never changes, is that of `compiled.template_kernel`.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.compiled import template_kernel as kernel
from watchkeeper.compiled.memory import padded
from watchkeeper.model.row import Texts
from watchkeeper.model.series import U64


def fingerprints(texts: Texts) -> U64:
    """One for every line: equal for lines of one pattern; 0 for a line with nothing in it."""
    out: U64 = np.empty(len(texts), np.uint64)
    data = padded(texts.data.data)
    kernel.fingerprints(
        data,
        np.ascontiguousarray(texts.offset, np.int32),
        out,
        np.empty(kernel.OUT_BYTES, np.uint8),
    )
    return out


def pattern(line: str) -> str:
    """`user 7 logged in from 10.0.0.1` -> `user <*> logged in from <*>`.

    The pattern of a pattern is itself, as long as it is no longer than what is looked at.
    """
    run = line.encode(errors="replace")
    scratch = np.empty(kernel.OUT_BYTES, np.uint8)
    size: int = kernel.write_pattern(padded(run), 0, len(run), scratch)
    return scratch[:size].tobytes().decode(errors="replace")
