"""As few roots as explain the rest: uncapacitated facility location, greedily, then in turns.

worth[root, other] is what is won by the root explaining the other, 0 where it does not; a root
costs something, and is explained by nobody.
"""

import numpy as np

from watchkeeper.compiled.jit import kernel

ROUNDS = 8


@kernel
def settle(worth, cost):
    """Of each its root; one alone is its own."""
    by_root, by_other = entries(worth), entries(worth.T)
    is_root = choose(worth, cost, by_root, by_other)
    for _ in range(ROUNDS):
        bettered = drop(worth, cost, move(worth, cost, is_root, by_other), by_other)
        if (bettered == is_root).all():
            break
        is_root = bettered
    return assign(worth, is_root, by_other)


@kernel
def entries(worth):
    """Of each row where it is above 0, one after another."""
    n = len(worth)
    starts = np.zeros(n + 1, np.int64)
    for i in range(n):
        starts[i + 1] = starts[i] + (worth[i] > 0.0).sum()
    found = np.empty(starts[-1], np.int64)
    k = 0
    for i in range(n):
        for j in range(n):
            if worth[i, j] > 0.0:
                found[k] = j
                k += 1
    return starts, found


@kernel
def gain(i, worth, cost, best, is_root, by_root):
    """What another root would better."""
    starts, others = by_root
    total = -cost[i] - best[i]
    for k in range(starts[i], starts[i + 1]):
        j = others[k]
        if not is_root[j] and worth[i, j] > best[j]:
            total += worth[i, j] - best[j]
    return total


@kernel
def choose(worth, cost, by_root, by_other):
    """Greedily, whichever root explains most of what no other explains better."""
    n = len(cost)
    best, is_root, gains = np.zeros(n), np.zeros(n, np.bool_), np.empty(n)
    stale = np.ones(n, np.bool_)
    while True:
        top = -1
        for i in range(n):
            if is_root[i]:
                continue
            if stale[i]:
                gains[i] = gain(i, worth, cost, best, is_root, by_root)
                stale[i] = False
            if gains[i] > 0.0 and (top < 0 or gains[i] > gains[top]):
                top = i
        if top < 0:
            return is_root
        is_root[top] = True
        best[top] = 0.0
        touch(top, by_other, stale)
        for k in range(by_root[0][top], by_root[0][top + 1]):
            j = by_root[1][k]
            if not is_root[j] and worth[top, j] > best[j]:
                best[j] = worth[top, j]
                touch(j, by_other, stale)


@kernel
def touch(j, by_other, stale):
    starts, roots = by_other
    stale[j] = True
    for k in range(starts[j], starts[j + 1]):
        stale[roots[k]] = True


@kernel
def assign(worth, is_root, by_other):
    """Each to the root that explains it best; a root that explains nobody is alone."""
    starts, roots = by_other
    found = np.arange(len(worth))
    for j in range(len(worth)):
        most = 0.0
        for k in range(starts[j], starts[j + 1]):
            i = roots[k]
            if is_root[i] and not is_root[j] and worth[i, j] > most:
                found[j], most = i, worth[i, j]
    return found


@kernel
def move(worth, cost, is_root, by_other):
    """For each group the member that explains the others best; none for one alone."""
    found = assign(worth, is_root, by_other)
    moved = np.zeros(len(worth), np.bool_)
    for root in np.flatnonzero(is_root):
        members = np.flatnonzero(found == root)
        if len(members) < 2:
            continue
        best, most = root, -cost[root]
        for j in members:
            most += worth[root, j]
        for i in members:
            total = -cost[i]
            for j in members:
                total += worth[i, j]
            if total > most:
                best, most = i, total
        moved[best] = True
    return moved


@kernel
def drop(worth, cost, is_root, by_other):
    """Without those whose members are nearly as well explained by others."""
    starts, roots = by_other
    n = len(worth)
    left = is_root.copy()
    while True:
        margin = -cost
        for j in range(n):
            most, second, who = 0.0, 0.0, -1
            for k in range(starts[j], starts[j + 1]):
                i = roots[k]
                if not left[i]:
                    continue
                if worth[i, j] > most:
                    most, second, who = worth[i, j], most, i
                elif worth[i, j] > second:
                    second = worth[i, j]
            if left[j]:
                margin[j] -= most
            elif who >= 0:
                margin[who] += most - second
        worst = -1
        for i in range(n):
            if left[i] and margin[i] < 0.0 and (worst < 0 or margin[i] < margin[worst]):
                worst = i
        if worst < 0:
            return left
        left[worst] = False
