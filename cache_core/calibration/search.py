"""Which thresholds there are for a run, and what the schedule of each would save and lose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .many import judged
from .prediction import Predictor
from .scan import scan
from .table import Lags, Place, changes_of

SEARCHED_ROWS = 20_000
"""Rows that a search for a threshold makes and judges at most."""

SEARCHED_FLAGS = 20_000_000
"""Flags in them at most: in runs of more than a thousand steps there are fewer rows."""


class Found(NamedTuple):
    """A schedule by its threshold.

    Args:
        alpha: the threshold.
        lookahead: most steps in a row that reuse.
        changes: by place what is held against the threshold.
        speedup: predicted.
        error: predicted.
    """

    alpha: float
    lookahead: int
    changes: Mapping[Place, Lags]
    speedup: float
    error: float


class Search:
    """Every schedule that a threshold could give in a run.

    Args:
        predictor: of the run; what layers cost is known.
        places: what reuses: kinds of layers, or single ones, or whole blocks.
        lookahead: most steps in a row that reuse.
    """

    def __init__(self, predictor: Predictor, places: Sequence[Place], lookahead: int) -> None:
        self.predictor, table = predictor, predictor.table
        changes = {place: table.rows[place] for place in places}
        # Shorter hops at a higher threshold are as fast, and often nearer to the plain run. So are
        # layers that all reuse in the same steps: in the others everything is computed, and right.
        in_step = dict.fromkeys(places, table.mean(places))
        shape = len(places), table.steps
        hops = range(1, min(lookahead, table.lookahead) + 1)
        most_rows = min(SEARCHED_ROWS, SEARCHED_FLAGS // table.steps)
        made: dict[bytes, tuple[float, int, Mapping[Place, Lags]]] = {}
        for lags in (changes, in_step):
            rows = list(dict.fromkeys(lags.values()))
            errors = changes_of(rows, table.steps, table.lookahead)
            numbers = {row: number for number, row in enumerate(rows)}
            whose = [numbers[each] for each in lags.values()]
            for hop in hops:
                alphas = _thresholds(lags, hop, max(most_rows // (2 * len(hops)), 1))
                every = scan(errors, alphas, hop)[:, whose]
                for alpha, compute in zip(alphas, every, strict=True):
                    made.setdefault(compute.tobytes(), (alpha, hop, lags))
        compute = np.reshape(np.frombuffer(b"".join(made), np.bool_), (len(made), *shape))
        figures = judged(predictor, places, compute)
        self.found = [Found(*each, *f) for each, f in zip(made.values(), figures, strict=True)]

    def fast(self, speedup: float) -> Found | None:
        """The least error that is fast enough; None where nothing is."""
        fast = (each for each in self.found if each.speedup >= speedup * 0.995)
        return min(fast, key=lambda each: each.error, default=None)

    def fastest(self) -> Found:
        """Whatever it loses."""
        return max(self.found, key=lambda each: each.speedup)

    def good(self, quality: float) -> Found:
        """The fastest that is good enough."""
        # Single hops at threshold 0 lose nothing, so that there is one.
        good = (each for each in self.found if each.error <= 1 - quality + 1e-9)
        return max(good, key=lambda each: each.speedup)


def _thresholds(changes: Mapping[Place, Lags], lookahead: int, most_rows: int) -> list[float]:
    """Every threshold at which the schedule may change: the errors themselves.

    Of single layers there are thousands. Then some are left out, evenly and never the greatest.
    """
    errors = {
        error
        for lags in set(changes.values())
        for row in lags[:lookahead]
        for error in row
        if error < float("inf")
    }
    stride = math.ceil(len(errors) * len(changes) / most_rows) or 1
    return [0.0, *reversed(sorted(errors, reverse=True)[::stride])]
