"""Scenarios as a file lists them, and the order that chance makes of them."""

from __future__ import annotations

import sys

import pytest

from watchkeeper.errors import ConfigError
from watchkeeper.evaluate.plan import Step, expected_s, length_s, plan
from watchkeeper.evaluate.scenarios import Scenario, chosen, needs_home, read, words

FILE = """
scenarios:
  - name: slow payment
    truth: {service: payment, kind: delay}
    start: curl -X POST 'http://127.0.0.1:1/simulate/delay?duration={intensity}'
    check: test -e {home}/slow
    stop: curl -X DELETE http://127.0.0.1:1/simulate
    hold_s: 90
    intensity: [0.2, 0.8]
  - name: two at once
    truth: {service: [cart, user], kind: errors}
    start: break both
    stop: mend both
  - {name: nothing, fault_free: true}
"""
FAULTS = {
    "- {start: a, stop: b}": "scenarios[0]: Object missing required field `name`",
    "- {name: a, start: b}": "'a' has no `stop`; name what undoes its `start`",
    "- {name: a}": "'a' has no `start`; name one, or set `fault_free: true`",
    "- {name: a, fault_free: true, hold_s: 0}": "Expected `float` > 0.0 - at `$.hold_s`",
    "- {name: a, fault_free: true, intensity: [2, 1]}": "the lower comes first",
    "- {name: a, fault_free: true, typo: 1}": "unknown field `typo`",
    '- {name: a, fault_free: true, check: "a \'b"}': "No closing quotation; see to its quotes",
    "- {name: a, fault_free: true}\n- {name: a, fault_free: true}": "two scenarios are called 'a'",
    "[]": "no scenarios; list at least one",
}


def some(n: int) -> tuple[Scenario, ...]:
    return tuple(
        Scenario(name=f"s{number}", start="a", stop="b", intensity=(0.0, 1.0))
        for number in range(n)
    )


def test_a_file_of_scenarios_is_read_with_its_truth() -> None:
    slow, both, nothing = read(FILE, "shop.yaml")

    assert (slow.truth.services, slow.truth.kind, slow.hold_s) == (("payment",), "delay", 90.0)
    assert slow.intensity == (0.2, 0.8)
    assert both.truth.services == ("cart", "user")
    assert (nothing.truth.services, nothing.fault_free, nothing.hold_s) == ((), True, 60.0)


@pytest.mark.parametrize("listed", FAULTS)
def test_a_fault_of_a_file_is_told_with_its_place(listed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(f"scenarios:\n{listed}" if listed != "[]" else "scenarios: []", "shop.yaml")

    assert FAULTS[listed] in str(caught.value)
    assert str(caught.value).startswith("shop.yaml: ")


def test_every_fault_of_a_file_is_told_at_once() -> None:
    listed = "scenarios: [{name: a}, {name: b, start: c}, {}]"

    with pytest.raises(ConfigError) as caught:
        read(listed, "shop.yaml")

    assert len(caught.value.faults) == 3


@pytest.mark.parametrize("text", ["", "- a", "scenarios: 3", "{", "other: []"])
def test_what_is_no_list_of_scenarios_is_told_with_the_remedy(text: str) -> None:
    with pytest.raises(ConfigError, match=r"shop.yaml: .*write `scenarios: \[\{name: ...\}\]`"):
        read(text, "shop.yaml")


def test_a_command_is_split_without_a_shell_and_filled_in_word_by_word() -> None:
    said = words("break '{home}/a b' --intensity {intensity} $HOME; `id` {other}", 0.25, "/my shop")

    assert said == (
        "break", "/my shop/a b", "--intensity", "0.25", "$HOME;", "`id`", "{other}",
    )  # fmt: skip
    assert words("", 1.0, "") == ()


def test_a_command_may_name_the_interpreter_that_we_are() -> None:
    assert words("{python} -m shop.breaks", 1.0, "") == (sys.executable, "-m", "shop.breaks")


def test_the_folder_is_needed_only_where_a_command_names_it() -> None:
    slow, both, nothing = read(FILE, "shop.yaml")

    assert [needs_home([one]) for one in (slow, both, nothing)] == [True, False, False]


def test_scenarios_are_chosen_by_name_in_the_order_of_the_file() -> None:
    listed = read(FILE, "shop.yaml")

    assert [one.name for one in chosen(listed, ["nothing", "slow payment"])] == [
        "slow payment",
        "nothing",
    ]
    assert chosen(listed, []) == listed
    with pytest.raises(ConfigError, match="--only: no scenario 'slow'; known: nothing, slow pay"):
        chosen(listed, ["slow"])


def test_a_seed_tells_order_and_intensities_and_each_run_has_its_own() -> None:
    listed = some(20)

    first, again, second, other = (
        plan(listed, seed=seed, run=run) for seed, run in ((1, 1), (1, 1), (1, 2), (2, 1))
    )

    assert first == again
    assert len({tuple(one) for one in (first, second, other)}) == 3
    for steps in (first, second, other):
        assert sorted(step.scenario.name for step in steps) == sorted(one.name for one in listed)
        assert [step.scenario for step in steps] != list(listed)


def test_intensities_stay_within_their_bounds_and_are_spread_over_them() -> None:
    drawn = [
        step.intensity
        for number in range(1, 20)
        for step in plan(
            [Scenario(name="a", start="b", stop="c", intensity=(0.2, 0.6))], seed=3, run=number
        )
    ]

    assert 0.2 <= min(drawn) < 0.3
    assert 0.5 < max(drawn) <= 0.6


def test_what_had_no_time_comes_first_in_the_next_run() -> None:
    steps = plan(some(10), seed=1, run=2, first={"s3", "s7"})

    assert {step.scenario.name for step in steps[:2]} == {"s3", "s7"}
    assert len(steps) == 10


def test_a_step_takes_as_long_as_it_holds_and_recovers() -> None:
    (step,) = plan(some(1), seed=1, run=1)

    assert length_s(step, 45.0) == 105.0


def test_what_has_time_is_known_before_anything_is_broken() -> None:
    """A long one that has none keeps no shorter one from its turn."""
    short, long = (Scenario(name=f"{n}", start="a", stop="b", hold_s=n) for n in (30.0, 300.0))
    steps = [Step(one, 1.0) for one in (short, long, short, short)]

    assert expected_s(steps, 60.0, 250.0) == (180.0, 2)
    assert expected_s(steps, 60.0, 3_600.0) == (630.0, 4)
