"""What a real Prometheus answers, we answer: the same series, the same values, the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import peers
from bench.peers import Server
from tests.integration import prometheus_pair
from tests.integration.prometheus_pair import LENGTH_MS, Pair
from tests.integration.promql_questions import expressions

LIST = Path(__file__).parent / "testdata" / "promql.txt"
QUESTIONS = [
    line for line in LIST.read_text("utf-8").splitlines() if line and not line.startswith("#")
]
RANGES_S = [
    # start and length in shares of the samples' time, step in seconds
    (-0.02, 1.05, 113),
    (0.4, 0.1, 7.5),
    (0.1, 0.8, 1800),
]
START_MS = 1_760_000_003_217
"""Always the same, and so are the answers."""
SETTINGS = {
    "lake": {"head_rows": 20_000, "raw_retention_s": 1e9, "rollup_retention_s": 1e9},
    "ingest": {"admit": {"oldest_s": 1e9}},
}
INSTANTS = [0.31, 0.77]
MARKS = ("sorted: ", "instant: ")


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], Path]
) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with ExitStack() as stack:
        recipes = [
            prometheus_pair.prometheus(folder / "prometheus", program("prometheus")),
            peers.watchkeeper(folder / "watchkeeper", SETTINGS),
        ]
        servers = [
            stack.enter_context(Server(recipe, folder / recipe.name, core=None))
            for recipe in recipes
        ]
        theirs, ours = (server.wait_ready() for server in servers)
        series = prometheus_pair.fleet(START_MS)
        prometheus_pair.write(theirs.port, "/api/v1/write", series)
        prometheus_pair.write(ours.port, "/api/v1/write", series)
        yield Pair(theirs, ours, START_MS)


def expression(question: str, pair: Pair) -> tuple[str, str]:
    """The text, and what is said of it."""
    mark, found, text = question.partition(": ") if question.startswith(MARKS) else ("", "", "")
    return (text if found else question).replace("START", str(pair.start_ms / 1000)), mark


def moment(pair: Pair, share: float) -> float:
    return round((pair.start_ms + share * LENGTH_MS) / 1000, 3)


def test_there_are_enough_questions() -> None:
    assert len(QUESTIONS) == len(set(QUESTIONS)) >= 300


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_expression_is_worth_what_it_is_worth_to_prometheus(pair: Pair, question: str) -> None:
    query, mark = expression(question, pair)
    is_ordered = mark == "sorted"

    found = [
        pair.differences("/query", is_ordered=is_ordered, query=query, time=moment(pair, at))
        for at in INSTANTS
    ]
    for start, length, step in RANGES_S if mark != "instant" else ():
        edges = moment(pair, start), moment(pair, start + length)
        found.append(pair.range_differences(query, *edges, step))

    assert [one for one in found if one] == []


@settings(max_examples=150)
@given(query=expressions(), at=st.floats(-0.1, 1.1), step=st.sampled_from([7.5, 60, 613]))
def test_whatever_is_asked_the_answers_are_the_same(
    pair: Pair, query: str, at: float, step: float
) -> None:
    query, _ = expression(query, pair)
    start = moment(pair, at)

    found = [
        pair.differences("/query", query=query, time=start),
        pair.differences(
            "/query_range", query=query, start=start, end=start + 20 * step, step=step
        ),
    ]

    assert [one for one in found if one] == []
