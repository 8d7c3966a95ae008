"""Starting rows of state, one series after another as the catalog registered them."""

import numpy as np

from watchkeeper.compiled.jit import kernel

NOTHING = np.uint64(0)
"""Of the words' own type: with a plain 0 they would be numbers of 53 bits, and lose their last."""


@kernel
def admit(words, slot, donor):
    """Zero each slot's row or fill it from its donor's; later ones see what earlier ones did.

    A word that is zero already is not written: a row that nobody used costs no memory.
    """
    width = words.shape[1]
    for i in range(len(slot)):
        to = slot[i]
        given = donor[i]
        if given == to:
            continue
        for k in range(width):
            word = words[given, k] if given >= 0 else NOTHING
            if words[to, k] != word:
                words[to, k] = word
