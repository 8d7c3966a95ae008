"""The writer that stands for what a disk lets anybody have."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from bench import bare_writer


def test_bodies_are_due_whether_or_not_earlier_ones_are_written(tmp_path: Path) -> None:
    """With a million due a second, each sync has thousands, and each waits from its own time."""
    with bare_writer.beside(tmp_path, every_s=1e-6, n_bytes=10) as waits:
        while not waits:
            os.sched_yield()

    first, second = waits[:2]
    assert first - second == pytest.approx(1e-6, abs=1e-9)
    assert min(waits) > 0


def test_it_leaves_no_thread_and_keeps_to_its_file(tmp_path: Path) -> None:
    before = threading.enumerate()

    with bare_writer.beside(tmp_path, every_s=0.001, n_bytes=4096) as waits:
        while len(waits) < 3:
            os.sched_yield()

    assert threading.enumerate() == before
    assert [file.stat().st_size for file in tmp_path.iterdir()] == [bare_writer.FILE_BYTES]
