"""What every store keeps of a record: its body, and the few columns that find and order it.

One entry in `_KINDS` for each type of record that can be stored. Pure: the stores decide here what
a save changes, and only then touch their medium.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from watchkeeper import telemetry
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus
from watchkeeper.model.audit import AuditEntry
from watchkeeper.model.change import Change
from watchkeeper.model.handling import IncidentEntry, IncidentHead, IncidentMembers
from watchkeeper.model.principal import INSTALLATION, ApiKey, User
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict, Word
from watchkeeper.model.silence import AlertSilence, AlertState
from watchkeeper.model.topology_set import Discovered, TopologySet
from watchkeeper.store import incident_rows
from watchkeeper.store.base import Occupied
from watchkeeper.store.row import STILL_OPEN as STILL_OPEN
from watchkeeper.store.row import Identity as Identity
from watchkeeper.store.row import Row as Row
from watchkeeper.store.row import Version as Version
from watchkeeper.store.row import encoded

SAVED: Final = telemetry.counter(
    "watchkeeper_store_saved_records_total", "Records that were saved and had changed."
)
FORGOTTEN: Final = telemetry.counter(
    "watchkeeper_store_forgotten_rows_total",
    "Rows deleted because of a limit: ended records, and events that readers may have missed.",
    ("what",),
)

MAX_PAGE: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    row: Callable[[Any], Row]
    decoder: msgspec.msgpack.Decoder[Any]
    is_announced: bool = True
    """Its changes become events. Who may do what is nobody's news."""
    is_final: bool = False
    """Once saved, never changed and never forgotten."""


def _anomaly_row(anomaly: Anomaly) -> Row:
    closed = anomaly.status is AnomalyStatus.CLOSED
    return Row(
        kind="anomaly",
        tenant=anomaly.tenant,
        key=anomaly.id,
        started_ns=anomaly.started_ns,
        ended_ns=STILL_OPEN if anomaly.ended_ns is None else anomaly.ended_ns,
        status=anomaly.status.value,
        service=anomaly.entity.service,
        detector=anomaly.detector,
        # One batch, so one position, may open, worsen and close an episode. A replay saves those
        # again one by one, and the first must not undo the last.
        version=(anomaly.position, int(closed), anomaly.peak_ns),
        body=encoded(anomaly),
    )


def _key_row(key: ApiKey) -> Row:
    return Row(
        kind="api_key",
        tenant=INSTALLATION,
        key=key.id,
        started_ns=key.created_ns,
        ended_ns=STILL_OPEN if key.revoked_ns is None else key.revoked_ns,
        status="active" if key.revoked_ns is None else "revoked",
        service="",
        detector="",
        # Whoever notes a use of it, from what they had read, must not undo that it was revoked.
        version=(key.revision, 0, key.used_ns or 0),
        body=encoded(key),
    )


def _user_row(user: User) -> Row:
    return Row(
        kind="user",
        tenant=INSTALLATION,
        key=user.name,
        started_ns=user.created_ns,
        ended_ns=STILL_OPEN,
        status="active" if user.disabled_ns is None else "disabled",
        service="",
        detector="",
        version=(user.revision, 0, 0),
        body=encoded(user),
    )


def _audit_row(entry: AuditEntry) -> Row:
    return Row(
        kind="audit",
        tenant=INSTALLATION,  # one trail for all, or the place of an entry would prove nothing
        key=f"{entry.position:019d}",
        started_ns=entry.position,  # a clock may be put back, a position may not
        ended_ns=STILL_OPEN,
        # What listings choose by: what was done, to whose state, by whom.
        status=entry.act.action,
        service=entry.act.tenant,
        detector=entry.act.principal,
        version=(entry.position, 0, 0),
        body=encoded(entry),
    )


def _change_row(change: Change) -> Row:
    """Listings by detector are, of changes, by kind."""
    return Row(
        kind="change",
        tenant=change.tenant,
        key=change.id,
        started_ns=change.time_ns,
        ended_ns=change.time_ns,
        status=change.status,
        service=change.entity.service or change.service,
        detector=change.kind,
        version=(change.position, 0, 0),
        body=encoded(change),
    )


def _settings_row(settings: DetectionSet) -> Row:
    return Row(
        kind="detection",
        tenant=INSTALLATION,
        key=f"{settings.version:019d}",
        started_ns=settings.version,
        ended_ns=settings.version,  # bounded, oldest first: the one in force is the newest
        status=settings.action,
        service="",
        detector=settings.principal,
        version=(settings.position, 0, 0),
        body=encoded(settings),
    )


def _maintenance_row(window: Maintenance) -> Row:
    return Row(
        kind="maintenance",
        tenant=window.tenant,
        key=window.id,
        started_ns=window.from_ns,
        ended_ns=window.to_ns,
        status="",
        service=window.match.get("service", ""),
        detector="",
        version=(window.position, 0, 0),
        body=encoded(window),
    )


def _alert_row(state: AlertState) -> Row:
    """Listings by detector are, of alerts, by source. What fires ends when its sender says so."""
    alert = state.alert
    return Row(
        kind="alert",
        tenant=alert.tenant,
        key=alert.fingerprint,
        started_ns=alert.started_ns,
        ended_ns=STILL_OPEN if alert.ended_ns is None else alert.ended_ns,
        status=alert.status.value,
        service=alert.entity.service,
        detector=alert.source,
        version=(alert.position, 0, 0),
        body=encoded(state),
    )


def _silence_row(silence: AlertSilence) -> Row:
    return Row(
        kind="silence",
        tenant=silence.tenant,
        key=silence.id,
        started_ns=silence.from_ns,
        ended_ns=silence.to_ns,
        status="",
        service="",
        detector=silence.principal,
        version=(silence.position, 0, 0),
        body=encoded(silence),
    )


def _verdict_row(verdict: Verdict) -> Row:
    """Listings by service are, of verdicts, by anomaly; those by detector, by subject."""
    withdrawn = verdict.word is Word.WITHDRAWN
    return Row(
        kind="verdict",
        tenant=verdict.tenant,
        key=f"{verdict.anomaly}/{verdict.principal}",
        started_ns=verdict.time_ns,
        ended_ns=verdict.time_ns if withdrawn else STILL_OPEN,
        status=verdict.word.value,
        service=verdict.anomaly,
        detector=verdict.subject,
        version=(verdict.position, 0, 0),
        body=encoded(verdict),
    )


def _discovered_row(found: Discovered) -> Row:
    """What holds from a time on is found by that time."""
    return Row(
        kind="topology",
        tenant=found.tenant,
        key=f"{found.time_ns:019d}",
        started_ns=found.time_ns,
        ended_ns=found.time_ns,
        status="",
        service="",
        detector="",
        version=(found.position, 0, 0),
        body=encoded(found),
    )


def _topology_set_row(told: TopologySet) -> Row:
    return Row(
        kind="topology_set",
        tenant=told.tenant,
        key=f"{told.version:019d}",
        started_ns=told.time_ns,
        ended_ns=told.time_ns,
        status=told.action,
        service="",
        detector=told.principal,
        version=(told.version, 0, 0),
        body=encoded(told),
    )


_KINDS: Final[Mapping[type, _Kind]] = {
    IncidentHead: _Kind("incident", incident_rows.head_row, msgspec.msgpack.Decoder(IncidentHead)),
    IncidentMembers: _Kind(
        "incident_members",
        incident_rows.members_row,
        msgspec.msgpack.Decoder(IncidentMembers),
        is_announced=False,
    ),
    IncidentEntry: _Kind(
        "incident_entry",
        incident_rows.entry_row,
        msgspec.msgpack.Decoder(IncidentEntry),
        is_announced=False,
    ),
    Anomaly: _Kind("anomaly", _anomaly_row, msgspec.msgpack.Decoder(Anomaly)),
    Change: _Kind("change", _change_row, msgspec.msgpack.Decoder(Change), is_announced=False),
    DetectionSet: _Kind(
        "detection", _settings_row, msgspec.msgpack.Decoder(DetectionSet), is_announced=False
    ),
    Maintenance: _Kind(
        "maintenance",
        _maintenance_row,
        msgspec.msgpack.Decoder(Maintenance),
        is_announced=False,
    ),
    AlertState: _Kind("alert", _alert_row, msgspec.msgpack.Decoder(AlertState), is_announced=False),
    AlertSilence: _Kind(
        "silence", _silence_row, msgspec.msgpack.Decoder(AlertSilence), is_announced=False
    ),
    Verdict: _Kind("verdict", _verdict_row, msgspec.msgpack.Decoder(Verdict), is_announced=False),
    Discovered: _Kind(
        "topology", _discovered_row, msgspec.msgpack.Decoder(Discovered), is_announced=False
    ),
    TopologySet: _Kind(
        "topology_set", _topology_set_row, msgspec.msgpack.Decoder(TopologySet), is_announced=False
    ),
    ApiKey: _Kind("api_key", _key_row, msgspec.msgpack.Decoder(ApiKey), is_announced=False),
    User: _Kind("user", _user_row, msgspec.msgpack.Decoder(User), is_announced=False),
    AuditEntry: _Kind(
        "audit",
        _audit_row,
        msgspec.msgpack.Decoder(AuditEntry),
        is_announced=False,
        is_final=True,
    ),
}
_BY_NAME: Final = {kind.name: kind for kind in _KINDS.values()}


def _kind_of(record_type: type) -> _Kind:
    kind = _KINDS.get(record_type)
    if kind is None:
        known = ", ".join(sorted(entry.__name__ for entry in _KINDS))
        raise Permanent(f"store: keeps no {record_type.__name__}; kinds it keeps: {known}")
    return kind


def kind_name(record_type: type) -> str:
    """The name under which records of a type are kept."""
    return _kind_of(record_type).name


def row(record: Any) -> Row:
    """A record as it is to be kept. Equal records give equal rows."""
    return _kind_of(type(record)).row(record)


def is_announced(row: Row) -> bool:
    """Whether a change of it becomes an event."""
    return _BY_NAME[row.kind].is_announced


def decode(kind: str, body: bytes) -> Any:
    """The record behind a body."""
    return _BY_NAME[kind].decoder.decode(body)


Known = tuple[Version, bytes]
"""Of a stored record: its version and body."""


def changes(rows: Iterable[Row], known: Mapping[Identity, Known]) -> list[Row]:
    """Those rows that change what is stored, in order.

    An equal record changes nothing, and neither does one older than what is there. At an equal
    version another body wins: the same change, seen with other settings. What is final is refused
    if it differs: Occupied.
    """
    now = dict(known)
    changed = []
    for one in rows:
        stored = now.get(one.identity)
        if stored is not None and one.body != stored[1] and _BY_NAME[one.kind].is_final:
            raise Occupied(f"store: {one.kind} {one.key} is there, and is never changed")
        if stored is not None and (one.version < stored[0] or one.body == stored[1]):
            continue
        now[one.identity] = (one.version, one.body)
        changed.append(one)
    return changed


def page_size(limit: int) -> int:
    """The limit of a listing, checked."""
    if limit < 1:
        raise BadInput(f"limit: {limit} is no number of records; ask for 1 to {MAX_PAGE}")
    return min(limit, MAX_PAGE)


def to_cursor(started_ns: int, key: str) -> str:
    """Where the next page starts: behind this record."""
    return base64.urlsafe_b64encode(f"{started_ns}/{key}".encode()).decode().rstrip("=")


def from_cursor(cursor: str) -> tuple[int, str]:
    """What `to_cursor` was given."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
        started, _, key = text.partition("/")
        started_ns = int(started)
    except (binascii.Error, ValueError) as error:
        raise _no_cursor(cursor) from error
    if abs(started_ns) > STILL_OPEN:
        raise _no_cursor(cursor)
    return started_ns, key


def _no_cursor(cursor: str) -> BadInput:
    return BadInput(f"cursor: '{cursor[:80]}' was not given out here; start again without a cursor")
