"""The log's bytes of version 1, pinned: a release must read what the one before it has written.

Where one of these fails, what is written has changed. Then `wire.VERSION` goes up, and the old form
is still to be read, because logs, segments and streams of a running installation hold it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import make
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.model import wire
from watchkeeper.model.series import Kind
from watchkeeper.model.signal import NewSeries, SampleBatch, Tick

T = make.START_NS
HASH = bytes(range(16))
S = make.NS_PER_S

BATCHES: dict[str, tuple[SampleBatch, str]] = {
    "times in nanoseconds from the first, tenant and body": (
        make.samples((7, T, 1.5), (9, T + 5, -2.0), tenant="shop", body_hash=HASH),
        "01 01 01 00 02000000 00002a36fe9c9717 0400 1000 00000000"
        "000000000000f83f 00000000000000c0 00000000 05000000 07000000 09000000"
        "73686f70 000102030405060708090a0b0c0d0e0f",
    ),
    "one time for all": (
        make.samples((7, T, 1.5), (9, T, -2.0)),
        "01 01 00 00 02000000 00002a36fe9c9717 0700 0000 00000000"
        "000000000000f83f 00000000000000c0 07000000 09000000 64656661756c74",
    ),
    "times in milliseconds from the first": (
        make.samples((7, T, 1.5), (9, T + 3 * S, -2.0)),
        "01 01 02 00 02000000 00002a36fe9c9717 0700 0000 00000000"
        "000000000000f83f 00000000000000c0 00000000 b80b0000 07000000 09000000 64656661756c74",
    ),
    "times as they are": (
        make.samples((7, T, 1.5), (9, T + 3 * S + 1, -2.0)),
        "01 01 03 00 02000000 0000000000000000 0700 0000 00000000"
        "000000000000f83f 00000000000000c0 00002a36fe9c9717 015efae8fe9c9717"
        "07000000 09000000 64656661756c74",
    ),
}
SERIES = (
    make.new_series(4, make.labels("up", job="api"), kind=Kind.COUNTER),
    "01 02 0700 01000000 1c00000000000000 06000000 00000000"  # sizes, then columns
    "0500000000000000 0100000000000000 0400000000000000 1c000000 04000000 00000000 ffffffff 02 00"
    "64656661756c74 9194a0a0a0a0"  # the tenant, the entities
    "0a0e0a085f5f6e616d655f5f12027570 0a0a0a036a6f621203617069"
    "00000000000000000000000000000000",
)
TICK = (Tick(T), "01 03 000000000000 00002a36fe9c9717")


def pinned(text: str) -> bytes:
    return bytes.fromhex(text)


def columns(record: Any) -> dict[str, Any]:
    """All of a batch, arrays as lists."""
    fields = {name: getattr(record, name) for name in ("tenant", "body_hash")}
    arrays = {name: getattr(record, name).tolist() for name in ("slot", "time_ns", "value")}
    return {**fields, **arrays}


@pytest.mark.parametrize("case", sorted(BATCHES))
def test_a_batch_is_written_as_version_one_was(case: str) -> None:
    batch, text = BATCHES[case]

    assert wire.encode(batch).hex() == pinned(text).hex()


@pytest.mark.parametrize("case", sorted(BATCHES))
def test_a_batch_of_version_one_is_read(case: str) -> None:
    batch, text = BATCHES[case]

    assert columns(wire.decode(pinned(text))) == columns(batch)


def test_new_series_are_written_as_version_one_was() -> None:
    record, text = SERIES

    assert wire.encode(record).hex() == pinned(text).hex()


def test_new_series_of_version_one_are_read() -> None:
    record, text = SERIES

    back = wire.decode(pinned(text))

    assert isinstance(back, NewSeries)
    assert make.read_labels(back.labels, 0) == make.read_labels(record.labels, 0)
    assert (back.tenant, back.entities) == (record.tenant, record.entities)
    for name in ("slot", "identity", "role", "kind", "partition", "entity", "donor"):
        assert getattr(back, name).tolist() == getattr(record, name).tolist(), name


def test_a_tick_is_written_and_read_as_version_one_was() -> None:
    record, text = TICK

    assert wire.encode(record).hex() == pinned(text).hex()
    assert wire.decode(pinned(text)) == record


@pytest.mark.parametrize("text", [SERIES[1], TICK[1], *(text for _, text in BATCHES.values())])
@pytest.mark.parametrize("version", [0, 2, 255])
def test_any_other_version_is_refused_and_not_guessed_at(text: str, version: int) -> None:
    payload = bytearray(pinned(text))
    payload[0] = version

    with pytest.raises(Permanent, match=f"version {version}, this release reads version 1"):
        wire.decode(payload)


@pytest.mark.parametrize("size", range(8))
def test_fewer_bytes_than_a_head_are_no_record(size: int) -> None:
    with pytest.raises(BadInput, match=f"{size} bytes are no record"):
        wire.kind_of(pinned(TICK[1])[:size])


@pytest.mark.parametrize("n_tenant", [0, 1, 300, 65_535])
def test_a_tenant_of_any_length_that_fits_comes_back(n_tenant: int) -> None:
    batch = make.samples((1, T, 1.0), tenant="t" * n_tenant)

    assert columns(wire.decode(wire.encode(batch))) == columns(batch)


@pytest.mark.parametrize(
    ("times", "form"),
    [
        ([T, T], 0),
        ([T, T + 2**31 - 1], 1),
        ([T, T - 2**31], 1),
        ([T, T + 2**31], 3),
        ([T, T + (2**31 - 1) * 10**6], 2),
        ([T, T - 2**31 * 10**6], 2),
        ([T, T + 2**31 * 10**6], 3),
        ([T, T + 3 * S + 1], 3),
        ([-(2**63), 2**63 - 1], 1),  # the difference wraps to -1, and wraps back
        ([2**63 - 1, -(2**63)], 1),
    ],
)
def test_times_take_the_narrowest_form_at_its_very_edge(times: list[int], form: int) -> None:
    packed = np.array(times, np.int64)

    found, base, narrow = wire.pack_times(packed)
    back, _ = wire.unpack_times(found, base, len(times), narrow.tobytes(), 0)

    assert found == form
    assert back.tolist() == times


def test_no_times_take_no_room() -> None:
    form, base, narrow = wire.pack_times(np.empty(0, np.int64))

    assert (form, base, narrow.nbytes) == (0, 0, 0)
