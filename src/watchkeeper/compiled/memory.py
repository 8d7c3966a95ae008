"""Unaligned loads from byte arrays, and arrays that cost memory only where they are touched."""

from __future__ import annotations

import mmap
from contextlib import suppress
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

READ_SLACK = 16
"""Bytes that must be readable behind the end of any buffer handed to a kernel that loads words."""


@intrinsic
def load_u64(_context: Any, array: Any, offset: Any) -> Any:
    """Eight bytes, little endian, at any offset of a uint8 array or of an address."""
    return types.uint64(array, offset), _unaligned_load(ir.IntType(64))


@intrinsic
def load_f64(_context: Any, array: Any, offset: Any) -> Any:
    """A double, little endian, at any offset of a uint8 array or of an address."""
    return types.float64(array, offset), _unaligned_load(ir.DoubleType())


@intrinsic
def store_u64(_context: Any, array: Any, offset: Any, value: Any) -> Any:
    """Eight bytes, little endian, to any offset of a uint8 array or of an address."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _unaligned(context, builder, signature, arguments, ir.IntType(64))
        builder.store(arguments[2], pointer, align=1)
        return context.get_dummy_value()

    return types.void(array, offset, types.uint64), codegen


def _unaligned_load(kind: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_unaligned(context, builder, signature, arguments, kind), align=1)

    return codegen


def _unaligned(context: Any, builder: Any, signature: Any, arguments: Any, kind: Any) -> Any:
    """A pointer to `kind` at an offset of the first argument."""
    if isinstance(signature.args[0], types.Integer):  # see compiled/address.py
        data = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
    else:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), kind.as_pointer())


def padded(body: bytes | bytearray | memoryview) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """`body` as an array with READ_SLACK zero bytes behind it; its true length is len(body)."""
    array = np.empty(len(body) + READ_SLACK, np.uint8)
    array[: len(body)] = np.frombuffer(body, np.uint8)
    array[len(body) :] = 0
    return array


def reserve(
    shape: int | tuple[int, ...], dtype: Any, *, huge: bool = False
) -> np.ndarray[Any, Any]:
    """A zeroed array whose pages take memory when they are first written, not before.

    For state over all series: room for the cardinality limit is reserved once, so that growing
    never copies and never doubles what is resident. Ask for `huge` pages where the array is filled
    from the front and visited at random: rows are then found without a walk through page tables.
    """
    kind = np.dtype(dtype)
    count = int(np.prod(shape))
    pages = mmap.mmap(
        -1,
        max(1, count * kind.itemsize),
        flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000),
    )
    if huge and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages: slower, not wrong
            pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, kind, count).reshape(shape)


@intrinsic
def prefetch(_context: Any, array: Any, item: Any) -> Any:
    """Ask for the cache line of the item at a flat index; changes nothing but time.

    For kernels that visit rows in random order: asking some rows ahead hides the way to memory.
    """
    return types.void(array, item), _ask_for_line(0)


@intrinsic
def prefetch_second(_context: Any, array: Any, item: Any) -> Any:
    """The same for the line after the item's first, of items that are two lines long."""
    return types.void(array, item), _ask_for_line(64)


def _ask_for_line(offset_bytes: int) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        word = ir.IntType(32)
        pointer = ir.IntType(8).as_pointer()
        ask = builder.module.declare_intrinsic(
            "llvm.prefetch.p0", fnty=ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
        )
        item = builder.bitcast(builder.gep(data, [arguments[1]]), pointer)
        line = builder.gep(item, [word(offset_bytes)], source_etype=ir.IntType(8))
        builder.call(ask, [line, word(1), word(3), word(1)])
        return context.get_dummy_value()

    return codegen
