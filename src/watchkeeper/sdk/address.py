"""A server's address, apart from the credentials that people write into it."""

from __future__ import annotations

from typing import NamedTuple

import httpx

from watchkeeper.errors import Permanent


class Address(NamedTuple):
    """`url` may be shown and stored; `auth` may not."""

    url: str
    auth: httpx.BasicAuth | None


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


def no_address(shown: str) -> Permanent:
    return Permanent(f"{shown} is no address of a server; write http://host:port")
