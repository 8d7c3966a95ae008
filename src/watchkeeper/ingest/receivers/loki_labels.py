"""Loki's text form of a stream's labels: `{service="shop", path="C:\\\\temp"}`, quoted as in Go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_PAIR: Final = re.compile(
    r"""\s*([^\s=,{}"`]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)\s*(,|$)""", re.DOTALL
)
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\\"'])|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.?))", re.DOTALL
)
_PLAIN: Final[Mapping[str, str]] = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
}  # fmt: skip


def labels_of(text: str) -> dict[str, str]:
    """The labels; raises ValueError for what is not in this form."""
    stripped = text.strip()
    if not (stripped.startswith("{") and stripped.endswith("}")):
        raise ValueError(f"'{text[:100]}' are no labels; write {{name=\"value\"}}")
    inside = stripped[1:-1].rstrip()
    labels: dict[str, str] = {}
    at = 0
    while at < len(inside):
        pair = _PAIR.match(inside, at)
        if pair is None:
            raise ValueError(
                f"'{text[:100]}': '{inside[at : at + 40]}' is no label; write name=\"value\""
            )
        name, quoted, raw, _ = pair.groups()
        labels[name] = raw if quoted is None else _ESCAPE.sub(_unescaped, quoted)
        at = pair.end()
    return labels


def _unescaped(escape: re.Match[str]) -> str:
    plain, *hexes, other = escape.groups()
    if plain:
        return _PLAIN.get(plain, plain)
    digits = next((digits for digits in hexes if digits), None)
    if digits is None:
        raise ValueError(f"'\\{other}' is no escape")
    found = chr(int(digits, 16))
    found.encode()  # half of a surrogate pair is no character
    return found
