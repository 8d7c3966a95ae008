"""What is found in lines of a service: new, rare, stopped, faster, strange; and when nothing is."""

from __future__ import annotations

import functools
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tests.line_watching import (
    ERROR,
    FATAL,
    INFO,
    MINUTE,
    WARN,
    Story,
    Told,
    Watched,
    fingerprint,
    lines_of,
)
from watchkeeper.analyze.log_episodes import Episodes, Strange
from watchkeeper.analyze.log_novelty import Novelty
from watchkeeper.analyze.template_runs import Runs
from watchkeeper.model.change import Change
from watchkeeper.model.row import texts
from watchkeeper.model.series import DEFAULT_TENANT, Entity

HOUR_S = 3600.0
USUAL = {"user 7 came": 30, "user 7 left": 20, "job 5 of the night is done": 3}
NEW = "no room left on device 9"


@functools.cache
def _a_day_and_more() -> tuple[bytes, bytes, int]:
    """What it teaches."""
    story = Story()
    calm(story, 1480)
    assert story.said == []
    return story.dump()


def learned() -> Story:
    story = Story()
    story.load(*_a_day_and_more())
    return story


def calm(story: Story, n: int) -> list[Told]:
    """The same as ever, with counts that are not all alike."""
    return [
        one
        for minute in range(n)
        for one in story.minute({line: k + minute % 3 for line, k in USUAL.items()})
    ]


def of(detector: str, told: list[Told]) -> list[Told]:
    return [one for one in told if one.detector == detector]


@pytest.mark.parametrize(("severity", "said"), [(ERROR, "evidence"), (INFO, "info")])
def test_a_new_template_is_told_after_a_day_by_how_grave_it_is(severity: int, said: str) -> None:
    story = learned()

    story.lines(NEW, severity=severity)
    told = calm(story, 2)

    assert told == [Told("opened", "log_new", "no room left on device <*>", said)]


def test_a_finding_names_its_template_so_that_its_lines_can_be_found() -> None:
    story = learned()

    story.lines(NEW, severity=ERROR)
    calm(story, 2)

    (one,) = story.said
    assert one.entity.service == one.labels["service"] == "shop"
    assert story.groups.fingerprints(int(one.labels["template"], 16)) == {fingerprint(NEW)}
    assert one.evidence == {"lines": 1.0, "severity": float(ERROR)}


def test_nothing_is_new_while_a_service_is_learned() -> None:
    story = Story(learning_s=HOUR_S)
    calm(story, 30)

    story.lines(NEW, severity=FATAL)

    assert calm(story, 3) == []


def test_new_templates_of_an_hour_are_told_once_and_a_graver_one_once_more() -> None:
    story = learned()

    for line, severity in (
        ("a first word came", INFO),
        ("and another thing", WARN),
        (NEW, ERROR),
        ("no inode left in table 9", ERROR),
    ):
        story.lines(line, severity=severity)
        calm(story, 2)

    assert [(one.labels["pattern"], one.severity.value) for one in story.said] == [
        ("a first word came", "info"),
        ("no room left on device <*>", "evidence"),
    ]


def test_a_new_template_is_over_after_an_hour() -> None:
    story = learned()
    story.lines(NEW, severity=ERROR)

    told = calm(story, 64)

    assert [one.change for one in told] == ["opened", "closed"]


def test_what_is_new_after_a_deployment_is_learned_and_not_told() -> None:
    story = learned()
    story.service.change()

    story.lines("welcome to version 2", severity=ERROR)
    soon = calm(story, 45)
    story.lines("welcome to version 2", severity=ERROR)
    later = calm(story, 3)

    assert (soon, later) == ([], [])


def test_words_that_turn_out_to_be_values_within_the_minute_are_one_new_template() -> None:
    story = learned()

    for name in ("ann", "bob", "cyd", "dan", "eve"):
        story.lines(f"plugin {name} could not start")
    told = calm(story, 2)

    assert [one.pattern for one in told] == ["plugin <*> could not start"]


def test_a_service_that_says_new_things_every_hour_is_no_news() -> None:
    novelty = Novelty()
    likely = 0.0

    for hour in range(200):
        novelty.pass_to(hour * 60 * MINUTE)
        likely = novelty.meet(ERROR, hour * 60 * MINUTE)

    assert likely > 0.5


@pytest.mark.parametrize(
    ("severity", "n_hours"), [(FATAL, 8), (ERROR, 24), (WARN, 90), (INFO, 470)]
)
def test_the_graver_the_sooner_something_new_is_unlikely(severity: int, n_hours: int) -> None:
    novelty = Novelty()
    novelty.pass_to(0)

    novelty.pass_to((n_hours + 1) * 60 * MINUTE)

    assert novelty.meet(severity, n_hours * 60 * MINUTE) <= 0.5 / 168


def test_a_template_that_was_hardly_ever_seen_is_shown_and_no_more() -> None:
    story = Story(learning_s=0.0, rare=4.0)
    story.minutes(2, USUAL)
    story.lines("a rare word")
    story.minutes(2, USUAL)
    story.now_ns += 26 * 60 * MINUTE
    story.minutes(2, USUAL)

    story.lines("a rare word", severity=FATAL)
    told = of("log_rare", story.minutes(2, USUAL))

    assert told == [Told("opened", "log_rare", "a rare word", "info")]


def test_a_rate_that_multiplies_is_evidence_and_ends_when_it_is_as_before() -> None:
    story = learned()

    told = story.minutes(5, USUAL | {"user 7 came": 3000})
    told += calm(story, 30)

    mine = [one for one in told if one.pattern == "user <*> came"]
    assert mine[0].change == "opened"
    assert "evidence" in {one.severity for one in mine}
    assert mine[-1].change == "closed"
    peak = max(one.value for one in story.said if "pattern" in one.labels)
    assert peak == pytest.approx(3000)


def test_a_rate_that_is_off_by_a_few_lines_is_not_told() -> None:
    story = learned()

    told = story.minutes(10, USUAL | {"job 5 of the night is done": 11})

    assert of("log_rate", told) == []


def test_a_rush_of_errors_is_told_of_the_service_whatever_they_say() -> None:
    story = learned()
    story.service.change()  # or they were new, too

    told = []
    for _ in range(5):
        for number in range(40):
            story.lines(f"cannot {'x' * number} reach {'y' * number} it", 3, severity=ERROR)
        told += calm(story, 1)
    told += calm(story, 30)

    mine = of("log_errors", told)
    assert mine[0].change == "opened"
    assert "evidence" in {one.severity for one in mine}
    assert mine[-1].change == "closed"
    assert {one.pattern for one in mine} == {""}


def test_fewer_errors_than_usual_are_no_finding() -> None:
    story = Story()
    for minute in range(1480):
        story.lines("cannot reach it", 20 + minute % 3, severity=ERROR)
        calm(story, 1)

    told = calm(story, 30)

    assert of("log_errors", told) == []
    assert of("log_stopped", told) != []


def test_errors_of_a_batch_are_counted_as_errors() -> None:
    lines = lines_of(["a 1", "a 2", "b 1"], MINUTE)

    runs = Runs(replace(lines, severity=np.array([ERROR, INFO, FATAL], np.uint8)))

    assert [(one.n_lines, one.n_errors, one.severity) for one in runs.of(0)] == [
        (2, 1, ERROR),
        (1, 1, FATAL),
    ]


def test_lines_that_stop_are_told_once_and_over_when_they_come_again() -> None:
    story = learned()
    rest = {line: n for line, n in USUAL.items() if line != "user 7 left"}

    told = of("log_stopped", story.minutes(90, rest))
    back = calm(story, 3)

    assert {one.pattern for one in told} == {"user <*> left"}
    assert [one.change for one in told].count("opened") == 1
    assert "evidence" in {one.severity for one in told}
    assert len(told) <= 2
    assert Told("closed", "log_stopped", "user <*> left", "evidence") in back


def test_a_service_that_says_nothing_has_one_finding_and_not_one_for_each_template() -> None:
    story = learned()

    told = story.minutes(30, {})

    assert {one.pattern for one in of("log_stopped", told)} == {""}


def test_silence_while_the_process_itself_stood_still_says_nothing() -> None:
    story = learned()
    story.now_ns += 600 * MINUTE
    story.tick()

    told = calm(story, 5)

    assert of("log_stopped", told) == []


def test_lines_of_yesterday_are_no_rush_of_today() -> None:
    story = learned()

    story.lines("user 7 came", 5000, ago_ns=1000 * MINUTE)

    assert calm(story, 3) == []


def test_evidence_is_given_for_a_few_hours_of_a_week_and_no_more() -> None:
    hour_ns = 60 * MINUTE
    episodes = Episodes(DEFAULT_TENANT, Entity("shop"), hours_per_week=3)

    for hour in (0, 5, 5.5, 10, 15, 20, 180):
        strange = Strange("log_rate", round(hour * 10), {}, 9.0, 1.0, 2.0, 1e-9, True)
        episodes.see(strange, round(hour * hour_ns))

    said = [one.severity.value for _, one in episodes.said]
    assert said == ["evidence"] * 4 + ["info"] * 2 + ["evidence"]


def test_a_restart_changes_nothing_of_what_follows() -> None:
    story = learned()
    story.lines(NEW, severity=ERROR)
    other = story.restarted()

    mine = [calm(story, 3), story.minutes(4, {"user 7 came": 4000}), calm(story, 70)]
    its = [calm(other, 3), other.minutes(4, {"user 7 came": 4000}), calm(other, 70)]

    assert mine == its
    assert mine[0]
    assert story.dump() == other.dump()


def test_lines_of_minutes_that_are_not_over_wait_for_their_turn() -> None:
    story = Story(learning_s=0.0, again_s=1.0)
    story.minutes(3, USUAL)

    story.lines("late but in time", ago_ns=20 * 10**9)
    story.lines("far ahead of time", ago_ns=-90 * MINUTE)
    told = [one.pattern for one in story.minutes(4, USUAL) if one.change == "opened"]

    assert told == ["late but in time", "far ahead of time"]


def test_a_rush_of_strange_sessions_is_evidence_with_a_trace_of_them() -> None:
    story = Story(learning_s=0.0, sessions_to_learn=50, session_idle_s=30.0)
    story.minute({"begin of it": 1, "work at hand": 1, "end of it": 1})
    begin, work, end = map(fingerprint, ("begin of it", "work at hand", "end of it"))
    for number in range(1, 1001):
        runs = [(number, one, 1, (0, number)) for one in (begin, work, end)]
        story.service.sessions.take(runs, story.now_ns)
        if number % 5 == 0:
            story.minute({})

    for number in range(2001, 2009):
        runs = [(number, begin, 1, (0, number)), (number, work, 2, (0, number))]
        story.service.sessions.take(runs, story.now_ns)
    told = story.minutes(2, {})

    (one,) = of("log_session", told)
    assert (one.change, one.severity) == ("opened", "evidence")
    (said,) = [one for one in story.said if "trace_id" in one.labels]
    assert int(said.labels["trace_id"], 16) == 2001
    assert (said.value, said.evidence["sessions"]) == (8.0, 8.0)


def test_how_lines_are_batched_does_not_matter() -> None:
    whole, parts = Watched(), Watched()
    lines = ["user 7 came", "user 7 left", "job done", "user 8 came"] * 5
    traces = list(range(1, 21))
    for one in (whole, parts):
        one.take(lines_of(["begin"], one.now_ns))
        one.minutes(2)

    whole.take(lines_of(lines, whole.now_ns, traces=traces))
    for at in range(20):
        cut = slice(at, at + 1)
        parts.take(lines_of(lines[cut], parts.now_ns + at, traces=traces[cut]))

    assert whole.watch.dump(3) == parts.watch.dump(3)
    assert whole.minutes(3) == parts.minutes(3)
    assert whole.watch.dump(3) == parts.watch.dump(3)


@pytest.mark.parametrize(("service", "n_told"), [("shop", 0), ("bank", 1)])
def test_a_deployment_hides_what_is_new_in_its_own_service_alone(service: str, n_told: int) -> None:
    watched = Watched(learning_s=0.0)
    watched.take(lines_of(["begin"], watched.now_ns))
    watched.minutes(2)

    watched.watch.change(Change("1", "deployment", watched.now_ns, service, entity=Entity(service)))
    watched.take(lines_of([NEW], watched.now_ns, ERROR))

    assert len(watched.minutes(2)) == n_told


def test_sessions_have_the_names_that_attributes_give_them() -> None:
    watched = Watched(learning_s=0.0, session_keys=["session.id"])
    watched.take(lines_of(["begin"], watched.now_ns))
    watched.minutes(2)
    named = [b'{"session.id":"a"}', b'{"session.id":"a"}', b'{"other":"a"}', b""]

    lines = lines_of(["user 7 came", "user 7 left", "user 7 came", "user 7 left"], watched.now_ns)
    watched.take(replace(lines, attributes=texts(named)))

    assert [one.counts for one in watched.open_sessions()] == [
        {fingerprint("user 7 came"): 1, fingerprint("user 7 left"): 1}
    ]


def test_services_that_are_forgotten_are_not_watched_any_more() -> None:
    watched = Watched()
    watched.take(lines_of(["begin"], watched.now_ns))
    watched.minutes(2)
    before = watched.watch.dump(3)

    watched.now_ns += 15 * 24 * 60 * MINUTE
    watched.minutes(2)

    assert before != Watched().watch.dump(3) == watched.watch.dump(3)


def test_a_partition_that_another_process_has_is_forgotten() -> None:
    watched = Watched()
    watched.take(lines_of(["begin"], watched.now_ns))

    watched.watch.load(3, b"")

    assert watched.watch.dump(3) == Watched().watch.dump(3)


def test_a_checkpoint_of_another_version_is_no_use() -> None:
    watched = Watched()
    watched.take(lines_of(["begin"], watched.now_ns))
    _, rest = msgspec.msgpack.decode(watched.watch.dump(3))

    watched.watch.load(3, msgspec.msgpack.encode((-1, rest)))

    assert watched.watch.dump(3) == Watched().watch.dump(3)


def test_where_it_is_switched_off_nothing_is_kept() -> None:
    watched = Watched(enabled=False)

    watched.take(lines_of(["begin"], watched.now_ns))

    assert watched.watch.dump(3) == Watched().watch.dump(3)
