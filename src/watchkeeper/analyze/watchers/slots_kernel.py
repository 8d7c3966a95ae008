"""What every sample costs a watcher: whether its slot is still whose it was."""

from watchkeeper.compiled.jit import kernel


@kernel
def has_stranger(slots, whose, identity):
    """Whether a slot has another owner than the one that was looked at."""
    for slot in slots:
        if whose[slot] != identity[slot, 0]:
            return True
    return False


@kernel
def mark(slots, column):
    """Set these slots' marks."""
    for slot in slots:
        column[slot] = True
