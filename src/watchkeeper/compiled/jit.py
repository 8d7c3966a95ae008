"""The one way to compile a function: numba, without the GIL, cached where it can be."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.runtime.nrt import rtsys


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` for the hot path.

    IEEE arithmetic stays exact (no fastmath), because a replay must give bit-equal scores; division
    by zero gives inf or nan as in numpy, not an exception.
    """
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    # Where no cache folder is writable it is compiled afresh in every process.
    with contextlib.suppress(RuntimeError):
        cache: Any = _Cache
        compiled._cache = cache(function)  # noqa: SLF001 - as numba's own cache=True does
    return compiled


class _Cache(FunctionCache):
    """Numba's own, which does not make the compiler ready before it knows that it is needed.

    That takes a quarter of a second of every process, and hundreds of modules. What is loaded calls
    nothing but the runtime; what has to be compiled makes the compiler ready by itself.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        rtsys.initialize(target_context)
        return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]  # numba's
