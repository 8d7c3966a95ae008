"""Symptoms of services, bin by bin: judged, then learned. `service_rows.py` says what the arrays
hold, `symptoms.py` what is watched."""

import math

from watchkeeper.analyze.watchers.look_kernel import look
from watchkeeper.analyze.watchers.saturation_kernel import judge_saturation
from watchkeeper.analyze.watchers.shares_kernel import judge_errors, judge_latency
from watchkeeper.analyze.watchers.symptom_episode_kernel import (
    BIN_NS,
    BIN_S,
    CLOSED,
    LONG,
    OPENED,
    SHORT,
    SILENCE,
    turn_half_hour,
)
from watchkeeper.analyze.watchers.traffic_kernel import judge_traffic
from watchkeeper.compiled.jit import kernel

AHEAD = 32
"""Bins that may be open; the others of the ring are the past."""
MOST_FINDINGS = 6
"""That a bin can make."""
SECOND = 1e9
NEXT_S, SLACK_S, LEAST_LAG_S = 5.0, 2.0, 5.0
SILENT_S, SILENT_GAPS, SILENT_LONGEST = 30.0, 3.0, 2.0
"""Nothing came for so long, for so many usual gaps, and for so many times the longest."""
SILENT_SCORE = 10.0
FEW_ARRIVALS = 20
GIVEN_UP_S = 86_400.0
"""After a day of silence nobody expects the service any more."""


@kernel
def tick(now_ns, resumed, state, settings, judged, first, found):
    """Judge all bins that are due, and silence: (the service to go on with, how many findings)."""
    n_found = 0
    for at in range(first, len(judged)):
        if n_found + MOST_FINDINGS * (AHEAD + 8) > len(found):
            return at, n_found
        index = judged[at]
        service = state.service[index]
        if service.next_bin > 0:
            due = (min(now_ns, service.newest_ns) - _lag(service, settings)) // BIN_NS - 1
            n_found = judge_bins(state, index, due, settings, found, n_found)
            n_found = look(now_ns, state, index, settings, found, n_found)
        n_found = _judge_silence(now_ns, resumed, state, index, settings, found, n_found)
    return len(judged), n_found


@kernel
def _lag(service, settings):
    """How long the bins of a service wait for its samples: as long as these need, by how they came
    so far, and no longer than the watermark or the next samples."""
    most = max(settings.lag_ns, int((service.interval_s + NEXT_S) * SECOND))
    needed = max(LEAST_LAG_S, service.interval_s + service.late_s + SLACK_S)
    return min(most, int(needed * SECOND))


@kernel
def judge_bins(state, index, last, settings, found, n_found):
    """Judge and learn the bins of a service up to `last`; how many findings there are then."""
    service, bins = state.service[index], state.ring[index]
    for one in range(service.next_bin, last + 1):
        window = max(SHORT, min(LONG, math.ceil(service.interval_s / BIN_S - 0.1)))
        if one - service.first_bin >= window:
            n_found = judge_errors(state, index, one, window, settings, found, n_found)
            if service.tells_latency:
                n_found = judge_latency(state, index, one, window, settings, found, n_found)
            n_found = judge_traffic(state, index, one, window, settings, found, n_found)
        n_found = judge_saturation(state, index, one, settings, found, n_found)
        turn_half_hour(state, index, one)
        bins[(one + AHEAD) % len(bins), :] = 0.0
        service.next_bin = one + 1
    return n_found


@kernel
def _judge_silence(now_ns, resumed, state, index, settings, found, n_found):
    """By the ticks: a service that spoke and stopped."""
    service, symptom = state.service[index], state.symptom[index, SILENCE]
    change = 0
    gap = (now_ns - max(service.arrived_ns, resumed[service.partition])) / SECOND
    usual = max(SILENT_S, SILENT_GAPS * service.gap_s, SILENT_LONGEST * service.longest_s)
    if symptom.is_open:
        if gap < usual and service.arrived_ns > symptom.started_ns:
            symptom.is_open, symptom.is_held, change = 0, 0, CLOSED
        elif gap > GIVEN_UP_S:
            symptom.is_open, symptom.is_held, change, service.n_arrivals = 0, 0, CLOSED, 0
    elif gap > usual and service.is_live and service.n_arrivals >= FEW_ARRIVALS:
        symptom.is_open, symptom.is_page, symptom.is_held, change = 1, 0, 0, OPENED
        symptom.started_ns, symptom.value, symptom.high = service.arrived_ns, gap, usual
        symptom.peak = SILENT_SCORE * gap / usual
    if change == 0:
        return n_found
    finding = found[n_found]
    finding.service, finding.symptom, finding.change = index, SILENCE, change
    finding.is_calibrated = service.arrived_ns - service.first_ns >= settings.learning_ns
    symptom.is_calibrated = finding.is_calibrated
    finding.started_ns, finding.time_ns = symptom.started_ns, now_ns
    finding.value, finding.low, finding.high = symptom.value, 0.0, symptom.high
    finding.score, finding.n = symptom.peak, service.n_arrivals
    return n_found + 1
