"""Who it is: keys and passwords in every form, remembered, revoked, expired, guessed at."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from tests import gateways, make
from tests.fronts import Api, api
from tests.gateways import AWAY, CHEAP, Shown, bearer
from watchkeeper.api.app import Front
from watchkeeper.api.auth import AuthConfig
from watchkeeper.api.gateway import credentials
from watchkeeper.api.gateway.credentials import hashed, is_password, is_secret, new_key, shown
from watchkeeper.errors import Denied
from watchkeeper.model.principal import INSTALLATION, ApiKey, Role, User
from watchkeeper.telemetry import Secret

PATH = "/api/v1/anomalies"
PASSWORD = "correct horse battery"


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path, peer=AWAY) as found:
        yield found


def basic(name: str, password: str) -> dict[str, str]:
    told = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"authorization": f"Basic {told}"}


async def asked(one: Api, headers: Mapping[str, str]) -> int:
    return (await one.http.get(PATH, headers=dict(headers))).status_code


def forms(key: Shown) -> list[dict[str, str]]:
    return [
        bearer(key.text),
        {"authorization": f"bEARER {key.text}"},
        {"x-api-key": key.text},
        {"api-key": key.text},
        basic("grafana", key.text),
        basic("", key.text),
    ]


async def test_a_key_is_known_in_every_form(one: Api) -> None:
    key = await gateways.key(one)

    assert [await asked(one, form) for form in forms(key)] == [200] * 6


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wk_short"},
        {"authorization": "Digest username=x"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic /w=="},
        {"x-api-key": "wk_000000000001_" + "0" * 63},
        {"x-api-key": "wk_000000000001_" + "0" * 64 + "0"},
        {"api-key": "é"},
    ],
)
async def test_what_is_no_credential_is_refused_and_not_repeated(
    one: Api, headers: dict[str, str]
) -> None:
    answer = await one.http.get(
        PATH, headers=[(k.encode(), v.encode()) for k, v in headers.items()]
    )

    assert answer.status_code == 401
    assert "wk_0" not in answer.text


async def test_another_keys_secret_opens_nothing(one: Api) -> None:
    first, second = await gateways.key(one, 1), await gateways.key(one, 2)
    mixed = f"wk_{first.id}_{second.text.rpartition('_')[2]}"

    assert await asked(one, bearer(mixed)) == 401


async def test_wrong_credentials_do_not_become_a_local_request(tmp_path: Path) -> None:
    async with api(tmp_path) as local:
        assert await asked(local, {}) == 200
        assert await asked(local, bearer(gateways.WRONG)) == 401


# How long an answer holds


async def change(one: Api, key: Shown, **fields: int) -> None:
    """As another process would: this one is not told."""
    kept = await one.store.get(ApiKey, INSTALLATION, key.id)
    assert kept is not None
    changed: ApiKey = replace(kept, revision=kept.revision + 1, **fields)  # type: ignore[arg-type]
    await one.store.save([changed])


async def test_a_key_revoked_elsewhere_is_refused_within_the_bound(one: Api) -> None:
    key = await gateways.key(one)
    assert await asked(one, key.header) == 200
    await change(one, key, revoked_ns=1)

    one.clock.advance(AuthConfig().cache_s)

    assert await asked(one, key.header) == 401


async def test_a_key_in_use_is_asked_for_anew_before_its_time_is_over(one: Api) -> None:
    key = await gateways.key(one)
    assert await asked(one, key.header) == 200
    await change(one, key, revoked_ns=1)

    one.clock.advance(AuthConfig().cache_s * 0.85)

    assert await asked(one, key.header) == 401


async def test_a_clock_that_was_put_back_keeps_no_revoked_key_alive(one: Api) -> None:
    key = await gateways.key(one)
    assert await asked(one, key.header) == 200
    await change(one, key, revoked_ns=1)

    one.clock.advance(-3600)

    assert await asked(one, key.header) == 401


async def test_a_key_revoked_here_is_refused_at_once(one: Api) -> None:
    boss, key = await gateways.admin(one), await gateways.key(one)
    assert await asked(one, key.header) == 200

    answer = await one.http.delete(f"/api/v1/keys/{key.id}", headers=boss.header)

    assert answer.json()["revoked_at"] is not None
    assert await asked(one, key.header) == 401


async def test_a_revocation_reaches_every_server_over_one_store(one: Api) -> None:
    boss, key = await gateways.admin(one), await gateways.key(one)
    second = httpx.ASGITransport(app=cast(Any, Front(one.front.services)), client=(AWAY, 1))
    async with httpx.AsyncClient(transport=second, base_url="http://second") as other:
        before = await other.get(PATH, headers=key.header)
        await one.http.delete(f"/api/v1/keys/{key.id}", headers=boss.header)
        one.clock.advance(AuthConfig().cache_s)
        after = await other.get(PATH, headers=key.header)

    assert (before.status_code, after.status_code) == (200, 401)


async def test_nobody_behind_the_gateway_sees_a_credential(one: Api) -> None:
    key = await gateways.key(one, role=Role.OPERATOR)

    for form in forms(key):
        await one.http.post("/api/v1/write", content=b"x", headers=form)

    assert len(one.door.came) == 6
    assert key.text not in repr([request.headers for request in one.door.came])
    assert not any("authorization" in request.headers for request in one.door.came)


async def test_a_key_expires_on_time_although_it_is_remembered(one: Api) -> None:
    key = await gateways.key(one, expires_ns=make.START_NS + make.NS_PER_S)
    assert await asked(one, key.header) == 200

    one.clock.advance(1.0)

    assert await asked(one, key.header) == 401


async def test_a_use_is_noted_to_the_minute(one: Api) -> None:
    key = await gateways.key(one)
    used = []

    for _ in range(3):
        await asked(one, key.header)
        kept = await one.store.get(ApiKey, INSTALLATION, key.id)
        used.append(kept.used_ns if kept else None)
        one.clock.advance(31)

    assert used == [make.START_NS, make.START_NS, make.START_NS + 62 * make.NS_PER_S]


async def test_memory_for_credentials_is_bounded(tmp_path: Path) -> None:
    async with api(tmp_path, peer=AWAY, auth=AuthConfig(cache_keys=3)) as one:
        for number in range(1, 9):
            key = await gateways.key(one, number)
            assert await asked(one, key.header) == 200

        assert len(one.front.gate.keyring) == 3


# People


async def test_a_user_comes_in_with_the_password_alone(one: Api) -> None:
    await gateways.user(one, "ann", PASSWORD)

    assert await asked(one, basic("ann", PASSWORD)) == 200
    assert await asked(one, basic("ann", PASSWORD + "x")) == 401
    assert await asked(one, basic("bob", PASSWORD)) == 401


async def test_a_user_who_was_disabled_is_out_within_the_bound(one: Api) -> None:
    await gateways.user(one, "ann", PASSWORD)
    assert await asked(one, basic("ann", PASSWORD)) == 200
    kept = await one.store.get(User, INSTALLATION, "ann")
    assert kept is not None
    await one.store.save([replace(kept, disabled_ns=1, revision=1)])

    one.clock.advance(AuthConfig().cache_s)

    assert await asked(one, basic("ann", PASSWORD)) == 401


async def test_another_password_ends_the_former_one(one: Api) -> None:
    await gateways.user(one, "ann", PASSWORD)
    assert await asked(one, basic("ann", PASSWORD)) == 200
    await gateways.user(one, "ann", "another password", revision=1)

    one.clock.advance(AuthConfig().cache_s)

    assert await asked(one, basic("ann", PASSWORD)) == 401
    assert await asked(one, basic("ann", "another password")) == 200


async def test_guessing_a_password_is_slowed_down_and_others_are_not(one: Api) -> None:
    await gateways.user(one, "ann", PASSWORD)
    await gateways.user(one, "bob", PASSWORD)

    guesses = [await asked(one, basic("ann", f"guess {n}")) for n in range(5)]

    assert guesses == [401, 401, 429, 429, 429]
    assert await asked(one, basic("bob", PASSWORD)) == 200
    one.clock.advance(10)
    assert await asked(one, basic("ann", PASSWORD)) == 200


# Secrets


def test_a_new_key_has_256_bits_of_chance_and_is_its_own() -> None:
    made = [new_key() for _ in range(100)]

    assert len({identity for identity, _, _ in made}) == 100
    for identity, text, kept in made:
        found = shown({b"x-api-key": text.reveal().encode()})
        assert found is not None
        assert found.name == identity
        assert is_secret(found.secret, kept)
        assert len(found.secret.reveal()) == 64


def test_a_password_is_known_by_its_hash_and_salted() -> None:
    first, second = (hashed(Secret(PASSWORD), CHEAP) for _ in range(2))

    assert first != second
    assert is_password(Secret(PASSWORD), first)
    assert not is_password(Secret(PASSWORD.upper()), first)
    assert PASSWORD not in first


def test_nobodys_hash_costs_as_much_as_a_real_one() -> None:
    real = hashed(Secret(PASSWORD))

    assert credentials.NOBODY.split("$")[:4] == real.split("$")[:4]
    assert not is_password(Secret(""), credentials.NOBODY)


def test_what_is_shown_prints_without_its_secret() -> None:
    _, text, kept = new_key()
    key = make.api_key("k", digest=kept, role=Role.ADMIN)
    found = shown({b"authorization": b"Bearer " + text.reveal().encode()})

    told = f"{found!r} {found} {text} {text!r} {key} {key!r} {make.user('a', password='hash')!r}"

    assert kept not in told
    assert "hash" not in told
    assert text.reveal()[-64:] not in told


def test_a_refused_form_is_told_without_what_was_sent() -> None:
    with pytest.raises(Denied) as refused:
        shown({b"authorization": b"Bearer hunter2"})

    assert "hunter2" not in str(refused.value)
