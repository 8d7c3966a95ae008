"""The audit trail: one entry per change of state, each sealed onto the one before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from watchkeeper.model.series import TenantId

NO_HASH: Final = "0" * 64
"""What the first entry is sealed onto."""


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did, before it has its place in the trail."""

    principal: str
    action: str
    """A noun and a verb: `key.create`, `user.disable`."""
    target: str
    tenant: TenantId
    """Whose state was changed; the installation's, if no tenant's."""
    before: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    """What changed, in few words, without secrets."""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An act at its place. `hash` covers everything else, so nothing can be changed unseen but the
    newest entries as a whole."""

    position: int
    """1 for the first, without gaps."""
    time_ns: int
    act: Act
    previous: str
    """The hash of the entry before."""
    hash: str
