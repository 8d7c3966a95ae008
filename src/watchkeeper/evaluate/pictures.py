"""Pictures of runs, as small SVG that any browser draws. Shape says what colour says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import Final

from watchkeeper.evaluate.figures import Figures, standing
from watchkeeper.evaluate.matching import judge
from watchkeeper.evaluate.records import Attempt, Found, Outcome, Run

_WIDTH: Final = 960
_LEFT: Final = 190
"""Room for names."""
_ROW: Final = 18
_TOP: Final = 30
_FAULT, _FREE, _LOST, _TAIL = "#d98324", "#5a8f69", "#b9b9b9", "#f1e3d3"
_HIT, _FALSE, _LINE = "#1f4e79", "#b00020", "#1f4e79"


def timeline(run: Run) -> str:
    """A run from left to right: what was done, and what paged."""
    names = list(dict.fromkeys(attempt.scenario for attempt in run.attempts))
    judged = judge(run)
    scale = _Scale(run.begun_s, max(run.ended_s, run.begun_s + 1.0))
    parts = [_text(4, 18, "run from left to right; the pages are below")]
    for attempt in run.attempts:
        parts += _attempt(attempt, names.index(attempt.scenario), scale)
    bottom = _TOP + _ROW * len(names)
    false = {one.id for one in judged.false}
    before = {one.id for one in standing(run)}
    parts.append(_text(4, bottom + 14, "pages (cross: of no fault)"))
    for page in (one for one in run.found if one.paged_s is not None):
        colour = _LOST if page.id in before else _FALSE if page.id in false else _HIT
        parts.append(_mark(page, scale, bottom + 10, (colour, page.id in false)))
    parts += [_text(_LEFT, bottom + 40, "0 min"), _minutes(run, bottom + 40)]
    return _svg(bottom + 50, parts)


def detection_times(summary: Figures) -> str:
    """How long each scenario took to be detected, each time a point."""
    rows = [row for row in summary.rows if not row.fault_free]
    most = max((took for row in rows for took in row.detect_s), default=1.0) or 1.0
    scale = _Scale(0.0, most)
    parts = [_text(4, 18, f"seconds from the end of `start` to a page, 0 to {most:.0f}")]
    for number, row in enumerate(rows):
        y = _TOP + _ROW * number
        parts.append(_text(4, y + 13, row.scenario))
        parts.append(_line([(_LEFT, y + 9), (_WIDTH - 10, y + 9)], "#e4e4e4"))
        parts += [_dot(scale.x(took), y + 9, f"{took:.1f} s") for took in row.detect_s]
        if not row.detect_s:
            parts.append(_text(_LEFT, y + 13, "never"))
    return _svg(_TOP + _ROW * len(rows) + 10, parts)


def usage(run: Run) -> str:
    """The server's own CPU and memory in the course of a run."""
    points = run.usage
    rates = [
        (after.at_s, (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s))
        for before, after in pairwise(points)
        if after.at_s > before.at_s and after.cpu_s >= before.cpu_s
    ]
    memory = [(one.at_s, one.resident_bytes / 2**20) for one in points]
    scale = _Scale(run.begun_s, max(run.ended_s, run.begun_s + 1.0))
    parts = _course(rates, scale, _TOP, "CPU, cores")
    parts += _course(memory, scale, _TOP + 110, "memory, MiB")
    return _svg(_TOP + 220, parts)


class _Scale:
    """From values to places between the names and the right end."""

    def __init__(self, low: float, high: float) -> None:
        self._low = low
        self._per = (_WIDTH - _LEFT - 10) / (high - low)

    def x(self, value: float) -> float:
        return _LEFT + (value - self._low) * self._per


def _attempt(attempt: Attempt, number: int, scale: _Scale) -> Iterable[str]:
    y = _TOP + _ROW * number
    colour = _FREE if attempt.fault_free else _FAULT
    if attempt.outcome is not Outcome.MANIFESTED:
        colour = _LOST
    begun, stopped, ended = map(scale.x, (attempt.begun_s, attempt.stopped_s, attempt.ended_s))
    yield _text(4, y + 13, attempt.scenario)
    yield _box(stopped, y + 3, ended - stopped, _TAIL, "recovery")
    said = f"{attempt.scenario}: {attempt.outcome}, intensity {attempt.intensity:g}"
    yield _box(begun, y + 3, stopped - begun, colour, said)


def _mark(page: Found, scale: _Scale, y: float, looks: tuple[str, bool]) -> str:
    colour, is_cross = looks
    x = scale.x(page.seen_s if page.paged_s is None else page.paged_s)
    path = (
        f"M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10"
        if is_cross
        else f"M{x:.1f} {y - 6:.1f}l5 10h-10z"
    )
    title = f"<title>{escape(f'{page.service}: {page.explanation or page.metric}')}</title>"
    fill = "none" if is_cross else colour
    return f'<path d="{path}" stroke="{colour}" stroke-width="2" fill="{fill}">{title}</path>'


def _course(
    points: Sequence[tuple[float, float]], scale: _Scale, top: float, name: str
) -> list[str]:
    most = max((value for _, value in points), default=0.0)
    places = [(scale.x(at), top + 80 - 70 * (value / most if most else 0)) for at, value in points]
    axis = _line([(_LEFT, top + 80), (_WIDTH - 10, top + 80)], "#999999")
    return [_text(4, top + 20, name), _text(4, top + 36, f"0 to {most:.3g}"), axis,
            _line(places, _LINE)]  # fmt: skip


def _svg(height: float, parts: Iterable[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" '
        'font-family="sans-serif" font-size="12">'
    )
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join((head, ground, *parts, "</svg>\n"))


def _minutes(run: Run, y: float) -> str:
    said = f"{(run.ended_s - run.begun_s) / 60:.0f} min"
    return f'<text x="{_WIDTH - 10}" y="{y:.0f}" text-anchor="end">{said}</text>'


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'


def _box(x: float, y: float, width: float, colour: str, title: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.0f}" width="{max(1.0, width):.1f}" height="{_ROW - 6}" '
        f'fill="{colour}"><title>{escape(title)}</title></rect>'
    )


def _dot(x: float, y: float, title: str) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.0f}" r="4" fill="{_HIT}">'
        f"<title>{escape(title)}</title></circle>"
    )


def _line(places: Sequence[tuple[float, float]], colour: str) -> str:
    told = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{told}" fill="none" stroke="{colour}"/>'
