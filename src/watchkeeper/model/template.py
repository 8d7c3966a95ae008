"""What log lines have in common: lines with equal fingerprints differ only in their values.

The definition, which is stored and so never changes, is that of `compiled.template_kernel`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xxhash

from watchkeeper.compiled import template_kernel as kernel
from watchkeeper.compiled.memory import padded
from watchkeeper.model.row import Texts
from watchkeeper.model.series import U64

OTHER = 0
"""The id of what could not be told apart any more; see `Template`."""


@dataclass(frozen=True, slots=True)
class Template:
    """Fingerprints that belong together, as far as one service's lines tell.

    Its id is made of its text, here and anywhere, and so never means anything else. Where a text
    turns out to be too narrow, another template with a wider one succeeds it, and has its lines.
    """

    service: str
    id: int
    """OTHER for the lines of fingerprints that were too many to be kept."""
    text: str
    n_lines: int
    n_patterns: int
    """Fingerprints; of OTHER it is not known, and 0."""
    first_ns: int
    last_ns: int
    succeeds: tuple[int, ...] = ()
    """Ids of former templates whose lines it has; each still finds those it had."""


def template_id(text: str) -> int:
    """Of a template. No fingerprint: that of a line names its pattern and nothing else."""
    return xxhash.xxh3_64_intdigest(b"template\0" + text.encode()) or 1


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
