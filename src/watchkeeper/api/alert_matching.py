"""Which alerts matchers take, in columns: a regular expression sees every value once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from watchkeeper.errors import BadInput
from watchkeeper.lake.tables.sources import fitting
from watchkeeper.model.series import Mask, Matcher, MatchOp
from watchkeeper.model.silence import AlertSilence

Labels = Mapping[str, str]
_MATCHER: Final = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_VALUE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|((?:[^"\\]|\\.)*\\?)', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", '"': '"', "\\": "\\"}


def parse_matcher(text: str) -> Matcher:
    """As amtool and Alertmanager's own pages write it: `job=~"node.*"`, quoted or not."""
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise BadInput(f"bad matcher format: {text[:200]}")
    name, op, value = found.groups()
    written = _VALUE.fullmatch(value)
    if written is None:
        raise BadInput(f"matcher value contains unescaped double quote: {text[:200]}")
    value = _ESCAPED.sub(lambda one: _ESCAPES.get(one[1], one[0]), written[1] or written[2] or "")
    return checked(Matcher(name, MatchOp(op), value))


def checked(matcher: Matcher) -> Matcher:
    """Raises BadInput for a regular expression that is none."""
    fitting(matcher, [""])
    return matcher


def takes_nothing(matcher: Matcher) -> bool:
    """Whether it takes a label that is not there."""
    return bool(fitting(matcher, [""])[0])


def taken(matchers: Sequence[Matcher], labels: Sequence[Labels]) -> Mask:
    """Which of some label sets all matchers take."""
    kept = np.ones(len(labels), np.bool_)
    for matcher in matchers:
        kept &= fitting(matcher, [one.get(matcher.name, "") for one in labels])
    return kept


def silencers(silences: Sequence[AlertSilence], labels: Sequence[Labels]) -> list[list[str]]:
    """Of each label set the silences over it, by their ids."""
    found: list[list[str]] = [[] for _ in labels]
    for silence in silences:
        for row in np.flatnonzero(taken(silence.matchers, labels)).tolist():
            found[row].append(silence.id)
    return [sorted(ids) for ids in found]
