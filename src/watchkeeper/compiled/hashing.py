"""The two keyed hashes: a fast one for caches inside a process, SipHash for identities."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import load_u64

_P0 = np.uint64(0xA0761D6478BD642F)
_P1 = np.uint64(0xE7037ED1A0B428DB)
_P2 = np.uint64(0x8EBC6AF09C88C6E3)
_ONE = np.uint64(1)
_EIGHT = np.uint64(8)


@intrinsic
def fold_multiply(_context: Any, left: Any, right: Any) -> Any:
    """The high half of the 128-bit product, xor the low half."""

    def codegen(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))
        return builder.xor(high, builder.trunc(product, ir.IntType(64)))

    return types.uint64(types.uint64, types.uint64), codegen


@kernel
def fast_hash128(buffer, start, end, seed):
    """128 bits over buffer[start:end], wyhash-like in two lanes; READ_SLACK bytes must follow.

    Quick (about 10 GB/s) and seeded afresh in every process: for alias caches only, never stored.
    """
    n = end - start
    h = seed ^ np.uint64(n) * _P0
    g = seed ^ _P2 ^ np.uint64(n)
    i = start
    while i + 16 <= end:
        x = load_u64(buffer, i)
        y = load_u64(buffer, i + 8)
        h = fold_multiply(x ^ _P1, y ^ h)
        g = fold_multiply(y ^ _P2, x ^ g)
        i += 16
    rest = end - i
    x = np.uint64(0)
    y = np.uint64(0)
    if rest > 0:
        x = load_u64(buffer, i)
        if rest < 8:
            x &= (_ONE << (_EIGHT * np.uint64(rest))) - _ONE
        elif rest > 8:
            y = load_u64(buffer, i + 8) & ((_ONE << (_EIGHT * np.uint64(rest - 8))) - _ONE)
    h = fold_multiply(x ^ _P1, y ^ h)
    g = fold_multiply(y ^ _P2, x ^ g)
    return fold_multiply(h ^ _P0, g ^ _P1), fold_multiply(g ^ _P0, h ^ _P2)


@kernel
def _rotate(x, bits):
    return (x << np.uint64(bits)) | (x >> np.uint64(64 - bits))


@kernel
def _round(v0, v1, v2, v3):
    v0 += v1
    v1 = _rotate(v1, 13) ^ v0
    v0 = _rotate(v0, 32)
    v2 += v3
    v3 = _rotate(v3, 16) ^ v2
    v0 += v3
    v3 = _rotate(v3, 21) ^ v0
    v2 += v1
    v1 = _rotate(v1, 17) ^ v2
    v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


@kernel
def siphash128(buffer, start, end, key0, key1):
    """SipHash-2-4 with 128 bits over buffer[start:end]; READ_SLACK bytes must follow.

    A keyed pseudo-random function (Aumasson and Bernstein, 2012): without the installation's key
    nobody can build two label sets that meet. For identities that are stored.
    """
    v0 = key0 ^ np.uint64(0x736F6D6570736575)
    v1 = key1 ^ np.uint64(0x646F72616E646F6D) ^ np.uint64(0xEE)
    v2 = key0 ^ np.uint64(0x6C7967656E657261)
    v3 = key1 ^ np.uint64(0x7465646279746573)
    n = end - start
    i = start
    while i + 8 <= end:
        m = load_u64(buffer, i)
        v3 ^= m
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= m
        i += 8
    rest = end - i
    m = np.uint64(n & 255) << np.uint64(56)
    if rest > 0:
        m |= load_u64(buffer, i) & ((_ONE << (_EIGHT * np.uint64(rest))) - _ONE)
    v3 ^= m
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= m
    v2 ^= np.uint64(0xEE)
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    low = v0 ^ v1 ^ v2 ^ v3
    v1 ^= np.uint64(0xDD)
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return low, v0 ^ v1 ^ v2 ^ v3
