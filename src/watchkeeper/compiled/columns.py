"""Many columns behind one address, for kernels that are many small functions.

A *layout* is an array of the columns' addresses, followed by their lengths. A kernel takes this one
array, so a call costs the same however many columns there are; its inner functions take the
layout's address. Nothing here checks a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_WORD = ir.IntType(64)


def layout_of(columns: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Good for as long as the columns live."""
    return np.array(
        [column.ctypes.data for column in columns] + [len(column) for column in columns], np.int64
    )


@intrinsic
def get8(_context: Any, layout: Any, column: Any, i: Any) -> Any:
    """Element i of a column of bytes."""
    return _getter(8, is_signed=False)


@intrinsic
def get16(_context: Any, layout: Any, column: Any, i: Any) -> Any:
    """Element i of a column of small unsigned integers."""
    return _getter(16, is_signed=False)


@intrinsic
def get32(_context: Any, layout: Any, column: Any, i: Any) -> Any:
    """Element i of a column of 32-bit integers."""
    return _getter(32, is_signed=True)


@intrinsic
def get64(_context: Any, layout: Any, column: Any, i: Any) -> Any:
    """Element i of a column of 64-bit integers."""
    return _getter(64, is_signed=True)


@intrinsic
def set8(_context: Any, layout: Any, column: Any, i: Any, value: Any) -> Any:
    """Write element i of a column of bytes."""
    return _setter(8)


@intrinsic
def set16(_context: Any, layout: Any, column: Any, i: Any, value: Any) -> Any:
    """Write element i of a column of small unsigned integers."""
    return _setter(16)


@intrinsic
def set32(_context: Any, layout: Any, column: Any, i: Any, value: Any) -> Any:
    """Write element i of a column of 32-bit integers."""
    return _setter(32)


@intrinsic
def set64(_context: Any, layout: Any, column: Any, i: Any, value: Any) -> Any:
    """Write element i of a column of 64-bit integers."""
    return _setter(64)


def _getter(bits: int, *, is_signed: bool) -> Any:
    def codegen(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        value = builder.load(_element(builder, arguments, bits))
        if bits == _WORD.width:
            return value
        return builder.sext(value, _WORD) if is_signed else builder.zext(value, _WORD)

    return types.int64(types.int64, types.int64, types.int64), codegen


def _setter(bits: int) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        value = arguments[3]
        narrow = value if bits == _WORD.width else builder.trunc(value, ir.IntType(bits))
        builder.store(narrow, _element(builder, arguments, bits))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


def _element(builder: Any, arguments: Any, bits: int) -> Any:
    """A pointer to element i of a column."""
    layout, column, i = arguments[:3]
    columns = builder.inttoptr(layout, _WORD.as_pointer())
    begin = builder.load(builder.gep(columns, [column]))
    return builder.gep(builder.inttoptr(begin, ir.IntType(bits).as_pointer()), [i])
