"""From findings to anomalies."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.analyze.detectors.base import (
    CLOSED,
    EVIDENCE,
    INFO,
    OPENED,
    WORSENED,
    Findings,
)
from watchkeeper.analyze.judge import Judge
from watchkeeper.model.anomaly import AnomalyStatus, Severity
from watchkeeper.model.series import Entity, Kind, Series, SeriesId, TenantId

SERIES = Series(
    SeriesId(bytes(16)), TenantId("acme"), {"__name__": "up"}, Kind.GAUGE, Entity(service="shop")
)
JUDGE = Judge("fk", ("fast", "slow"))


def finding(
    change: int, *, time_ns: int = 20, severity: int = INFO, value: float = 7.0
) -> Findings:
    return Findings(
        slot=np.array([3], np.int32),
        started_ns=np.array([10]),
        time_ns=np.array([time_ns]),
        change=np.array([change], np.uint8),
        severity=np.array([severity], np.uint8),
        value=np.array([value]),
        low=np.array([1.0]),
        high=np.array([2.0]),
        p_value=np.array([1e-6]),
        n_learned=np.array([20_160]),
        learning_s=np.array([0.0]),
        streams=np.array([[4.5, 0.0]]),
    )


def test_an_opened_episode_tells_what_it_rests_on() -> None:
    anomaly = JUDGE.judge(finding(OPENED), 0, series=SERIES, position=5, known=None)

    assert anomaly.status is AnomalyStatus.OPEN
    assert (anomaly.started_ns, anomaly.peak_ns, anomaly.ended_ns) == (10, 20, None)
    assert (anomaly.expected_low, anomaly.value, anomaly.expected_high) == (1.0, 7.0, 2.0)
    assert anomaly.evidence == {"fast": 4.5}
    assert anomaly.entity.service == "shop"
    assert anomaly.position == 5


def test_a_new_peak_takes_the_place_of_the_old_one() -> None:
    opened = JUDGE.judge(finding(OPENED), 0, series=SERIES, position=5, known=None)

    worse = JUDGE.judge(
        finding(WORSENED, time_ns=30, value=9.0), 0, series=SERIES, position=6, known=opened
    )

    assert worse.id == opened.id
    assert (worse.peak_ns, worse.value, worse.position) == (30, 9.0, 6)


def test_severity_never_falls_within_an_episode() -> None:
    opened = JUDGE.judge(
        finding(OPENED, severity=EVIDENCE), 0, series=SERIES, position=5, known=None
    )

    worse = JUDGE.judge(
        finding(WORSENED, severity=INFO), 0, series=SERIES, position=6, known=opened
    )

    assert worse.severity is Severity.EVIDENCE


def test_closing_keeps_the_peak_and_adds_the_end() -> None:
    opened = JUDGE.judge(finding(OPENED), 0, series=SERIES, position=5, known=None)

    closed = JUDGE.judge(
        finding(CLOSED, time_ns=40, value=1.5), 0, series=SERIES, position=8, known=opened
    )

    assert closed.status is AnomalyStatus.CLOSED
    assert (closed.value, closed.peak_ns, closed.ended_ns) == (7.0, 20, 40)
    assert closed.evidence == opened.evidence


def test_an_end_without_a_known_beginning_is_still_told() -> None:
    closed = JUDGE.judge(finding(CLOSED, time_ns=40), 0, series=SERIES, position=8, known=None)

    assert closed.status is AnomalyStatus.CLOSED
    assert (closed.started_ns, closed.ended_ns) == (10, 40)


@given(st.binary(min_size=16, max_size=16), st.text(max_size=5), st.integers(0, 2**62))
def test_ids_differ_where_anything_differs(identity: bytes, tenant: str, started: int) -> None:
    other = Series(SeriesId(identity), TenantId(tenant), {}, Kind.GAUGE)
    same = identity == SERIES.identity and tenant == SERIES.tenant and started == 10

    assert (JUDGE.id_of(other, started) == JUDGE.id_of(SERIES, 10)) == same
    assert JUDGE.id_of(other, started) != Judge("basic", ()).id_of(other, started)
