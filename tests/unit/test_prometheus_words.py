"""Prometheus' words: numbers, moments, errors."""

from __future__ import annotations

import numpy as np
import pytest

from watchkeeper.api.prometheus_words import cut, number, refused, seconds
from watchkeeper.errors import BadInput, Permanent, Retryable
from watchkeeper.lake.promql.ask import TimedOut


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (BadInput("no"), 400, "bad_data"),
        (BadInput("no", status=422), 422, "execution"),
        (BadInput("no", status=413), 413, "bad_data"),
        (Retryable("no"), 503, "unavailable"),
        (TimedOut("no"), 503, "timeout"),
        (Permanent("no"), 500, "internal"),
    ],
)
def test_every_error_has_its_kind(error: BadInput, status: int, kind: str) -> None:
    answer = refused(error)

    assert answer.status_code == status
    assert f'"errorType":"{kind}","error":"no"'.encode() in bytes(answer.body)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (1 / 3, "0.3333333333333333"),
        (np.inf, "+Inf"),
        (-np.inf, "-Inf"),
        (np.nan, "NaN"),
    ],
)
def test_a_value_is_told_in_as_many_digits_as_it_needs(value: float, text: str) -> None:
    assert number(value) == text


def test_whole_seconds_are_told_as_whole() -> None:
    assert repr(seconds(5000)) == "5"
    assert repr(seconds(5001)) == "5.001"


def test_a_cut_is_told_where_something_is_missing() -> None:
    assert cut([1, 2, 3], None) == ([1, 2, 3], False)
    assert cut([1, 2, 3], 3) == ([1, 2, 3], False)
    assert cut([1, 2, 3], 2) == ([1, 2], True)
