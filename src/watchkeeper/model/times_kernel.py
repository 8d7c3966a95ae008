"""Times as narrow as they go without losing a nanosecond: one pass to see, one to write."""

import numpy as np

from watchkeeper.compiled.jit import kernel

SAME, I32_NS, I32_MS, I64 = range(4)
"""All equal; or as offsets from the first, in nanoseconds or milliseconds; or as they are."""

_NS_PER_MS = 1_000_000
_LEAST, _GREATEST = -(2**31), 2**31 - 1


@kernel
def narrow(time_ns, out):
    """The form that holds them all; their offsets are in `out` then, where it is a narrow one."""
    base = time_ns[0]
    low, high = np.int64(0), np.int64(0)
    is_whole_ms = True
    for i in range(len(time_ns)):
        offset = time_ns[i] - base  # an overflow wraps, and wraps back when the base is added
        low, high = min(low, offset), max(high, offset)
        is_whole_ms = is_whole_ms and offset % _NS_PER_MS == 0
    if low == 0 == high:
        return SAME
    form, unit = I32_NS, 1
    if low < _LEAST or high > _GREATEST:
        form, unit = I32_MS, _NS_PER_MS
        if not is_whole_ms or low < _LEAST * unit or high > _GREATEST * unit:
            return I64
    for i in range(len(time_ns)):
        out[i] = (time_ns[i] - base) // unit
    return form
