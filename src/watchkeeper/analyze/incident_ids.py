"""Who is who after groups were formed anew: an incident is the group that has most of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set

from watchkeeper.clock import NS_PER_S
from watchkeeper.model.incident import ComplaintKey, IncidentId


def incident_id(opened_ns: int, number: int) -> IncidentId:
    return IncidentId(f"INC-{opened_ns // NS_PER_S}-{number}")


def number_of(incident: IncidentId) -> int:
    """Older incidents have smaller ones."""
    return int(incident.rpartition("-")[2])


def rename(
    groups: Sequence[Set[ComplaintKey]], homes: Mapping[ComplaintKey, IncidentId]
) -> list[IncidentId | None]:
    """Of each group the incident that it is now; None for a new one.

    Greatest overlap first, then the older incident, then the order of the groups; one to one.
    """
    shared = [
        (-n, number_of(incident), at, incident)
        for at, group in enumerate(groups)
        for incident, n in Counter(
            homes[complaint] for complaint in group if complaint in homes
        ).items()
    ]
    found: list[IncidentId | None] = [None] * len(groups)
    taken: set[IncidentId] = set()
    for _, _, at, incident in sorted(shared):
        if found[at] is None and incident not in taken:
            found[at] = incident
            taken.add(incident)
    return found


def most_of(
    complaints: Set[ComplaintKey], homes: Mapping[ComplaintKey, IncidentId]
) -> IncidentId | None:
    """Where most of these are; the older one of several."""
    counted = Counter(homes[complaint] for complaint in complaints if complaint in homes)
    if not counted:
        return None
    return min(counted, key=lambda incident: (-counted[incident], number_of(incident)))
