"""Lines that name a failure everybody knows: no memory, no disk, no connection left.

Rules for what needs no statistics. A line counts if it came clearly more often than before; what a
line says of another node speaks against that one, if it names one that the case knows. Blind to
programs that log nothing, and to every failure that is not in the list.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.cause import Evidence, Opinion

MIN_LINES: Final = 2
MORE: Final = 3.0
"""So many times as often as before, to count."""
LENGTH: Final = 400
"""Of a template, what is looked at."""

OWN: Final = "own"
"""A failure of who says it."""
OTHERS: Final = "others"
"""A failure of whom it speaks of."""
RULES: Final = tuple(
    (what, whose, re.compile(shape, re.IGNORECASE))
    for what, whose, shape in (
        ("out of memory", OWN, r"out of memory|OutOfMemory|\boom[- ]?kill|cannot allocate memory"),
        ("no space left", OWN, r"no space left on device|disk (is )?full|read-only file system"),
        ("no descriptors left", OWN, r"too many open files"),
        ("no threads left", OWN, r"can(no|')t (start|create) (new )?(native )?thread"),
        (
            "no connections left",
            OWN,
            r"(connection )?pool (is )?(exhausted|full|timeout|timed out)|QueuePool limit",
        ),
        (
            "it accepts no connections",
            OTHERS,
            r"too many (connections|clients)|remaining connection slots|max_connections",
        ),
        ("deadlock", OTHERS, r"deadlock (detected|found)|lock (wait )?timeout"),
        ("connection refused", OTHERS, r"connection refused|ECONNREFUSED|connect: refused"),
        (
            "name not resolved",
            OTHERS,
            r"no such host|name resolution|could not resolve|ENOTFOUND|EAI_AGAIN",
        ),
        (
            "certificate not valid",
            OTHERS,
            r"certificate (has expired|is not yet valid|verify failed)|x509:",
        ),
        ("configuration not usable", OWN, r"(invalid|missing|bad) (configuration|config|setting)"),
    )
)


class KnownFailures:
    """By a list of shapes of lines."""

    name = "known_failures"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        if not len(reading.case.lines):
            return Opinion(self.name, missing=("log lines of now",))
        strengths: dict[str, float] = defaultdict(float)
        why: dict[str, list[Evidence]] = defaultdict(list)
        for service, template, n, expected in _more_often(reading):
            text = reading.case.templates[template][:LENGTH]
            for what, whose, shape in RULES:
                if not shape.search(text):
                    continue
                said_by = reading.name(service)
                for node in _meant(reading, said_by, text) if whose == OTHERS else (said_by,):
                    strengths[node] = max(strengths[node], 1.0 - 0.5**n)
                    told = f"{what}: {said_by} said so {n} times, usually {expected:.1f}"
                    why[node].append(Evidence(self.name, node, told, n, expected, "lines", n))
        return opinion(self.name, strengths, why)


def _more_often(reading: Reading) -> Iterator[tuple[int, int, int, float]]:
    """Service, template, how often now, how often by the lines that there are now."""
    now, before, n = reading.case.lines, reading.case.lines_before, len(reading.case.templates)
    keys, counts = np.unique(now.service.astype(np.int64) * n + now.template, return_counts=True)
    was = before.service.astype(np.int64) * n + before.template
    lines_now = np.bincount(now.service, minlength=len(reading.case.names))
    lines_before = np.bincount(before.service, minlength=len(reading.case.names))
    past = np.sort(was)
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        service, template = divmod(key, n)
        old = int(np.searchsorted(past, key, "right") - np.searchsorted(past, key, "left"))
        expected = old / max(int(lines_before[service]), 1) * int(lines_now[service])
        if count >= MIN_LINES and count > MORE * expected:
            yield service, template, count, expected


def _meant(reading: Reading, said_by: str, text: str) -> list[str]:
    """Whom a line speaks of: a node that it names, or the only one that is called."""
    words = set(re.split(r"[^\w.-]+", text))
    callees = reading.graph.callees(said_by)
    named = [one for one in reading.case.names if one in words and one != said_by]
    return named or ([callees[0]] if len(callees) == 1 else [said_by])
