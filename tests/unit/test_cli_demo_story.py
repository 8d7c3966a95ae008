"""The story of the demo: told as it happens, judged by the truth, mended whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from tests.evaluating import BEGIN_S, House, moment, page
from watchkeeper.cli.demo.narration import Narrator, failure
from watchkeeper.cli.demo.story import NotBroken, Parts, Story
from watchkeeper.cli.demo.symptom import expression
from watchkeeper.cli.demo.verdict import Deed, Sense, judge, reach, reverse
from watchkeeper.cli.output import Output
from watchkeeper.evaluate.commands_stage import Done, Interrupts, perform
from watchkeeper.evaluate.records import Found
from watchkeeper.evaluate.scenarios import Scenario, Truth, words
from watchkeeper.sdk import FoundSpan

CALLS = {
    "gateway": frozenset({"checkout", "cart"}),
    "checkout": frozenset({"payment", "shipping"}),
    "payment": frozenset({"postgresql/shop", "address"}),
    "cart": frozenset({"user"}),
}


def deed(*services: str, **other: Any) -> Deed:
    scenario = Scenario(name="broken", truth=Truth(services, "x"), fault_free=False, start="x")
    made: dict[str, Any] = {"scenario": scenario, "began_s": BEGIN_S + 100,
                            "started_s": BEGIN_S + 102, "is_felt": True}  # fmt: skip
    return Deed(**{**made, **other})


CALM = Scenario(name="calm", fault_free=True)


@pytest.mark.parametrize(
    ("broken", "paged", "metric", "sense"),
    [
        (("payment",), "payment", "errors", Sense.CULPRIT),
        (("payment",), "checkout", "errors", Sense.CALLER),
        (("payment",), "gateway", "latency", Sense.CALLER),
        (("payment",), "shipping", "traffic", Sense.ASKED),
        (("payment",), "user", "traffic", Sense.ASKED),
        (("payment",), "shipping", "errors", Sense.UNRELATED),
        (("payment",), "user", "latency", Sense.UNRELATED),
        (("postgresql",), "payment", "latency", Sense.CALLER),
        (("postgresql",), "cart", "latency", Sense.UNRELATED),
        (("cart", "payment"), "cart", "errors", Sense.CULPRIT),
        ((), "cart", "latency", Sense.ANYBODY),
        (("bank",), "payment", "errors", Sense.ANYBODY),
    ],
)
def test_a_page_is_held_against_what_was_broken_and_who_asks_whom(
    broken: Sequence[str], paged: str, metric: str, sense: Sense
) -> None:
    found = judge(deed(*broken), [page(110.0, paged, metric=metric)], CALLS)

    assert [one.sense for one in found.findings] == [sense]
    assert found.findings[0].took_s == pytest.approx(8.0)
    assert found.is_true is sense.is_true


@pytest.mark.parametrize(
    ("done", "pages", "is_true", "says"),
    [
        (deed("payment"), [], False, "users felt it, and nothing paged"),
        (deed("payment"), [page(50.0)], False, "payment paged, and nothing was broken yet"),
        (deed("payment", is_felt=False), [page(110.0)], False, "nothing is proved: users felt no"),
        (
            deed("payment"),
            [page(110.0), page(111.0, "user")],
            False,
            "user paged, and it has nothing",
        ),
        (
            deed("payment"),
            [page(110.0, "checkout")],
            True,
            "the first page came after 8.0 s, though of those",
        ),
        (
            deed("payment"),
            [page(110.0, "gateway"), page(111.0)],
            True,
            "users felt it, and the first page came after 8.0 s",
        ),
        (deed(), [page(110.0, "cart")], True, "first page came after 8.0 s"),
        (deed(scenario=CALM), [], True, "nothing was wrong, and nothing paged"),
        (deed(scenario=CALM), [page(110.0)], False, "payment paged, and it has nothing"),
        (deed(scenario=CALM, is_felt=False), [], False, "nothing is proved: users felt it"),
    ],
)
def test_what_was_found_is_true_only_if_all_of_it_is(
    done: Deed, pages: Sequence[Found], is_true: bool, says: str
) -> None:
    found = judge(done, pages, CALLS)

    assert (found.is_true, says in found.says) == (is_true, True), found.says


def test_of_pages_that_come_at_once_whoever_is_to_blame_is_first() -> None:
    pages = [page(110.0, "gateway"), page(110.0, "payment"), page(109.0, "checkout")]
    pages.append(page(90.0, "user", paged_s=None, severity="evidence"))

    found = judge(deed("payment"), pages, CALLS)

    assert [one.page.service for one in found.findings] == ["checkout", "payment", "gateway"]


def test_whoever_asks_in_circles_is_come_to_once() -> None:
    circle = {"a": frozenset({"b"}), "b": frozenset({"a", "c"})}

    assert reach({"a"}, circle) == {"a", "b", "c"}
    assert reverse(circle) == {"a": {"b"}, "b": {"a"}, "c": {"b"}}


@pytest.mark.parametrize(
    ("metric", "part"),
    [
        ("errors", '{service="payment", http_response_status_code=~"5.."}[10s])) or vector(0)) / '),
        ("latency", "histogram_quantile(0.95, sum by (le) (rate("),
        ("traffic", 'sum(rate(http_server_request_duration_seconds_count{service="payment"}[10s]'),
        ("silence", ""),
    ],
)
def test_symptoms_are_measured_by_promql(metric: str, part: str) -> None:
    asked = expression(page(1.0, metric=metric))

    assert part in asked
    assert bool(asked) is bool(part)


def span(service: str, at_s: float, **other: Any) -> FoundSpan:
    made: dict[str, Any] = {"name": "POST /pay", "start": moment(at_s), "duration_ms": 1.0,
                            "service": service, "kind": "server", "status": "error"}  # fmt: skip
    return FoundSpan(**{**made, **other})


def test_a_trace_that_failed_is_told_from_who_was_asked_to_where_it_began() -> None:
    spans = [
        span("payment", 3.0, message="RuntimeError: no"),
        span("checkout", 1.0, message="502"),
        span("checkout", 2.0, kind="client"),
        span("cart", 2.5, status="ok"),
    ]

    assert failure(spans) == "checkout POST /pay > payment POST /pay: RuntimeError: no"
    assert failure(spans[2:]) == ""


@dataclass
class Observed(House):
    """... whose requests and calls are told besides."""

    errors: list[float] = field(default_factory=lambda: [0.5, 0.0])

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path, asked = request.url.path, str(parse_qs(request.content.decode()).get("query"))
        if path == "/prometheus/api/v1/query_range":
            points = [[BEGIN_S + second, str(float(second > 2))] for second in range(5)]
            return matrix("matrix", {"metric": {}, "values": points})
        if path == "/prometheus/api/v1/query" and "edge_" in asked:
            edge = {"client": "checkout", "server": "payment"}
            return matrix("vector", {"metric": edge, "value": [BEGIN_S, "7"]})
        if path == "/prometheus/api/v1/query":
            value = self.errors.pop(0) if len(self.errors) > 1 else self.errors[0]
            return matrix("vector", {"metric": {}, "value": [BEGIN_S, str(value)]})
        if path.startswith("/api/v1/anomalies/") and path.endswith("/traces"):
            return httpx.Response(200, json={"items": []})
        if path.startswith("/api/v1/anomalies/"):
            return httpx.Response(200, json=next(iter(self.told.values())))
        return super()._answer(request)


def matrix(kind: str, *rows: dict[str, Any]) -> httpx.Response:
    data = {"resultType": kind, "result": list(rows)}
    return httpx.Response(200, json={"status": "success", "data": data})


@dataclass
class Grounds:
    """A shop that is broken by a file."""

    home: Path

    def command(self, scenario: Scenario, verb: str, intensity: float) -> tuple[str, ...]:
        return words(getattr(scenario, verb), intensity, str(self.home))

    def perform(self, command: Sequence[str], meanwhile: Callable[[], None]) -> Done:
        return perform(command, meanwhile)


def story(house: House, scenario: Scenario, *, as_json: bool = False) -> Story:
    narrator = Narrator(Output(as_json=as_json), house.pace)
    parts = Parts(house.client(), Grounds(house.folder), house.pace, Interrupts(), narrator)
    return Story(parts, scenario)


Said = pytest.CaptureFixture[str]


def test_something_is_broken_told_mended_and_over(tmp_path: Path, capsys: Said) -> None:
    house = Observed(tmp_path)
    one = story(house, house.scenario(says="payment breaks"))

    one.settle(BEGIN_S + 5)
    found = one.tell()

    out, err = capsys.readouterr()
    assert found.is_true
    said = ["steady", "breaking it: payment breaks", "it is done", "users feel it",
            "PAGE   payment: errors", "mended", "payment is as before: errors 0"]  # fmt: skip
    assert [err.count(part) for part in said] == [1] * len(said)
    assert sorted(said, key=err.index) == said
    assert "payment, errors, after 1" in out
    assert "▁▁▁██" in out
    assert not house.file.exists()


def test_programs_are_told_nothing_on_the_way(tmp_path: Path, capsys: Said) -> None:
    house = Observed(tmp_path)

    found = story(house, house.scenario(), as_json=True).tell()

    assert found.is_true
    assert capsys.readouterr() == ("", "")


def test_what_users_do_not_feel_proves_nothing(tmp_path: Path) -> None:
    house = Observed(tmp_path)

    found = story(house, house.scenario(check="false", hold_s=8)).tell()

    assert found.says == "nothing is proved: users felt nothing of it"


def test_calm_is_looked_at_for_its_time(tmp_path: Path) -> None:
    house = Observed(tmp_path)
    calm = house.scenario(start="", stop="", check="true", fault_free=True, hold_s=30)

    found = story(house, calm).tell()

    assert found.is_true
    assert house.pace.at_s >= BEGIN_S + 30


@pytest.mark.parametrize(
    ("start", "why"),
    [
        ("sh -c 'echo breaks: this needs PostgreSQL >&2; exit 3'", "choose another --scenario"),
        ("sh -c 'touch {home}/broken; exit 1'", "broken could not begin: 1"),
    ],
)
def test_what_cannot_be_broken_is_no_story_and_nothing_is_left(
    start: str, why: str, tmp_path: Path
) -> None:
    house = Observed(tmp_path)

    with pytest.raises(NotBroken, match=why):
        story(house, house.scenario(start=start)).tell()

    assert not house.file.exists()


def test_who_interrupts_leaves_nothing_broken(tmp_path: Path, capsys: Said) -> None:
    house = Observed(tmp_path)
    one = story(house, house.scenario())

    def interrupt(_: float) -> None:
        if house.file.exists():
            raise KeyboardInterrupt

    house.pace.passing = interrupt

    with pytest.raises(KeyboardInterrupt):
        one.tell()

    assert not house.file.exists()
    assert "mended" in capsys.readouterr().err


def test_what_cannot_be_mended_is_said(tmp_path: Path, capsys: Said) -> None:
    house = Observed(tmp_path)

    story(house, house.scenario(stop="sh -c 'echo still held >&2; exit 1'")).tell()

    assert "it could not be mended: still held" in capsys.readouterr().err


def test_whoever_stays_is_told_of_what_comes_and_of_what_is_over(
    tmp_path: Path, capsys: Said
) -> None:
    house = Observed(tmp_path)
    one = story(house, house.scenario())
    house.raise_page(BEGIN_S)

    def pass_by(now_s: float) -> None:
        if now_s > BEGIN_S + 10:
            raise KeyboardInterrupt
        if now_s > BEGIN_S + 5:
            house.told.clear()

    house.pace.passing = pass_by

    with pytest.raises(KeyboardInterrupt):
        one.stay()

    err = capsys.readouterr().err
    assert err.index("PAGE   payment: errors") < err.index("over: payment: errors")


def test_an_error_rate_that_stays_is_not_over(tmp_path: Path, capsys: Said) -> None:
    house = Observed(tmp_path, errors=[0.5])

    story(house, house.scenario()).tell()

    assert "payment is not as before yet" in capsys.readouterr().err
