"""Deltas of OTLP through a real door: summed up once, before the log, and as durable as the log."""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tests.disks import FaultyFiles
from tests.doors import Bell, House, house
from tests.make import NS_PER_S, START_NS
from watchkeeper.errors import Retryable
from watchkeeper.ingest.prepare import Accepted
from watchkeeper.model.series import TenantId

DELTA, CUMULATIVE = 1, 2


def ns(after_s: float) -> int:
    return START_NS + round(after_s * NS_PER_S)


def jobs(*points: tuple[float, float], temporality: int = DELTA, **attributes: str) -> bytes:
    """A monotonic sum `jobs_total` of (seconds after the start, value)."""
    request = ExportMetricsServiceRequest()
    data = request.resource_metrics.add().scope_metrics.add().metrics.add(name="jobs").sum
    data.is_monotonic = True
    data.aggregation_temporality = temporality
    for after_s, value in points:
        point = data.data_points.add(time_unix_nano=ns(after_s), as_double=value)
        for key, text in attributes.items():
            point.attributes.add(key=key).value.string_value = text
    raw: bytes = request.SerializeToString()
    return raw


def latencies(after_s: float, buckets: Sequence[int], total: float) -> bytes:
    """A histogram with bounds 1 and 5."""
    request = ExportMetricsServiceRequest()
    data = request.resource_metrics.add().scope_metrics.add().metrics.add(name="latency").histogram
    data.aggregation_temporality = DELTA
    data.data_points.add(
        time_unix_nano=ns(after_s),
        count=sum(buckets),
        sum=total,
        bucket_counts=buckets,
        explicit_bounds=[1.0, 5.0],
    )
    raw: bytes = request.SerializeToString()
    return raw


def marker(after_s: float) -> bytes:
    """No recorded value: the series has ended."""
    request = ExportMetricsServiceRequest()
    data = request.resource_metrics.add().scope_metrics.add().metrics.add(name="jobs").sum
    data.is_monotonic = True
    data.aggregation_temporality = DELTA
    data.data_points.add(time_unix_nano=ns(after_s), flags=1)
    raw: bytes = request.SerializeToString()
    return raw


async def send(one: House, body: bytes) -> Accepted:
    return await one.send(body, protocol="otlp_metrics")


def points(one: House, **labels: str) -> list[tuple[float, float]]:
    """(seconds, value) of what the log has of the series with these labels."""
    return [
        (after_s, value)
        for found, after_s, value in one.samples()
        if labels.items() <= found.items()
    ]


def reasons(accepted: Accepted) -> dict[str, int]:
    return {reject.reason: reject.count for reject in accepted.rejects}


async def test_deltas_are_logged_as_the_sum_so_far(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        for after_s, value in ((1, 5.0), (2, 0.0), (3, 2.5)):
            await send(one, jobs((after_s, value)))

        assert points(one) == [(1, 5.0), (2, 5.0), (3, 7.5)]


async def test_the_sum_has_the_name_and_the_labels_of_a_cumulative_one(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await send(one, jobs((1, 5.0), queue="mail"))
        await send(one, jobs((2, 9.0), queue="mail", temporality=CUMULATIVE))

        assert one.catalog.high_slot == 1
        assert one.samples()[0][0] == {"__name__": "jobs_total", "queue": "mail"}


async def test_every_series_has_a_sum_of_its_own(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        for after_s in (1, 2):
            await send(one, jobs((after_s, 1.0), queue="mail"))
            await send(one, jobs((after_s, 10.0), queue="fax"))

        assert points(one, queue="mail") == [(1, 1.0), (2, 2.0)]
        assert points(one, queue="fax") == [(1, 10.0), (2, 20.0)]


async def test_several_points_of_a_body_are_added_one_after_the_other(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await send(one, jobs((1, 1.0), (2, 2.0), (3, 4.0)))

        assert points(one) == [(1, 1.0), (2, 3.0), (3, 7.0)]


async def test_a_histogram_is_summed_up_in_all_of_its_parts(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await send(one, latencies(1, [1, 2, 3], 20.0))
        await send(one, latencies(2, [10, 0, 1], 7.5))

        assert points(one, __name__="latency_count") == [(1, 6.0), (2, 17.0)]
        assert points(one, __name__="latency_sum") == [(1, 20.0), (2, 27.5)]
        assert points(one, le="1") == [(1, 1.0), (2, 11.0)]
        assert points(one, le="5") == [(1, 3.0), (2, 13.0)]
        assert points(one, le="+Inf") == [(1, 6.0), (2, 17.0)]


async def test_cumulative_points_beside_deltas_in_a_body_stay_what_they_are(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as one:
        for after_s in (1, 2):
            delta = jobs((after_s, 5.0), queue="mail")
            await send(one, delta + jobs((after_s, 5.0), queue="fax", temporality=CUMULATIVE))

        assert points(one, queue="mail") == [(1, 5.0), (2, 10.0)]
        assert points(one, queue="fax") == [(1, 5.0), (2, 5.0)]


async def test_a_delta_that_is_too_late_is_refused_by_name_and_changes_no_sum(
    tmp_path: Path,
) -> None:
    """Later sums are durable and may have been read: nothing can be put in between them."""
    async with house(tmp_path) as one:
        await send(one, jobs((1, 1.0), (5, 1.0)))

        late = await send(one, jobs((3, 100.0), (6, 1.0)))

        assert reasons(late) == {"delta_out_of_order": 1}
        assert "in order" in late.rejects[0].detail
        assert points(one) == [(1, 1.0), (5, 2.0), (6, 3.0)]


async def test_a_delta_repeated_in_another_body_is_not_added_again(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await send(one, jobs((1, 5.0)))

        again = await send(one, jobs((1, 5.0), (2, 1.0)))

        assert again.n_accepted == 2
        assert again.rejects == ()
        assert points(one) == [(1, 5.0), (2, 6.0)]


async def test_another_delta_at_the_same_time_is_a_conflict_and_the_first_wins(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as one:
        await send(one, jobs((1, 5.0)))

        other = await send(one, jobs((1, 6.0)))

        assert reasons(other) == {"conflict": 1}
        assert points(one) == [(1, 5.0)]


async def test_a_body_that_is_sent_again_adds_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await send(one, jobs((1, 5.0), (2, 5.0)))

        again = await send(one, jobs((1, 5.0), (2, 5.0)))

        assert again.repeated
        assert points(one) == [(1, 5.0), (2, 10.0)]


async def test_a_delta_from_the_future_is_refused_and_not_added(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        refused = await send(one, jobs((5000, 5.0)))
        await send(one, jobs((1, 1.0)))

        assert reasons(refused) == {"future": 1}
        assert points(one) == [(1, 1.0)]


async def test_a_group_that_the_log_refused_is_in_no_sum(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await send(one, jobs((1, 1.0)))
        one.gate.full = True
        with pytest.raises(Retryable):
            await send(one, jobs((2, 10.0)))
        one.gate.full = False
        one.clock.advance(0.1)

        await send(one, jobs((2, 10.0)))

        assert points(one) == [(1, 1.0), (2, 11.0)]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
async def test_a_value_that_is_no_number_does_not_spoil_all_sums_to_come(
    tmp_path: Path, value: float
) -> None:
    async with house(tmp_path) as one:
        await send(one, jobs((1, 5.0)))
        await send(one, jobs((2, value)))
        await send(one, jobs((3, 2.0), (4, 1.0)))

        assert points(one)[2:] == [(3, 2.0), (4, 3.0)]


async def test_a_series_that_ended_begins_again_from_nothing(tmp_path: Path) -> None:
    """What follows is a reset to whoever reads rates, and the rate after it is right."""
    async with house(tmp_path) as one:
        await send(one, jobs((1, 5.0)))
        await send(one, marker(2))
        await send(one, jobs((3, 2.0)))

        (_, first), (_, ended), (_, again) = points(one)
        assert (first, again) == (5.0, 2.0)
        assert ended != ended


async def test_a_sender_that_turns_cumulative_and_back_goes_on_from_its_own_count(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as one:
        await send(one, jobs((1, 5.0)))
        await send(one, jobs((2, 100.0), temporality=CUMULATIVE))
        await send(one, jobs((3, 2.0)))

        assert points(one) == [(1, 5.0), (2, 100.0), (3, 102.0)]


async def test_the_deltas_of_two_tenants_do_not_meet(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        for tenant in ("a", "b"):
            await one.send(jobs((1, 5.0)), protocol="otlp_metrics", tenant=TenantId(tenant))
            await one.send(jobs((2, 5.0)), protocol="otlp_metrics", tenant=TenantId(tenant))

        assert points(one) == [(1, 5.0), (2, 10.0)] * 2


@pytest.mark.parametrize("ending", ["graceful", "crash", "crash behind a save", "damaged memory"])
async def test_a_sum_goes_on_after_a_restart(tmp_path: Path, ending: str) -> None:
    clock = Bell()
    async with house(tmp_path, clock=clock) as one:
        await send(one, jobs((1, 0.1)))
        if ending != "crash":
            await one.upkeep.finish(clock.now_ns())
        if ending != "graceful":
            await send(one, jobs((2, 0.2)))
    if ending == "damaged memory":
        (tmp_path / "door.state").write_bytes(b"rubbish")

    async with house(tmp_path, clock=clock) as one:
        await send(one, jobs((2, 0.2)))
        await send(one, jobs((3, 0.3)))

        assert points(one) == [(1, 0.1), (2, 0.1 + 0.2), (3, 0.1 + 0.2 + 0.3)]


async def test_after_a_restart_the_newest_delta_is_known_by_its_time(tmp_path: Path) -> None:
    """The log holds sums, so which delta was the last is not known any more; it is not added."""
    clock = Bell()
    async with house(tmp_path, clock=clock) as one:
        await send(one, jobs((1, 5.0)))
    async with house(tmp_path, clock=clock) as one:
        again = await send(one, jobs((1, 5.0), (2, 1.0)))

        assert again.rejects == ()
        assert points(one) == [(1, 5.0), (2, 6.0)]


@pytest.mark.parametrize("seed", range(6))
async def test_faults_retries_and_a_loss_of_power_add_every_delta_once(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    clock, disk = Bell(), FaultyFiles(chance)
    bodies = [jobs((n, 2.0**n), queue="mail") for n in range(1, 11)]
    async with house(tmp_path, clock=clock, disk=disk) as one:
        for body in bodies[:6]:
            if chance.random() < 0.5:
                disk.fail(chance.choice(("write", "sync")), errno.EIO)
            await until_taken(one, body)
    disk.lose_power()

    async with house(tmp_path, clock=clock) as one:
        for body in bodies[5:]:  # the last one that was acknowledged comes again
            await send(one, body)

        assert points(one) == [(n, 2.0 ** (n + 1) - 2.0) for n in range(1, 11)]


async def until_taken(one: House, body: bytes) -> None:
    """As an exporter sends: again until it is taken."""
    while True:
        try:
            await send(one, body)
        except Retryable:
            one.clock.advance(0.1)
        else:
            return
