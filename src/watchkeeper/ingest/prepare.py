"""From one body to what shall be logged of it. Runs on the ingest thread, and can be taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import numpy as np
import xxhash

from watchkeeper.errors import BadInput
from watchkeeper.ingest import admit_kernel
from watchkeeper.ingest.admit import Admission, Admitted
from watchkeeper.ingest.admit_details import AdmittedHistograms
from watchkeeper.ingest.admit_rows import RowAdmission
from watchkeeper.ingest.receivers.base import Receiver
from watchkeeper.ingest.red_series import RedSeries
from watchkeeper.lake import derived, red
from watchkeeper.lake.families import FamilyTable
from watchkeeper.lake.series import Catalog
from watchkeeper.model.alert import Alert
from watchkeeper.model.family import Families, Family
from watchkeeper.model.series import I32, Kind, TenantId
from watchkeeper.model.signal import (
    ExemplarBatch,
    HistogramBatch,
    LogBatch,
    Logged,
    NewSeries,
    Reject,
    SampleBatch,
    SpanBatch,
    Tick,
    Wire,
    WireRows,
    WireSamples,
)

_KNOWN_NATIVE: Final = 100_000
MAX_TENANT_BYTES: Final = 150
"""As many as Mimir and Loki allow. The log has two bytes for the length."""


@dataclass(frozen=True, slots=True)
class Request:
    """One body as it came."""

    protocol: str
    body: bytes
    headers: Mapping[str, str]
    tenant: TenantId
    decoded: Wire | None = None
    """What is in it, where that was found out before it came here."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What to tell the sender, once it is durable."""

    n_accepted: int
    """Samples, lines, spans, changes or alerts."""
    rejects: tuple[Reject, ...] = ()
    repeated: bool = False
    """The body is known, and nothing was done."""
    n_before: int = 0
    """Of a known body: samples that it holds."""
    n_histograms: int = 0
    """Accepted beside the samples, as are exemplars."""
    n_exemplars: int = 0
    told: str = ""
    """What its sender is answered beside, where the protocol has that."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A body that was let in, before it is durable."""

    accepted: Accepted
    records: tuple[Logged, ...] = ()
    """To be logged, behind new series."""
    body_hash: bytes = b""
    admitted: Admitted | None = None
    """Of samples: how to take them back."""
    histograms: AdmittedHistograms | None = None


class Preparer:
    """Known body? Decode, find the series, admit: in this order, one body after the other."""

    def __init__(
        self,
        receivers: Mapping[str, Receiver],
        catalog: Catalog,
        admission: Admission,
        rows: RowAdmission,
        families: FamilyTable | None = None,
    ) -> None:
        self._receivers = receivers
        self._catalog = catalog
        self._admission = admission
        self._rows = rows
        self._families = families or FamilyTable()
        self._native: set[bytes] = set()
        """Identities of native histograms of which all that is derived is registered."""
        self._red: RedSeries | None = None
        """From the first spans on."""
        self._now_ns = 0
        self._unlogged: list[NewSeries | Families] = []
        """First seen, and not in the log yet. Kept over a failed sync: the catalog knows them."""

    def prepare(self, request: Request, now_ns: int) -> Prepared:
        """Raises BadInput or Retryable, and then has changed nothing but the catalog."""
        _check_tenant(request.tenant)
        self._now_ns = now_ns
        body_hash = _hash(request)
        if self._admission.knows_body(body_hash, now_ns):
            return Prepared(self._repeated(request, now_ns))
        wire = self._decoded(request, now_ns)
        if wire.is_of_now:
            body_hash = b""
        if isinstance(wire, WireRows):
            prepared = self._prepare_rows(request.tenant, wire, body_hash, now_ns)
        else:
            prepared = self._prepare_samples(request.tenant, wire, body_hash, now_ns)
        if body_hash and prepared.records:
            self._admission.remember_body(body_hash, now_ns)
        return prepared

    def _decoded(self, request: Request, now_ns: int) -> Wire:
        return request.decoded or self._receivers[request.protocol].decode(
            request.body, request.headers, now_ns=now_ns
        )

    def _repeated(self, request: Request, now_ns: int) -> Accepted:
        """What is in it was written before: to be told to who asks how much was."""
        if self._receivers[request.protocol].makes not in ("samples", "alerts"):
            return Accepted(0, repeated=True)
        wire = self._decoded(request, now_ns)
        if isinstance(wire, WireRows):
            return Accepted(0, repeated=True, told=wire.told)
        n_histograms = 0 if wire.histograms is None else len(wire.histograms.row)
        n_exemplars = 0 if wire.exemplars is None else len(wire.exemplars.row)
        return Accepted(
            0,
            repeated=True,
            n_before=len(wire),
            n_histograms=n_histograms,
            n_exemplars=n_exemplars,
        )

    def _prepare_samples(
        self, tenant: TenantId, wire: WireSamples, body_hash: bytes, now_ns: int
    ) -> Prepared:
        resolved = self._catalog.resolve(tenant, wire, now_ns)
        if wire.families is not None:
            self._describe(tenant, wire.families(resolved.missed))
        if resolved.new is not None:
            self._enter(resolved.new)
        admitted = self._admission.admit(
            tenant, wire, resolved.slots, body_hash=body_hash, now_ns=now_ns
        )
        records: tuple[Logged, ...] = ()
        n_accepted = 0
        if admitted.batch is not None:
            records = (admitted.batch,)
            n_accepted = len(admitted.batch)
            admit_kernel.note(admitted.batch.slot, now_ns, self._catalog.last_seen_ns)
        accepted = Accepted(
            n_accepted + admitted.n_duplicates,
            wire.rejects + resolved.rejects + admitted.rejects,
        )
        prepared = Prepared(accepted, records, body_hash, admitted)
        if wire.histograms is None and wire.exemplars is None:
            return prepared
        return self._with_details(prepared, tenant, wire, resolved.slots, now_ns)

    def _enter(self, new: NewSeries) -> None:
        """Series at first sight."""
        kinds = self._families.kinds(new)
        if kinds is not None:
            self._catalog.kind[new.slot] = kinds
            new = replace(new, kind=kinds)
        self._admission.forget(new.slot)
        self._derive(new.tenant, new.slot[new.kind == Kind.UNSCORED], derived.BUCKETS)
        self._unlogged.append(new)

    def _enter_red(self, new: NewSeries) -> None:
        """Series that spans will be counted in."""
        self._describe(new.tenant, red.FAMILIES)
        self._enter(new)

    def _derive(self, tenant: TenantId, slots: I32, origin: str) -> None:
        """Register what will be derived of the histograms among new series, in front of them."""
        if not len(slots):
            return
        new = self._catalog.derive(tenant, slots, self._now_ns, origin=origin)
        if new is not None:
            self._admission.forget(new.slot)
            self._unlogged.append(new)

    def _describe(self, tenant: TenantId, families: Sequence[Family]) -> None:
        learned = self._families.learn(tenant, families)
        if learned is not None:
            self._unlogged.append(learned)

    def _with_details(
        self, prepared: Prepared, tenant: TenantId, wire: WireSamples, slots: I32, now_ns: int
    ) -> Prepared:
        """The same with histograms and exemplars."""
        accepted, records = prepared.accepted, prepared.records
        rejects, n_histograms, n_exemplars = accepted.rejects, 0, 0
        histograms = None
        if wire.histograms is not None:
            histograms = self._admission.admit_histograms(
                tenant, wire.histograms, slots, body_hash=prepared.body_hash, now_ns=now_ns
            )
            rejects += histograms.rejects
            self._derive_native(tenant, histograms)
            n_histograms = histograms.n_duplicates
            if histograms.batch is not None:
                records += (histograms.batch,)
                n_histograms += len(histograms.batch)
                self._catalog.last_seen_ns[histograms.batch.slot] = now_ns
        if wire.exemplars is not None:
            exemplars, refused = self._admission.admit_exemplars(
                tenant, wire.exemplars, slots, body_hash=prepared.body_hash, now_ns=now_ns
            )
            rejects += refused
            if exemplars is not None:
                records += (exemplars,)
                n_exemplars = len(exemplars)
        accepted = replace(
            accepted, rejects=rejects, n_histograms=n_histograms, n_exemplars=n_exemplars
        )
        return replace(prepared, accepted=accepted, records=records, histograms=histograms)

    def _prepare_rows(
        self, tenant: TenantId, wire: WireRows, body_hash: bytes, now_ns: int
    ) -> Prepared:
        admitted = self._rows.admit(tenant, wire, body_hash=body_hash, now_ns=now_ns)
        for record in admitted.records:
            if isinstance(record, SpanBatch):
                self._red = self._red or RedSeries(self._catalog, self._enter_red)
                self._red.meet(record, now_ns)
        rejects = wire.rejects + admitted.rejects
        accepted = Accepted(admitted.n_accepted, rejects, told=wire.told)
        return Prepared(accepted, admitted.records, body_hash)

    def _derive_native(self, tenant: TenantId, admitted: AdmittedHistograms) -> None:
        """A series is known to be one of native histograms when the first of them comes."""
        if admitted.batch is None:
            return
        identity = self._catalog.identity[admitted.batch.slot]
        known = [row in self._native for row in map(bytes, identity)]
        strange = admitted.batch.slot[~np.array(known)]
        if len(strange):
            self._derive(tenant, np.unique(strange), derived.NATIVE)
            self._native.update(map(bytes, identity))
            while len(self._native) > _KNOWN_NATIVE:
                self._native.pop()

    def unlogged(self) -> Sequence[NewSeries | Families]:
        """Series that must be logged before the next samples, and how metrics were described."""
        return tuple(self._unlogged)

    def logged(self, n_series: int) -> None:
        """The first `n_series` of `unlogged` are durable."""
        del self._unlogged[:n_series]

    def take_back(self, prepared: Sequence[Prepared]) -> None:
        """These were refused by the log: forget that they ever came. In order of preparation."""
        for one in reversed(prepared):
            self._admission.forget_body(one.body_hash)
            for admitted in (one.histograms, one.admitted):
                if admitted is not None:
                    self._admission.take_back(admitted)

    def follow(self, record: Logged, now_ns: int, *, fresh: bool) -> int:
        """Apply a record of the log at restart; the log's own time after it.

        One that is not `fresh` lies before what `load` brought back, and only the catalog, which
        keeps itself, may still miss it.
        """
        match record:
            case Tick():
                return record.now_ns
            case NewSeries():
                self._catalog.replay(record)
                if fresh:
                    self._admission.forget(record.slot)
            case SampleBatch() | HistogramBatch():
                self._admission.follow(record)
                self._admission.remember_logged_body(record.body_hash, now_ns)
                if now_ns:  # else before the first tick: as the catalog counts it, seen just now
                    self._catalog.last_seen_ns[record.slot] = now_ns
            case Families():
                self._families.learn(record.tenant, record.families)
            case LogBatch() | SpanBatch() | ExemplarBatch():
                self._admission.remember_logged_body(record.body_hash, now_ns)
            case Alert() if fresh:
                self._rows.alerts.learn(record)
            case _:
                pass  # to be told the same again is no harm
        return now_ns

    def follow_shared(self, record: Logged, now_ns: int) -> int:
        """Apply a record that any door published, in slots of this process; what it is known by was
        adopted when it was delivered."""
        if not isinstance(record, NewSeries):
            return self.follow(record, now_ns, fresh=True)
        is_new = (record.donor != record.slot) & (record.slot >= 0)
        self._admission.forget(record.slot[is_new])
        return now_ns

    def dump(self) -> bytes:
        """What this remembers besides the catalog, for `load` after a restart."""
        admission = self._admission.dump(self._catalog.high_slot)
        kept = (admission, self._families.dump(), self._rows.alerts.dump())
        return msgspec.msgpack.encode(kept)

    def load(self, state: bytes) -> None:
        admission, families, *alerts = msgspec.msgpack.decode(state, type=list[bytes])
        self._admission.load(admission)
        self._families.load(families)
        if alerts:  # releases before had none
            self._rows.alerts.load(alerts[0])

    def recycle(self, now_ns: int, idle_s: float) -> int:
        """Let series that have been idle for long leave memory; how many."""
        return len(np.atleast_1d(self._catalog.recycle(now_ns, idle_s)))


def _check_tenant(tenant: TenantId) -> None:
    n_bytes = len(tenant.encode())
    if n_bytes > MAX_TENANT_BYTES:
        raise BadInput(
            f"tenant '{tenant[:20]}...' has {n_bytes} bytes, {MAX_TENANT_BYTES} are allowed; "
            "shorten what the sender's tenant header says"
        )


def _hash(request: Request) -> bytes:
    """Of a body within its tenant and protocol."""
    digest = xxhash.xxh3_128(request.tenant.encode())
    digest.update(request.protocol.encode())
    digest.update(request.body)
    return digest.digest()
