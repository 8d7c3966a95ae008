"""Whatever is sent to a receiver of alerts is read, or refused by name; never a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.test_alert_receiver import FORMS, NOW_NS
from watchkeeper import plugins
from watchkeeper.errors import BadInput
from watchkeeper.ingest.admit_rows import AdmitRowsConfig, RowAdmission
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.model import wire as log_wire
from watchkeeper.model.alert import Alert, AlertStatus, fingerprint
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import WireRows

FIELDS = [
    "alerts",
    "labels",
    "annotations",
    "name",
    "title",
    "alertname",
    "service",
    "status",
    "severity",
    "summary",
    "state",
    "key",
    "startsAt",
    "endsAt",
    "started_at",
    "ended_at",
    "startedAt",
    "lastReceived",
    "at",
    "from",
    "to",
    "what",
    "about",
    "payload",
    "event_action",
    "dedup_key",
    "routing_key",
    "source",
    "specversion",
    "id",
    "type",
    "time",
    "data",
    "alert_uid",
    "links",
]
WORDS = ["", "firing", "resolved", "trigger", "resolve", "1.0", "critical", "0001-01-01T00:00:00Z"]
TIMES = ["2026-01-05T09:55:00Z", "2026-01-05T10:55:00+01:00", "yesterday", "9999-12-31", "\ud7ff"]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(WORDS + TIMES)
)
names = st.sampled_from(FIELDS) | st.text(max_size=6)
bodies = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6),
    max_leaves=20,
)


def forms(name: str) -> Any:
    """Bodies of a protocol with a field or two that are something else."""
    good = FORMS[name].fires
    return st.dictionaries(st.sampled_from(sorted(good)), bodies, max_size=2).map(
        lambda other: FORMS[name].listed([{**good, **other}])
    )


def decoded(name: str, body: Any) -> WireRows | None:
    """None where it is refused as a whole."""
    form = FORMS[name]
    receiver = plugins.build("receiver", {"use": name, **form.settings})
    try:
        wire = receiver.decode(json.dumps(body).encode(), form.headers, now_ns=NOW_NS)
    except BadInput:
        return None
    assert isinstance(wire, WireRows)
    return wire


@pytest.mark.parametrize("name", sorted(FORMS))
@given(st.data())
def test_whatever_is_sent_is_read_or_refused_and_survives_the_log(
    name: str, data: st.DataObject
) -> None:
    wire = decoded(name, data.draw(bodies | forms(name))) or WireRows(())
    admission = RowAdmission(AdmitRowsConfig(), Enrich())

    admitted = admission.admit(DEFAULT_TENANT, wire, body_hash=b"", now_ns=NOW_NS)

    refused = sum(reject.count for reject in admitted.rejects)
    assert admitted.n_accepted + refused == len(wire.records)
    for record in admitted.records:
        assert log_wire.decode(log_wire.encode(record)) == record
    for alert in wire.records:
        assert isinstance(alert, Alert)
        assert alert.labels
        assert all(alert.labels.values())
        assert alert.ended_ns is None or alert.ended_ns >= alert.started_ns
        assert alert.status is AlertStatus.FIRING or alert.ended_ns is not None


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5))
def test_a_fingerprint_knows_no_order(labels: dict[str, str]) -> None:
    turned = dict(reversed(labels.items()))

    assert fingerprint(turned) == fingerprint(labels)
    assert len(fingerprint(labels)) == 16
