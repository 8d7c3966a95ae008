"""What tests of templates share: lines with words that are values, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st

from watchkeeper.analyze.template_groups import TemplatesConfig
from watchkeeper.analyze.templates import Templates
from watchkeeper.model.row import Origin, texts
from watchkeeper.model.series import DEFAULT_TENANT, Entity, TenantId
from watchkeeper.model.signal import LogBatch
from watchkeeper.model.template import fingerprints

S: Final = 1_000_000_000
SHOP: Final = "shop"
NAMES: Final = ("ann", "bob", "cyd", "dan", "eve", "fay", "gus", "7", "x9")

LINES: Final = st.builds(
    "{} {} {} {}".format,
    st.sampled_from(["login of", "logout of", "disk", "/var/log", "()", "héllo"]),
    st.sampled_from(NAMES),
    st.sampled_from(["from the host", "at Mon Jun 7", "failed:", ""]),
    st.sampled_from(NAMES),
)


def batch(
    lines: Sequence[str],
    *,
    service: str = SHOP,
    tenant: str = DEFAULT_TENANT,
    time_ns: int = S,
) -> LogBatch:
    """Lines of one service, a nanosecond after each other."""
    n = len(lines)
    body = texts(line.encode() for line in lines)
    return LogBatch(
        origins=(Origin((), Entity(service)),),
        origin=np.zeros(n, np.int32),
        time_ns=np.arange(time_ns, time_ns + n, dtype=np.int64),
        severity=np.zeros(n, np.uint8),
        trace=np.zeros((n, 2), np.uint64),
        span=np.zeros(n, np.uint64),
        template=fingerprints(body),
        body=body,
        attributes=texts([b""] * n),
        tenant=TenantId(tenant),
    )


def templates(**settings: Any) -> Templates:
    """All services are of partition 3."""
    return Templates(TemplatesConfig(**settings), lambda _tenant, _service: 3)


def learned(*runs: Sequence[str], **settings: Any) -> Templates:
    """After these lines, compared once behind each run."""
    made = templates(**settings)
    for number, lines in enumerate(runs, 1):
        made.take(batch(lines))
        made.tick(100 * number * S)
    return made


def shown(made: Templates) -> dict[str, int]:
    """Texts of templates, with how many lines each has."""
    return {one.text: one.n_lines for one in made.templates(DEFAULT_TENANT)}
