"""Counting bits of words, as the processor does it."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_FLAG = ir.IntType(1)


@intrinsic
def leading_zeros(_context: Any, word: Any) -> Any:
    """Of a 64-bit word, from its highest bit on; 64 for zero."""

    def codegen(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], _FLAG(0))

    return types.int64(types.uint64), codegen


@intrinsic
def trailing_zeros(_context: Any, word: Any) -> Any:
    """Of a 64-bit word, from its lowest bit on; 64 for zero."""

    def codegen(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], _FLAG(0))

    return types.int64(types.uint64), codegen
