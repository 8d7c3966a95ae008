"""Admission: what is let in, what is refused, and that it can be taken back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from watchkeeper.clock import NS_PER_S
from watchkeeper.ingest.admit import Admission, AdmitConfig, Admitted
from watchkeeper.model.series import DEFAULT_TENANT, LabelBlock
from watchkeeper.model.signal import WireSamples

NOW = 1_700_000_000 * NS_PER_S


def wire(*samples: tuple[int, float, float]) -> WireSamples:
    """Samples as (row, seconds from now, value)."""
    rows, seconds, values = zip(*samples, strict=True) if samples else ((), (), ())
    n_rows = max(rows, default=-1) + 1
    empty = np.zeros(0, np.int64)
    return WireSamples(
        key=np.zeros((n_rows, 2), np.uint64),
        kind=np.zeros(n_rows, np.uint8),
        row=np.array(rows, np.int32),
        time_ns=np.array([NOW + round(s * NS_PER_S) for s in seconds], np.int64),
        value=np.array(values, np.float64),
        describe=lambda _rows: LabelBlock(np.zeros(16, np.uint8), empty, empty),
    )


def admit(admission: Admission, samples: WireSamples, slots: list[int] | None = None) -> Admitted:
    by_row = np.array(slots if slots is not None else range(len(samples.key)), np.int32)
    return admission.admit(DEFAULT_TENANT, samples, by_row, body_hash=b"", now_ns=NOW)


def reasons(admitted: Admitted) -> dict[str, int]:
    return {reject.reason: reject.count for reject in admitted.rejects}


@pytest.fixture
def admission() -> Admission:
    return Admission(AdmitConfig(), n_slots=64)


def test_new_samples_of_several_series_are_accepted_in_order(admission: Admission) -> None:
    admitted = admit(admission, wire((0, -30, 1.0), (1, -30, 2.0), (0, -15, 3.0)))

    assert admitted.batch is not None
    assert admitted.batch.slot.tolist() == [0, 1, 0]
    assert admitted.batch.value.tolist() == [1.0, 2.0, 3.0]
    assert admitted.rejects == ()


def test_the_same_sample_again_is_accepted_without_effect(admission: Admission) -> None:
    admit(admission, wire((0, -30, 1.0)))

    again = admit(admission, wire((0, -30, 1.0)))

    assert again.batch is None
    assert again.n_duplicates == 1
    assert again.rejects == ()


def test_another_value_for_the_same_time_is_refused_and_the_first_wins(
    admission: Admission,
) -> None:
    admit(admission, wire((0, -30, 1.0)))

    second = admit(admission, wire((0, -30, 2.0)))

    assert second.batch is None
    assert reasons(second) == {"conflict": 1}


def test_a_stale_marker_repeated_is_a_duplicate_although_nan_is_never_equal(
    admission: Admission,
) -> None:
    admit(admission, wire((0, -30, float("nan"))))

    assert admit(admission, wire((0, -30, float("nan")))).n_duplicates == 1


@pytest.mark.parametrize(
    ("seconds", "reason"), [(-3700.0, "too_old"), (-3500.0, None), (601.0, "future"), (599.0, None)]
)
def test_times_are_held_to_the_limits(
    admission: Admission, seconds: float, reason: str | None
) -> None:
    admit(admission, wire((0, 0, 1.0)))

    admitted = admit(admission, wire((0, seconds, 2.0)))

    assert reasons(admitted) == ({} if reason is None else {reason: 1})
    assert (admitted.batch is None) == (reason is not None)


def test_a_late_sample_is_stored_and_the_newest_stays_the_newest(admission: Admission) -> None:
    admit(admission, wire((0, 0, 1.0)))

    late = admit(admission, wire((0, -60, 5.0)))
    repeated = admit(admission, wire((0, 0, 1.0)))

    assert late.batch is not None
    assert repeated.n_duplicates == 1


def test_one_bad_sample_among_good_ones_loses_only_itself(admission: Admission) -> None:
    admitted = admit(admission, wire((0, 0, 1.0), (1, 9999, 2.0), (2, 0, 3.0)))

    assert admitted.batch is not None
    assert admitted.batch.slot.tolist() == [0, 2]
    assert reasons(admitted) == {"future": 1}


def test_samples_of_a_refused_series_are_left_out(admission: Admission) -> None:
    admitted = admit(admission, wire((0, 0, 1.0), (1, 0, 2.0)), slots=[-1, 7])

    assert admitted.batch is not None
    assert admitted.batch.slot.tolist() == [7]


def test_what_was_taken_back_can_come_again(admission: Admission) -> None:
    """A sender's retry after a failed sync must be stored, not taken for a duplicate."""
    admit(admission, wire((0, -30, 1.0)))
    failed = admit(admission, wire((0, -15, 2.0), (0, 0, 3.0)))

    admission.take_back(failed)
    again = admit(admission, wire((0, -15, 2.0), (0, 0, 3.0)))

    assert again.batch is not None
    assert again.batch.value.tolist() == [2.0, 3.0]


def test_a_body_is_remembered_for_ten_minutes(admission: Admission) -> None:
    admission.remember_body(b"a", NOW)
    admission.remember_body(b"b", NOW + 599 * NS_PER_S)
    later = NOW + 601 * NS_PER_S
    assert admission.knows_body(b"a", NOW + 600 * NS_PER_S)

    admission.remember_body(b"c", later)

    assert not admission.knows_body(b"a", later)
    assert admission.knows_body(b"b", later)


def test_a_body_is_forgotten_in_time_although_nothing_else_came(admission: Admission) -> None:
    """A lone sender that repeats itself, without times in its bodies, was never heard again."""
    admission.remember_body(b"a", NOW)

    assert not admission.knows_body(b"a", NOW + 601 * NS_PER_S)


def test_a_body_remembered_again_is_the_newest_of_all() -> None:
    bounded = Admission(AdmitConfig(body_memory_count=2), n_slots=4)
    bounded.remember_body(b"a", NOW)
    bounded.remember_body(b"b", NOW)
    later = NOW + 1 * NS_PER_S
    bounded.remember_body(b"a", later)

    bounded.remember_body(b"c", later)

    assert [bounded.knows_body(one, later) for one in (b"a", b"b", b"c")] == [True, False, True]


def test_remembered_bodies_are_bounded() -> None:
    admission = Admission(AdmitConfig(body_memory_count=3), n_slots=4)

    for body in (b"a", b"b", b"c", b"d"):
        admission.remember_body(body, NOW)

    assert not admission.knows_body(b"a", NOW)
    assert admission.knows_body(b"d", NOW)


def test_a_dump_loaded_elsewhere_judges_alike(admission: Admission) -> None:
    admit(admission, wire((0, -30, 1.0), (1, -10, 2.0)))
    admission.remember_body(b"a", NOW)
    twin = Admission(AdmitConfig(), n_slots=64)

    twin.load(admission.dump(2))

    assert twin.knows_body(b"a", NOW)
    assert admit(twin, wire((0, -30, 1.0))).n_duplicates == 1
    assert reasons(admit(twin, wire((1, -10, 9.0), (1, -10, 9.0)), slots=[1, 1])) == {"conflict": 2}


@pytest.mark.parametrize("n_slots", [1, 2, 64])
def test_a_dump_is_loaded_where_there_is_room_for_fewer_series_or_for_more(
    admission: Admission, n_slots: int
) -> None:
    """The limit of series was changed between two starts."""
    admit(admission, wire((0, -30, 1.0), (1, -10, 2.0)))
    other = Admission(AdmitConfig(), n_slots)

    other.load(admission.dump(2))

    assert admit(other, wire((0, -30, 1.0))).n_duplicates == 1


def test_replay_of_a_batch_leaves_the_same_memory(admission: Admission) -> None:
    admitted = admit(admission, wire((0, -30, 1.0), (0, -15, 2.0)))
    assert admitted.batch is not None
    twin = Admission(AdmitConfig(), n_slots=64)

    twin.follow(admitted.batch)
    twin.remember_logged_body(admitted.batch.body_hash, NOW)

    assert admit(twin, wire((0, -15, 2.0))).n_duplicates == 1


def test_a_slot_with_a_new_owner_starts_afresh(admission: Admission) -> None:
    admit(admission, wire((0, 0, 1.0)))

    admission.forget(np.array([0], np.int32))

    assert admit(admission, wire((0, -7200, 1.0))).batch is not None


def add(admission: Admission, *samples: tuple[int, float, float]) -> list[float]:
    """Deltas as (row, seconds from now, value); their sums as they are logged."""
    one = wire(*samples)
    deltas = replace(one, is_delta=np.ones(len(one.key), np.bool_))
    admitted = admit(admission, deltas)
    return [] if admitted.batch is None else admitted.batch.value.tolist()


def test_sums_begin_anew_where_the_log_since_the_save_is_not_replayed() -> None:
    """Going on from the saved sum would be a fall, and look like all of it in one moment."""
    lived = Admission(AdmitConfig(), n_slots=4, resumes_sums=False)
    saved = add(lived, (0, -30, 100.0)) and lived.dump(4)
    add(lived, (0, -20, 1.0))
    restarted = Admission(AdmitConfig(), n_slots=4, resumes_sums=False)
    assert isinstance(saved, bytes)

    restarted.load(saved)

    assert add(restarted, (0, -10, 5.0), (0, -5, 2.0)) == [5.0, 7.0]


def test_without_a_restart_sums_go_on_wherever_they_are_kept() -> None:
    lived = Admission(AdmitConfig(), n_slots=4, resumes_sums=False)

    assert add(lived, (0, -30, 100.0)) + add(lived, (0, -20, 1.0)) == [100.0, 101.0]


def test_the_deltas_of_a_body_are_not_written_over(admission: Admission) -> None:
    """The columns are the receiver's, and a refused body may be prepared again."""
    one = replace(wire((0, -30, 1.0), (0, -20, 1.0)), is_delta=np.ones(1, np.bool_))

    admit(admission, one)

    assert one.value.tolist() == [1.0, 1.0]


def test_a_series_whose_slot_has_a_new_owner_is_summed_up_from_nothing(
    admission: Admission,
) -> None:
    add(admission, (0, -30, 100.0))

    admission.forget(np.array([0], np.int32))

    assert add(admission, (0, -20, 1.0)) == [1.0]


def test_a_repeated_delta_is_known_for_one_after_a_later_one_was_taken_back(
    admission: Admission,
) -> None:
    add(admission, (0, -30, 5.0))
    later = replace(wire((0, -20, 9.0)), is_delta=np.ones(1, np.bool_))
    admission.take_back(admit(admission, later))

    again = admit(admission, replace(wire((0, -30, 5.0)), is_delta=np.ones(1, np.bool_)))

    assert again.n_duplicates == 1
    assert again.rejects == ()


def test_a_late_sample_from_before_all_that_is_kept_is_refused() -> None:
    bounded = Admission(AdmitConfig(oldest_s=60), n_slots=4)
    admit(bounded, wire((0, -59, 1.0)))

    late = admit(bounded, wire((0, -60, 2.0), (0, -61, 3.0)))

    assert reasons(late) == {"too_old": 1}
    assert late.batch is not None
    assert late.batch.value.tolist() == [2.0]


def test_a_delta_of_nothing_is_a_sample_like_any_other(admission: Admission) -> None:
    """That nothing happened is news, too; and said again it is none."""
    first = add(admission, (0, -30, 0.0))

    again = add(admission, (0, -30, 0.0))

    assert (first, again) == ([0.0], [])
