"""Keys, users and entries of the trail as people and programs are told of them: no secrets."""

from __future__ import annotations

from typing import Any

from watchkeeper.api.times import iso
from watchkeeper.model.audit import AuditEntry
from watchkeeper.model.principal import ApiKey, User


def key_to_json(key: ApiKey) -> dict[str, Any]:
    """Without its secret, and without the hash of that."""
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "scopes": sorted(key.scopes),
        "tenants": list(key.tenants),
        "requests_per_s": key.limits.requests_per_s,
        "bytes_per_s": key.limits.bytes_per_s,
        "created_at": iso(key.created_ns),
        "created_by": key.created_by,
        "expires_at": _time(key.expires_ns),
        "revoked_at": _time(key.revoked_ns),
        "used_at": _time(key.used_ns),
    }


def user_to_json(user: User) -> dict[str, Any]:
    """Without what is kept of the password."""
    return {
        "name": user.name,
        "role": user.role,
        "tenants": list(user.tenants),
        "created_at": iso(user.created_ns),
        "created_by": user.created_by,
        "disabled_at": _time(user.disabled_ns),
    }


def entry_to_json(entry: AuditEntry) -> dict[str, Any]:
    act = entry.act
    return {
        "position": entry.position,
        "time": iso(entry.time_ns),
        "principal": act.principal,
        "action": act.action,
        "target": act.target,
        "tenant": act.tenant,
        "before": dict(act.before),
        "after": dict(act.after),
        "request_id": act.request_id,
        "previous": entry.previous,
        "hash": entry.hash,
    }


def _time(time_ns: int | None) -> str | None:
    return None if time_ns is None else iso(time_ns)
