"""Secrets: made, hashed, compared, and found in a request's headers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from watchkeeper.errors import Denied
from watchkeeper.telemetry import Secret

_KEY: Final = re.compile(r"wk_([0-9a-f]{12})_([0-9a-f]{64})")
_SALT_BYTES: Final = 16
_COST: Final = (1 << 14, 8, 5)
"""scrypt's n, r and p: 16 MiB and about a tenth of a second (OWASP's password storage sheet)."""
_MAXMEM: Final = 64 << 20
_LONGEST: Final = 1024
"""Of a password in bytes, so that nobody has megabytes hashed."""

HOW: Final = "send `Authorization: Bearer wk_...`, or make a key with `watchkeeper keys create`"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request shows of who sends it: a key's id, or a user's name, and the secret."""

    name: str
    secret: Secret
    is_key: bool


def new_key() -> tuple[str, Secret, str]:
    """The id of a new key, its whole text, and the digest to keep of it."""
    identity, secret = secrets.token_hex(6), secrets.token_hex(32)
    return identity, Secret(f"wk_{identity}_{secret}"), digest(Secret(secret))


def digest(secret: Secret) -> str:
    return hashlib.sha256(secret.reveal().encode()).hexdigest()


def is_secret(secret: Secret, kept: str) -> bool:
    """Whether a key's secret is the one whose digest was kept; in the same time for any other."""
    return hmac.compare_digest(digest(secret), kept)


def hashed(password: Secret, cost: tuple[int, int, int] = _COST) -> str:
    """What to keep of a password: scrypt's parameters, a salt and the hash."""
    salt = secrets.token_bytes(_SALT_BYTES)
    n, r, p = cost
    return f"scrypt${n}${r}${p}${salt.hex()}${_scrypt(password, salt, cost).hex()}"


def is_password(password: Secret, kept: str) -> bool:
    """Whether it is the password of which `kept` was kept. Slow on purpose."""
    _, n, r, p, salt, want = kept.split("$")
    found = _scrypt(password, bytes.fromhex(salt), (int(n), int(r), int(p)))
    return hmac.compare_digest(found, bytes.fromhex(want))


NOBODY: Final = f"scrypt$16384$8$5${'00' * _SALT_BYTES}${'00' * 64}"
"""The hash of no password: compared with where there is no such user, which takes as long."""


def shown(headers: Mapping[bytes, bytes]) -> Shown | None:
    """Whom a request says it comes from; None if it says nothing. Raises Denied if it says it in no
    form that we know."""
    authorization = headers.get(b"authorization")
    if authorization is not None:
        scheme, _, rest = authorization.partition(b" ")
        if scheme.lower() == b"bearer":
            return _key(rest)
        if scheme.lower() == b"basic":
            return _basic(rest)
        raise Denied(f"this way of authorization is not known here; {HOW}", status=401)
    key = headers.get(b"x-api-key", headers.get(b"api-key"))
    return None if key is None else _key(key)


def _key(text: bytes) -> Shown:
    match = _KEY.fullmatch(text.strip().decode("latin-1"))
    if match is None:
        raise Denied(f"the key has not the form of one; {HOW}", status=401)
    return Shown(match[1], Secret(match[2]), is_key=True)


def _basic(text: bytes) -> Shown:
    """A user's name and password; or anything and a key, which is what senders can be told that
    know nothing else."""
    try:
        name, _, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Denied(f"the Basic authorization cannot be read; {HOW}", status=401) from None
    if password.startswith("wk_"):
        return _key(password.encode())
    return Shown(name, Secret(password), is_key=False)


def _scrypt(password: Secret, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    n, r, p = cost
    given = password.reveal().encode()[:_LONGEST]
    return hashlib.scrypt(given, salt=salt, n=n, r=r, p=p, maxmem=_MAXMEM, dklen=64)
