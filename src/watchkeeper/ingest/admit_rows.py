"""What is let in of log lines, spans, changes and alerts, and whom they are said to speak of."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta

from watchkeeper.clock import NS_PER_S
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.ingest.known_alerts import KnownAlerts
from watchkeeper.model.alert import Alert, AlertStatus
from watchkeeper.model.change import Change
from watchkeeper.model.row import Origin
from watchkeeper.model.series import I64, Entity, TenantId
from watchkeeper.model.signal import LogBatch, Reject, RowBatch, WireRows, take

_KNOWN_ORIGINS: Final = 20_000


class AdmitRowsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits on log lines, spans, changes and alerts."""

    future_s: Annotated[
        float, Meta(ge=0, description="What is further ahead of our clock than this is refused.")
    ] = 600.0
    oldest_s: Annotated[
        float, Meta(gt=0, description="What is older than this is refused; keep it >= retention.")
    ] = 30 * 86400.0
    row_bytes: Annotated[
        int, Meta(ge=1, description="A line, span or alert with more text than this is refused.")
    ] = 256 << 10


@dataclass(frozen=True, slots=True)
class AdmittedRows:
    """What became of one body."""

    records: tuple[RowBatch | Change | Alert, ...]
    """Without those of which nothing is left."""
    n_accepted: int
    rejects: tuple[Reject, ...]


class RowAdmission:
    """Judges rows by their time and size. Keeps entities that it need not find twice, and which
    alerts fire.

    Other rows have no order to keep and no identity: only a repeated body is recognised.
    """

    def __init__(self, config: AdmitRowsConfig, enrich: Enrich) -> None:
        self._config = config
        self._enrich = enrich
        self.alerts: Final = KnownAlerts()
        self._entities: OrderedDict[tuple[tuple[str, str], ...], Entity] = OrderedDict()

    def admit(
        self, tenant: TenantId, wire: WireRows, *, body_hash: bytes, now_ns: int
    ) -> AdmittedRows:
        records: list[RowBatch | Change | Alert] = []
        counts = {"future": 0, "too_old": 0, "too_large": 0}
        n_accepted = 0
        for record in wire.records:
            if isinstance(record, Change | Alert):
                kept = self._one(record, tenant, now_ns, counts)
                if kept is not None:
                    records.append(kept)
                    n_accepted += 1
                continue
            sound = self._sound(record, now_ns, counts)
            if not len(sound):
                continue
            rows = record if len(sound) == len(record) else take(record, sound)
            origins = tuple(self._known(one) for one in rows.origins)
            records.append(replace(rows, tenant=tenant, origins=origins, body_hash=body_hash))
            n_accepted += len(sound)
        return AdmittedRows(tuple(records), n_accepted, self._rejects(counts))

    def _sound(self, batch: RowBatch, now_ns: int, counts: dict[str, int]) -> I64:
        time_ns = batch.time_ns if isinstance(batch, LogBatch) else batch.start_ns
        earliest_ns, latest_ns = self._span_ns(now_ns)
        future = time_ns > latest_ns
        too_old = time_ns < earliest_ns
        size: I64 = np.zeros(len(batch), np.int64)
        for name in batch.TEXTS:
            size += np.diff(getattr(batch, name).offset)
        too_large = (size > self._config.row_bytes) & ~future & ~too_old
        counts["future"] += int(future.sum())
        counts["too_old"] += int(too_old.sum())
        counts["too_large"] += int(too_large.sum())
        return np.flatnonzero(~(future | too_old | too_large))

    def _one(
        self, record: Change | Alert, tenant: TenantId, now_ns: int, counts: dict[str, int]
    ) -> Change | Alert | None:
        if isinstance(record, Change):
            return self._change(record, tenant, now_ns, counts)
        return self._alert(record, tenant, now_ns, counts)

    def _change(
        self, change: Change, tenant: TenantId, now_ns: int, counts: dict[str, int]
    ) -> Change | None:
        earliest_ns, latest_ns = self._span_ns(now_ns)
        if not earliest_ns <= change.time_ns <= latest_ns:
            counts["future" if change.time_ns > latest_ns else "too_old"] += 1
            return None
        labels = {**change.details, "service": change.service}
        return replace(change, tenant=tenant, entity=self._enrich(labels))

    def _alert(
        self, alert: Alert, tenant: TenantId, now_ns: int, counts: dict[str, int]
    ) -> Alert | None:
        """What fires may have begun at any time; what is over, not."""
        earliest_ns, latest_ns = self._span_ns(now_ns)
        last_ns = alert.ended_ns if alert.status is AlertStatus.RESOLVED else None
        if alert.started_ns > latest_ns:
            counts["future"] += 1
        elif last_ns is not None and last_ns < earliest_ns:
            counts["too_old"] += 1
        elif _n_bytes(alert) > self._config.row_bytes:
            counts["too_large"] += 1
        else:
            alert = self.alerts.completed(replace(alert, tenant=tenant))
            origin = Origin(tuple(sorted(alert.labels.items())), Entity())
            alert = replace(alert, entity=self._known(origin).entity)
            self.alerts.learn(alert)
            return alert
        return None

    def _span_ns(self, now_ns: int) -> tuple[int, int]:
        config = self._config
        return (
            now_ns - round(config.oldest_s * NS_PER_S),
            now_ns + round(config.future_s * NS_PER_S),
        )

    def _known(self, origin: Origin) -> Origin:
        entity = self._entities.get(origin.labels)
        if entity is None:
            entity = self._entities[origin.labels] = self._enrich(dict(origin.labels))
            if len(self._entities) > _KNOWN_ORIGINS:
                self._entities.popitem(last=False)
        return Origin(origin.labels, entity)

    def _rejects(self, counts: dict[str, int]) -> tuple[Reject, ...]:
        config = self._config
        words = {
            "future": f"more than {config.future_s:g} s ahead of this server's clock; "
            "check the sender's clock, or raise ingest.rows.future_s",
            "too_old": f"older than {config.oldest_s:g} s (ingest.rows.oldest_s)",
            "too_large": f"more than {config.row_bytes} bytes of text (ingest.rows.row_bytes)",
        }
        return tuple(Reject(why, count, words[why]) for why, count in counts.items() if count)


def _n_bytes(alert: Alert) -> int:
    texts = [alert.rule, alert.summary]
    for mapping in (alert.labels, alert.annotations, alert.links):
        texts += mapping
        texts += mapping.values()
    return len("".join(texts).encode())
