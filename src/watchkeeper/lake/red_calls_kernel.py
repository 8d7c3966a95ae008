"""Calls whose two ends come as two spans: one waits in a ring for the other."""

import numpy as np

from watchkeeper.compiled.hashing import fold_multiply
from watchkeeper.compiled.jit import kernel
from watchkeeper.lake.red_kernel import (
    CALL,
    CLIENT,
    CONSUMER,
    DATABASE,
    FROM_PEER,
    PRODUCER,
    QUEUE,
    SEED,
    SERVER,
    TO_PEER,
)

ERROR = 2
MOST_ANSWERS = 4
"""That one span meets when it comes: consumers of its message, say."""
FARTHEST = 32
"""Ends that are looked at for a span, at most."""
_NO_KEY = np.uint64(0)


@kernel
def meet(spans, services, fallback, waiting, pairs):
    """Let ends of calls meet; how many pairs were written: (the key of the edge, that key as the
    client's attributes name it, client's service, server's, duration, whether either failed).

    A server answers the client that is its parent, a consumer the producer. Both are of one tenant,
    whose number is in what is compared: ids are for anybody to choose. The time of a call is what
    its client saw, that of a message what its consumer took. `pairs` has room for MOST_ANSWERS of
    each span.
    """
    origin, kind, status, duration, trace, span, parent = spans
    service, hashes = services
    peer_key, peer_sort = fallback
    ring, heads, ends, now_ns, tenant = waiting
    n_pairs = 0
    for row in range(len(origin)):
        own = service[origin[row]]
        k = kind[row]
        asks = k == CLIENT or k == PRODUCER
        if own < 0 or not (asks or k == SERVER or k == CONSUMER):
            continue
        if asks and (peer_sort[row] == DATABASE or (k == CLIENT and peer_sort[row] == QUEUE)):
            continue  # these answer with no span
        mine = span[row] if asks else parent[row]
        if mine == 0:
            continue
        h = fold_multiply(trace[row, 0] ^ SEED ^ tenant, trace[row, 1] ^ TO_PEER)
        h = fold_multiply(h, mine ^ FROM_PEER)
        bucket = h & np.uint64(len(heads) - 1)
        failed = status[row] == ERROR
        answered = False
        at = heads[bucket]
        n_left = MOST_ANSWERS
        for _ in range(FARTHEST):
            if at < ends[0] or n_left == 0:
                break
            other = ring[at % len(ring)]
            if other.key == h and (other.kind == CLIENT or other.kind == PRODUCER) != asks:
                is_message = k == CONSUMER or other.kind == CONSUMER
                pair = pairs[n_pairs]
                pair.client = own if asks else other.service
                pair.server = other.service if asks else own
                pair.peer = other.peer
                if asks:
                    pair.peer = peer_key[row] if peer_sort[row] == CALL else _NO_KEY
                to_server = hashes[pair.server] * TO_PEER
                pair.key = fold_multiply(hashes[pair.client] ^ FROM_PEER, to_server) | np.uint64(1)
                consumed = duration[row] if k == CONSUMER else other.duration
                called = duration[row] if asks else other.duration
                pair.duration = consumed if is_message else called
                pair.failed = failed or other.failed != 0
                n_pairs += 1
                n_left -= 1
                other.answered = 1
                answered = True
            at = other.before
        if ends[1] - ends[0] == len(ring):
            ends[0] += 1  # the oldest waits no more
            ends[2] += 1
        entry = ring[ends[1] % len(ring)]
        entry.key = h
        entry.peer = peer_key[row] if peer_sort[row] == CALL else _NO_KEY
        entry.duration = duration[row]
        entry.since_ns = now_ns
        entry.before = heads[bucket]
        entry.service = own
        entry.kind = k
        entry.failed = failed
        entry.answered = answered
        heads[bucket] = ends[1]
        ends[1] += 1
    return n_pairs


@kernel
def give_up(ring, ends, before_ns, pairs):
    """Let go of ends that have waited since before a time; how many pairs were written, of calls
    that nobody answered and whose peer has a name."""
    n_pairs = 0
    while ends[0] < ends[1] and n_pairs < len(pairs):
        entry = ring[ends[0] % len(ring)]
        if entry.since_ns >= before_ns:
            break
        if entry.kind == CLIENT and entry.answered == 0 and entry.peer != 0:
            pair = pairs[n_pairs]
            pair.client = entry.service
            pair.server = -1
            pair.key = entry.peer
            pair.peer = 0
            pair.duration = entry.duration
            pair.failed = entry.failed
            n_pairs += 1
        ends[0] += 1
    return n_pairs


@kernel
def chain(ring, heads, n):
    """Make the first ends of a ring found by their keys."""
    for i in range(n):
        bucket = ring[i].key & np.uint64(len(heads) - 1)
        ring[i].before = heads[bucket]
        heads[bucket] = i
