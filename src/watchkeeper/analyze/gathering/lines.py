"""Log lines of a table, in columns as explainers read them: a number for what lines have in common.

The text of a template is the pattern of any of its lines. It is quoted, matched, and never obeyed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from watchkeeper.analyze.gathering.spans import trace_keys
from watchkeeper.analyze.gathering.words import Words
from watchkeeper.model.case import LineColumns
from watchkeeper.model.series import I32, U64
from watchkeeper.model.signal import LogBatch
from watchkeeper.model.template import pattern

TEXTS: Final = ("body",)
_LONGEST: Final = 400
"""Of a template's text, in characters."""


class LineReader:
    """Turns batches into columns. Names are shared with whatever else is in the case."""

    def __init__(self, names: Words) -> None:
        self._names = names
        self._templates: dict[int, str] = {}

    def read(self, batches: Sequence[LogBatch]) -> LineColumns:
        """`template` is to be asked of `templated` when all is read."""
        parts = [self._columns(one) for one in batches if len(one)]
        if not parts:
            return LineColumns()
        return LineColumns(
            *(
                np.concatenate([getattr(one, name) for one in parts])
                for name in LineColumns.__dataclass_fields__
            )
        )

    def texts(self) -> tuple[str, ...]:
        """Of all templates that were met, sorted; each once."""
        return tuple(sorted(set(self._templates.values())))

    def templated(self, lines: LineColumns) -> LineColumns:
        """With places among `texts` as templates, in place of the order of coming."""
        place = {text: at for at, text in enumerate(self.texts())}
        known = [place[text] for text in self._templates.values()]
        of = np.array([*known, 0], np.int32)
        rows = {name: getattr(lines, name) for name in LineColumns.__dataclass_fields__}
        return LineColumns(**{**rows, "template": of[lines.template]})

    def _columns(self, batch: LogBatch) -> LineColumns:
        numbers = np.array(
            [self._names.number(one.entity.service) for one in batch.origins], np.int32
        )
        service = numbers[batch.origin]
        rows = np.flatnonzero(service >= 0)
        return LineColumns(
            service[rows],
            self._templates_of(batch, batch.template)[rows],
            trace_keys(batch.trace)[rows],
            batch.severity[rows],
            batch.time_ns[rows],
        )

    def _templates_of(self, batch: LogBatch, fingerprint: U64) -> I32:
        distinct, first, back = np.unique(fingerprint, return_index=True, return_inverse=True)
        numbers = {known: number for number, known in enumerate(self._templates)}
        found = np.empty(len(distinct), np.int32)
        for at, (one, row) in enumerate(zip(distinct.tolist(), first.tolist(), strict=True)):
            if one not in self._templates:
                numbers[one] = len(self._templates)
                self._templates[one] = pattern(batch.body.text(row))[:_LONGEST]
            found[at] = numbers[one]
        return found[back]
