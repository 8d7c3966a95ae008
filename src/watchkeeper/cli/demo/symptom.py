"""What a symptom is measured by, in PromQL, over the last ten seconds."""

from __future__ import annotations

from typing import Final

from watchkeeper.cli.output import labels_text
from watchkeeper.evaluate.records import Found

REQUESTS: Final = "http_server_request_duration_seconds"
_OVER: Final = "10s"


def expression(found: Found) -> str:
    """Empty of a symptom that requests do not tell."""
    of = {"service": found.service}
    every = _rate(f"{REQUESTS}_count", of)
    match found.metric:
        case "errors":
            failed = labels_text({"__name__": f"{REQUESTS}_count", **of})
            failed = failed.removesuffix("}") + ', http_response_status_code=~"5.."}'
            return f"(sum(rate({failed}[{_OVER}])) or vector(0)) / sum({every})"
        case "latency":
            buckets = _rate(f"{REQUESTS}_bucket", of)
            return f"histogram_quantile(0.95, sum by (le) ({buckets}))"
        case "traffic" | "surge":
            return f"sum({every})"
    return ""


def _rate(metric: str, of: dict[str, str]) -> str:
    return f"rate({labels_text({'__name__': metric, **of})}[{_OVER}])"
