"""What one sender may use: token buckets, refilled as time goes by."""

from __future__ import annotations

from typing import Final

from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import OverLimit

BURST_S: Final = 10.0
"""Who was silent for so long may send at once what it may send in this time."""
_MAX_BUCKETS: Final = 10_000


class Bucket:
    """Goes into debt for a request that is larger than the bucket, or its sender would never be
    served; nothing more is let through until the debt is paid."""

    __slots__ = ("_left", "_per_s", "_seen_ns")

    def __init__(self, per_s: float, now_ns: int) -> None:
        self._per_s = per_s
        self._left = self._most
        self._seen_ns = now_ns

    @property
    def _most(self) -> float:
        return max(1.0, self._per_s * BURST_S)

    def wait_s(self, now_ns: int, least: float = 0.0) -> float:
        """How long until there is more than `least` in it; 0 if there is."""
        gained = max(0, now_ns - self._seen_ns) / NS_PER_S * self._per_s
        self._left = min(self._most, self._left + gained)
        self._seen_ns = now_ns
        return 0.0 if self._left > least else (least - self._left) / self._per_s + 1e-3

    def take(self, amount: float) -> None:
        self._left -= amount


class Buckets:
    """One per name, the longest known going first where there are too many."""

    def __init__(self) -> None:
        self._by_name: dict[str, tuple[float, Bucket]] = {}

    def of(self, name: str, per_s: float, now_ns: int) -> Bucket:
        """The bucket of a name; a new one where its limit has changed."""
        known = self._by_name.get(name)
        if known is not None and known[0] == per_s:
            return known[1]
        if len(self._by_name) >= _MAX_BUCKETS:
            del self._by_name[next(iter(self._by_name))]
        bucket = Bucket(per_s, now_ns)
        self._by_name[name] = (per_s, bucket)
        return bucket


def over(what: str, per_s: float, wait_s: float) -> OverLimit:
    return OverLimit(f"this key may use {per_s:g} {what} a second; wait", after_s=wait_s)
