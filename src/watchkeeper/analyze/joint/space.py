"""The joint space of one service: its series as the members of rows, one row per grid cell.

Each member is measured in its own usual deviations, winsorised so that incidents do not become
usual; what members do together is kept as a matrix of second moments, of which the directions that
explain most of the variance are taken on a schedule. A row is strange by how far it lies beside
these directions (residual) and how far out within them, both in units of what is usual: Jackson and
Mudholkar, "Control Procedures for Residuals Associated With Principal Component Analysis" (1979).
Its smoothed distance is judged by the service's own past, with an exponential tail; the
member that has most part in it is left out, for what one shows alone is its own detectors' matter.

A second voice counts how many members are further from their last hour than in 99 of 100 rows,
within five minutes: binomial, and again judged by the service's own past of that count.

Blind to: the first 256 rows; services of fewer than three members; a lasting change, after an hour;
what moves all members as they usually move together; members beyond the first 64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from watchkeeper.analyze.detectors import episodes
from watchkeeper.analyze.joint import learn_kernel, space_kernel
from watchkeeper.analyze.joint.tail_kernel import N_BINS
from watchkeeper.model.series import F64, I64

MAX_MEMBERS = 64
"""As many as a word has bits."""
GROWTH = 8
BLOCK = 512
"""Rows per call of the kernel: bounds the room for its findings."""

Array = np.ndarray[Any, Any]

HEAD = np.dtype(
    [
        ("last_ns", "i8"),
        ("bin", "i8"),  # the present five minutes
        ("flagged", "u8"),  # bits: members that were unusual in them
        ("age_s", "f8"),  # time that was learned from
        ("fitted_s", "f8"),  # of which, at the last fit
        ("rest", "f8"),  # variance beside the subspace
        ("smooth", "f8"),  # the smoothed distance
        ("shared", "f8"),  # the same without the member that has most part in it
        ("base", "f8"),  # usual share of unusual members
        ("interval_s", "f8"),
        ("n", "i8"),  # rows
        ("rank", "i4"),  # directions of the subspace
        ("n_ripe", "i4"),  # members that belong to it
        ("is_fitted", "u1"),
    ]
)
MEMBER = np.dtype(
    [
        ("centre", "f8"),
        ("var", "f8"),
        ("low", "f8"),  # the range that was seen, shrinking over a week
        ("high", "f8"),
        ("level", "f8"),  # of the last hour
        ("unusual", "f8"),  # distance from it that one row in a hundred has
        ("age_s", "f8"),  # time that its moments were learned from
        ("off_s", "f8"),  # how long it has been far off on one side, signed
        ("seen_ns", "i8"),
        ("n", "i8"),
        ("is_ripe", "u1"),
    ]
)
VOICE = np.dtype(
    [
        ("share", "f8"),  # of scores above `bulk`
        ("excess", "f8"),  # their mean distance from it, in bins
        ("mass", "f8"),  # of the histogram
        ("credit", "f8"),  # what a new score weighs in it
        ("n", "i8"),
        ("bulk", "i4"),  # the last bin below the tail
        ("run_bin", "i4"),  # where the present run of scores above `bulk` began
        *episodes.fields(10),
    ]
)
FOUND = np.dtype(
    [
        ("started_ns", "i8"),
        ("time_ns", "i8"),
        ("change", "u1"),
        ("severity", "u1"),
        ("voice", "u1"),
        ("value", "f8"),
        ("low", "f8"),
        ("high", "f8"),
        ("p_value", "f8"),
    ]
)


class Settings(NamedTuple):
    """What the kernel reads of the configuration."""

    explained: float
    smoothing_s: float
    refit_s: float
    budget_per_week: float
    rearm_ns: int


class State(NamedTuple):
    """The arrays of a space, as the kernel takes them."""

    head: Array
    columns: Array
    moments: F64
    basis: F64
    values: F64
    voices: Array
    histograms: F64


@dataclass(frozen=True, slots=True)
class Finding:
    """A change of an episode of one voice, and each member's part in it."""

    row: Any
    shares: F64


class Space:
    """What is usual of the members of one service together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._state = _room(0)

    @property
    def n_members(self) -> int:
        return len(self._state.columns)

    @property
    def n_bytes(self) -> int:
        return sum(array.nbytes for array in self._state)

    @property
    def is_ready(self) -> bool:
        """Whether there is a subspace to judge by."""
        return bool(self._state.head["is_fitted"][0])

    @property
    def distance(self) -> float:
        """The smoothed distance of the newest row; 1 is usual."""
        return float(self._state.head["smooth"][0])

    def speaks_since(self, voice: int) -> int:
        """When its open episode began; 0 where none is."""
        row = self._state.voices[voice]
        return int(row["since_ns"]) if row["phase"] else 0

    def hold(self, n_members: int) -> None:
        """Make room for so many members, keeping what is known of those that there are."""
        if n_members > self.n_members:
            larger = _room(min(-(-n_members // GROWTH) * GROWTH, MAX_MEMBERS))
            _copy(self._state, larger)
            self._state = larger

    def forget(self, member: int) -> None:
        """Another will be judged in this place."""
        state = self._state
        state.columns[member] = np.zeros((), MEMBER)
        state.moments[member, :] = 0.0
        state.moments[:, member] = 0.0
        state.basis[:, member] = 0.0

    def left(self, now_ns: int) -> list[int]:
        """Places of members that have not been heard of for a day."""
        columns = self._state.columns
        gone = (columns["n"] > 0) & (now_ns - columns["seen_ns"] > learn_kernel.LEFT_S * 1e9)
        return [int(place) for place in np.flatnonzero(gone)]

    def judge(self, time_ns: I64, rows: F64) -> list[Finding]:
        """Judge and learn rows in order of time, nan where a member is missing."""
        rows = self._wide(rows)
        told: list[Finding] = []
        for i in range(0, len(rows), BLOCK):
            block = slice(i, i + BLOCK)
            n = len(rows[block])
            found = np.zeros(2 * n, FOUND)
            shares = np.zeros((2 * n, self.n_members))
            n_found = space_kernel.judge(
                time_ns[block], rows[block], self._state, self._settings, found, shares
            )
            told += [Finding(found[k], shares[k]) for k in range(n_found)]
        return told

    def fit(self) -> None:
        """Take the subspace of what is known now, whatever the schedule says."""
        learn_kernel.fit(self._state, self._settings.explained)

    def scores(self, time_ns: I64, rows: F64) -> F64:
        """The smoothed distances of rows by what is known now; nothing is learned."""
        scores = np.empty(len(rows), np.float64)
        space_kernel.score_rows(time_ns, self._wide(rows), self._state, self._settings, scores)
        return scores

    def dump(self) -> bytes:
        return msgspec.msgpack.encode([array.tobytes() for array in self._state])

    def load(self, state: bytes) -> None:
        parts = msgspec.msgpack.decode(state, type=list[bytes])
        n = len(parts[1]) // MEMBER.itemsize
        fresh = _room(n)
        for array, part in zip(fresh, parts, strict=True):
            array[...] = np.frombuffer(part, array.dtype).reshape(array.shape)
        self._state = fresh

    def _wide(self, rows: F64) -> F64:
        """As wide as there are places."""
        missing = self.n_members - rows.shape[1]
        return np.pad(rows, ((0, 0), (0, missing)), constant_values=np.nan) if missing else rows


def _room(n: int) -> State:
    return State(
        np.zeros(1, HEAD),
        np.zeros(n, MEMBER),
        np.zeros((n, n)),
        np.zeros((n, n)),
        np.zeros(n),
        np.zeros(2, VOICE),
        np.zeros((2, N_BINS)),
    )


def _copy(old: State, new: State) -> None:
    for before, after in zip(old, new, strict=True):
        after[tuple(slice(0, n) for n in before.shape)] = before
