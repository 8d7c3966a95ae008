"""Real senders show a key to a server that asks everybody; over its limit, they lose nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from bench import client, peers
from bench.peers import Recipe, Server
from tests.integration.conftest import Start
from tests.integration.test_prometheus_client import counter
from tests.integration.test_secrets import new_key
from watchkeeper.sdk import Client

ASKS_EVERYBODY: dict[str, object] = {"auth": {"anonymous": "never"}}


@pytest.fixture
def asking(start: Start) -> Server:
    return start(ASKS_EVERYBODY)


def key(tmp_path: Path, *words: str) -> str:
    made: str = new_key(tmp_path / "watchkeeper" / "data", *words)["key"]
    return made


def is_there(server: Server, reader: str, selector: str) -> bool:
    with Client(f"http://{client.HOST}:{server.port}", api_key=reader) as asked:
        return bool(asked.query(selector))


def prometheus(server: Server, program: Path, folder: Path, shown: dict[str, object]) -> Server:
    """Scrapes itself every second, and sends that to us."""
    folder.mkdir()
    port = peers.free_port()
    address = f"{client.HOST}:{port}"
    remote = {
        "url": f"http://{client.HOST}:{server.port}/api/v1/write",
        "queue_config": {"batch_send_deadline": "200ms", "min_backoff": "30ms"},
        "metadata_config": {"send_interval": "1s"},
        **shown,
    }
    job = {"job_name": "self", "static_configs": [{"targets": [address]}]}
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
    asking: Server, tmp_path: Path, program: Callable[[str], Path]
) -> None:
    limited = key(tmp_path, "--scope", "write:metrics", "--requests-per-s", "0.5")
    reader = key(tmp_path, "--role", "viewer")
    shown: dict[str, object] = {"authorization": {"credentials": limited}}

    def said(name: str) -> float:
        text = client.get(sender.port, "/metrics").decode()
        return counter(text, f"prometheus_remote_storage_{name}_total")

    with prometheus(asking, program("prometheus"), tmp_path / "prometheus", shown) as sender:
        sender.wait_ready()
        assert client.wait_until(lambda: said("samples_retried") > 0, timeout_s=90, every_s=0.5)
        assert said("samples_dropped") == said("samples_failed") == 0
        assert is_there(asking, reader, 'up{job="self"}')


def test_prometheus_with_a_key_as_its_password_is_let_in(
    asking: Server, tmp_path: Path, program: Callable[[str], Path]
) -> None:
    writer = key(tmp_path, "--scope", "write:metrics")
    reader = key(tmp_path, "--role", "viewer")
    shown: dict[str, object] = {"basic_auth": {"username": "prometheus", "password": writer}}

    with prometheus(asking, program("prometheus"), tmp_path / "prometheus", shown) as sender:
        sender.wait_ready()

        assert client.wait_until(
            lambda: is_there(asking, reader, 'up{job="self"}'), timeout_s=60, every_s=0.5
        )


@pytest.mark.parametrize(("scope", "is_taken"), [("write:metrics", True), ("write:logs", False)])
def test_the_real_sdk_shows_its_key_in_the_header_that_collectors_use(
    asking: Server, tmp_path: Path, scope: str, is_taken: bool
) -> None:
    exporter = OTLPMetricExporter(
        endpoint=f"http://{client.HOST}:{asking.port}/v1/metrics",
        headers={"api-key": key(tmp_path, "--scope", scope)},
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider(metric_readers=[reader])
    provider.get_meter("shop").create_counter("shop.orders").add(3)

    provider.force_flush()
    provider.shutdown()

    assert is_there(asking, key(tmp_path, "--role", "viewer"), "shop_orders_total") == is_taken
