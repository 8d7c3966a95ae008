"""Building isolation trees and walking down them; see `forest.py`."""

import math

import numpy as np

from watchkeeper.compiled.jit import kernel

LEAF = -1
TRIES = 8
"""Members drawn in search of one that varies in a node, before the node is a leaf."""
EULER = 0.5772156649015329


@kernel
def _draw(state):
    """The next 64 bits of SplitMix64 (Steele, Lea and Flood, 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def _below(state, n):
    return int(_draw(state) >> np.uint64(11)) % n


@kernel
def _uniform(state):
    return float(_draw(state) >> np.uint64(11)) / 9007199254740992.0


@kernel
def grow(rows, depth, state, trees):
    """Fill `trees` (member, cut, size by tree and node; children of i are 2i+1 and 2i+2)."""
    member, cut, size = trees
    n_sample = size[0, 0]
    order = np.arange(len(rows))
    for tree in range(len(member)):
        for i in range(n_sample):
            other = i + _below(state, len(rows) - i)
            order[i], order[other] = order[other], order[i]
        _grow_tree(
            rows, order[:n_sample].copy(), depth, state, (member[tree], cut[tree], size[tree])
        )


@kernel
def _grow_tree(rows, sample, depth, state, tree):
    member, cut, size = tree
    n_nodes = len(member)
    first = np.zeros(n_nodes, np.int64)
    size[:] = 0
    size[0] = len(sample)
    for node in range(n_nodes):
        member[node] = LEAF
        if size[node] <= 1 or node >= (1 << depth) - 1:
            continue
        here = sample[first[node] : first[node] + size[node]]
        chosen, at = _cut(rows, here, state)
        if chosen == LEAF:
            continue
        member[node] = chosen
        cut[node] = at
        n_left = _part(rows, here, chosen, at)
        first[2 * node + 1] = first[node]
        first[2 * node + 2] = first[node] + n_left
        size[2 * node + 1] = n_left
        size[2 * node + 2] = size[node] - n_left


@kernel
def _cut(rows, here, state):
    """A member that varies among these rows, and a value between its ends; both at random."""
    for _ in range(TRIES):
        chosen = _below(state, rows.shape[1])
        low = math.inf
        high = -math.inf
        for row in here:
            low = min(low, rows[row, chosen])
            high = max(high, rows[row, chosen])
        if low < high:
            at = low + _uniform(state) * (high - low)
            if at > low:
                return chosen, at
    return LEAF, 0.0


@kernel
def _part(rows, here, chosen, at):
    """Put the rows below the cut first; how many they are."""
    n_left = 0
    for i in range(len(here)):
        if rows[here[i], chosen] < at:
            here[i], here[n_left] = here[n_left], here[i]
            n_left += 1
    return n_left


@kernel
def usual_depth(n):
    """Mean depth at which n rows come apart in a random tree."""
    if n <= 1:
        return 0.0
    if n == 2:
        return 1.0
    return 2.0 * (math.log(n - 1.0) + EULER) - 2.0 * (n - 1.0) / n


@kernel
def isolate(rows, trees, scores):
    """2 to the power of minus the mean depth, in units of the usual one."""
    member, cut, size = trees
    usual = usual_depth(size[0, 0])
    for i in range(len(rows)):
        total = 0.0
        for tree in range(len(member)):
            node = 0
            depth = 0.0
            while member[tree, node] != LEAF:
                right = rows[i, member[tree, node]] >= cut[tree, node]
                node = 2 * node + (2 if right else 1)
                depth += 1.0
            total += depth + usual_depth(size[tree, node])
        scores[i] = 2.0 ** (-total / len(member) / max(usual, 1.0))
