"""What tests of detectors share: columns from plain lists, and findings one can compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tests.make import NS_PER_S, START_NS
from watchkeeper import plugins
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, WORSENED, Detector, Findings, Points
from watchkeeper.analyze.detectors.dials import DialArray, plain
from watchkeeper.model.series import F64, I32, U8, Kind

MIDNIGHT_NS = START_NS - START_NS % (86_400 * NS_PER_S)
DAY = 1_440
"""Points a day, at one a minute."""


class Told(NamedTuple):
    """One finding, for tests that read stories."""

    change: str
    at: int
    """Its time in steps since the series began."""
    value: float
    severity: int


def build(name: str, capacity: int = 16, **settings: Any) -> Detector:
    detector: Detector = plugins.build("detector", {"use": name, **settings}, capacity=capacity)
    return detector


def points(
    values: Iterable[float], *, slot: int = 0, step_s: float = 60.0, start_ns: int = MIDNIGHT_NS
) -> Points:
    """A regular series."""
    value = np.array(list(values), np.float64)
    time_ns = start_ns + np.arange(len(value), dtype=np.int64) * round(step_s * NS_PER_S)
    return Points(np.full(len(value), slot, np.int32), time_ns, value)


def interleaved(*series: Points) -> Points:
    """The points of several series in order of time, as they arrive in practice."""
    order = np.argsort(np.concatenate([one.time_ns for one in series]), kind="stable")
    return chain(*series, order=order)


def chain(*parts: Points, order: np.ndarray[Any, Any] | slice = slice(None)) -> Points:
    return Points(
        np.concatenate([part.slot for part in parts])[order],
        np.concatenate([part.time_ns for part in parts])[order],
        np.concatenate([part.value for part in parts])[order],
    )


def cut(whole: Points, first: int, last: int | None = None) -> Points:
    rows = slice(first, last)
    return Points(whole.slot[rows], whole.time_ns[rows], whole.value[rows])


def pick(whole: Points, rows: Any) -> Points:
    return Points(whole.slot[rows], whole.time_ns[rows], whole.value[rows])


def kinds(n: int = 64, kind: Kind = Kind.GAUGE) -> U8:
    return np.full(n, kind, np.uint8)


def dials(n: int = 64, **turned: Any) -> DialArray:
    """The same dial for all slots: one that changes nothing, but for what is `turned`."""
    array = plain(n)
    for name, value in turned.items():
        array[name] = value
    return array


def noise(n: int, seed: int = 0, *, mean: float = 100.0, deviation: float = 1.0) -> F64:
    return mean + deviation * np.random.default_rng(seed).standard_normal(n)


def slots(*numbers: int) -> I32:
    return np.array(numbers, np.int32)


def story(findings: Findings, whole: Points) -> list[Told]:
    """Findings of one regular series in the words of a test."""
    names = {OPENED: "opened", WORSENED: "worsened", CLOSED: "closed"}
    step_ns = int(whole.time_ns[1] - whole.time_ns[0])
    return [
        Told(
            names[int(findings.change[i])],
            int((findings.time_ns[i] - whole.time_ns[0]) // step_ns),
            float(findings.value[i]),
            int(findings.severity[i]),
        )
        for i in range(len(findings))
    ]


def judged(detector: Detector, whole: Points, kind: Kind = Kind.GAUGE) -> list[Told]:
    """What a detector tells of one series from its beginning to its end."""
    return story(detector.step(whole, kinds(kind=kind), dials()), whole)


def opened(told: Sequence[Told]) -> list[int]:
    return [one.at for one in told if one.change == "opened"]


def columns(findings: Findings) -> dict[str, bytes]:
    """All of it as bytes: equal only if equal bit for bit."""
    return {
        name: getattr(findings, name).tobytes()
        for name in (
            *("slot", "started_ns", "time_ns", "change", "severity"),
            *("value", "low", "high", "p_value", "streams", "n_learned", "learning_s"),
        )
    }


def joined(parts: Sequence[Findings]) -> dict[str, bytes]:
    """The findings of batch after batch as one."""
    return {name: b"".join(columns(part)[name] for part in parts) for name in columns(parts[0])}


def state(detector: Detector, *which: int) -> dict[str, bytes]:
    """The state of some slots as bytes."""
    return {name: array.tobytes() for name, array in detector.dump(slots(*which)).items()}
