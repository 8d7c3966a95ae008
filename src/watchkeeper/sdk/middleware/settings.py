"""Who speaks, to whom, and how much is kept meanwhile."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from watchkeeper import __version__
from watchkeeper.errors import Permanent
from watchkeeper.sdk.address import address
from watchkeeper.sdk.middleware import otlp
from watchkeeper.sdk.rows import Label

_NAME: Final = f"watchkeeper-middleware/{__version__}"


@dataclass(frozen=True, slots=True)
class Settings:
    """`Settings("checkout")` sends to the Watchkeeper of this machine."""

    service: str
    url: str = "http://127.0.0.1:8100"
    api_key: str | None = field(default=None, repr=False)
    tenant: str | None = None
    environment: str = ""
    version: str = ""
    instance: str = ""
    """Tells this process from others of the service; its host and process id, if not given. A name
    that stays, such as host:port, lets its metrics go on after a restart."""
    labels: Mapping[str, Label] = field(default_factory=dict)
    """Where it comes from, besides."""
    flush_s: float = 1.0
    """How long spans and log lines are gathered before they are sent."""
    metrics_s: float = 10.0
    log_level: int | None = logging.INFO
    """Log lines from this level on are sent; None sends none."""
    queue: int = 20_000
    """Spans, and log lines, that wait to be encoded; beyond that the oldest are dropped."""
    pending_bytes: int = 8 << 20
    """Encoded, while the server cannot be reached; beyond that the oldest are dropped."""
    timeout_s: float = 5.0
    trace_header: str = "x-trace-id"
    """The response's header that tells the trace; empty for none."""

    def __post_init__(self) -> None:
        if address(self.url).auth is not None:
            raise Permanent("the address holds credentials; give an api_key instead")
        if not self.service:
            raise Permanent("middleware: a service needs a name; write Settings('checkout')")
        for name in ("flush_s", "metrics_s", "queue", "pending_bytes", "timeout_s"):
            if getattr(self, name) <= 0:
                given = getattr(self, name)
                raise Permanent(f"middleware: {name} is {given}; it has to be above 0")

    def resource(self) -> bytes:
        """Who speaks, as OTLP's resource."""
        host = socket.gethostname()
        said: dict[str, Label] = {
            "service.name": self.service,
            "service.instance.id": self.instance or f"{host}:{os.getpid()}",
            "host.name": host,
        }
        if self.environment:
            said["deployment.environment.name"] = self.environment
        if self.version:
            said["service.version"] = self.version
        return otlp.attributes(1, {**said, **self.labels})

    def headers(self) -> dict[str, str]:
        """Of every body."""
        found = {"content-type": "application/x-protobuf", "user-agent": _NAME}
        if self.api_key:
            found["authorization"] = f"Bearer {self.api_key}"
        if self.tenant:
            found["x-scope-orgid"] = self.tenant
        return found
