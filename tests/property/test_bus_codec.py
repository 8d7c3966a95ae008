"""What travels between processes: whole and equal, or refused in our words, whatever befalls it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from tests.buses import batch, told
from tests.catalogs import ToyCatalog
from tests.examples import MANY
from watchkeeper.bus import codec
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.model import wire
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus, Severity
from watchkeeper.model.event import Event
from watchkeeper.model.row import Origin, origin, texts
from watchkeeper.model.series import N_PARTITIONS, U8, U64, Entity, TenantId
from watchkeeper.model.signal import HistogramBatch, LogBatch, NewSeries, SampleBatch

SERVICES = ("auth", "cart", "payment", "search", "")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
INT64 = st.integers(-(2**63), 2**63 - 1)
GENERATIONS = np.arange(N_PARTITIONS, dtype=np.int64)

ANOMALIES = st.builds(
    make.anomaly,
    tenant=TEXTS.map(TenantId),
    labels=st.dictionaries(TEXTS, TEXTS, max_size=3),
    entity=st.builds(Entity, TEXTS, TEXTS, TEXTS, TEXTS),
    severity=st.sampled_from(Severity),
    status=st.sampled_from(AnomalyStatus),
    started_ns=st.integers(0, 2**62),
    ended_ns=st.none() | INT64,
    value=st.floats(allow_nan=False),
    expected_low=st.floats(allow_nan=False),
    p_value=st.floats(0, 1),
    position=st.integers(0, 2**62),
    evidence=st.dictionaries(TEXTS, st.floats(allow_nan=False), max_size=3),
)


@cache
def fleet() -> tuple[ToyCatalog, NewSeries]:
    """Fifteen series of five services, and the process that knows them."""
    catalog = ToyCatalog()
    new = catalog.register(
        *({"__name__": "m", "service": service, "i": str(i)} for service in SERVICES
          for i in range(3))
    )  # fmt: skip
    return catalog, new


def messages(samples: SampleBatch) -> list[tuple[int, bytes]]:
    catalog, _ = fleet()
    return list(codec.split(samples, catalog.identity, catalog.partition, GENERATIONS))


def a_batch(rows: Sequence[tuple[int, int, float]], body_hash: bytes = b"") -> SampleBatch:
    _, new = fleet()
    slots = [(int(new.slot[series]), time_ns, value) for series, time_ns, value in rows]
    return make.samples(*slots, tenant="shöp", body_hash=body_hash)


ROWS = st.lists(st.tuples(st.integers(0, 14), INT64, st.floats()), max_size=40)


@given(ROWS, st.binary(max_size=16))
def test_a_batch_arrives_whole_in_its_partitions_each_series_in_order(
    rows: Sequence[tuple[int, int, float]], body_hash: bytes
) -> None:
    catalog, _ = fleet()
    sent = a_batch(rows, body_hash)

    arrived: dict[bytes, list[tuple[int, bytes]]] = {}
    for partition, payload in messages(sent):
        part = codec.read(payload)
        assert isinstance(part, codec.PortableSamples)
        assert (part.tenant, part.body_hash) == ("shöp", body_hash)
        assert part.generation == GENERATIONS[partition]
        for identity, time_ns, value in zip(part.identity, part.time_ns, part.value, strict=True):
            assert catalog.partition[catalog.lookup(identity[None])[0]] == partition
            arrived.setdefault(identity.tobytes(), []).append((int(time_ns), value.tobytes()))

    wanted: dict[bytes, list[tuple[int, bytes]]] = {}
    for slot, time_ns, value in zip(sent.slot, sent.time_ns, sent.value, strict=True):
        name = catalog.identity[slot].tobytes()
        wanted.setdefault(name, []).append((int(time_ns), value.tobytes()))
    assert arrived == wanted


ROWS_OF_TEXT = st.lists(
    st.tuples(st.integers(0, 2**62), st.integers(0, 24), st.binary(max_size=20)), max_size=40
)
ORIGINS = [origin([("service", service)]) for service in ("auth", "cart", "pay", "web")]


@given(ROWS_OF_TEXT, st.lists(st.integers(0, N_PARTITIONS - 1), min_size=4, max_size=4))
def test_every_line_arrives_once_where_its_origin_belongs_in_the_order_of_coming(
    rows: list[tuple[int, int, bytes]], where: list[int]
) -> None:
    sent = replace(make.logs(*rows, origins=ORIGINS), tenant=TenantId("shöp"), body_hash=b"hash")

    arrived: dict[int, list[tuple[Origin, str]]] = {}
    for partition, payload in codec.split_rows(sent, where):
        part = codec.read(payload)
        assert isinstance(part, LogBatch)
        assert (part.tenant, part.body_hash) == ("shöp", b"hash")
        assert partition not in arrived
        arrived[partition] = told(part)

    wanted: dict[int, list[tuple[Origin, str]]] = {}
    for one, said in told(sent):
        wanted.setdefault(where[ORIGINS.index(one)], []).append((one, said))
    assert arrived == wanted


@given(ROWS)
def test_a_partition_without_rows_gets_no_message(rows: Sequence[tuple[int, int, float]]) -> None:
    catalog, new = fleet()

    got = [partition for partition, _ in messages(a_batch(rows))]

    assert got == sorted({int(catalog.partition[new.slot[series]]) for series, _, _ in rows})


@given(st.lists(st.integers(0, 14), min_size=1, max_size=15, unique=True))
def test_registrations_arrive_with_labels_and_entities_in_any_number(chosen: list[int]) -> None:
    catalog, _ = fleet()
    slots = np.array([int(fleet()[1].slot[n]) for n in chosen], np.int32)
    (described,) = catalog.describe(slots)

    (joined,) = codec.join([payload for _, _, payload in codec.registrations(described)])

    assert joined.identity.tolist() == described.identity.tolist()
    assert joined.partition.tolist() == described.partition.tolist()
    for row in range(len(chosen)):
        assert make.read_labels(joined.labels, row) == make.read_labels(described.labels, row)
        of_joined = joined.entities[joined.entity[row]]
        assert of_joined == described.entities[described.entity[row]]


@given(st.integers(0, 2**62), ANOMALIES)
def test_an_event_arrives_equal(sequence: int, anomaly: Anomaly) -> None:
    event = Event(sequence, anomaly)

    assert codec.decode_event(codec.encode_event(event)) == event


@given(ANOMALIES, TEXTS)
def test_all_of_a_service_meets_in_one_partition(anomaly: Anomaly, node: str) -> None:
    """Whatever else is said of an anomaly, tenant and service decide."""
    sibling = replace(
        make.anomaly(tenant=anomaly.tenant),
        entity=Entity(service=anomaly.entity.service, node=node),
    )

    catalog, _ = fleet()
    assert 0 <= codec.partition_of(anomaly, catalog) < N_PARTITIONS
    assert codec.partition_of(sibling, catalog) == codec.partition_of(anomaly, catalog)


def histograms() -> tuple[HistogramBatch, U64, U8]:
    catalog, new = fleet()
    n = len(new)
    batch = HistogramBatch(new.slot, np.arange(n), texts([b"content"] * n), new.tenant, b"hash")
    return batch, catalog.identity, catalog.partition


@cache
def sound() -> tuple[tuple[Callable[[bytes], object], bytes], ...]:
    """One message of each kind, and what reads it."""
    _, new = fleet()
    event = Event(3, make.anomaly(evidence={"level": 1.0}, expected_low=-math.inf))
    payloads = [
        messages(batch(new, n_each=5))[0][1],
        next(codec.split_series(new))[1],
        wire.encode(make.tick()),
        next(codec.split_rows(make.logs((1, 9, b"line"), (2, 9, b"")), [3]))[1],
        next(codec.split_rows(make.spans((1, 2, b"GET /")), [3]))[1],
        next(codec.split_details(*histograms(), GENERATIONS))[1],
        wire.encode(make.change(details={"commit": "abc"})),
    ]
    return (*((codec.read, one) for one in payloads), (codec.decode_event,
                                                       codec.encode_event(event)))  # fmt: skip


def harmed(payload: bytes, chance: random.Random) -> bytes:
    """Cut short, made longer, or with some of its bytes replaced."""
    content = bytearray(payload)
    how = chance.randrange(3)
    if how == 0:
        del content[chance.randrange(len(content)) :]
    elif how == 1:
        content += chance.randbytes(chance.randint(1, 20))
    else:
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


@MANY
@given(st.integers(0, 7), st.integers(0, 2**32))
def test_a_message_that_was_harmed_is_read_or_refused_in_our_words(kind: int, seed: int) -> None:
    """What a stage is handed it can put aside; a foreign error would be tried again for ever."""
    read, payload = sound()[kind]

    with suppress(BadInput, Permanent):
        record = read(harmed(payload, random.Random(seed)))

        assert isinstance(record, codec.Portable | codec.Shared | Event)


@given(st.binary(max_size=200))
def test_no_bytes_end_in_anything_but_a_record_or_a_refusal(junk: bytes) -> None:
    for read in (codec.read, codec.decode_event):
        with suppress(BadInput, Permanent):
            record = read(junk)

            assert isinstance(record, codec.Portable | codec.Shared | Event)
