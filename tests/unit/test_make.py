"""The builders say what they were told."""

from __future__ import annotations

from tests import make


def test_label_block_reads_back_in_its_order_with_duplicates() -> None:
    pairs = [("b", "x" * 300), ("a", ""), ("a", "ü")]

    block = make.label_block(make.labels("up"), pairs)

    assert make.read_labels(block, 0) == [("__name__", "up")]
    assert make.read_labels(block, 1) == pairs


def test_wire_gives_equal_keys_to_equal_labels_only() -> None:
    same, other = make.labels("up", job="a"), make.labels("up", job="b")

    wire = make.wire([same, other, same], [(0, make.START_NS, 1.0)])

    assert tuple(wire.key[0]) == tuple(wire.key[2])
    assert tuple(wire.key[0]) != tuple(wire.key[1])
