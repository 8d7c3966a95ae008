"""A server's address, apart from the credentials that people write into it."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from typing import NamedTuple

import httpx

from watchkeeper.errors import Permanent
from watchkeeper.telemetry import Secret


class Address(NamedTuple):
    """`url` may be shown and stored; `auth` may not."""

    url: str
    auth: httpx.BasicAuth | None


class ApiKey(httpx.Auth):
    """Shows a key with every request, and to nobody who looks at the client."""

    def __init__(self, key: str) -> None:
        self._key = Secret(key)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = f"Bearer {self._key.reveal()}"
        yield request


def address(text: str) -> Address:
    """http://name:password@host:port/path as its parts. Raises Permanent if it is none."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise no_address("the address") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise no_address(f"'{text}'" if "@" not in text else "the address")
    auth = httpx.BasicAuth(url.username, url.password) if url.userinfo else None
    return Address(str(url.copy_with(userinfo=b"")).rstrip("/"), auth)


def trusted(url: str) -> ssl.SSLContext | bool:
    """Whose certificates count, as httpx asks for it. Reading those of the usual authorities takes
    longer than a request, so where no certificate will be shown they are not read, and none counts.
    """
    return True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def no_address(shown: str) -> Permanent:
    return Permanent(f"{shown} is no address of a server; write http://host:port")
