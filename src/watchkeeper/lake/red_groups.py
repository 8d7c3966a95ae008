"""Spans to groups: which operation each is of, and which edges they tell of.

Whoever lets spans in decides which groups there are, up to a limit, and registers their series;
everybody behind the log follows what was registered. So a sender who puts ids into names fills
one group, `other`, and nobody's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np

from watchkeeper.clock import NS_PER_S
from watchkeeper.lake import red
from watchkeeper.lake import red_kernel as kernel
from watchkeeper.lake.red import Group
from watchkeeper.lake.red_calls import Calls, Pairs
from watchkeeper.lake.red_peers import Peers, strangers
from watchkeeper.lake.red_services import Service, Services
from watchkeeper.model.row import texts
from watchkeeper.model.series import (
    I32,
    I64,
    METRIC_NAME,
    U8,
    U64,
    Mask,
    Matcher,
    MatchOp,
    TenantId,
)
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import SpanBatch, take

MAX_GROUPS: Final = 20_000
"""Of all tenants; what would be of more is not counted."""
LATE_NS: Final = 3600 * NS_PER_S
"""A span that ended so long before it came is stored, and not counted."""
_FULL_NS: Final = 60 * NS_PER_S
_TABLE: Final = 1 << 18
_MAX_KEYS: Final = _TABLE // 2
_KINDS: Final = frozenset(SpanKind.__members__)
_NO_PARENT: Final = np.zeros(1, np.uint64)


class Counted(NamedTuple):
    """What is to be counted, one row for each span and edge."""

    group: I32
    duration_ns: I64
    failed: Mask


class KnownSeries(Protocol):
    """What this needs of the catalog."""

    def find(self, tenant: TenantId, labels: Sequence[Mapping[str, str]]) -> tuple[U64, I32]: ...

    def partition_of(self, tenant: TenantId, service: str) -> int: ...

    def select(self, tenant: TenantId, matchers: Sequence[Matcher]) -> I32: ...

    def labels(self, slots: I32) -> list[dict[str, str]]: ...


class Kept(msgspec.Struct, array_like=True):
    """Groups of one partition, as they go on elsewhere."""

    groups: list[Group]
    keys: bytes
    row: bytes
    """By key, which of the groups it is of."""
    others: list[tuple[Service, int, int]]
    """(service, kind of span, which group counts what has no name of its own)."""
    ends: bytes
    peers: dict[int, str]


class Groups:
    """For one thread. `admit` registers a group's series, and says whether it may be; without it,
    groups are those that are registered."""

    def __init__(
        self, catalog: KnownSeries, *, admit: Callable[[Group], bool] | None = None
    ) -> None:
        self._catalog = catalog
        self._admit = admit
        self.services = Services(catalog.partition_of)
        self.calls = Calls(self.services)
        self.known: list[Group | None] = []
        """By number; None for a number that is free."""
        self.partition: I64 = np.full(MAX_GROUPS, -1, np.int64)
        self._free: list[int] = []
        self._numbers: dict[Group, int] = {}
        self._table = (np.zeros(_TABLE, np.uint64), np.zeros(_TABLE, np.int32))
        self._n_keys = 0
        self._peers = Peers(self.services)
        self._scratch = np.zeros(kernel.SCRATCH, np.uint8)

    def of(self, batch: SpanBatch, now_ns: int, live: Mask | None = None) -> Counted:
        """What a batch counts for; `live` are the partitions of which it is to be counted."""
        late = batch.start_ns + batch.duration_ns < now_ns - LATE_NS
        if late.any():
            batch = take(batch, np.flatnonzero(~late))
        services = self.services
        whose = [
            Service(batch.tenant, one.entity.service, one.entity.environment)
            for one in batch.origins
        ]
        numbers = services.numbers(whose)
        own, ends = numbers, numbers
        if live is not None:
            own = np.where(live[services.partition[numbers]], numbers, -1).astype(np.int32)
            ends = np.where(live[services.edges[numbers]], numbers, -1).astype(np.int32)
        group = self._operations(batch, own, now_ns)
        named = self._peers.named(batch, ends)
        pairs = self.calls.meet(batch, ends, named, now_ns)
        return _joined(
            Counted(group, batch.duration_ns, batch.status == SpanStatus.ERROR),
            self._direct(batch, ends, named),
            self._of_pairs(pairs),
        )

    def give_up(self, before_ns: int) -> Counted:
        """Calls that nobody has answered since before a time."""
        return _joined(self._of_pairs(self.calls.give_up(before_ns)))

    def lose(self, numbers: I64) -> None:
        """Forget these groups."""
        gone = set(numbers.tolist())
        for number in gone:
            group = self.known[number]
            if group is not None:
                del self._numbers[group]
                self.known[number] = None
                self.partition[number] = -1
                self._free.append(number)
        self.services.lose(gone)
        keys, groups = self._used()
        stays = ~np.isin(groups, numbers)
        self._table = (np.zeros(_TABLE, np.uint64), np.zeros(_TABLE, np.int32))
        self._n_keys = kernel.put_all(self._table, keys[stays], groups[stays])

    def of_partition(self, partition: int) -> I64:
        """The numbers of its groups, ascending."""
        return np.flatnonzero(self.partition[: len(self.known)] == partition)

    def dump(self, partition: int, numbers: I64) -> Kept:
        """`numbers` are those of the partition."""
        keys, groups = self._used()
        has = np.isin(groups, numbers)
        keys, row = keys[has], np.searchsorted(numbers, groups[has])
        services = self.services
        others = [
            (services.known[service], kind, int(np.searchsorted(numbers, group)))
            for service, kind in np.argwhere(services.other[: len(services.known)] >= 0).tolist()
            if (group := int(services.other[service, kind])) in numbers
        ]
        groups_kept = [group for n in numbers.tolist() if (group := self.known[n]) is not None]
        has_edges = (services.edges[: len(services.known)] == partition).any()
        peers = self._peers.names if has_edges else {}
        ends = self.calls.dump(partition)
        return Kept(groups_kept, keys.tobytes(), row.tobytes(), others, ends, peers)

    def load(self, kept: Kept) -> I64:
        """The numbers that these groups have here, -1 where there is no room for one. What was
        known of their partition is forgotten before."""
        numbers: I64 = np.array([self._number(group) for group in kept.groups] or [], np.int64)
        keys, row = np.frombuffer(kept.keys, np.uint64), np.frombuffer(kept.row, np.int64)
        if self._n_keys + len(keys) <= _MAX_KEYS:
            self._n_keys += kernel.put_all(self._table, keys.copy(), numbers[row].astype(np.int32))
        for service, kind, at in kept.others:
            number = self.services.number(service)
            if number >= 0:
                self.services.other[number, kind] = numbers[at]
        self.calls.load(kept.ends)
        for peer, name in kept.peers.items():
            self._peers.remember(peer, name)
        return numbers

    def _used(self) -> tuple[U64, I32]:
        """All keys, and the groups that they are of."""
        keys, groups = self._table
        used = np.flatnonzero(keys)
        return keys[used], groups[used]

    def _operations(self, batch: SpanBatch, own: I32, now_ns: int) -> I32:
        services = self.services
        key = np.empty(len(batch), np.uint64)
        hashes = np.where(own >= 0, services.hash[own], np.uint64(0))
        kernel.operations(
            (batch.origin, batch.kind, batch.parent),
            (batch.name.data, batch.name.offset),
            hashes,
            self._scratch,
            key,
        )
        group = np.empty(len(batch), np.int32)
        if kernel.look_up(self._table, key, group):
            self._meet_operations(batch, own, key, group, now_ns)
        return group

    def _meet_operations(
        self, batch: SpanBatch, own: I32, key: U64, group: I32, now_ns: int
    ) -> None:
        """Find groups for the keys that have none."""
        services = self.services
        for row in strangers(group, key).tolist():
            number = int(own[batch.origin[row]])
            if services.full_until_ns[number] > now_ns:
                continue
            kind = _kind(int(batch.kind[row]))
            service = services.known[number]
            found = self._number(_operation(service, operation_name(batch.name[row]), kind))
            if found >= 0:
                self._put(key[row : row + 1], found)
                continue
            self._recall(number)
            services.full_until_ns[number] = now_ns + _FULL_NS
        kernel.look_up(self._table, key, group)
        rest = np.flatnonzero(group == -1)
        number_of, kinds = own[batch.origin[rest]], batch.kind[rest].copy()
        kinds[kinds >= kernel.N_KINDS] = 0
        for number, kind in {*zip(number_of.tolist(), kinds.tolist(), strict=True)}:
            if services.other[number, kind] < 0:
                one = _operation(services.known[number], red.OTHER, kind)
                services.other[number, kind] = self._number(one)
        group[rest] = services.other[number_of, kinds]

    def _recall(self, number: int) -> None:
        """Know the operations of a service that are registered, before others are passed over."""
        service = self.services.known[number]
        wanted = {METRIC_NAME: red.ERRORS_OF[red.OPERATION], "service": service.name}
        matchers = [Matcher(name, MatchOp.EQUAL, value) for name, value in wanted.items()]
        for labels in self._catalog.labels(self._catalog.select(service.tenant, matchers)):
            name, kind = labels.get("operation", ""), labels.get("span_kind", "").upper()
            if labels.get("environment", "") != service.environment or kind not in _KINDS:
                continue
            found = self._number(_operation(service, name, SpanKind[kind]))
            key = np.empty(1, np.uint64)
            run = texts([name.encode()])
            kernel.operations(
                (np.zeros(1, np.int32), np.array([SpanKind[kind]], np.uint8), _NO_PARENT),
                (run.data, run.offset),
                self.services.hash[number : number + 1],
                self._scratch,
                key,
            )
            self._put(key, found)

    def _direct(self, batch: SpanBatch, ends: I32, named: tuple[U64, U8]) -> Counted:
        """Edges of which one span tells all: to databases, to and from queues."""
        key, sort = named
        rows = np.flatnonzero(sort > kernel.CALL)
        group = np.empty(len(rows), np.int32)
        own = key[rows]
        if kernel.look_up(self._table, own, group):
            for at in strangers(group, own).tolist():
                row = rows[at]
                service = self.services.known[ends[batch.origin[row]]]
                peer = self._peers.name(int(key[row]))
                is_from = batch.kind[row] == SpanKind.CONSUMER
                self._meet_edge(service, peer, own[at : at + 1], turned=bool(is_from))
            kernel.look_up(self._table, own, group)
        return Counted(group, batch.duration_ns[rows], batch.status[rows] == SpanStatus.ERROR)

    def _of_pairs(self, pairs: Pairs) -> Counted:
        key = np.ascontiguousarray(pairs["key"])
        group = np.empty(len(pairs), np.int32)
        if kernel.look_up(self._table, key, group):
            for row in strangers(group, key).tolist():
                client = self.services.known[pairs["client"][row]]
                server = int(pairs["server"][row])
                peer = self._peers.name(int(key[row]))
                name = self.services.known[server].name if server >= 0 else peer
                self._meet_edge(client, name, key[row : row + 1])
            kernel.look_up(self._table, key, group)
        peers = np.ascontiguousarray(pairs["peer"])
        if peers.any() and self._n_keys + len(peers) <= _MAX_KEYS:
            # Who answered under a name is meant by it when nobody answers.
            self._n_keys += kernel.put_all(self._table, peers, group)
        return Counted(group, pairs["duration"], pairs["failed"] > 0)

    def _meet_edge(self, service: Service, peer: str, key: U64, *, turned: bool = False) -> None:
        if not peer:
            return
        client, server = (peer, service.name) if turned else (service.name, peer)
        number = self._number(red.edge(service.tenant, client, server, service.environment))
        if number >= 0:
            self._put(key, number)

    def _number(self, group: Group) -> int:
        """-1 for one that may not be."""
        number = self._numbers.get(group)
        if number is not None:
            return number
        if not self._free and len(self.known) == MAX_GROUPS:
            return -1
        _, slots = self._catalog.find(group.tenant, [group.head()])
        if slots[0] < 0 and not (self._admit is not None and self._admit(group)):
            return -1
        if self._free:
            number = self._free.pop()
            self.known[number] = group
        else:
            number = len(self.known)
            self.known.append(group)
        self._numbers[group] = number
        service = dict(group.labels).get("service", "") if group.sort == red.OPERATION else ""
        self.partition[number] = self._catalog.partition_of(group.tenant, service)
        return number

    def _put(self, key: U64, number: int) -> None:
        if self._n_keys < _MAX_KEYS:
            self._n_keys += kernel.put_all(self._table, key, np.array([number], np.int32))


def operation_name(name: bytes) -> str:
    """Of spans of this name."""
    scratch = np.empty(kernel.SCRATCH, np.uint8)
    n = kernel.masked(np.frombuffer(name, np.uint8), 0, len(name), scratch)
    return scratch[:n].tobytes().decode(errors="replace").strip() or "unnamed"


def _kind(number: int) -> int:
    return number if number < kernel.N_KINDS else 0


def _operation(service: Service, name: str, kind: int) -> Group:
    word = SpanKind(kind).name.lower()
    return red.operation(service.tenant, service.name, service.environment, name, word)


def _joined(*parts: Counted) -> Counted:
    """Those that count for a group."""
    group = np.concatenate([part.group for part in parts])
    counts = group >= 0
    return Counted(
        group[counts],
        np.concatenate([part.duration_ns for part in parts])[counts],
        np.concatenate([part.failed for part in parts])[counts],
    )
