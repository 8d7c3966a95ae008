"""What we found ourselves becomes an alert, once when it begins and once when it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests import make
from watchkeeper.analyze.finding_stage import FindingStage, alert_of
from watchkeeper.bus.base import Delivery
from watchkeeper.clock import FakeClock
from watchkeeper.errors import Retryable
from watchkeeper.model.alert import Alert, AlertStatus, Urgency
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus, Severity
from watchkeeper.model.event import Event
from watchkeeper.model.series import Entity
from watchkeeper.model.signal import Logged

S = make.NS_PER_S


def page(**fields: Any) -> Anomaly:
    usual: dict[str, Any] = {
        "series": "",
        "labels": {"symptom": "errors"},
        "entity": Entity("payment", "prod", "", "shop-team"),
        "detector": "symptoms",
        "severity": Severity.PAGE,
        "started_ns": make.START_NS,
        "peak_ns": make.START_NS,
    }
    return make.anomaly(**(usual | fields))


def closed(anomaly: Anomaly, after_s: float = 60.0) -> Anomaly:
    ended_ns = anomaly.started_ns + round(after_s * S)
    return replace(anomaly, status=AnomalyStatus.CLOSED, ended_ns=ended_ns)


class Log:
    """Keeps what is put into it, unless it is full."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.n_refused = 0

    async def log(self, record: Logged) -> int:
        if self.n_refused:
            self.n_refused -= 1
            raise Retryable("log: is full")
        assert isinstance(record, Alert)
        self.alerts.append(record)
        return len(self.alerts)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def stage(log: Log) -> FindingStage:
    return FindingStage(log.log, FakeClock(make.START_NS + 100 * S))


async def announce(stage: FindingStage, *records: object) -> None:
    await stage.handle([Delivery(3, n, Event(n, one)) for n, one in enumerate(records, 1)])


def test_a_finding_is_an_alert_of_its_service_by_its_kind() -> None:
    alert = alert_of(page())

    assert (alert.source, alert.rule, alert.urgency) == ("watchkeeper", "errors", Urgency.CRITICAL)
    assert alert.status is AlertStatus.FIRING
    assert alert.entity.service == "payment"
    assert alert.labels == {
        "alertname": "errors",
        "symptom": "errors",
        "service": "payment",
        "environment": "prod",
        "owner": "shop-team",
    }
    assert alert.annotations == {"anomaly": page().id}
    assert alert.summary


async def test_it_begins_and_ends_once_however_often_it_is_announced(
    stage: FindingStage, log: Log
) -> None:
    one = page()

    await announce(stage, one, replace(one, value=9.0), one, closed(one), closed(one))

    assert [alert.status for alert in log.alerts] == [AlertStatus.FIRING, AlertStatus.RESOLVED]
    assert log.alerts[1].ended_ns == make.START_NS + 60 * S


async def test_what_ends_as_less_than_a_page_ends_all_the_same(
    stage: FindingStage, log: Log
) -> None:
    one = page()

    await announce(stage, one, replace(closed(one), severity=Severity.EVIDENCE))

    assert [alert.status for alert in log.alerts] == [AlertStatus.FIRING, AlertStatus.RESOLVED]


@pytest.mark.parametrize("severity", [Severity.INFO, Severity.EVIDENCE])
async def test_what_does_not_page_is_no_alert(
    stage: FindingStage, log: Log, severity: Severity
) -> None:
    await announce(stage, page(severity=severity), closed(page(severity=severity)))

    assert log.alerts == []


async def test_what_comes_to_page_is_an_alert_from_then_on(stage: FindingStage, log: Log) -> None:
    await announce(stage, page(severity=Severity.EVIDENCE), page())

    assert [alert.status for alert in log.alerts] == [AlertStatus.FIRING]


async def test_history_wakes_nobody(stage: FindingStage, log: Log) -> None:
    old_ns = make.START_NS - 7200 * S

    await announce(stage, page(started_ns=old_ns, peak_ns=old_ns))

    assert log.alerts == []


async def test_other_news_is_none_of_ours(stage: FindingStage, log: Log) -> None:
    await announce(stage, make.change())

    assert log.alerts == []


async def test_what_is_not_over_is_known_after_a_restart(log: Log) -> None:
    before = FindingStage(log.log, FakeClock(make.START_NS))
    await announce(before, page())
    after = FindingStage(log.log, FakeClock(make.START_NS))

    await after.load(3, 1, await before.dump(3))
    await announce(after, page(), closed(page()))

    assert [alert.status for alert in log.alerts] == [AlertStatus.FIRING, AlertStatus.RESOLVED]


async def test_a_full_log_is_asked_again_and_told_nothing_twice(
    stage: FindingStage, log: Log
) -> None:
    first, second = page(), page(id="b" * 32, entity=Entity("bank"))
    await announce(stage, first)
    log.n_refused = 1
    with pytest.raises(Retryable):
        await announce(stage, first, second)

    await announce(stage, first, second)

    assert [alert.entity.service for alert in log.alerts] == ["payment", "bank"]
