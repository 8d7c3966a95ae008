"""A run over a system that is broken by a file: what is done, what is left, who is heard."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.evaluating import BEGIN_S, House, failing_answers, moment
from watchkeeper.errors import BadInput
from watchkeeper.evaluate.causes import EARLIEST, LARGEST
from watchkeeper.evaluate.commands_stage import Done, Interrupts, perform
from watchkeeper.evaluate.figures import figures
from watchkeeper.evaluate.matching import judge
from watchkeeper.evaluate.records import Outcome, Run
from watchkeeper.evaluate.scenarios import Truth
from watchkeeper.evaluate.watch_stage import deviation
from watchkeeper.sdk import Anomaly, Expected


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def outcomes(run: Run) -> list[tuple[str, str]]:
    return [(one.outcome, one.reason) for one in run.attempts]


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def test_a_fault_is_broken_felt_told_and_mended(house: House) -> None:
    run = house.course(house.scenario(hold_s=30.0)).run(1)

    (done,) = run.attempts
    (match,) = judge(run).matches
    assert outcomes(run) == [("manifested", "")]
    assert (done.begun_s, done.started_s) == (BEGIN_S + 30, BEGIN_S + 30)
    assert (done.stopped_s, done.ended_s) == (BEGIN_S + 60, BEGIN_S + 120)
    assert match.took_s == 11.0
    assert done.causes == {EARLIEST: (), LARGEST: ("payment",)}
    assert not house.file.exists()


def test_what_is_told_on_the_way_names_the_scenario_and_the_page(house: House) -> None:
    house.course(house.scenario(hold_s=30.0)).run(1)

    assert house.said == [
        "run 1: 1 of 1 scenarios have time, in 2 minutes at least",
        "run 1: warming up for 30 s",
        "1 of 1: broken, intensity 1",
        "page of payment: errors",
        "  manifested",
    ]


def test_a_fault_that_users_feel_late_is_held_to_its_end_all_the_same(house: House) -> None:
    late = house.scenario(hold_s=20.0, check="test -e {home}/felt")
    house.pace.passing = lambda now_s: (
        (house.folder / "felt").touch() if now_s > BEGIN_S + 40 else None
    )

    (done,) = house.course(late).run(1).attempts

    assert done.manifested_s == BEGIN_S + 42
    assert done.stopped_s == BEGIN_S + 50


def test_a_fault_that_nobody_feels_is_told_as_such_and_mended(house: House) -> None:
    run = house.course(house.scenario(hold_s=5.0, check="test -e {home}/never")).run(1)

    assert outcomes(run) == [("unfelt", "")]
    assert run.attempts[0].stopped_s == BEGIN_S + 35
    assert not house.file.exists()
    assert judge(run).matches == ()


@pytest.mark.parametrize(
    ("command", "outcome"),
    [("start", Outcome.SKIPPED), ("check", Outcome.SKIPPED), ("start", Outcome.FAILED)],
)
def test_what_cannot_be_done_here_is_told_with_its_reason_and_mended(
    house: House, command: str, outcome: Outcome
) -> None:
    status = 3 if outcome is Outcome.SKIPPED else 4
    script = house.folder / "break"
    script.write_text(f"#!/bin/sh\ntouch '{house.file}'\necho no tc here >&2\nexit {status}\n")
    script.chmod(0o755)

    run = house.course(house.scenario(**{command: str(script)})).run(1)

    assert outcomes(run) == [(outcome, "no tc here")]
    assert not house.file.exists()


def test_a_program_that_is_not_there_is_named(house: House) -> None:
    run = house.course(house.scenario(start="no-such-program --now")).run(1)

    assert outcomes(run) == [
        ("failed", "no-such-program: No such file or directory; name a program that is there")
    ]


def test_what_cannot_be_mended_ends_the_run_and_is_told(house: House) -> None:
    run = house.course(house.scenario("a", stop="false"), house.scenario("b", stop="false")).run(1)

    assert len(run.attempts) == len(run.left_out) == 1
    assert run.interrupted
    assert any(
        f"`stop` of {run.attempts[0].scenario} failed: 1; the run ends here" in said
        for said in house.said
    )


def test_a_stretch_without_a_fault_needs_no_commands(house: House) -> None:
    house.pace.passing = lambda now_s: house.raise_page(now_s) if now_s == BEGIN_S + 40 else None

    run = house.course(
        house.scenario(fault_free=True, truth=Truth(), start="", check="", stop="")
    ).run(1)

    (stretch,) = judge(run).stretches
    assert len(stretch.pages) == len(judge(run).false) == 1
    assert stretch.attempt.causes == {}


def test_all_are_done_once_in_the_order_of_the_seed_and_none_for_which_there_is_no_time(
    house: House,
) -> None:
    listed = [house.scenario(name, hold_s=10.0) for name in "abcde"]

    run = house.course(*listed, longest_s=170.0, cool_down_s=40.0).run(1)
    again = house.course(*listed, longest_s=170.0, cool_down_s=40.0).run(2, run.left_out)

    assert len(run.attempts) == 3
    assert sorted([*(one.scenario for one in run.attempts), *run.left_out]) == [*"abcde"]
    assert {one.scenario for one in again.attempts[:2]} == set(run.left_out)


def test_a_page_that_comes_in_the_grace_still_counts(house: House) -> None:
    slow = house.scenario(hold_s=2.0)
    house.pace.passing = lambda now_s: (
        house.raise_page(now_s) if now_s == BEGIN_S + 30 + 2 + 45 else None
    )

    run = house.course(slow).run(1)

    assert judge(run).matches[0].took_s == 47.0


def test_a_server_that_is_away_is_asked_again_and_that_is_told(house: House) -> None:
    house.answers = False
    house.pace.passing = lambda now_s: setattr(house, "answers", now_s > BEGIN_S + 60)

    run = house.course(house.scenario(hold_s=60.0)).run(1)

    assert run.unheard > 0
    assert run.attempts[0].outcome is Outcome.MANIFESTED


def test_what_the_server_takes_is_read_while_it_is_evaluated(house: House) -> None:
    run = house.course(house.scenario(hold_s=30.0)).run(1)

    summary = figures([run])
    assert run.usage[0].at_s >= run.warmed_s
    assert summary.cpu_share == pytest.approx(0.25)
    assert summary.resident_bytes == 1e9


def test_traces_that_failed_are_looked_for_from_the_beginning_on(house: House) -> None:
    house.traces = failing_answers(BEGIN_S + 40, ["gateway", "payment"])

    (done,) = house.course(house.scenario(hold_s=30.0)).run(1).attempts

    assert done.causes[EARLIEST] == ("gateway", "payment")
    assert house.looked[:2] == [(BEGIN_S + 30, BEGIN_S + 30.5), (BEGIN_S + 30, BEGIN_S + 31)]


# Interruptions


@dataclass
class Interrupting:
    """Somebody presses Ctrl-C at a time."""

    house: House
    at_s: float

    def __call__(self, now_s: float) -> None:
        if now_s == BEGIN_S + self.at_s:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("at_s", "left"),
    [
        pytest.param(10, [], id="while warming up"),
        pytest.param(50, [Outcome.INTERRUPTED], id="while it is broken"),
        pytest.param(70, [Outcome.INTERRUPTED], id="while it recovers"),
    ],
)
def test_whoever_interrupts_leaves_nothing_broken_and_no_result(
    house: House, at_s: float, left: Sequence[Outcome]
) -> None:
    house.pace.passing = Interrupting(house, at_s)

    run = house.course(house.scenario(hold_s=30.0)).run(1)

    assert run.interrupted
    assert [one.outcome for one in run.attempts] == left
    assert not house.file.exists()
    assert (run.warmed_s, run.ended_s) == (
        BEGIN_S + min(at_s, 30), BEGIN_S + at_s,
    )  # fmt: skip


def test_an_error_in_the_course_leaves_nothing_broken_either(house: House) -> None:
    def refuse(now_s: float) -> None:
        if now_s == BEGIN_S + 50:
            raise BadInput("the key was revoked")

    house.pace.passing = refuse

    with pytest.raises(BadInput, match="the key was revoked"):
        house.course(house.scenario(hold_s=30.0)).run(1)

    assert not house.file.exists()


@pytest.mark.parametrize("one", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_stops_and_later_ones_are_not_heard(one: signal.Signals) -> None:
    interrupts = Interrupts()
    before = signal.getsignal(one)

    with interrupts.heard():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), one)
        os.kill(os.getpid(), one)

    assert interrupts.is_asked
    assert signal.getsignal(one) is before


def test_mending_is_finished_before_a_signal_is_answered() -> None:
    interrupts, mended = Interrupts(), []

    def mend() -> None:
        with interrupts.mending():
            os.kill(os.getpid(), signal.SIGINT)
            mended.append(True)

    with interrupts.heard(), pytest.raises(KeyboardInterrupt):
        mend()

    assert mended == [True]


# Commands


def test_a_command_tells_its_status_and_its_last_word() -> None:
    done = perform(python("import sys; print('one\\ntwo  \\n', file=sys.stderr); sys.exit(7)"), int)

    assert done == Done(7, "two")
    assert not done.is_well
    assert perform([], int) == Done(0)


def test_somebody_looks_on_while_a_command_runs_and_what_is_too_slow_is_killed() -> None:
    looks: list[int] = []

    done = perform(["sleep", "60"], lambda: looks.append(1), longest_s=0.05)

    assert done == Done(None, "sleep did not end within 0.05 s")
    assert looks


def test_what_a_command_leaves_in_the_background_keeps_nobody_waiting(tmp_path: Path) -> None:
    script = tmp_path / "start"
    script.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {tmp_path}/pid\n")
    script.chmod(0o755)

    done = perform([str(script)], int, longest_s=30.0)

    left = int((tmp_path / "pid").read_text())
    os.kill(left, signal.SIGKILL)  # raises if it were gone
    assert done.is_well


@pytest.mark.parametrize(
    ("value", "residual", "parts"),
    [(3.0, 2.0, 2.0), (0.0, -5.0, 1.0), (5.0, 5.0, 1e9), (0.0, 0.0, 0.0), (None, None, 0.0)],
)
def test_a_deviation_is_in_parts_of_what_was_expected(
    value: float | None, residual: float | None, parts: float
) -> None:
    anomaly = Anomaly("a", "t", "", "m", {}, "fk", "page", "open", moment(0.0), moment(0.0),
                      value, Expected(), 1e-3, residual=residual)  # fmt: skip

    assert deviation(anomaly) == parts
