"""The settings of who is let in: section `auth`. Apart from the gateway, which reads them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class AuthConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may ask without saying who they are, and how long an answer to "who is it" holds."""

    anonymous: Annotated[
        Literal["loopback", "never"],
        Meta(
            description="`loopback`: whoever asks from this machine without credentials is `local` "
            "and may do everything, if the server listens on this machine alone. Behind a proxy, "
            "say `never`."
        ),
    ] = "loopback"
    cache_s: Annotated[
        float,
        Meta(gt=0, le=300, description="A key revoked elsewhere is refused after this time."),
    ] = 5.0
    cache_keys: Annotated[
        int, Meta(ge=1, description="Credentials kept in memory; beyond it the oldest go.")
    ] = 10_000
