"""Settings of reading from the process that keeps telemetry."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from watchkeeper.telemetry import Secret


class RemoteConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where telemetry is asked for by a process that keeps none."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://\S+)?$",
            description="Address of the process with the part `store`, such as http://store:8100.",
        ),
    ] = ""
    key: Annotated[
        Secret | None,
        Meta(
            description="A key with the scope `internal` for all tenants; needed where that "
            "process does not take this one for a program on its own machine."
        ),
    ] = None
    timeout_s: Annotated[float, Meta(gt=0, description="How long one answer may take.")] = 60.0
