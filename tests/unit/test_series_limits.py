"""What senders are told of series that were refused: how many samples, which series, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests import make
from tests.make import NS_PER_S, START_NS
from watchkeeper.lake import series_canon_kernel as canon
from watchkeeper.lake.series_config import CatalogConfig
from watchkeeper.lake.series_limits import Budget, refusals
from watchkeeper.model.signal import Reject

Row = Mapping[str, str] | Sequence[tuple[str, str]]

CONFIG = CatalogConfig(
    max_series=11, max_labels=12, max_name_bytes=13, max_value_bytes=14, max_series_bytes=150,
    max_label_names=16, label_memory_bytes=1 << 17, new_series_per_s=18.5, new_series_burst=19,
)  # fmt: skip


def told(
    rows: Sequence[Mapping[str, str]],
    verdicts: Sequence[int],
    *,
    samples: Sequence[int] = (),
    missed: Sequence[int] = (),
) -> tuple[Reject, ...]:
    """`samples`: the row of each; one of every row unless said. `missed`: the rows looked at."""
    wire = make.wire(rows, [(row, START_NS, 1.0) for row in samples or range(len(rows))])
    looked_at = list(missed or range(len(rows)))
    block = make.label_block(*(rows[row] for row in looked_at))
    verdict = np.array([verdicts[row] for row in looked_at], np.uint8)
    return refusals(CONFIG, wire, np.array(looked_at, np.int64), verdict, block)


def rows(n: int) -> list[dict[str, str]]:
    return [make.labels("up", pod=f"pod-{k}") for k in range(n)]


def test_samples_are_counted_and_not_series() -> None:
    (reject,) = told(rows(3), [0, canon.TOO_LONG, 0], samples=[0, 1, 1, 2, 1])

    assert (reject.reason, reject.count) == ("label_too_long", 3)


def test_each_reason_is_told_once_with_its_first_offender() -> None:
    verdicts = [canon.DUPLICATE, 0, canon.UNNAMED, canon.DUPLICATE, canon.UNNAMED, canon.DUPLICATE]

    found = {reject.reason: reject for reject in told(rows(6), verdicts)}

    assert {reason: reject.count for reason, reject in found.items()} == {
        "duplicate_label": 3, "no_metric_name": 2,
    }  # fmt: skip
    assert "pod-0" in found["duplicate_label"].detail
    assert "pod-2" in found["no_metric_name"].detail


def test_rows_that_were_known_by_their_key_are_not_mistaken_for_others() -> None:
    """Only rows 1 and 3 of the body had to be looked at."""
    found = told(rows(4), [0, 0, 0, canon.NOT_UTF8], missed=[1, 3], samples=[0, 1, 2, 3, 3])

    assert [(reject.reason, reject.count) for reject in found] == [("invalid_utf8", 2)]
    assert "pod-3" in found[0].detail


def test_a_series_without_samples_is_not_worth_a_word() -> None:
    assert told(rows(2), [canon.DUPLICATE, 0], samples=[1]) == ()


def test_sound_series_are_not_told_of() -> None:
    assert told(rows(3), [0, 0, 0]) == ()


@pytest.mark.parametrize(
    ("verdict", "reason", "settings"),
    [
        (canon.MALFORMED, "malformed_labels", {}),
        (canon.TOO_MANY_LABELS, "too_many_labels", {"max_labels": 12}),
        (
            canon.TOO_LONG,
            "label_too_long",
            {"max_name_bytes": 13, "max_value_bytes": 14, "max_series_bytes": 150},
        ),
        (canon.NOT_UTF8, "invalid_utf8", {}),
        (canon.DUPLICATE, "duplicate_label", {}),
        (canon.UNNAMED, "no_metric_name", {}),
        (canon.TOO_MANY_SERIES, "too_many_series", {"max_series": 11}),
        (canon.TOO_FAST, "series_rate", {"new_series_per_s": 18.5, "new_series_burst": 19}),
        (canon.NO_ROOM, "label_memory", {"label_memory_bytes": 1 << 17, "max_label_names": 16}),
    ],
)
def test_each_refusal_names_its_settings_and_their_values(
    verdict: int, reason: str, settings: dict[str, Any]
) -> None:
    (reject,) = told(rows(1), [verdict])

    assert reject.reason == reason
    for name, value in settings.items():
        assert f"catalog.{name}" in reject.detail
        assert str(value) in reject.detail


def test_every_verdict_has_words() -> None:
    every = [verdict for verdict in range(canon.N_VERDICTS) if verdict != canon.SOUND]

    found = told(rows(len(every)), every)

    assert len({reject.reason for reject in found}) == len(every)


# How an offender is shown


def shown(row: Row) -> str:
    (reject,) = told([row], [canon.DUPLICATE])  # type: ignore[list-item]
    return reject.detail.removesuffix(" names a label twice")


def test_an_offender_is_shown_by_its_labels() -> None:
    assert shown(make.labels("up", pod="a")) == "series '__name__ up pod a'"


@pytest.mark.parametrize("size", [150, 190, 250, 5000])
def test_a_long_offender_is_shown_by_its_beginning(size: int) -> None:
    found = shown(make.labels("up", pod="x" * size))

    assert found.startswith("series '__name__ up")
    assert len(found) <= 220
    assert found.endswith("...'" if size > 190 else "'")


@pytest.mark.parametrize("value", ["\n\t\r", "\x00\x1b[31m", "\u202e", "\x7f"])
def test_what_would_spoil_a_terminal_or_a_log_is_left_out(value: str) -> None:
    found = shown(make.labels("up", pod=f"a{value}b"))

    assert found.isprintable()
    assert "\x1b" not in found
    assert found.endswith("b'")


def test_bytes_that_are_no_text_can_be_shown() -> None:
    wire = make.wire(rows(1), [(0, START_NS, 1.0)])
    block = make.label_block(rows(1)[0])
    spoilt = block.buffer.copy()
    spoilt[8:14] = 0xFF
    labels = replace(block, buffer=spoilt)

    (reject,) = refusals(CONFIG, wire, np.array([0]), np.array([canon.NOT_UTF8], np.uint8), labels)

    assert reject.detail.isprintable()
    assert "pod-0" in reject.detail


# Growth


def budget(per_s: float, burst: int) -> Budget:
    return Budget(CatalogConfig(new_series_per_s=per_s, new_series_burst=burst))


def test_a_clock_that_goes_back_gives_nothing_twice() -> None:
    bucket = budget(10.0, 100)
    assert bucket.left(START_NS) == 100
    bucket.spend(100)
    assert bucket.left(START_NS + NS_PER_S) == 10
    bucket.spend(10)

    assert bucket.left(START_NS - 100 * NS_PER_S) == 0
    assert bucket.left(START_NS + NS_PER_S) == 0
    assert bucket.left(START_NS + 2 * NS_PER_S) == 10


def test_a_slow_rate_adds_up_over_many_looks() -> None:
    """One series in ten seconds, asked for every second: fractions must not be lost."""
    bucket = budget(0.1, 1)
    bucket.left(START_NS)
    bucket.spend(1)

    looks = [bucket.left(START_NS + second * NS_PER_S) for second in range(1, 12)]

    assert (looks[8], looks[10]) == (0, 1)


def test_a_burst_is_never_exceeded_however_long_nothing_came() -> None:
    bucket = budget(1000.0, 5)
    bucket.left(START_NS)

    assert bucket.left(START_NS + 10**6 * NS_PER_S) == 5
