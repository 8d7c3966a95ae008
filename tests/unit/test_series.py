"""The catalog: series are known by one probe, registered once, found by their labels."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests import make
from tests.make import NS_PER_S, START_NS
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake.series import Catalog, CatalogConfig, Resolved
from watchkeeper.model.series import (
    DEFAULT_TENANT,
    N_PARTITIONS,
    Entity,
    Kind,
    Matcher,
    MatchOp,
    TenantId,
)
from watchkeeper.model.signal import NewSeries, WireSamples

KEY = bytes(range(16))
HOUR_S = 3600.0
OTHER = TenantId("other")


def catalog(**settings: Any) -> Catalog:
    return Catalog(
        KEY, CatalogConfig(**{"max_series": 1000, "max_donors": 100, **settings}), Enrich()
    )


def send(
    to: Catalog,
    *series: Mapping[str, str] | Sequence[tuple[str, str]],
    tenant: TenantId = DEFAULT_TENANT,
    kind: Kind = Kind.BY_NAME,
    after_s: float = 0.0,
) -> Resolved:
    """One sample of each series."""
    now_ns = START_NS + round(after_s * NS_PER_S)
    wire = make.wire(series, [(row, now_ns, 1.0) for row in range(len(series))], kind)
    resolved = to.resolve(tenant, wire, now_ns)
    to.last_seen_ns[resolved.slots[resolved.slots >= 0]] = now_ns
    return resolved


def registered(resolved: Resolved) -> NewSeries:
    assert resolved.new is not None
    return resolved.new


def pods(n: int, name: str = "memory_bytes", **others: str) -> list[dict[str, str]]:
    return [make.labels(name, pod=f"shop-{k}", service="shop", **others) for k in range(n)]


def test_a_series_is_registered_once() -> None:
    known = catalog()

    first = send(known, *pods(3))
    again = send(known, *pods(3))

    assert registered(first).slot.tolist() == first.slots.tolist() == [0, 1, 2]
    assert again.slots.tolist() == [0, 1, 2]
    assert again.new is None
    assert known.n_active == known.high_slot == 3


def test_a_series_that_a_body_names_twice_has_one_slot() -> None:
    known = catalog()

    resolved = send(known, *pods(2), *pods(2))

    assert resolved.slots.tolist() == [0, 1, 0, 1]
    assert len(registered(resolved)) == 2


def test_other_orders_and_empty_labels_name_the_same_series() -> None:
    known = catalog()
    one = [("__name__", "up"), ("job", "shop"), ("pod", "a")]

    first = send(known, one)
    others = send(known, one[::-1], [*one, ("zone", "")], [("aisle", ""), *one[::-1]])

    assert others.slots.tolist() == [first.slots[0]] * 3
    assert others.new is None


def test_senders_that_differ_in_the_replica_label_alone_are_one() -> None:
    known = catalog()
    left, right = ({**pods(1)[0], "prometheus_replica": name} for name in "ab")

    resolved = send(known, left, right)

    assert resolved.slots.tolist() == [0, 0]
    assert known.labels(resolved.slots)[0] == pods(1)[0]


def test_tenants_share_nothing() -> None:
    known = catalog()

    ours, theirs = send(known, *pods(1)), send(known, *pods(1), tenant=OTHER)

    assert ours.slots.tolist() != theirs.slots.tolist()
    assert registered(ours).identity.tolist() != registered(theirs).identity.tolist()
    assert registered(ours).role.tolist() != registered(theirs).role.tolist()
    assert known.tenant_of(int(theirs.slots[0])) == OTHER
    assert known.select(OTHER, ()).tolist() == theirs.slots.tolist()
    assert known.label_values(TenantId("nobody"), "pod") == []
    assert known.label_names(TenantId("nobody")) == []
    assert known.select(TenantId("nobody"), ()).tolist() == []


def test_a_record_says_all_that_is_known_of_a_series() -> None:
    known = catalog()

    new = registered(send(known, [("pod", "a"), ("__name__", "up"), ("service", "shop")]))

    assert make.read_labels(new.labels, 0) == [
        ("__name__", "up"),
        ("pod", "a"),
        ("service", "shop"),
    ]
    assert new.entities[new.entity[0]] == ("shop", "", "", "")
    assert new.donor.tolist() == [-1]
    assert 0 <= new.partition[0] < N_PARTITIONS
    assert known.identity[0].tolist() == new.identity[0].tolist()
    assert known.lookup(new.identity).tolist() == [0]
    assert known.lookup(new.identity + np.uint64(1)).tolist() == [-1]


def test_a_series_can_be_shown_to_people() -> None:
    known = catalog()
    send(known, make.labels("cpu_seconds_total", service="shop", node="n1", env="live"))

    shown = known.series(0)

    assert shown.metric == "cpu_seconds_total"
    assert shown.labels["node"] == "n1"
    assert shown.entity == Entity("shop", "live", "n1", "") == known.entity_of(0)
    assert shown.kind is Kind.COUNTER
    assert shown.tenant == DEFAULT_TENANT
    assert len(shown.identity) == 16


@pytest.mark.parametrize(
    ("name", "said", "kind"),
    [
        ("requests_total", Kind.BY_NAME, Kind.COUNTER),
        ("latency_seconds_count", Kind.BY_NAME, Kind.COUNTER),
        ("latency_seconds_sum", Kind.BY_NAME, Kind.COUNTER),
        ("latency_seconds", Kind.BY_NAME, Kind.GAUGE),
        ("latency_seconds", Kind.COUNTER, Kind.COUNTER),
        ("requests_total", Kind.GAUGE, Kind.GAUGE),
        ("latency_seconds_bucket", Kind.COUNTER, Kind.UNSCORED),
        ("requests_created", Kind.BY_NAME, Kind.UNSCORED),
        ("build_info", Kind.GAUGE, Kind.UNSCORED),
        ("process_start_time_seconds", Kind.GAUGE, Kind.UNSCORED),
        ("backup_timestamp_seconds", Kind.BY_NAME, Kind.UNSCORED),
        ("response_time_seconds", Kind.BY_NAME, Kind.GAUGE),
        ("_sum", Kind.BY_NAME, Kind.COUNTER),
        ("sum", Kind.BY_NAME, Kind.GAUGE),
    ],
)
def test_the_kind_is_the_senders_word_or_the_names(name: str, said: Kind, kind: Kind) -> None:
    known = catalog()

    new = registered(send(known, make.labels(name), kind=said))

    assert new.kind.tolist() == [kind]
    assert known.kind[0] == kind


def test_all_series_of_a_service_meet_in_one_partition() -> None:
    known = catalog()

    new = registered(
        send(known, *pods(5), make.labels("up", service="shop"), make.labels("up", app="cart"))
    )

    assert len(set(new.partition[:6].tolist())) == 1
    assert new.partition[6] != new.partition[0]


@pytest.mark.parametrize(
    ("labels", "reason", "setting"),
    [
        ([("pod", "a")], "no_metric_name", "__name__"),
        ([("__name__", "up"), ("pod", "a"), ("pod", "b")], "duplicate_label", "twice"),
        ([("__name__", "up"), ("pod", "a" * 65)], "label_too_long", "catalog.max_value_bytes"),
        ([("__name__", "up"), ("p" * 17, "a")], "label_too_long", "catalog.max_name_bytes"),
        ([("__name__", "up"), ("", "a")], "malformed_labels", "name"),
        (
            [("__name__", "up"), *((f"l{k}", "a") for k in range(8))],
            "too_many_labels",
            "catalog.max_labels",
        ),
        (
            [("__name__", "up"), *((f"l{k}", "a" * 60) for k in range(7))],
            "label_too_long",
            "catalog.max_series_bytes",
        ),
    ],
)
def test_bad_labels_are_refused_with_a_reason_and_the_rest_is_taken(
    labels: list[tuple[str, str]], reason: str, setting: str
) -> None:
    known = catalog(max_value_bytes=64, max_name_bytes=16, max_labels=8, max_series_bytes=400)
    good = pods(1)[0]
    wire = make.wire(
        [labels, good], [(0, START_NS, 1.0), (1, START_NS, 1.0), (0, START_NS + 1, 2.0)]
    )

    resolved = known.resolve(DEFAULT_TENANT, wire, START_NS)

    assert resolved.slots.tolist() == [-1, 0]
    (reject,) = resolved.rejects
    assert (reject.reason, reject.count) == (reason, 2)
    assert setting in reject.detail
    assert "series" in reject.detail


@pytest.mark.parametrize("value", [b"\xff", b"ok \xc0\x80", b"\xed\xa0\x80"])
def test_labels_that_are_not_utf8_are_refused(value: bytes) -> None:
    known = catalog()
    run = make.label_run([("__name__", "up"), ("pod", "?" * len(value))])
    wire = raw_wire(run.replace(b"?" * len(value), value))

    resolved = known.resolve(DEFAULT_TENANT, wire, START_NS)

    assert [reject.reason for reject in resolved.rejects] == ["invalid_utf8"]


@pytest.mark.parametrize(
    "run",
    [
        b"\x0a",
        b"\x0a\x05\x0a\x01a",
        b"\x12\x02\x0a\x00",
        b"\x0a\x04\x0a\x09ab",
        b"\x0a\x02\x0f\x00",
        b"\xff" * 12,
        b"\x0a\x07\x12\x01a\x0a\x02up",  # value before name
        b"\x0a\x88\x00\x0a\x03pod\x12\x01a",  # a longer size than need be
        b"\x0a\x0a\x0a\x03pod\x12\x01a\x18\x07",  # something behind the value
        b"\x0a\x05\x0a\x03pod",  # no value
    ],
)
def test_labels_that_cannot_be_read_are_refused(run: bytes) -> None:
    known = catalog()

    resolved = known.resolve(DEFAULT_TENANT, raw_wire(run), START_NS)

    assert [reject.reason for reject in resolved.rejects] == ["malformed_labels"]
    assert resolved.slots.tolist() == [-1]


def raw_wire(run: bytes) -> WireSamples:
    block = make.label_block()
    buffer = np.frombuffer(run + bytes(16), np.uint8)
    one = np.array([len(run)], np.int64)
    return replace(
        make.wire([make.labels()], [(0, START_NS, 1.0)]),
        describe=lambda _rows: replace(block, buffer=buffer, start=one - len(run), end=one),
    )


def test_the_limit_of_series_holds_and_names_its_setting() -> None:
    known = catalog(max_series=3)

    resolved = send(known, *pods(5))

    assert resolved.slots.tolist() == [0, 1, 2, -1, -1]
    (reject,) = resolved.rejects
    assert (reject.reason, reject.count) == ("too_many_series", 2)
    assert "catalog.max_series" in reject.detail
    assert "shop-3" in reject.detail
    assert send(known, *pods(3)).rejects == ()


def test_series_may_come_in_a_burst_and_then_at_a_rate() -> None:
    known = catalog(new_series_burst=4, new_series_per_s=2.0)

    at_once = send(known, *pods(6))
    soon = send(known, *pods(9), after_s=1.0)
    later = send(known, *pods(9), after_s=10.0)

    assert at_once.slots.tolist() == [0, 1, 2, 3, -1, -1]
    assert [reject.reason for reject in at_once.rejects] == ["series_rate"]
    assert (soon.slots >= 0).sum() == 6
    assert (later.slots >= 0).all()


def test_labels_beyond_the_memory_for_them_are_refused_and_leave_no_trace() -> None:
    known = catalog(label_memory_bytes=1 << 16, max_value_bytes=4096)
    fits = send(known, *(make.labels("up", pod=f"{k:04}" * 500) for k in range(60)))
    n_fitting = int((fits.slots >= 0).sum())

    assert 20 < n_fitting < 60
    assert {reject.reason for reject in fits.rejects} == {"label_memory"}
    assert known.n_active == n_fitting
    assert len(registered(fits)) == n_fitting
    assert len(known.label_values(DEFAULT_TENANT, "pod")) == n_fitting
    assert send(known, make.labels("up", pod="short")).rejects == ()


def test_label_names_are_limited() -> None:
    known = catalog(max_label_names=5)

    resolved = send(known, *({**make.labels("up"), f"label_{k}": "x"} for k in range(8)))

    assert (resolved.slots >= 0).sum() == 4
    assert "catalog.max_label_names" in resolved.rejects[0].detail
    assert len(known.label_names(DEFAULT_TENANT)) == 5


def test_tenants_are_limited() -> None:
    known = catalog(max_tenants=1)
    send(known, *pods(1))

    with pytest.raises(BadInput, match=r"catalog\.max_tenants"):
        send(known, *pods(1), tenant=OTHER)


def test_ever_new_ways_of_naming_a_series_take_bounded_memory() -> None:
    known = catalog(max_aliases=3)
    for k in range(50):
        resolved = send(known, [*pods(1)[0].items(), *((f"empty_{k}", "") for _ in range(1))])

        assert resolved.slots.tolist() == [0]
    assert len(known._aliases) == 3  # noqa: SLF001

    known.recycle(START_NS, HOUR_S)
    send(known, *pods(2), after_s=HOUR_S * 2)
    known.recycle(START_NS + round(3.5 * HOUR_S * NS_PER_S), HOUR_S)
    assert len(known._aliases) <= 1  # noqa: SLF001


def matched(known: Catalog, *matchers: tuple[str, str, str]) -> set[str]:
    """The pods of what is selected."""
    found = known.select(
        DEFAULT_TENANT, [Matcher(name, MatchOp(op), value) for name, op, value in matchers]
    )
    assert (np.diff(found) > 0).all()
    return {labels.get("pod", "") for labels in known.labels(found)}


def test_series_are_found_by_their_labels() -> None:
    known = catalog()
    send(known, *pods(4), make.labels("up", pod="lone"), make.labels("down"))
    send(known, *pods(9), tenant=OTHER)
    every = {"shop-0", "shop-1", "shop-2", "shop-3"}

    assert matched(known, ("__name__", "=", "memory_bytes")) == every
    assert matched(known, ("pod", "=", "shop-1"), ("service", "=", "shop")) == {"shop-1"}
    assert matched(known, ("pod", "=", "nowhere")) == set()
    assert matched(known, ("nothing", "=", "x")) == set()
    assert matched(known, ("nothing", "!=", "x"), ("pod", "!=", "")) == every | {"lone"}
    assert matched(known, ("pod", "=", "")) == {""}
    assert matched(known, ("service", "!=", "shop")) == {"lone", ""}
    assert matched(known, ("service", "!=", "cart")) == every | {"lone", ""}
    assert matched(known, ("pod", "=~", "shop-[12]")) == {"shop-1", "shop-2"}
    assert matched(known, ("pod", "=~", "shop-1|lone|nowhere")) == {"shop-1", "lone"}
    assert matched(known, ("pod", "=~", "shop")) == set()
    assert matched(known, ("pod", "!~", "shop-.*")) == {"lone", ""}
    assert matched(known, ("pod", "!~", ".+")) == {""}
    assert matched(known, ("pod", "=~", ".*")) == every | {"lone", ""}
    assert matched(known, ("pod", "=~", "|lone")) == {"lone", ""}
    assert matched(known) == every | {"lone", ""}


@pytest.mark.parametrize("op", ["=", "!=", "=~", "!~"])
@pytest.mark.parametrize("value", ["shop-1", "shop-[01]", "", ".+", "shop-1|lone"])
def test_a_scan_finds_what_walking_the_shortest_chain_finds(
    op: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = catalog()
    send(known, *pods(4), *pods(3, name="cpu"), make.labels("up", pod="lone"), make.labels("down"))
    send(known, *pods(9), tenant=OTHER)
    wanted = [Matcher("pod", MatchOp(op), value), Matcher("__name__", MatchOp.NOT_EQUAL, "cpu")]

    walked = known.select(DEFAULT_TENANT, wanted)
    monkeypatch.setattr("watchkeeper.lake.series_search._WALK_MOST", -1)
    monkeypatch.setattr("watchkeeper.lake.series_search._SCAN_SLOTS", 3)

    assert known.select(DEFAULT_TENANT, wanted).tolist() == walked.tolist()


def test_readers_see_whole_series_while_others_come_and_go() -> None:
    known = catalog(max_series=20_000)
    wrong: list[Any] = []
    is_done = threading.Event()

    def read() -> None:
        while not is_done.is_set():
            slots = known.select(DEFAULT_TENANT, [Matcher("pod", MatchOp.REGEX, "shop-.*7")])
            wrong.extend(
                labels
                for labels in known.labels(slots)
                if labels and set(labels) != {"__name__", "pod", "service", "batch"}
            )
            wrong.extend(
                value for value in known.label_values(DEFAULT_TENANT, "pod") if "-" not in value
            )

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for hour in range(30):
            send(known, *pods(300, batch=str(hour)), after_s=hour * HOUR_S)
            known.recycle(START_NS + round((hour + 0.5) * HOUR_S * NS_PER_S), HOUR_S)
        is_done.set()
        for reader in readers:
            reader.result()

    assert wrong == []


def test_a_value_may_hold_what_a_regular_expression_would_mean_otherwise() -> None:
    known = catalog()
    send(
        known,
        make.labels("up", pod="a.b"),
        make.labels("up", pod="axb"),
        make.labels("up", pod="a\nb"),
    )

    assert matched(known, ("pod", "=~", r"a\.b")) == {"a.b"}
    assert matched(known, ("pod", "=~", "a.b")) == {"a.b", "axb", "a\nb"}


@pytest.mark.parametrize("pattern", ["(", "a)|(b", "x" * 5000, "(?P<", "[z-a]"])
@pytest.mark.parametrize("name", ["pod", "nothing"])
def test_a_bad_regular_expression_is_the_askers_fault(pattern: str, name: str) -> None:
    known = catalog()
    send(known, *pods(1))

    with pytest.raises(BadInput, match="regular expression"):
        known.select(DEFAULT_TENANT, [Matcher(name, MatchOp.REGEX, pattern)])


def test_a_regular_expression_takes_linear_time() -> None:
    known = catalog(max_value_bytes=16_384)
    send(known, make.labels("up", pod="a" * 10_000 + "b"))

    assert matched(known, ("pod", "=~", "(a*)*c")) == set()


def test_too_many_matchers_are_refused() -> None:
    known = catalog()
    send(known, *pods(1))

    with pytest.raises(BadInput, match="matchers"):
        known.select(DEFAULT_TENANT, [Matcher("pod", MatchOp.EQUAL, "a")] * 51)


def test_names_and_values_are_listed_in_order() -> None:
    known = catalog()
    send(known, *pods(3), make.labels("up", zone="ä"))

    assert known.label_names(DEFAULT_TENANT) == ["__name__", "pod", "service", "zone"]
    assert known.label_values(DEFAULT_TENANT, "pod") == ["shop-0", "shop-1", "shop-2"]
    assert known.label_values(DEFAULT_TENANT, "zone") == ["ä"]
    assert known.label_values(DEFAULT_TENANT, "nothing") == []


def test_an_idle_series_leaves_and_its_slot_is_given_to_another_later() -> None:
    known = catalog()
    send(known, *pods(3))
    send(known, pods(3)[1], after_s=HOUR_S)
    later_ns = START_NS + round(1.5 * HOUR_S * NS_PER_S)

    left = known.recycle(later_ns, HOUR_S)

    assert sorted(left.tolist()) == [0, 2]
    assert known.n_active == 1
    assert known.select(DEFAULT_TENANT, ()).tolist() == [1]
    assert known.label_values(DEFAULT_TENANT, "pod") == ["shop-1"]
    assert known.labels(np.array([0, 1], np.int32)) == [{}, pods(3)[1]]
    assert known.series(0).labels == {}

    fresh = send(known, make.labels("up"), after_s=2 * HOUR_S)
    assert fresh.slots.tolist() == [3], "a slot rests before it is given out"
    known.recycle(later_ns, HOUR_S)
    fresh = send(known, make.labels("down"), after_s=2 * HOUR_S)
    assert fresh.slots[0] in (0, 2)


def test_a_series_that_returns_is_the_same_in_another_slot() -> None:
    known = catalog()
    first = registered(send(known, *pods(2)))
    send(known, pods(2)[1], after_s=HOUR_S)
    known.recycle(START_NS + round(1.5 * HOUR_S * NS_PER_S), HOUR_S)
    send(known, make.labels("up"), after_s=1.6 * HOUR_S)

    back = registered(send(known, pods(2)[0], after_s=1.7 * HOUR_S))

    assert back.slot.tolist() != first.slot[:1].tolist()
    assert back.identity.tolist() == first.identity[:1].tolist()
    assert back.donor.tolist() == [1]


def test_a_newcomer_starts_from_the_oldest_of_its_role() -> None:
    known = catalog()
    first = registered(send(known, *pods(3)))
    second = registered(send(known, *pods(5)))
    other = registered(send(known, *pods(2, name="cpu"), after_s=1.0))

    assert first.donor.tolist() == [-1, -1, -1], "what comes with it has learned nothing yet"
    assert second.donor.tolist() == [0, 0]
    assert other.donor.tolist() == [-1, -1]


def test_the_last_of_a_role_stays_as_donor() -> None:
    known = catalog()
    send(known, *pods(3))
    send(known, pods(3)[1], after_s=60)

    left = known.recycle(START_NS + round(5 * HOUR_S * NS_PER_S), HOUR_S)
    newcomer = registered(send(known, make.labels("memory_bytes", pod="b", service="shop")))

    assert sorted(left.tolist()) == [0, 2]
    assert newcomer.donor.tolist() == [1]
    assert known.n_active == 1, "a donor is none of the series that are counted"


def test_a_donor_leaves_when_it_was_kept_long_enough() -> None:
    known = catalog(donor_keep_s=10 * HOUR_S)
    send(known, *pods(2))
    known.recycle(START_NS + round(9 * HOUR_S * NS_PER_S), HOUR_S)
    assert known.high_slot == 2
    assert len(known.select(DEFAULT_TENANT, ())) == 1

    known.recycle(START_NS + round(10.5 * HOUR_S * NS_PER_S), HOUR_S)

    assert known.select(DEFAULT_TENANT, ()).tolist() == []
    assert registered(send(known, *pods(1), after_s=11 * HOUR_S)).donor.tolist() == [-1]


def test_donors_are_bounded_and_the_oldest_go_first() -> None:
    known = catalog(max_donors=2)
    for k in range(5):
        send(known, make.labels(f"metric_{k}"), after_s=k)

    left = known.recycle(START_NS + round(2 * HOUR_S * NS_PER_S), HOUR_S)

    assert sorted(left.tolist()) == [0, 1, 2]
    assert known.n_active == 0


def test_a_donor_that_is_seen_again_goes_on_as_it_was() -> None:
    known = catalog()
    send(known, *pods(1))
    known.recycle(START_NS + round(2 * HOUR_S * NS_PER_S), HOUR_S)

    resolved = send(known, *pods(1), after_s=3 * HOUR_S)

    assert resolved.new is None
    assert resolved.slots.tolist() == [0]


def test_recycled_labels_make_room_for_others() -> None:
    """A week of rolling deploys: new pods every hour, memory stays what it was."""
    known = catalog(label_memory_bytes=1 << 16, max_series=100)
    for hour in range(200):
        batch = [
            make.labels(f"m{m}", pod=f"pod-{hour}-{k}" * 5) for m in range(4) for k in range(10)
        ]
        resolved = send(known, *batch, after_s=hour * HOUR_S)
        assert resolved.rejects == ()
        known.recycle(START_NS + round((hour + 0.9) * HOUR_S * NS_PER_S), HOUR_S)
        assert hour == 0 or (registered(resolved).donor >= 0).all(), "no cold start"

    assert known.high_slot <= 3 * 40
    assert len(known.label_values(DEFAULT_TENANT, "pod")) <= 20


def test_replaying_the_records_gives_the_same_catalog() -> None:
    known, twin = catalog(), catalog()
    records = [
        registered(send(known, *pods(3))),
        registered(send(known, *pods(7))),
        registered(send(known, *pods(2), tenant=OTHER)),
        registered(send(known, make.labels("cpu_total", service="cart", node="n"))),
    ]

    for record in [*records, records[1]]:
        twin.replay(record)

    for slot in range(known.high_slot):
        assert twin.series(slot) == known.series(slot)
    for name in ("kind", "partition", "role", "identity"):
        assert (getattr(twin, name) == getattr(known, name)).all(), name
    ours, theirs = (registered(send(one, *pods(9))) for one in (known, twin))
    assert ours.slot.tolist() == theirs.slot.tolist()
    assert ours.donor.tolist() == theirs.donor.tolist() == [0, 0]


def test_a_replayed_slot_that_had_an_owner_belongs_to_the_new_one() -> None:
    twin = catalog()
    twin.replay(make.new_series(0, *pods(3)))
    moved = replace(make.new_series(0, *pods(1, name="cpu")), slot=np.array([1], np.int32),
                    identity=np.array([[9, 9]], np.uint64))  # fmt: skip
    twin.replay(moved)
    returned = replace(make.new_series(0, pods(3)[0]), slot=np.array([5], np.int32))
    twin.replay(returned)

    assert twin.labels(np.arange(6, dtype=np.int32)) == [
        {}, pods(1, name="cpu")[0], pods(3)[2], {}, {}, pods(3)[0],
    ]  # fmt: skip
    assert twin.lookup(make.new_series(0, *pods(3)).identity).tolist() == [5, -1, 2]
    fresh = send(twin, make.labels("a"), make.labels("b"), make.labels("c"), make.labels("d"))
    assert sorted(fresh.slots.tolist()) == [0, 3, 4, 6]


def test_a_log_that_needs_more_room_says_which_setting_was_lowered() -> None:
    with pytest.raises(Permanent, match=r"catalog\.max_series"):
        catalog(max_series=2, max_donors=0).replay(make.new_series(0, *pods(3)))
    with pytest.raises(Permanent, match="max_labels"):
        catalog(max_labels=2).replay(make.new_series(0, *pods(1)))


def test_another_processs_series_get_slots_of_this_one() -> None:
    theirs, ours = catalog(), catalog()
    send(ours, make.labels("up"), pods(2)[1])
    first = registered(send(theirs, *pods(2)))

    adopted = ours.adopt(first, START_NS)
    later = ours.adopt(registered(send(theirs, *pods(4))), START_NS)

    assert adopted.slot.tolist() == [2, 1]
    assert adopted.donor.tolist() == [1, 1], "one starts from its role's oldest, one goes on"
    assert later.donor.tolist() == [1, 1]
    assert ours.lenders(adopted.slot).tolist() == [1, -1], "one was here before"
    assert ours.series(2) == theirs.series(0)
    assert ours.adopt(first, START_NS).slot.tolist() == [2, 1]


def test_another_processs_series_leave_when_nothing_more_comes_of_them() -> None:
    ours = catalog()
    adopted = ours.adopt(registered(send(catalog(), *pods(3))), START_NS + HOUR_S * NS_PER_S)
    one = adopted.identity[1:2]

    met = ours.meet(one, START_NS + 2 * HOUR_S * NS_PER_S)
    ours.meet(one, START_NS)
    too_early = ours.recycle(START_NS + round(1.9 * HOUR_S * NS_PER_S), HOUR_S)
    left = ours.recycle(START_NS + round(2.5 * HOUR_S * NS_PER_S), HOUR_S)

    assert met.tolist() == [1]
    assert too_early.tolist() == []
    assert sorted(left.tolist()) == [0, 2]
    assert ours.meet(adopted.identity, START_NS).tolist() == [-1, 1, -1]


def test_what_cannot_be_adopted_has_no_slot() -> None:
    ours = catalog(max_series=1, max_donors=0)

    adopted = ours.adopt(registered(send(catalog(), *pods(2))), START_NS)

    assert adopted.slot.tolist() == [0, -1]


def test_slots_are_described_for_another_process() -> None:
    theirs, ours = catalog(), catalog()
    send(theirs, *pods(3))
    send(theirs, *pods(1), tenant=OTHER)

    for record in theirs.describe(np.array([0, 2, 3], np.int32)):
        ours.adopt(record, START_NS)

    assert [ours.series(slot) for slot in range(3)] == [theirs.series(slot) for slot in (0, 2, 3)]


def test_a_key_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="16"):
        Catalog(b"short", CatalogConfig(), Enrich())


def test_series_are_read_together_as_they_are_one_by_one() -> None:
    known = catalog()
    send(known, *pods(3), *pods(2, "requests_total", environment="test"))
    send(known, *pods(1), tenant=OTHER)
    free = 900
    slots = np.array([5, free, 0, 3, 0], np.int32)

    together = known.series_of(slots)

    assert together == [known.series(slot) for slot in slots.tolist()]
    assert [one.labels.get("pod", "") for one in together] == [
        *("shop-0", "", "shop-0", "shop-0", "shop-0"),
    ]
    assert together[0].tenant == OTHER
    assert known.series_of(slots[:0]) == []
