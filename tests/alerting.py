"""What tests of correlation share: a correlator, a run of messages and ticks, and a small shop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tests import make
from watchkeeper import plugins
from watchkeeper.analyze.correlate import CorrelateConfig, Correlator
from watchkeeper.analyze.dedupe import Complaint
from watchkeeper.analyze.groupers.base import Grouper, Scene
from watchkeeper.analyze.reach import Reach
from watchkeeper.model.alert import Alert
from watchkeeper.model.incident import ComplaintKey, Incident, IncidentId
from watchkeeper.model.topology import Topology

SHOP = make.calls(
    "web>checkout", "web>catalog", "checkout>payment", "checkout>stock", "payment>bank",
    "catalog>search", "stock>host1", "payment>host1", "search>host2", "catalog>host2",
)  # fmt: skip
CASCADE = (("bank", 0.0), ("payment", 20.0), ("checkout", 45.0), ("web", 70.0))
"""Who says something of trouble at the bank, and when."""
OTHER_CASCADE = (("search", 10.0), ("catalog", 40.0), ("web", 55.0))


def grouper(name: str = "root_cover", **settings: Any) -> Grouper:
    plugin = plugins.load("grouper", name)
    found: Grouper = plugin(plugin.Config(**settings))
    return found


def correlator(
    name: str = "root_cover", *, topology: Topology = SHOP, **settings: Any
) -> Correlator:
    one = Correlator(grouper(name), msgspec.convert(settings, CorrelateConfig))
    one.know(topology)
    return one


def cascade(
    who: Iterable[tuple[str, float]] = CASCADE, *, at_s: float = 0.0, rule: str = "ErrorRate"
) -> list[Alert]:
    return [make.alert(rule, service, at_s=at_s + after_s) for service, after_s in who]


def watch(
    one: Correlator,
    alerts: Sequence[Alert],
    *,
    until_s: float,
    from_s: float = 0.0,
    every_s: float = 10.0,
) -> list[Incident]:
    """Each alert as it comes, with ticks; what was told, in order."""
    told: list[Incident] = []
    left = list(alerts)
    for n in range(round((until_s - from_s) / every_s) + 1):
        now_ns = make.START_NS + round((from_s + n * every_s) * make.NS_PER_S)
        while left and left[0].started_ns <= now_ns:
            one.take(left.pop(0))
        told += one.tick(now_ns)
    return told


def tick(one: Correlator, at_s: float) -> list[Incident]:
    return one.tick(make.START_NS + round(at_s * make.NS_PER_S))


def partition(one: Correlator) -> set[frozenset[ComplaintKey]]:
    """Which complaints are together, whatever their incidents are called."""
    return {
        frozenset(member.complaint for member in incident.members) for incident in one.incidents()
    }


def services(incident: Incident) -> list[str]:
    return [member.node for member in incident.members]


def last(told: Iterable[Incident]) -> dict[IncidentId, Incident]:
    """What was told of each incident last."""
    return {incident.id: incident for incident in told}


def complaint(node: str, at_s: float = 0.0, **fields: Any) -> Complaint:
    at_ns = make.START_NS + round(at_s * make.NS_PER_S)
    values: dict[str, Any] = {
        "key": ComplaintKey(f"{node}-{at_s:g}"),
        "fingerprint": node,
        "rule": "ErrorRate",
        "node": node,
        "urgency": 3,
        "joined_urgency": 3,
        "started_ns": at_ns,
        "last_ns": at_ns,
        "heard_ns": at_ns,
        "labels": {},
        "summary": "",
    }
    return Complaint(**(values | fields))


def scene(topology: Topology = SHOP, *, strangers_per_hour: float = 0.5) -> Scene:
    return Scene(Reach(topology), strangers_per_hour / 3600.0)
