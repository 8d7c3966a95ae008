"""A segment: what other tools read in it, and how little of it a search looks at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests import make
from tests.disks import UnsyncedFiles
from tests.tables import CASES, NOON, ORIGINS, S, everything
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.lake.tables.definition import LOGS, Definition
from watchkeeper.lake.tables.flush import write_segments
from watchkeeper.lake.tables.head import Head
from watchkeeper.lake.tables.search import Search, SegmentPlace
from watchkeeper.lake.tables.segment import Segment
from watchkeeper.lake.tables.words import parse_text
from watchkeeper.model.row import Origin, texts
from watchkeeper.model.series import Entity, Matcher, MatchOp
from watchkeeper.model.signal import LogBatch

SMALL = replace(LOGS, group_rows=10)
SERVICES = [Origin((("pod", f"p{n}"),), Entity(f"service-{n}")) for n in range(10)]


def batch(n: int = 100) -> LogBatch:
    """Ten services with ten lines each: every service is a row group of its own."""
    number = np.arange(n)
    made = make.logs(*((NOON + i * S, 9, b"line %d of all" % i) for i in range(n)))
    return replace(
        made,
        origins=tuple(SERVICES),
        origin=(number // 10 % 10).astype(np.int32),
        trace=np.stack([number + 1, number + 1], axis=1).astype(np.uint64),
        severity=np.where(number // 10 == 3, 17, 9).astype(np.uint8),
        template=(number // 10).astype(np.uint64),
        attributes=texts(b'{"n":"%d"}' % i for i in range(n)),
    )


def written(folder: Path, rows: Any, definition: Definition[Any] = SMALL) -> Segment[Any]:
    head: Head[Any] = Head(definition, n_rows=10_000, size_bytes=1 << 26, number=1)
    head.append(rows, 1)
    (info,) = write_segments(
        UnsyncedFiles(),
        folder,
        definition,
        rows=(head.rows(head.n), head.sources),
        window_ns=10**18,
        number=lambda: 1,
    )
    return Segment(folder, info, definition)


def looked_at(segment: Segment[Any], **asked: Any) -> tuple[int, int]:
    """(rows found, rows looked at)"""
    search: Search[Any] = Search(segment.definition, everything(**asked), 10**9)
    found = search.run([SegmentPlace(segment.info.end_ns, lambda: segment)])
    return len(found.batch), search.n_scanned


@pytest.fixture
def segment(tmp_path: Path) -> Segment[Any]:
    return written(tmp_path, batch())


@pytest.mark.parametrize(
    ("asked", "found", "scanned"),
    [
        ({}, 100, 100),
        ({"matchers": (Matcher("service", MatchOp.EQUAL, "service-4"),)}, 10, 10),
        ({"matchers": (Matcher("pod", MatchOp.REGEX, "p[12]"),)}, 20, 20),
        ({"matchers": (Matcher("service", MatchOp.EQUAL, "other"),)}, 0, 0),
        ({"between": {"severity": (17, 24)}}, 10, 10),
        ({"between": {"template": (5, 5)}}, 10, 10),
        ({"among": {"template": (5, 2)}}, 20, 20),
        ({"among": {"template": (5, 10)}}, 10, 10),
        ({"among": {"span": (10, 2**64 - 1)}}, 0, 100),
        ({"start_ns": NOON + 35 * S, "end_ns": NOON + 45 * S}, 10, 20),
        ({"traces": ((51, 51),)}, 1, 10),
        ({"text": parse_text("57")}, 1, 10),
        ({"text": parse_text('"line 57"')}, 1, 10),
        ({"text": parse_text("absent")}, 0, 0),
        ({"text": parse_text("", "57 o")}, 1, 10),
        ({"text": parse_text("", "of nothing")}, 0, 0),
        ({"limit": 3}, 3, 10),
        ({"limit": 9, "before": (NOON + 20 * S, 21)}, 9, 20),
        ({"tenant": "acme"}, 0, 0),
    ],
)
def test_a_search_looks_at_row_groups_that_may_fit_alone(
    segment: Segment[Any], asked: dict[str, Any], found: int, scanned: int
) -> None:
    assert looked_at(segment, **asked) == (found, scanned)


def test_other_tools_read_whose_rows_they_are(tmp_path: Path) -> None:
    segment = written(tmp_path, batch())

    table = pq.read_table(tmp_path / segment.info.rows_name)

    assert set(table.column("tenant").to_pylist()) == {"default"}
    assert table.column("service").to_pylist() == [f"service-{n // 10}" for n in range(100)]
    assert table.column("labels")[0].as_py() == '{"pod":"p0"}'
    assert table.column("body")[99].as_py() == b"line 99 of all"


def test_rows_lie_by_tenant_service_template_and_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    made = CASES[0].batch(*(NOON + rng.integers(0, 50, 60)).tolist(), origins=ORIGINS)

    segment = written(tmp_path, made)

    rows = segment.rows(0, segment.n_groups)
    services = [segment.sources[i].origin.entity.service for i in rows.columns["origin"]]
    keys = list(
        zip(
            services,
            rows.columns["template"].tolist(),
            rows.columns["time_ns"].tolist(),
            strict=True,
        )
    )
    assert keys == sorted(keys)


def test_long_lines_make_short_row_groups(tmp_path: Path) -> None:
    """Or reading one group would take any amount of memory."""
    made = make.logs(*((NOON + i, 9, b"x" * (3 << 20)) for i in range(12)))

    segment = written(tmp_path, made, LOGS)

    assert segment.n_groups >= 3
    assert np.diff(segment.start).max() <= 5


def test_a_segment_that_was_removed_is_read_on(tmp_path: Path) -> None:
    segment = written(tmp_path, batch())
    for name in segment.info.names:
        (tmp_path / name).unlink()

    assert looked_at(segment) == (100, 100)


def test_damage_behind_the_index_is_told_when_it_is_read(tmp_path: Path) -> None:
    segment = written(tmp_path, batch())
    path = tmp_path / segment.info.rows_name
    content = bytearray(path.read_bytes())
    for at in range(64, len(content) // 2, 5):
        content[at] ^= 0x55
    path.write_bytes(content)

    with pytest.raises(Permanent, match="restore it from a backup"):
        looked_at(Segment(tmp_path, segment.info, SMALL))


def test_a_search_that_would_look_at_too_much_names_its_remedy(segment: Segment[Any]) -> None:
    search: Search[Any] = Search(SMALL, everything(), 99)

    with pytest.raises(BadInput, match=r"logs\.scan_rows.*narrow"):
        search.run([SegmentPlace(segment.info.end_ns, lambda: segment)])


def test_segments_that_are_too_old_to_matter_are_never_opened(segment: Segment[Any]) -> None:
    def opened() -> Segment[Any]:
        raise AssertionError("opened")

    search: Search[Any] = Search(SMALL, everything(limit=5), 10**9)
    found = search.run(
        [SegmentPlace(NOON - S, opened), SegmentPlace(segment.info.end_ns, lambda: segment)]
    )

    assert len(found.batch) == 5
    assert found.cursor == (NOON + 95 * S, 96)
