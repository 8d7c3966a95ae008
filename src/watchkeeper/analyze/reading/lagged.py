"""Granger's test of all pairs of series, by one projection per target."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from watchkeeper.analyze.watchers.tails_kernel import beta_score
from watchkeeper.model.series import F64, Mask

MIN_POINTS: Final = 120
"""With fewer, chance finds as much as there is."""
LAGS: Final = 3
FALSE_SHARE: Final = 0.01
WANDERS: Final = 0.95
"""A series whose neighbours correlate so much is taken by its steps; else trends lead trends."""
FAR: Final = 5.0
"""Spreads at which values are cut off: one outlier is no lead."""
RIDGE: Final = 1e-6


def drives(rows: F64) -> Mask:
    """(i, j): whether the past of i tells of j what j's own does not."""
    known = rows[:, np.isfinite(rows).all(axis=0)]
    values = np.stack([_still(row) for row in known])
    values = values[:, 1:]  # as long as those taken by steps
    score = _scores(values)
    np.fill_diagonal(score, 0.0)
    return _told(score)


def _still(row: F64) -> F64:
    """Centred, cut off, without a trend."""
    around = row - row.mean()
    spread = float(around @ around)
    if spread <= 0.0:
        return np.zeros(len(row))
    if float(around[1:] @ around[:-1]) > WANDERS * spread:
        row = np.diff(row, prepend=row[0])
    centre = np.median(row)
    size = 1.4826 * float(np.median(np.abs(row - centre))) or float(row.std())
    found: F64 = np.clip((row - centre) / size, -FAR, FAR) if size else np.zeros(len(row))
    return found


def _scores(values: F64) -> F64:
    """-log10 of the p-value of each pair: what the lags of i add to those of j."""
    n_series, n = values.shape[0], values.shape[1] - LAGS
    lags = np.stack([values[:, LAGS - k - 1 : LAGS - k - 1 + n] for k in range(LAGS)], axis=2)
    found = np.zeros((n_series, n_series))
    for target in range(n_series):
        own = np.column_stack((np.ones(n), lags[target]))
        basis, _ = np.linalg.qr(own)
        rest = values[target, LAGS:] - basis @ (basis.T @ values[target, LAGS:])
        added = lags - np.einsum("nk,ikl->inl", basis, np.einsum("nk,inl->ikl", basis, lags))
        found[:, target] = _improved(added, rest, n - 2 * LAGS - 1)
    return found


def _improved(added: Any, rest: F64, freedom: int) -> F64:
    gram = np.einsum("inl,inm->ilm", added, added) + RIDGE * len(rest) * np.eye(LAGS)
    along = np.einsum("inl,n->il", added, rest)
    gain = np.einsum("il,il->i", np.linalg.solve(gram, along[..., None])[..., 0], along)
    left = max(float(rest @ rest), 1e-12)
    # The share of what is left that stays is Beta(freedom / 2, LAGS / 2) if nothing was gained.
    share = np.clip(1.0 - gain / left, 1e-12, 1.0)
    return np.array([beta_score(one, freedom / 2.0, LAGS / 2.0) for one in share.tolist()])


def _told(score: F64) -> Mask:
    """Those that at most `FALSE_SHARE` of are chance."""
    n_pairs = score.size - len(score)
    ordered = np.sort(score[~np.eye(len(score), dtype=bool)])[::-1]
    limits = -np.log10(FALSE_SHARE * np.arange(1, n_pairs + 1) / n_pairs)
    passed = np.flatnonzero(ordered >= limits)
    if not len(passed):
        return np.zeros(score.shape, np.bool_)
    found: Mask = score >= ordered[passed[-1]]
    return found & ~np.eye(len(score), dtype=bool)
