"""Records in the form in which they leave the process."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from tests.catalogs import ToyCatalog
from watchkeeper.bus import codec
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.model import wire
from watchkeeper.model.event import Event
from watchkeeper.model.row import origin, texts
from watchkeeper.model.series import Entity, TenantId
from watchkeeper.model.signal import HistogramBatch, LogBatch, NewSeries, SampleBatch

GENERATION = np.arange(64, dtype=np.int64)


def catalog_of(n_series: int, n_services: int) -> tuple[ToyCatalog, NewSeries]:
    catalog = ToyCatalog()
    return catalog, catalog.register(
        *(make.labels("up", service=f"s{n % n_services}", i=str(n)) for n in range(n_series))
    )


@given(picked=st.lists(st.integers(0, 9), max_size=50), n_services=st.integers(1, 5))
def test_a_batch_falls_into_its_partitions_and_back(picked: list[int], n_services: int) -> None:
    catalog, new = catalog_of(10, n_services)
    batch = SampleBatch(
        new.tenant,
        new.slot[np.array(picked, np.int64)],
        make.START_NS + np.arange(len(picked), dtype=np.int64),
        np.arange(len(picked)) / 3,
        b"hash",
    )

    parts = dict(codec.split(batch, catalog.identity, catalog.partition, GENERATION))

    back: list[tuple[int, int, float]] = []
    for partition, payload in parts.items():
        samples = codec.read(payload)
        assert isinstance(samples, codec.PortableSamples)
        assert samples.generation == partition
        local = codec.localize(samples, catalog.lookup(samples.identity))
        assert isinstance(local, SampleBatch)
        assert (local.tenant, local.body_hash) == (batch.tenant, b"hash")
        assert set(catalog.partition[local.slot]) == {partition}
        rows = zip(local.slot.tolist(), local.time_ns.tolist(), local.value.tolist(), strict=True)
        part = list(rows)
        assert part == sorted(part, key=lambda row: row[1]), "the order of arrival"
        back += part
    sent = zip(batch.slot.tolist(), batch.time_ns.tolist(), batch.value.tolist(), strict=True)
    assert sorted(back) == sorted(sent)


def test_rows_of_unknown_series_stay_out() -> None:
    catalog, new = catalog_of(2, 1)
    batch = SampleBatch(new.tenant, new.slot, np.zeros(2, np.int64), np.array([1.0, 2.0]))
    ((_, payload),) = codec.split(batch, catalog.identity, catalog.partition, GENERATION)
    samples = codec.read(payload)
    assert isinstance(samples, codec.PortableSamples)

    local = codec.localize(samples, np.array([-1, 5], np.int32))

    assert isinstance(local, SampleBatch)
    assert (local.slot.tolist(), local.value.tolist()) == ([5], [2.0])


def test_rows_fall_into_their_partitions_with_their_own_origins() -> None:
    cart, shop = (origin([("service", name)]) for name in ("cart", "shop"))
    rows = [(make.START_NS + n, n, f"line {n}".encode()) for n in range(5)]
    batch = replace(make.logs(*rows, origins=(cart, shop)), body_hash=b"hash")

    parts = {where: codec.read(payload) for where, payload in codec.split_rows(batch, [7, 9])}

    assert {
        where: (part.origins, part.body_hash, part.time_ns.tolist())
        for where, part in parts.items()
        if isinstance(part, LogBatch)
    } == {
        7: ((cart,), b"hash", [make.START_NS + n for n in (0, 2, 4)]),
        9: ((shop,), b"hash", [make.START_NS + n for n in (1, 3)]),
    }


def histograms(new: NewSeries) -> HistogramBatch:
    """One of each series."""
    n = len(new)
    words = texts([f"content {k}".encode() for k in range(n)])
    return HistogramBatch(new.slot, make.START_NS + np.arange(n), words, new.tenant, b"hash")


def test_histograms_fall_into_their_partitions_and_back() -> None:
    catalog, new = catalog_of(10, 3)
    sent = histograms(new)

    back = []
    for where, payload in codec.split_details(
        sent, catalog.identity, catalog.partition, GENERATION
    ):
        part = codec.read(payload)
        assert isinstance(part, codec.PortableDetails)
        assert part.generation == where
        local = codec.localize(part, catalog.lookup(part.identity))
        assert isinstance(local, HistogramBatch)
        assert set(catalog.partition[local.slot]) == {where}
        back += [(int(slot), local.payload[row]) for row, slot in enumerate(local.slot)]

    assert sorted(back) == [(int(slot), sent.payload[row]) for row, slot in enumerate(sent.slot)]


def test_histograms_of_unknown_series_stay_out() -> None:
    catalog, new = catalog_of(2, 1)
    ((_, payload),) = codec.split_details(
        histograms(new), catalog.identity, catalog.partition, GENERATION
    )
    part = codec.read(payload)
    assert isinstance(part, codec.PortableDetails)

    local = codec.localize(part, np.array([-1, 5], np.int32))

    assert isinstance(local, HistogramBatch)
    assert (local.slot.tolist(), local.payload[0], len(local)) == ([5], b"content 1", 1)


def test_a_batch_that_names_slots_of_another_process_is_refused() -> None:
    _, new = catalog_of(2, 1)

    with pytest.raises(BadInput, match="HistogramBatch without the identities"):
        codec.read(wire.encode(histograms(new)))


def test_a_batch_without_rows_makes_no_message() -> None:
    assert list(codec.split_rows(make.logs(), [3])) == []


def test_new_series_fall_into_their_partitions_with_their_own_entities() -> None:
    _, new = catalog_of(10, 4)

    found = []
    for partition, payload in codec.split_series(new):
        part = codec.read(payload)
        assert isinstance(part, NewSeries)
        assert set(part.partition.tolist()) == {partition}
        for row in range(len(part)):
            pairs = dict(make.read_labels(part.labels, row))
            assert part.entities[int(part.entity[row])][0] == pairs["service"]
            found.append((part.identity[row].tobytes(), int(part.slot[row]), pairs["i"]))

    assert sorted(found) == sorted(
        (new.identity[row].tobytes(), int(new.slot[row]), str(row)) for row in range(len(new))
    )


def test_registrations_are_joined_again() -> None:
    _, new = catalog_of(6, 2)
    registered = list(codec.registrations(new))

    (back,) = codec.join([payload for _, _, payload in registered])

    assert [name for _, name, _ in registered] == [one.tobytes() for one in new.identity]
    assert back.identity.tolist() == new.identity.tolist()
    assert back.role.tolist() == new.role.tolist()
    assert back.partition.tolist() == new.partition.tolist()
    assert back.donor.tolist() == [-1] * 6
    for row in range(6):
        assert make.read_labels(back.labels, row) == make.read_labels(new.labels, row)
        assert back.entities[int(back.entity[row])] == new.entities[int(new.entity[row])]
    assert codec.join([]) == []


def test_registrations_of_two_tenants_stay_apart() -> None:

    _, new = catalog_of(1, 1)
    other = replace(new, tenant=TenantId("other"))
    payloads = [wire.encode(one) for one in (new, other, new)]

    assert [(one.tenant, len(one)) for one in codec.join(payloads)] == [
        ("default", 2),
        ("other", 1),
    ]


@pytest.mark.parametrize("cut", [0, 1, 20, 40, -1])
def test_a_message_cut_short_is_refused(cut: int) -> None:
    catalog, new = catalog_of(2, 1)
    batch = SampleBatch(new.tenant, new.slot, np.zeros(2, np.int64), np.zeros(2), b"hash")
    ((_, payload),) = codec.split(batch, catalog.identity, catalog.partition, GENERATION)

    with pytest.raises(BadInput):
        codec.read(payload[:cut])


def test_an_event_comes_back_equal() -> None:
    event = Event(
        7,
        make.anomaly(expected_high=float("inf"), evidence={"level": -1.5}, entity=Entity("a", "b")),
    )

    assert codec.decode_event(codec.encode_event(event)) == event


def test_an_event_that_nobody_knows_is_refused_with_the_remedy() -> None:

    with pytest.raises(Permanent, match=r"bus/codec\.py"):
        codec.encode_event(Event(1, make.tick()))
    with pytest.raises(Permanent, match="newer"):
        codec.decode_event(msgspec.msgpack.encode((1, "Prophecy", {})))
    with pytest.raises(BadInput, match="no event"):
        codec.decode_event(b"\xc1")


def test_all_that_speaks_of_a_service_meets_in_one_partition() -> None:
    """Its series, what is told of it, and what is found out about it."""
    catalog, new = catalog_of(1, 1)
    entity = Entity("s0", node="n7")

    of_series = int(new.partition[0])

    assert codec.partition_of(make.anomaly(entity=entity), catalog) == of_series
    assert codec.partition_of(make.change(entity=entity), catalog) == of_series
    assert codec.partition_of("anything else", catalog) == 0


def test_a_partition_follows_from_tenant_and_service() -> None:
    catalog = ToyCatalog()
    one = codec.partition_of(make.anomaly(entity=Entity("a")), catalog)

    assert one == codec.partition_of(make.anomaly(entity=Entity("a", "prod")), catalog)
    assert one != codec.partition_of(make.anomaly(entity=Entity("b")), catalog)
    assert one != codec.partition_of(make.anomaly(entity=Entity("a"), tenant="other"), catalog)
