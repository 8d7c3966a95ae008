"""What several threads may read first at the same moment is known to msgspec before."""

from __future__ import annotations

import subprocess
import sys
import textwrap

RACE = textwrap.dedent("""
    import sys, threading
    from watchkeeper.analyze.detection_config import DOCUMENTS
    sys.setswitchinterval(1e-6)
    together = threading.Barrier(4)
    def read():
        together.wait()
        DOCUMENTS.decode(b'{"sensitivity":"low","classes":{"latency":{"sensitivity":"low"}}}')
    threads = [threading.Thread(target=read) for _ in range(4)]
    for one in threads: one.start()
    for one in threads: one.join()
""")


def test_threads_that_read_settings_first_at_the_same_moment_all_read_them() -> None:
    done = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
