"""Real senders show a key to a server that asks everybody; over its limit, they lose nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from bench import client, peers
from bench.peers import Recipe, Server
from tests.integration.test_prometheus_client import counter
from tests.integration.test_secrets import new_key
from watchkeeper.sdk import Client

ASKS_EVERYBODY: dict[str, object] = {"auth": {"anonymous": "never"}}


@dataclass(frozen=True, slots=True)
class Asking:
    """One server for all: each has keys of its own, and finds its data by a name of its own."""

    server: Server
    data_dir: Path
    reader: str

    def key(self, *words: str) -> str:
        return made(self.data_dir, *words)

    def has(self, selector: str) -> bool:
        url = f"http://{client.HOST}:{self.server.port}"
        with Client(url, api_key=self.reader) as asked:
            return bool(asked.query(selector))


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    folder = tmp_path_factory.mktemp("asking")
    with Server(peers.watchkeeper(folder, ASKS_EVERYBODY), folder, core=None) as server:
        data_dir = folder / "data"
        yield Asking(server.wait_ready(), data_dir, made(data_dir, "--role", "viewer"))


def made(data_dir: Path, *words: str) -> str:
    key: str = new_key(data_dir, *words)["key"]
    return key


def prometheus(server: Server, program: Path, folder: Path, shown: dict[str, object]) -> Server:
    """Scrapes itself every second, as a job called as its folder is, and sends that to us."""
    folder.mkdir()
    port = peers.free_port()
    address = f"{client.HOST}:{port}"
    remote = {
        "url": f"http://{client.HOST}:{server.port}/api/v1/write",
        "queue_config": {"batch_send_deadline": "200ms", "min_backoff": "30ms"},
        "metadata_config": {"send_interval": "1s"},
        **shown,
    }
    job = {"job_name": folder.name, "static_configs": [{"targets": [address]}]}
    told = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job], "remote_write": [remote]}
    settings = folder / "prometheus.yml"
    settings.write_text(yaml.safe_dump(told))
    command = [
        str(program),
        f"--config.file={settings}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    return Server(Recipe("prometheus", command, port, "/-/ready", {}), folder, core=None)


def test_prometheus_over_its_limit_sends_again_and_drops_nothing(
    asking: Asking, tmp_path: Path, program: Callable[[str], Path]
) -> None:
    limited = asking.key("--scope", "write:metrics", "--requests-per-s", "0.5")
    shown: dict[str, object] = {"authorization": {"credentials": limited}}

    def said(name: str) -> float:
        text = client.get(sender.port, "/metrics").decode()
        return counter(text, f"prometheus_remote_storage_{name}_total")

    with prometheus(asking.server, program("prometheus"), tmp_path / "limited", shown) as sender:
        sender.wait_ready()
        assert client.wait_until(lambda: said("samples_retried") > 0, timeout_s=90, every_s=0.5)
        assert said("samples_dropped") == said("samples_failed") == 0
        assert asking.has('up{job="limited"}')


def test_prometheus_with_a_key_as_its_password_is_let_in(
    asking: Asking, tmp_path: Path, program: Callable[[str], Path]
) -> None:
    writer = asking.key("--scope", "write:metrics")
    shown: dict[str, object] = {"basic_auth": {"username": "prometheus", "password": writer}}

    with prometheus(
        asking.server, program("prometheus"), tmp_path / "by_password", shown
    ) as sender:
        sender.wait_ready()

        assert client.wait_until(
            lambda: asking.has('up{job="by_password"}'), timeout_s=60, every_s=0.5
        )


@pytest.mark.parametrize(("scope", "is_taken"), [("write:metrics", True), ("write:logs", False)])
def test_the_real_sdk_shows_its_key_in_the_header_that_collectors_use(
    asking: Asking, scope: str, is_taken: bool
) -> None:
    exporter = OTLPMetricExporter(
        endpoint=f"http://{client.HOST}:{asking.server.port}/v1/metrics",
        headers={"api-key": asking.key("--scope", scope)},
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider(metric_readers=[reader])
    name = f"orders_taken_{is_taken}".lower()
    provider.get_meter("shop").create_counter(name).add(3)

    provider.force_flush()
    provider.shutdown()

    assert asking.has(f"{name}_total") == is_taken
