"""Starting rows of state, one series after another as the catalog registered them."""

from watchkeeper.compiled.jit import kernel


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
            word = words[given, k] if given >= 0 else 0
            if words[to, k] != word:
                words[to, k] = word
