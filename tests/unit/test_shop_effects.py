"""What a service feels of faults: other addresses, other patience, another time, wasted means."""

from __future__ import annotations

import os
import time
from pathlib import Path

import httpx
import msgspec
import pytest

pytest.importorskip("flask")
pytest.importorskip("waitress")

from flask import Flask

from shop.effects import FOLDER, Effects, Felt, Route, Told
from shop.harm import Harm, add
from shop.plan import Plan
from shop.serve import calls
from shop.skew import shifted

NEAR = ("127.0.0.1", 1)


def told(home: Path, name: str, effects: Effects) -> Path:
    file = home / FOLDER / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(msgspec.json.encode(Told(effects)))
    return file


def test_where_nothing_is_broken_everything_is_where_it_is(tmp_path: Path) -> None:
    felt = Felt(tmp_path, "checkout")

    assert felt.address("payment", *NEAR) == NEAR
    assert (felt.timeout_s(10.0), felt.retries(), felt.ahead_s()) == (10.0, 0, 0.0)


def test_a_route_leads_astray_whom_it_names_and_whatever_it_names(tmp_path: Path) -> None:
    told(
        tmp_path,
        "one",
        Effects(
            routes=[
                Route(service="payment", host="x", port=2, caller="checkout"),
                Route(service="user", host="y", port=3),
            ]
        ),
    )

    found = {
        (caller, service): Felt(tmp_path, caller).address(service, *NEAR)
        for caller in ("checkout", "cart")
        for service in ("payment", "user", "cart")
    }

    assert found == {
        ("checkout", "payment"): ("x", 2),
        ("checkout", "user"): ("y", 3),
        ("checkout", "cart"): NEAR,
        ("cart", "payment"): NEAR,
        ("cart", "user"): ("y", 3),
        ("cart", "cart"): NEAR,
    }


def test_what_is_felt_ends_with_the_file_that_tells_of_it(tmp_path: Path) -> None:
    felt = Felt(tmp_path, "cart")
    before = felt.retries()

    file = told(tmp_path, "one", Effects(retries={"cart": 3}))
    during = felt.retries()
    file.unlink()

    assert (before, during, felt.retries()) == (0, 3, 0)


def test_of_several_faults_the_hardest_is_felt_and_clocks_add_up(tmp_path: Path) -> None:
    told(tmp_path, "a", Effects(timeout_s={"cart": 0.5}, retries={"cart": 1}, ahead_s={"cart": 60}))
    told(tmp_path, "b", Effects(timeout_s={"cart": 2.0}, retries={"cart": 4}, ahead_s={"cart": -9}))
    felt = Felt(tmp_path, "cart")

    assert (felt.timeout_s(10.0), felt.retries(), felt.ahead_s()) == (0.5, 4, 51.0)
    assert Felt(tmp_path, "user").timeout_s(10.0) == 10.0


def test_a_folder_that_rests_is_not_read_again(tmp_path: Path) -> None:
    file = told(tmp_path, "a", Effects(retries={"cart": 1}))
    felt = Felt(tmp_path, "cart")
    os.utime(file.parent, ns=(1, 1))
    first = felt.retries()

    file.write_bytes(msgspec.json.encode(Told(Effects(retries={"cart": 2}))))
    unseen = felt.retries()
    os.utime(file.parent, ns=(2, 2))

    assert (first, unseen, felt.retries()) == (1, 1, 2)


def test_half_a_file_is_none(tmp_path: Path) -> None:
    told(tmp_path, "a", Effects(retries={"cart": 1})).write_text('{"effects": {"ret')

    assert Felt(tmp_path, "cart").retries() == 0


def test_a_service_asks_where_it_is_led_and_again_as_often_as_it_is_told(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(503)

    told(
        tmp_path,
        "a",
        Effects(
            routes=[Route(service="payment", host="10.0.0.9", port=9)], retries={"checkout": 2}
        ),
    )
    plan = Plan(folder=str(tmp_path), ports={"payment": 8, "cart": 7})
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        call = calls(plan, client, Felt(tmp_path, "checkout"))
        statuses = [call("payment", "POST", "/x").status, call("cart", "GET", "/y").status]

    assert statuses == [503, 503]
    assert asked == ["http://10.0.0.9:9/x"] * 3 + ["http://127.0.0.1:7/y"] * 3


def test_a_clock_is_ahead_as_long_as_it_is_shifted() -> None:
    true_s, true_ns = time.time, time.time_ns

    with shifted(lambda: 3600.0):
        ahead_s = time.time() - true_s()
        ahead_ns = time.time_ns() - true_ns()

    assert 3599 < ahead_s < 3601
    assert 3599 < ahead_ns / 1e9 < 3601
    assert (time.time, time.time_ns) == (true_s, true_ns)


def test_threads_burn_until_they_are_told_to_stop() -> None:
    harm = Harm()

    harm.burn(2)
    burning = harm.told()["burning"]
    harm.burn(0)

    assert (burning, harm.told()["burning"]) == (2, 0)


def test_memory_leaks_up_to_a_bound_and_is_given_back() -> None:
    harm = Harm()

    harm.leak(2)
    harm.leak(3)
    harm.leak(1024)  # would be above what is ever kept
    leaked = harm.told()["leaked_mb"]
    harm.leak(0)

    assert (leaked, harm.told()["leaked_mb"]) == (5, 0)


@pytest.mark.parametrize(
    "asked", ["burn?threads=33", "burn?threads=-1", "burn?threads=x", "leak?megabytes=1025"]
)
def test_too_much_harm_is_refused_by_name(asked: str) -> None:
    app = Flask("x")
    add(app)

    answer = app.test_client().post(f"/simulate/{asked}", buffered=True)

    assert answer.status_code == 400
    assert answer.get_json()["error"]
