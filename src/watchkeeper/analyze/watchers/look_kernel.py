"""A look at the newest seconds, whose bins are still open: what is gross is told within seconds.

What is usual is known from closed bins, and nothing is learned here. Seconds are complete when all
series of a service have told of them, which is judged by how they came so far.
"""

import math

from watchkeeper.analyze.watchers.shares_kernel import (
    brief_errors,
    brief_slow,
    far_bound,
    learned_of_errors,
    learned_of_latency,
    most_errors,
    p95_of,
    share_beyond,
    slow_bound,
    usual_errors,
    usual_slow,
    worst_errors,
    worst_latency,
)
from watchkeeper.analyze.watchers.symptom_episode_kernel import (
    C_BOUNDS,
    C_ERRORS,
    ERRORS,
    LATENCY,
    TRAFFIC,
    tell,
    told_since,
)
from watchkeeper.analyze.watchers.traffic_kernel import lack_of_seconds
from watchkeeper.compiled.jit import kernel

SECOND_NS = 1_000_000_000
SECOND = 1e9
WINDOWS = (5, 15, 45)
"""Seconds."""
LONGEST_S = 20.0
"""What was counted over a longer time tells nothing of these seconds."""
LOOKS = 1.3
"""Decades by which a look has to be less probable than a bin: there are ten looks where there is
one bin, and all of them together may cost half of what bins do."""
SUSTAINED = 6
"""So many seconds have to be bad: a restart or a pause of a blink is left to bins."""
AT_ONCE_S = 0.1
"""Samples that are nearer to each other are of one sending."""
FEWER = 0.4
"""So many of the requests without which bins are not judged are enough: where few come, all of them
fail or none."""
SLOWER = 0.02
LATE_FADE_S, YOUNG = 600.0, 3.0
"""Seconds in which the longest lateness fades by an e-fold: at first a third of the time that the
service is live, since what was kept back comes in a burst and says nothing of what follows."""
MOST_LATE_S = 60.0


@kernel
def advance(service, looks, time_ns):
    """Make room for the seconds up to that time."""
    second = (time_ns - 1) // SECOND_NS
    if second <= service.look_second:
        return
    first = max(service.look_second + 1, second - len(looks) + 1)
    for one in range(first, second + 1):
        looks[one % len(looks), :] = 0.0
    service.look_second = second


@kernel
def note_pace(service, time_ns, now_ns):
    """How far apart samples of all series come, and how far behind each other."""
    if service.counted_ns == 0:
        service.counted_ns = time_ns
        return
    late = (min(now_ns, service.counted_ns) - time_ns) / SECOND
    if late > service.late_s:
        service.late_s = min(late, MOST_LATE_S)
    step = (time_ns - service.counted_ns) / SECOND
    if step >= AT_ONCE_S:
        if service.step_s == 0.0 or step < service.step_s:
            service.step_s = step
        else:
            service.step_s += SLOWER * (min(step, 2.0 * service.step_s) - service.step_s)
    service.counted_ns = max(service.counted_ns, time_ns)


@kernel
def fade_late(service, seconds, now_ns):
    live_s = (now_ns - service.live_ns) / SECOND
    service.late_s *= math.exp(-seconds / max(1.0, min(LATE_FADE_S, live_s / YOUNG)))


@kernel
def look(now_ns, state, index, settings, found, n_found):
    """Judge the newest seconds; how many findings there are then."""
    service, looks = state.service[index], state.looks[index]
    behind_s = service.late_s + max(0.0, service.interval_s - service.step_s)
    until_ns = min(now_ns, service.counted_ns) - int(behind_s * SECOND)
    last = until_ns // SECOND_NS - 1
    longest = WINDOWS[len(WINDOWS) - 1]
    if last <= service.looked_second or service.look_second - last > len(looks) - longest:
        return n_found
    service.looked_second = last
    seconds = last - service.first_bin * 10
    time_ns = (last + 1) * SECOND_NS
    n_found = _look_at_traffic(state, index, last, seconds, settings, found, n_found)
    least = FEWER * settings.least_requests
    usual, scatter = usual_errors(service)
    scatter = max(scatter, brief_errors(service))
    known = min(seconds, told_since(state.symptom[index, ERRORS], last, SECOND_NS))
    score, value, n, share = worst_errors(
        looks, last, known, WINDOWS, (usual, scatter, least), settings
    )
    if score - LOOKS >= settings.open_at and _lasts(looks, last, C_ERRORS, -1):
        learned, most = learned_of_errors(service), most_errors(usual, scatter)
        said = (score - LOOKS, value, 0.0, most, n, learned, (share, False))
        n_found = tell(state, index, ERRORS, time_ns, said, settings, found, n_found)
    bounds, counts, n_bounds = state.bounds[index], state.usual[index], service.n_bounds
    slow_at = slow_bound(bounds, counts, n_bounds) if service.tells_latency else 0
    if slow_at == 0:
        return n_found
    usual, scatter = usual_slow(service, counts, slow_at)
    scatter = max(scatter, brief_slow(service))
    high = p95_of(bounds, n_bounds, counts)
    far_at = far_bound(bounds, counts, n_bounds)
    of = (bounds, n_bounds, slow_at, far_at)
    usually = (usual, scatter, high, least, share_beyond(counts, far_at))
    known = min(seconds, told_since(state.symptom[index, LATENCY], last, SECOND_NS))
    score, value, n, share = worst_latency(looks, last, known, WINDOWS, of, usually, settings)
    if score - LOOKS < settings.open_at or not _lasts(looks, last, C_BOUNDS, slow_at):
        return n_found
    said = (score - LOOKS, value, 0.0, high, n, learned_of_latency(service), (share, False))
    return tell(state, index, LATENCY, time_ns, said, settings, found, n_found)


@kernel
def _look_at_traffic(state, index, last, seconds, settings, found, n_found):
    symptom = state.symptom[index, TRAFFIC]
    known = min(seconds, told_since(symptom, last, SECOND_NS))
    score, value, n, low, high, learned, share = lack_of_seconds(
        state, index, last, known, settings
    )
    if score - LOOKS < settings.open_at:
        return n_found
    said = (score - LOOKS, value, low, high, n, learned, (share, False))
    time_ns = (last + 1) * SECOND_NS
    return tell(state, index, TRAFFIC, time_ns, said, settings, found, n_found)


@kernel
def _lasts(looks, last, column, slow_at):
    """Whether enough of the newest seconds were bad. What is beyond a bound is what is missing in
    its column."""
    n = 0
    for one in range(last - WINDOWS[len(WINDOWS) - 1] + 1, last + 1):
        counts = looks[one % len(looks)]
        seen = counts[column]
        if slow_at > 0:
            seen -= counts[C_BOUNDS + slow_at]
        n += seen > 0.0
    return n >= SUSTAINED
