"""From errors to a schedule: which steps compute, for one threshold."""

from __future__ import annotations

import math

from ..effort import spend
from ..errors import ConfigError
from .table import Lags


def scan(lags: Lags, steps: int, alpha: float, lookahead: int) -> tuple[bool, ...]:
    """Reuse each computed output for as many steps as stays within the threshold.

    From a computed step the longest hop is taken whose end has not changed by more than alpha;
    the steps in between are not looked at, which is how the method was published. The first and
    the last step compute.

    Args:
        lags: relative changes over 1, 2, … steps, by source step.
        steps: steps of the run.
        alpha: greatest relative change that counts as none, >= 0 and finite: what is not known is
            infinite, and never reused.
        lookahead: most steps in a row that reuse, >= 1.

    Returns:
        One flag per step, True computes.

    Raises:
        ConfigError: a negative or infinite threshold, or a lookahead below 1.

    Source: arXiv 2411.10510, section 3.2; Roblox/SmoothCache edeb4ed,
    ``SmoothCache/calibration/calibration_helper.py``, which compares with <= too.
    """
    if not 0 <= alpha < math.inf:
        raise ConfigError(f"alpha is {alpha:g}; expected 0 or more (0.1: changes of up to 10 %)")
    if lookahead < 1:
        raise ConfigError(f"lookahead is {lookahead}; expected 1 or more steps that reuse in a row")
    spend(steps)
    compute = [True] * steps
    step = 0
    while step < steps:
        hop = _hop(lags[:lookahead], step, alpha)
        for reused in range(step + 1, min(step + hop + 1, steps)):
            compute[reused] = False
        step += hop + 1
    compute[0] = compute[-1] = True
    return tuple(compute)


def _hop(lags: Lags, step: int, alpha: float) -> int:
    for lag in range(len(lags), 0, -1):
        row = lags[lag - 1]
        if step < len(row) and row[step] <= alpha:
            return lag
    return 0
