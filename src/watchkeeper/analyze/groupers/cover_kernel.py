"""What speaks for each complaint being a consequence of each other one, and what against a root.

Complaints are in order of time. A row is a root: its onset may be earlier than its own complaint,
which costs something once. Trouble comes to a node along the callers of nodes; a path over one
that says nothing is less likely, and so is a caller that says nothing.
"""

import math

import numpy as np

from watchkeeper.compiled.jit import kernel

NEVER = -1e6
MAX_HOPS = 5
NEAR_S = 300.0
"""Whoever said something within so long of a root's time is not silent."""
SHIFT_S, N_SHIFTS = 20.0, 7
"""Onsets that are tried: so much earlier than the root's complaint, so often."""
LEAST_SHARE = -8.0
"""No time speaks so much for a consequence that it made up for that."""


@kernel
def when(later_s, hops, belief):
    """Flat from the root's onset to the usual delay, falling on both sides of that."""
    if later_s < -belief.least_s or later_s > belief.most_s:
        return NEVER
    usual = belief.delay_s + belief.delay_per_hop_s * hops
    spread = belief.spread_s + belief.spread_per_hop_s * hops
    density = 1.0 / (belief.early_s + usual + spread)
    off = max(later_s - usual, 0.0) / spread + max(-later_s, 0.0) / belief.early_s
    return math.log(density / belief.strangers_per_s) - off


@kernel
def late(shift_s, belief):
    """What speaks against a root's complaint being so much later than its onset."""
    return max(shift_s - belief.delay_s, 0.0) / belief.spread_s


@kernel
def differ(places, i, j):
    """Whether both say where they are, and it is not the same."""
    for k in range(places.shape[1]):
        if places[i, k] >= 0 and places[j, k] >= 0 and places[i, k] != places[j, k]:
            return True
    return False


@kernel
def names(named, j, node):
    starts, nodes = named
    for k in range(starts[j], starts[j + 1]):
        if nodes[k] == node:
            return True
    return False


@kernel
def spread(root, graph, belief, is_heard, field):
    """Log share of trouble at the root that comes to each node, and by how many steps; the nodes
    that it comes to, the root first."""
    starts, callers = graph
    share, hops, seen, fronts = field
    share[root], hops[root], seen[0], fronts[0, 0] = 0.0, 0, root, root
    n_seen, n_front = 1, 1
    for step in range(1, MAX_HOPS + 1):
        front, following = fronts[(step - 1) % 2], fronts[step % 2]
        n_following = 0
        for node in front[:n_front]:
            through = share[node] + belief.hop
            if node != root and not is_heard[node]:
                through += belief.bridge
            if through < LEAST_SHARE:
                continue
            for k in range(starts[node], starts[node + 1]):
                caller = callers[k]
                if caller == root or through <= share[caller]:
                    continue
                if share[caller] == NEVER:
                    seen[n_seen] = caller
                    n_seen += 1
                if hops[caller] != step:
                    following[n_following] = caller
                    n_following += 1
                share[caller], hops[caller] = through, step
        n_front = n_following
    return n_seen


@kernel
def silent(seen, n_seen, graph, is_heard, is_said):
    """Callers of what is explained that say nothing, each for every one whom it calls."""
    starts, callers = graph
    n = 0
    for at in range(n_seen):
        node = seen[at]
        if at > 0 and not is_said[node]:
            continue
        for k in range(starts[node], starts[node + 1]):
            if not is_heard[callers[k]]:
                n += 1
    return n


@kernel
def pair(told, i, j, belief, field, shift_s):
    """Log odds of one being a consequence of the other, the onset so much earlier."""
    since_s, node_of, places, named = told
    share, hops, _, _ = field
    node = node_of[j]
    says = share[node] if node >= 0 else belief.unknown
    says += when(since_s[j] - since_s[i] + shift_s, hops[node] if node >= 0 else 1, belief)
    if node != node_of[i] and names(named, j, node_of[i]):
        says += belief.named
    if differ(places, i, j):
        says += belief.elsewhere
    return says


@kernel
def cover(told, graph, belief, odds, about):
    """Fills odds[root, other]; of each pair steps and log share, of each root shift and cost."""
    since_s, node_of, _, _ = told
    steps, shares, shift_s, cost = about
    n, n_nodes = len(since_s), len(graph[0]) - 1
    field = (
        np.full(n_nodes, NEVER),
        np.zeros(n_nodes, np.int64),
        np.zeros(n_nodes, np.int64),
        np.zeros((2, n_nodes), np.int64),
    )
    share, hops, seen, _ = field
    is_heard, is_said = np.zeros(n_nodes, np.bool_), np.zeros(n_nodes, np.bool_)
    back_s = max(NEAR_S, belief.least_s + SHIFT_S * (N_SHIFTS - 1))
    ahead_s = max(NEAR_S, belief.most_s)
    near = np.empty(n, np.int64)
    first, last = 0, 0
    for i in range(n):
        odds[i, :] = NEVER
        cost[i] = belief.least_evidence
        root = node_of[i]
        while since_s[first] < since_s[i] - back_s:
            first += 1
        while last < n and since_s[last] <= since_s[i] + ahead_s:
            last += 1
        if root < 0:
            continue
        for j in range(first, last):
            if node_of[j] >= 0 and abs(since_s[j] - since_s[i]) <= NEAR_S:
                is_heard[node_of[j]] = True
        n_seen = spread(root, graph, belief, is_heard, field)
        n_near = 0
        for j in range(first, last):
            if node_of[j] < 0 or share[node_of[j]] > NEVER:
                near[n_near] = j
                n_near += 1
        best, best_at = -1.0, 0
        for at in range(N_SHIFTS):
            worth = -late(SHIFT_S * at, belief)
            for j in near[:n_near]:
                says = pair(told, i, j, belief, field, SHIFT_S * at)
                if j != i and says > belief.least_odds:
                    worth += says - belief.least_odds
            if worth > best:
                best, best_at = worth, at
        shift_s[i] = SHIFT_S * best_at
        for j in near[:n_near]:
            odds[i, j] = pair(told, i, j, belief, field, shift_s[i])
            node = node_of[j]
            steps[i, j] = hops[node] if node >= 0 else 1
            shares[i, j] = share[node] if node >= 0 else belief.unknown
            if odds[i, j] > belief.least_odds and node >= 0:
                is_said[node] = True
        n_silent = silent(seen, n_seen, graph, is_heard, is_said)
        cost[i] += belief.silent * n_silent + late(shift_s[i], belief)
        for at in range(n_seen):
            share[seen[at]], hops[seen[at]] = NEVER, 0
        for j in range(first, last):
            if node_of[j] >= 0:
                is_heard[node_of[j]], is_said[node_of[j]] = False, False
