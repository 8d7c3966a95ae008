"""What the client encodes, the server's own decoder reads back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers.remote_write import RemoteWrite
from watchkeeper.sdk import TimeSeries, remote_write
from watchkeeper.sdk.series import count

RECEIVER = RemoteWrite()
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300)
SERIES = st.builds(
    lambda labels, rows: series({"__name__": "metric", **labels}, rows),
    st.dictionaries(NAMES, NAMES, max_size=4),
    st.lists(
        st.tuples(st.integers(1 << 35, (1 << 42) - 1), st.floats(width=64)), min_size=1, max_size=5
    ),
)


def series(labels: dict[str, str], rows: list[tuple[int, float]]) -> TimeSeries:
    time_ms, value = zip(*rows, strict=True) if rows else ((), ())
    return TimeSeries(labels, np.array(time_ms, np.int64), np.array(value, np.float64))


def read_back(body: bytes) -> list[tuple[list[tuple[str, str]], list[tuple[int, bytes]]]]:
    """(labels, samples) per run of rows; values as bytes, because NaN equals nothing."""
    wire = RECEIVER.decode(body, remote_write.HEADERS, now_ns=make.START_NS)
    rows = np.unique(wire.row)
    block = wire.describe(rows.astype(np.int64))
    found = []
    for index, row in enumerate(rows):
        chosen = wire.row == row
        times = (wire.time_ns[chosen] // 1_000_000).tolist()
        values = [value.tobytes() for value in wire.value[chosen]]
        found.append((make.read_labels(block, index), list(zip(times, values, strict=True))))
    return found


@given(st.lists(SERIES, max_size=4))
def test_what_is_encoded_is_read_back(sent: list[TimeSeries]) -> None:
    want = [
        (
            sorted(one.labels.items()),
            [(int(t), v.tobytes()) for t, v in zip(one.time_ms, one.value, strict=True)],
        )
        for one in sent
    ]

    assert read_back(remote_write.encode(sent)) == want


def test_series_without_samples_are_left_out() -> None:
    sent = [series({"__name__": "a"}, []), series({"__name__": "b"}, [(1_700_000_000_000, 1.0)])]

    assert [labels for labels, _ in read_back(remote_write.encode(sent))] == [[("__name__", "b")]]
    assert read_back(remote_write.encode([])) == []
    assert count(sent) == 1


@pytest.mark.parametrize("time_ms", [-1, 0, 1_700_000_000, (1 << 42)])
def test_a_time_that_is_not_milliseconds_is_refused(time_ms: int) -> None:
    with pytest.raises(BadInput, match=f"time {time_ms} ms is not between 1971 and 2109"):
        remote_write.encode([series({"__name__": "a"}, [(time_ms, 1.0)])])
