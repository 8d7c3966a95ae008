"""Loghub: lines of many systems, grouped by what the product calls them, with nothing configured.

`ga` and `fga` are means over systems, see `grouping.py`. The product's name of a line is the
template that has its fingerprint after the last line; there is one configuration for all systems,
which is none. Fingerprints alone are told beside it, and their speed.
`lines_per_s` is of one core's CPU time, and only as good as the machine is quiet.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from bench.report import print_table, progress
from quality import grouping
from quality.data import folder_for, labelled_lines
from quality.suite import Measured, Options
from watchkeeper.analyze.template_groups import Groups, TemplatesConfig
from watchkeeper.model import template
from watchkeeper.model.row import Texts, texts

TARGETS: Final = {"ga": (">=", 0.92), "fga": (">=", 0.93)}
KEPT: Final = tuple(TARGETS)
LEAST_S: Final = 0.5
"""CPU time over which speed is taken."""


def run(options: Options) -> Measured:
    """Every system by itself."""
    systems = labelled_lines(folder_for("loghub", options.data))
    n_lines = sum(len(one.lines) for one in systems)
    progress(f"loghub: {len(systems)} systems, {n_lines} lines")
    rows, scores = [], []
    for one in systems:
        fingerprints = template.fingerprints(_column(one.lines)).tolist()
        groups = _templates(fingerprints, one.lines)
        ga, fga = grouping.accuracy(groups, one.statements)
        alone = grouping.accuracy(fingerprints, one.statements)
        scores.append((ga, fga))
        n_found, n_true = len(set(groups)), len(set(one.statements))
        told = [f"{score:.3f}" for score in (ga, fga, *alone)]
        rows.append((one.name, *told, str(n_found), str(n_true)))
    print_table(("system", "GA", "FGA", "GA alone", "FGA alone", "groups", "statements"), rows)
    ga, fga = np.mean(scores, axis=0).tolist()
    speed = _lines_per_s([line for one in systems for line in one.lines], options.quick)
    return {"ga": ga, "fga": fga, "lines_per_s": speed, "points": float(n_lines)}, []


def _templates(fingerprints: list[int], lines: list[str]) -> list[int]:
    groups = Groups(TemplatesConfig())
    for fingerprint, line in zip(fingerprints, lines, strict=True):
        if not groups.knows(fingerprint):
            groups.meet(fingerprint, line)
    groups.merge()
    return [groups.template_of(fingerprint) for fingerprint in fingerprints]


def _lines_per_s(lines: list[str], quick: bool) -> float:
    content = _column(lines)
    template.fingerprints(content)  # compiles
    n, began = 0, time.process_time()
    while n == 0 or (not quick and time.process_time() - began < LEAST_S):
        template.fingerprints(content)
        n += len(lines)
    return n / (time.process_time() - began)


def _column(lines: list[str]) -> Texts:
    return texts(line.encode() for line in lines)
