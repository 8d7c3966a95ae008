"""Who sends, by which protocol: when last heard of, and what of theirs was not taken, and why."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from watchkeeper.errors import BadInput, Retryable
from watchkeeper.ingest.prepare import Accepted, Request
from watchkeeper.model.series import TenantId
from watchkeeper.model.source import Source

MAX_SOURCES: Final = 1_000
"""Beyond it who was silent longest is forgotten."""
MAX_REASONS: Final = 50
_MAX_SENDER: Final = 100
_MAX_PROBLEM: Final = 500

_Key = tuple[TenantId, str, str]


@dataclass(slots=True)
class _Seen:
    """What is known of a source, as it grows."""

    first_ns: int
    last_ns: int = 0
    accepted_ns: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    problem_ns: int | None = None

    def add(self, what: str, n: int) -> None:
        self.counts[what] = self.counts.get(what, 0) + n

    def reject(self, reason: str, n: int) -> None:
        known = reason in self.rejected or len(self.rejected) < MAX_REASONS
        key = reason if known else "other"
        self.rejected[key] = self.rejected.get(key, 0) + n


class Sources:
    """Bounded, in memory, used by one thread."""

    def __init__(self) -> None:
        self._seen: OrderedDict[_Key, _Seen] = OrderedDict()

    def told(self, request: Request, outcome: Accepted | BadInput | Retryable, now_ns: int) -> None:
        """What a sender is answered."""
        seen = self._of(request, now_ns)
        seen.last_ns = now_ns
        seen.add("n_bodies", 1)
        seen.add("n_bytes", len(request.body))
        if isinstance(outcome, Accepted):
            self._accepted(seen, outcome, now_ns)
            return
        seen.add("n_put_off" if isinstance(outcome, Retryable) else "n_refused", 1)
        _problem(seen, str(outcome), now_ns)

    def of(self, tenant: TenantId | None = None) -> Sequence[Source]:
        """All of a tenant, or of everyone; who was heard of last comes first."""
        return [
            _source(key, seen)
            for key, seen in reversed(self._seen.items())
            if tenant is None or key[0] == tenant
        ]

    def _of(self, request: Request, now_ns: int) -> _Seen:
        key = (request.tenant, request.protocol, _sender(request.headers))
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = _Seen(first_ns=now_ns)
            if len(self._seen) > MAX_SOURCES:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return seen

    def _accepted(self, seen: _Seen, accepted: Accepted, now_ns: int) -> None:
        seen.add("n_accepted", accepted.n_accepted)
        seen.add("n_repeated", int(accepted.repeated))
        if accepted.n_accepted:
            seen.accepted_ns = now_ns
        for reject in accepted.rejects:
            seen.reject(reject.reason, reject.count)
            _problem(seen, f"{reject.reason}: {reject.detail}", now_ns)


def _sender(headers: Mapping[str, str]) -> str:
    return headers.get("user-agent", "")[:_MAX_SENDER]


def _problem(seen: _Seen, text: str, now_ns: int) -> None:
    seen.problem, seen.problem_ns = text[:_MAX_PROBLEM], now_ns


def _source(key: _Key, seen: _Seen) -> Source:
    tenant, protocol, sender = key
    source = Source(
        tenant=tenant,
        protocol=protocol,
        sender=sender,
        first_seen_ns=seen.first_ns,
        last_seen_ns=seen.last_ns,
        last_accepted_ns=seen.accepted_ns,
        rejected=dict(seen.rejected),
        last_problem=seen.problem,
        last_problem_ns=seen.problem_ns,
    )
    return replace(source, **seen.counts)  # type: ignore[arg-type]  # its fields of that name
