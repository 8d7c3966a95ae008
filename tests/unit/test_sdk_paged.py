"""What either client makes of answers about pages, objectives, settings and traces of anomalies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from tests.unit.test_sdk_found import Talk
from watchkeeper.errors import Permanent

AT = "2026-01-05T10:00:00Z"
WHEN = datetime(2026, 1, 5, 10, tzinfo=UTC)
RATE = {"limit": 14.4, "long": 2.0, "short": 3.0, "long_minutes": 60, "short_minutes": 5}
OBJECTIVE = {
    "service": "shop", "objective": "availability 99.9 %", "budget_left": -0.5,
    "counted_from": AT, "counted_to": AT, "burn_rates": [RATE, RATE | {"since": AT}],
}  # fmt: skip
SETTINGS = {"version": 3, "since": AT, "changed": [{"path": "a", "before": 1, "after": None}]}
WINDOW = {"match": {"a": "b"}, "from": AT, "to": None, "reason": "x", "holds": True}
VERDICT = {
    "anomaly": "a1", "verdict": "real", "by": "local", "at": AT,
    "changes": {"limit_before": 1, "limit_after": 1.8},
}  # fmt: skip
TRACE = {
    "trace_id": "7" * 32, "root": {}, "start": AT, "duration_ms": 1.5, "n_spans": 1,
    "why": ["slow"], "span": {"name": "GET /", "start": AT, "duration_ms": 1.0},
}  # fmt: skip
SERVICE = {"service": "shop", "paged": 1, "held_back": 2, "last_at": AT}
SERIES = {"series": "ab" * 16, "anomalies": 7, "evidence": 4, "last_at": AT}

READS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], str, Any]] = {
    "nobody noisy": ("noisy", (), {"since": AT}, "services", ()),
    "since when": ("noisy", (), {"since": AT}, "since", WHEN),
    "all was looked through": ("noisy", (), {"since": AT}, "complete", True),
    "a noisy service": ("noisy", (), {"since": AT, "services": [SERVICE]}, "services.0.paged", 1),
    "its last page": ("noisy", (), {"since": AT, "services": [SERVICE]}, "services.0.last_at",
                      WHEN),
    "a noisy series": ("noisy", (), {"since": AT, "series": [SERIES]}, "series.0.evidence", 4),
    "a series without labels": ("noisy", (), {"since": AT, "series": [SERIES]},
                                "series.0.labels", {}),
    "no objectives": ("slos", (), {"items": []}, "items", ()),
    "an overdrawn budget": ("slos", (), {"items": [OBJECTIVE]}, "items.0.budget_left", -0.5),
    "a rate that does not burn": ("slos", (), {"items": [OBJECTIVE]},
                                  "items.0.burn_rates.0.since", None),
    "a rate that burns": ("slos", (), {"items": [OBJECTIVE]}, "items.0.burn_rates.1.since", WHEN),
    "an objective that waits": (
        "slos", (), {"items": [], "waiting": [{"service": "a", "objective": "b"}]},
        "waiting.0.threshold_s", None,
    ),
    "settings": ("detection", (), SETTINGS, "since", WHEN),
    "a change": ("detection", (), SETTINGS, "changed.0.path", "a"),
    "a setting that is gone": ("detection", (), SETTINGS, "changed.0.after", None),
    "settings that are listed": ("detection_versions", (), {"items": [SETTINGS]}, "0.document",
                                 None),
    "a window": ("maintenance", (), {"items": [WINDOW]}, "0.from_", AT),
    "a window without an id": ("maintenance", (), {"items": [WINDOW]}, "0.id", None),
    "a time zone": ("maintenance", (), {"items": [WINDOW]}, "0.time_zone", "UTC"),
    "a verdict": ("verdicts", ("a1",), {"items": [VERDICT]}, "0.changes.limit_after", 1.8),
    "a verdict without a comment": ("verdicts", ("a1",), {"items": [VERDICT]}, "0.comment", ""),
    "traces": ("anomaly_traces", ("a1",), {"items": [TRACE]}, "items.0.why", ("slow",)),
    "the span of a trace": ("anomaly_traces", ("a1",), {"items": [TRACE]}, "items.0.span.start",
                            WHEN),
    "no exemplars": ("anomaly_traces", ("a1",), {"items": []}, "exemplars", ()),
    "an exemplar": (
        "anomaly_traces", ("a1",), {"items": [], "exemplars": [{"time": AT, "value": 2}]},
        "exemplars.0.trace_id", None,
    ),
}  # fmt: skip
WRONG: dict[str, tuple[str, tuple[Any, ...], Any]] = {
    "noisy since never": ("noisy", (), {"services": []}),
    "noisy by words": ("noisy", (), {"since": AT, "services": [SERVICE | {"paged": "often"}]}),
    "objectives without a list": ("slos", (), {}),
    "an objective without a budget": (
        "slos", (), {"items": [{k: v for k, v in OBJECTIVE.items() if k != "budget_left"}]},
    ),
    "settings without a version": ("detection", (), {"document": {}}),
    "a version in words": ("detection", (), {"version": "3"}),
    "a list of settings that is one": ("detection_versions", (), SETTINGS),
    "a window that may hold": ("maintenance", (), {"items": [WINDOW | {"holds": "perhaps"}]}),
    "a verdict without its effect": ("verdicts", ("a1",), {"items": [VERDICT | {"changes": None}]}),
    "a trace of no span": ("anomaly_traces", ("a1",), {"items": [TRACE | {"span": None}]}),
    "a list": ("slos", (), []),
    "nothing": ("noisy", (), None),
}  # fmt: skip


@pytest.fixture(params=["blocking", "awaited"])
def talk(request: pytest.FixtureRequest) -> Talk:
    return Talk(request.param)


def at(found: Any, path: str) -> Any:
    for step in path.split("."):
        found = found[int(step)] if step.isdigit() else getattr(found, step)
    return found


@pytest.mark.parametrize("case", READS)
async def test_an_answer_is_read_as_what_it_says(case: str, talk: Talk) -> None:
    name, given, answer, path, want = READS[case]
    talk.answer = httpx.Response(200, json=answer)

    assert at(await talk.call(name, *given), path) == want


@pytest.mark.parametrize("case", READS)
async def test_what_a_newer_server_adds_is_no_fault(case: str, talk: Talk) -> None:
    name, given, answer, path, want = READS[case]
    talk.answer = httpx.Response(200, json=answer | {"of_a_newer_server": [1]})

    assert at(await talk.call(name, *given), path) == want


@pytest.mark.parametrize("case", WRONG)
async def test_an_answer_that_says_something_else_is_told(case: str, talk: Talk) -> None:
    name, given, answer = WRONG[case]
    talk.answer = httpx.Response(200, content=msgspec.json.encode(answer))

    with pytest.raises(Permanent):
        await talk.call(name, *given)
