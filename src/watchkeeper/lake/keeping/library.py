"""Files that are open for reading: a bounded number of them, least used first out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Library(Generic[K, V]):
    """Hands out what is open. Who holds one may read on after it was closed here, or removed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K, opened: Callable[[], V]) -> V:
        with self._lock:
            found = self._open.get(key)
            if found is None:
                found = self._open[key] = opened()
                while len(self._open) > self._limit:
                    self._open.popitem(last=False)
            else:
                self._open.move_to_end(key)
        return found

    def forget(self, key: K) -> None:
        """Its files are about to be removed, or some of them."""
        with self._lock:
            self._open.pop(key, None)

    def clear(self) -> None:
        with self._lock:
            self._open.clear()
