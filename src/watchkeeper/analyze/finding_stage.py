"""What we found ourselves and somebody has to look at now is an alert like any other.

It is put into the log, where it meets the alerts of others in one order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from watchkeeper.analyze.explain import explanation
from watchkeeper.analyze.incident_desk import ANOMALY
from watchkeeper.bus.base import ANOMALIES, Delivery
from watchkeeper.clock import NS_PER_S, Clock
from watchkeeper.model.alert import Alert, AlertStatus, Urgency
from watchkeeper.model.anomaly import Anomaly, AnomalyId, AnomalyStatus, Severity
from watchkeeper.model.event import Event
from watchkeeper.model.series import METRIC_NAME
from watchkeeper.model.signal import Logged

SOURCE: Final = "watchkeeper"
OLD_NS: Final = 3600 * NS_PER_S
"""What is over for so long is history: read in from elsewhere, or announced once more."""
_decoder = msgspec.msgpack.Decoder(list[AnomalyId])


def alert_of(anomaly: Anomaly) -> Alert:
    """A finding as an alert: its rule is what kind of finding it is."""
    rule = anomaly.labels.get("symptom") or anomaly.detector
    entity = anomaly.entity
    named = {
        "alertname": rule,
        "service": entity.service,
        "environment": entity.environment,
        "owner": entity.owner,
    }
    labels = {**anomaly.labels, **named}
    labels.pop(METRIC_NAME, None)
    is_open = anomaly.status is AnomalyStatus.OPEN
    return Alert(
        source=SOURCE,
        rule=rule,
        labels={name: value for name, value in labels.items() if value},
        status=AlertStatus.FIRING if is_open else AlertStatus.RESOLVED,
        started_ns=anomaly.started_ns,
        ended_ns=None if is_open else anomaly.ended_ns,
        urgency=Urgency.CRITICAL,
        summary=explanation(anomaly),
        annotations={ANOMALY: anomaly.id},
        links={"anomaly": f"/api/v1/anomalies/{anomaly.id}"},
        tenant=anomaly.tenant,
        entity=entity,
    )


class FindingStage:
    """Follows what detection announces. To be told the same again says the same again."""

    name = "findings"
    topic = ANOMALIES

    def __init__(self, log: Callable[[Logged], Awaitable[int]], clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._told: dict[int, dict[AnomalyId, None]] = {}
        """By partition: what is an alert, and not over."""

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            event: Event = delivery.record
            if isinstance(event.record, Anomaly):
                await self._tell(delivery.partition, event.record)

    async def dump(self, partition: int) -> bytes:
        return msgspec.msgpack.encode(list(self._told.get(partition, ())))

    async def load(self, partition: int, position: int, state: bytes) -> None:
        self._told[partition] = dict.fromkeys(_decoder.decode(state)) if state else {}

    async def _tell(self, partition: int, anomaly: Anomaly) -> None:
        """When it begins to page, and when it ends; what comes between changes nothing."""
        told = self._told.setdefault(partition, {})
        is_known, is_open = anomaly.id in told, anomaly.status is AnomalyStatus.OPEN
        if is_known is is_open or not (is_known or self._is_news(anomaly)):
            return
        await self._log(alert_of(anomaly))
        if is_open:
            told[anomaly.id] = None
        else:
            told.pop(anomaly.id, None)

    def _is_news(self, anomaly: Anomaly) -> bool:
        newest_ns = max(anomaly.started_ns, anomaly.peak_ns, anomaly.ended_ns or 0)
        is_old = newest_ns < self._clock.now_ns() - OLD_NS
        return anomaly.severity is Severity.PAGE and not is_old
