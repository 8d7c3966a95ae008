"""What a real Prometheus answers, we answer: the same series, the same values, the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import promql
from bench.prometheus_pair import Pair
from bench.promql import Question, moment
from tests.examples import MANY
from tests.integration.promql_questions import expressions

QUESTIONS = promql.questions()


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], Path]
) -> Iterator[Pair]:
    program("prometheus")
    with promql.pair(tmp_path_factory.mktemp("pair")) as running:
        yield running


def test_there_are_enough_questions() -> None:
    assert len(QUESTIONS) == len(set(QUESTIONS)) >= 450


def test_an_expression_is_worth_what_it_is_worth_to_prometheus(pair: Pair) -> None:
    """At one moment and over one range; the bench `doors` asks about more. All in one test, or each
    worker of a run would start a pair of its own."""
    told = {question.text: promql.differences(pair, question, n_times=1) for question in QUESTIONS}

    assert {text: found for text, found in told.items() if found} == {}


@MANY
@given(query=expressions(), at=st.floats(-0.1, 1.1), step=st.sampled_from([7.5, 60, 613]))
def test_whatever_is_asked_the_answers_are_the_same(
    pair: Pair, query: str, at: float, step: float
) -> None:
    query = Question(query).at(pair.start_ms)
    start = moment(pair, at)

    found = [
        pair.differences("/query", query=query, time=start),
        pair.differences(
            "/query_range", query=query, start=start, end=start + 20 * step, step=step
        ),
    ]

    assert [one for one in found if one] == []
