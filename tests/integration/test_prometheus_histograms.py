"""A real Prometheus scrapes native histograms and exemplars, and sends them on to us."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from bench import client, peers
from bench.peers import Recipe, Server
from tests.integration.conftest import Shared, query

TRACE = "0af7651916cd43dd8448eb211c80319c"
DELIMITED = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def sized(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def whole(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def real(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def family(name: str, kind: int, metric: bytes) -> bytes:
    """A MetricFamily of Prometheus' own exposition format, behind its size."""
    said = sized(1, name.encode()) + sized(2, b"What it is.") + whole(3, kind) + sized(4, metric)
    return varint(len(said)) + said


def exposition(n: int) -> bytes:
    """A counter with an exemplar, and a native histogram of 3n observations up to 1 and to 2."""
    label = sized(1, sized(1, b"trace_id") + sized(2, TRACE.encode()))
    exemplar = label + real(2, 0.5)
    counter = family("calls_total", 0, sized(3, real(1, float(n)) + sized(2, exemplar)))
    buckets = sized(12, whole(1, 0) + whole(2, 2)) + whole(13, 4 * n) + whole(13, 2 * n - 1)
    histogram = whole(1, 3 * n) + real(2, 4.0 * n) + whole(5, 0) + real(6, 0.001) + buckets
    return counter + family("work_seconds", 4, sized(7, histogram))


@contextmanager
def target() -> Iterator[int]:
    """Something to scrape, which counts how often it was; its port."""
    scrapes = iter(range(1, 1_000_000))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = exposition(next(scrapes))
            self.send_response(200)
            self.send_header("content-type", DELIMITED)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the tests' own output is enough."""

    server = ThreadingHTTPServer((client.HOST, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def prometheus(binary: Path, folder: Path, scraped: int, to: Server) -> Iterator[Server]:
    folder.mkdir()
    port = peers.free_port()
    settings = folder / "prometheus.yml"
    remote = {
        "url": f"http://{client.HOST}:{to.port}/api/v1/write",
        "send_exemplars": True,
        "send_native_histograms": True,
        "queue_config": {"batch_send_deadline": "200ms"},
        "metadata_config": {"send_interval": "1s"},
    }
    job = {"job_name": "app", "static_configs": [{"targets": [f"{client.HOST}:{scraped}"]}]}
    settings.write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s"},
                "scrape_configs": [job],
                "remote_write": [remote],
            }
        )
    )
    command = [
        str(binary),
        f"--config.file={settings}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={client.HOST}:{port}",
        "--enable-feature=native-histograms,exemplar-storage",
    ]
    with Server(Recipe("prometheus", command, port, "/-/ready", {}), folder, core=None) as one:
        yield one.wait_ready()


def reading(server: Server, path: str, **asked: str) -> Any:
    return json.loads(client.get(server.port, f"/prometheus/api/v1/{path}", asked))["data"]


def test_histograms_exemplars_and_descriptions_of_a_real_prometheus_are_kept(
    shared: Shared, tmp_path: Path, program: Callable[[str], Path]
) -> None:
    server = shared.server

    def rates() -> list[float]:
        found = query(server, "work_seconds:rate")
        return [float(value) for one in found for _, value in one["points"]]

    with (
        target() as scraped,
        prometheus(program("prometheus"), tmp_path / "prometheus", scraped, server) as sender,
    ):
        came = client.wait_until(lambda: len(rates()) >= 3, timeout_s=60, every_s=0.2)
        assert came, f"nothing arrived; prometheus says: {sender.tail()}"
        said = client.get(sender.port, "/metrics").decode()

    assert all(1.0 < rate < 6.0 for rate in rates())  # three more at each scrape, once a second
    (median,) = query(server, "work_seconds:p50")
    assert {0.5 < float(value) <= 2.0 for _, value in median["points"]} == {True}

    (series,) = reading(server, "query_exemplars", query="calls_total")
    assert series["seriesLabels"]["job"] == "app"
    assert {one["labels"]["trace_id"] for one in series["exemplars"]} == {TRACE}
    assert reading(server, "metadata", metric="work_seconds") == {
        "work_seconds": [{"type": "histogram", "help": "What it is.", "unit": ""}]
    }
    for what in ("histograms", "exemplars", "samples"):
        for trouble in ("failed", "dropped"):
            name = f"prometheus_remote_storage_{what}_{trouble}_total"
            counts = [line for line in said.splitlines() if line.startswith(name + "{")]
            assert all(line.endswith(" 0") for line in counts), counts
