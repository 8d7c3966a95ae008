"""What a change of an episode makes of the anomaly that is known: grades, reasons, ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests import make
from watchkeeper.analyze.detectors.base import (
    CLOSED,
    EVIDENCE,
    INFO,
    OPENED,
    WORSENED,
    Findings,
)
from watchkeeper.analyze.judge import SURE, Judge, WatcherJudge, believed
from watchkeeper.analyze.watchers.base import Belief, Sighting
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus, InfoReason, Severity
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import DEFAULT_TENANT, Entity, Kind, Series, SeriesId, TenantId

STREAMS = ("fast", "slow", "seasonal")
SHOP = Entity(service="shop")
SERIES = Series(SeriesId(bytes(range(16))), DEFAULT_TENANT, {"__name__": "up"}, Kind.GAUGE, SHOP)


def finding(change: int = OPENED, **fields: Any) -> Findings:
    """One row."""
    usual: dict[str, Any] = {
        "slot": 3,
        "started_ns": 10,
        "time_ns": 20,
        "change": change,
        "severity": INFO,
        "value": 7.0,
        "low": 1.0,
        "high": 2.0,
        "p_value": 1e-6,
        "n_learned": 100,
        "learning_s": 0.0,
        "streams": (4.5, 0.0, -2.0),
    }
    row = {**usual, **fields}
    return Findings(**{name: np.array([value]) for name, value in row.items()})


def judged(found: Findings, known: Anomaly | None = None, **judge: Any) -> Anomaly:
    return Judge("fk", STREAMS, **judge).judge(found, 0, series=SERIES, position=9, known=known)


def sighting(change: int = OPENED, **fields: Any) -> Sighting:
    usual: dict[str, Any] = {
        "tenant": DEFAULT_TENANT,
        "labels": {"service": "shop", "symptom": "errors"},
        "entity": SHOP,
        "started_ns": 10,
        "time_ns": 20,
        "change": change,
        "severity": Severity.EVIDENCE,
        "value": 0.3,
        "expected_low": 0.0,
        "expected_high": 0.01,
        "p_value": 1e-4,
    }
    return Sighting(**{**usual, **fields})


def watched(seen: Sighting, known: Anomaly | None = None, version: int = 0) -> Anomaly:
    return WatcherJudge("symptoms", version).judge(seen, position=9, known=known)


def belief(of: Anomaly, confidence: float, **evidence: float) -> Belief:
    return Belief(of.tenant, of.id, confidence, time_ns=30, evidence=evidence)


@pytest.mark.parametrize(
    ("claims", "severity", "learning_s", "want", "why"),
    [
        pytest.param(EVIDENCE, EVIDENCE, 0.0, Severity.EVIDENCE, None, id="evidence has no excuse"),
        pytest.param(
            EVIDENCE, EVIDENCE, 60.0, Severity.EVIDENCE, None, id="evidence of one that learns"
        ),
        pytest.param(EVIDENCE, INFO, 60.0, Severity.INFO, InfoReason.LEARNING, id="learning"),
        pytest.param(EVIDENCE, INFO, 0.0, Severity.INFO, InfoReason.NOISY, id="learned and noisy"),
        pytest.param(INFO, INFO, 0.0, Severity.INFO, InfoReason.TIER, id="a tier that only tells"),
        pytest.param(
            INFO, INFO, 60.0, Severity.INFO, InfoReason.TIER, id="the tier goes before learning"
        ),
    ],
)
def test_who_claims_no_more_than_information_has_one_reason(
    claims: int, severity: int, learning_s: float, want: Severity, why: InfoReason | None
) -> None:
    found = judged(finding(severity=severity, learning_s=learning_s), claims=claims)

    assert (found.severity, found.info_reason) == (want, why)
    assert found.learning_s == learning_s


@pytest.mark.parametrize(
    ("change", "known", "now", "want"),
    [
        (OPENED, Severity.EVIDENCE, INFO, Severity.INFO),
        (OPENED, Severity.INFO, EVIDENCE, Severity.EVIDENCE),
        (WORSENED, Severity.INFO, INFO, Severity.INFO),
        (WORSENED, Severity.INFO, EVIDENCE, Severity.EVIDENCE),
        (WORSENED, Severity.EVIDENCE, INFO, Severity.EVIDENCE),
        (WORSENED, Severity.PAGE, EVIDENCE, Severity.PAGE),
    ],
)
def test_only_a_new_beginning_may_claim_less(
    change: int, known: Severity, now: int, want: Severity
) -> None:
    before = make.anomaly(severity=known)

    assert judged(finding(change, severity=now), before).severity is want


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ((4.5, 0.0, -2.0), {"fast": 4.5, "seasonal": -2.0}),
        ((0.0, 0.0, 0.0), {}),
        ((1.0, 2.0, 3.0), {"fast": 1.0, "slow": 2.0, "seasonal": 3.0}),
    ],
)
def test_streams_that_said_nothing_are_no_evidence(
    said: tuple[float, ...], want: dict[str, float]
) -> None:
    assert judged(finding(streams=said)).evidence == want


def test_streams_that_are_not_the_judges_are_a_fault() -> None:
    with pytest.raises(ValueError, match="zip"):
        judged(finding(streams=(1.0, 2.0)))


@pytest.mark.parametrize("change", [OPENED, WORSENED])
def test_what_is_found_is_told_with_whose_it_is(change: int) -> None:
    found = judged(finding(change), tier="T1", version=3)

    assert found.series == SERIES.identity.hex()
    assert (found.labels, found.entity) == (SERIES.labels, SHOP)
    assert (found.detector, found.tier, found.version) == ("fk", "T1", 3)
    assert (found.status, found.ended_ns, found.position) == (AnomalyStatus.OPEN, None, 9)
    assert (found.p_value, found.n_learned) == (1e-6, 100)


@pytest.mark.parametrize("severity", [Severity.INFO, Severity.EVIDENCE, Severity.PAGE])
def test_an_end_changes_nothing_but_the_end(severity: Severity) -> None:
    known = make.anomaly(severity=severity, muted="expected", confidence=0.7, evidence={"a": 1.0})

    ended = judged(finding(CLOSED, time_ns=40, value=0.0), known)

    assert ended == replace(known, status=AnomalyStatus.CLOSED, ended_ns=40, position=9)


def test_an_end_of_what_nobody_knows_peaks_where_it_began() -> None:
    ended = judged(finding(CLOSED, time_ns=40))

    assert (ended.started_ns, ended.peak_ns, ended.ended_ns) == (10, 10, 40)
    assert ended.status is AnomalyStatus.CLOSED


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (sighting(), sighting(tenant=TenantId("acme"))),
        (sighting(), sighting(labels={"service": "shop", "symptom": "latency"})),
        (sighting(), sighting(labels={"service": "shop"})),
        (sighting(), sighting(started_ns=11)),
        (sighting(labels={"a": "bc"}), sighting(labels={"ab": "c"})),
    ],
    ids=["tenant", "symptom", "fewer labels", "start", "where a label's name ends"],
)
def test_what_is_another_subject_has_another_name(one: Sighting, other: Sighting) -> None:
    judge = WatcherJudge("symptoms")

    assert judge.id_of(one) != judge.id_of(other)
    assert judge.id_of(one) != WatcherJudge("ramp").id_of(one)


def test_a_subjects_name_is_that_of_its_labels_in_any_order_at_any_stage() -> None:
    judge = WatcherJudge("symptoms")
    turned = sighting(WORSENED, labels={"symptom": "errors", "service": "shop"}, value=9.0)

    assert judge.id_of(turned) == judge.id_of(sighting())
    assert WatcherJudge("symptoms", version=7).id_of(turned) == judge.id_of(sighting())


def test_what_a_watcher_sees_is_an_anomaly_of_the_third_tier() -> None:
    found = watched(sighting(evidence={"failed": 30.0}), version=2)

    assert (found.detector, found.tier, found.version) == ("symptoms", "T3", 2)
    assert (found.series, found.labels["symptom"]) == ("", "errors")
    assert (found.started_ns, found.peak_ns, found.ended_ns) == (10, 20, None)
    assert (found.evidence, found.metric_class) == ({"failed": 30.0}, MetricClass.OTHER)


@pytest.mark.parametrize(
    ("change", "known", "now", "want"),
    [
        (OPENED, Severity.PAGE, Severity.INFO, Severity.INFO),
        (WORSENED, Severity.PAGE, Severity.INFO, Severity.PAGE),
        (WORSENED, Severity.EVIDENCE, Severity.PAGE, Severity.PAGE),
        (WORSENED, Severity.INFO, Severity.EVIDENCE, Severity.EVIDENCE),
    ],
)
def test_a_watchers_episode_is_graded_as_a_detectors(
    change: int, known: Severity, now: Severity, want: Severity
) -> None:
    before = make.anomaly(severity=known)

    assert watched(sighting(change, severity=now), before).severity is want


def test_a_watchers_end_keeps_what_is_known() -> None:
    known = watched(sighting(severity=Severity.PAGE))

    ended = watched(sighting(CLOSED, time_ns=50, value=0.0), known)

    assert ended == replace(known, status=AnomalyStatus.CLOSED, ended_ns=50, position=9)
    assert watched(sighting(CLOSED, time_ns=50)).peak_ns == 10


@pytest.mark.parametrize(
    ("severity", "reason", "confidence", "want", "why"),
    [
        (Severity.INFO, InfoReason.TIER, SURE, Severity.EVIDENCE, None),
        (Severity.INFO, InfoReason.NOISY, 1.0, Severity.EVIDENCE, None),
        (Severity.INFO, InfoReason.ALONE, 1.0, Severity.EVIDENCE, None),
        (Severity.INFO, InfoReason.TIER, SURE - 0.01, Severity.INFO, InfoReason.TIER),
        (Severity.INFO, InfoReason.LEARNING, 1.0, Severity.INFO, InfoReason.LEARNING),
        (Severity.EVIDENCE, None, 1.0, Severity.EVIDENCE, None),
        (Severity.EVIDENCE, None, 0.5, Severity.EVIDENCE, None),
        (Severity.EVIDENCE, None, 0.06, Severity.EVIDENCE, None),
        (Severity.EVIDENCE, None, 0.04, Severity.INFO, InfoReason.ALONE),
        (Severity.EVIDENCE, None, 0.0, Severity.INFO, InfoReason.ALONE),
        (Severity.PAGE, None, 0.0, Severity.PAGE, None),
        (Severity.INFO, InfoReason.TIER, 0.0, Severity.INFO, InfoReason.TIER),
    ],
)
def test_the_others_of_a_service_lift_and_lower_what_is_open(
    severity: Severity,
    reason: InfoReason | None,
    confidence: float,
    want: Severity,
    why: InfoReason | None,
) -> None:
    known = make.anomaly(severity=severity, info_reason=reason)

    found = believed(belief(known, confidence), 9, known)

    assert (found.severity, found.info_reason, found.confidence) == (want, why, confidence)


def test_a_belief_adds_its_evidence_and_changes_no_number_of_the_episode() -> None:
    known = make.anomaly(evidence={"fast": 3.0, "joint": 1.0})

    found = believed(belief(known, 0.5, joint=2.0, beside=4.0), 9, known)

    assert found.evidence == {"fast": 3.0, "joint": 2.0, "beside": 4.0}
    assert known.evidence == {"fast": 3.0, "joint": 1.0}
    assert replace(found, evidence=known.evidence, position=known.position) == known


def test_who_was_lowered_is_lifted_when_the_others_change_their_mind() -> None:
    known = make.anomaly(severity=Severity.EVIDENCE)

    lowered = believed(belief(known, 0.0), 8, known)
    lifted = believed(belief(known, 1.0), 9, lowered)

    assert lowered.info_reason is InfoReason.ALONE
    assert (lifted.severity, lifted.info_reason) == (Severity.EVIDENCE, None)
