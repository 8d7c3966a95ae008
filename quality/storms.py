"""Alerts of made-up storms, put together to incidents, beside what anybody would try first.

Twenty hours of each size, with 3, 6 and 15 faults that overlap, and twenty hours without a fault.
Grouping works as it does live: message by message as they arrive, formed anew on ticks. What is
scored is which incident each firing is in at the end of its hour, with B3; a fault counts for
`representative` if a group is mostly its and has four firings of it or more.

Settings were tried on storms with seeds from 1000, 41000 and 52000; those reported have others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.report import print_table, progress
from quality import storm_maker
from quality.storm_maker import SIZES, Said, Storm
from quality.storm_score import b_cubed, found
from quality.suite import Measured, Options
from watchkeeper import plugins
from watchkeeper.analyze.correlate import CorrelateConfig, Correlator
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.alert import AlertStatus
from watchkeeper.model.incident import ComplaintKey, Incident

FIRST_SEED: Final = 31_000
TRIED_SEED: Final = 1000
N: Final = 20
TARGETS: Final = {
    "b3_f1_easy": (">=", 0.90),
    "b3_f1_medium": (">=", 0.80),
    "b3_f1_hard": (">=", 0.62),
    "representative_easy": (">=", 0.80),
    "representative_medium": (">=", 0.62),
    "representative_hard": (">=", 0.55),
    "root_kept": (">=", 0.99),
    "best_baseline_gap": (">=", 0.001),
    "quiet_largest": ("<=", 2.0),
}
KEPT: Final = (
    "b3_f1_easy",
    "b3_f1_medium",
    "b3_f1_hard",
    "root_kept",
    "representative",
    "best_baseline_gap",
)
TICK_NS: Final = 10 * NS_PER_S
AFTER_NS: Final = 1200 * NS_PER_S
"""Ticks go on for so long behind the last message."""
WINDOW_NS: Final = 300 * NS_PER_S
Groups = Sequence[Hashable]


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of a storm."""

    groups: Groups
    """Of each firing, in order of arrival."""
    incidents: Mapping[ComplaintKey, Incident]
    complaints: Sequence[ComplaintKey]


def run(options: Options) -> Measured:
    """All sizes; with `--seed 2` other storms."""
    first = TRIED_SEED if options.quick else FIRST_SEED + 1000 * (options.seed - 1)
    seeds = range(first, first + (2 if options.quick else N))
    figures: dict[str, float] = {}
    rows, by_shape, gaps, kept, n_said = [], {}, [], [], 0
    for size in SIZES:
        progress(f"storms: {size}")
        storms = [storm_maker.make(size, seed) for seed in seeds]
        scored = [_score(storm) for storm in storms]
        n_said += sum(len(firings(storm.said)) for storm in storms)
        means = {name: float(np.mean([one.f1[name] for one in scored])) for name in scored[0].f1}
        ours = means.pop("root_cover")
        figures[f"b3_f1_{size}"] = ours
        figures[f"found_{size}"] = float(np.mean([one.found for one in scored]))
        right = [hit for one in scored for hit in one.representatives]
        figures[f"representative_{size}"] = float(np.mean(right))
        gaps.append(ours - max(means.values()))
        kept += [hit for one in scored for hit in one.roots_kept]
        rows.append((size, f"{ours:.3f}", *(f"{figure:.3f}" for figure in means.values())))
        head = ("B3 F1", "root_cover", *means)
        for storm, one in zip(storms, scored, strict=True):
            for shape in (*sorted(storm.shapes), storm.family):
                by_shape.setdefault(shape, []).append((size, one.f1["root_cover"]))
    print_table(head, rows)
    _print_shapes(by_shape)
    figures["root_kept"] = float(np.mean(kept))
    figures["representative"] = float(np.mean([figures[f"representative_{s}"] for s in SIZES]))
    figures["best_baseline_gap"] = min(gaps)
    quiet = [storm_maker.quiet("medium", seed) for seed in seeds]
    figures["quiet_largest"] = float(max(largest(storm) for storm in quiet))
    figures["points"] = float(n_said)
    return figures, [f"storms: seeds {seeds.start} to {seeds.stop - 1}"]


@dataclass(frozen=True, slots=True)
class _Scored:
    f1: Mapping[str, float]
    found: float
    representatives: Sequence[bool]
    roots_kept: Sequence[bool]


def _score(storm: Storm) -> _Scored:
    fired = firings(storm.said)
    truth = [one.truth for one in fired]
    ours, theirs = (watch(storm, name) for name in ("root_cover", "dynamic_xy"))
    ways = {"root_cover": ours.groups, "dynamic_xy": theirs.groups} | trivial(fired)
    faults = range(len(storm.roots))
    return _Scored(
        {name: b_cubed(truth, groups).f1 for name, groups in ways.items()},
        found(truth, ours.groups, faults),
        _representatives(storm, fired, ours),
        [
            not ours.incidents[complaint].is_held
            for one, complaint in zip(fired, ours.complaints, strict=True)
            if one.is_root
        ],
    )


def firings(said: Sequence[Said]) -> list[Said]:
    return [one for one in said if one.alert.status is AlertStatus.FIRING]


def watch(storm: Storm, grouper: str) -> Seen:
    """As it would be live, the hour before first."""
    plugin = plugins.load("grouper", grouper)
    one = Correlator(plugin(plugin.Config()), CorrelateConfig())
    one.know(storm.topology)
    now_ns = (storm.before or storm.said)[0].arrives_ns // TICK_NS * TICK_NS
    said = [*storm.before, *storm.said]
    complaints: list[ComplaintKey] = []
    is_now: dict[ComplaintKey, ComplaintKey] = {}
    told: dict[ComplaintKey, Incident] = {}
    for at, message in enumerate(said):
        while now_ns + TICK_NS <= message.arrives_ns:
            now_ns += TICK_NS
            _note(one.tick(now_ns), told)
        sight = one.take(message.alert)
        if sight.complaint is not None and sight.absorbed is not None:
            is_now[sight.absorbed] = sight.complaint.key
        is_firing = message.alert.status is AlertStatus.FIRING
        if sight.complaint is not None and is_firing and at >= len(storm.before):
            complaints.append(sight.complaint.key)
    for _ in range(AFTER_NS // TICK_NS):
        now_ns += TICK_NS
        _note(one.tick(now_ns), told)
    keys = [is_now.get(complaint, complaint) for complaint in complaints]
    return Seen([told[key].id for key in keys], told, keys)


def _note(incidents: Sequence[Incident], told: dict[ComplaintKey, Incident]) -> None:
    """Of each complaint the incident that it was in last."""
    for incident in incidents:
        told.update((member.complaint, incident) for member in incident.members)


def trivial(fired: Sequence[Said]) -> dict[str, Groups]:
    """What anybody would try first, by time of arrival."""
    at = [one.arrives_ns for one in fired]
    sessions, session = [], 0
    for before, now in zip([at[0], *at], at, strict=False):
        session += now - before > WINDOW_NS
        sessions.append(session)
    return {
        "tumbling": [now // WINDOW_NS for now in at],
        "session": sessions,
        "by_service": [
            (_service(one), now // WINDOW_NS) for one, now in zip(fired, at, strict=True)
        ],
        "all_in_one": [0] * len(fired),
        "singletons": list(range(len(fired))),
    }


def _service(said: Said) -> str:
    return said.alert.entity.service or said.alert.entity.node


def _representatives(storm: Storm, fired: Sequence[Said], seen: Seen) -> list[bool]:
    """Of each group that is mostly a fault's, whether the fault's place speaks for it."""
    by_group: dict[Hashable, Counter[int]] = {}
    for one, group in zip(fired, seen.groups, strict=True):
        by_group.setdefault(group, Counter())[one.truth] += 1
    last = {
        seen.incidents[complaint].id: seen.incidents[complaint] for complaint in seen.complaints
    }
    found = []
    for group, counted in by_group.items():
        truth, k = counted.most_common(1)[0]
        if 0 <= truth < len(storm.roots) and k >= 4:
            found.append(last[group].spokesman.node == storm.roots[truth])
    return found


def largest(storm: Storm) -> int:
    """Different alerts in the largest incident; one that flaps is one."""
    seen = watch(storm, "root_cover")
    return max(
        len({(member.rule, member.node) for member in incident.members})
        for incident in seen.incidents.values()
    )


def _print_shapes(by_shape: Mapping[str, Sequence[tuple[str, float]]]) -> None:
    rows = []
    for name in (*storm_maker.SHAPES, *storm_maker.FAMILIES):
        of = {size: [f1 for s, f1 in by_shape.get(name, ()) if s == size] for size in SIZES}
        rows.append((name, *(f"{np.mean(f1):.3f}" if f1 else "" for f1 in of.values())))
    print_table(("B3 F1 of storms with", *SIZES), rows)
