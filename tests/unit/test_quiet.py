"""What a reason makes of an anomaly that begins: shown as ever, and no page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests import make
from watchkeeper.analyze.governing import quiet
from watchkeeper.model.anomaly import InfoReason, Severity

DEPLOYED = "after_deploy: v2 of shop"


@pytest.mark.parametrize("severity", list(Severity))
def test_without_a_reason_nothing_is_muted(severity: Severity) -> None:
    anomaly = make.anomaly(severity=severity)

    assert quiet(anomaly, "") is anomaly


@pytest.mark.parametrize("severity", list(Severity))
@pytest.mark.parametrize("reason", ["maintenance: disks", "expected: every week at this time"])
def test_what_people_expect_is_information_and_says_so(severity: Severity, reason: str) -> None:
    anomaly = make.anomaly(severity=severity)

    found = quiet(anomaly, reason)

    assert (found.severity, found.info_reason, found.muted) == (
        Severity.INFO,
        InfoReason.MUTED,
        reason,
    )


@pytest.mark.parametrize(
    ("severity", "reason", "want"),
    [
        (Severity.PAGE, None, Severity.EVIDENCE),
        (Severity.EVIDENCE, None, Severity.EVIDENCE),
        (Severity.INFO, InfoReason.LEARNING, Severity.INFO),
        (Severity.INFO, InfoReason.NOISY, Severity.INFO),
    ],
)
def test_what_a_deployment_explains_keeps_its_own_reason(
    severity: Severity, reason: InfoReason | None, want: Severity
) -> None:
    found = quiet(make.anomaly(severity=severity, info_reason=reason), DEPLOYED)

    assert (found.severity, found.info_reason, found.muted) == (want, reason, DEPLOYED)


@pytest.mark.parametrize("reason", ["maintenance: disks", DEPLOYED])
def test_no_figure_of_what_is_muted_is_lost(reason: str) -> None:
    anomaly = make.anomaly(severity=Severity.PAGE, evidence={"fast": 3.0}, confidence=0.7)

    found = quiet(anomaly, reason)

    kept = {"severity": Severity.PAGE, "info_reason": None, "muted": ""}
    assert replace(found, **kept) == anomaly  # type: ignore[arg-type]
    assert quiet(found, reason) == found
