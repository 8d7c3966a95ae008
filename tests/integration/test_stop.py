"""A real server is stopped while somebody listens to it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import httpx

from watchkeeper.cli.server import Server
from watchkeeper.sdk import Client

STOP_S = 8.0
"""Less than server.stop_s, for which whoever stays on the line would hold it."""


def listen(url: str, connected: threading.Event, heard: list[str]) -> None:
    """Have the stream of anomalies open until it ends."""
    with httpx.stream("GET", f"{url}/api/v1/anomalies/stream", timeout=60) as response:
        for line in response.iter_lines():
            heard.append(line)
            connected.set()
    heard.append("ended")


def test_an_open_stream_does_not_hold_a_stop(tmp_path: Path) -> None:
    connected, heard = threading.Event(), list[str]()
    with Server(tmp_path / "data") as server, Client(server.url) as client:
        server.wait_until_well(client)
        listener = threading.Thread(target=listen, args=(server.url, connected, heard))
        listener.start()
        assert connected.wait(10)

        began = time.monotonic()
        server.stop()
        took_s = time.monotonic() - began
        listener.join()

    said = (tmp_path / "data" / "server.log").read_text()
    assert heard == [": connected", "", "ended"]
    assert took_s < STOP_S, said
    assert "Traceback" not in said
    assert "app: stopped" in said
