"""What people's verdicts on anomalies do: pure, and of the verdicts in force alone.

Nothing depends on the order in which they were given, so to withdraw one leaves what there was
without it, exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from watchkeeper.clock import NS_PER_S
from watchkeeper.model.ruling import Verdict, Word

STEP: Final[Mapping[Word, float]] = {Word.NOT_USEFUL: -0.5, Word.REAL: 0.25}
"""What one verdict adds to log10 of its series' limit."""
LOWEST: Final = -2.0
HIGHEST: Final = 1.0
"""However many there are."""

ALIKE_NS: Final = 3600 * NS_PER_S
"""What begins so near to the same time of another week is expected, too."""
DAY_NS: Final = 86_400 * NS_PER_S
WEEK_NS: Final = 7 * DAY_NS
HOLDS_NS: Final = 12 * WEEK_NS
"""So long what was expected stays so without being said again."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a verdict has changed, beside all others that are in force."""

    before: float
    after: float
    """log10 of what the series' limit is multiplied by, without it and with it."""
    expects: str = ""
    """When the like of it is muted from now on."""


def in_force(verdicts: Iterable[Verdict]) -> list[Verdict]:
    return [one for one in verdicts if one.word is not Word.WITHDRAWN]


def shift(verdicts: Iterable[Verdict]) -> float:
    """What all verdicts on one subject add to log10 of its limit."""
    steps = (STEP.get(one.word, 0.0) for one in in_force(verdicts))
    return min(max(sum(steps), LOWEST), HIGHEST)


def expected(verdicts: Iterable[Verdict], detector: str, began_ns: int) -> str:
    """Why what began then on the verdicts' subject was expected; empty if it was not.

    Said once, that means the same time of every week. Said of two days of a week, of every day.
    """
    told = [
        one
        for one in in_force(verdicts)
        if one.word is Word.EXPECTED and one.detector == detector
        and one.started_ns < began_ns <= one.started_ns + HOLDS_NS
    ]  # fmt: skip
    if any(_is_near(one.started_ns, began_ns, WEEK_NS) for one in told):
        return "every week"
    daily = [one for one in told if _is_near(one.started_ns, began_ns, DAY_NS)]
    return "every day" if len({one.started_ns // DAY_NS for one in daily}) > 1 else ""


def effect(of: Verdict, verdicts: Sequence[Verdict]) -> Effect:
    """What one of the verdicts on a subject has changed."""
    others = [one for one in verdicts if (one.anomaly, one.principal) != (of.anomaly, of.principal)]
    expects = "within an hour of this time of the week, for 12 weeks"
    return Effect(shift(others), shift([*others, of]), expects if of.word is Word.EXPECTED else "")


def _is_near(one_ns: int, other_ns: int, period_ns: int) -> bool:
    apart = (one_ns - other_ns) % period_ns
    return min(apart, period_ns - apart) <= ALIKE_NS
