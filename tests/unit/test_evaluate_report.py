"""What is kept of runs: JSON that merges, a page and pictures that can be read."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import msgspec
import pytest

from tests.evaluating import attempt, calm, page, run
from watchkeeper.errors import ConfigError
from watchkeeper.evaluate import pictures
from watchkeeper.evaluate.causes import EARLIEST, LARGEST
from watchkeeper.evaluate.figures import figures
from watchkeeper.evaluate.records import Outcome, Run
from watchkeeper.evaluate.report import as_json, lines, markdown, runs_of

SVG = "{http://www.w3.org/2000/svg}"


def some() -> Run:
    return run(
        attempt("slow payment", 100.0, causes={EARLIEST: ("gateway",), LARGEST: ("payment",)}),
        attempt("lost <cart>", 300.0, services=("cart",), kind="loss"),
        attempt("no netem", 500.0, outcome=Outcome.SKIPPED, reason="tc: no netem | here"),
        calm("deploy", 700.0),
        pages=[page(20.0), page(112.0), page(710.0, "user", explanation="slow | <b>user</b>")],
        left_out=("crash loop",),
    )


def drawn(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)


def said(picture: str) -> list[str]:
    return [one.text or "" for one in drawn(picture).iter(f"{SVG}text")]


def titles(picture: str) -> list[str]:
    return [one.text or "" for one in drawn(picture).iter(f"{SVG}title")]


def test_a_report_is_read_as_it_was_written() -> None:
    body = msgspec.json.encode(as_json([some()]))

    assert runs_of(body, "report.json") == (some(),)


def test_figures_of_a_merged_report_are_those_of_all_runs() -> None:
    earlier = runs_of(msgspec.json.encode(as_json([some()])), "report.json")

    told = as_json([*earlier, some()])

    assert told["figures"]["runs"] == 2
    assert told["figures"]["scenarios"] == 4
    assert told["figures"]["detected"] == 0.5
    assert told["figures"]["detected_bounds"] == figures([some(), some()]).detected.bounds


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "--merge: old.json is no report"),
        (b"\xff{}", "--merge: old.json is no report"),
        (b'{"format": 1, "runs": [{}]}', "missing required field `server`"),
        (b'{"format": 2, "runs": []}', "old.json has the format 2, and 1 is known"),
    ],
)
def test_what_is_no_report_is_told_with_the_remedy(body: bytes, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        runs_of(body, "old.json")

    assert fault in str(caught.value)


def test_every_figure_has_a_name_and_those_of_few_trials_their_bounds() -> None:
    told = {name: (value, bounds) for name, _, value, bounds in lines(figures([some()]))}

    bounded = {name for name, (_, bounds) in told.items() if bounds is not None}
    assert told["detect_p50_s"] == (10.0, None)
    assert told["memory_mib"][0] == pytest.approx(6e8 / 2**20)
    assert bounded == {
        "detected", "told", "false_per_hour", "stretches_paged",
        f"{EARLIEST}_top1", f"{EARLIEST}_top3", f"{LARGEST}_top1", f"{LARGEST}_top3",
    }  # fmt: skip


def test_the_page_tells_what_counted_and_what_did_not() -> None:
    text = markdown([some()], {"timeline-1.svg": "Run 1"})

    assert "| of these: detected, by a page | 0.5 | 0.0945 to 0.905 |" in text
    assert "| slow payment | delay | payment | 1 | 1 | 10.0 | 0 of 1 | 1 of 1 |" in text
    assert "| deploy | 1 | 1 |" in text
    assert r"| no netem | skipped | tc: no netem \| here |" in text
    assert "| crash loop | left out | no time in this run |" in text
    assert r"| user | slow \| <b>user</b> |" in text
    assert "![Run 1](timeline-1.svg)" in text


def test_a_page_of_a_run_without_a_fault_has_no_empty_tables() -> None:
    text = markdown([run(attempt())], {})

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Faults"]


def test_the_timeline_names_each_scenario_and_marks_false_pages_by_their_shape() -> None:
    picture = pictures.timeline(some())

    marks = [one.get("d", "") for one in drawn(picture).iter(f"{SVG}path")]
    assert {"slow payment", "lost <cart>", "no netem", "deploy", "61 min"} <= set(said(picture))
    assert [mark.endswith("z") for mark in marks] == [True, True, False]
    assert "user: slow | <b>user</b>" in titles(picture)
    assert "no netem: skipped, intensity 0.5" in titles(picture)


def test_detection_times_are_points_and_what_was_never_detected_says_so() -> None:
    picture = pictures.detection_times(figures([some(), some()]))

    dots = list(drawn(picture).iter(f"{SVG}circle"))
    assert len(dots) == 2
    assert titles(picture) == ["10.0 s", "10.0 s"]
    assert said(picture).count("never") == 2
    assert "deploy" not in said(picture)


def test_usage_is_drawn_from_its_least_to_its_most() -> None:
    picture = pictures.usage(some())

    assert said(picture) == ["CPU, cores", "0 to 0.2", "memory, MiB", "0 to 572"]


@pytest.mark.parametrize("one", [run(), run(usage=(), ended_s=1_700_000_000.0)])
def test_of_an_empty_run_empty_pictures_are_drawn(one: Run) -> None:
    for picture in (pictures.timeline(one), pictures.usage(one)):
        assert "nan" not in picture
        assert drawn(picture).tag == f"{SVG}svg"
    assert drawn(pictures.detection_times(figures([one]))).tag == f"{SVG}svg"
