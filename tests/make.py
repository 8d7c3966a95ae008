"""Builders: a record with every field filled in; a test names only the values that matter to it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.model.alert import Alert, AlertStatus
from watchkeeper.model.anomaly import Anomaly, AnomalyId, AnomalyStatus, Severity
from watchkeeper.model.audit import NO_HASH, Act, AuditEntry
from watchkeeper.model.change import Change
from watchkeeper.model.principal import ALL_TENANTS, INSTALLATION, ApiKey, Limits, Role, User
from watchkeeper.model.row import Origin, origin, texts
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict, Word
from watchkeeper.model.series import (
    DEFAULT_TENANT,
    Entity,
    Kind,
    LabelBlock,
    Matcher,
    MatchOp,
    TenantId,
)
from watchkeeper.model.signal import (
    LogBatch,
    NewSeries,
    SampleBatch,
    SpanBatch,
    Tick,
    WireSamples,
)
from watchkeeper.model.silence import AlertSilence
from watchkeeper.model.topology import Edge, EdgeKind, Node, NodeKind, Topology

NS_PER_S = 1_000_000_000
START_NS = 1_700_000_000 * NS_PER_S
"""When everything happens, unless a test says otherwise; FakeClock starts here too."""


def labels(name: str = "requests", **others: str) -> dict[str, str]:
    return {"__name__": name, **others}


def label_run(labels: Mapping[str, str] | Sequence[tuple[str, str]]) -> bytes:
    """One row of a LabelBlock; give pairs where order or duplicates matter."""
    pairs = labels.items() if isinstance(labels, Mapping) else labels
    return b"".join(
        b"\x0a" + _sized(b"\x0a" + _sized(name.encode()) + b"\x12" + _sized(value.encode()))
        for name, value in pairs
    )


def label_block(*rows: Mapping[str, str] | Sequence[tuple[str, str]]) -> LabelBlock:
    runs = [label_run(row) for row in rows]
    ends = np.cumsum([len(run) for run in runs], dtype=np.int64)
    starts = ends - np.array([len(run) for run in runs], np.int64)
    buffer = np.frombuffer(b"".join(runs) + bytes(READ_SLACK), np.uint8).copy()
    return LabelBlock(buffer, starts, ends)


def read_labels(block: LabelBlock, row: int) -> list[tuple[str, str]]:
    """The pairs of one row, in its order: what a test compares."""
    run = block.buffer[block.start[row] : block.end[row]].tobytes()
    pairs = []
    while run:
        label, run = _take(run, 0x0A)
        name, rest = _take(label, 0x0A)
        value, _ = _take(rest, 0x12)
        pairs.append((name.decode(), value.decode()))
    return pairs


def wire(
    series: Sequence[Mapping[str, str]],
    samples: Sequence[tuple[int, int, float]],
    kind: Kind = Kind.BY_NAME,
) -> WireSamples:
    """What a receiver decodes: `samples` are (row of `series`, time_ns, value)."""
    block = label_block(*series)
    rows = [block.buffer[a:b].tobytes() for a, b in zip(block.start, block.end, strict=True)]
    keys = b"".join(hashlib.md5(run).digest() for run in rows)
    return WireSamples(
        key=np.frombuffer(keys, np.uint64).reshape(-1, 2).copy(),
        kind=np.full(len(rows), kind, np.uint8),
        row=np.array([row for row, _, _ in samples], np.int32),
        time_ns=np.array([time_ns for _, time_ns, _ in samples], np.int64),
        value=np.array([value for _, _, value in samples], np.float64),
        describe=lambda wanted: label_block(*(series[int(row)] for row in wanted)),
    )


def samples(
    *rows: tuple[int, int, float], tenant: str = DEFAULT_TENANT, body_hash: bytes = b""
) -> SampleBatch:
    """A batch from rows of (slot, time_ns, value)."""
    slot, time_ns, value = zip(*rows, strict=True) if rows else ((), (), ())
    return SampleBatch(
        TenantId(tenant),
        np.array(slot, np.int32),
        np.array(time_ns, np.int64),
        np.array(value, np.float64),
        body_hash,
    )


def new_series(first_slot: int = 0, *rows: Mapping[str, str], kind: Kind = Kind.GAUGE) -> NewSeries:
    """Series at first sight, in slots from `first_slot` on, all of partition 0 and one entity."""
    n = len(rows)
    slot = np.arange(first_slot, first_slot + n, dtype=np.int32)
    return NewSeries(
        tenant=DEFAULT_TENANT,
        slot=slot,
        identity=np.stack([slot.astype(np.uint64) + np.uint64(1), np.ones(n, np.uint64)], axis=1),
        role=slot.astype(np.uint64),
        kind=np.full(n, kind, np.uint8),
        partition=np.zeros(n, np.uint8),
        entity=np.zeros(n, np.int32),
        entities=(("", "", "", ""),),
        labels=label_block(*rows),
        donor=np.full(n, -1, np.int32),
    )


SHOP = origin([("service", "shop")])


def logs(*rows: tuple[int, int, bytes], origins: Sequence[Origin] = (SHOP,)) -> LogBatch:
    """Lines of (time, severity, body); a severity always comes from the same of the origins."""
    n = len(rows)
    severity = np.array([row[1] for row in rows], np.uint8)
    return LogBatch(
        origins=tuple(origins),
        origin=(severity % len(origins)).astype(np.int32),
        time_ns=np.array([row[0] for row in rows], np.int64),
        severity=severity,
        trace=np.zeros((n, 2), np.uint64),
        span=np.zeros(n, np.uint64),
        template=np.zeros(n, np.uint64),
        body=texts([row[2] for row in rows]),
        attributes=texts([b""] * n),
    )


def spans(*rows: tuple[int, int, bytes], origins: Sequence[Origin] = (SHOP,)) -> SpanBatch:
    """Root spans of (start, duration, name), each a trace of its own."""
    n = len(rows)
    number = np.arange(1, n + 1, dtype=np.uint64)
    nothing = texts([b""] * n)
    return SpanBatch(
        origins=tuple(origins),
        origin=np.zeros(n, np.int32),
        start_ns=np.array([row[0] for row in rows], np.int64),
        duration_ns=np.array([row[1] for row in rows], np.int64),
        trace=np.stack([number, number], axis=1),
        span=number,
        parent=np.zeros(n, np.uint64),
        kind=np.full(n, 2, np.uint8),
        status=np.zeros(n, np.uint8),
        name=texts([row[2] for row in rows]),
        message=nothing,
        attributes=nothing,
        events=nothing,
        links=nothing,
    )


def change(**fields: Any) -> Change:
    """A deployment of the shop; its id follows from its time unless given."""
    time_ns = fields.get("time_ns", START_NS)
    usual: dict[str, Any] = {
        "id": f"{time_ns:x}",
        "kind": "deployment",
        "time_ns": time_ns,
        "service": "shop",
        "version": "v2.1.0",
        "status": "success",
        "entity": Entity(service="shop"),
    }
    return Change(**{**usual, **fields})


def settings(document: str = "{}", **fields: Any) -> DetectionSet:
    """Settings of detection as they are wanted; what they are called follows from what they say."""
    usual: dict[str, Any] = {
        "id": f"{document}/{fields.get('expected')}",
        "time_ns": START_NS,
        "principal": "user:ops",
        "action": "detection.set",
    }
    return DetectionSet(document=document, **{**usual, **fields})


def verdict(word: Word = Word.NOT_USEFUL, **fields: Any) -> Verdict:
    """What somebody says of `anomaly()`."""
    of = anomaly()
    usual: dict[str, Any] = {
        "anomaly": of.id,
        "tenant": of.tenant,
        "principal": "user:ops",
        "time_ns": START_NS,
        "subject": of.series,
        "detector": of.detector,
        "started_ns": of.started_ns,
        "entity": of.entity,
    }
    return Verdict(word=word, **{**usual, **fields})


def maintenance(**fields: Any) -> Maintenance:
    """An hour of the checkout service."""
    usual: dict[str, Any] = {
        "id": "m1",
        "tenant": DEFAULT_TENANT,
        "match": {"service": "checkout"},
        "from_ns": START_NS,
        "to_ns": START_NS + 3600 * NS_PER_S,
        "reason": "disks are exchanged",
        "principal": "user:ops",
        "time_ns": START_NS,
    }
    return Maintenance(**{**usual, **fields})


def tick(after_s: float = 0.0) -> Tick:
    return Tick(START_NS + round(after_s * NS_PER_S))


def anomaly(**fields: Any) -> Anomaly:
    """An open anomaly of one latency series; its id follows from its start unless given."""
    started_ns = fields.get("started_ns", START_NS)
    usual: dict[str, Any] = {
        "id": AnomalyId(f"{started_ns:032x}"),
        "tenant": DEFAULT_TENANT,
        "series": "00" * 16,
        "labels": labels("latency_seconds", service="checkout"),
        "entity": Entity(service="checkout"),
        "detector": "fk",
        "severity": Severity.EVIDENCE,
        "status": AnomalyStatus.OPEN,
        "started_ns": started_ns,
        "peak_ns": started_ns,
        "ended_ns": None,
        "value": 2.5,
        "expected_low": 0.1,
        "expected_high": 0.4,
        "p_value": 1e-6,
    }
    return Anomaly(**{**usual, **fields})


def act(**fields: Any) -> Act:
    given: dict[str, Any] = {
        "principal": "user:ann",
        "action": "key.create",
        "target": "key:k",
        "tenant": INSTALLATION,
    }
    return Act(**(given | fields))


def audit_entry(position: int, **fields: Any) -> AuditEntry:
    """An entry at its place, sealed onto nothing."""
    return AuditEntry(position, START_NS, act(**fields), NO_HASH, NO_HASH)


def api_key(identity: str, **fields: Any) -> ApiKey:
    given: dict[str, Any] = {
        "name": "collector",
        "digest": "",
        "role": Role.VIEWER,
        "scopes": frozenset(),
        "tenants": (ALL_TENANTS,),
        "limits": Limits(),
        "created_ns": START_NS,
        "created_by": "console:ann",
    }
    return ApiKey(id=identity, **(given | fields))


def user(name: str, **fields: Any) -> User:
    given: dict[str, Any] = {
        "password": "",
        "role": Role.VIEWER,
        "tenants": (ALL_TENANTS,),
        "created_ns": START_NS,
        "created_by": "console:ann",
    }
    return User(name=name, **(given | fields))


def _sized(run: bytes) -> bytes:
    return _varint(len(run)) + run


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _take(run: bytes, tag: int) -> tuple[bytes, bytes]:
    """The field at the front, and what follows it."""
    assert run[0] == tag, f"tag {run[0]:#x}, not {tag:#x}"
    size, shift, i = 0, 0, 1
    while True:
        size |= (run[i] & 0x7F) << shift
        shift += 7
        i += 1
        if run[i - 1] < 0x80:
            break
    return run[i : i + size], run[i + size :]


def alert(rule: str = "HighLatency", service: str = "payment", **fields: Any) -> Alert:
    """A firing one, at START_NS unless `at_s` says how many seconds later."""
    at_ns = START_NS + round(fields.pop("at_s", 0.0) * NS_PER_S)
    labels = {"alertname": rule, "service": service, **fields.pop("labels", {})}
    values: dict[str, Any] = {
        "source": "alertmanager",
        "rule": rule,
        "labels": {name: value for name, value in labels.items() if value},
        "status": AlertStatus.FIRING,
        "started_ns": at_ns,
        "entity": Entity(service),
    }
    return Alert(**(values | fields))


def silence(*matchers: Matcher, **fields: Any) -> AlertSilence:
    """Over the shop, from START_NS on for an hour."""
    usual: dict[str, Any] = {
        "id": "5da46080",
        "tenant": DEFAULT_TENANT,
        "matchers": matchers or (Matcher("service", MatchOp.EQUAL, "shop"),),
        "from_ns": START_NS,
        "to_ns": START_NS + 3600 * NS_PER_S,
        "author": "ann",
        "comment": "disks",
        "principal": "local",
        "time_ns": START_NS,
    }
    return AlertSilence(**{**usual, **fields})


def resolved(one: Alert, *, after_s: float = 60.0) -> Alert:
    """The end of an alert, so long after it began."""
    ended_ns = one.started_ns + round(after_s * NS_PER_S)
    return replace(one, status=AlertStatus.RESOLVED, ended_ns=ended_ns)


def calls(*pairs: str) -> Topology:
    """Of pairs such as `web>shop`: who depends on whom. A host's name begins with `host`."""
    ends = [pair.split(">") for pair in pairs]
    return Topology(
        tuple(
            Node(name, NodeKind.HOST if name.startswith("host") else NodeKind.SERVICE)
            for name in sorted({name for pair in ends for name in pair})
        ),
        tuple(
            Edge(one, other, EdgeKind.RUNS_ON if other.startswith("host") else EdgeKind.CALLS)
            for one, other in ends
        ),
    )
