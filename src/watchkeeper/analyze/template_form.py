"""The form of a line's pattern: what is a value by its shape, besides what the fingerprint knows.

A pattern is masked at the door, where nothing may cost much, and by a rule that never changes. Of
each distinct pattern the form is made once, beside the hot path, and says less:

- a path, or an address with a path, becomes `<*>`
- names of months and days before a number or before each other become `<*>`
- a unit behind a number is part of it: `7 KB` and `7 B` are both `<*>`
- ` ()` is ` (<*>)` with nothing in it
- frames of a stack (` at name (place)`) become one ` at <*>`
- escapes of a terminal become `<*>`
- several `<*>` with nothing but blanks and commas between them become one

The same for all programs; nothing is learned here. What is a value by what others say in its place
is found by `template_merge`.
"""

from __future__ import annotations

import re
from typing import Final

WILD: Final = "<*>"

_MONTH: Final = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY: Final = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_UNIT: Final = (
    "(?:[kKMGTPE]?i?[Bb]|bytes?|[nuµm]?s|secs?|seconds?|mins?|minutes?|hours?|days?|[kMG]?[Hh]z)"
)
_IN_PATH: Final = r"[^\s,;()\[\]\"']"
_RULES: Final = (
    (re.compile(r"\x1b(?:\[<\*>)+"), WILD),
    (re.compile(r"(?: at [^\s()]+ ?\([^()]*\))+(?: \.\.\. <\*> more)?"), f" at {WILD}"),
    (
        re.compile(
            r"(?<![^\s=(\[:,\"'])(?:[A-Za-z][A-Za-z0-9+.-]*:/|\.{1,2})?/"
            + _IN_PATH
            + r"*[^\s,;()\[\]\"':.]"
        ),
        WILD,
    ),
    (re.compile(rf"\b(?:{_MONTH}|{_DAY})\b(?= (?:{_MONTH}\b|<\*>))"), WILD),
    (re.compile(rf"(<\*>) {_UNIT}(?![\w=])"), r"\1"),
    (re.compile(r" \(\)"), f" ({WILD})"),
    (re.compile(r"<\*>(?:[\s,]+<\*>)+"), WILD),
)
_TOKENS: Final = re.compile(r"<\*>|[\w\-.!#$%^*+~`]+|\s|.", re.DOTALL)


def form(pattern: str) -> str:
    """`read /var/log/a took <*> ms` -> `read <*> took <*>`. The form of a form is itself."""
    while (shorter := _once(pattern)) != pattern:
        pattern = shorter
    return pattern


def _once(pattern: str) -> str:
    for shape, instead in _RULES:
        pattern = shape.sub(instead, pattern)
    return pattern


def tokens(text: str) -> list[str]:
    """Words, marks and `<*>`, one behind the other; joined they are the text."""
    return _TOKENS.findall(text)
