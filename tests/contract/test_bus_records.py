"""What is no sample travels too: lines, spans, changes, and what series have besides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import make
from tests.buses import World, batch, details_by_series, take_all, told
from tests.contract.test_bus import EVERY, series, worlds
from watchkeeper.bus.base import MIXED, SAMPLES
from watchkeeper.model.alert import Alert, AlertStatus
from watchkeeper.model.change import Change
from watchkeeper.model.family import Families, Family, MetricType
from watchkeeper.model.row import Origin, texts
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict, Word
from watchkeeper.model.series import DEFAULT_TENANT, N_PARTITIONS, Entity
from watchkeeper.model.signal import (
    DetailBatch,
    ExemplarBatch,
    HistogramBatch,
    LogBatch,
    NewSeries,
    RowBatch,
    SpanBatch,
    Tick,
)
from watchkeeper.model.silence import AlertSilence


@pytest.fixture(params=EVERY)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async for one in worlds(request, tmp_path):
        yield one


def origins(n: int = 4) -> tuple[Origin, ...]:
    return tuple(
        Origin((("pod", str(n)), ("service", f"s{n}")), Entity(service=f"s{n}")) for n in range(n)
    )


def lines(n: int = 12, **fields: Any) -> LogBatch:
    rows = ((make.START_NS + k, k % 5, f"line {k}".encode()) for k in range(n))
    return replace(make.logs(*rows, origins=origins()), **fields)


def some_spans(n: int = 12, **fields: Any) -> SpanBatch:
    spans = make.spans(*((make.START_NS + k, k, f"GET /{k}".encode()) for k in range(n)))
    of_row = np.arange(n, dtype=np.int32) % 4
    return replace(spans, origins=origins(), origin=of_row, **fields)


def by_service(batches: Iterable[RowBatch]) -> dict[str, list[str]]:
    """What order means to a consumer: that of each service."""
    found: dict[str, list[str]] = {}
    for one in batches:
        for origin, said in told(one):
            found.setdefault(origin.entity.service, []).append(said)
    return found


ROWS = pytest.mark.parametrize("make_rows", [lines, some_spans], ids=["lines", "spans"])
MakeRows = Callable[..., RowBatch]


@ROWS
async def test_rows_come_as_they_went_each_service_in_order(
    world: World, make_rows: MakeRows
) -> None:
    bus = await world.start()
    sent = [make_rows(n, tenant="shöp", body_hash=bytes([n]) * 16) for n in (12, 5, 7)]
    await bus.publish(SAMPLES, sent)

    found = [d.record for d in await take_all(bus, SAMPLES)]

    assert by_service(found) == by_service(sent)
    assert {one.tenant for one in found} == {"shöp"}
    assert {one.body_hash for one in found} == {one.body_hash for one in sent}


@ROWS
async def test_rows_of_a_service_meet_where_its_series_do(
    world: World, make_rows: MakeRows
) -> None:
    bus = await world.start()
    new = series(world, 4, 4)
    await bus.publish(SAMPLES, [new, batch(new), make_rows()])

    for partition in range(N_PARTITIONS):
        for delivery in await take_all(bus, SAMPLES, {partition: 0}):
            if isinstance(delivery.record, LogBatch | SpanBatch) and delivery.partition != MIXED:
                services = {one.entity.service for one in delivery.record.origins}
                of_series = {f"s{k}" for k in range(4) if new.partition[k] == delivery.partition}
                assert services <= of_series


@ROWS
async def test_rows_are_delivered_again_after_a_restart(world: World, make_rows: MakeRows) -> None:
    bus = await world.start()
    await bus.publish(SAMPLES, [make_rows(), make.tick(), make_rows(3)])
    before = await take_all(bus, SAMPLES)

    bus = await world.start()

    after = await take_all(bus, SAMPLES)
    assert [(d.partition, d.position) for d in after] == [(d.partition, d.position) for d in before]
    assert by_service(d.record for d in after if not isinstance(d.record, Tick)) == by_service(
        [make_rows(), make_rows(3)]
    )


def details(new: NewSeries, n_each: int = 3) -> list[DetailBatch]:
    """Histograms and exemplars of all these series, in turns."""
    n = len(new) * n_each
    slot = new.slot[np.arange(n) % len(new)]
    time_ns = make.START_NS + np.arange(n)
    words = texts([f"content {k}".encode() for k in range(n)])
    trace = np.arange(2 * n, dtype=np.uint64).reshape(n, 2)
    return [
        HistogramBatch(slot, time_ns, words, new.tenant, b"h" * 16),
        ExemplarBatch(slot, time_ns, time_ns / 7, trace, words, new.tenant, b"h" * 16),
    ]


async def test_histograms_and_exemplars_come_as_they_went_each_series_in_order(
    world: World,
) -> None:
    bus = await world.start()
    new = series(world)
    sent = details(new)
    await bus.publish(SAMPLES, [new, batch(new), *sent])

    found = [d.record for d in await take_all(bus, SAMPLES)]

    for one in sent:
        parts = [part for part in found if isinstance(part, type(one))]
        assert details_by_series(parts, world.catalog) == details_by_series([one], world.catalog)
        assert {(part.tenant, part.body_hash) for part in parts} == {(new.tenant, b"h" * 16)}


async def test_descriptions_of_metrics_come_as_they_went(world: World) -> None:
    bus = await world.start()
    sent = Families(DEFAULT_TENANT, (Family("up", MetricType.GAUGE, "Ob es lebt: größer 0", "s"),))
    await bus.publish(SAMPLES, [sent, make.tick()])

    found = [d.record for d in await take_all(bus, SAMPLES) if isinstance(d.record, Families)]

    assert found == [sent]


async def test_a_change_comes_as_it_went_and_as_often_as_it_was_told(world: World) -> None:
    """The same one again, with another status, is no repeated body."""
    bus = await world.start()
    started = make.change(status="started", details={"commit": "abc123"})
    ended = replace(started, status="success", actor="ci", summary="Grüße")
    await bus.publish(SAMPLES, [started, lines(), ended])

    found = [d.record for d in await take_all(bus, SAMPLES) if isinstance(d.record, Change)]

    assert found == [started, ended]


async def test_alerts_come_as_they_went_where_all_of_their_tenant_meets(world: World) -> None:
    bus = await world.start()
    fires = make.alert(
        service="shop", annotations={"description": "Grüße"}, links={"rule": "http://p"}
    )
    ended = replace(fires, status=AlertStatus.RESOLVED, ended_ns=make.START_NS + 1)
    await bus.publish(SAMPLES, [fires, lines(), ended])

    found = [d for d in await take_all(bus, SAMPLES) if isinstance(d.record, Alert)]

    assert [one.record for one in found] == [fires, ended]
    there = world.catalog.partition_of(fires.tenant, "")
    assert {one.partition for one in found} <= {MIXED, there}


@pytest.mark.parametrize(
    "sent",
    [make.settings('{"sensitivity": "größer"}', expected=3), make.maintenance(), make.silence()],
)
async def test_what_holds_for_all_is_told_to_every_partition_between_what_lies_around_it(
    world: World, sent: DetectionSet | Maintenance | AlertSilence
) -> None:
    bus = await world.start()
    await bus.publish(SAMPLES, [make.tick(1), sent, make.tick(2)])

    found = await take_all(bus, SAMPLES)

    told_to: dict[int, list[Any]] = {}
    for one in found:
        told_to.setdefault(one.partition, []).append(one.record)
    assert set(told_to) in ({MIXED}, set(range(N_PARTITIONS)))
    assert all(came == [make.tick(1), sent, make.tick(2)] for came in told_to.values())
    assert isinstance(found[-1].record, Tick)
    assert sum(isinstance(one.record, type(sent)) for one in found) == len(told_to)


async def test_a_verdict_comes_once_where_its_service_meets(world: World) -> None:
    bus = await world.start()
    sent = [make.verdict(partition=7, comment="läuft"), make.verdict(Word.WITHDRAWN, partition=7)]
    await bus.publish(SAMPLES, sent)

    found = [d for d in await take_all(bus, SAMPLES) if isinstance(d.record, Verdict)]

    assert [d.record for d in found] == sent
    assert {d.partition for d in found} <= {MIXED, 7}
