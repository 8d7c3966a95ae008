"""From a body to what is logged of it, with a real catalog and real receivers; and back again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import make
from tests.make import NS_PER_S, START_NS
from watchkeeper.errors import BadInput
from watchkeeper.ingest.admit import Admission, AdmitConfig
from watchkeeper.ingest.admit_rows import AdmitRowsConfig, RowAdmission
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.ingest.prepare import Prepared, Preparer, Request
from watchkeeper.ingest.receivers.metric_points import MetricPoints
from watchkeeper.ingest.receivers.metrics_json import MetricsJson
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.model import wire
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.model.signal import Logged, NewSeries, SampleBatch

KEY = bytes(range(16))
OTHER = TenantId("other")
HOUR_S = 3600.0


@dataclass
class Door:
    """A preparer, and the log that it would have written."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    log: list[Logged] = field(default_factory=list)

    def __post_init__(self) -> None:
        config = CatalogConfig(max_series=100, max_donors=10, **self.settings)
        self.catalog = Catalog(KEY, config, Enrich())
        self.admission = Admission(AdmitConfig(), config.n_slots)
        self.preparer = Preparer(
            {"metrics_json": MetricsJson(seed=1), "metric_points": MetricPoints(seed=2)},
            self.catalog,
            self.admission,
            RowAdmission(AdmitRowsConfig(), Enrich()),
        )

    def prepare(
        self,
        body: bytes,
        *,
        after_s: float = 0.0,
        protocol: str = "metrics_json",
        tenant: TenantId = DEFAULT_TENANT,
    ) -> Prepared:
        request = Request(protocol, body, {}, tenant)
        return self.preparer.prepare(request, START_NS + round(after_s * NS_PER_S))

    def take(self, body: bytes, **how: Any) -> Prepared:
        """... and make it durable."""
        prepared = self.prepare(body, **how)
        self.commit(prepared)
        return prepared

    def commit(self, *prepared: Prepared) -> None:
        series = self.preparer.unlogged()
        self.log += [*series, *(record for one in prepared for record in one.records)]
        self.preparer.logged(len(series))

    def restarted(self, saved: bytes | None = None, position: int = 0) -> Door:
        """Another process that reads the log, from a saved memory on if there is one."""
        twin = Door(self.settings)
        if saved is not None:
            twin.preparer.load(saved)
        for at, record in enumerate(self.log):
            back = wire.decode(wire.encode(record))
            if isinstance(back, NewSeries) or at >= position:
                twin.preparer.follow(back, START_NS, fresh=at >= position)
        return twin

    def samples(self) -> list[tuple[dict[str, str], int, float]]:
        """What the log says, in words."""
        found = []
        for record in self.log:
            if isinstance(record, SampleBatch):
                labels = self.catalog.labels(record.slot)
                times = (record.time_ns - START_NS).tolist()
                found += list(zip(labels, times, record.value.tolist(), strict=True))
        return found


def body(*items: tuple[str, float, float], **labels: str) -> bytes:
    """Samples as (name, seconds after the start, value)."""
    metrics = [
        {
            "name": name,
            "value": value,
            "timestamp": START_NS + round(after_s * NS_PER_S),
            "labels": labels,
        }
        for name, after_s, value in items
    ]
    return json.dumps({"metrics": metrics}).encode()


@pytest.fixture
def door() -> Door:
    return Door()


def test_a_body_becomes_samples_of_the_series_that_it_names(door: Door) -> None:
    prepared = door.take(body(("up", 0, 1.0), ("load", 0, 0.5), job="shop"))

    assert prepared.accepted.n_accepted == 2
    assert door.samples() == [
        ({"__name__": "up", "job": "shop"}, 0, 1.0),
        ({"__name__": "load", "job": "shop"}, 0, 0.5),
    ]


def test_a_series_is_logged_once_and_before_its_first_sample(door: Door) -> None:
    door.take(body(("up", 0, 1.0)))
    door.take(body(("up", 1, 1.0)))

    assert [type(record) for record in door.log] == [NewSeries, SampleBatch, SampleBatch]


def test_the_same_body_again_is_known_and_adds_nothing(door: Door) -> None:
    door.take(body(("up", 0, 1.0)))

    again = door.prepare(body(("up", 0, 1.0)), after_s=5)

    assert again.accepted.repeated
    assert again.accepted.n_accepted == 0
    assert not again.records


def test_the_same_body_of_another_tenant_is_another_body(door: Door) -> None:
    door.take(body(("up", 0, 1.0)))

    other = door.take(body(("up", 0, 1.0)), tenant=OTHER)

    assert not other.accepted.repeated
    (batch,) = other.records
    assert isinstance(batch, SampleBatch)
    assert batch.tenant == OTHER
    assert batch.slot.tolist() != door.log[1].slot.tolist()  # type: ignore[union-attr]


def test_the_same_bytes_through_another_door_are_another_body(door: Door) -> None:
    """One protocol's body may be legal in another and mean something else."""
    both = json.dumps([{"name": "a", "metric_name": "b", "value": 1.0, "timestamp": START_NS}])
    door.take(both.encode())

    other = door.take(both.encode(), protocol="metric_points")

    assert not other.accepted.repeated
    assert [labels["__name__"] for labels, _, _ in door.samples()] == ["a", "b"]


def test_one_sample_through_two_protocols_is_stored_once(door: Door) -> None:
    door.take(body(("up", 0, 1.0)))
    point = {"metric_name": "up", "value": 1.0, "timestamp": START_NS}

    other = door.take(json.dumps(point).encode(), protocol="metric_points")

    assert other.accepted.n_accepted == 1
    assert not other.records
    assert len(door.samples()) == 1


def test_a_body_without_times_is_never_taken_for_a_retry(door: Door) -> None:
    """A heartbeat that says the same every time was stored once in ten minutes."""
    heartbeat = json.dumps({"metric_name": "up", "value": 1.0}).encode()

    for after_s in (0, 15, 30):
        door.take(heartbeat, after_s=after_s, protocol="metric_points")

    assert [time_ns // NS_PER_S for _, time_ns, _ in door.samples()] == [0, 15, 30]
    twin = door.restarted()
    again = twin.prepare(heartbeat, after_s=45, protocol="metric_points")
    assert not again.accepted.repeated


def test_a_body_of_which_one_sample_has_no_time_is_told_item_by_item(door: Door) -> None:
    """What has a time is a duplicate, what has none is new."""
    items = json.loads(body(("up", 0, 1.0)))["metrics"] + [{"name": "beat", "value": 1.0}]
    mixed = json.dumps({"metrics": items}).encode()
    door.take(mixed)

    again = door.take(mixed, after_s=5)

    assert again.accepted.n_accepted == 2
    assert [labels["__name__"] for labels, _, _ in door.samples()] == ["up", "beat", "beat"]


def test_duplicates_count_as_accepted_and_conflicts_do_not(door: Door) -> None:
    door.take(body(("up", 0, 1.0), ("load", 0, 1.0)))

    mixed = door.prepare(body(("up", 0, 1.0), ("load", 0, 2.0), ("up", 1, 3.0)))

    assert mixed.accepted.n_accepted == 2
    assert [(one.reason, one.count) for one in mixed.accepted.rejects] == [("conflict", 1)]


def test_rejects_of_the_decoder_the_catalog_and_the_door_are_told_together() -> None:
    door = Door({"max_labels": 3})
    items = json.loads(body(("up", 0, 1.0), ("far", 9999, 1.0)))["metrics"]
    items += [{"name": "", "value": 1}, {**items[0], "labels": {c: c for c in "abcdef"}}]

    told = door.prepare(json.dumps({"metrics": items}).encode()).accepted

    reasons = {one.reason: one.count for one in told.rejects}
    assert told.n_accepted == 1
    assert reasons.pop("bad_item") == 1
    assert reasons.pop("future") == 1
    assert list(reasons.values()) == [1]


def test_a_body_that_brought_nothing_new_is_not_remembered(door: Door) -> None:
    """There is nothing to protect: judged again, it says the same with its reasons."""
    door.take(body(("up", 0, 1.0)))
    door.take(body(("up", 0, 2.0)))

    again = door.prepare(body(("up", 0, 2.0)))

    assert not again.accepted.repeated
    assert [one.reason for one in again.accepted.rejects] == ["conflict"]


def test_what_cannot_be_decoded_changes_nothing(door: Door) -> None:
    before = door.preparer.dump()

    with pytest.raises(BadInput):
        door.prepare(b"{")

    assert door.preparer.dump() == before
    assert door.preparer.unlogged() == ()


def test_what_the_log_refused_can_come_again_and_is_stored_once(door: Door) -> None:
    refused = [door.prepare(body(("up", 0, 1.0))), door.prepare(body(("up", 1, 2.0)))]

    door.preparer.take_back(refused)
    again = [door.prepare(body(("up", 0, 1.0))), door.prepare(body(("up", 1, 2.0)))]
    door.commit(*again)

    assert [one.accepted.repeated for one in again] == [False, False]
    assert [value for _, _, value in door.samples()] == [1.0, 2.0]


def test_taking_a_group_back_leaves_what_was_durable_before(door: Door) -> None:
    door.take(body(("up", 0, 1.0)))
    before = door.preparer.dump()

    door.preparer.take_back([
        door.prepare(body(("up", 1, 2.0))),
        door.prepare(body(("up", 1, 2.0))),  # the same within one group
        door.prepare(body(("up", 2, 3.0), ("up", -5, 4.0))),
    ])  # fmt: skip

    assert door.preparer.dump() == before


def test_series_of_a_refused_group_stay_to_be_logged(door: Door) -> None:
    """The catalog has registered them: without a record, their samples would be nobody's."""
    door.preparer.take_back([door.prepare(body(("up", 0, 1.0)))])

    door.take(body(("load", 0, 1.0)))

    names = [make.read_labels(one.labels, 0) for one in door.log if isinstance(one, NewSeries)]
    assert names == [[("__name__", "up")], [("__name__", "load")]]
    assert door.restarted().catalog.high_slot == door.catalog.high_slot


def test_only_the_series_that_were_logged_are_crossed_off(door: Door) -> None:
    door.prepare(body(("up", 0, 1.0)))
    door.prepare(body(("load", 0, 1.0)))

    door.preparer.logged(1)

    (left,) = door.preparer.unlogged()
    assert make.read_labels(left.labels, 0) == [("__name__", "load")]


def test_a_restart_from_the_log_alone_judges_alike(door: Door) -> None:
    sent = body(("up", 0, 1.0), ("load", 0, 1.0))
    door.take(sent)
    door.take(body(("up", 10, 2.0)))

    twin = door.restarted()

    assert twin.prepare(sent).accepted.repeated
    again = twin.prepare(body(("up", 10, 2.0), ("load", 0, 9.0), ("up", -3595, 5.0)))
    assert again.accepted.n_accepted == 1
    assert {one.reason for one in again.accepted.rejects} == {"conflict", "too_old"}


@pytest.mark.parametrize("position", range(6))
def test_wherever_the_memory_was_saved_the_restart_has_the_same(door: Door, position: int) -> None:
    saved = [door.preparer.dump()]
    for second in range(5):
        before = len(door.log)
        door.take(body(("up", second, 1.0 * second), (f"m{second}", second, 2.0), ("up", -60, 1)))
        saved += [door.preparer.dump()] * (len(door.log) - before)

    twin = door.restarted(saved[position], position)

    assert twin.preparer.dump() == door.preparer.dump()


def test_a_new_owner_of_a_slot_inherits_no_time(door: Door) -> None:
    """Slots come back after a rest; the last of a role stays to lend what was learned."""
    for pod in ("a", "b"):
        door.take(body(("up", 0, 1.0), pod=pod))
    hours = [START_NS + round(n * HOUR_S * NS_PER_S) for n in (2, 3)]
    n_left = [door.preparer.recycle(now_ns, HOUR_S) for now_ns in hours]

    late = door.take(body(("up", -2 * HOUR_S, 1.0), pod="c"), after_s=3 * HOUR_S)

    assert n_left[0] == 1
    (batch,) = late.records
    assert isinstance(batch, SampleBatch)
    assert batch.slot.tolist()[0] in (0, 1)
    assert late.accepted.rejects == ()


def test_a_series_that_is_heard_stays_in_memory(door: Door) -> None:
    door.take(body(("up", 0, 1.0)))
    door.take(body(("up", HOUR_S, 1.0)), after_s=HOUR_S)

    assert door.preparer.recycle(START_NS + round(1.5 * HOUR_S * NS_PER_S), HOUR_S) == 0


def test_series_followed_before_the_first_tick_count_as_seen_just_now(
    door: Door, tmp_path: Path
) -> None:
    """Behind a saved memory the log may go on for a second without the time. Then nothing is known
    of when a series was heard, and it left, with all that had been learned of it."""
    door.take(body(("up", 0, 1.0), ("load", 0, 1.0)))
    twin = Door()
    twin.catalog.open(tmp_path, START_NS)

    for record in door.log:
        twin.preparer.follow(record, 0, fresh=True)

    assert twin.preparer.recycle(START_NS + 61 * NS_PER_S, HOUR_S) == 0


def test_a_body_followed_before_the_first_tick_is_known_like_those_before_it(door: Door) -> None:
    """A sender that repeats it after the crash would else be answered as if it were new."""
    first, second = body(("up", 0, 1.0)), body(("up", 1, 2.0))
    door.take(first)
    saved, position = door.preparer.dump(), len(door.log)
    door.take(second)
    twin = Door()

    twin.preparer.load(saved)
    for at, record in enumerate(door.log):
        if isinstance(record, NewSeries) or at >= position:
            twin.preparer.follow(record, 0, fresh=at >= position)

    assert twin.prepare(second, after_s=30).accepted.repeated


def test_a_tick_of_the_log_is_the_time_of_what_follows(door: Door) -> None:
    door.take(body(("up", 0, 1.0)))
    twin = Door()

    now_ns = 0
    for record in (make.tick(7), *door.log):
        now_ns = twin.preparer.follow(record, now_ns, fresh=True)

    assert now_ns == make.tick(7).now_ns
    assert twin.catalog.last_seen_ns[0] == now_ns


def test_dumps_cover_the_slots_in_use_only(door: Door) -> None:
    door.take(body(("up", 0, 1.0)))
    one = len(door.preparer.dump())

    door.take(body(("load", 0, 1.0)))

    assert one < len(door.preparer.dump()) < 200
    assert np.count_nonzero(door.catalog.last_seen_ns) == 2
