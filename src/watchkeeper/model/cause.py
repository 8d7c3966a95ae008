"""Causes: whom explainers suspect and why, and what is made of it all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

UNKNOWN = "unknown"
"""Stands beside the names of nodes for: none of these."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was seen, and what was expected instead."""

    explainer: str
    node: str
    text: str
    """For people; everything in it is in the other fields, too."""
    observed: float
    expected: float
    unit: str = ""
    n: int = 0
    """Of how many requests, lines or points."""
    id: str = ""
    """Within one ranking; a narrator cites it."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """That a node is the cause, by one explainer."""

    node: str
    strength: float
    """0 for none; 1 is a strong one, several mean beyond doubt."""
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Opinion:
    """All that an explainer says of a case. With nothing to go on it suspects nobody."""

    explainer: str
    suspicions: tuple[Suspicion, ...] = ()
    """Strongest first, then by name; each node once."""
    against: tuple[Evidence, ...] = ()
    """What was looked at and speaks against a node."""
    missing: tuple[str, ...] = ()
    """What it would have needed, in words."""


class Confidence(StrEnum):
    """In a word, where there are too few confirmed causes to print a figure."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Cause:
    """A candidate, with its place among all."""

    node: str
    probability: float
    """Calibrated; with those of the others and of `unknown` it sums up to one."""
    score: float
    by_explainer: Mapping[str, float] = field(default_factory=dict)
    """What of the score each explainer brought."""
    evidence: tuple[Evidence, ...] = ()
    against: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranking:
    """The answer: causes, most probable first, and how far to believe it."""

    causes: tuple[Cause, ...] = ()
    unknown: float = 1.0
    """Probability that it is none of them."""
    abstains: bool = True
    """The first is not probable enough to be called the cause; all of them are shown."""
    confidence: Confidence = Confidence.LOW
    quality: float = 0.0
    """How good the data were, 0 to 1; what it says is already in the probabilities."""
    ruled_out: tuple[Evidence, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A ranking, and of what it was made. The same question gives the same answer, to the byte."""

    ranking: Ranking
    onset_ns: int
    window_ns: tuple[int, int]
    """What was looked at, from and to."""
    baseline_ns: tuple[int, int]
    """What it was compared with."""
    healthy_s: float
    """How much is known of the time before."""
    entry: str = ""
    """Where it was felt; empty where that is not one service."""
    affected: tuple[str, ...] = ()
    """Nodes that something strange was seen of, and who depends on the cause; sorted."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """What kind of node each of the causes is."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How much was read, of each sort."""
