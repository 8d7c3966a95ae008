"""What people do about incidents, and what comes of it while alerts go on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.alerting import cascade
from tests.handling import Desk, S, handling, memory, stage_of
from watchkeeper.model.handling import Happening, IncidentEntry, IncidentMembers, Verb
from watchkeeper.model.incident import IncidentStatus
from watchkeeper.model.series import DEFAULT_TENANT

OPEN, ACKNOWLEDGED, MITIGATING, RESOLVED, CLOSED, MERGED = (
    IncidentStatus.OPEN,
    IncidentStatus.ACKNOWLEDGED,
    IncidentStatus.MITIGATING,
    IncidentStatus.RESOLVED,
    IncidentStatus.CLOSED,
    IncidentStatus.MERGED,
)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as found:
        yield found


@pytest.fixture
async def desk(tmp_path: Path, executor: ThreadPoolExecutor) -> Desk:
    """With an incident of four alerts that all fire."""
    store = memory(tmp_path)
    found = Desk(store, stage_of(store, executor))
    await found.watch(cascade(), until_s=120)
    return found


async def only(desk: Desk) -> str:
    (head,) = await desk.heads()
    return head.id


async def said(desk: Desk, incident: str, verb: Verb, **fields: Any) -> IncidentEntry | None:
    """What the timeline says of it, if it was done."""
    n = len(desk.log)
    one = handling(incident, verb, id=f"{verb.value}-{n}", **fields)
    await desk.hear(one)
    return await desk.store.get(IncidentEntry, DEFAULT_TENANT, f"{incident}/{one.id}")


async def alerts_of(desk: Desk, incident: str) -> dict[str, str]:
    """By service."""
    kept = await desk.store.get(IncidentMembers, DEFAULT_TENANT, incident)
    assert kept is not None
    return {member.node: member.complaint for member in kept.members}


@pytest.mark.parametrize(
    ("verbs", "status", "what"),
    [
        ([Verb.ACKNOWLEDGE], ACKNOWLEDGED, Happening.ACKNOWLEDGED),
        ([Verb.MITIGATE], MITIGATING, Happening.MITIGATING),
        ([Verb.ACKNOWLEDGE, Verb.MITIGATE], MITIGATING, Happening.MITIGATING),
        ([Verb.RESOLVE], RESOLVED, Happening.RESOLVED),
        ([Verb.RESOLVE, Verb.CLOSE], CLOSED, Happening.CLOSED),
        ([Verb.RESOLVE, Verb.CLOSE, Verb.REOPEN], OPEN, Happening.REOPENED),
        ([Verb.ACKNOWLEDGE, Verb.REOPEN], OPEN, Happening.REOPENED),
    ],
)
async def test_a_verb_turns_the_status_and_is_told_of(
    desk: Desk, verbs: list[Verb], status: IncidentStatus, what: Happening
) -> None:
    incident = await only(desk)

    entries = [await said(desk, incident, verb) for verb in verbs]

    head = await desk.head(incident)
    assert head.status is status
    assert entries[-1] is not None
    assert (entries[-1].what, entries[-1].by) == (what, "ann")
    assert head.decided == head.version
    assert [one.act.action for one in await desk.audit()] == [f"incident.{verb}" for verb in verbs]


@pytest.mark.parametrize(
    ("before", "verb"),
    [
        ([], Verb.CLOSE),
        ([Verb.RESOLVE], Verb.ACKNOWLEDGE),
        ([Verb.RESOLVE], Verb.MITIGATE),
        ([Verb.RESOLVE], Verb.SNOOZE),
        ([Verb.RESOLVE, Verb.CLOSE], Verb.RESOLVE),
    ],
)
async def test_what_cannot_be_done_leaves_no_trace(
    desk: Desk, before: list[Verb], verb: Verb
) -> None:
    incident = await only(desk)
    for one in before:
        await said(desk, incident, one)
    head, n_acts = await desk.head(incident), len(await desk.audit())

    entry = await said(desk, incident, verb, until_ns=make.START_NS + 900 * S)

    assert entry is None
    assert await desk.head(incident) == head
    assert len(await desk.audit()) == n_acts


async def test_what_is_so_already_is_no_news(desk: Desk) -> None:
    incident = await only(desk)
    await said(desk, incident, Verb.MITIGATE)
    head = await desk.head(incident)

    entries = [await said(desk, incident, verb) for verb in (Verb.MITIGATE, Verb.ACKNOWLEDGE)]

    assert entries == [None, None]
    assert await desk.head(incident) == head


async def test_of_two_who_saw_the_same_the_first_decides(desk: Desk) -> None:
    incident = await only(desk)
    seen = (await desk.head(incident)).version

    first = await said(desk, incident, Verb.ASSIGN, assignee="ann", expected=seen)
    second = await said(desk, incident, Verb.ASSIGN, assignee="bob", expected=seen)

    assert first is not None
    assert second is None
    assert (await desk.head(incident)).assignee == "ann"


async def test_alerts_that_come_meanwhile_overtake_nobody(desk: Desk) -> None:
    incident = await only(desk)
    seen = (await desk.head(incident)).version
    await desk.hear(replace(cascade()[0], started_ns=make.START_NS + 125 * S))
    await desk.tick(130)

    entry = await said(desk, incident, Verb.ACKNOWLEDGE, expected=seen)

    assert (await desk.head(incident)).version > seen + 1
    assert entry is not None


async def test_comments_overtake_nobody(desk: Desk) -> None:
    incident = await only(desk)
    seen = (await desk.head(incident)).version

    comment = await said(desk, incident, Verb.COMMENT, text="look at the bank")
    entry = await said(desk, incident, Verb.ACKNOWLEDGE, expected=seen)

    assert comment is not None
    assert comment.text == "look at the bank"
    assert entry is not None
    assert (await desk.head(incident)).n_comments == 1


async def test_a_snooze_is_over_when_its_time_is(desk: Desk) -> None:
    incident = await only(desk)
    await said(desk, incident, Verb.SNOOZE, until_ns=make.START_NS + 300 * S)
    before = await desk.head(incident)

    await desk.tick(299)
    during = await desk.head(incident)
    await desk.tick(301)

    assert before.snoozed_until_ns == during.snoozed_until_ns == make.START_NS + 300 * S
    assert (await desk.head(incident)).snoozed_until_ns is None
    assert Happening.SNOOZE_OVER in {one.what for one in await desk.timeline(incident)}


async def test_a_snooze_may_be_taken_back(desk: Desk) -> None:
    incident = await only(desk)
    await said(desk, incident, Verb.SNOOZE, until_ns=make.START_NS + 300 * S)

    entry = await said(desk, incident, Verb.SNOOZE, until_ns=0)

    assert entry is not None
    assert entry.what is Happening.SNOOZE_OVER
    assert (await desk.head(incident)).snoozed_until_ns is None


async def test_an_alert_that_fires_again_opens_what_a_person_resolved(desk: Desk) -> None:
    incident = await only(desk)
    await said(desk, incident, Verb.ACKNOWLEDGE)
    await said(desk, incident, Verb.RESOLVE)

    await desk.tick(130)
    still = await desk.head(incident)
    await desk.hear(replace(cascade()[0], started_ns=make.START_NS + 135 * S))
    await desk.tick(140)

    assert still.status is RESOLVED
    assert (await desk.head(incident)).status is OPEN


async def test_what_a_person_reopened_stays_open_though_its_alerts_ended(desk: Desk) -> None:
    incident = await only(desk)
    await desk.hear(*[make.resolved(one, after_s=130) for one in cascade()])
    await desk.tick(210)
    ended = await desk.head(incident)

    await said(desk, incident, Verb.REOPEN)
    await desk.tick(240)
    await desk.tick(270)

    assert ended.status is RESOLVED
    assert (await desk.head(incident)).status is OPEN


async def other(desk: Desk) -> tuple[str, str]:
    """A second incident beside the first."""
    first = await only(desk)
    await desk.watch(cascade([("search", 400.0)]), from_s=400, until_s=440)
    (second,) = [one.id for one in await desk.heads() if one.id != first]
    return first, second


async def test_one_becomes_another_because_somebody_says_so(desk: Desk) -> None:
    first, second = await other(desk)

    entry = await said(desk, second, Verb.MERGE, into=first)

    gone, home = await desk.head(second), await desk.head(first)
    assert entry is not None
    assert (gone.status, gone.merged_into) == (MERGED, first)
    assert home.merged_from[-1] == second
    assert set(await desk.services(first)) == set(home.services) >= {"bank", "search"}
    took = [one for one in await desk.timeline(first) if one.what is Happening.TOOK_OVER]
    assert (took[-1].by, took[-1].text) == ("ann", second)
    assert [one.what for one in await desk.timeline(second)].count(Happening.MERGED) == 1


async def test_what_was_joined_by_hand_is_not_parted_again(desk: Desk) -> None:
    first, second = await other(desk)
    await said(desk, second, Verb.MERGE, into=first)
    before = set(await desk.services(first))

    await desk.watch([], from_s=490, until_s=600)

    assert set(await desk.services(first)) == before
    assert [one.id for one in await desk.heads()] == [first]


async def test_nothing_more_is_done_with_what_is_another_one(desk: Desk) -> None:
    first, second = await other(desk)
    await said(desk, second, Verb.MERGE, into=first)

    entries = [await said(desk, second, verb) for verb in (Verb.COMMENT, Verb.REOPEN)]

    assert entries == [None, None]


@pytest.mark.parametrize("into", ["INC-1-99", "itself", "resolved"])
async def test_nothing_is_merged_into_what_is_not_open(desk: Desk, into: str) -> None:
    first, second = await other(desk)
    if into == "resolved":
        await said(desk, first, Verb.RESOLVE)
    named = {"itself": second, "resolved": first}.get(into, into)

    entry = await said(desk, second, Verb.MERGE, into=named)

    assert entry is None
    assert (await desk.head(second)).status is OPEN


async def test_alerts_are_split_off_into_one_incident_of_their_own(desk: Desk) -> None:
    first = await only(desk)
    alerts = await alerts_of(desk, first)
    parted = (alerts["bank"], alerts["payment"])

    entry = await said(desk, first, Verb.SPLIT, complaints=parted)
    await desk.watch([], from_s=130, until_s=200)

    assert entry is not None
    (made,) = [one for one in await desk.heads() if one.id != first]
    assert made.split_from == first
    assert await desk.services(made.id) == ["bank", "payment"]
    assert await desk.services(first) == ["checkout", "web"]
    assert (await desk.timeline(made.id))[0].by == "ann"


async def test_each_alert_that_is_unlinked_is_an_incident_of_its_own(desk: Desk) -> None:
    first = await only(desk)
    alerts = await alerts_of(desk, first)

    await said(desk, first, Verb.UNLINK, complaints=(alerts["bank"], alerts["web"]))

    made = [await desk.services(one.id) for one in await desk.heads() if one.id != first]
    assert sorted(made) == [["bank"], ["web"]]
    assert await desk.services(first) == ["payment", "checkout"]


@pytest.mark.parametrize("verb", [Verb.SPLIT, Verb.UNLINK])
@pytest.mark.parametrize("which", ["none", "all", "strange"])
async def test_something_is_left_and_something_goes(desk: Desk, verb: Verb, which: str) -> None:
    first = await only(desk)
    alerts = tuple((await alerts_of(desk, first)).values())
    named = {"none": (), "all": alerts, "strange": (alerts[0], "ff")}[which]

    entry = await said(desk, first, verb, complaints=named)

    assert entry is None
    assert len(await desk.services(first)) == 4


async def test_what_nobody_waits_for_any_more_can_still_be_closed(desk: Desk) -> None:
    incident = await only(desk)
    await desk.hear(*[make.resolved(one, after_s=130) for one in cascade()])
    for at_s in (210, 1200, 1260):
        await desk.tick(at_s)
    forgotten = await desk.stage.dump(3)

    closed = await said(desk, incident, Verb.CLOSE, text="a disk was full")
    merged = await said(desk, incident, Verb.SPLIT, complaints=("a",))

    assert incident.encode() not in forgotten
    assert closed is not None
    assert merged is None
    assert (await desk.head(incident)).status is CLOSED
    assert [one.act.target for one in await desk.audit()] == [f"incident:{incident}"]


async def test_what_was_done_to_a_forgotten_incident_is_done_once(desk: Desk) -> None:
    incident = await only(desk)
    await desk.hear(*[make.resolved(one, after_s=130) for one in cascade()])
    for at_s in (210, 1200, 1260):
        await desk.tick(at_s)
    await said(desk, incident, Verb.COMMENT, text="one")
    await said(desk, incident, Verb.CLOSE)
    want = await desk.head(incident), await desk.timeline(incident), await desk.audit()

    for delivery in desk.log[-2:]:
        await desk.stage.handle([delivery])

    assert (await desk.head(incident), await desk.timeline(incident), await desk.audit()) == want


async def test_an_incident_that_is_not_there_is_nobodys(desk: Desk) -> None:
    entry = await said(desk, "INC-1-99", Verb.ACKNOWLEDGE)

    assert entry is None
    assert await desk.audit() == []
