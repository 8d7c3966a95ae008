"""Whose data a request is about: decided once, by the gateway, before any route sees it."""

from __future__ import annotations

from fastapi import Request

from watchkeeper.api.gateway.admission import ADMITTED, Admitted
from watchkeeper.model.series import TenantId


def admitted(request: Request) -> Admitted:
    """Who asks, and for whom. A request that came past the gateway has neither, and fails."""
    found: Admitted = request.scope[ADMITTED]
    return found


def tenant_of(request: Request) -> TenantId:
    """The one tenant that this request may read or write."""
    return admitted(request).tenant
