"""However a catalog came to be what it is, a restart brings it back, and loses sight of nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests import make
from tests.make import NS_PER_S, START_NS
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.model.series import Matcher, MatchOp, TenantId
from watchkeeper.model.signal import NewSeries

HOUR_NS = 3600 * NS_PER_S
IDLE_S = 1.5 * 3600
TENANTS = [TenantId("a"), TenantId("b")]
SERIES = st.tuples(
    st.sampled_from(TENANTS), st.sampled_from(["m", "n_total"]), st.sampled_from("pqrstu")
)
Name = tuple[TenantId, str, str]


class Restarts(RuleBasedStateMachine):
    """A catalog with its log; what was sent and when, kept as a dictionary beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.hour = 0
        self.seen_h: dict[Name, int] = {}
        self.log: list[NewSeries] = []
        self.n_kept = 0
        """Records of the log that were registered when the catalog was last persisted."""

    @property
    def now_ns(self) -> int:
        return START_NS + self.hour * HOUR_NS

    @initialize()
    def start(self) -> None:
        self.known = self.opened()

    def opened(self) -> Catalog:
        known = Catalog(bytes(16), CatalogConfig(max_series=60, max_donors=20), Enrich())
        known.open(Path(self.folder.name), self.now_ns)
        return known

    @rule(sent=st.sets(SERIES, min_size=1, max_size=8))
    def send(self, sent: set[Name]) -> None:
        for tenant in TENANTS:
            names = sorted(name for name in sent if name[0] == tenant)
            rows = [make.labels(name, pod=pod, service="s" + pod) for _, name, pod in names]
            wire = make.wire(rows, [(row, self.now_ns, 0.0) for row in range(len(rows))])
            resolved = self.known.resolve(tenant, wire, self.now_ns)
            assert resolved.rejects == ()
            self.known.last_seen_ns[resolved.slots] = self.now_ns
            if resolved.new is not None:
                self.log.append(resolved.new)
        self.seen_h.update(dict.fromkeys(sent, self.hour))

    @rule(hours=st.integers(0, 3))
    def pass_time(self, hours: int) -> None:
        self.hour += hours
        self.known.recycle(self.now_ns, IDLE_S)

    @rule()
    def persist(self) -> None:
        self.known.persist(self.now_ns)
        self.n_kept = len(self.log)

    @rule(n_more=st.integers(0, 5))
    def crash(self, n_more: int) -> None:
        """What was not persisted comes out of the log; of the log some more may be left."""
        former = self.living()
        self.known.close()
        self.known = self.opened()
        for record in self.log[max(0, self.n_kept - n_more) :]:
            self.known.replay(record)
        now = self.living()
        if n_more == 0:
            assert {slot: now[slot] for slot in former} == former
        assert set(former.values()) <= set(now.values())
        for name in now.values():
            self.seen_h[name] = self.hour  # as the catalog sees it

    def living(self) -> dict[int, Name]:
        found = {}
        for tenant in TENANTS:
            slots = self.known.select(tenant, ())
            for slot, labels in zip(slots.tolist(), self.known.labels(slots), strict=True):
                found[slot] = (tenant, labels["__name__"], labels["pod"])
        return found

    @invariant()
    def every_series_is_found_here_or_in_the_past(self) -> None:
        if not hasattr(self, "known"):
            return
        living = self.living()
        assert len(set(living.values())) == len(living), "nobody is there twice"
        recent = {name for name, hour in self.seen_h.items() if hour == self.hour}
        assert recent <= set(living.values())
        past = {
            (tenant, labels["__name__"], labels["pod"])
            for tenant in TENANTS
            for _, labels in self.known.select_history(
                tenant, [Matcher("pod", MatchOp.NOT_EQUAL, "")], 0
            )
        }
        assert past | set(living.values()) == self.seen_h.keys()
        assert not past & set(living.values())

    @invariant()
    def columns_agree(self) -> None:
        if not hasattr(self, "known"):
            return
        living = self.living()
        slots = np.array(sorted(living), np.int32)
        assert (self.known.lookup(self.known.identity[slots]) == slots).all()
        assert self.known.high_slot >= len(slots)
        for slot, (tenant, name, pod) in living.items():
            assert self.known.tenant_of(slot) == tenant
            assert self.known.entity_of(slot).service == "s" + pod
            assert self.known.kind[slot] == (2 if name == "n_total" else 1)

    def teardown(self) -> None:
        if hasattr(self, "known"):
            self.known.close()
        self.folder.cleanup()


TestRestarts = Restarts.TestCase
TestRestarts.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
