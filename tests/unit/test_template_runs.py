"""Lines of a batch, together by service and fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from watchkeeper.analyze.template_runs import Run, Runs
from watchkeeper.model.row import Origin
from watchkeeper.model.series import Entity
from watchkeeper.model.severity import Severity
from watchkeeper.model.signal import LogBatch

Line = tuple[int, int, int, int]
"""Origin, fingerprint, time and severity."""
SERVICES = ("shop", "cart", "shop", "")
"""By origin: two are of one service, one says none."""
FEW = settings(max_examples=20, deadline=None)
INFO, WARN, ERROR, FATAL = (
    int(one) for one in (Severity.INFO, Severity.WARN, Severity.ERROR, Severity.FATAL)
)
LINE = st.tuples(
    st.integers(0, len(SERVICES) - 1),
    st.sampled_from([0, 7, 2**64 - 1]),
    st.integers(-5, 50),
    st.sampled_from([0, INFO, WARN, ERROR, FATAL]),
)
LINES = st.lists(LINE, min_size=1, max_size=15)


def batch(lines: Sequence[Line]) -> LogBatch:
    made = make.logs(*((time_ns, severity, b"") for _, _, time_ns, severity in lines))
    return replace(
        made,
        origins=tuple(Origin((), Entity(service)) for service in SERVICES),
        origin=np.array([line[0] for line in lines], np.int32),
        template=np.array([line[1] for line in lines], np.uint64),
    )


def runs(*lines: Line) -> Runs:
    return Runs(batch(lines))


def by_service(found: Runs) -> dict[str, Sequence[Run]]:
    return {service: found.of(number) for number, service in enumerate(found.services)}


def test_lines_of_one_service_and_fingerprint_are_one_run() -> None:
    found = by_service(runs((0, 7, 30, INFO), (0, 7, 10, ERROR), (0, 7, 20, INFO)))

    [run] = found["shop"]
    assert (run.fingerprint, run.row, run.n_lines) == (7, 0, 3)
    assert (run.first_ns, run.last_ns) == (10, 30)
    assert (run.severity, run.n_errors) == (ERROR, 1)
    assert (run.begin, run.end) == (0, 3)


def test_origins_of_one_service_are_one() -> None:
    found = runs((0, 7, 1, INFO), (1, 7, 2, INFO), (2, 7, 3, INFO))

    assert found.services == ("shop", "cart", "")
    assert found.service_of_row.tolist() == [0, 1, 0]
    assert [run.n_lines for run in found.of(0)] == [2]


def test_a_service_without_lines_has_no_runs() -> None:
    found = by_service(runs((0, 7, 1, INFO)))

    assert found["cart"] == []
    assert found[""] == []


def test_runs_are_told_by_their_first_rows() -> None:
    found = by_service(runs((0, 9, 1, INFO), (1, 3, 2, INFO), (0, 2, 3, INFO), (0, 9, 4, INFO)))

    assert [(run.fingerprint, run.row) for run in found["shop"]] == [(9, 0), (2, 2)]
    assert [(run.fingerprint, run.row) for run in found["cart"]] == [(3, 1)]


@pytest.mark.parametrize(
    ("severities", "gravest", "n_errors"),
    [
        ([INFO], INFO, 0),
        ([INFO, WARN], WARN, 0),
        ([ERROR - 1], ERROR - 1, 0),
        ([ERROR], ERROR, 1),
        ([ERROR + 1, INFO, ERROR], ERROR + 1, 2),
        ([FATAL, ERROR, WARN, 0], FATAL, 2),
        ([0, 0], 0, 0),
    ],
)
def test_errors_and_what_is_graver_are_counted(
    severities: list[int], gravest: int, n_errors: int
) -> None:
    found = runs(*((0, 7, n, severity) for n, severity in enumerate(severities)))

    [run] = found.of(0)
    assert (run.severity, run.n_errors) == (gravest, n_errors)


def test_more_errors_are_counted_than_fit_in_a_byte() -> None:
    found = runs(*((0, 7, n, ERROR) for n in range(300)))

    [run] = found.of(0)
    assert (run.n_lines, run.n_errors) == (300, 300)


@FEW
@given(LINES)
def test_runs_are_what_a_reader_would_count(lines: list[Line]) -> None:
    found = by_service(runs(*lines))

    for service, told in found.items():
        own = [(row, *line[1:]) for row, line in enumerate(lines) if SERVICES[line[0]] == service]
        want = []
        for fingerprint in dict.fromkeys(line[1] for line in own):
            of = [line for line in own if line[1] == fingerprint]
            times, severities = [line[2] for line in of], [line[3] for line in of]
            n_errors = sum(one >= ERROR for one in severities)
            want.append(
                (fingerprint, of[0][0], len(of), min(times), max(times), max(severities), n_errors)
            )
        assert [tuple(run)[:7] for run in told] == want


@FEW
@given(LINES)
def test_times_of_a_run_are_those_of_its_lines_in_their_order(lines: list[Line]) -> None:
    found = runs(*lines)

    for number, service in enumerate(found.services):
        for run in found.of(number):
            times = found.times(run.begin, run.end).tolist()
            assert times == [
                time_ns
                for origin, fingerprint, time_ns, _ in lines
                if (SERVICES[origin], fingerprint) == (service, run.fingerprint)
            ]


@FEW
@given(LINES)
def test_every_line_is_in_one_run(lines: list[Line]) -> None:
    found = by_service(runs(*lines))

    places = sorted((run.begin, run.end) for told in found.values() for run in told)
    assert places[0][0] == 0
    assert places[-1][1] == len(lines)
    assert all(one[1] == other[0] for one, other in pairwise(places))


def test_asked_again_the_same_is_told() -> None:
    found = runs((0, 7, 1, INFO))

    assert found.of(0) is found.of(0)
