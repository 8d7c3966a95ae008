"""A Redis of one's own: on 127.0.0.1, on a free port, in a folder of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers import free_port


@contextmanager
def redis_server(
    program: Path, folder: Path, *settings: str, killed: bool = False
) -> Iterator[str]:
    """A Redis that syncs every write; its URL. `settings` come last: `--requirepass`, `secret`.
    `killed`: it ends without a chance to put anything in order."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    where = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    server = subprocess.Popen(
        [str(program), *where, *durable, *settings], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        said: list[str] = []
        for line in server.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                break
        else:
            raise AssertionError(f"redis-server did not start:\n{''.join(said)}")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        if killed:
            server.kill()
        else:
            server.terminate()
        server.communicate(timeout=20)
