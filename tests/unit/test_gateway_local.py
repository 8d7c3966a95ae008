"""Who needs no credentials: programs on this machine, and nobody who only seems to be one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fronts import api
from watchkeeper.api.auth import AuthConfig
from watchkeeper.api.gateway.admission import Asked, is_local, is_loopback

PATH = "/api/v1/keys"
"""For admins alone, which is what `local` is."""


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_needs_no_key(tmp_path: Path, peer: str) -> None:
    async with api(tmp_path, peer=peer) as one:
        assert (await one.http.get(PATH)).status_code == 200


@pytest.mark.parametrize("peer", ["192.0.2.1", "10.0.0.1", "::2", "::ffff:10.0.0.1", "", "x"])
async def test_another_machine_does(tmp_path: Path, peer: str) -> None:
    async with api(tmp_path, peer=peer) as one:
        assert (await one.http.get(PATH)).status_code == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
async def test_a_server_for_other_machines_asks_everybody(tmp_path: Path, host: str) -> None:
    async with api(tmp_path, host=host) as one:
        assert not one.front.gate.lets_local_in
        assert (await one.http.get(PATH)).status_code == 401


async def test_never_means_never(tmp_path: Path) -> None:
    async with api(tmp_path, auth=AuthConfig(anonymous="never")) as one:
        assert (await one.http.get(PATH)).status_code == 401


@pytest.mark.parametrize(
    "header",
    ["x-forwarded-for", "X-Forwarded-Host", "x-forwarded-proto", "x-real-ip", "forwarded", "via"],
)
async def test_whoever_comes_through_a_proxy_is_not_local(tmp_path: Path, header: str) -> None:
    async with api(tmp_path) as one:
        answer = await one.http.get(PATH, headers={header: "127.0.0.1"})

        assert answer.status_code == 401


async def test_a_name_that_was_pointed_at_us_is_not_local(tmp_path: Path) -> None:
    """A page may ask under its own name, after that was made to mean this machine."""
    async with api(tmp_path) as one:
        answer = await one.http.get(PATH, headers={"host": "evil.example:8100"})

        assert answer.status_code == 401


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8100", 200),
        ("http://127.0.0.1:9000", 401),
        ("https://evil.example", 401),
        ("null", 401),
    ],
)
async def test_a_page_of_another_origin_is_not_local(
    tmp_path: Path, origin: str, status: int
) -> None:
    async with api(tmp_path) as one:
        headers = {"host": "127.0.0.1:8100", "origin": origin}

        assert (await one.http.get(PATH, headers=headers)).status_code == status


async def test_what_speaks_as_proxies_do_is_not_local(tmp_path: Path) -> None:
    """HTTP/1.0 is how nginx speaks to us where nobody told it otherwise."""
    seen: list[int] = []

    async def send(message: Any) -> None:
        seen.append(message.get("status", 0))

    async with api(tmp_path) as one:
        scope = {
            "type": "http", "method": "GET", "path": PATH, "headers": [], "http_version": "1.0",
            "client": ("127.0.0.1", 1), "query_string": b"",
        }  # fmt: skip
        await one.front(scope, one.http.get, send)  # type: ignore[arg-type]  # never read from

    assert seen[0] == 401


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        (b"localhost:8100", True),
        (b"LOCALHOST", True),
        (b"[::1]:8100", True),
        (b"127.0.0.1", True),
        (b"127.0.0.1.evil.example", False),
        (b"localhost.evil.example", False),
        (b"0.0.0.0:8100", False),
        (b"[::1", False),
    ],
)
def test_a_host_is_ours_by_its_whole_name(host: bytes, is_ours: bool) -> None:
    assert is_local(Asked({b"host": host}, peer="127.0.0.1")) == is_ours


@pytest.mark.parametrize("text", ["", " ", "127", "127.0.0.1 ", "localhost.", "169.254.1.1"])
def test_what_is_no_loopback_address_is_none(text: str) -> None:
    assert not is_loopback(text)
