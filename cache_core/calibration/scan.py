"""From errors to schedules: which steps compute, at each of many thresholds. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..effort import spend


def scan(errors: NDArray[np.float64], alphas: Sequence[float], lookahead: int) -> NDArray[np.bool_]:
    """Reuse each computed output for as many steps as stays within the threshold.

    From a computed step the longest hop is taken whose end has not changed by more than alpha;
    the steps in between are not looked at, which is how the method was published. The first and
    the last step compute.

    Args:
        errors: relative changes, as of `changes_of`; shape (rows, distances, steps).
        alphas: greatest relative changes that count as none, >= 0 and finite: what is not known is
            infinite, and never reused.
        lookahead: most steps in a row that reuse, >= 1.

    Returns:
        True computes; shape (thresholds, rows, steps).

    Source: arXiv 2411.10510, section 3.2; Roblox/SmoothCache edeb4ed,
    ``SmoothCache/calibration/calibration_helper.py``, which compares with <= too.
    """
    rows, farthest, steps = errors.shape
    spend(steps * (2 + rows * len(alphas) * 0.03))
    limits = np.array(alphas)
    hops = np.zeros((steps, rows, len(limits)), np.intp)
    for lag in range(1, min(lookahead + 1, farthest)):
        np.copyto(hops, lag, where=np.transpose(errors[:, lag])[..., None] <= limits)
    compute = np.empty(hops.shape, np.bool_)
    due = np.zeros(hops.shape[1:], np.intp)
    for step in range(steps):
        compute[step] = due == step
        due = np.where(compute[step], step + 1 + hops[step], due)
    compute[-1] = True
    return np.transpose(compute)
