"""How well lines are grouped by the statement that printed them.

GA (Zhu et al., "Tools and Benchmarks for Automated Log Parsing", ICSE 2019): the share of lines
whose group holds exactly the lines of one statement. FGA (Jiang et al., "A Large-scale Benchmark
for Log Parsing", 2023): the F1 of groups, so that frequent lines count no more than rare ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence


def accuracy(groups: Sequence[Hashable], statements: Sequence[Hashable]) -> tuple[float, float]:
    """GA and FGA of the groups that lines were put in."""
    together = Counter(zip(groups, statements, strict=True))
    in_group, in_statement = Counter(groups), Counter(statements)
    exact = {
        group: n
        for (group, statement), n in together.items()
        if in_group[group] == n == in_statement[statement]
    }
    ga = sum(exact.values()) / len(groups)
    return ga, 2 * len(exact) / (len(in_group) + len(in_statement))
