"""Opinions become one ranking."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from watchkeeper.analyze.rank import Ranks, rank
from watchkeeper.model.cause import Confidence, Evidence, Opinion, Suspicion


def evidence(explainer: str, node: str) -> Evidence:
    return Evidence(explainer, node, f"{explainer} saw {node}", 2.0, 1.0)


def opinion(explainer: str, **strengths: float) -> Opinion:
    return Opinion(
        explainer,
        tuple(
            Suspicion(node, strength, (evidence(explainer, node),))
            for node, strength in strengths.items()
        ),
    )


def test_nobody_is_suspected_where_nobody_has_an_opinion() -> None:
    found = rank([opinion("excess_time"), opinion("history")])

    assert (found.causes, found.unknown, found.abstains) == ((), 1.0, True)


def test_probabilities_of_all_and_of_none_sum_up_to_one() -> None:
    found = rank([opinion("excess_time", a=0.9, b=0.3), opinion("error_origin", a=0.5)])

    assert sum(one.probability for one in found.causes) + found.unknown == pytest.approx(1.0)
    assert [one.node for one in found.causes] == ["a", "b"]


def test_a_cause_tells_what_each_explainer_brought() -> None:
    found = rank([opinion("excess_time", a=1.0), opinion("error_origin", a=1.0)])

    assert found.causes[0].by_explainer == {"error_origin": 1.2, "excess_time": 0.9}
    assert found.causes[0].score == pytest.approx(2.1)


def test_evidence_has_ids_that_a_narrator_can_cite() -> None:
    found = rank([opinion("excess_time", a=0.9, b=0.3), opinion("error_origin", a=0.5)])

    assert [[one.id for one in cause.evidence] for cause in found.causes] == [["e1", "e2"], ["e3"]]


@pytest.mark.parametrize("prior", ["history", "recent_change", "noisy_or", "granger"])
def test_a_prior_alone_names_no_cause(prior: str) -> None:
    found = rank([opinion(prior, a=1.0)])

    assert found.abstains
    assert found.unknown > found.causes[0].probability


def test_a_prior_decides_between_equals() -> None:
    found = rank([opinion("excess_time", a=0.5, b=0.5), opinion("recent_change", b=0.8)])

    assert found.causes[0].node == "b"


def test_equal_scores_go_by_name() -> None:
    found = rank([opinion("excess_time", c=0.5, a=0.5, b=0.5)])

    assert [one.node for one in found.causes] == ["a", "b", "c"]


def test_the_order_of_opinions_changes_no_byte() -> None:
    told = [opinion("excess_time", a=0.7), opinion("error_origin", b=0.7), opinion("history", a=1)]

    answers = {msgspec.json.encode(rank(some)) for some in itertools.permutations(told)}

    assert len(answers) == 1


def test_one_clear_cause_is_called_so() -> None:
    found = rank([opinion("excess_time", a=1.0), opinion("error_origin", a=1.0)])

    assert not found.abstains
    assert found.confidence == Confidence.HIGH


def test_two_that_are_equally_strong_are_shown_and_neither_is_called_the_cause() -> None:
    found = rank([opinion("error_origin", a=1.0, b=1.0)], Ranks(abstains_below=0.5))

    assert found.abstains
    assert {one.node for one in found.causes} == {"a", "b"}


def test_no_cause_is_more_probable_than_the_data_are_good() -> None:
    told = [opinion("error_origin", a=1.0, b=0.5)]
    good, poor = rank(told), rank(told, quality=0.5)

    assert poor.causes[0].probability == 0.5 < good.causes[0].probability
    assert poor.unknown > good.unknown
    assert poor.causes[1].probability < good.causes[1].probability


def test_more_than_are_asked_for_are_not_shown_but_counted() -> None:
    found = rank([opinion("error_origin", a=1.0, b=1.0, c=1.0)], Ranks(n_causes=1))

    assert len(found.causes) == 1
    assert found.unknown < 0.2 < found.causes[0].probability


def test_who_was_ruled_out_and_what_was_missing_are_told() -> None:
    out, against = evidence("excess_impact", "z"), evidence("excess_impact", "a")
    told = Opinion("excess_impact", (), (out, against), ("requests of nodes",))

    found = rank([opinion("error_origin", a=1.0), told])

    assert found.ruled_out == (out,)
    assert found.causes[0].against == (against,)
    assert found.missing == ("excess_impact: requests of nodes",)


def test_weights_of_explainers_can_be_set_and_strangers_have_one() -> None:
    told = [opinion("excess_time", a=1.0), opinion("somebody_elses", b=1.0)]

    assert rank(told).causes[0].node == "a"
    assert rank(told, Ranks(weights={"somebody_elses": 2.0})).causes[0].node == "b"
