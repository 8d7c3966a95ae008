"""Samples into the ten-second bins of their services; see `service_rows.py` for the arrays."""

import math

from watchkeeper.analyze.watchers.look_kernel import (
    LONGEST_S,
    SECOND_NS,
    advance,
    fade_late,
    note_pace,
)
from watchkeeper.analyze.watchers.symptom_episode_kernel import SILENCE
from watchkeeper.analyze.watchers.symptoms_kernel import judge_bins
from watchkeeper.compiled.jit import kernel

BIN_NS = 10_000_000_000
AHEAD = 32
"""Bins that may be open; the others of the ring are the past."""
SECOND = 1e9
ABSURD = 1e12
"""No service answers so many requests between two samples, and no queue is so long: a sample that
says so is broken, and would be remembered for ever."""
LONGEST_NS = 150_000_000_000
"""What was counted over a longer time tells nothing of any ten seconds of it."""
MOST_PER_JUDGING = 6 * 40
"""Findings that judging the open bins of a service can make."""
LEARN_GAP = 0.05
GROWTH = 4.0
"""A gap counts as so much longer than the longest at most: a pause at the same hour is known after
some days, and one long outage makes nobody deaf."""
FADE_GAP = 3e5
"""Seconds in which the longest gap fades by an e-fold."""
FIRST_GAPS = 5
REQUESTS, ERRORS, SHARE, QUEUE, COVER, BOUNDS = 0, 1, 2, 3, 4, 5
PART_REQUESTS, PART_FAILED, PART_ERRORS, PART_BUCKET, PART_SHARE, PART_QUEUE = 1, 2, 3, 4, 5, 6
RANK_SPANS, RANK_BARE = 2, 3
LIVE_NS = 300_000_000_000


@kernel
def has_stranger(slots, identity, rows):
    """Whether a slot has an owner that was not looked at yet."""
    for slot in slots:
        if slot >= len(rows) or rows[slot].identity != identity[slot, 0]:
            return True
    return False


@kernel
def take(points, first, of, state, settings, now_ns, found):
    """Count from row `first` on: (the row to go on with, findings of bins that had to be judged
    since their room was needed). It goes on until the end, or until `found` may be full; it does
    not begin, and says -1, while there are series that were not looked at."""
    slots, times, values = points
    identity, rows = of
    n_found = 0
    if first == 0 and has_stranger(slots, identity, rows):
        return -1, 0
    for i in range(first, len(slots)):
        row = rows[slots[i]]
        index = row.service - 1
        if index < 0 or not math.isfinite(values[i]):
            continue
        service = state.service[index]
        if service.arrived_ns != now_ns:
            if not state.symptom[index, SILENCE].is_held:  # an outage is no pause of its services
                _arrive(service, now_ns)
            service.arrived_ns = now_ns
        is_live = abs(now_ns - times[i]) < LIVE_NS
        if is_live and not service.is_live:
            service.live_ns = now_ns
        service.is_live = is_live
        if row.part == 0 or times[i] <= row.last_ns or _is_absurd(row, times[i], values[i]):
            continue
        newest = (times[i] - 1) // BIN_NS
        if service.next_bin == 0:
            service.next_bin = service.first_bin = newest
        if newest - service.next_bin >= AHEAD:
            if n_found + MOST_PER_JUDGING > len(found):
                return i, n_found
            n_found = _make_room(state, index, newest, settings, found, n_found)
        service.newest_ns = max(service.newest_ns, times[i])
        bins = state.ring[index]
        if row.part >= PART_SHARE:
            column = SHARE if row.part == PART_SHARE else QUEUE
            if newest >= service.next_bin:
                at = newest % len(bins)
                bins[at, column] = max(bins[at, column], values[i] * row.scale)
        elif row.last_ns > 0:
            _count(row, service, (bins, state.looks[index]), times[i], values[i], now_ns)
        row.last_ns, row.last = times[i], values[i]
    return len(slots), n_found


@kernel
def _is_absurd(row, time_ns, value):
    """Passed over; but a counter that stays so much higher begins anew there."""
    if row.part >= PART_SHARE:
        return abs(value) > ABSURD
    is_next = row.last_ns > 0 and time_ns - row.last_ns <= LONGEST_NS
    return value < 0.0 or (is_next and value - row.last > ABSURD)


@kernel
def _arrive(service, now_ns):
    """The first sample of a service since the last tick."""
    if service.arrived_ns > 0:
        gap = (now_ns - service.arrived_ns) / SECOND
        if gap <= 0:
            return
        weight = max(LEARN_GAP, 1.0 / (service.n_arrivals + 1.0))
        usual = service.gap_s
        if service.n_arrivals >= FIRST_GAPS:
            service.gap_s += weight * (min(gap, GROWTH * usual) - usual)
        else:
            service.gap_s = max(usual, min(gap, 120.0))
        service.longest_s *= math.exp(-gap / FADE_GAP)
        fade_late(service, gap, now_ns)
        service.longest_s = max(service.longest_s, min(gap, GROWTH * max(usual, service.longest_s)))
        service.n_arrivals += 1
    else:
        service.first_ns = now_ns
    service.arrived_ns = now_ns


@kernel
def _make_room(state, index, newest, settings, found, n_found):
    """Judge bins whose turn had not come, as time has leapt."""
    service = state.service[index]
    last = service.newest_ns // BIN_NS
    n_found = judge_bins(state, index, min(last, newest - AHEAD), settings, found, n_found)
    if newest - service.next_bin >= AHEAD:
        state.ring[index, :, :] = 0.0
        service.next_bin = service.first_bin = newest
    return n_found


@kernel
def _count(row, service, of, time_ns, value, now_ns):
    """Spread what was added over the time in which it was."""
    bins, looks = of
    lasted = time_ns - row.last_ns
    if lasted > LONGEST_NS:
        return
    is_asked = row.rank == service.request_rank
    if row.part == PART_BUCKET:
        is_asked = row.rank == service.latency_rank
    elif row.part == PART_ERRORS:
        is_asked = is_asked or (row.rank > RANK_BARE <= service.request_rank < 255)
    if not is_asked:
        return
    seconds = lasted / SECOND
    if seconds > service.interval_s:
        service.interval_s += (0.1 if service.interval_s > 0.0 else 1.0) * (
            seconds - service.interval_s
        )
    else:
        service.interval_s += 0.002 * (seconds - service.interval_s)
    if service.is_live:
        note_pace(service, time_ns, now_ns)
    added = value - row.last if value >= row.last else value
    if seconds <= LONGEST_S:
        advance(service, looks, time_ns)
        _add(
            row,
            looks,
            max(row.last_ns // SECOND_NS, service.look_second - len(looks) + 1),
            SECOND_NS,
            time_ns,
            added,
        )
    first = max(row.last_ns // BIN_NS, service.next_bin)
    _add(row, bins, first, BIN_NS, time_ns, added)


@kernel
def _add(row, bins, first, length_ns, time_ns, added):
    """Into bins of that length, from `first` on."""
    lasted = time_ns - row.last_ns
    for one in range(first, (time_ns - 1) // length_ns + 1):
        within = min(time_ns, (one + 1) * length_ns) - max(row.last_ns, one * length_ns)
        part = added * (within / lasted)
        at = one % len(bins)
        if row.part == PART_BUCKET:
            bins[at, BOUNDS + row.bound] += part
        elif row.part == PART_ERRORS:
            bins[at, ERRORS] += part
        else:
            bins[at, REQUESTS] += part
            bins[at, COVER] += within / length_ns
            if row.part == PART_FAILED:
                bins[at, ERRORS] += part
