"""What people say of the topology: versions of it, and the graph that comes of it at any time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from watchkeeper.clock import Clock
from watchkeeper.errors import BadInput
from watchkeeper.know.audit_stage import Audit, Decided
from watchkeeper.know.settings_stage import By, Difference, told
from watchkeeper.model.audit import Act
from watchkeeper.model.series import TenantId
from watchkeeper.model.topology import Topology
from watchkeeper.model.topology_set import (
    NEVER_SET,
    Discovered,
    TopologyDocument,
    TopologySet,
    merged,
)
from watchkeeper.store.base import Filter, Store

_NOTHING: Final = TopologyDocument()


class Topologies:
    """Of one installation."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._audit = Audit(store, clock)

    async def whole(self, tenant: TenantId, at_ns: int | None = None) -> Topology:
        """What is discovered and said, together: now, or as it was then."""
        return merged(await self.discovered(tenant, at_ns), await self._newest(tenant, at_ns))

    async def discovered(self, tenant: TenantId, at_ns: int | None = None) -> Discovered | None:
        """None where nothing was discovered by then."""
        until = None if at_ns is None else at_ns + 1
        page = await self._store.list(Discovered, Filter(tenant, until_ns=until, limit=1))
        return page.items[0] if page.items else None

    async def history(self, tenant: TenantId, limit: int) -> Sequence[Discovered]:
        """What was discovered, newest first."""
        return (await self._store.list(Discovered, Filter(tenant, limit=limit))).items

    async def current(self, tenant: TenantId, at_ns: int | None = None) -> TopologySet:
        """What people say; version 0 says nothing."""
        return await self._newest(tenant, at_ns) or _never(tenant)

    async def versions(self, tenant: TenantId, limit: int) -> Sequence[TopologySet]:
        """What was said, newest first."""
        return (await self._store.list(TopologySet, Filter(tenant, limit=limit))).items

    async def version(self, tenant: TenantId, number: int) -> TopologySet:
        if number == NEVER_SET:
            return _never(tenant)
        found = await self._store.get(TopologySet, tenant, f"{number:019d}")
        if found is None:
            raise BadInput(
                f"topology: there is no version {number}; GET /api/v1/config/topology/versions "
                "lists them",
                status=404,
            )
        return found

    async def set(
        self, tenant: TenantId, document: TopologyDocument, by: By, *, expected: int | None
    ) -> TopologySet:
        """The version that this came to be; where it is said already, nothing is done. Raises
        BadInput (412) where another version is in force than was expected."""

        async def decide() -> Decided[TopologySet]:
            now = await self.expect(tenant, expected)
            if now.document == document:
                return Decided(now)
            wanted = TopologySet(
                tenant,
                now.version + 1,
                document,
                self._clock.now_ns(),
                by.principal,
                request_id=by.request_id,
                changed=told(differing(now.document, document)),
            )
            return Decided(wanted, [wanted], _act(wanted))

        return await self._audit.change(decide)

    async def expect(self, tenant: TenantId, expected: int | None) -> TopologySet:
        """What is said now. Raises BadInput (412) where that is not what was expected."""
        now = await self.current(tenant)
        if expected is not None and now.version != expected:
            raise BadInput(
                f"topology: version {expected} is not in force, {now.version} is, set by "
                f"{now.principal}; read it, and set yours again if it is still wanted",
                status=412,
            )
        return now

    async def _newest(self, tenant: TenantId, at_ns: int | None = None) -> TopologySet | None:
        until = None if at_ns is None else at_ns + 1
        page = await self._store.list(TopologySet, Filter(tenant, until_ns=until, limit=1))
        return page.items[0] if page.items else None


def differing(before: TopologyDocument, after: TopologyDocument) -> list[Difference]:
    """Node by node and edge by edge, by name."""
    old, new = _by_name(before), _by_name(after)
    return [
        Difference(name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _by_name(document: TopologyDocument) -> dict[str, object]:
    nodes = {f"nodes.{one.name}": msgspec.to_builtins(one) for one in document.nodes}
    edges = {f"edges.{one.source} > {one.target}": one.kind.value for one in document.edges}
    return {**nodes, **edges}


def _never(tenant: TenantId) -> TopologySet:
    return TopologySet(tenant, NEVER_SET, _NOTHING, 0, "")


def _act(wanted: TopologySet) -> Act:
    return Act(
        principal=wanted.principal,
        action=wanted.action,
        target="topology",
        tenant=wanted.tenant,
        before={"version": str(wanted.version - 1)},
        after={"version": str(wanted.version), "changed": wanted.changed},
        request_id=wanted.request_id,
    )
