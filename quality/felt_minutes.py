"""Which recorded minutes were no calm: those in which the shop's users would have felt something.

By the rule by which its faults are judged (`shop/breaks/users.py`), over what buyers really asked:
of 24 answers in a row four are errors, or much slower than what is usual. A machine that has other
things to do makes such minutes, and they are no false alarm of anybody's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from quality.recorded_minutes import Minute
from shop.breaks.users import N_LOOKS, N_USUAL, Saw, Usual, is_felt
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.severity import SpanKind, SpanStatus

Answers = Mapping[str, Sequence[tuple[int, Saw]]]
"""By errand: when each was asked, and what came of it; in order."""
GATEWAY: Final = "gateway"
"""Where buyers come."""
USUAL: Final = 1.0 - 1.0 / N_USUAL
"""The slowest of so many, as a share of all answers."""


def calm(minutes: Sequence[Minute]) -> list[Minute]:
    """Those in which users felt nothing."""
    answers = [answers_of(one) for one in minutes]
    usual = usual_of(answers)
    return [one for one, seen in zip(minutes, answers, strict=True) if not felt(seen, usual)]


def answers_of(minute: Minute) -> Answers:
    """What buyers were answered: by the gateway, to requests that no other led to."""
    found: dict[str, list[tuple[int, Saw]]] = defaultdict(list)
    for second in minute.seconds.values():
        spans = second.spans
        if spans is None:
            continue
        gates = np.array([one.entity.service == GATEWAY for one in spans.origins], np.bool_)
        served = gates[spans.origin] & (spans.parent == 0) & (spans.kind == SpanKind.SERVER)
        for row in np.flatnonzero(served).tolist():
            saw = Saw(
                int(spans.status[row]) == SpanStatus.ERROR,
                int(spans.duration_ns[row]) / NS_PER_S,
            )
            found[spans.name.text(row)].append((int(spans.start_ns[row]), saw))
    return {name: sorted(seen) for name, seen in found.items()}


def usual_of(answers: Sequence[Answers]) -> Mapping[str, Usual]:
    """By errand, over the whole recording."""
    together: dict[str, list[Saw]] = defaultdict(list)
    for one in answers:
        for name, seen in one.items():
            together[name] += [saw for _, saw in seen]
    return {
        name: Usual(
            n_errors=round(N_USUAL * sum(saw.is_error for saw in seen) / len(seen)),
            slowest_s=float(np.quantile([saw.seconds for saw in seen], USUAL)),
        )
        for name, seen in together.items()
    }


def felt(answers: Answers, usual: Mapping[str, Usual]) -> bool:
    for name, seen in answers.items():
        saws = [saw for _, saw in seen]
        ends = range(min(N_LOOKS, len(saws)), len(saws) + 1)
        if any(is_felt(saws[max(0, end - N_LOOKS) : end], usual[name]) for end in ends):
            return True
    return False
