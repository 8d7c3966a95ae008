"""What the demo says as it goes, and what it says in the end."""

from __future__ import annotations

import pytest

from tests.evaluating import BEGIN_S, Hurry, page
from watchkeeper.cli.demo.narration import WIDTH, Narrator, card
from watchkeeper.cli.demo.verdict import Finding, Sense, Verdict
from watchkeeper.cli.output import Output
from watchkeeper.evaluate.scenarios import Scenario, Truth


def test_each_line_has_its_time_and_fits_a_hundred_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pace = Hurry()
    narrator = Narrator(Output(as_json=False), pace)

    pace.sleep(12.34)
    narrator.say("words " * 40)
    narrator.begin(pace.now_s() + 1)
    narrator.say("breaking")
    pace.sleep(100)
    narrator.page(page(5.0, explanation="errors\x1b[31m of payment"))
    narrator.add("more")

    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= WIDTH
    stamps = [line[:14].strip() for line in lines]
    assert [one for one in stamps if one] == ["12.3 s", "fault -1.0 s", "fault +99.0 s"]
    assert lines[-3].endswith(" PAGE   payment: errors")
    assert "errors\\u001b[31m of payment" in lines[-2]


@pytest.mark.parametrize(
    ("findings", "is_true", "title", "row"),
    [
        ((), False, "what it found is not true", "found        nothing that pages"),
        (
            (Finding(page(110.0), 8.0, Sense.CULPRIT),),
            True,
            "what it found is true",
            "found        payment, errors, after 8.0 s: it is the one that was broken",
        ),
        (
            (Finding(page(50.0), 0.0, Sense.BEFORE),),
            False,
            "what it found is not true",
            "found        payment, errors: nothing was broken yet",
        ),
    ],
)
def test_the_card_says_what_was_done_what_was_found_and_what_to_think_of_it(
    findings: tuple[Finding, ...],
    is_true: bool,
    title: str,
    row: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scenario = Scenario(name="x", says="payment breaks", truth=Truth("payment", "file"))
    narrator = Narrator(Output(as_json=False), Hurry(BEGIN_S))

    narrator.output.print(card(scenario, Verdict(findings, is_true, "in short"), "▁▁█"))

    out = capsys.readouterr().out
    assert title in out.splitlines()[0]
    said = ["the truth    payment breaks", "whose fault  payment (file)", row,
            "so           in short", "its course   ▁▁█"]  # fmt: skip
    assert [part in out for part in said] == [True] * len(said)
