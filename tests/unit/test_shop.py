"""The shop's services, faults and buyers, in one process."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flask")
pytest.importorskip("waitress")

from msgspec.structs import replace

from shop import load
from shop.__main__ import above_0
from shop.database import Sqlite
from shop.faults import Faults
from shop.harm import Harm
from shop.plan import Plan, free_ports, read, write
from shop.services import NAMES
from shop.stock import Stock
from shop.supervise import configuration
from tests.middleware import Outlet
from tests.street import Street
from watchkeeper.sdk.middleware import Recorder, Settings, observe


@pytest.fixture
def street(tmp_path: Path) -> Street:
    return Street(tmp_path)


def test_every_service_says_that_it_is_well(street: Street) -> None:
    answers = {name: street.call(name, "GET", "/health") for name in NAMES}

    assert answers == {
        name: (200, {"service": name, "status": "ok", "version": "v1.0.0"}) for name in NAMES
    }


def test_a_checkout_takes_what_is_in_the_cart_from_stock(street: Street, tmp_path: Path) -> None:
    bought = street.call("gateway", "POST", "/checkout/7")

    stock = Stock(Sqlite(tmp_path / "shop.db"))
    assert bought == (200, {"items": [7, 49], "paid": True, "cents": 1000, "parcel": "P7"})
    assert [stock.left(item) for item in (7, 8, 49)] == [999_999, 1_000_000, 999_999]


def test_an_error_that_is_simulated_reaches_whoever_needs_the_answer(street: Street) -> None:
    street.call("payment", "POST", "/simulate/error?endpoint=/payment&rate=1.0")

    statuses = {
        name: street.call(name, "POST", path).status
        for name, path in [
            ("payment", "/payment/7"),
            ("checkout", "/checkout/7"),
            ("gateway", "/checkout/7"),
            ("shipping", "/shipping/7"),
        ]
    }

    assert statuses == {"payment": 500, "checkout": 502, "gateway": 502, "shipping": 200}


def test_a_message_that_cannot_be_sent_stops_no_checkout(street: Street) -> None:
    street.call("notification", "POST", "/simulate/error?endpoint=/notification&rate=1")

    assert street.call("checkout", "POST", "/checkout/7").status == 200


def test_a_delay_that_is_simulated_is_that_of_its_endpoint_until_it_is_cleared(
    street: Street,
) -> None:
    street.call("inventory", "POST", "/simulate/delay?endpoint=/inventory&duration=3000")
    for path in ("/inventory/1", "/health"):
        street.call("inventory", "GET", path)
    street.call("inventory", "DELETE", "/simulate")
    street.call("inventory", "GET", "/inventory/1")

    assert street.waited == [3.0]


@pytest.mark.parametrize(
    "asked",
    [
        "delay?endpoint=/payment&duration=-1",
        "delay?endpoint=/payment&duration=soon",
        "delay?endpoint=/payment&duration=nan",
        "delay?endpoint=payment",
        "error?endpoint=/payment&rate=1.5",
        "error",
    ],
)
def test_what_cannot_be_simulated_is_told(street: Street, asked: str) -> None:
    answer = street.call("payment", "POST", f"/simulate/{asked}")

    assert answer.status == 400
    assert answer.value["error"]
    assert street.call("payment", "POST", "/payment/7").status == 200


def test_the_nearest_endpoint_counts_and_zero_ends_a_fault() -> None:
    faults = Faults(random.Random(1))
    faults.delay("/a", 100)
    faults.delay("/a/b", 200)

    found = [faults.of(path)[0] for path in ("/a", "/a/b/c", "/ab")]
    faults.delay("/a", 0)

    assert found == [0.1, 0.2, 0.0]
    assert faults.told()["delay_s"] == {"/a/b": 0.2}


def test_errors_come_at_their_rate() -> None:
    faults = Faults(random.Random(1))
    faults.error("/payment", 0.3)

    n = sum(faults.of("/payment/1")[1] for _ in range(1000))

    assert 250 < n < 350


def test_a_checkout_is_one_trace_through_all_services(tmp_path: Path) -> None:
    outlets: dict[str, Outlet] = {}
    recorders: list[Recorder] = []

    def watch(name: str, app: Any) -> None:
        outlets[name] = Outlet()
        recorder = Recorder(Settings(name, log_level=None, flush_s=3600.0), outlets[name])
        recorders.append(recorder)
        observe(app, recorder)

    street = Street(tmp_path, watch)
    client = street.apps["gateway"].test_client()
    trace = client.post("/checkout/7", buffered=True).headers["x-trace-id"]
    for recorder in recorders:
        recorder.close()

    for name, outlet in outlets.items():
        assert bytes.fromhex(trace) in dict(outlet.came)["/v1/traces"], name


def test_stock_runs_out_and_says_so(tmp_path: Path) -> None:
    stock = Stock(Sqlite(tmp_path / "stock.db"))

    assert stock.take(3)
    assert (stock.left(3), stock.left(4), stock.left(99)) == (999_999, 1_000_000, None)
    assert not stock.take(99)


def test_buyers_come_by_the_hour_of_the_day() -> None:
    rates = [load.rate(10.0, hour / 24) for hour in range(24)]

    assert sum(rates) / 24 == pytest.approx(10.0)
    assert max(rates) == pytest.approx(16.0, rel=0.02)
    assert rates.index(max(rates)) in (14, 15)
    assert min(rates) >= 4.0


def test_buyers_come_as_often_as_the_rate_says_and_the_same_by_the_same_seed() -> None:
    plan = Plan(folder="", ports={}, per_s=10.0, day_s=100.0)

    waits = [load.wait_s(plan, 60.0, random.Random(seed)) for seed in range(2000)]
    asked = [load.asked(random.Random(seed)) for seed in range(500)]

    assert sum(waits) / 2000 == pytest.approx(1 / 16, rel=0.1)
    assert asked == [load.asked(random.Random(seed)) for seed in range(500)]
    assert {path.split("/")[1] for _, path in asked} == {"inventory", "cart", "checkout"}


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "many"])
def test_a_day_without_time_or_buyers_cannot_be(given: str) -> None:
    with pytest.raises(ValueError, match=r"^$|could not convert"):
        above_0(given)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = Plan(folder=str(tmp_path), ports=free_ports(NAMES), watchkeeper="http://x:1", per_s=3.0)

    write(plan, tmp_path / "plan.json")

    assert read(tmp_path / "plan.json") == plan
    assert len(set(plan.ports.values())) == len(NAMES)


def test_the_supervisor_runs_every_service_and_listens_in_its_folder_alone() -> None:
    plan = Plan(folder="/tmp/x%", ports=free_ports(NAMES))

    text = configuration(plan)

    assert [f"[program:{name}]" in text for name in (*NAMES, "load")] == [True] * 9
    assert "inet_http_server" not in text
    assert "file=/tmp/x%%/supervisor.sock" in text
    assert "[program:load]" not in configuration(replace(plan, load=False))


def test_burning_may_end_while_it_begins() -> None:
    harm = Harm()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(harm.burn, [2, 0] * 5))
    harm.burn(0)

    assert harm.told()["burning"] == 0
