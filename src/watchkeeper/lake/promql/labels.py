"""Functions that make labels of labels. Expressions are RE2's, as everywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.lake.promql.aggregate import LABEL_NAME
from watchkeeper.lake.promql.tree import refusal
from watchkeeper.lake.promql.values import Labels, Vector, joined

_REFERENCE: Final = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)
_GROUP: Final = re.compile(
    r"\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|\((?:\?P<(\w+)>|(?!\?))", re.DOTALL
)
"""What an expression has of escapes and classes, passed over, and of groups that capture."""


def label_replace(vector: Vector, given: Sequence[str]) -> Vector:
    """`target` of a series becomes what `replacement` makes of `source`, where that fits."""
    target, replacement, source, pattern = given
    if not LABEL_NAME.fullmatch(target):
        raise refusal(f"invalid destination label name in label_replace(): {target}")
    texts = pa.array([labels.get(source, "") for labels in vector.labels], pa.string())
    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
        anchored = rf"\A(?:{pattern})\z"
        fits = pc.match_substring_regex(texts, pattern=anchored).to_pylist()
        made = pc.replace_substring_regex(
            texts, pattern=anchored, replacement=_rewritten(replacement, pattern)
        ).to_pylist()
    except pa.ArrowInvalid as error:
        raise refusal(f"invalid regular expression in label_replace(): {pattern}") from error
    labels = tuple(
        _with(of_series, target, text) if is_fit else of_series
        for of_series, is_fit, text in zip(vector.labels, fits, made, strict=True)
    )
    return joined(vector.named(labels))


def label_join(vector: Vector, given: Sequence[str]) -> Vector:
    """`target` becomes the values of some labels, with a separator between them."""
    target, separator, *sources = given
    if not LABEL_NAME.fullmatch(target):
        raise refusal(f"invalid destination label name in label_join(): {target}")
    for source in sources:
        if not LABEL_NAME.fullmatch(source):
            raise refusal(f"invalid source label name in label_join(): {source}")
    labels = tuple(
        _with(one, target, separator.join(one.get(source, "") for source in sources))
        for one in vector.labels
    )
    return joined(vector.named(labels))


def _with(labels: Labels, name: str, value: str | None) -> Labels:
    changed = {other: text for other, text in labels.items() if other != name}
    if value:
        changed[name] = value
    return changed


def _rewritten(replacement: str, pattern: str) -> str:
    """Go's `$1` and `${name}` as RE2's `\\1`; what names no group is nothing."""
    names = [found[1] for found in _GROUP.finditer(pattern) if found[0].startswith("(")]
    number = {name: at for at, name in enumerate(names, 1) if name}

    def one(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name = found[1] or found[2]
        at = int(name) if name.isdigit() else number.get(name, -1)
        if at > 9:
            raise refusal("label_replace() takes up to nine groups; leave some out with (?:...)")
        return rf"\{at}" if 0 <= at <= len(names) else ""

    return _REFERENCE.sub(one, replacement.replace("\\", r"\\"))
