"""Series of one role, ring by ring: who lends its learning to a newcomer, and who may leave.

The members of a role stand in a ring in the order of their registration. The oldest is its head and
the donor of every newcomer: it has learned for longest, and the choice depends on nothing but the
registrations, so a replay makes the same one.

The outer kernels take an array with the addresses of the columns, and behind them their lengths.
"""

import numpy as np

from watchkeeper.compiled.address import address_of, load_i64
from watchkeeper.compiled.columns import get8, get32, get64, set8, set32
from watchkeeper.compiled.jit import kernel
from watchkeeper.lake.series_table_kernel import home, insert, remove

ROLE = 0
AFTER = 1
BEFORE = 2
MARKS = 3
TABLE = 4
_TABLE_LENGTH = 9

NEW = 1
"""Of the record that is being made: has learned nothing that it could lend."""
_IDLE = 2
_SEEN = 4


@kernel
def _head(roles, role):
    """The head of a role, or -1."""
    mask = load_i64(roles, _TABLE_LENGTH) - 1
    i = home(role, mask)
    while True:
        head = get32(roles, TABLE, i) - 1
        if head < 0 or get64(roles, ROLE, head) == role:
            return head
        i = (i + 1) & mask


@kernel
def join(layout, slots, donors):
    """Add new series, whose `role` column is written, to their rings, and name their donors; how
    many roles are new."""
    roles = address_of(layout)
    table = load_i64(roles, TABLE)
    n_new = 0
    for k in range(len(slots)):
        slot = np.int64(slots[k])
        head = _head(roles, get64(roles, ROLE, slot))
        donors[k] = -1
        if head < 0:
            n_new += 1
            insert(table, load_i64(roles, _TABLE_LENGTH), load_i64(roles, ROLE), 1, slot)
            set32(roles, AFTER, slot, slot)
            set32(roles, BEFORE, slot, slot)
        else:
            if get8(roles, MARKS, head) & NEW == 0:
                donors[k] = head
            tail = get32(roles, BEFORE, head)
            set32(roles, AFTER, tail, slot)
            set32(roles, BEFORE, slot, tail)
            set32(roles, AFTER, slot, head)
            set32(roles, BEFORE, head, slot)
        set8(roles, MARKS, slot, NEW)
    return n_new


@kernel
def leave(layout, slots):
    """Take series out of their rings; how many roles are gone with them."""
    roles = address_of(layout)
    table = load_i64(roles, TABLE)
    n_gone = 0
    for k in range(len(slots)):
        slot = np.int64(slots[k])
        after = get32(roles, AFTER, slot)
        if _head(roles, get64(roles, ROLE, slot)) == slot:
            remove(table, load_i64(roles, _TABLE_LENGTH), load_i64(roles, ROLE), 1, slot)
            if after != slot:
                insert(table, load_i64(roles, _TABLE_LENGTH), load_i64(roles, ROLE), 1, after)
            else:
                n_gone += 1
        before = get32(roles, BEFORE, slot)
        set32(roles, AFTER, before, after)
        set32(roles, BEFORE, after, before)
        set8(roles, MARKS, slot, 0)
    return n_gone


@kernel
def pick_idle(layout, n_labels, last_seen_ns, idle_ns, donor_ns):
    """Series not seen since `idle_ns`: (those that may leave, those that stay as donors).

    Of a role with no other member left, the one that was seen last stays as the donor of those to
    come, unless that was before `donor_ns`.
    """
    roles = address_of(layout)
    idle = np.empty(len(n_labels), np.int32)
    n = 0
    for slot in range(len(n_labels)):
        if n_labels[slot] > 0 and last_seen_ns[slot] < idle_ns:
            set8(roles, MARKS, slot, _IDLE)
            idle[n] = slot
            n += 1
    kept = np.empty(n, np.int32)
    n_kept = 0
    for k in range(n):
        first = np.int64(idle[k])
        if get8(roles, MARKS, first) & _SEEN:
            continue
        best = first
        is_alive = False
        slot = first
        while True:
            if get8(roles, MARKS, slot) & _IDLE:
                set8(roles, MARKS, slot, _IDLE | _SEEN)
                if last_seen_ns[slot] > last_seen_ns[best]:
                    best = slot
            else:
                is_alive = True
            slot = get32(roles, AFTER, slot)
            if slot == first:
                break
        if not is_alive and last_seen_ns[best] >= donor_ns:
            set8(roles, MARKS, best, _SEEN)
            kept[n_kept] = best
            n_kept += 1
    leaving = np.empty(n - n_kept, np.int32)
    n_leaving = 0
    for k in range(n):
        slot = np.int64(idle[k])
        if get8(roles, MARKS, slot) & _IDLE:
            leaving[n_leaving] = slot
            n_leaving += 1
        set8(roles, MARKS, slot, 0)
    return leaving, kept[:n_kept].copy()
