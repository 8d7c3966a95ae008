"""What a dial lets count, asked only where a point is strange already; see `dials.py`."""

from watchkeeper.compiled.jit import kernel


@kernel
def counts(dial, x, centre):
    """Whether a point that is strange is so in a direction, and by an amount, that is asked for."""
    if dial.muted:
        return False
    off = x - centre
    if off * dial.direction < 0.0:
        return False
    return abs(off) >= max(dial.least_ratio * abs(centre), dial.least_change)
