"""Memory by its address, for kernels that are many small functions.

Numba counts an array's references at each call that is not inlined, with two atomic operations, and
passes it as seven words. A decoder makes dozens of calls for each sample. So its outermost kernel
takes arrays, which keeps them alive, and hands their addresses on. Nothing here checks a bound.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_BYTE = ir.IntType(8)
_HALF = ir.IntType(32)
_WORD = ir.IntType(64)


@intrinsic
def address_of(_context: Any, array: Any) -> Any:
    """Where an array's first element is."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, _WORD)

    return types.int64(array), codegen


@intrinsic
def load_u8(_context: Any, address: Any, offset: Any) -> Any:
    """The byte at address + offset, as an integer."""

    def codegen(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.load(_pointer(builder, arguments, _BYTE)), _WORD)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def store_u8(_context: Any, address: Any, offset: Any, value: Any) -> Any:
    """Write the low byte of an integer."""

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        low = builder.trunc(arguments[2], _BYTE)
        builder.store(low, _pointer(builder, arguments, _BYTE))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def load_u16(_context: Any, address: Any, index: Any) -> Any:
    """Element `index` of the small integers at an address."""

    def codegen(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.load(_pointer(builder, arguments, ir.IntType(16))), _WORD)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def load_i32(_context: Any, address: Any, index: Any) -> Any:
    """Element `index` of the 32-bit integers at an address."""

    def codegen(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.sext(builder.load(_pointer(builder, arguments, _HALF)), _WORD)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def store_i32(_context: Any, address: Any, index: Any, value: Any) -> Any:
    """Write element `index` of the 32-bit integers at an address."""

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        low = builder.trunc(arguments[2], _HALF)
        builder.store(low, _pointer(builder, arguments, _HALF))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def load_i64(_context: Any, address: Any, index: Any) -> Any:
    """Element `index` of the integers at an address."""

    def codegen(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(builder, arguments, _WORD))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def store_i64(_context: Any, address: Any, index: Any, value: Any) -> Any:
    """Write element `index` of the integers at an address."""

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _pointer(builder, arguments, _WORD))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def store_f64(_context: Any, address: Any, index: Any, value: Any) -> Any:
    """Write element `index` of the doubles at an address."""

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _pointer(builder, arguments, ir.DoubleType()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float64), codegen


def _pointer(builder: Any, arguments: Any, element: Any) -> Any:
    base = builder.inttoptr(arguments[0], element.as_pointer())
    return builder.gep(base, [arguments[1]])
