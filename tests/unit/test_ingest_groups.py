"""Groups at the door: who shares a sync, who is answered what, what is left of a refused one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests import make
from tests.doors import House, body, house
from tests.make import NS_PER_S
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.ingest.stage import IngestConfig
from watchkeeper.model.series import TenantId
from watchkeeper.model.signal import NewSeries, SampleBatch, Tick

OTHER = TenantId("other")


def shapes(one: House) -> list[list[type]]:
    """What each group was made of, ticks left out."""
    groups = [[type(record) for record in group] for group in one.gate.groups]
    kept = [[kind for kind in kinds if kind is not Tick] for kinds in groups]
    return [kinds for kinds in kept if kinds]


def some(n: int) -> list[bytes]:
    return [body((f"m{k}", 0, k)) for k in range(n)]


async def test_all_that_wait_are_made_durable_together(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        sending = await one.behind(*some(4))
        one.gate.let_go()
        await asyncio.gather(*sending)

        assert shapes(one) == [
            [NewSeries, SampleBatch],
            [NewSeries] * 4 + [SampleBatch] * 4,
        ]


async def test_a_group_ends_where_it_is_large_enough(tmp_path: Path) -> None:
    size = len(body(("m0", 0, 0)))
    async with house(tmp_path, ingest=IngestConfig(group_bytes=2 * size)) as one:
        sending = await one.behind(*some(5))
        one.gate.let_go()
        await asyncio.gather(*sending)

        assert [kinds.count(SampleBatch) for kinds in shapes(one)] == [1, 2, 2, 1]


async def test_a_body_beyond_the_size_of_a_group_goes_alone(tmp_path: Path) -> None:
    async with house(tmp_path, ingest=IngestConfig(group_bytes=1)) as one:
        sending = await one.behind(*some(2))
        one.gate.let_go()
        await asyncio.gather(*sending)

        assert [kinds.count(SampleBatch) for kinds in shapes(one)] == [1, 1, 1]


async def test_bodies_are_logged_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        sending = await one.behind(*some(6))
        one.gate.let_go()
        await asyncio.gather(*sending)

        assert [labels["__name__"] for labels, _, _ in one.samples()] == [
            "first", *(f"m{k}" for k in range(6)),
        ]  # fmt: skip


async def test_the_position_is_that_of_the_last_record_that_is_durable(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        positions = []
        for second in range(3):
            await one.send(body(("up", second, 1.0)))
            positions.append(one.ingest.position)

            assert one.ingest.position == one.log.last == len(one.records())

        assert positions == sorted(set(positions))


async def test_a_second_body_of_one_series_in_a_group_is_judged_by_the_first(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as one:
        sending = await one.behind(body(("up", 5, 1.0)), body(("up", 5, 2.0)))
        one.gate.let_go()
        _, accepted, refused = await asyncio.gather(*sending)

        assert accepted.n_accepted == 1
        assert [reject.reason for reject in refused.rejects] == ["conflict"]


async def test_the_same_body_twice_in_a_group_is_stored_once(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        sending = await one.behind(*[body(("up", 5, 1.0))] * 2)
        one.gate.let_go()
        answers = await asyncio.gather(*sending)

        assert [answer.repeated for answer in answers] == [False, False, True]
        assert len(one.samples()) == 2


async def test_who_repeats_a_body_of_a_refused_group_is_not_told_that_it_is_known(
    tmp_path: Path,
) -> None:
    """The first of two equal bodies was refused by the log: then so was the second."""
    async with house(tmp_path) as one:
        one.gate.full = True
        twins = [one.sending(body(("up", 5, 1.0))) for _ in range(2)]
        outcomes = await asyncio.gather(*twins, return_exceptions=True)
        one.gate.full = False
        one.clock.advance(0.1)
        again = await one.send(body(("up", 5, 1.0)))

        assert [type(outcome) for outcome in outcomes] == [Retryable, Retryable]
        assert not again.repeated
        assert len(one.samples()) == 1


async def test_everybody_in_a_refused_group_is_told_to_retry(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await one.send(body(("first", 0, 0)))
        one.gate.full = True
        sending = [one.sending(body((f"m{k}", 0, k))) for k in range(3)]
        outcomes = await asyncio.gather(*sending, return_exceptions=True)

        assert all("no space left" in str(outcome) for outcome in outcomes)
        assert all(isinstance(outcome, Retryable) for outcome in outcomes)
        assert one.ingest.refusal is not None


async def test_the_refusal_is_over_when_the_log_takes_again(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.gate.full = True
        with pytest.raises(Retryable):
            await one.send(body(("up", 0, 1.0)))
        said = one.ingest.refusal
        one.gate.full = False
        one.clock.advance(0.1)

        await one.send(body(("up", 0, 1.0)))

        assert said == "log: no space left on the device"
        assert one.ingest.refusal is None


async def test_a_mistake_on_the_way_to_the_log_does_not_end_the_process(tmp_path: Path) -> None:
    """A tenant's name that the log had no room for did, and nobody was answered any more."""
    async with house(tmp_path) as one:
        one.gate.mistaken = True
        with pytest.raises(Retryable, match="ZeroDivisionError"):
            await one.send(body(("up", 0, 1.0)))
        said = one.ingest.refusal
        one.gate.mistaken = False
        one.clock.advance(0.1)

        again = await one.send(body(("up", 0, 1.0)))

        assert said is not None
        assert again.n_accepted == 1
        assert len(one.samples()) == 1


async def test_a_tenant_whose_name_is_too_long_is_refused_and_nobody_else(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        longest = await one.send(body(("up", 0, 1.0)), tenant=TenantId("t" * 150))
        for name in ("t" * 151, "t" * 70_000, "é" * 76):
            with pytest.raises(BadInput, match="150 are allowed"):
                await one.send(body(("up", 0, 1.0)), tenant=TenantId(name))
        other = await one.send(body(("up", 0, 1.0)))

        assert (longest.n_accepted, other.n_accepted) == (1, 1)


async def test_a_refused_second_is_ticked_when_the_log_takes_again(tmp_path: Path) -> None:
    """Or what depends on elapsed time would stand still for a second too long."""
    async with house(tmp_path) as one:
        await one.send(body(("up", 0, 1.0)))
        one.clock.advance(1.5)
        one.gate.full = True
        with pytest.raises(Retryable):
            await one.send(body(("up", 1, 1.0)))
        one.gate.full = False
        one.clock.advance(0.1)
        await one.send(body(("up", 1, 1.0)))

        ticks = [record.now_ns for record in one.records() if isinstance(record, Tick)]
        assert len(ticks) == 2
        assert ticks[1] - ticks[0] == round(1.6 * NS_PER_S)


async def test_ticks_never_go_back_in_the_log(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        for second in range(4):
            one.clock.advance(0.7)
            await one.send(body(("up", second, 1.0)))

        ticks = [record.now_ns for record in one.records() if isinstance(record, Tick)]
        assert ticks == sorted(ticks)
        assert len(ticks) == 2


async def test_a_sender_that_went_away_is_stored_all_the_same(tmp_path: Path) -> None:
    """It may have got no answer, but its body was in the group; its retry is a no-op."""
    async with house(tmp_path) as one:
        gone = (await one.behind(*some(1)))[1]
        gone.cancel()
        await asyncio.sleep(0)
        one.gate.let_go()
        again = await one.send(body(("m0", 0, 0)))

        assert again.repeated
        assert len(one.samples()) == 2


async def test_a_record_of_no_body_lies_between_groups_at_the_position_that_is_told(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as one:
        await one.send(body(("up", 0, 1.0)))

        position = await one.ingest.log(make.settings("{}"))

        assert position == one.ingest.position == one.log.last
        assert one.records()[-1] == make.settings("{}")


async def test_one_bad_body_among_good_ones_is_the_only_one_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        sending = await one.behind(body(("a", 0, 1)), b"{", body(("b", 0, 1)))
        one.gate.let_go()
        outcomes = await asyncio.gather(*sending, return_exceptions=True)

        assert [isinstance(outcome, BadInput) for outcome in outcomes] == [
            False, False, True, False,
        ]  # fmt: skip
        assert len(one.samples()) == 3


async def test_tenants_in_one_group_do_not_mix(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        sending = await one.behind(body(("up", 0, 1.0)), tenant=TenantId("a"))
        sending.append(one.sending(body(("up", 0, 1.0)), tenant=OTHER))
        await asyncio.sleep(0)
        one.gate.let_go()
        answers = await asyncio.gather(*sending)

        batches = [record for record in one.records() if isinstance(record, SampleBatch)]
        assert [batch.tenant for batch in batches] == ["default", "a", "other"]
        assert len({int(batch.slot[0]) for batch in batches}) == 3
        assert not any(answer.repeated for answer in answers)


async def test_what_waits_is_finished_when_the_door_closes(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        sending = await one.behind(*some(3))
        one.ingest.close()
        one.gate.let_go()
        answers = await asyncio.gather(*sending)

        assert len(answers) == 4
        assert len(one.samples()) == 4


async def test_work_is_done_between_groups_and_not_within_one(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        seen: list[int] = []
        sending = await one.behind(*some(3))
        working = asyncio.create_task(one.ingest.between_groups(lambda: seen.append(one.log.last)))
        await asyncio.sleep(0)
        one.gate.let_go()
        position = await working
        await asyncio.gather(*sending)

        assert seen == [position] == [len(one.gate.groups[0])]
        assert len(one.gate.groups) > 1


async def test_the_position_of_work_between_groups_covers_what_it_saw(tmp_path: Path) -> None:
    """What is saved there is taken for everything up to that position, and for nothing beyond."""
    async with house(tmp_path) as one:
        await one.send(body(("up", 0, 1.0)))
        dumped: list[bytes] = []
        position = await one.ingest.between_groups(lambda: dumped.append(one.preparer.dump()))
        await one.send(body(("up", 1, 1.0)))

        assert position == one.log.last - 1
        assert dumped[0] != one.preparer.dump()


async def test_work_that_fails_between_groups_fails_whoever_asked_for_it(tmp_path: Path) -> None:
    async with house(tmp_path) as one:

        def work() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await one.ingest.between_groups(work)

        assert (await one.send(body(("up", 0, 1.0)))).n_accepted == 1


@pytest.mark.parametrize("queue_bytes", [1, 50, 10_000])
async def test_a_body_is_never_too_large_for_an_empty_queue(
    tmp_path: Path, queue_bytes: int
) -> None:
    async with house(tmp_path, ingest=IngestConfig(queue_bytes=queue_bytes)) as one:
        accepted = await one.send(body(("up", 0, 1.0)))

        assert accepted.n_accepted == 1


async def test_a_full_queue_has_room_again_when_it_was_served(tmp_path: Path) -> None:
    size = len(body(("m0", 0, 0)))
    async with house(tmp_path, ingest=IngestConfig(queue_bytes=2 * size, retry_after_s=3)) as one:
        sending = await one.behind(*some(2))
        with pytest.raises(Retryable) as refusal:
            await one.send(body(("m9", 0, 0)))
        one.gate.let_go()
        await asyncio.gather(*sending)
        again = await one.send(body(("m9", 0, 0)))

        assert refusal.value.after_s == 3
        assert again.n_accepted == 1
