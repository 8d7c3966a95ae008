"""What several threads may read first at the same moment is known to msgspec before."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

RACE = textwrap.dedent("""
    import sys, threading
    sys.setswitchinterval(1e-6)
    together = threading.Barrier(4)
    def read():
        together.wait()
        {read}
    threads = [threading.Thread(target=read) for _ in range(4)]
    for one in threads: one.start()
    for one in threads: one.join()
""")
SETTINGS = b'{"sensitivity":"low","classes":{"latency":{"sensitivity":"low"}}}'
PAGE = b'{"items":[],"cursor":null}'


@pytest.mark.parametrize(
    ("learnt", "reads"),
    [
        (
            "from watchkeeper.analyze.detection_config import DOCUMENTS",
            f"DOCUMENTS.decode({SETTINGS!r})",
        ),
        (
            "from watchkeeper.sdk import answers, reading",
            f"reading.read({PAGE!r}, answers.AnomalyPage)",
        ),
    ],
    ids=["settings", "answers"],
)
def test_threads_that_read_first_at_the_same_moment_all_read(learnt: str, reads: str) -> None:
    race = learnt + RACE.replace("{read}", reads)

    done = subprocess.run([sys.executable, "-c", race], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
