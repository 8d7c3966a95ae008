"""How grave a log line is, and how a span went: OpenTelemetry's numbers and everybody's words."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class Severity(IntEnum):
    """The first of each group of four; the others of a group are a little graver."""

    UNKNOWN = 0
    TRACE = 1
    DEBUG = 5
    INFO = 9
    WARN = 13
    ERROR = 17
    FATAL = 21


class SpanKind(IntEnum):
    """As OpenTelemetry numbers them."""

    UNKNOWN = 0
    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class SpanStatus(IntEnum):
    """As OpenTelemetry numbers them."""

    UNSET = 0
    OK = 1
    ERROR = 2


_BY_WORD: Final[Mapping[str, Severity]] = {
    word: severity
    for severity, words in {
        Severity.TRACE: "trace trc verbose finest finer",
        Severity.DEBUG: "debug dbg fine d",
        Severity.INFO: "info information informational inf notice i log",
        Severity.WARN: "warn warning wrn w",
        Severity.ERROR: "error err e severe alert",
        Severity.FATAL: "fatal critical crit emerg emergency panic f c",
    }.items()
    for word in words.split()
}


def severity_of(word: str) -> Severity:
    """What a sender's word for a level means; UNKNOWN for one that nobody uses."""
    return _BY_WORD.get(word.strip().lower(), Severity.UNKNOWN)


def word_of(severity: int) -> str:
    """The group's word, in small letters; empty where it is not known."""
    if not 1 <= severity <= 24:
        return ""
    return Severity((severity - 1) // 4 * 4 + 1).name.lower()
