"""Runs of an evaluation, made up or real, in which time passes as it is told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from watchkeeper.evaluate.commands_stage import Interrupts
from watchkeeper.evaluate.course_stage import Asked, Course
from watchkeeper.evaluate.records import Attempt, Found, Outcome, Run, Usage
from watchkeeper.evaluate.scenarios import Scenario, Truth
from watchkeeper.evaluate.watch_stage import CPU, MEMORY, Watch
from watchkeeper.sdk import Client

BEGIN_S = 1_700_000_000.0


def moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def failing_answers(at_s: float, services: Sequence[str]) -> tuple[float, dict[str, Any]]:
    """A trace that failed at a time, in one service after the other."""
    spans = [
        {
            "name": "GET /",
            "start": moment(at_s + number / 10).isoformat(),
            "duration_ms": 1.0,
            "service": service,
            "status": "error",
        }
        for number, service in enumerate(services)
    ]
    head = {"trace_id": "7", "root": {}, "start": spans[0]["start"], "duration_ms": 9.0}
    return at_s, {**head, "n_spans": len(spans), "spans": spans}


def attempt(name: str = "slow payment", at_s: float = 100.0, **other: Any) -> Attempt:
    """A fault from so long after the beginning on: a minute, and a minute to recover."""
    made: dict[str, Any] = {
        "scenario": name,
        "services": ("payment",),
        "kind": "delay",
        "fault_free": False,
        "intensity": 0.5,
        "outcome": Outcome.MANIFESTED,
        "begun_s": BEGIN_S + at_s,
        "started_s": BEGIN_S + at_s + 2,
        "stopped_s": BEGIN_S + at_s + 62,
        "ended_s": BEGIN_S + at_s + 122,
    }
    return Attempt(**{**made, **other})


def calm(name: str = "deploy", at_s: float = 100.0) -> Attempt:
    return attempt(name, at_s, fault_free=True, services=(), kind="")


def page(at_s: float, service: str = "payment", **other: Any) -> Found:
    """What could be read as a page so long after the beginning."""
    made: dict[str, Any] = {
        "id": f"{service}-{at_s}",
        "service": service,
        "metric": "errors",
        "detector": "symptoms",
        "severity": "page",
        "started_s": BEGIN_S + at_s,
        "seen_s": BEGIN_S + at_s,
        "paged_s": BEGIN_S + at_s,
        "p_value": 1e-9,
        "deviation": 3.0,
        "explanation": f"errors of {service}",
    }
    return Found(**{**made, **other})


def run(*attempts: Attempt, pages: Sequence[Found] = (), **other: Any) -> Run:
    """An hour, of which the first minute is for warming up."""
    made: dict[str, Any] = {
        "server": "http://watchkeeper.test",
        "seed": 1,
        "number": 1,
        "begun_s": BEGIN_S,
        "warmed_s": BEGIN_S + 60,
        "ended_s": BEGIN_S + 3660,
        "grace_s": 60.0,
        "attempts": attempts,
        "found": tuple(pages),
        "usage": (Usage(BEGIN_S + 60, 10.0, 5e8), Usage(BEGIN_S + 160, 30.0, 6e8)),
    }
    return Run(**{**made, **other})


@dataclass
class Hurry:
    """A pace by which nobody waits; `passing` is told of each second."""

    at_s: float = BEGIN_S
    passing: Callable[[float], None] = lambda _: None

    def now_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds
        self.passing(self.at_s)


@dataclass
class House:
    """A system that is broken by a file, and what a server tells of it over HTTP: a page of it,
    ten seconds after the file came."""

    folder: Path
    pace: Hurry = field(default_factory=Hurry)
    service: str = "payment"
    broken_s: float | None = None
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: bool = True
    said: list[str] = field(default_factory=list)
    traces: tuple[float, dict[str, Any]] | None = None
    """A trace that failed, and when."""
    looked: list[tuple[float, float]] = field(default_factory=list)
    """Where somebody looked for traces."""

    def __post_init__(self) -> None:
        self.pace.passing = self._pass

    @property
    def file(self) -> Path:
        return self.folder / "broken"

    def course(self, *scenarios: Scenario, **asked: Any) -> Course:
        """A run of these, ready to go."""
        wanted: dict[str, Any] = {"seed": 1, "home": str(self.folder), "warm_up_s": 30.0, **asked}
        watch = Watch(self.client(), self.pace, self.said.append)
        return Course(Asked(scenarios, **wanted), watch, self.pace, Interrupts(), self.said.append)

    def client(self) -> Client:
        return Client("http://watchkeeper.test", transport=httpx.MockTransport(self._answer),
                      sleep=self.pace.sleep)  # fmt: skip

    def scenario(self, name: str = "broken", **other: Any) -> Scenario:
        """Touches the file, and takes it away again."""
        made: dict[str, Any] = {
            "name": name,
            "truth": Truth(self.service, "file"),
            "start": "touch {home}/broken",
            "check": "test -e {home}/broken",
            "stop": "rm -f {home}/broken",
        }
        return Scenario(**{**made, **other})

    def _pass(self, now_s: float) -> None:
        if not self.file.exists():
            self.broken_s = None
            return
        self.broken_s = self.broken_s or now_s
        if now_s - self.broken_s >= 10:
            self.raise_page(self.broken_s)

    def raise_page(self, at_s: float) -> None:
        began = moment(at_s).isoformat()
        self.told[began] = {
            "id": began, "tenant": "default", "series": "", "metric": "", "detector": "symptoms",
            "labels": {"service": self.service, "symptom": "errors"}, "service": self.service,
            "severity": "page", "status": "open", "started_at": began, "peak_at": began,
            "value": 0.5, "residual": 0.4, "expected": {"low": 0.0, "high": 0.2},
            "p_value": 1e-9, "explanation": "errors",
        }  # fmt: skip

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if not self.answers:
            return httpx.Response(503)
        if request.url.path == "/metrics":
            passed_s = self.pace.at_s - BEGIN_S
            text = f'# TYPE x gauge\n{CPU} {passed_s / 4}\n{MEMORY} 1e9\nx{{a="b c"}} NaN\n'
            return httpx.Response(200, text=text)
        if request.url.path.startswith("/api/v1/traces/") and self.traces:
            return httpx.Response(200, json=self.traces[1])
        if request.url.path == "/api/v1/traces":
            low, high = (float(request.url.params[name]) for name in ("start", "end"))
            self.looked.append((low, high))
            fits = self.traces is not None and low <= self.traces[0] < high
            return httpx.Response(200, json={"items": [self.traces[1]] if fits else []})
        return httpx.Response(200, json={"items": list(self.told.values()), "cursor": None})
