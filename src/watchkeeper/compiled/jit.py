"""The one way to compile a function: numba, without the GIL, cached where it can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` for the hot path.

    IEEE arithmetic stays exact (no fastmath), because a replay must give bit-equal scores; division
    by zero gives inf or nan as in numpy, not an exception.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no cache folder is writable: compile afresh in every process
        return numba.njit(**options)(function)
