"""How much the catalog may grow, and what senders are told when it may not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from watchkeeper.clock import NS_PER_S
from watchkeeper.lake import series_canon_kernel as canon
from watchkeeper.lake.series_config import CatalogConfig
from watchkeeper.model.series import I64, U8, LabelBlock
from watchkeeper.model.signal import Reject, WireSamples

_SHOWN: Final = 200
"""Characters of an offender's labels that are shown."""

_WORDS: Final[Mapping[int, tuple[str, Callable[[CatalogConfig], str]]]] = {
    canon.MALFORMED: ("malformed_labels", lambda _: "its labels cannot be read, or lack a name"),
    canon.TOO_MANY_LABELS: (
        "too_many_labels",
        lambda c: f"has more than {c.max_labels} labels (catalog.max_labels)",
    ),
    canon.TOO_LONG: (
        "label_too_long",
        lambda c: (
            f"has a label name above {c.max_name_bytes} bytes (catalog.max_name_bytes), "
            f"a value above {c.max_value_bytes} (catalog.max_value_bytes), or labels above "
            f"{c.max_series_bytes} in all (catalog.max_series_bytes)"
        ),
    ),
    canon.NOT_UTF8: ("invalid_utf8", lambda _: "has a label that is not UTF-8"),
    canon.DUPLICATE: ("duplicate_label", lambda _: "names a label twice"),
    canon.UNNAMED: ("no_metric_name", lambda _: "has no label __name__"),
    canon.TOO_MANY_SERIES: (
        "too_many_series",
        lambda c: (
            f"would be one more than the {c.max_series} that are allowed "
            "(catalog.max_series); drop labels that never repeat, or raise it"
        ),
    ),
    canon.TOO_FAST: (
        "series_rate",
        lambda c: (
            f"is new, and more than {c.new_series_per_s:g} new ones per second came "
            f"(catalog.new_series_per_s) after the first {c.new_series_burst} "
            "(catalog.new_series_burst)"
        ),
    ),
    canon.NO_ROOM: (
        "label_memory",
        lambda c: (
            f"has new label names or values, and there is no room for more of them "
            f"(catalog.label_memory_bytes: {c.label_memory_bytes}, "
            f"catalog.max_label_names: {c.max_label_names})"
        ),
    ),
}


class Budget:
    """A bucket of new series that fills with time."""

    def __init__(self, config: CatalogConfig) -> None:
        self._per_ns = config.new_series_per_s / NS_PER_S
        self._most = float(config.new_series_burst)
        self._left = self._most
        self._filled_ns = 0

    def left(self, now_ns: int) -> int:
        elapsed_ns = max(0, now_ns - self._filled_ns)
        self._filled_ns = max(now_ns, self._filled_ns)
        self._left = min(self._most, self._left + elapsed_ns * self._per_ns)
        return int(self._left)

    def spend(self, n_series: int) -> None:
        self._left -= n_series


def refusals(
    config: CatalogConfig, wire: WireSamples, rows: I64, verdict: U8, labels: LabelBlock
) -> tuple[Reject, ...]:
    """What was refused of a body, by reason; `rows` of the wire have `verdict` and `labels`."""
    by_row = np.zeros(len(wire.key), np.uint8)
    by_row[rows] = verdict
    details = [one.row for one in (wire.histograms, wire.exemplars) if one is not None]
    items = np.concatenate([wire.row, *details]) if details else wire.row
    counts = np.bincount(by_row[items], minlength=canon.N_VERDICTS)
    found = []
    for number, (reason, words) in _WORDS.items():
        offenders = np.flatnonzero(verdict == number)
        if counts[number]:
            offender = _shown(labels, int(offenders[0]))
            found.append(Reject(reason, int(counts[number]), f"{offender} {words(config)}"))
    return tuple(found)


def _shown(labels: LabelBlock, row: int) -> str:
    """A row for people, whatever state it is in: the printable part of its beginning."""
    run = labels.buffer[labels.start[row] : labels.end[row]][: 4 * _SHOWN].tobytes()
    text = "".join(c if c.isprintable() else " " for c in run.decode(errors="ignore"))
    shown = " ".join(text.split())
    return f"series '{shown[:_SHOWN]}...'" if len(shown) > _SHOWN else f"series '{shown}'"
