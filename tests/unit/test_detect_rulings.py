"""Settings, windows and verdicts in the middle of the log: in force there, after a restart too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import pytest

from tests import make
from tests.unit.test_detect_stage_restart import MINUTE_NS, SERVICES, Process, alike, calm, wild
from watchkeeper.analyze.absent import Absent
from watchkeeper.analyze.governing import quiet
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.model.anomaly import Anomaly, InfoReason, Severity
from watchkeeper.model.ruling import Maintenance, Verdict, Word
from watchkeeper.model.series import N_PARTITIONS
from watchkeeper.model.signal import NewSeries, SampleBatch

WIDER: dict[str, Any] = {
    "detectors": [{"use": "basic"}, {"use": "fk"}, {"use": "rex"}],
    "sensitivity": "high",
    "rules": [{"match": {"__name__": "m"}, "class": "business"}],
}
"""One detector more, and all series are its."""
NOBODY: dict[str, Any] = {"detectors": [{"use": "basic"}], "sensitivity": "low"}
SET = make.settings(json.dumps(WIDER), expected=0)
TOLD = [calm(0, 300), SET, calm(300, 40), wild(340), calm(341, 60)]
"""A story whose end depends on what was set in its middle. Positions 2 to 6."""


def log(process: Process, records: Sequence[Any], partition: int = MIXED) -> list[Delivery]:
    """New series at position 1, then these records."""
    told: list[Any] = [process.new]
    for record in records:
        is_batch = isinstance(record, SampleBatch)
        told.append(replace(record, slot=process.new.slot[record.slot]) if is_batch else record)
    return [Delivery(partition, at + 1, record) for at, record in enumerate(told)]


async def everything(process: Process) -> dict[int, bytes]:
    """The checkpoints of all partitions, those without series, too."""
    return {partition: await process.stage.dump(partition) for partition in range(N_PARTITIONS)}


def shifts(process: Process) -> list[float]:
    dials = process.stage.tiers.routes.dials
    return [round(float(dials["shift"][slot]), 6) for slot in process.new.slot]


def partition_of(process: Process, row: int = 0) -> int:
    return int(process.catalog.partition[process.new.slot[row]])


def verdict(process: Process, word: Word = Word.NOT_USEFUL, **fields: Any) -> Verdict:
    """On the first series."""
    given = {
        "subject": process.new.identity[0].tobytes().hex(),
        "partition": partition_of(process),
        **fields,
    }
    return make.verdict(word, **given)


async def test_settings_take_effect_at_their_position(executor: Executor) -> None:
    process = Process(executor)

    await process.stage.handle(log(process, TOLD[:1]))
    before = [one.name for one in process.detectors], shifts(process)
    await process.stage.handle(log(process, TOLD)[2:3])

    assert before == (["basic", "fk"], [0.0] * 3)
    assert [one.name for one in process.detectors] == ["basic", "fk", "rex"]
    assert shifts(process) == [0.5] * 3


async def test_how_records_are_handed_over_makes_no_difference(executor: Executor) -> None:
    whole, single = Process(executor), Process(executor)

    await whole.stage.handle(log(whole, TOLD))
    for delivery in log(single, TOLD):
        await single.stage.handle([delivery])

    assert await single.state() == await whole.state()
    assert alike(await single.anomalies()) == alike(await whole.anomalies())
    assert len(await whole.anomalies()) > 0


@pytest.mark.parametrize("at", range(1, 6))
async def test_a_restart_from_any_checkpoint_gives_the_same_to_the_bit(
    executor: Executor, at: int
) -> None:
    one, other = Process(executor), Process(executor)
    told = log(one, TOLD)
    await one.stage.handle(told[:at])
    kept = await everything(one)
    other.store = other.stage._store = one.store  # noqa: SLF001 - the store outlives its process
    await one.stage.handle(told[at:])
    want, state = alike(await one.anomalies()), await one.state()

    for partition, content in kept.items():
        await other.stage.load(partition, at, content)
    await other.stage.handle(log(other, TOLD)[at:])

    assert await other.state() == state
    assert alike(await other.anomalies()) == want


@pytest.mark.parametrize("late", range(3))
async def test_partitions_that_were_kept_on_both_sides_of_new_settings_meet_again(
    executor: Executor, late: int
) -> None:
    """A crash between checkpoints: one is from before the settings, the others from behind them,
    with what a detector learned that there was none of before."""
    one, other = Process(executor), Process(executor)
    told = log(one, TOLD)
    behind = partition_of(one, late)
    await one.stage.handle(told[:2])
    early = await one.stage.dump(behind)
    await one.stage.handle(told[2:4])
    kept = {**await everything(one), behind: early}
    await one.stage.handle(told[4:])

    for partition, state in kept.items():
        await other.stage.load(partition, 2 if partition == behind else 4, state)
    await other.stage.handle(log(other, TOLD)[2:3])
    await other.stage.handle(log(other, TOLD)[3:])

    assert await other.state() == await one.state()


async def test_settings_survive_the_log_that_they_came_by(executor: Executor) -> None:
    one, other = Process(executor), Process(executor)
    await one.stage.handle(log(one, TOLD))

    for partition, state in (await everything(one)).items():
        await other.stage.load(partition, 6, state)
    await other.stage.handle([Delivery(MIXED, 7, log(other, [calm(401, 2)])[1].record)])

    assert [detector.name for detector in other.detectors] == ["basic", "fk", "rex"]
    assert shifts(other) == [0.5] * 3


async def test_settings_that_expected_another_version_change_nothing(executor: Executor) -> None:
    process = Process(executor)
    late = make.settings(json.dumps(NOBODY), expected=0)

    await process.stage.handle(log(process, [calm(0, 5), SET, late]))

    assert [one.name for one in process.detectors] == ["basic", "fk", "rex"]


async def test_after_a_restore_the_file_counts_again(executor: Executor) -> None:
    process = Process(executor)

    await process.stage.handle(log(process, [calm(0, 5), SET, make.settings("")]))

    assert [one.name for one in process.detectors] == ["basic", "fk"]
    assert shifts(process) == [0.0] * 3


@pytest.mark.parametrize("document", ['{"of_a_newer": 1}', '{"detectors": [{"use": "fk"}]}', "{"])
async def test_settings_that_do_not_fit_this_release_leave_what_was_in_force(
    executor: Executor, document: str
) -> None:
    process = Process(executor)

    await process.stage.handle(log(process, [calm(0, 5), SET, make.settings(document)]))

    assert [one.name for one in process.detectors] == ["basic", "fk", "rex"]
    assert shifts(process) == [0.5] * 3


async def test_between_processes_settings_are_in_force_when_their_partition_has_them(
    executor: Executor,
) -> None:
    """They are told to every partition; what is covered is passed over."""
    process = Process(executor, absent=Absent())
    process.meet()
    told = [Delivery(p, 10 + p, SET) for p in range(N_PARTITIONS)]

    await process.stage.handle(told)
    first = [one.name for one in process.detectors]
    await process.stage.handle([replace(one, position=one.position + 100) for one in told])

    assert first == [one.name for one in process.detectors] == ["basic", "fk", "rex"]


async def test_whoever_takes_a_partition_over_takes_what_is_in_force_there(
    executor: Executor,
) -> None:
    one, other = (Process(executor, absent=Absent()) for _ in range(2))
    for process in (one, other):
        process.meet()
    await one.stage.handle(log(one, [SET, verdict(one)], partition_of(one)))

    await other.stage.load(partition_of(one), 3, await one.stage.dump(partition_of(one)))
    await other.stage.handle(log(other, [calm(0, 3)])[1:])

    assert [detector.name for detector in other.detectors] == ["basic", "fk", "rex"]
    assert shifts(other) == [0.0, 0.5, 0.5]


async def test_a_verdict_turns_the_dial_of_its_series_alone(executor: Executor) -> None:
    process = Process(executor)

    await process.stage.handle(log(process, [calm(0, 5), verdict(process), calm(5, 5)]))

    assert shifts(process) == [-0.5, 0.0, 0.0]


async def test_a_verdict_counts_for_a_series_that_is_met_later(executor: Executor) -> None:
    process = Process(executor)

    await process.stage.handle(log(process, [verdict(process, Word.REAL), calm(0, 5)]))

    assert shifts(process) == [0.25, 0.0, 0.0]


async def test_a_withdrawn_verdict_leaves_no_trace(executor: Executor) -> None:
    plain, judged = Process(executor), Process(executor)
    records = [calm(0, 300), calm(300, 40), wild(340)]
    withdrawn = [verdict(judged), verdict(judged, Word.WITHDRAWN)]
    await plain.stage.handle(log(plain, records))

    await judged.stage.handle(log(judged, [records[0], *withdrawn, *records[1:]]))

    assert shifts(judged) == shifts(plain) == [0.0] * 3
    assert await judged.state() == await plain.state()
    assert {one.id for one in await judged.anomalies()} == {
        one.id for one in await plain.anomalies()
    }


async def test_verdicts_are_in_force_after_a_restart(executor: Executor) -> None:
    one, other = Process(executor), Process(executor)
    await one.stage.handle(log(one, [calm(0, 5), verdict(one)]))

    for partition, state in (await one.state()).items():
        await other.stage.load(partition, 3, state)
    await other.stage.handle(log(other, [calm(0, 5), verdict(other), calm(5, 5)])[1:])

    assert shifts(other) == [-0.5, 0.0, 0.0]


async def muted_by(executor: Executor, *rulings: Any, after: Sequence[Any] = ()) -> list[Anomaly]:
    """The anomalies of the first series, which goes wild at minute 305."""
    process = Process(executor)
    records = [calm(0, 300), *rulings, calm(300, 5), wild(305), *after, calm(306, 30)]
    await process.stage.handle(log(process, records))
    found = await process.anomalies()
    assert found
    return found


def window(first: int, last: int, **fields: Any) -> Maintenance:
    """By minutes, of everything."""
    return make.maintenance(
        match={},
        from_ns=make.START_NS + first * MINUTE_NS,
        to_ns=make.START_NS + last * MINUTE_NS,
        **fields,
    )


async def test_what_begins_within_a_window_is_recorded_as_muted(executor: Executor) -> None:
    found = await muted_by(executor, window(304, 310))

    assert {one.muted for one in found} == {"maintenance: disks are exchanged"}
    assert {one.severity for one in found} == {Severity.INFO}
    assert {one.info_reason for one in found} == {InfoReason.MUTED}


@pytest.mark.parametrize("window", [window(0, 305), window(307, 400), window(304, 310, id="x")])
async def test_a_window_mutes_only_what_begins_within_it_and_is_matched(
    executor: Executor, window: Maintenance
) -> None:
    if window.id == "x":
        window = replace(window, match={"service": "another"})

    found = await muted_by(executor, window)

    assert {one.muted for one in found} == {""}


async def test_what_began_within_a_window_stays_muted_when_it_is_ended(
    executor: Executor,
) -> None:
    found = await muted_by(executor, window(304, 400), after=[window(304, 304)])

    assert all(one.muted for one in found if one.started_ns <= make.START_NS + 305 * MINUTE_NS)


async def test_the_windows_of_the_settings_mute_and_learning_goes_on(executor: Executor) -> None:
    quiet_one, plain = Process(executor), Process(executor)
    document = {
        "detectors": [{"use": "basic"}, {"use": "fk"}],
        "maintenance": [{"weekly": "mon-sun 00:00-24:00", "reason": "always"}],
    }
    records = [calm(0, 300), wild(300), calm(301, 30)]
    await plain.stage.handle(log(plain, [records[0], make.settings("{}"), *records[1:]]))

    settings = make.settings(json.dumps(document))
    await quiet_one.stage.handle(log(quiet_one, [records[0], settings, *records[1:]]))

    found, want = await quiet_one.anomalies(), await plain.anomalies()
    assert {one.muted for one in found} == {"maintenance: always"}
    assert {one.id for one in found} == {one.id for one in want}
    for mine, theirs in zip(quiet_one.detectors, plain.detectors, strict=False):
        slots = quiet_one.new.slot
        assert {k: v.tobytes() for k, v in mine.dump(slots).items()} == {
            k: v.tobytes() for k, v in theirs.dump(plain.new.slot).items()
        }


async def test_what_was_said_to_be_expected_is_muted_a_week_later(executor: Executor) -> None:
    process = Process(executor)
    week = 7 * 24 * 60
    started_ns = make.START_NS + (305 - week) * MINUTE_NS
    expected = [
        verdict(process, Word.EXPECTED, started_ns=started_ns, detector=name)
        for name in ("basic", "fk")
    ]
    expected[1] = replace(expected[1], principal="user:else")

    found = await muted_by(executor, *expected)

    assert {one.muted for one in found} == {"expected: every week at this time"}


def test_a_page_that_is_muted_is_information() -> None:
    found = quiet(make.anomaly(severity=Severity.PAGE), "maintenance: disks")

    assert (found.severity, found.info_reason) == (Severity.INFO, InfoReason.MUTED)
    assert quiet(make.anomaly(), "") == make.anomaly()


def test_the_story_has_series_of_several_partitions(executor: Executor) -> None:
    """Or nothing would be shown by partitions that have come differently far."""
    process = Process(executor)
    new: NewSeries = process.new

    assert len({partition_of(process, row) for row in range(len(SERVICES))}) == len(new) == 3
