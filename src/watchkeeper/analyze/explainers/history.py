"""What people confirmed of earlier incidents that looked the same.

A prior: it ranks those that there is evidence against, and stands in for none. Blind to what
never happened before, and as good as the signature is narrow.
"""

from __future__ import annotations

import msgspec

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.cause import Evidence, Opinion


class History:
    """The mean of Beta(confirmed + 1, refuted + 1), as far as it is above a half."""

    name = "history"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        case = reading.case
        strengths: dict[str, float] = {}
        why: dict[str, list[Evidence]] = {}
        against = []
        for past in sorted(case.history, key=lambda one: (one.node, one.signature)):
            if not case.signature or past.signature != case.signature:
                continue
            n = past.n_confirmed + past.n_refuted
            mean = (past.n_confirmed + 1) / (n + 2)
            text = f"{past.node} was the cause of {past.n_confirmed} of {n} such incidents"
            told = Evidence(self.name, past.node, text, float(past.n_confirmed), 0.0, "", n)
            if mean > 0.5 and past.node in case.names:
                strengths[past.node] = max(strengths.get(past.node, 0.0), 2.0 * mean - 1.0)
                why.setdefault(past.node, []).append(told)
            elif mean < 0.5:
                against.append(told)
        return opinion(self.name, strengths, why, against=against)
