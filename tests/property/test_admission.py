"""The door's memory beside a dictionary that says the laws slowly."""

from __future__ import annotations

import math
import struct
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.make import NS_PER_S, START_NS
from watchkeeper.ingest.admit import Admission, AdmitConfig, Admitted
from watchkeeper.model.series import DEFAULT_TENANT, LabelBlock
from watchkeeper.model.signal import WireSamples

N_SLOTS = 4
LATE_S, FUTURE_S, OLDEST_S = 10.0, 5.0, 60.0
CONFIG = AdmitConfig(late_s=LATE_S, future_s=FUTURE_S, oldest_s=OLDEST_S)

Row = tuple[int, int, float]
"""(slot, time_ns, value); slot -1 is a series that the catalog refused."""

NOTABLE_S = (-61.0, -60.0, -59.0, -21.0, -20.0, -11.0, -10.0, -9.0, -1.0, 0.0, 1.0, 4.9, 5.0, 5.1)
TIMES = st.sampled_from(NOTABLE_S).map(lambda s: START_NS + round(s * NS_PER_S)) | st.integers(
    START_NS - 3, START_NS + 3
)
VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.5, float("nan"), float("inf")])
ROWS = st.tuples(st.integers(-1, N_SLOTS - 1), TIMES, VALUES)
BODIES = st.lists(ROWS, max_size=8)


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@dataclass
class Slowly:
    """Every law as a sentence of Python."""

    newest: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    def judge(self, row: Row, now_ns: int) -> str:
        slot, time_ns, value = row
        last_ns, last_bits = self.newest.get(slot, (0, b""))
        if slot < 0:
            return "refused series"
        if time_ns > now_ns + FUTURE_S * NS_PER_S:
            return "future"
        if time_ns == last_ns:
            return "duplicate" if bits(value) == last_bits else "conflict"
        if time_ns < now_ns - OLDEST_S * NS_PER_S:
            return "too_old"
        if time_ns < last_ns:
            return "too_old" if last_ns - time_ns > LATE_S * NS_PER_S else "accepted"
        self.newest[slot] = (time_ns, bits(value))
        return "accepted"


def wire_of(rows: list[Row]) -> WireSamples:
    """Every sample in a row of its own, as OTLP has it."""
    nothing = LabelBlock(np.zeros(16, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64))
    return WireSamples(
        key=np.zeros((len(rows), 2), np.uint64),
        kind=np.zeros(len(rows), np.uint8),
        row=np.arange(len(rows), dtype=np.int32),
        time_ns=np.array([time_ns for _, time_ns, _ in rows], np.int64),
        value=np.array([value for _, _, value in rows], np.float64),
        describe=lambda _rows: nothing,
    )


def admit(to: Admission, rows: list[Row], now_ns: int = START_NS) -> Admitted:
    slots = np.array([slot for slot, _, _ in rows], np.int32)
    return to.admit(DEFAULT_TENANT, wire_of(rows), slots, body_hash=b"", now_ns=now_ns)


def admission() -> Admission:
    return Admission(CONFIG, N_SLOTS)


def told(admitted: Admitted) -> Counter[str]:
    """What the sender hears, by reason."""
    n_accepted = 0 if admitted.batch is None else len(admitted.batch)
    counts = Counter({one.reason: one.count for one in admitted.rejects})
    counts.update({"accepted": n_accepted, "duplicate": admitted.n_duplicates})
    return +counts


def memory(of: Admission) -> bytes:
    return of.dump(N_SLOTS)


@given(bodies=st.lists(BODIES, max_size=6))
def test_every_sample_is_judged_as_the_laws_say(bodies: list[list[Row]]) -> None:
    slowly, ours = Slowly(), admission()
    for rows in bodies:
        verdicts = [slowly.judge(row, START_NS) for row in rows]

        admitted = admit(ours, rows)

        kept = [row for row, verdict in zip(rows, verdicts, strict=True) if verdict == "accepted"]
        got = [] if admitted.batch is None else list(batch_rows(admitted))
        assert got == [(slot, time_ns, bits(value)) for slot, time_ns, value in kept]
        said = Counter(verdicts)
        del said["refused series"]  # the catalog has told of those
        assert told(admitted) == +said


def batch_rows(admitted: Admitted) -> list[tuple[int, int, bytes]]:
    batch = admitted.batch
    assert batch is not None
    values = [bits(value) for value in batch.value.tolist()]
    return list(zip(batch.slot.tolist(), batch.time_ns.tolist(), values, strict=True))


@given(bodies=st.lists(BODIES, max_size=6), n_kept=st.integers(0, 6))
def test_taking_back_the_latest_bodies_leaves_the_memory_of_those_before(
    bodies: list[list[Row]], n_kept: int
) -> None:
    ours, undisturbed = admission(), admission()
    admitted = [admit(ours, rows) for rows in bodies]
    for rows in bodies[:n_kept]:
        admit(undisturbed, rows)

    for one in reversed(admitted[n_kept:]):
        ours.take_back(one)

    assert memory(ours) == memory(undisturbed)


@given(bodies=st.lists(BODIES, max_size=6))
def test_what_was_taken_back_is_judged_alike_when_it_comes_again(bodies: list[list[Row]]) -> None:
    ours = admission()
    first = [admit(ours, rows) for rows in bodies]
    for one in reversed(first):
        ours.take_back(one)

    again = [admit(ours, rows) for rows in bodies]

    assert [told(one) for one in again] == [told(one) for one in first]


@given(bodies=st.lists(BODIES, max_size=6), cut=st.integers(0, 6))
def test_the_log_behind_a_saved_memory_gives_the_memory_of_a_life_without_a_crash(
    bodies: list[list[Row]], cut: int
) -> None:
    """Wherever the save fell, and whatever late samples the log holds."""
    ours, restarted = admission(), admission()
    admitted = [admit(ours, rows) for rows in bodies[:cut]]
    saved = memory(ours)
    admitted = [admit(ours, rows) for rows in bodies[cut:]]

    restarted.load(saved)
    for one in admitted:
        if one.batch is not None:
            restarted.follow(one.batch)

    assert memory(restarted) == memory(ours)


@given(bodies=st.lists(BODIES, max_size=4), times=st.integers(2, 3))
def test_following_a_batch_again_changes_nothing(bodies: list[list[Row]], times: int) -> None:
    source, once, often = admission(), admission(), admission()
    batches = [one.batch for one in (admit(source, rows) for rows in bodies) if one.batch]

    for batch in batches:
        once.follow(batch)
        for _ in range(times):
            often.follow(batch)

    assert memory(often) == memory(once)


@given(rows=BODIES, where=st.integers(0, 8))
def test_one_body_or_two_with_the_same_samples_are_judged_alike(
    rows: list[Row], where: int
) -> None:
    whole, parts = admission(), admission()

    together = told(admit(whole, rows))
    apart = told(admit(parts, rows[:where])) + told(admit(parts, rows[where:]))

    assert together == apart
    assert memory(whole) == memory(parts)


@given(rows=BODIES)
def test_a_body_sent_twice_brings_nothing_new_but_its_late_samples(rows: list[Row]) -> None:
    """The second time, what moved its series on is a duplicate or in conflict or late."""
    ours = admission()
    admit(ours, rows)
    before = memory(ours)

    admit(ours, rows)

    assert memory(ours) == before


@given(bodies=st.lists(BODIES, max_size=4))
def test_series_do_not_touch_one_another(bodies: list[list[Row]]) -> None:
    together = admission()
    for rows in bodies:
        admit(together, rows)

    for slot in range(N_SLOTS):
        alone = admission()
        for rows in bodies:
            admit(alone, [row for row in rows if row[0] == slot])
        others = np.array([n for n in range(N_SLOTS) if n != slot], np.int32)
        twin = admission()
        twin.load(memory(together))
        twin.forget(others)
        assert memory(twin) == memory(alone)


@given(rows=BODIES)
def test_the_senders_columns_are_not_written(rows: list[Row]) -> None:
    wire = wire_of(rows)
    before = [wire.row.tobytes(), wire.time_ns.tobytes(), wire.value.tobytes()]
    slots = np.array([slot for slot, _, _ in rows], np.int32)

    admission().admit(DEFAULT_TENANT, wire, slots, body_hash=b"", now_ns=START_NS)

    assert [wire.row.tobytes(), wire.time_ns.tobytes(), wire.value.tobytes()] == before


@given(
    seen=st.lists(st.tuples(st.integers(0, 30), st.sampled_from(b"abcdefgh")), max_size=30),
    limit=st.integers(1, 5),
)
def test_a_body_is_known_while_it_is_recent_and_among_the_last(
    seen: list[tuple[int, int]], limit: int
) -> None:
    config = AdmitConfig(body_memory_s=10.0, body_memory_count=limit)
    ours = Admission(config, N_SLOTS)
    remembered: dict[int, int] = {}
    now_s = 0
    for wait_s, body in seen:
        now_s += wait_s
        now_ns = START_NS + now_s * NS_PER_S
        recent = {b: s for b, s in remembered.items() if now_s - s <= 10}

        assert ours.knows_body(bytes([body]), now_ns) == (body in recent)

        if body not in recent:
            ours.remember_body(bytes([body]), now_ns)
            recent[body] = now_s
            remembered = dict(sorted(recent.items(), key=lambda one: one[1])[-limit:])


# Deltas.

Add = tuple[int, int, float]
"""(slot, time_ns, what was added)."""
ADDS = st.lists(
    st.tuples(
        st.integers(-1, N_SLOTS - 1),
        TIMES,
        st.integers(0, 1000).map(float) | st.sampled_from([0.25, float("nan"), float("inf")]),
    ),
    max_size=8,
)


def add(to: Admission, rows: list[Add]) -> Admitted:
    wire = replace(wire_of(rows), is_delta=np.ones(len(rows), np.bool_))
    slots = np.array([slot for slot, _, _ in rows], np.int32)
    return to.admit(DEFAULT_TENANT, wire, slots, body_hash=b"", now_ns=START_NS)


@dataclass
class SlowSums:
    """Sums as a dictionary says them: what is in order is added to what is there."""

    slowly: Slowly = field(default_factory=Slowly)
    added: dict[int, float] = field(default_factory=dict)

    def judge(self, row: Add) -> tuple[str, float]:
        slot, time_ns, value = row
        last_ns, last_bits = self.slowly.newest.get(slot, (0, bytes(8)))
        if value != value or slot < 0 or time_ns > START_NS + FUTURE_S * NS_PER_S:
            return self.slowly.judge(row, START_NS), value
        if time_ns < last_ns:
            return "delta_out_of_order", value
        if time_ns == last_ns:
            is_same = self.added.get(slot, value) == value
            return ("duplicate" if is_same else "conflict"), value
        (last,) = struct.unpack("<d", last_bits)
        total = value + (last if math.isfinite(last) else 0.0)
        verdict = self.slowly.judge((slot, time_ns, total), START_NS)
        if verdict == "accepted":
            self.added[slot] = value
        return verdict, total


@given(bodies=st.lists(ADDS, max_size=6))
def test_every_delta_is_judged_and_summed_up_as_the_laws_say(bodies: list[list[Add]]) -> None:
    slowly, ours = SlowSums(), admission()
    for rows in bodies:
        said = [slowly.judge(row) for row in rows]

        admitted = add(ours, rows)

        got = [] if admitted.batch is None else batch_rows(admitted)
        assert got == [
            (slot, time_ns, bits(total))
            for (slot, time_ns, _), (verdict, total) in zip(rows, said, strict=True)
            if verdict == "accepted"
        ]
        verdicts = Counter(verdict for verdict, _ in said)
        del verdicts["refused series"]
        assert told(admitted) == +verdicts


@given(bodies=st.lists(ADDS, max_size=6), n_kept=st.integers(0, 6))
def test_sums_of_bodies_that_were_taken_back_are_the_sums_of_those_before(
    bodies: list[list[Add]], n_kept: int
) -> None:
    ours, undisturbed = admission(), admission()
    admitted = [add(ours, rows) for rows in bodies]
    for rows in bodies[:n_kept]:
        add(undisturbed, rows)

    for one in reversed(admitted[n_kept:]):
        ours.take_back(one)
    again = [add(ours, rows) for rows in bodies[n_kept:]]

    for rows, one in zip(bodies[n_kept:], again, strict=True):
        want = add(undisturbed, rows)
        assert (one.batch is None) == (want.batch is None)
        if one.batch is not None:
            assert batch_rows(one) == batch_rows(want)
    assert memory(ours) == memory(undisturbed)


@given(bodies=st.lists(ADDS, max_size=6), cut=st.integers(0, 6), later=ADDS)
def test_sums_go_on_bit_for_bit_wherever_a_crash_fell(
    bodies: list[list[Add]], cut: int, later: list[Add]
) -> None:
    """The log holds sums: what was saved, and what was logged since, is all that there is."""
    ours, restarted = admission(), admission()
    for rows in bodies[:cut]:
        add(ours, rows)
    restarted.load(memory(ours))
    for one in [add(ours, rows) for rows in bodies[cut:]]:
        if one.batch is not None:
            restarted.follow(one.batch)

    assert memory(restarted) == memory(ours)
    live, replayed = add(ours, later), add(restarted, later)
    assert (live.batch is None) == (replayed.batch is None)
    if live.batch is not None:
        assert batch_rows(live) == batch_rows(replayed)


@given(
    adds=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 10**6)), min_size=1, max_size=20),
    cuts=st.sets(st.integers(1, 19)),
)
def test_the_last_sum_is_the_sum_of_all_however_they_are_cut_into_bodies(
    adds: list[tuple[int, int]], cuts: set[int]
) -> None:
    ours = admission()
    rows = [
        (0, START_NS - 10**9 + sum(step for step, _ in adds[: n + 1]), float(value))
        for n, (_, value) in enumerate(adds)
    ]
    edges = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]

    sums = [
        row[2] for first, last in pairwise(edges) for row in batch_rows(add(ours, rows[first:last]))
    ]

    assert sums == [bits(float(sum(value for _, value in adds[: n + 1]))) for n in range(len(adds))]
