"""A real Prometheus scrapes, and sends us all that it scraped by remote write."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import client, peers
from bench.peers import Recipe, Server
from tests.integration.conftest import Shared, query

Rows = Mapping[tuple[tuple[str, str], ...], list[tuple[int, float]]]


@pytest.fixture
def prometheus(shared: Shared, tmp_path: Path, program: Callable[[str], Path]) -> Iterator[Server]:
    """Scrapes itself and us every second, and sends what it scraped to us."""
    folder = tmp_path / "prometheus"
    folder.mkdir()
    port = peers.free_port()
    settings = folder / "prometheus.yml"
    address = f"{client.HOST}:{port}"
    job = {"static_configs": [{"targets": [address, f"{client.HOST}:{shared.server.port}"]}]}
    remote = {
        "url": f"http://{client.HOST}:{shared.server.port}/api/v1/write",
        "queue_config": {"batch_send_deadline": "200ms"},
        "metadata_config": {"send_interval": "1s"},
    }
    settings.write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s"},
                "scrape_configs": [{"job_name": "self", **job}],
                "remote_write": [remote],
            }
        )
    )
    command = [
        str(program("prometheus")),
        f"--config.file={settings}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    recipe = Recipe("prometheus", command, port, "/-/ready", {})
    with Server(recipe, folder, core=None) as running:
        yield running.wait_ready()


def test_what_a_real_prometheus_scraped_is_read_back_sample_by_sample(
    shared: Shared, prometheus: Server
) -> None:
    server = shared.server
    assert client.wait_until(lambda: scrapes(server) >= 3, timeout_s=60, every_s=0.2), (
        f"nothing arrived; prometheus says: {prometheus.tail()}"
    )

    theirs = everything_in(prometheus)
    said = client.get(prometheus.port, "/metrics").decode()
    prometheus.stop()  # which first sends what is still in its queue

    ours = everything_in_ours(server)
    assert len(theirs) > 200
    assert set(theirs) <= set(ours)
    for labels, rows in theirs.items():
        upto = rows[-1][0]
        assert [row for row in ours[labels] if row[0] <= upto] == rows, labels

    for trouble in ("samples_failed", "samples_retried", "samples_dropped", "metadata_failed"):
        assert counter(said, f"prometheus_remote_storage_{trouble}_total") == 0


def scrapes(server: Server) -> int:
    return max((len(one["points"]) for one in query(server, 'up{job="self"}')), default=0)


def everything_in(prometheus: Server) -> Rows:
    asked = {"query": '{job="self"}[5m]'}
    answer = json.loads(client.get(prometheus.port, "/api/v1/query", asked))
    return {key(one["metric"]): rows(one["values"]) for one in answer["data"]["result"]}


def everything_in_ours(server: Server) -> Rows:
    found = query(server, '{job="self"}')
    return {key(one["labels"]): rows(one["points"]) for one in found}


def key(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def rows(points: list[list[Any]]) -> list[tuple[int, float]]:
    """Times in ms and values; a NaN is whatever equals itself here."""
    out = []
    for time_s, value in points:
        number = float(value)
        out.append((round(float(time_s) * 1000), math.inf if math.isnan(number) else number))
    return out


def counter(text: str, name: str) -> float:
    """Sum over the label sets of a counter in the text format."""
    lines = [line for line in text.splitlines() if line.startswith(name)]
    assert lines, f"{name} is not there"
    return sum(float(line.rpartition(" ")[2]) for line in lines)
