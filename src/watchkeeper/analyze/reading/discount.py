"""What is seen in callers because of a callee is no evidence against the callers."""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.model.topology import Topology


def beyond_callees(
    strength: Mapping[str, float], graph: Topology, share: float
) -> dict[str, float]:
    """Each less a share of the largest of what it depends on, at whatever distance."""
    return {
        name: own
        - share * max((strength.get(one, 0.0) for one in graph.descendants(name)), default=0.0)
        for name, own in strength.items()
    }
