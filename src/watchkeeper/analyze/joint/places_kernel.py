"""Cells of the grid to places in rows, in one pass; see `watchers/joint.py` for what places are."""

from watchkeeper.compiled.jit import kernel

UNKNOWN, ALONE, CROWDED = -1, -2, -3
"""Of a slot: not looked at yet; of a series without part in rows; of one without room there."""


@kernel
def collect(cells, places, whose, identity, grid_ns, out):
    """The cells that have a place, with where their row begins: how many they are, and how many
    have no room. At the first slot that was not looked at, -1."""
    slots, times, values = cells
    n, n_crowded = 0, 0
    for i in range(len(slots)):
        slot = slots[i]
        if slot >= len(places) or places[slot] == UNKNOWN:
            return -1, 0
        if whose[slot, 0] != identity[slot, 0] or whose[slot, 1] != identity[slot, 1]:
            return -1, 0
        if places[slot] >= 0:
            out[0][n], out[1][n], out[2][n] = places[slot], times[i] // grid_ns * grid_ns, values[i]
            n += 1
        elif places[slot] == CROWDED:
            n_crowded += 1
    return n, n_crowded
