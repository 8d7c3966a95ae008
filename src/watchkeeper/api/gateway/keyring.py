"""Who it is that shows a key or a password, asked of the store and remembered for a short time."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from watchkeeper.api.auth import AuthConfig
from watchkeeper.api.gateway.credentials import HOW, NOBODY, Shown, is_password, is_secret
from watchkeeper.api.gateway.limits import Buckets
from watchkeeper.clock import NS_PER_S, Clock
from watchkeeper.errors import Denied, OverLimit, Retryable
from watchkeeper.model.principal import INSTALLATION, SCOPES_OF, ApiKey, Principal, User
from watchkeeper.store.base import Store

_USE_NS: Final = 60 * NS_PER_S
"""A use is noted no more often than this."""
_RENEWED: Final = 0.8
"""After this share of its time a remembered answer is asked for anew, by one of its users."""
_GUESSES_PER_S: Final = 0.2
"""Wrong passwords for one name; ten times as many at once are let through first."""
_N_HASHING: Final = 4
"""Passwords that may wait to be hashed; each takes a tenth of a second of a core."""


@dataclass(slots=True)
class _Remembered:
    principal: Principal
    kept: str
    """The digest or hash against which the secret was proven."""
    known_ns: int
    renewal_ns: int
    end_ns: int


class Keyring:
    """`remembered` costs a dictionary's look-up; `ask` asks the store."""

    def __init__(self, config: AuthConfig, store: Store, clock: Clock, executor: Executor) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self._executor = executor
        self._by_proof: dict[bytes, _Remembered] = {}
        self._guesses = Buckets()
        self._hashing = 0
        self._one_at_a_time = asyncio.Semaphore(1)

    def remembered(self, proof: bytes, now_ns: int) -> Principal | None:
        """Whoever showed this lately; None if the store must be asked.

        `proof` is a hash of what was shown under a key of this process.
        """
        found = self._by_proof.get(proof)
        # A clock that was put back proves nothing.
        if found is None or now_ns < found.known_ns:
            return None
        if now_ns >= found.renewal_ns:
            found.renewal_ns = found.end_ns  # until then whoever comes meanwhile need not ask
            return None
        return found.principal

    def __len__(self) -> int:
        return len(self._by_proof)

    async def ask(self, shown: Shown, proof: bytes, now_ns: int) -> Principal:
        """Whoever shows this. Raises Denied (401), or Retryable while the store cannot be asked."""
        before = self._by_proof.get(proof)
        try:
            if shown.is_key:
                found = await self._key(shown, now_ns)
            else:
                found = await self._user(shown, before, now_ns)
        except Denied:
            self._by_proof.pop(proof, None)
            raise
        self._by_proof[proof] = found
        while len(self._by_proof) > self._config.cache_keys:
            del self._by_proof[next(iter(self._by_proof))]
        return found.principal

    def forget(self) -> None:
        """All: somebody was created, revoked or disabled here."""
        self._by_proof.clear()

    async def _key(self, shown: Shown, now_ns: int) -> _Remembered:
        key = await self._store.get(ApiKey, INSTALLATION, shown.name)
        if key is None or not is_secret(shown.secret, key.digest):
            raise Denied(f"there is no such key; {HOW}", status=401)
        if key.revoked_ns is not None:
            raise Denied(f"key {key.id} was revoked; ask for another", status=401)
        if key.expires_ns is not None and key.expires_ns <= now_ns:
            raise Denied(f"key {key.id} has expired; ask for another", status=401)
        await self._note_use(key, now_ns)
        scopes = key.scopes if key.role is None else SCOPES_OF[key.role]
        principal = Principal(f"key:{key.id}", scopes, key.tenants, key.limits)
        return self._remember(principal, key.digest, now_ns, key.expires_ns)

    async def _note_use(self, key: ApiKey, now_ns: int) -> None:
        if key.used_ns is None or now_ns - key.used_ns >= _USE_NS:
            with suppress(Retryable):  # a full disk keeps nobody out
                await self._store.save([replace(key, used_ns=now_ns)])

    async def _user(self, shown: Shown, before: _Remembered | None, now_ns: int) -> _Remembered:
        user = await self._store.get(User, INSTALLATION, shown.name)
        kept = NOBODY if user is None else user.password
        is_proven = before is not None and before.kept == kept
        if not is_proven and not await self._is_password(shown, kept, now_ns):
            raise Denied("there is no such user with this password", status=401)
        if user is None or user.disabled_ns is not None:
            raise Denied(f"user {shown.name} is disabled", status=401)
        principal = Principal(f"user:{user.name}", SCOPES_OF[user.role], user.tenants)
        return self._remember(principal, kept, now_ns)

    async def _is_password(self, shown: Shown, kept: str, now_ns: int) -> bool:
        """Hashed beside the loop, one at a time; slower and slower for who only guesses."""
        guesses = self._guesses.of(shown.name[:256], _GUESSES_PER_S, now_ns)
        wait_s = guesses.wait_s(now_ns)
        if wait_s:
            raise OverLimit("too many wrong passwords for this user; wait", after_s=wait_s)
        if self._hashing >= _N_HASHING:
            raise Retryable("too many show their passwords at once", after_s=1.0)
        guesses.take(1)
        self._hashing += 1
        try:
            async with self._one_at_a_time:
                is_right = await asyncio.get_running_loop().run_in_executor(
                    self._executor, is_password, shown.secret, kept
                )
        finally:
            self._hashing -= 1
        if is_right:
            guesses.take(-1)
        return is_right

    def _remember(
        self, principal: Principal, kept: str, now_ns: int, expires_ns: int | None = None
    ) -> _Remembered:
        lasts_ns = round(self._config.cache_s * NS_PER_S)
        end_ns = min(now_ns + lasts_ns, expires_ns or now_ns + lasts_ns)
        renewal_ns = min(end_ns, now_ns + round(lasts_ns * _RENEWED))
        return _Remembered(principal, kept, now_ns, renewal_ns, end_ns)
