"""Of whom a person hears: the representative, and members that it does not speak for.

A member that is silent is a member all the same. It is heard again (i) when it became graver and
is as grave as the representative, (ii) while nothing known leads from one to the other, (iii) when
it goes on for two session windows after the representative ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.analyze.dedupe import Complaint
from watchkeeper.analyze.reach import Reach
from watchkeeper.analyze.suppress import Habits
from watchkeeper.model.incident import Silence
from watchkeeper.model.topology import EdgeOrigin, Topology


def certain(topology: Topology) -> Topology:
    """Without what was only reckoned, which is no reason to keep anything quiet."""
    told = tuple(edge for edge in topology.edges if edge.origin is not EdgeOrigin.INFERRED)
    return Topology(topology.nodes, told, topology.version)


def silence_of(
    complaint: Complaint, representative: Complaint, reach: Reach, *, now_ns: int, window_ns: int
) -> Silence | None:
    """Why nobody is notified of a member; None if somebody is. `reach` is of what is certain."""
    if complaint.key == representative.key:
        return None
    has_risen = complaint.joined_urgency < complaint.urgency >= representative.urgency
    if has_risen or complaint.urgency > representative.urgency:
        return None
    if not complaint.node or not reach.is_related(complaint.node, representative.node):
        return None
    ended_ns = representative.ended_ns
    if ended_ns is not None and complaint.is_firing and now_ns - ended_ns >= 2 * window_ns:
        return None
    return Silence.EXPLAINED


def is_held(members: Sequence[Complaint], habits: Habits) -> bool:
    """Whether an incident is not told yet: all of one node, and by their rules' history it mostly
    ends by itself."""
    is_one = len({complaint.node for complaint in members}) == 1
    return is_one and all(habits.is_held(complaint) for complaint in members)
