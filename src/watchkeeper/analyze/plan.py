"""What the detection document means for one series: its class, who judges it, and its dial."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from typing import Any, Final

import msgspec

from watchkeeper.analyze.classes import classify, per_second
from watchkeeper.analyze.detection_config import (
    CLASSES,
    DOCUMENTS,
    SPECIALISTS,
    DetectionConfig,
    DetectionRule,
    Direction,
    Judging,
    Seasonality,
    Sensitivity,
)
from watchkeeper.analyze.detectors.dials import Dial
from watchkeeper.analyze.detectors.seasons import Mode, packed, parts
from watchkeeper.analyze.detectors.zones import UTC, number_of
from watchkeeper.errors import ConfigError
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import Entity, Kind

SAMPLE_TIER: Final = "basic"
SHIFTS: Final = {Sensitivity.LOW: -1.0, Sensitivity.NORMAL: 0.0, Sensitivity.HIGH: 0.5}
"""Of the limit, in powers of ten."""
_DIRECTIONS: Final = {Direction.UP: 1, Direction.DOWN: -1, Direction.BOTH: 0}
_MODES: Final = {
    Seasonality.NONE: Mode.NONE,
    Seasonality.DAILY: Mode.DAILY,
    Seasonality.WEEKLY: Mode.WEEKLY,
}
_OF_ENTITY: Final = ("service", "environment", "node", "owner")
_CLASS: Final = "class"
MAX_DETECTORS: Final = 32
"""Of the grid: a series' are the bits of a word."""


@dataclass(frozen=True, slots=True)
class Route:
    """How one series is judged."""

    metric_class: MetricClass
    detectors: int
    """Which of the plan's `grid`, as bits."""
    dial: Dial


@dataclass(frozen=True, slots=True)
class _Rule:
    fits: Sequence[tuple[str, Callable[[str], object]]]
    said: DetectionRule


class Plan:
    """A document, checked and compiled. Pure: equal series have equal routes.

    Raises ConfigError, with the paths of all that makes no sense and the remedies.
    """

    def __init__(self, document: DetectionConfig) -> None:
        _check(document)
        self.document = document
        self.grid: tuple[str, ...] = tuple(_names(document)[1:])
        """The detectors of the grid, by name."""
        self._rules = [
            _Rule([(name, _glob(text)) for name, text in rule.match.items()], rule)
            for rule in document.rules
        ]
        self.asks_entity = any(name in _OF_ENTITY for rule in self._rules for name, _ in rule.fits)
        """Whether a route depends on whom a series speaks of."""
        self._plain = cache(self._of_class)

    def route(self, labels: Mapping[str, str], kind: Kind, entity: Entity) -> Route:
        """Of a series with these labels."""
        fitting = self.fitting(labels, kind, entity) if self._rules else ()
        said = [self._rules[number].said for number in fitting]
        told = [one.metric_class for one in said if one.metric_class is not None]
        metric_class = told[-1] if told else classify(labels, kind)
        muted = any(one.muted for one in said)
        per_s = per_second(labels.get("__name__", "")) if metric_class is _LATENCY else 1.0
        plain = self._plain(metric_class, per_s)
        return plain if not said else self._ruled(plain, said, muted=muted)

    def fitting(self, labels: Mapping[str, str], kind: Kind, entity: Entity) -> list[int]:
        """Which rules speak of a series, by their place in the document."""
        metric_class = classify(labels, kind)
        found = []
        for number, rule in enumerate(self._rules):
            if all(fits(_value(name, labels, entity, metric_class)) for name, fits in rule.fits):
                metric_class = rule.said.metric_class or metric_class
                found.append(number)
        return found

    def _of_class(self, metric_class: MetricClass, per_s: float) -> Route:
        given = self.document.classes.get(metric_class, Judging())
        of = _over(CLASSES.get(metric_class, Judging()), given)
        names = self._made_for(metric_class) if of.detectors is None else of.detectors
        dial = Dial(
            SHIFTS[self.document.sensitivity] + SHIFTS[of.sensitivity or Sensitivity.NORMAL],
            of.least_ratio or 0.0,
            (of.least_change or 0.0) * per_s,
            _DIRECTIONS[of.direction or Direction.BOTH],
            season=_season(0, of),
        )
        return Route(metric_class, self._bits(names), dial)

    def _ruled(self, plain: Route, said: Sequence[Judging], *, muted: bool) -> Route:
        of = Judging()
        for one in said:
            of = _over(of, one)
        dial = plain.dial
        if of.sensitivity is not None:
            dial = dial._replace(shift=SHIFTS[of.sensitivity])
        if of.direction is not None:
            dial = dial._replace(direction=_DIRECTIONS[of.direction])
        if of.least_ratio is not None:
            dial = dial._replace(least_ratio=of.least_ratio)
        if of.least_change is not None:
            dial = dial._replace(least_change=of.least_change)
        dial = dial._replace(season=_season(dial.season, of))
        detectors = plain.detectors if of.detectors is None else self._bits(of.detectors)
        return Route(plain.metric_class, detectors, dial._replace(muted=muted))

    def _made_for(self, metric_class: MetricClass) -> list[str]:
        return [
            name
            for name in self.grid
            if name not in SPECIALISTS or metric_class in SPECIALISTS[name]
        ]

    def _bits(self, names: Iterable[str]) -> int:
        return sum(1 << self.grid.index(name) for name in set(names) if name in self.grid)


_LATENCY: Final = MetricClass.LATENCY


def _over(under: Judging, over: Judging) -> Judging:
    """What one says, and where it says nothing, the other."""
    said: dict[str, Any] = {
        name: getattr(under if getattr(over, name) is None else over, name)
        for name in Judging.__struct_fields__
    }
    return Judging(**said)


def _season(under: int, over: Judging) -> int:
    """What one says of what repeats, and where it says nothing, what was packed before."""
    mode, zone = parts(under)
    if over.seasonality is not None:
        mode = _MODES[over.seasonality]
    if over.time_zone is not None:
        zone = number_of(over.time_zone)
    return packed(mode, zone)


def _value(name: str, labels: Mapping[str, str], entity: Entity, metric_class: MetricClass) -> str:
    if name == _CLASS:
        return metric_class
    own: str = getattr(entity, name) if name in _OF_ENTITY else ""
    return own or labels.get(name, "")


def _glob(text: str) -> Callable[[str], object]:
    if not any(sign in text for sign in "*?["):
        return text.__eq__
    return re.compile(translate(text)).match


def _names(document: DetectionConfig) -> list[str]:
    return [str(spec.get("use")) for spec in document.detectors]


def _check(document: DetectionConfig) -> None:
    """Every fault of what is well-formed in itself."""
    names = _names(document)
    faults = []
    if names and names[0] != SAMPLE_TIER:
        faults.append(
            f"detection.detectors: begins with '{names[0]}', which judges the grid that `basic` "
            "makes; put `- {use: basic}` first"
        )
    faults += [
        f"detection.detectors[{at}]: '{name}' is there already; name each once"
        for at, name in enumerate(names)
        if name in names[:at]
    ]
    if len(names) > MAX_DETECTORS:
        faults.append(f"detection.detectors: {len(names)} are too many; name {MAX_DETECTORS}")
    known = ", ".join(MetricClass)
    for name, judging in document.classes.items():
        path = f"detection.classes.{name}"
        if name not in list(MetricClass):
            faults.append(f"{path}: there is no such class; known: {known}")
        faults += _strangers(f"{path}.detectors", judging, names[1:])
        faults += _nowhere(path, judging)
    for at, rule in enumerate(document.rules):
        faults += _strangers(f"detection.rules[{at}].detectors", rule, names[1:])
        faults += _nowhere(f"detection.rules[{at}]", rule)
    if faults:
        raise ConfigError(faults)


def _strangers(path: str, judging: Judging, grid: Sequence[str]) -> list[str]:
    known = ", ".join(grid) or "none"
    return [
        f"{path}: '{name}' is none of the detectors of the grid ({known}); add "
        f"`- {{use: {name}}}` to detection.detectors"
        for name in judging.detectors or ()
        if name not in grid
    ]


def _nowhere(path: str, judging: Judging) -> list[str]:
    try:
        number_of(judging.time_zone or UTC)
    except ValueError as error:
        return [f"{path}: {error}"]
    return []


def read(content: bytes) -> DetectionConfig:
    """A document from JSON. Raises ConfigError, with the path of the fault."""
    try:
        return DOCUMENTS.decode(content)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"detection: {error}") from error
