"""Which sources fit a selector, and for which of them each row must be asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import msgspec
import numpy as np
import pyarrow as pa

from watchkeeper.lake.series_search import fits
from watchkeeper.lake.tables.rows import Chunk, TenantOrigin
from watchkeeper.model.row import Texts
from watchkeeper.model.series import I64, Entity, Mask, Matcher, MatchOp, TenantId

FACES = tuple(one.name for one in fields(Entity))
"""Names that are looked up in the entity before the labels."""
_attributes = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True)
class Wanted:
    """The sources of a chunk whose rows may fit."""

    mask: Mask
    """(n_sources,)"""
    asked: tuple[tuple[Matcher, Mask], ...] = field(default=())
    """Matchers that the sources of the mask leave to the rows' attributes."""


def wanted(
    sources: Sequence[TenantOrigin],
    tenant: TenantId,
    matchers: Sequence[Matcher],
    *,
    has_attributes: bool = True,
) -> Wanted:
    """A name is looked up in the entity, then in the origin's labels, then in the row if it has
    attributes."""
    mask = np.array([one.tenant == tenant for one in sources], np.bool_)
    asked = []
    for matcher in matchers:
        values = [_value(one, matcher.name) for one in sources]
        left = np.array([has_attributes and not value for value in values], np.bool_)
        fits = fitting(matcher, values)
        mask &= fits | left
        if (left & mask).any():
            asked.append((matcher, left))
    return Wanted(mask, tuple(asked))


def keep_asked(chunk: Chunk, rows: I64, asked: Sequence[tuple[Matcher, Mask]]) -> I64:
    """Those of `rows` whose attributes fit where their source says nothing."""
    for matcher, left in asked:
        if not len(rows):
            return rows
        open_ = left[chunk.column("origin")[rows]]
        attributes = chunk.text("attributes")
        values = _attribute(attributes, rows[open_], matcher.name)
        keep = np.ones(len(rows), np.bool_)
        keep[open_] = fitting(matcher, values)
        rows = rows[keep]
    return rows


def _value(source: TenantOrigin, name: str) -> str:
    of_entity: str = getattr(source.origin.entity, name) if name in FACES else ""
    return of_entity or dict(source.origin.labels).get(name, "")


def _attribute(attributes: Texts, rows: I64, name: str) -> list[str]:
    """The attribute of each row; equal rows are read once."""
    known: dict[bytes, str] = {b"": ""}
    values = []
    for row in rows.tolist():
        text = attributes[row]
        value = known.get(text)
        if value is None:
            value = known[text] = _read(text).get(name, "")
        values.append(value)
    return values


def _read(text: bytes) -> dict[str, str]:
    try:
        return _attributes.decode(text)
    except msgspec.MsgspecError:
        return {}


def fitting(matcher: Matcher, values: Sequence[str]) -> Mask:
    """Which of some values a matcher takes."""
    if matcher.op in (MatchOp.EQUAL, MatchOp.NOT_EQUAL):
        same = np.array([value == matcher.value for value in values], np.bool_)
        return same if matcher.op is MatchOp.EQUAL else ~same
    found = fits(matcher, pa.array(values, pa.string()))
    return found if matcher.op is MatchOp.REGEX else ~found
