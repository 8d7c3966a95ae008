"""What senders say of metrics: a bounded table per tenant, kept by whoever accepts samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np

from watchkeeper import telemetry
from watchkeeper.lake.series_rules import read_name
from watchkeeper.model.family import KINDS, TYPES, Families, Family, MetricType
from watchkeeper.model.series import U8, Kind, TenantId
from watchkeeper.model.signal import NewSeries

MAX_FAMILIES: Final = 20_000
"""Of one tenant. A large installation has some thousands."""
MAX_TENANTS: Final = 1_000
MAX_TEXT: Final = 1_000
"""Characters of a description that are kept."""
_KIND_BY_TYPE: Final = dict(zip(TYPES, KINDS, strict=True))
_IN_PARTS: Final = frozenset({MetricType.HISTOGRAM, MetricType.SUMMARY, MetricType.GAUGE_HISTOGRAM})
_decoder = msgspec.msgpack.Decoder(list[Families])
_PARTS: Final = ("_bucket", "_count", "_sum", "_gcount", "_gsum")
_LEFT_OUT: Final = telemetry.counter(
    "watchkeeper_lake_families_left_out_total",
    "Descriptions of metrics that were not kept: the tenant has too many, or there are too many.",
)


class FamilyTable:
    """Descriptions by tenant and name; the newest counts. One thread learns, any may ask."""

    def __init__(self) -> None:
        self._tenants: dict[TenantId, dict[str, Family]] = {}

    def learn(self, tenant: TenantId, families: Iterable[Family]) -> Families | None:
        """Keep what is new or changed; that, to be logged, if there is any."""
        known = self._tenants.get(tenant)
        if known is None:
            if len(self._tenants) >= MAX_TENANTS:
                _LEFT_OUT.add(sum(1 for _ in families))
                return None
            known = self._tenants[tenant] = {}
        changed: dict[str, Family] = {}
        n_left_out = 0
        for one in families:
            kept = Family(one.name, one.type, one.help[:MAX_TEXT], one.unit[:MAX_TEXT])
            if known.get(one.name) == kept:
                continue
            if one.name not in known and len(known) >= MAX_FAMILIES:
                n_left_out += 1
                continue
            known[one.name] = changed[one.name] = kept
        _LEFT_OUT.add(n_left_out)
        return Families(tenant, tuple(changed.values())) if changed else None

    def of(self, tenant: TenantId, name: str | None = None) -> Sequence[Family]:
        """All of a tenant, or the one of a name, sorted by name."""
        known = self._tenants.get(tenant, {})
        if name is not None:
            return [known[name]] if name in known else []
        return sorted(known.values(), key=lambda one: one.name)

    def family_of(self, tenant: TenantId, name: str) -> str:
        """The family that the series of a name belong to, as far as it was described."""
        known = self._tenants.get(tenant, {})
        for suffix in _PARTS if name not in known else ():
            whole = name.removesuffix(suffix)
            if whole != name and whole in known and known[whole].type in _IN_PARTS:
                return whole
        return name

    def kinds(self, new: NewSeries) -> U8 | None:
        """The kinds of new series where a description says another than their names; else None."""
        known = self._tenants.get(new.tenant)
        if not known:
            return None
        kinds: U8 = new.kind.copy()
        for row in range(len(new)):
            family = known.get(read_name(new.labels, row))
            kind = Kind.BY_NAME if family is None else _KIND_BY_TYPE[family.type]
            if kind != Kind.BY_NAME:
                kinds[row] = kind
        return None if np.array_equal(kinds, new.kind) else kinds

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(
            [Families(tenant, tuple(known.values())) for tenant, known in self._tenants.items()]
        )

    def load(self, state: bytes) -> None:
        """Instead of all that is known."""
        self._tenants.clear()
        for one in _decoder.decode(state):
            self.learn(one.tenant, one.families)
