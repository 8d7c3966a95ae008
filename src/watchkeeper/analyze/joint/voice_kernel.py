"""What a service's voices say: episodes of a score that its own past judges."""

import math

from watchkeeper.analyze.detectors import episode_kernel as episode
from watchkeeper.analyze.detectors.averages_kernel import DAY_S, WEEK_S
from watchkeeper.analyze.joint.tail_kernel import TAIL
from watchkeeper.compiled.jit import kernel

DISTANCE, COUNT = 0, 1
"""The two voices."""
CALM_POINTS = 5
EVIDENCE_POINTS = 1000


@kernel
def severity(head, voice):
    return 1 if voice.n >= EVIDENCE_POINTS and head.age_s >= DAY_S else 0


@kernel
def limit(settings, every_s):
    return math.log10(min(settings.budget_per_week * every_s / WEEK_S, 0.5 * TAIL))


@kernel
def follow(voice, settings, told, finding):
    time_ns, log_p, every_s = told
    if voice.phase == episode.QUIET and log_p == 0.0:
        return 0
    began_ns = episode.began_ns(voice, time_ns)
    limits = (
        limit(settings, every_s),
        CALM_POINTS,
        settings.rearm_ns,
        episode.NOISY,
        episode.NOISY,
    )
    change = episode.follow(voice, time_ns, log_p, limits)
    if change:
        finding.started_ns = began_ns
        finding.time_ns = time_ns
        finding.change = change
        finding.p_value = 10.0**log_p
        finding.low = 0.0
    return change
