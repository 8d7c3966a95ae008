"""The life of an incident, one state after another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests import make
from tests.handling import S, handling
from watchkeeper.analyze import lifecycle
from watchkeeper.analyze.lifecycle import MAX_NAMES, At, Refusal, Step
from watchkeeper.model.alert import Urgency
from watchkeeper.model.handling import Handling, Happening, IncidentHead, Verb
from watchkeeper.model.incident import (
    ComplaintKey,
    Incident,
    IncidentId,
    IncidentStatus,
    Join,
    Member,
)

NAME = IncidentId("INC-1700000000-1")
OTHER = IncidentId("INC-1700000000-2")
AT = At(7, make.START_NS + 60 * S)
ITSELF = Join(ComplaintKey("bank"), 0.0, 0.0, 0.0, 0.0)


def member(node: str, **fields: Any) -> Member:
    """An alert that is known by its node, and fires since the beginning."""
    usual: dict[str, Any] = {
        "complaint": ComplaintKey(node or "nobody"),
        "rule": "ErrorRate",
        "node": node,
        "urgency": Urgency.WARNING,
        "started_ns": make.START_NS,
        "last_ns": make.START_NS,
        "ended_ns": None,
        "n_firings": 1,
        "join": ITSELF,
    }
    return Member(**(usual | fields))


def incident(*members: Member, **fields: Any) -> Incident:
    """As the correlator tells it; the first member speaks for it."""
    ends = [one.ended_ns for one in members if one.ended_ns is not None]
    usual: dict[str, Any] = {
        "id": NAME,
        "status": IncidentStatus.OPEN,
        "opened_ns": make.START_NS,
        "updated_ns": AT.now_ns,
        "members": members,
        "representative": members[0].complaint if members else ComplaintKey(""),
        "urgency": Urgency(max((one.urgency for one in members), default=Urgency.INFO)),
        "ended_ns": max(ends) if members and len(ends) == len(members) else None,
    }
    return Incident(**(usual | fields))


def seen(*members: Member) -> dict[ComplaintKey, tuple[int, bool]]:
    return {one.complaint: (one.n_firings, one.ended_ns is None) for one in members}


def head(*members: Member, **fields: Any) -> IncidentHead:
    """An incident of these, first told of a minute ago."""
    shown = members or (member("bank"),)
    first = lifecycle.told(None, incident(*shown), {}, At(3, make.START_NS))
    return replace(first.head, **fields)


def happened(step: Step | Refusal | None) -> list[Happening]:
    assert isinstance(step, Step)
    return [one.what for one in step.entries]


def test_the_first_state_says_what_its_representative_says() -> None:
    bank = member("bank", summary="the bank fails", urgency=Urgency.ERROR)

    step = lifecycle.told(None, incident(bank, member("web")), {}, AT)

    assert step.head.title == "the bank fails"
    assert step.head.service == "bank"
    assert (step.head.services, step.head.rules) == (("bank", "web"), ("ErrorRate",))
    assert step.head.urgency is Urgency.ERROR
    assert (step.head.version, step.head.decided, step.head.position) == (1, 0, 7)
    assert happened(step) == [Happening.OPENED, Happening.JOINED, Happening.JOINED]


@pytest.mark.parametrize(
    ("one", "title"),
    [
        (member("bank"), "ErrorRate of bank"),
        (member(""), "ErrorRate"),
        (member("bank", summary="x" * 500), "x" * 300),
    ],
)
def test_an_incident_has_a_title_of_some_length(one: Member, title: str) -> None:
    step = lifecycle.told(None, incident(one), {}, AT)

    assert step.head.title == title


def test_no_more_names_than_anybody_reads_are_listed() -> None:
    members = [member(f"s{n:03}") for n in range(MAX_NAMES + 20)]

    step = lifecycle.told(None, incident(*members), {}, AT)

    assert len(step.head.services) == MAX_NAMES
    assert step.head.n_members == MAX_NAMES + 20


def test_an_incident_that_was_parted_says_of_which() -> None:
    step = lifecycle.told(None, incident(member("bank"), split_from=OTHER), {}, AT)

    assert (step.entries[0].what, step.entries[0].text) == (Happening.SPLIT, OTHER)


def test_entries_have_names_that_a_replay_gives_again() -> None:
    told = incident(member("bank"), member("web"))

    ids = [[one.id for one in lifecycle.told(None, told, {}, AT).entries] for _ in range(2)]

    assert ids == [["7-0", "7-1", "7-2"]] * 2


@pytest.mark.parametrize(
    ("before", "now", "what"),
    [
        ([], [member("web")], [Happening.JOINED]),
        ([member("web")], [], [Happening.LEFT]),
        ([member("web")], [member("web", n_firings=2)], [Happening.FIRED_AGAIN]),
        ([member("web")], [member("web", ended_ns=AT.now_ns)], [Happening.ENDED]),
        ([], [member("web", ended_ns=AT.now_ns)], [Happening.JOINED, Happening.ENDED]),
        (
            [member("web", ended_ns=5)],
            [member("web", n_firings=3, ended_ns=9)],
            [Happening.FIRED_AGAIN],
        ),
        ([member("web")], [member("web", urgency=Urgency.CRITICAL)], [Happening.WORSENED]),
        ([member("web")], [member("web")], []),
    ],
)
def test_what_alerts_do_is_told_of(
    before: list[Member], now: list[Member], what: list[Happening]
) -> None:
    bank = member("bank")

    step = lifecycle.told(head(bank, *before), incident(bank, *now), seen(bank, *before), AT)

    assert happened(step) == what


def test_others_that_became_this_one_are_told_of_once() -> None:
    bank = member("bank")
    known = head(bank, merged_from=(OTHER,))
    third = IncidentId("INC-1700000000-3")

    step = lifecycle.told(known, incident(bank, merged_from=(OTHER, third)), seen(bank), AT)

    assert [(one.what, one.text) for one in step.entries] == [(Happening.TOOK_OVER, third)]


@pytest.mark.parametrize("known", [True, False])
def test_what_became_another_one_says_which(known: bool) -> None:
    gone = incident(status=IncidentStatus.MERGED, merged_into=OTHER)

    step = lifecycle.told(head(service="bank") if known else None, gone, {}, AT)

    assert (step.head.status, step.head.merged_into) == (IncidentStatus.MERGED, OTHER)
    assert (step.head.n_members, step.head.resolved_ns) == (0, AT.now_ns)
    assert step.head.service == ("bank" if known else "")
    assert happened(step) == [Happening.MERGED]


@pytest.mark.parametrize(
    "status", [IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED, IncidentStatus.MITIGATING]
)
def test_it_is_resolved_when_all_ended_and_again_what_it_was(status: IncidentStatus) -> None:
    over = member("bank", ended_ns=AT.now_ns)
    again = member("bank", n_firings=2)
    known = head(status=status, snoozed_until_ns=AT.now_ns + S)

    resolved = lifecycle.told(known, incident(over), seen(member("bank")), AT)
    reopened = lifecycle.told(resolved.head, incident(again), seen(over), At(9, AT.now_ns + S))

    assert resolved.head.status is IncidentStatus.RESOLVED
    assert resolved.head.snoozed_until_ns is None
    assert happened(resolved)[-1] is Happening.RESOLVED
    assert reopened.head.status is status
    assert reopened.head.decided == reopened.head.version
    assert happened(reopened) == [Happening.FIRED_AGAIN, Happening.REOPENED]


def test_what_is_closed_is_not_resolved_once_more() -> None:
    over = member("bank", ended_ns=AT.now_ns)

    step = lifecycle.told(
        head(status=IncidentStatus.CLOSED, resolved_ns=5), incident(over), seen(member("bank")), AT
    )

    assert (step.head.status, step.head.resolved_ns) == (IncidentStatus.CLOSED, 5)
    assert happened(step) == [Happening.ENDED]


def test_what_goes_on_without_news_opens_nothing() -> None:
    bank = member("bank")
    known = head(status=IncidentStatus.RESOLVED, resolved_ns=5)

    step = lifecycle.told(known, incident(bank, member("web", ended_ns=9)), seen(bank), AT)

    assert step.head.status is IncidentStatus.RESOLVED


def test_a_snooze_that_is_not_over_goes_on() -> None:
    assert lifecycle.snooze_over(head(), AT) is None
    assert lifecycle.snooze_over(head(snoozed_until_ns=AT.now_ns + 1), AT) is None
    assert lifecycle.snooze_over(head(snoozed_until_ns=AT.now_ns), AT) is not None


@pytest.mark.parametrize(
    ("verb", "status", "said"),
    [
        (Verb.CLOSE, "open", "is open; resolve it before you close it"),
        (Verb.CLOSE, "mitigating", "resolve it before you close it"),
        (Verb.ACKNOWLEDGE, "resolved", "is resolved; reopen it before you acknowledge it"),
        (Verb.SNOOZE, "closed", "is closed; reopen it before you snooze it"),
        (Verb.SPLIT, "resolved", "reopen it before you split it"),
        (Verb.RESOLVE, "closed", "is closed already; reopen it if it is not over"),
        (Verb.COMMENT, "merged", f"is part of {OTHER} now; comment that one"),
        (Verb.REOPEN, "merged", f"is part of {OTHER} now; reopen that one"),
    ],
)
def test_a_refusal_names_the_incident_its_state_and_the_remedy(
    verb: Verb, status: str, said: str
) -> None:
    known = head(status=IncidentStatus(status), merged_into=OTHER)

    refusal = lifecycle.handled(known, handling(NAME, verb), AT)

    assert isinstance(refusal, Refusal)
    assert refusal.why.startswith(f"incident {NAME}: ")
    assert said in refusal.why
    assert not refusal.is_overtaken


@pytest.mark.parametrize(
    ("expected", "is_overtaken"), [(2, True), (3, False), (4, False), (5, False), (6, True)]
)
def test_what_was_seen_must_not_be_older_than_the_last_decision(
    expected: int, is_overtaken: bool
) -> None:
    known = head(version=5, decided=3)

    step = lifecycle.handled(known, handling(NAME, Verb.ACKNOWLEDGE, expected=expected), AT)

    assert isinstance(step, Refusal) is is_overtaken
    if isinstance(step, Refusal):
        assert step.is_overtaken
        assert f"version {expected}, it is open at version 5 now" in step.why


@pytest.mark.parametrize(
    ("asked", "what", "text"),
    [
        (handling(NAME, Verb.ASSIGN, assignee="bob"), Happening.ASSIGNED, "bob"),
        (handling(NAME, Verb.COMMENT, text="hm"), Happening.COMMENTED, "hm"),
        (handling(NAME, Verb.COMMENT, text="y" * 5000), Happening.COMMENTED, "y" * 4000),
        (handling(NAME, Verb.MERGE, into=OTHER), Happening.MERGED, OTHER),
        (handling(NAME, Verb.SPLIT, complaints=("a", "b")), Happening.SPLIT, "a, b"),
        (handling(NAME, Verb.UNLINK, complaints=("a",), text="no"), Happening.UNLINKED, "no"),
        (handling(NAME, Verb.RESOLVE, text="done"), Happening.RESOLVED, "done"),
    ],
)
def test_what_somebody_did_is_told_with_who_and_what(
    asked: Handling, what: Happening, text: str
) -> None:
    step = lifecycle.handled(head(), asked, AT)

    assert isinstance(step, Step)
    (entry,) = step.entries
    assert (entry.what, entry.text, entry.by) == (what, text, "ann")
    assert (entry.id, entry.time_ns, entry.position) == (asked.id, asked.time_ns, 7)


def test_what_is_nobodys_again_says_so() -> None:
    step = lifecycle.handled(head(assignee="bob"), handling(NAME, Verb.ASSIGN), AT)

    assert isinstance(step, Step)
    assert step.head.assignee == ""
    assert step.entries[0].text == "nobody"


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        (head(assignee="bob"), handling(NAME, Verb.ASSIGN, assignee="bob")),
        (head(), handling(NAME, Verb.ASSIGN)),
        (head(), handling(NAME, Verb.SNOOZE)),
        (head(), handling(NAME, Verb.REOPEN)),
        (
            head(status=IncidentStatus.MITIGATING),
            handling(NAME, Verb.ACKNOWLEDGE),
        ),
    ],
)
def test_what_is_so_already_needs_no_step(known: IncidentHead, asked: Handling) -> None:
    assert lifecycle.handled(known, asked, AT) is None
