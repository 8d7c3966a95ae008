"""What fires, by who says it: messages that leave out what was said before are completed."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final

import msgspec

from watchkeeper.model.alert import Alert, AlertStatus

MAX_KNOWN: Final = 20_000
"""Beyond it what was not heard of for longest is forgotten."""

_Key = tuple[str, str, str]
_decoder = msgspec.msgpack.Decoder(list[Alert])


class KnownAlerts:
    """Bounded; used by one thread. What it knows comes back with the log, and with `load`."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, Alert] = OrderedDict()

    def completed(self, alert: Alert) -> Alert:
        """Without a start it is the one that is known to fire; by a key, it has its labels."""
        known = self._known.get(_key(alert)) if _is_short(alert) else None
        if known is None:
            return alert
        if alert.status is AlertStatus.FIRING:
            is_over = known.status is AlertStatus.RESOLVED or _has_ended(known, alert.started_ns)
            return alert if is_over else replace(alert, started_ns=known.started_ns)
        if not alert.key:
            return replace(alert, started_ns=known.started_ns)
        return replace(
            alert,
            rule=known.rule,
            labels=known.labels,
            started_ns=known.started_ns,
            urgency=known.urgency,
            summary=alert.summary or known.summary,
        )

    def learn(self, alert: Alert) -> None:
        """What was said last. Who says again and again until when it holds says its start, too."""
        key = _key(alert)
        is_open = alert.status is AlertStatus.FIRING and alert.ended_ns is None
        if not (_is_short(alert) or is_open or key in self._known):
            return
        self._known[key] = alert
        self._known.move_to_end(key)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(list(self._known.values()))

    def load(self, state: bytes) -> None:
        self._known = OrderedDict((_key(alert), alert) for alert in _decoder.decode(state))


def _is_short(alert: Alert) -> bool:
    """Whether its sender may leave out what it said before."""
    return bool(alert.key) or not alert.is_start_told


def _key(alert: Alert) -> _Key:
    named = alert.key or msgspec.json.encode(sorted(alert.labels.items())).decode()
    return alert.tenant, alert.source, named


def _has_ended(known: Alert, now_ns: int) -> bool:
    return known.ended_ns is not None and known.ended_ns <= now_ns
